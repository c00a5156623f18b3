/**
 * T3, for directories that are written entry by entry: entries that are written once more although nothing about them has
 * changed, since what stands there is not what it should be.
 */
import { membersMoved } from './planned-state.ts';
import type { StoreTx } from './seams/store.ts';

/** Entry ids; those that never stood there are left out. */
export async function writeAgain(tx: StoreTx, directory: string, ids: Uint8Array[]): Promise<void> {
  const placed = (await tx.placedById(directory, ids)).filter((one) => one !== undefined);
  if (placed.length === 0) return;
  await tx.putPlaced(
    directory,
    placed.map((one) => ({ ...one, hash: null })),
  );
  // The next plan looks at everything.
  await membersMoved(tx, directory);
}
