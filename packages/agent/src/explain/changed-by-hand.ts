/** What somebody changed by hand in a directory of both ways, of one entry: what is proposed to its owner, and what is on record. */
import { editId, editOf, loadOwn, type StoreTx } from '@dirpost/core';
import { type Conflict, loadConflicts } from '../both/conflicts.ts';
import type { Postoffice } from '../postoffice.ts';

export interface ByHandStory {
  /** Of another's entry: not settled by its owner yet. `submitted`: the server has it. */
  proposed: { attributes: string[]; submitted: boolean } | null;
  /** The oldest first. */
  conflicts: Conflict[];
}

/** `id`: hexadecimal. */
export async function explainByHand(tx: StoreTx, { name }: Postoffice, id: string): Promise<ByHandStory> {
  const [row] = await tx.entriesById('published', [editId(name, Buffer.from(id, 'hex'))]);
  const { accepted } = await loadOwn(tx);
  const isProposed = row !== undefined && !row.deleted && row.bytes !== null;
  return {
    proposed: isProposed ? { attributes: [...editOf(row.bytes!).values.keys()], submitted: row.seq <= accepted } : null,
    conflicts: (await loadConflicts(tx)).filter(({ entry }) => entry === id),
  };
}
