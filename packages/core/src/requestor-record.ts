/**
 * What a requestor remembers of itself and of the server (T0, T1, T3). One document in the store, read and written in
 * the transaction that changes what it speaks of.
 */
import type { AnchorHint, Checkpoint, Heard, PartsHeld, PostofficeName, Request } from './change.ts';
import { emptyReplica, type Replica } from './apply.ts';
import { EMPTY_DIGEST, type Digest } from './digest.ts';
import { DirpostError } from './errors.ts';
import type { Holding, HoldLimits } from './holds.ts';
import { type Incarnation, incarnationOfStamp, newIncarnation, type Stamp } from './incarnation.ts';
import type { Workshop } from './parts.ts';
import type { FlaggedEntry } from './records.ts';
import type { Random } from './seams/clock.ts';
import type { StoreTx } from './seams/store.ts';

export interface RequestorContext extends Workshop {
  name: PostofficeName;
  server: PostofficeName;
  /** How the ids of this postoffice's entries derive from released attributes. */
  anchors: AnchorHint[];
  version: string;
  /** At the sender (T0) and at the receiver (T3). */
  holds: HoldLimits;
}

export interface OwnRecord {
  incarnation: Incarnation;
  /** Number of the newest exchange. */
  number: number;
  /** Of the last change of what is published; and the digest there. */
  seq: number;
  digest: Digest;
  live: number;
  /** Up to where the server has accepted, as its last receipt said. */
  accepted: number;
  /** The server's stamp as last heard; empty before the first receipt. */
  stamp: Stamp;
  /** The next submission has to be a full one. */
  sendFull: boolean;
  /** What the next exchange asks for. */
  request: Request;
  /** Repairs in a row that did not lead to the digest. */
  failedRepairs: number;
  heard: Heard | null;
  replica: Replica;
  /** The cookie, unread, and what the update that brought it said of it in the open. */
  cursor: { cookie: string; incarnation: Incarnation; seq: number; list: string; number: number } | null;
  /** Announcements of a new incarnation that failed in a row (rule 7). */
  told: number;
  /** Why this postoffice does nothing until its administrator has spoken. */
  stopped: 'superseded' | 'another copy is faster' | null;
  /** It was restored by its administrator, and no receipt came since (restored.ts). */
  restored?: boolean;
  /** Exchanges in a row that nobody answered. */
  unanswered: number;
  /** When the last exchange was composed, and when an answer to the newest came. */
  exchangeMs: number | null;
  answeredMs: number | null;
  verifiedMs: number | null;
  /** What the server refused of what is published here. */
  refused: { count: number; entries: FlaggedEntry[] };
  /** Effects of what is published here that the server holds. */
  heldAtServer: number;
  /** Values of what is published here that others have, too, by the server's last receipt (clashes.ts). */
  clashes: { left: number; kept: number; entries: FlaggedEntry[] };
  /** What directories of others refuse of what is published here, by the same receipt; some are named. */
  refusedElsewhere: FlaggedEntry[];
  /** Directory → what the last complete read would have done to what is published, and was held. */
  heldAtCollect: Record<string, Holding>;
  counts: { exchanges: number; fulls: number; deltas: number; repairs: number; rollbacks: number; ignored: number };
}

/** `Report.heldCount`: entries with effects that wait at this end. */
export function heldAtThisEnd({ heldAtCollect, replica }: OwnRecord): number {
  return Object.values(heldAtCollect).reduce((sum, { held }) => sum + held.entries, replica.holding.held.entries);
}

const OWN = 'requestor';
export const OWN_SCOPE = 'own';

export async function createRequestor(tx: StoreTx, random: Random): Promise<void> {
  if ((await tx.getDocument(OWN)) !== undefined) return;
  const record: OwnRecord = {
    incarnation: newIncarnation(random),
    number: 0,
    seq: 0,
    digest: EMPTY_DIGEST,
    live: 0,
    accepted: 0,
    stamp: '',
    sendFull: false,
    request: 'changes',
    failedRepairs: 0,
    heard: null,
    replica: emptyReplica(),
    cursor: null,
    told: 0,
    stopped: null,
    unanswered: 0,
    exchangeMs: null,
    answeredMs: null,
    verifiedMs: null,
    refused: { count: 0, entries: [] },
    heldAtServer: 0,
    clashes: { left: 0, kept: 0, entries: [] },
    refusedElsewhere: [],
    heldAtCollect: {},
    counts: { exchanges: 0, fulls: 0, deltas: 0, repairs: 0, rollbacks: 0, ignored: 0 },
  };
  await saveOwn(tx, record);
}

export async function loadOwn(tx: StoreTx): Promise<OwnRecord> {
  const record = await tx.getDocument<OwnRecord>(OWN);
  if (record === undefined) throw new DirpostError('not-initialized', 'This store is not that of a postoffice.');
  // An older version knew no limits on effects, of clashes, or of what others refuse.
  return {
    ...record,
    replica: { ...emptyReplica(), ...record.replica },
    heldAtCollect: record.heldAtCollect ?? {},
    clashes: record.clashes ?? { left: 0, kept: 0, entries: [] },
    refusedElsewhere: record.refusedElsewhere ?? [],
  };
}

export async function saveOwn(tx: StoreTx, record: OwnRecord): Promise<void> {
  await tx.putDocument(OWN, record);
}

/** The owner digest at a seq, where it is still known. */
export async function ownCheckpoint(tx: StoreTx, seq: number): Promise<Checkpoint | null> {
  const digest = seq === 0 ? EMPTY_DIGEST : await tx.checkpoint(OWN_SCOPE, seq);
  return digest === undefined ? null : { seq, digest };
}

/** This store was rolled back (rule 6): it lives on as a new incarnation and submits everything, once. */
export function takeNewIncarnation(record: OwnRecord, random: Random, stamp: Stamp): void {
  record.incarnation = newIncarnation(random, record.incarnation, incarnationOfStamp(stamp));
  record.number = 0;
  record.stamp = stamp;
  record.sendFull = true;
  record.counts.rollbacks++;
}

/** `dirpost recover --only-copy`: the administrator says that no other copy of this postoffice runs. */
export async function recoverOnlyCopy(tx: StoreTx, random: Random): Promise<Incarnation> {
  const record = await loadOwn(tx);
  record.stopped = null;
  record.told = 0;
  takeNewIncarnation(record, random, record.stamp);
  await saveOwn(tx, record);
  return record.incarnation;
}

export function requireRunning(record: OwnRecord): void {
  if (record.stopped === null) return;
  const why =
    record.stopped === 'superseded'
      ? 'the server knows a newer life of this postoffice: this looks like an old copy of it'
      : 'another copy of this postoffice answers faster';
  throw new DirpostError('stopped', `This postoffice has stopped, because ${why}.`, {
    retry: 'operator',
    hint: 'If no other copy of it runs anywhere, continue here with: dirpost recover --only-copy',
  });
}

/** The newest update of which some parts are staged and others missing (rule 11). */
export async function partsHeld(tx: StoreTx, server: PostofficeName): Promise<PartsHeld | null> {
  const staged = await tx.parts(server, 'update');
  const newest = staged.at(-1);
  if (newest === undefined) return null;
  const own = staged.filter((part) => part.number === newest.number && part.incarnation === newest.incarnation);
  return { incarnation: newest.incarnation, number: newest.number, held: own.map((part) => part.part) };
}
