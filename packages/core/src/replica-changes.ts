/**
 * T3: which entries of the replica changed lately, so that a plan of what is to be written (changed-since.ts) need not pass over
 * all of it. Kept in the transaction that changes the replica; few are kept, and whoever looks for older ones looks at all.
 */
import type { StoreTx } from './seams/store.ts';

const DOCUMENT = 'replica/changed';
/** An update with more is told as one that changed all. */
export const MAX_KEPT = 4_000;

/** Positions count up with each id. */
interface Kept {
  /** Of the first id that is kept. */
  first: number;
  /** base64, oldest first. */
  ids: string[];
}

/** `ids`: of entries that came, changed, or went; null: any may have. */
export async function noteReplicaChanges(tx: StoreTx, ids: Uint8Array[] | null): Promise<void> {
  if (ids?.length === 0) return;
  const kept = await load(tx);
  if (ids === null || ids.length > MAX_KEPT) {
    return tx.putDocument(DOCUMENT, { first: kept.first + kept.ids.length + 1, ids: [] } satisfies Kept);
  }
  const all = [...kept.ids, ...ids.map((id) => Buffer.from(id).toString('base64'))];
  const dropped = Math.max(0, all.length - MAX_KEPT);
  await tx.putDocument(DOCUMENT, { first: kept.first + dropped, ids: all.slice(dropped) } satisfies Kept);
}

/** Behind the last change. */
export async function replicaPosition(tx: StoreTx): Promise<number> {
  const { first, ids } = await load(tx);
  return first + ids.length;
}

/** Each id once; null: that is too long ago. */
export async function replicaChangesSince(tx: StoreTx, position: number): Promise<Uint8Array[] | null> {
  const { first, ids } = await load(tx);
  if (position < first || position > first + ids.length) return null;
  return [...new Set(ids.slice(position - first))].map((id) => Buffer.from(id, 'base64'));
}

async function load(tx: StoreTx): Promise<Kept> {
  return (await tx.getDocument<Kept>(DOCUMENT)) ?? { first: 0, ids: [] };
}
