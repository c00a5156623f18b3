/**
 * T3, for plan-changes.ts: what stands in a directory that is written entry by entry, beside what is in the replica, and what
 * differs. Looks at hashes only.
 */
import { hash as oneShotHash } from 'node:crypto';
import { normalizeDn } from './dn.ts';
import { editNumbers } from './fold.ts';
import { heldRows } from './holds.ts';
import { IdSet } from './id-set.ts';
import type { PlanChangesOptions } from './plan-changes.ts';
import { type Asking, isAskedAgain } from './refused-again.ts';
import { ownersWithout } from './refused-containers.ts';
import type { Place } from './seams/directory.ts';
import type { EntryRow, Placed, Store, StoreTx } from './seams/store.ts';

const BATCH = 5_000;
const HASH_BYTES = 16;
/** Anchor of containers: they stay when their last entry is gone, since others may have put something there. */
export const CONTAINER = 'container';
/** In the place of an entry hash: nothing is to stand there. */
export const NOTHING = Buffer.alloc(0);

export type Seal = (hash: Uint8Array) => Buffer;

/** What is to stand there, in 16 octets: another entry, or another way of writing it, gives others. */
export function sealer({ dn, container, shape }: PlanChangesOptions): Seal {
  const way = digestOf(Buffer.from(JSON.stringify([dn, container, shape])));
  const both = Buffer.concat([way, Buffer.alloc(HASH_BYTES)]);
  return (hash) => {
    if (hash.length !== HASH_BYTES) return digestOf(Buffer.concat([way, hash]));
    // One for each entry of a network: into the same memory.
    both.set(hash, HASH_BYTES);
    return digestOf(both);
  };
}

export function digestOf(octets: Uint8Array): Buffer {
  return oneShotHash('sha256', octets, 'buffer').subarray(0, HASH_BYTES);
}

export interface Compared {
  /** Of the rows of the replica that do not stand there as they are, or may not; ascending. */
  numbers: number[];
  /** Of those of which nothing was ever written there; ascending, and not among `numbers`. */
  fresh: number[];
  /** All that is in the replica. */
  ids: IdSet;
  owners: Set<string>;
}

/** `lookAtGroups`: a member may have come or moved, so that a group that is as it was may have to be written. */
export async function compare(
  store: Store,
  options: PlanChangesOptions,
  { seal, lookAtGroups }: { seal: Seal; lookAtGroups: boolean },
): Promise<Compared> {
  const { name, again, dueBy } = options;
  const compared: Compared = { numbers: [], fresh: [], ids: new IdSet(), owners: new Set() };
  const { edits, targets } = await store.read(editNumbers);
  for (let after = 0; ; ) {
    const from = after;
    const { rows, placed, without } = await store.read(async (tx) => {
      const batch = await tx.scanHashes('replica', from, BATCH);
      const stands = await tx.placedById(
        name,
        batch.map(({ id }) => id),
      );
      const owners = batch.map(({ owner }) => owner);
      return { rows: batch, placed: stands, without: await ownersWithout(tx, options, owners, stands) };
    });
    if (rows.length === 0) break;
    await dropClaims(store, name, placed);
    for (const [i, row] of rows.entries()) {
      const asking = { again, dueBy, lacksContainer: without.has(row.owner) };
      if (!edits.has(row.number)) compareRow(compared, row, placed[i], { seal, lookAtGroups, ...asking });
    }
    after = rows.at(-1)!.number;
  }
  // What stands there of those over which edits are folded has another hash; when the edits are gone, the comparison shows it.
  const shownOtherwise = [...(await store.read(heldNumbers)), ...targets];
  const fresh = new Set(shownOtherwise.length === 0 ? [] : compared.fresh);
  const others = shownOtherwise.filter((number) => !edits.has(number) && !fresh.has(number));
  if (others.length > 0) compared.numbers = [...new Set([...compared.numbers, ...others])].sort((a, b) => a - b);
  return compared;
}

/** Adds it to `compared`. */
export function compareRow(
  compared: Compared,
  { number, id, owner, hash }: Pick<EntryRow, 'number' | 'id' | 'owner' | 'hash'>,
  stands: Placed | undefined,
  { seal, lookAtGroups, ...asking }: Asking & { seal: Seal; lookAtGroups: boolean },
): void {
  compared.ids.add(id);
  compared.owners.add(owner);
  if (stands === undefined) {
    compared.fresh.push(number);
    return;
  }
  const isGroup = stands.hash !== null && stands.hash.length > HASH_BYTES;
  const isSame = stands.hash !== null && seal(hash).equals(stands.hash.subarray(0, HASH_BYTES));
  const isAsked = stands.refused !== null && isAskedAgain(stands.refused, asking);
  if (!isSame || (isGroup && lookAtGroups) || isAsked) compared.numbers.push(number);
}

/** Their hashes are not those of what is shown. */
async function heldNumbers(tx: StoreTx): Promise<number[]> {
  const numbers: number[] = [];
  for await (const rows of heldRows(tx, 'replica')) for (const { number } of rows) numbers.push(number);
  return numbers;
}

/** Before anybody is given another DN: who was not written, while another was written where it stood, stands nowhere. */
export async function dropClaims(store: Store, directory: string, placed: (Placed | undefined)[]): Promise<void> {
  const unsure = present(placed).filter(({ place, hash, refused }) => place && (refused !== null || hash === null));
  if (unsure.length === 0) return;
  await store.transaction(async (tx) => {
    const places = await knownPlaces(tx, directory, unsure);
    const lost = unsure.filter((_, i) => places[i] === null);
    await tx.putPlaced(
      directory,
      lost.map((one) => ({ ...one, place: null })),
    );
  });
}

/** Who stands in the directory, is not in the replica any more, and is to be asked for. */
export async function findGone(
  store: Store,
  { name, again, dueBy }: PlanChangesOptions,
  ids: IdSet,
  seal: Seal,
): Promise<Uint8Array[]> {
  const gone: Uint8Array[] = [];
  for (let after: Uint8Array | null = null; ; ) {
    const from: Uint8Array | null = after;
    const placed: Placed[] = await store.read((tx) => tx.scanPlaced(name, from, BATCH));
    if (placed.length === 0) return gone;
    for (const { id, place, hash, refused } of placed) {
      if (ids.has(id) || place?.anchor === CONTAINER) continue;
      const isRefused = refused !== null && hash !== null && seal(NOTHING).equals(hash);
      if (!isRefused || isAskedAgain(refused, { again, dueBy })) gone.push(id);
    }
    after = placed.at(-1)!.id;
  }
}

/**
 * Where they stand; null: nowhere, or nobody knows. What stood at a DN when another was written there has become the other's.
 */
export async function knownPlaces(
  tx: StoreTx,
  directory: string,
  stands: (Placed | undefined)[],
): Promise<(Place | null)[]> {
  const dns = stands.map((one) => (one?.place == null ? '' : normalizeDn(one.place.dn)));
  const holders = await tx.associationsByDn(directory, dns);
  const others = await tx.placedById(
    directory,
    holders.map((holder) => holder?.id ?? NOTHING),
  );
  return stands.map((one, i) => {
    const place = one?.place ?? null;
    const other = others[i];
    if (place === null || other === undefined || Buffer.compare(other.id, one!.id) === 0) return place;
    const isThere = wasWritten(other) && normalizeDn(other.place?.dn ?? '') === dns[i];
    const isSame = place.anchor === '' || place.anchor === other.place?.anchor;
    return isThere && isSame ? null : place;
  });
}

/** What was written, or tried, at these places: known by the DN, whatever the anchor. Places of nobody are left out. */
export async function placedAt(
  tx: StoreTx,
  directory: string,
  places: Place[],
): Promise<{ place: Place; placed: Placed }[]> {
  const holders = await tx.associationsByDn(
    directory,
    places.map(({ dn }) => normalizeDn(dn)),
  );
  const known = holders.flatMap((holder, i) => (holder === undefined ? [] : [{ id: holder.id, place: places[i]! }]));
  const placed = await tx.placedById(
    directory,
    known.map(({ id }) => id),
  );
  return known.flatMap(({ place }, i) => (placed[i] === undefined ? [] : [{ place, placed: placed[i] }]));
}

/** Not only about to be written. */
export function wasWritten(stands: Placed | undefined): boolean {
  return stands !== undefined && (stands.hash !== null || stands.refused !== null || stands.place?.anchor !== '');
}

export function present<T>(rows: (T | undefined)[]): T[] {
  return rows.filter((row) => row !== undefined);
}
