/**
 * Changes and the messages that carry them, as values: what `message` turns into bytes and back, and what server.ts
 * and requestor.ts decide about. A change carries the new value of what changed (a state, not an edit; rule 2).
 */
import type { Digest } from './digest.ts';
import type { Incarnation, Stamp } from './incarnation.ts';

export type PostofficeName = string;

/**
 * `whole`: the entry as it now is. `part`: only the attributes that changed; the receiver has the entry.
 * `removed`: it is gone.
 */
export type ChangeState = 'whole' | 'part' | 'removed';

export interface Change {
  /** The entry number that the sender gave; 0 in a removal that the receiver knows by id only. */
  number: number;
  /** 16 bytes; null when the receiver knows the entry by the sender's number. Always given for `whole`. */
  id: Uint8Array | null;
  owner: PostofficeName;
  state: ChangeState;
  /**
   * `whole`: the canonical bytes of the entry (entry.ts). `part`: canonical attribute bytes, sorted, in which an
   * attribute without values is one that was cleared. `removed`: empty.
   */
  bytes: Uint8Array;
}

/** A point in a stream of changes: up to which seq, and the digest there. */
export interface Checkpoint {
  seq: number;
  digest: Digest;
}

export interface Heard {
  incarnation: Incarnation;
  /** The highest message number of that incarnation that was received. */
  number: number;
}

/** A change that the receiver of a report should know was not taken: named by id, because numbers may be gone. */
export interface Refusal {
  /** 16 bytes. */
  id: Uint8Array;
  code: string;
  reason: string;
}

/** What a requestor says of its own end: written to its directories up to, and refused there. Rides in verification and exchange. */
export interface Report {
  /** Server seq up to which all directories are written. */
  writtenUpTo: number;
  refusedCount: number;
  /** At most limits.maxRefusedNamed. */
  refused: Refusal[];
  /** Effects that wait there for an approval: of what was read (T0), and of what the replica brings to its directories (T3). */
  heldCount: number;
  /** When it means to send the next exchange, ms since 1970; null where nothing is scheduled. For display only. */
  nextContactMs: number | null;
}

/** Parts of one update that a requestor has staged while others are missing (rule 11). */
export interface PartsHeld {
  incarnation: Incarnation;
  number: number;
  held: number[];
}

/** The anchors from which the receiver of a change set can derive entry ids: see entry.ts deriveEntryId. */
export interface AnchorHint {
  owner: PostofficeName;
  space: string;
  /** The (lower-case) attribute whose first value is the anchor. */
  attribute: string;
}

export interface Submission {
  from: Checkpoint;
  to: Checkpoint;
  /** Replaces everything published before; then `from` is seq 0 and `replaces` names the stamp that it replaces (rule 5). */
  full: boolean;
  replaces: Stamp | null;
  /**
   * The sender's process has read all its directories completely: what the submission adds up to is what the owner has,
   * and not only what a store that was restored remembers. Only such a one replaces (rule 5) or confirms (rule 9).
   */
  certified: boolean;
}

/** What a requestor asks of the server's list. */
export type Request = 'changes' | 'repair' | 'everything';

export interface Exchange {
  kind: 'exchange';
  incarnation: Incarnation;
  /** Grows by one with every exchange of the incarnation; all parts of one exchange share it. */
  number: number;
  part: number;
  parts: number;
  /** The server's cookie, unread; null before the first update. */
  cursor: Uint8Array | null;
  heard: Heard | null;
  partsHeld: PartsHeld | null;
  submission: Submission;
  anchors: AnchorHint[];
  request: Request;
  /** The digest of the replica; a repair names it as its basis (rule 10). */
  replicaDigest: Digest;
  /** With request `repair`: 1,024 sums of 16 bytes. */
  buckets: Uint8Array | null;
  report: Report;
  version: string;
}

/** Names the update that it answers and the newest exchange of its sender; has no number of its own (rule 3). */
export interface Verification {
  kind: 'verification';
  incarnation: Incarnation;
  /** Newest exchange of the sender. */
  number: number;
  answers: Heard;
  cursor: Uint8Array | null;
  heard: Heard | null;
  report: Report;
}

/** The server's word to a requestor: accepted up to here, and these changes were refused, because. */
export interface Receipt {
  accepted: Checkpoint;
  /** Number of the newest exchange that was processed. */
  newest: number;
  stamp: Stamp;
  /** The next submission has to be a full one. */
  wantFull: boolean;
  /** Parts of exchange `missingOf` that have not arrived. */
  missingOf: number;
  missing: number[];
  refusedCount: number;
  refused: Refusal[];
  /** Effects of his changes that the server holds. */
  heldCount: number;
  /**
   * Values that must be unique and that another owner has, too: left out of his entries, or shown of them (clashes.ts). Named
   * beside them: entries of his that directories of others refuse (refused-elsewhere.ts).
   */
  clashes: { left: number; kept: number; named: Refusal[] };
}

/**
 * `receipt`: nothing else. `delta`: what the list gained since the base. `repair`: the content of the buckets that
 * differ (all of them for a snapshot). `ask-buckets`: the cursor is of no use, send bucket digests.
 * `superseded`, `rolled-back`: rules 7 and 6.
 */
export type UpdateMode = 'receipt' | 'delta' | 'repair' | 'ask-buckets' | 'superseded' | 'rolled-back';

export interface Update {
  kind: 'update';
  /** Of the server. */
  incarnation: Incarnation;
  /** Of the requestor that it is for (rule 13). */
  for: Incarnation;
  /** Grows by one with every update to that requestor; all parts of one update share it. */
  number: number;
  /** The exchange that it answers. */
  answers: number;
  receipt: Receipt;
  mode: UpdateMode;
  part: number;
  parts: number;
  /** Removals in all parts together. */
  removals: number;
  /** Changes in all parts together. */
  total: number;
  list: string;
  /** `delta`: seq and digest of the base cursor. `repair`: digest of the replica that it was computed from, seq 0. */
  base: Checkpoint;
  to: Checkpoint;
  /** The cookie to return once all parts are applied. */
  cursor: Uint8Array | null;
  /** `repair`: one bit per bucket, 128 bytes, set where the content is replaced. */
  differing: Uint8Array | null;
  /**
   * `repair`: the owners of whom what is not named may be inferred to be gone (rule 9). Not the others: a restored
   * server cannot name owners of whom it has not heard yet.
   */
  confirmed: PostofficeName[];
  anchors: AnchorHint[];
}

/** Has its place in the format; joining by invitation comes with its own behaviour. */
export interface Enrolment {
  kind: 'enrolment';
  incarnation: Incarnation;
  fields: Record<string, unknown>;
}

/** Keys and addresses of its sender; what is in it the agent knows. */
export interface Announcement {
  kind: 'announcement';
  incarnation: Incarnation;
  fields: Record<string, unknown>;
}

export type MessageHead = Exchange | Update | Verification | Enrolment | Announcement;
