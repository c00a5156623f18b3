/**
 * What directories are shown of the replica (T3): entries with the edits folded over them that their owners have not settled
 * yet, those of others and the own ones. What is folded is never hashed, numbered or sent: the replica stays as the server
 * says.
 */
import { shownReplica } from './apply.ts';
import { type Digest, DigestSum } from './digest.ts';
import { foldEdits, isEdit, isEditAttribute, mentionsEdits, readEdit } from './edits.ts';
import { selectAttributes } from './entry.ts';
import { shownBytes } from './holds.ts';
import type { OwnRecord } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 5_000;

/**
 * Canonical bytes of what is shown of each of these rows of the replica, in their order, without the attributes by which edits
 * speak of themselves. null for one that is not shown: edits are no entries of a directory.
 */
export async function foldedRows(tx: StoreTx, rows: EntryRow[]): Promise<(Uint8Array | null)[]> {
  const ids = rows.map(({ id }) => id);
  const others = await tx.editsOf('replica', ids);
  const own = await tx.editsOf('published', ids);
  return rows.map((row, i) => {
    const shown = shownBytes(row);
    if (shown === null || isEdit(shown)) return null;
    const edits = [...others[i]!, ...own[i]!].map(({ bytes }) => bytes!);
    return withoutEditAttributes(edits.length === 0 ? shown : foldEdits(shown, edits));
  });
}

export function withoutEditAttributes(bytes: Uint8Array): Uint8Array {
  // Almost no entry has any.
  if (!mentionsEdits(bytes)) return bytes;
  return selectAttributes(bytes, (name) => !isEditAttribute(name));
}

/** What directories are to be written for, and how many entries that are: the replica as it is shown, and the own edits. */
export async function shownToDirectories(
  tx: StoreTx,
  { replica }: OwnRecord,
): Promise<{ digest: Digest; live: number }> {
  const shown = shownReplica(replica);
  const sum = DigestSum.from(shown.digest);
  for (let after = 0; ; ) {
    const rows = await tx.scanEdits('published', after, BATCH);
    if (rows.length === 0) break;
    after = rows.at(-1)!.number;
    for (const { hash } of rows) sum.add(hash);
  }
  return { digest: sum.digest(), live: shown.live - (await tx.countEdits('replica')) };
}

/** Numbers of the rows of the replica that are edits, and of those over which edits are folded. */
export async function editNumbers(tx: StoreTx): Promise<{ edits: Set<number>; targets: Set<number> }> {
  const edits = new Set<number>();
  const targets = new Set<number>();
  for (const table of ['replica', 'published'] as const) {
    for (let after = 0; ; ) {
      const rows = await tx.scanEdits(table, after, BATCH);
      if (rows.length === 0) break;
      after = rows.at(-1)!.number;
      if (table === 'replica') for (const { number } of rows) edits.add(number);
      const found = await tx.entriesById(
        'replica',
        rows.map(({ bytes }) => readEdit(bytes!)?.target ?? NONE),
      );
      for (const row of found) if (row !== undefined) targets.add(row.number);
    }
  }
  return { edits, targets };
}

const NONE = Buffer.alloc(0);
