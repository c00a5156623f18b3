/** How many entries of the network stand in a directory that is written entry by entry, also where changes of them are refused. */
import { isContainer, type Placed, type Store } from '@dirpost/core';

const BATCH = 5_000;

/** `live`: entries that are to stand there. Looked through only where something is refused. */
export async function standingEntries(store: Store, name: string, live: number, refusedCount: number): Promise<number> {
  return refusedCount === 0 ? live : countStanding(store, name);
}

export async function countStanding(store: Store, name: string): Promise<number> {
  let entries = 0;
  for (let after: Uint8Array | null = null; ; ) {
    const from: Uint8Array | null = after;
    const rows: Placed[] = await store.read((tx) => tx.scanPlaced(name, from, BATCH));
    if (rows.length === 0) return entries;
    entries += rows.filter((row) => row.place !== null && !isContainer(row)).length;
    after = rows.at(-1)!.id;
  }
}
