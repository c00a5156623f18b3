/**
 * T3, second half, for directories that are written entry by entry (LDAP): what of the replica differs from what was last
 * written there. plan.ts says what an entry looks like in a directory; here only those that changed are looked at.
 *
 *   replica ─┬─ as written ─▶ nothing                    outcome ─▶ recordOutcomes: what stands there now
 *            └─ differs ─▶ DN (association) ─▶ removals, containers, renames, persons, groups
 *
 * A directory that refuses an entry is not asked again for the same, but where the reason may pass by itself, or when
 * `again` says so. A crash before an outcome was recorded writes once more: writing is idempotent.
 */
import { createHash } from 'node:crypto';
import { normalizeDn } from './dn.ts';
import { decodeEntry, type Entry, entryHash } from './entry.ts';
import { shownBytes } from './holds.ts';
import { associateRows, containers, type SubscribingOptions, writtenAttributes } from './plan.ts';
import type { DirectoryChange, WriteOutcome } from './seams/directory.ts';
import type { EntryRow, Placed, Store, StoreTx } from './seams/store.ts';

const BATCH = 1_000;
const HASH_BYTES = 16;
/** Anchor of containers: they stay when their last entry is gone, since others may have put something there. */
const CONTAINER = 'container';

export interface PlannedChange extends DirectoryChange {
  /** Of what is to stand there; null with `remove`. */
  hash: Uint8Array | null;
}

export interface PlanChangesOptions extends SubscribingOptions {
  /** Whatever else decides how an entry is written (mapping, policies): another text writes everything again. */
  shape: string;
  /** Ask again for what was refused. */
  again: boolean;
}

/** Outcomes that another change, or time, may mend: they are tried at each write. */
const PASSING = new Set([
  'busy',
  'unavailable',
  'timeLimitExceeded',
  'operationsError',
  'entryAlreadyExists',
  'noSuchObject',
]);

/** Reads the store batch by batch, and gives DNs to what is new in it; not one snapshot. */
export async function* plannedDifferences(store: Store, options: PlanChangesOptions): AsyncGenerator<PlannedChange> {
  const seal = sealer(options);
  yield* removals(store, options);
  const differing = await findDiffering(store, options, seal);
  if (differing.length === 0) return;
  const sorted = await associate(store, options, differing);
  if (options.dn === 'container') yield* missingContainers(store, options, seal);
  for (const numbers of [sorted.renamed, sorted.others, sorted.groups]) {
    for (let from = 0; from < numbers.length; from += BATCH) {
      const batch = numbers.slice(from, from + BATCH);
      yield* await store.read((tx) => changesOf(tx, options, batch, seal));
    }
  }
}

/** In one transaction for many outcomes: what stands in the directory now. `changes` and `outcomes` go in pairs. */
export async function recordOutcomes(
  tx: StoreTx,
  directory: string,
  changes: PlannedChange[],
  outcomes: WriteOutcome[],
): Promise<void> {
  const gone: Uint8Array[] = [];
  const rows: Placed[] = [];
  for (const [i, change] of changes.entries()) {
    const { result, place, code = 'refused', reason = '' } = outcomes[i]!;
    if (result === 'refused') {
      const hash = PASSING.has(code) ? null : change.hash;
      rows.push({ id: change.id, place: change.place ?? null, hash, refused: { code, reason } });
    } else if (change.action === 'remove') {
      gone.push(change.id);
    } else {
      const anchor = change.kind === 'container' ? CONTAINER : (place?.anchor ?? '');
      rows.push({ id: change.id, place: { dn: place?.dn ?? change.dn, anchor }, hash: change.hash, refused: null });
    }
  }
  await tx.putPlaced(directory, rows);
  await tx.removePlaced(directory, gone);
  await tx.removeAssociations(directory, gone);
}

type Seal = (hash: Uint8Array, more?: string[]) => Buffer;

/** What is to stand there, in 16 octets: another entry, or another way of writing it, gives others. */
function sealer({ dn, container, shape }: PlanChangesOptions): Seal {
  const way = createHash('sha256')
    .update(JSON.stringify([dn, container, shape]))
    .digest()
    .subarray(0, HASH_BYTES);
  return (hash, more = []) => {
    const sum = createHash('sha256').update(way).update(hash);
    for (const text of more) sum.update('\0').update(text);
    return sum.digest().subarray(0, HASH_BYTES);
  };
}

/** Who stands in the directory and is not in the replica any more. */
async function* removals(store: Store, { name }: PlanChangesOptions): AsyncGenerator<PlannedChange> {
  for (let after: Uint8Array | null = null; ; ) {
    const from: Uint8Array | null = after;
    const { placed, rows } = await store.read(async (tx) => {
      const batch = await tx.scanPlaced(name, from, BATCH);
      const ids = batch.map(({ id }) => id);
      return { placed: batch, rows: await tx.entriesById('replica', ids) };
    });
    if (placed.length === 0) return;
    const missing = placed.filter((one, i) => rows[i] === undefined && one.place?.anchor !== CONTAINER);
    const never = missing.filter(({ place }) => place === null).map(({ id }) => id);
    if (never.length > 0) await store.transaction((tx) => tx.removePlaced(name, never));
    for (const { id, place } of missing) {
      if (place !== null) yield { id, action: 'remove', dn: place.dn, attributes: new Map(), place, hash: null };
    }
    after = placed.at(-1)!.id;
  }
}

/** Numbers of the rows of the replica that do not stand there as they are. Groups are always looked at: members move. */
async function findDiffering(store: Store, { name, again }: PlanChangesOptions, seal: Seal): Promise<number[]> {
  const differing: number[] = [];
  for (let after = 0; ; ) {
    const from = after;
    const { rows, placed } = await store.read(async (tx) => {
      const batch = await tx.scanHashes('replica', from, 5 * BATCH);
      const ids = batch.map(({ id }) => id);
      return { rows: batch, placed: await tx.placedById(name, ids) };
    });
    if (rows.length === 0) return differing;
    for (const [i, { number, hash }] of rows.entries()) {
      const stands = placed[i];
      const isSame = stands?.hash != null && Buffer.compare(stands.hash, seal(hash)) === 0;
      if (!isSame || (again && stands.refused !== null)) differing.push(number);
    }
    after = rows.at(-1)!.number;
  }
}

interface Sorted {
  renamed: number[];
  others: number[];
  groups: number[];
}

async function associate(store: Store, options: PlanChangesOptions, differing: number[]): Promise<Sorted> {
  const sorted: Sorted = { renamed: [], others: [], groups: [] };
  for (let from = 0; from < differing.length; from += BATCH) {
    const numbers = differing.slice(from, from + BATCH);
    await store.transaction(async (tx) => {
      const rows = present(await tx.entriesByNumber('replica', numbers));
      await associateRows(tx, options, rows);
      const ids = rows.map(({ id }) => id);
      const associations = await tx.associationsById(options.name, ids);
      const placed = await tx.placedById(options.name, ids);
      for (const [i, row] of rows.entries()) {
        const before = placed[i]?.place;
        const moves = before != null && normalizeDn(before.dn) !== associations[i]!.normalizedDn;
        const isGroup = decodeEntry(shownBytes(row)!).kind === 'group';
        (isGroup ? sorted.groups : moves ? sorted.renamed : sorted.others).push(row.number);
      }
    });
  }
  return sorted;
}

async function* missingContainers(
  store: Store,
  options: PlanChangesOptions,
  seal: Seal,
): AsyncGenerator<PlannedChange> {
  for await (const change of containers(store, options)) {
    const hash = seal(change.id);
    const [placed] = await store.read((tx) => tx.placedById(options.name, [change.id]));
    if (placed?.hash != null && Buffer.compare(placed.hash, hash) === 0) continue;
    yield { ...change, hash, ...(placed?.place && { place: placed.place }) };
  }
}

async function changesOf(
  tx: StoreTx,
  options: PlanChangesOptions,
  numbers: number[],
  seal: Seal,
): Promise<PlannedChange[]> {
  const rows = present(await tx.entriesByNumber('replica', numbers));
  const ids = rows.map(({ id }) => id);
  const associations = await tx.associationsById(options.name, ids);
  const placed = await tx.placedById(options.name, ids);
  const changes: PlannedChange[] = [];
  for (const [i, row] of rows.entries()) {
    const bytes = shownBytes(row)!;
    const entry = decodeEntry(bytes);
    const dn = associations[i]!.dn;
    const attributes = await writtenAttributes(tx, options, entry, dn);
    const hash = seal(entryHash(bytes), entry.kind === 'group' ? memberTexts(attributes, dn) : []);
    const stands = placed[i];
    const isSame = stands?.hash != null && Buffer.compare(stands.hash, hash) === 0;
    if (isSame && !(options.again && stands.refused !== null)) continue;
    changes.push(put(entry, { dn, attributes, hash }, stands));
  }
  return changes;
}

function put(
  { id, kind }: Entry,
  wanted: Pick<PlannedChange, 'dn' | 'attributes' | 'hash'>,
  stands: Placed | undefined,
): PlannedChange {
  return { id, action: 'put', ...wanted, kind, ...(stands?.place && { place: stands.place }) };
}

function memberTexts(attributes: DirectoryChange['attributes'], dn: string): string[] {
  const members = attributes.get('member') ?? [];
  return [dn, ...members.map((member) => Buffer.from(member).toString()).sort()];
}

function present(rows: (EntryRow | undefined)[]): EntryRow[] {
  return rows.filter((row) => row !== undefined);
}
