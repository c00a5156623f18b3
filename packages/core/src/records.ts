/**
 * What the server remembers (T2): of itself, of every requestor, of every list. Documents in the store, read and written
 * in the transaction that processes a message. The rules named are those of design section 4.
 */
import type { AnchorHint, Checkpoint, PostofficeName, Refusal, Report } from './change.ts';
import type { CookieJar, Cursor } from './cursor.ts';
import { DigestSum, EMPTY_DIGEST, type Digest } from './digest.ts';
import { DirpostError } from './errors.ts';
import { type Holding, type HoldLimits, noHolding } from './holds.ts';
import { type Incarnation, newIncarnation, type Stamp } from './incarnation.ts';
import type { AddressList } from './list.ts';
import type { Workshop } from './parts.ts';
import type { PublishRefusal, PublishRules } from './permission.ts';
import type { Random } from './seams/clock.ts';
import type { StoreTx } from './seams/store.ts';
import type { RecentDeltas } from './shared-delta.ts';

export interface ServerContext extends Workshop {
  name: PostofficeName;
  lists: AddressList[];
  rules: PublishRules;
  cookies: CookieJar;
  holds: HoldLimits;
  /** Attributes whose values must be unique on the network: comparedAttributes. */
  unique: readonly string[];
  /** What was composed lately, for the requestors that ask for the same. */
  recent: RecentDeltas;
  /** A requestor that was silent for longer is stale: tombstones no longer wait for it. */
  retentionMs: number;
}

export interface ServerRecord {
  incarnation: Incarnation;
  /** Of the last change that was numbered. */
  seq: number;
  /** Restores that were noticed (rule 8). */
  lives: number;
}

/** An entry that the server keeps from the lists; the id as hexadecimal text. */
export interface FlaggedEntry {
  id: string;
  code: string;
  reason: string;
}

/** The newest cursor that came back: everything up to it was applied. */
export interface Verified {
  list: string;
  seq: number;
  /** Of the requestor. */
  incarnation: Incarnation;
  /** The cursor itself, and the newest exchange of the requestor when it had that; absent: an older version wrote it. */
  cursor?: Cursor;
  exchange?: number;
}

export interface RequestorRecord {
  name: PostofficeName;
  incarnation: Incarnation | null;
  /** Number of the newest exchange processed, and the payload hash of each of its parts. */
  newest: number;
  newestHashes: string[];
  stamp: Stamp;
  accepted: Checkpoint;
  /** Live entries of this owner, his edits too (StoreTx.countEdits). */
  live: number;
  flaggedCount: number;
  flagged: FlaggedEntry[];
  /** Number of the row up to which refused edits were looked for, to be named where others are gone; absent: from the first. */
  namedUpTo?: number;
  /** Effects of its changes that are kept from the lists. */
  holding: Holding;
  /** Members of its groups, as the lists have them. */
  members: number;
  /** Number of the last update sent to it. */
  updateNumber: number;
  /** The highest seq up to which data were sent to it. */
  sentSeq: number;
  /** An update of several parts that it has not acknowledged. */
  outstanding: { number: number; parts: number } | null;
  /** List identity → the lowest seq of a kept checkpoint; what is below was forgotten and proves nothing. */
  floors: Record<string, number>;
  verified: Verified | null;
  /** Incarnation of the server under which its submission matched (rule 9). */
  confirmedUnder: Incarnation | null;
  anchors: AnchorHint[];
  /**
   * Messages of an older copy since the present incarnation began (rule 7); absent: none. A few were under way when it began;
   * more come from a copy that still runs, which is not told so where the present one takes all that is sent to both.
   */
  olderCopy?: { besides: Incarnation; messages: number; lastMs: number };
  /** By the word of the administrator, until it is heard of again; absent: no. Its keys may also be gone without him. */
  removed?: boolean;
  firstHeardMs: number;
  lastHeardMs: number;
  lastVerifiedMs: number | null;
  report: Omit<Report, 'refused'> & { refused: FlaggedEntry[] };
  version: string;
  counts: {
    exchanges: number;
    repeats: number;
    fulls: number;
    deltas: number;
    repairs: number;
    rollbacks: number;
    superseded: number;
  };
}

export interface ListRecord {
  name: string;
  /** 8 octets as hexadecimal text: another list, or one that was removed and made again, has another. */
  identity: string;
  fingerprint: string;
  /** Tombstones up to this seq are gone: a cursor below is too old. */
  purged: number;
  /** Of all that is on the list, owners together. */
  digest: Digest;
  count: number;
}

const SERVER = 'server';
/** How the ids of all owners can be derived: AnchorHint[]. */
export const ANCHORS_DOCUMENT = 'server/anchors';
export const requestorDocument = (name: PostofficeName) => `server/requestor/${name}`;
export const listDocument = (name: string) => `server/list/${name}`;
export const historyScope = (name: PostofficeName) => `history/${name}`;
export const sentScope = (name: PostofficeName, list: string) => `sent/${name}/${list}`;

/** Makes the server's record in a new store; does nothing where there is one. */
export async function createServer(tx: StoreTx, random: Random): Promise<void> {
  if ((await tx.getDocument(SERVER)) !== undefined) return;
  const record: ServerRecord = { incarnation: newIncarnation(random), seq: 0, lives: 0 };
  await saveServer(tx, record);
}

export async function loadServer(tx: StoreTx): Promise<ServerRecord> {
  const record = await tx.getDocument<ServerRecord>(SERVER);
  if (record === undefined) throw new DirpostError('not-initialized', 'This store is not that of a directory server.');
  return record;
}

export async function saveServer(tx: StoreTx, record: ServerRecord): Promise<void> {
  await tx.putDocument(SERVER, record);
}

export async function findRequestor(tx: StoreTx, name: PostofficeName): Promise<RequestorRecord | undefined> {
  const record = await tx.getDocument<RequestorRecord>(requestorDocument(name));
  return record === undefined ? undefined : present(record);
}

/** It is no requestor any more, and nobody waits for it. Does nothing for one that was never heard of. */
export async function noteRemoved(tx: StoreTx, name: PostofficeName): Promise<void> {
  const record = await findRequestor(tx, name);
  if (record !== undefined) await saveRequestor(tx, { ...record, removed: true });
}

/** An exchange of it came, and was answered with the word that it is superseded. */
export function noteOlderCopy(record: RequestorRecord, nowMs: number): void {
  const besides = record.incarnation!;
  const before = record.olderCopy?.besides === besides ? record.olderCopy.messages : 0;
  record.counts.superseded++;
  record.olderCopy = { besides, messages: before + 1, lastMs: nowMs };
}

/** As this version writes it: an older one knew no limits on effects. */
function present(record: RequestorRecord): RequestorRecord {
  return { ...record, holding: record.holding ?? noHolding(), members: record.members ?? 0 };
}

export async function loadRequestor(tx: StoreTx, name: PostofficeName, nowMs: number): Promise<RequestorRecord> {
  return (await findRequestor(tx, name)) ?? newRequestor(name, nowMs);
}

export async function saveRequestor(tx: StoreTx, record: RequestorRecord): Promise<void> {
  await tx.putDocument(requestorDocument(record.name), record);
}

function newRequestor(name: PostofficeName, nowMs: number): RequestorRecord {
  return {
    name,
    incarnation: null,
    newest: 0,
    newestHashes: [],
    stamp: '',
    accepted: { seq: 0, digest: EMPTY_DIGEST },
    live: 0,
    flaggedCount: 0,
    flagged: [],
    holding: noHolding(),
    members: 0,
    updateNumber: 0,
    sentSeq: 0,
    outstanding: null,
    floors: {},
    verified: null,
    confirmedUnder: null,
    anchors: [],
    firstHeardMs: nowMs,
    lastHeardMs: nowMs,
    lastVerifiedMs: null,
    report: { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null },
    version: '',
    counts: { exchanges: 0, repeats: 0, fulls: 0, deltas: 0, repairs: 0, rollbacks: 0, superseded: 0 },
  };
}

export async function allRequestors(tx: StoreTx): Promise<RequestorRecord[]> {
  const names = await tx.documentNames(requestorDocument(''));
  const records: RequestorRecord[] = [];
  for (const name of names) records.push(present((await tx.getDocument<RequestorRecord>(name))!));
  return records;
}

export async function loadList(tx: StoreTx, name: string): Promise<ListRecord> {
  const record = await tx.getDocument<ListRecord>(listDocument(name));
  if (record === undefined)
    throw new DirpostError('not-initialized', `The list ${name} has not been set up in the store.`);
  return record;
}

export async function saveList(tx: StoreTx, record: ListRecord): Promise<void> {
  await tx.putDocument(listDocument(record.name), record);
}

/** The list digest for one requestor: all owners' sums but his own. */
export async function listDigestFor(tx: StoreTx, list: ListRecord, requestor: PostofficeName): Promise<Digest> {
  const own = await tx.sum(list.name, requestor);
  return own === undefined ? list.digest : DigestSum.from(list.digest).subtractDigest(own.digest).digest();
}

export function flaggedOf(report: Report): RequestorRecord['report'] {
  return { ...report, refused: flaggedEntries(report.refused) };
}

export function flaggedEntries(refusals: Refusal[]): FlaggedEntry[] {
  return refusals.map(({ id, code, reason }) => ({ id: Buffer.from(id).toString('hex'), code, reason }));
}

/** Remembers that an entry is kept from the lists. */
export function flag(record: RequestorRecord, id: Uint8Array, refusal: PublishRefusal, maxNamed: number): void {
  record.flaggedCount++;
  if (record.flagged.length < maxNamed) record.flagged.push({ id: Buffer.from(id).toString('hex'), ...refusal });
}

export function unflag(record: RequestorRecord, id: Uint8Array): void {
  record.flaggedCount--;
  const hex = Buffer.from(id).toString('hex');
  record.flagged = record.flagged.filter((flagged) => flagged.id !== hex);
}
