/** A read of a directory that has come to its end (T0), and what publish-read.ts keeps while it publishes it. */
import type { Aliases } from './aliases.ts';
import type { DigestSum } from './digest.ts';
import type { Measured } from './effects.ts';
import { entryHash } from './entry.ts';
import type { IdSet } from './id-set.ts';
import type { ReadBase } from './read-base.ts';
import type { ReadHolds } from './read-holds.ts';
import type { ReadTally } from './read-tally.ts';
import type { OwnRecord, RequestorContext } from './requestor-record.ts';
import { carryMarks } from './settle.ts';
import type { EntryRow, StagedEntry } from './seams/store.ts';

export const DOUBLE = 'another entry of this directory has the same key; both are refused';

export interface FinishedRead {
  owner: string;
  context: Pick<RequestorContext, 'holds' | 'clock'>;
  /** With the certificate in its summary. */
  tally: ReadTally;
  /** What the read went on from; null: from nothing. */
  base: ReadBase | null;
  /** See ReadBase; undefined: the next read does not go on from this one. */
  configuration: string | undefined;
  aliases: Aliases;
  /** Those whom it gave, and who are left out or refused: entry id in hexadecimal digits → normalized DN. */
  unpublished: Map<string, string>;
  /** See MappingOptions. */
  match: readonly string[];
  /** See ReadStart. */
  configured: readonly string[] | undefined;
}

/** A group that the read gave, or that stays as it is: its members are not followed. */
export function isLeftAlone(
  tally: ReadTally,
  { refused }: ReadBase,
  id: Uint8Array,
  extent: 'whole' | 'delta',
): boolean {
  return !tally.isAsItWas(id, extent) || refused[Buffer.from(id).toString('hex')] !== undefined;
}

export interface Work {
  own: OwnRecord;
  sum: DigestSum;
  holds: ReadHolds;
  /** Numbers of rows. */
  unseen: number[];
  /** As `unseen`, of directories that are not configured any more: this one may be one of them, under another name. */
  left: number[];
  /** The names of those directories. */
  leftNames: Set<string>;
  /** Who came under another key: by the ids that they keep. */
  recognised: IdSet;
  /** By all groups together; below 0: lost. */
  membersGained: number;
  /** By position in what is staged. */
  deferred: { position: number; measured: Measured }[];
}

export type Positioned = StagedEntry & { position: number };

export function differs(staged: StagedEntry, row: EntryRow | undefined, directory: string): boolean {
  if (row === undefined || row.deleted || row.note !== directory) return true;
  if (Buffer.compare(row.hash, staged.hash) === 0) return false;
  // Directories know nothing of the marks of edits.
  const marked = carryMarks(staged.bytes, row);
  return marked === staged.bytes || Buffer.compare(row.hash, entryHash(marked)) !== 0;
}
