/**
 * T3, for directories that are written entry by entry: what such a directory said of each change (plan-changes.ts), and so what
 * stands there now.
 */
import { CONTAINER, NOTHING, present, wasWritten } from './compare-placed.ts';
import { normalizeDn, parentDn } from './dn.ts';
import { recordAdopted } from './match-targets.ts';
import type { PlannedChange } from './plan-changes.ts';
import { containerId } from './plan.ts';
import { lacksMembersNow, refusedNow } from './refused-again.ts';
import type { WriteOutcome } from './seams/directory.ts';
import type { Placed, StoreTx } from './seams/store.ts';

/** A removal is refused so where what stands at the DN is not what was written there. */
export const OTHER_KEY = 'otherKey';

/** In one transaction for many outcomes: what stands in the directory now. `changes` and `outcomes` go in pairs; `nowMs`: since 1970. */
export async function recordOutcomes(
  tx: StoreTx,
  directory: string,
  changes: PlannedChange[],
  outcomes: WriteOutcome[],
  nowMs: number,
): Promise<void> {
  const gone: Uint8Array[] = [];
  const rows: Placed[] = [];
  const stayed: Placed[] = [];
  for (const [i, change] of changes.entries()) {
    const { result, place, code = 'refused', reason = '' } = outcomes[i]!;
    if (result === 'refused') {
      const refused = refusedNow(change.refusedBefore, code, reason, nowMs);
      const lacks = lacksMembersNow(change, code);
      const row: Placed = { id: change.id, place: place ?? change.place ?? null, hash: change.hash, refused, ...lacks };
      (change.action === 'remove' ? stayed : rows).push(row);
    } else if (change.action === 'remove') {
      gone.push(change.id);
    } else {
      const anchor = change.kind === 'container' ? CONTAINER : (place?.anchor ?? '');
      rows.push({ id: change.id, place: { dn: place?.dn ?? change.dn, anchor }, hash: change.hash, refused: null });
    }
  }
  await tx.putPlaced(directory, rows);
  await keepStayed(tx, directory, stayed);
  await tx.removePlaced(directory, gone);
  await recordAdopted(tx, directory, changes, outcomes);
  const orphans = changes.filter((change, i) => change.action === 'put' && outcomes[i]!.code === 'noSuchObject');
  if (orphans.length > 0) await forgetContainers(tx, directory, orphans);
}

/** Those that were made and may have been removed by hand: they are made again with the next write. */
async function forgetContainers(tx: StoreTx, directory: string, orphans: PlannedChange[]): Promise<void> {
  const above = new Set<string>();
  for (const { dn } of orphans) {
    const parent = parentDn(dn);
    if (parent !== null) above.add(parent).add(parentDn(parent) ?? '');
  }
  const placed = await tx.placedById(
    directory,
    [...above].map((dn) => containerId(directory, dn)),
  );
  const made = present(placed);
  // Else that is why, and it is known.
  if (made.some(({ refused }) => refused !== null)) return;
  await tx.removePlaced(
    directory,
    made.map(({ id }) => id),
  );
}

/** Who could not be removed keeps its DN, unless somebody has been given it meanwhile; and if it is he who stands there, it is gone. */
async function keepStayed(tx: StoreTx, directory: string, stayed: Placed[]): Promise<void> {
  await tx.putPlaced(directory, stayed);
  const associations = stayed.map(({ id, place }) => ({ id, dn: place!.dn, normalizedDn: normalizeDn(place!.dn) }));
  const holders = await tx.associationsByDn(
    directory,
    associations.map(({ normalizedDn }) => normalizedDn),
  );
  await tx.putAssociations(
    directory,
    associations.filter((_, i) => holders[i] === undefined),
  );
  const others = await tx.placedById(
    directory,
    holders.map((holder) => holder?.id ?? NOTHING),
  );
  const isGone = ({ id, refused }: Placed, i: number) => {
    const other = others[i];
    if (refused?.code !== OTHER_KEY || other === undefined || Buffer.compare(other.id, id) === 0) return false;
    return wasWritten(other) && normalizeDn(other.place?.dn ?? '') === associations[i]!.normalizedDn;
  };
  await tx.removePlaced(
    directory,
    stayed.filter(isGone).map(({ id }) => id),
  );
}
