/** T0: the row of `published` that a changed entry becomes, with what later lets only changed attributes be sent. */
import { differingAttributes, kindOf } from './entry.ts';
import type { EntryRow, StagedEntry } from './seams/store.ts';

export function differingFrom(
  row: EntryRow | undefined,
  staged: StagedEntry,
  seq: number,
  owner: string,
  directory: string,
): EntryRow {
  const next: EntryRow = {
    number: row?.number ?? 0,
    id: staged.id,
    owner,
    seq,
    deleted: false,
    hash: staged.hash,
    bytes: staged.bytes,
    peerNumber: null,
    introduced: seq,
    changed: null,
    note: directory,
  };
  // A new kind is no attribute: the entry is introduced again, whole.
  if (row === undefined || row.deleted || kindOf(row.bytes!) !== kindOf(staged.bytes)) return next;
  const changed = { ...row.changed };
  for (const name of differingAttributes(row.bytes!, staged.bytes)) changed[name] = seq;
  return { ...next, introduced: row.introduced, changed };
}
