/**
 * The store: one transaction holds the data, the cursor, the "seen" mark and the payload of what is to be sent
 * (design rule 3). Batch-wise and asynchronous, so that it can be SQLite here and PostgreSQL elsewhere.
 *
 * Inside a transaction only methods of `tx` are awaited. Numbers are safe integers, ids and hashes 16 octets.
 * Batches are some thousand rows at the most; the caller cuts them.
 */
import type { Digest } from '../digest.ts';
import type { Incarnation } from '../incarnation.ts';
import type { AssociationsTx } from './associations.ts';
import type { Place } from './directory.ts';

/**
 * `published`: what this postoffice publishes. `replica`: its copy of the list that it follows. `collected`: on the
 * server, what all owners submitted.
 */
export type EntryTable = 'published' | 'replica' | 'collected';

export interface EntryRow {
  /** Given by the store on the first put (0 before), dense, ascending, never used again in this table. */
  number: number;
  id: Uint8Array;
  owner: string;
  /** Of the last change: own seq (`published`), the server's (`collected`), 0 (`replica`). */
  seq: number;
  /** A tombstone; `bytes` is then null and `hash` the last one. */
  deleted: boolean;
  hash: Uint8Array;
  /** Canonical bytes of the entry. */
  bytes: Uint8Array | null;
  /** How the other side names it: the owner's number (`collected`), the server's number (`replica`), null (`published`). */
  peerNumber: number | null;
  /** `published`: the seq at which it was first published, or published again after a removal. Else 0. */
  introduced: number;
  /** Attribute → seq of its last change, for changes after the entry was first seen; null: none. */
  changed: Record<string, number> | null;
  /** `published`: the directory it comes from. `collected`: why the server keeps it from the lists. Else null. */
  note: string | null;
  /** Set while an effect of the last change is held (holds.ts). */
  held: Held | null;
  /**
   * `collected`: values that must be unique and that another owner had before (claims.ts): the lists release the entry
   * without them. Their hashes, 16 octets each, ascending; null: none. Else null.
   */
  withheld: Uint8Array | null;
}

/**
 * `replica` and `collected`: the row says what its owner says now (it may be a tombstone), and `shown` what others go on
 * seeing. `published`: the row is what others see, `shown` is null; the last complete read found it gone or changed.
 */
export interface Held {
  /** The effects, as bits (effects.ts); never 0. */
  effects: number;
  /** How many members the group would lose. */
  lostMembers: number;
  /** When it was first held, ms since 1970; for display. */
  sinceMs: number;
  /** `published`: the next complete read may have these effects. */
  approved: boolean;
  /** Canonical bytes of the entry as it was. */
  shown: Uint8Array | null;
}

/** What a list releases of one entry; `number` is the entry's in `collected`. */
export interface ListRow {
  number: number;
  owner: string;
  seq: number;
  /** No longer on the list: the list's own tombstone. */
  left: boolean;
  /** Seq of the first entering since the row exists, of the last entering, and of the first sending of its number in this incarnation. */
  first: number;
  entered: number;
  introduced: number;
  /** Entry hash of what is released. */
  hash: Uint8Array;
}

export interface ListedEntry {
  row: ListRow;
  entry: EntryRow;
}

/** Live entries of one owner and the sum of their hashes; `scope` is `collected` or a list's name. */
export interface OwnerSum {
  owner: string;
  digest: Digest;
  count: number;
}

export interface Outgoing {
  /** 32 hexadecimal digits: the id of the message. */
  id: string;
  to: string;
  kind: 'exchange' | 'update' | 'verification' | 'enrolment' | 'announcement';
  /** Incarnation of the receiver that it is for; null where any takes it. */
  forIncarnation: Incarnation | null;
  incarnation: Incarnation;
  /** Of the exchange or update; several parts share it. */
  number: number;
  part: number;
  parts: number;
  payload: Uint8Array;
  createdMs: number;
  /** null: to be sent. Else when the transport had it durably. */
  deliveredMs: number | null;
  attempts: number;
  nextAttemptMs: number;
  lastError: string | null;
}

export type OutgoingSummary = Omit<Outgoing, 'payload'> & { payloadBytes: number };

/** A part that waits for others. */
export interface StagedPart {
  from: string;
  kind: 'exchange' | 'update';
  incarnation: Incarnation;
  number: number;
  part: number;
  parts: number;
  payload: Uint8Array;
}

/** An entry that was read from a directory and differs from what is published; becomes published when the read is certified. */
export interface StagedEntry {
  id: Uint8Array;
  dn: string;
  /** Canonical bytes; group members that could not be resolved yet are not in them. */
  bytes: Uint8Array;
  hash: Uint8Array;
  /** DNs of members to be resolved when all entries are known; empty for all but groups. */
  memberDns: string[];
}

/** Which entry of a directory is which entry id. */
export interface Association {
  id: Uint8Array;
  dn: string;
  /** dn.ts normalizeDn, for comparing as LDAP does. */
  normalizedDn: string;
}

/** What was last written into a directory that is written entry by entry (`changes`), or tried. */
export interface Placed {
  id: Uint8Array;
  /** Where it stands there, or may since a write of which nobody heard; null: it never stood there. */
  place: Place | null;
  /** Of what was written: 16 octets, 32 of a group. null: what stands there is not what it should be, and is to be written. */
  hash: Uint8Array | null;
  /** Why the directory did not take it the last time; null: it did. */
  refused: RefusedPlaced | null;
  /** A group that stands there without members who were not there, whatever was said of it since. */
  lacksMembers?: true;
}

export interface RefusedPlaced {
  code: string;
  reason: string;
  /** How often it was tried, as it is now, with that answer; absent: not known. */
  tries?: number;
  /** When it is tried again, ms since 1970; absent: now. */
  dueMs?: number;
}

/** Of an entry in a directory of both ways: its attributes whose changes by hand are seen. */
export interface Watched {
  id: Uint8Array;
  /** Attribute → what stands for the values that were last written there, or found to be as they should; absent: not known. */
  written: Record<string, string>;
  /** Attribute → values in base64 that were set by hand, and that writes leave as they are. */
  kept: Record<string, string[]>;
}

/** A value that must be unique on the network, as an entry of `collected` that may be shown has it (claims.ts). */
export interface ClaimKey {
  /** 16 octets that stand for attribute and value. */
  value: Uint8Array;
  owner: string;
  /** Of the entry in `collected`. */
  number: number;
}

export interface Claim extends ClaimKey {
  /** Of the server, when this owner first had the value: the same in all his claims of it. */
  seq: number;
  /** Who had it before, and keeps it on the lists; null: this owner, or not settled yet. */
  holder: string | null;
  /** `gone`: the entry has the value no more. `new`: others have it, too. Both last within a transaction only. */
  state: 'settled' | 'gone' | 'new';
}

export interface Claimant {
  owner: string;
  seq: number;
}

export interface StoreTx extends AssociationsTx {
  /** Small named documents (JSON values): the state of server and requestor. */
  getDocument<T>(name: string): Promise<T | undefined>;
  putDocument(name: string, value: unknown): Promise<void>;
  removeDocument(name: string): Promise<void>;
  /** Names that begin with `prefix`, ascending. */
  documentNames(prefix: string): Promise<string[]>;

  entriesById(table: EntryTable, ids: Uint8Array[]): Promise<(EntryRow | undefined)[]>;
  entriesByNumber(table: EntryTable, numbers: number[]): Promise<(EntryRow | undefined)[]>;
  entriesByPeerNumber(
    table: EntryTable,
    owner: string | null,
    peerNumbers: number[],
  ): Promise<(EntryRow | undefined)[]>;
  /** Inserts where `number` is 0, else replaces; the numbers in the order of `rows`. */
  putEntries(table: EntryTable, rows: EntryRow[]): Promise<number[]>;
  removeEntries(table: EntryTable, numbers: number[]): Promise<void>;
  /** `published` and `collected`: rows with seq > `seq`, ascending by seq, at most `limit`; fewer where they are large, none only where there are none. A seq is never cut in two by callers: it is unique. */
  entriesSince(table: EntryTable, seq: number, limit: number): Promise<EntryRow[]>;
  /** Ascending by number, from numbers > `after`, at most `limit`; fewer where they are large (but of one owner), none only where there are none. */
  scanEntries(table: EntryTable, after: number, limit: number, owner?: string): Promise<EntryRow[]>;
  /** As scanEntries, without `bytes` and `changed`: for sums over a whole table. */
  scanHashes(
    table: EntryTable,
    after: number,
    limit: number,
    owner?: string,
  ): Promise<Pick<EntryRow, 'number' | 'id' | 'owner' | 'hash' | 'deleted'>[]>;
  /** Live edits (edits.ts) of each target, ascending by id. */
  editsOf(table: EntryTable, targets: Uint8Array[]): Promise<EntryRow[][]>;
  /** Live edits, those that are malformed too, ascending by number, from numbers > `after`. */
  scanEdits(table: EntryTable, after: number, limit: number): Promise<EntryRow[]>;
  countEdits(table: EntryTable, owner?: string): Promise<number>;
  countEntries(table: EntryTable, owner?: string): Promise<{ live: number; deleted: number }>;
  /** Void all peer numbers (of an owner, or all): the other side took a new incarnation. */
  clearPeerNumbers(table: EntryTable, owner: string | null): Promise<void>;
  clearEntries(table: EntryTable): Promise<void>;
  /** Rows that are held for exactly these effects, of all or of one owner: ascending by number, from numbers > `after`. */
  heldEntries(table: EntryTable, effects: number, after: number, limit: number, owner?: string): Promise<EntryRow[]>;
  /** Removes tombstones of `published` with a seq below `seq`; how many. */
  purgePublished(seq: number): Promise<number>;

  listRows(list: string, numbers: number[]): Promise<(ListRow | undefined)[]>;
  putListRows(list: string, rows: ListRow[]): Promise<void>;
  /** Rows with seq > `seq` that do not belong to `exceptOwner`, with their entries, ascending by seq. */
  listSince(list: string, seq: number, exceptOwner: string, limit: number): Promise<ListedEntry[]>;
  /** Rows still on the list, ascending by number, from numbers > `after`; at most `limit`, as scanEntries. */
  scanList(list: string, after: number, exceptOwner: string | null, limit: number): Promise<ListedEntry[]>;
  /** As scanList, without entries' bytes. */
  scanListHashes(
    list: string,
    after: number,
    exceptOwner: string | null,
    limit: number,
  ): Promise<{ number: number; id: Uint8Array; owner: string; hash: Uint8Array }[]>;
  /** Removes the list's tombstones up to `seq`; how many. */
  purgeList(list: string, seq: number): Promise<number>;
  /** Removes tombstones of `collected` that no list names any more and that are not held. */
  purgeCollected(): Promise<number>;
  removeList(list: string): Promise<void>;
  /** A new incarnation of the server: `introduced` becomes 0 in all lists. */
  clearListIntroduced(): Promise<void>;

  /**
   * Values that entries came to have. One that its owner has already, if gone, gets the seq of his other claims and not
   * the one given; one that another owner has as well is `new`.
   */
  putClaims(claims: Pick<Claim, 'value' | 'owner' | 'number' | 'seq'>[]): Promise<void>;
  /** They are `gone`; those that are not there are left out. */
  dropClaims(claims: ClaimKey[]): Promise<void>;
  /** All are `gone`. */
  dropAllClaims(): Promise<void>;
  /** Those that are gone, then those that are new; each by value. */
  unsettledClaims(limit: number): Promise<Claim[]>;
  /** Who has each of the values, gone or not: one for each owner, ascending by seq. */
  claimants(values: Uint8Array[]): Promise<Claimant[][]>;
  /** Of one value and owner, ascending by number, from numbers > `after`. */
  claimsOf(value: Uint8Array, owner: string, after: number, limit: number): Promise<Claim[]>;
  /** Says who holds the value; they are settled, unless they are gone. */
  settleClaims(claims: (ClaimKey & Pick<Claim, 'holder'>)[]): Promise<void>;
  removeClaims(claims: ClaimKey[]): Promise<void>;
  /** Settled claims of values that somebody else holds: of all, those of an owner, or those that wait for a holder. */
  waitingClaims(of: { owner?: string; holder?: string }, limit: number): Promise<Claim[]>;
  countWaitingClaims(of: { owner?: string; holder?: string }): Promise<number>;

  sums(scope: string): Promise<OwnerSum[]>;
  sum(scope: string, owner: string): Promise<OwnerSum | undefined>;
  putSums(scope: string, sums: OwnerSum[]): Promise<void>;
  removeSums(scope: string): Promise<void>;

  checkpoint(scope: string, seq: number): Promise<Digest | undefined>;
  putCheckpoint(scope: string, seq: number, digest: Digest): Promise<void>;
  /** Removes checkpoints with a seq below `seq`. */
  dropCheckpoints(scope: string, below: number): Promise<void>;
  /** Keeps the `count` checkpoints of the highest seq; the lowest seq that is kept, 0 when there is none. */
  keepCheckpoints(scope: string, count: number): Promise<number>;
  clearCheckpoints(scope: string): Promise<void>;

  /** Replaces by id. */
  putOutgoing(message: Outgoing): Promise<void>;
  /** Without payloads, oldest first. */
  outgoing(filter?: { to?: string; kind?: Outgoing['kind']; undelivered?: boolean }): Promise<OutgoingSummary[]>;
  outgoingPayload(id: string): Promise<Uint8Array | undefined>;
  updateOutgoing(
    id: string,
    changes: Partial<Pick<Outgoing, 'deliveredMs' | 'attempts' | 'nextAttemptMs' | 'lastError'>>,
  ): Promise<void>;
  removeOutgoing(ids: string[]): Promise<void>;

  /** Staging the same part again changes nothing. */
  putPart(part: StagedPart): Promise<void>;
  /** Without payloads, ascending by number and part. */
  parts(from: string, kind: StagedPart['kind']): Promise<Omit<StagedPart, 'payload'>[]>;
  partPayload(
    from: string,
    kind: StagedPart['kind'],
    incarnation: Incarnation,
    number: number,
    part: number,
  ): Promise<Uint8Array | undefined>;
  /** All parts of that sender and kind, or only those of exchanges/updates with a number below `below`. */
  removeParts(from: string, kind: StagedPart['kind'], below?: number): Promise<void>;

  stageEntries(directory: string, entries: StagedEntry[]): Promise<void>;
  /** In the order of staging, from position > `after`; `position` ascends from 1. */
  stagedEntries(directory: string, after: number, limit: number): Promise<(StagedEntry & { position: number })[]>;
  clearStaged(directory: string): Promise<void>;
  /** Other `id`, `hash` and `bytes` at these positions. */
  replaceStaged(directory: string, entries: (StagedEntry & { position: number })[]): Promise<void>;

  associationsById(directory: string, ids: Uint8Array[]): Promise<(Association | undefined)[]>;
  associationsByDn(directory: string, normalizedDns: string[]): Promise<(Association | undefined)[]>;
  /** Replaces by id. Two ids never share a normalized DN in one directory: the newer takes it, the older association is removed. */
  putAssociations(directory: string, associations: Association[]): Promise<void>;
  removeAssociations(directory: string, ids: Uint8Array[]): Promise<void>;
  scanAssociations(directory: string, afterNormalizedDn: string, limit: number): Promise<Association[]>;
  clearAssociations(directory: string): Promise<void>;

  placedById(directory: string, ids: Uint8Array[]): Promise<(Placed | undefined)[]>;
  /** Replaces by id. */
  putPlaced(directory: string, placed: Placed[]): Promise<void>;
  removePlaced(directory: string, ids: Uint8Array[]): Promise<void>;
  /** Ascending by id, from ids > `after` (null: from the first). */
  scanPlaced(directory: string, after: Uint8Array | null, limit: number): Promise<Placed[]>;
  /** Those that were refused, ascending by id. */
  refusedPlaced(directory: string, limit: number): Promise<Placed[]>;
  countPlaced(directory: string): Promise<{ placed: number; refused: number }>;
  /** When the first of those that were refused is due, ms since 1970; null: of none it is known. */
  refusedDueMs(directory: string): Promise<number | null>;
  clearPlaced(directory: string): Promise<void>;
  watchedById(directory: string, ids: Uint8Array[]): Promise<(Watched | undefined)[]>;
  /** Replaces by id. */
  putWatched(directory: string, rows: Watched[]): Promise<void>;
  removeWatched(directory: string, ids: Uint8Array[]): Promise<void>;
  clearWatched(directory: string): Promise<void>;
}

export interface TransactionOptions {
  /** Thousands of rows will be written: the work is done off the main thread, so that the agent stays responsive. */
  large?: boolean;
}

export interface Store {
  /** One writer at a time, in the order of the calls. Committed durably when it resolves; rolled back when `work` throws. */
  transaction<T>(work: (tx: StoreTx) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** A consistent snapshot; methods that write throw. Runs beside the writer. */
  read<T>(work: (tx: StoreTx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
