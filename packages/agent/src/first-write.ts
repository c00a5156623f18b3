/**
 * The first write into a directory waits for `dirpost approve` (T3), unless its configuration says otherwise: what stands in
 * that directory was not put there by dirpost, and whoever named the wrong one shall lose nothing.
 */
import { directoryApproved, isWithdrawn, loadOwn, type OwnRecord, shownReplica, type StoreTx } from '@dirpost/core';
import { type DirectoryState, loadDirectoryState } from './directory-state.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

export interface FirstWrite {
  directory: string;
  /** That are ready to be written. */
  entries: number;
  /** What was written was removed (`dirpost directory remove`); it is the first write once more. */
  withdrawn?: boolean;
}

/** Where nothing is to be written yet nothing waits. */
export async function waitingFirstWrites(tx: StoreTx, { subscribing }: Postoffice): Promise<FirstWrite[]> {
  const own = await loadOwn(tx);
  const waiting: FirstWrite[] = [];
  for (const target of subscribing) {
    const directory = target.directory.name;
    const entries = entriesReady(own);
    if (entries > 0 && !(await mayBeWritten(tx, target, await loadDirectoryState(tx, directory)))) {
      const withdrawn = await isWithdrawn(tx, directory);
      waiting.push({ directory, entries, ...(withdrawn && { withdrawn }) });
    }
  }
  return waiting;
}

/** `state`: a directory that an older version wrote is no new one. */
export async function mayBeWritten(
  tx: StoreTx,
  { directory, firstWrite }: SubscribingDirectory,
  state: DirectoryState,
): Promise<boolean> {
  if (await isWithdrawn(tx, directory.name)) return false;
  if (firstWrite === 'allowed' || (state.write !== null && state.write.writtenMs > 0)) return true;
  return directoryApproved(tx, directory.name);
}

export function entriesReady({ cursor, replica }: OwnRecord): number {
  return cursor === null ? 0 : shownReplica(replica).live;
}
