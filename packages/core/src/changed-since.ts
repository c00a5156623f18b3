/**
 * T3, for plan-changes.ts: what differs between the replica and a directory when only what changed lately can (planned-state.ts),
 * as compare-placed.ts tells it after passing over everything.
 */
import { type Compared, compareRow, dropClaims, NOTHING, type Seal } from './compare-placed.ts';
import { IdSet } from './id-set.ts';
import { isEditRow } from './list.ts';
import type { PlanChangesOptions } from './plan-changes.ts';
import { isAskedAgain } from './refused-again.ts';
import { ofContainer, ownersWithout } from './refused-containers.ts';
import { replicaChangesSince } from './replica-changes.ts';
import type { EntryRow, Placed, Store, StoreTx } from './seams/store.ts';

/** Of more the whole comparison is no dearer. */
const MAX_REFUSED = 500;

export interface ChangedSince {
  found: Compared;
  /** Who stands in the directory, and is not in the replica any more. */
  gone: Uint8Array[];
}

/** null: everything has to be looked at. `position`: see PlannedState. */
export async function changedSince(
  store: Store,
  options: PlanChangesOptions,
  seal: Seal,
  position: number,
): Promise<ChangedSince | null> {
  const { name, again, dueBy } = options;
  const known = await store.read((tx) => loadChanged(tx, options, seal, position));
  if (known === null) return null;
  await dropClaims(store, name, known.placed);
  const found: Compared = { numbers: [], fresh: [], ids: new IdSet(), owners: new Set() };
  const gone = known.stayed;
  for (const [i, row] of known.rows.entries()) {
    const stands = known.placed[i];
    if (row !== undefined && isEditRow(row)) continue;
    // Of one over which edits are folded the hash does not tell whether it stands as it should.
    if (row !== undefined && stands !== undefined && known.isEdited[i] === true) found.numbers.push(row.number);
    else if (row !== undefined) {
      const asking = { again, dueBy, lacksContainer: known.without.has(row.owner) };
      compareRow(found, row, stands, { seal, lookAtGroups: false, ...asking });
    } else if (stands !== undefined) gone.push(stands.id);
  }
  found.numbers.sort((a, b) => a - b);
  found.fresh.sort((a, b) => a - b);
  return { found, gone };
}

interface Changed {
  rows: (EntryRow | undefined)[];
  placed: (Placed | undefined)[];
  /** Edits are folded over it. */
  isEdited: boolean[];
  /** Who was to be removed, was refused, and is asked for now. */
  stayed: Uint8Array[];
  /** See ownersWithout. */
  without: ReadonlySet<string>;
}

/** Who changed, and who was refused and may be taken now. */
async function loadChanged(
  tx: StoreTx,
  options: PlanChangesOptions,
  seal: Seal,
  position: number,
): Promise<Changed | null> {
  const { name: directory } = options;
  const changed = await replicaChangesSince(tx, position);
  const refused = await tx.refusedPlaced(directory, MAX_REFUSED + 1);
  if (changed === null || refused.length > MAX_REFUSED) return null;
  const known = new Set(changed.map(hex));
  const others = refused.filter(({ id }) => !known.has(hex(id)));
  const standing = await tx.entriesById(
    'replica',
    others.map(({ id }) => id),
  );
  const refusedRows = standing.filter((row) => row !== undefined);
  const again = refusedRows.map(({ id }) => id);
  // Containers, and removals.
  const nobodys = others.filter((_, i) => standing[i] === undefined);
  const isRemoval = ({ hash }: Placed) => hash !== null && seal(NOTHING).equals(hash);
  const asked = nobodys.filter(
    (one) => one.hash === null || isAskedAgain(one.refused!, isRemoval(one) ? options : ofContainer(options)),
  );
  if (!asked.every(isRemoval)) return null;
  const stayed = asked.map(({ id }) => id);
  const rows = [...(await tx.entriesById('replica', changed)), ...refusedRows];
  if (rows.some((row) => row !== undefined && (row.held !== null || row.deleted))) return null;
  const ids = [...changed, ...again];
  const theirs = await tx.editsOf('replica', ids);
  const own = await tx.editsOf('published', ids);
  const isEdited = ids.map((_, i) => theirs[i]!.length + own[i]!.length > 0);
  const placed = await tx.placedById(directory, ids);
  const owners = rows.map((row) => row?.owner);
  return { rows, placed, isEdited, stayed, without: await ownersWithout(tx, options, owners, placed) };
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
