/**
 * Where each requestor of a server stands: what it published, what it lacks of its list, when it is expected. The server's part of
 * status.ts.
 */
import {
  allRequestors,
  type FlaggedEntry,
  type Lag,
  lagsOfList,
  listFor,
  loadServer,
  type OutgoingSummary,
  type PostofficeName,
  type RequestorRecord,
  type SeqTime,
  type ServerContext,
  type ServerRecord,
  seqTimes,
  type StoreTx,
} from '@dirpost/core';
import type { PeerBounces } from './bounces.ts';
import { type Bounced, bouncedOf, type Unsent, unsentTo } from './carriage-status.ts';
import type { KnownRequestor } from './known-requestors.ts';
import { goesOnWithOlder } from './older-keys.ts';
import { VERSION } from './version.ts';

/** A message file needs some time on its way. */
const OVERDUE_AFTER_MS = 10 * 60_000;

/** From so many messages of an older copy on, of which the last is no older than that, it counts as running. */
const OLDER_COPY_MESSAGES = 3;
const OLDER_COPY_MS = 3 * 86_400_000;

/** What an administrator should do something about. */
export type AttentionCode =
  | 'stopped'
  | 'not-joined'
  | 'directory'
  | 'unanswered'
  | 'held'
  | 'overdue'
  | 'stale'
  | 'never-heard'
  | 'suspended'
  | 'no-keys'
  | 'older-keys'
  | 'older-copy'
  | 'no-list'
  | 'unsent'
  | 'uncollected'
  | 'bounced'
  | 'refused'
  | 'duplicates'
  | 'removed-directory'
  | 'conflicts';

export interface RequestorStatus {
  name: PostofficeName;
  list: string | null;
  /** Whether an exchange of it was ever processed here; without one all numbers below are 0. */
  heard: boolean;
  hasKeys: boolean;
  /** It goes on with keys that it has replaced. */
  olderKeys: boolean;
  /** When something came last of another copy of it, which still runs; null: none does, as far as can be seen. */
  olderCopyMs: number | null;
  /** By this server's administrator: nothing of it is taken, nothing is sent to it. */
  suspended: boolean;
  /** By this server's administrator: nobody waits for it. It is among them while entries of it are kept. */
  removed: boolean;
  incarnation: string | null;
  lastHeardMs: number | null;
  /** Of the last verification: what it says was applied. */
  lastVerifiedMs: number | null;
  acceptedSeq: number;
  ownerDigest: string | null;
  /** Live entries that it owns. */
  published: number;
  verifiedSeq: number | null;
  /** Seqs of the server that it has not verified, of all lists and owners. */
  behind: number;
  /** Entries of its list that it has not verified; with `lackingMore` there are more. Since when: null if not known. */
  lacking: number;
  lackingMore: boolean;
  lackingSinceMs: number | null;
  writtenUpTo: number;
  /** Whether everything that it verified is in its directories, as far as it has said. */
  written: boolean;
  nextContactMs: number | null;
  overdueMs: number | null;
  /** Silent for longer than the retention: deletions no longer wait for it. */
  stale: boolean;
  version: string;
  olderVersion: boolean;
  /** Effects that wait for an approval: of its changes, here; and at its own end, as it has said. */
  heldHere: number;
  heldThere: number;
  /** Kept from the lists by the server. */
  flagged: FlaggedEntry[];
  flaggedCount: number;
  /** Refused by its own directories. */
  refused: FlaggedEntry[];
  refusedCount: number;
  /** Values that must be unique, and that others have, too: left out of its entries on the lists; shown of them. */
  clashes: { left: number; kept: number };
  unsent: Unsent;
  /** What came back by mail; null: nothing, or it was forgotten. */
  bounced: Bounced | null;
  counts: RequestorRecord['counts'] | null;
  attention: AttentionCode[];
}

export interface ServerStatus {
  incarnation: string;
  seq: number;
  lives: number;
  requestors: RequestorStatus[];
}

/** In one read of the store. */
export async function gatherServer(
  tx: StoreTx,
  context: ServerContext,
  known: KnownRequestor[],
  { waiting, bounces }: { waiting: OutgoingSummary[]; bounces: Map<PostofficeName, PeerBounces> },
  nowMs: number,
): Promise<ServerStatus> {
  const server = await loadServer(tx);
  const records = new Map((await allRequestors(tx)).map((record) => [record.name, record]));
  const lags = await lagsOf(tx, context, server, [...records.values()]);
  const byName = new Map(known.map((one) => [one.name, one]));
  const names = [...new Set([...records.keys(), ...byName.keys()])].sort();
  const clashes = new Map<PostofficeName, RequestorStatus['clashes']>();
  for (const name of names) {
    const [left, kept] = [await tx.countWaitingClaims({ owner: name }), await tx.countWaitingClaims({ holder: name })];
    clashes.set(name, { left, kept });
  }
  const edits = new Map<PostofficeName, number>();
  for (const name of names) edits.set(name, await tx.countEdits('collected', name));
  const older = new Set<PostofficeName>();
  for (const one of known) if (await goesOnWithOlder(tx, one)) older.add(one.name);
  const requestors = names.map((name): RequestorStatus => {
    const list = listFor(context.lists, name)?.definition.name ?? null;
    const { hasKeys = false, suspended = false } = byName.get(name) ?? {};
    const olderKeys = older.has(name);
    const [unsent, bounced] = [unsentTo(waiting, name), bouncedOf(bounces.get(name))];
    const about = { name, list, hasKeys, olderKeys, suspended, clashes: clashes.get(name)!, unsent, bounced };
    const record = records.get(name);
    const status =
      record === undefined
        ? neverHeard(about)
        : heardOf(about, record, server, lags.get(name) ?? null, {
            nowMs,
            retentionMs: context.retentionMs,
            edits: edits.get(name)!,
          });
    return { ...status, attention: attentionOf(status) };
  });
  const present = requestors.filter(({ removed, published }) => !removed || published > 0);
  return { incarnation: server.incarnation, seq: server.seq, lives: server.lives, requestors: present };
}

async function lagsOf(
  tx: StoreTx,
  { lists }: ServerContext,
  server: ServerRecord,
  records: RequestorRecord[],
): Promise<Map<PostofficeName, Lag>> {
  const times: SeqTime[] = await seqTimes(tx);
  const lags = new Map<PostofficeName, Lag>();
  for (const list of lists) {
    const followers = records.filter(({ name }) => listFor(lists, name) === list);
    if (followers.length === 0) continue;
    const found = await lagsOfList(tx, list.definition.name, followers, server.seq, times);
    for (const [name, lag] of found) lags.set(name, lag);
  }
  return lags;
}

type About = Pick<
  RequestorStatus,
  'name' | 'list' | 'hasKeys' | 'olderKeys' | 'suspended' | 'clashes' | 'unsent' | 'bounced'
>;
type Unjudged = Omit<RequestorStatus, 'attention'>;

function neverHeard(about: About): Unjudged {
  return {
    ...about,
    heard: false,
    removed: false,
    incarnation: null,
    olderCopyMs: null,
    lastHeardMs: null,
    lastVerifiedMs: null,
    acceptedSeq: 0,
    ownerDigest: null,
    published: 0,
    verifiedSeq: null,
    behind: 0,
    lacking: 0,
    lackingMore: false,
    lackingSinceMs: null,
    writtenUpTo: 0,
    written: false,
    nextContactMs: null,
    overdueMs: null,
    stale: false,
    version: '',
    olderVersion: false,
    heldHere: 0,
    heldThere: 0,
    flagged: [],
    flaggedCount: 0,
    refused: [],
    refusedCount: 0,
    counts: null,
  };
}

function heardOf(
  about: About,
  record: RequestorRecord,
  server: ServerRecord,
  lag: Lag | null,
  { nowMs, retentionMs, edits }: { nowMs: number; retentionMs: number; edits: number },
): Unjudged {
  const { report, lastHeardMs, version } = record;
  const verifiedSeq = lag?.verifiedSeq ?? null;
  const { nextContactMs } = report;
  // Heard of after the time that it named: it has said nothing newer, and is not missed.
  const missed = nextContactMs !== null && lastHeardMs < nextContactMs && nowMs - nextContactMs > OVERDUE_AFTER_MS;
  return {
    ...about,
    heard: true,
    removed: record.removed === true && !about.hasKeys,
    incarnation: record.incarnation,
    olderCopyMs: olderCopyMs(record, nowMs),
    lastHeardMs,
    lastVerifiedMs: record.lastVerifiedMs,
    acceptedSeq: record.accepted.seq,
    ownerDigest: record.accepted.digest,
    published: record.live - edits,
    verifiedSeq,
    behind: server.seq - (verifiedSeq ?? 0),
    lacking: lag?.lacking ?? 0,
    lackingMore: lag?.more ?? false,
    lackingSinceMs: lag?.sinceMs ?? null,
    writtenUpTo: report.writtenUpTo,
    written: verifiedSeq !== null && report.writtenUpTo >= verifiedSeq,
    nextContactMs,
    overdueMs: missed && record.removed !== true ? nowMs - nextContactMs : null,
    stale: nowMs - lastHeardMs > retentionMs,
    version,
    olderVersion: isOlder(version, VERSION),
    heldHere: record.holding.held.entries,
    heldThere: report.heldCount,
    flagged: record.flagged,
    flaggedCount: record.flaggedCount,
    refused: report.refused,
    refusedCount: report.refusedCount,
    counts: record.counts,
  };
}

/** Fewer messages may have been under way when the present life began; and a copy that was switched off is forgotten. */
function olderCopyMs({ olderCopy, incarnation }: RequestorRecord, nowMs: number): number | null {
  if (olderCopy === undefined || olderCopy.besides !== incarnation) return null;
  const goesOn = olderCopy.messages >= OLDER_COPY_MESSAGES && nowMs - olderCopy.lastMs < OLDER_COPY_MS;
  return goesOn ? olderCopy.lastMs : null;
}

function attentionOf(one: Unjudged): AttentionCode[] {
  if (one.suspended) return ['suspended'];
  if (one.removed) return [];
  const codes: [AttentionCode, boolean][] = [
    ['held', one.heldHere + one.heldThere > 0],
    // Who is silent for so long is not merely late.
    ['overdue', one.overdueMs !== null && !one.stale],
    ['stale', one.stale],
    ['never-heard', !one.heard && one.hasKeys],
    ['no-keys', !one.hasKeys],
    ['older-keys', one.olderKeys],
    ['older-copy', one.olderCopyMs !== null],
    ['no-list', one.list === null],
    ['unsent', one.unsent.attempts > 0],
    ['bounced', one.bounced !== null],
    ['refused', one.flaggedCount + one.refusedCount > 0],
    ['duplicates', one.clashes.left + one.clashes.kept > 0],
  ];
  return codes.filter(([, applies]) => applies).map(([code]) => code);
}

/** By the numbers of a version; what is no version is not older. */
export function isOlder(version: string, than: string): boolean {
  const numbers = (text: string) => /^(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number);
  const [ours, theirs] = [numbers(version), numbers(than)];
  if (ours === undefined || theirs === undefined) return false;
  const differing = ours.findIndex((number, i) => number !== theirs[i]);
  return differing >= 0 && ours[differing]! < theirs[differing]!;
}
