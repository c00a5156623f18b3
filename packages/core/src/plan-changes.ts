/**
 * T3, second half, for directories that are written entry by entry (LDAP): what of the replica differs from what was last
 * written there. plan.ts says what an entry looks like in a directory; here only those that changed are looked at.
 *
 *   replica ─┬─ as written ─▶ nothing                    outcome ─▶ record-outcomes.ts
 *            ├─ differs ─▶ DN (association) ─▶ removals, containers, renames, persons, groups
 *            └─ never written ─▶ DN and change at once, where nobody is renamed; groups at the end
 *
 * Where nothing changed since the last plan, that is known at once (planned-state.ts). A directory that refuses an entry is asked again for the same as
 * refused-again.ts says. Before a change is given out it is remembered that what stands there is not known: after a crash it is
 * written once more, although it may have come back to what was recorded last. Writing is idempotent.
 */
import { type ChangedSince, changedSince } from './changed-since.ts';
import {
  compare,
  digestOf,
  findGone,
  knownPlaces,
  NOTHING,
  present,
  type Seal,
  sealer,
  wasWritten,
} from './compare-placed.ts';
import { normalizeDn } from './dn.ts';
import { isEdit } from './edits.ts';
import { decodeEntry, entryHash, kindOf } from './entry.ts';
import { foldedRows } from './fold.ts';
import { heardLater } from './heard-later.ts';
import { shownBytes } from './holds.ts';
import { loadTargetLinks, NO_LINKS, type TargetLinks, unlinkGone } from './match-targets.ts';
import { associateEntries, associateRows, containersOf, type SubscribingOptions, writtenAttributes } from './plan.ts';
import { loadPlanned, membersMoved, type PlannedState, rememberPlanned } from './planned-state.ts';
import type { DirectoryChange } from './seams/directory.ts';
import { type Asking, isAskedAgain } from './refused-again.ts';
import { ofContainer, ownersWithout } from './refused-containers.ts';
import type { EntryRow, Placed, RefusedPlaced, Store, StoreTx } from './seams/store.ts';

const BATCH = 1_000;
/** New entries, which are looked at once. */
const FRESH_BATCH = 2_000;
/** Above this a transaction is taken off the main thread. */
const LARGE = 500;

export interface PlannedChange extends DirectoryChange {
  /** Of what is to stand there: 16 octets, and of a group 16 more for its members' DNs. */
  hash: Uint8Array;
  /** The same was refused before. */
  refusedBefore?: RefusedPlaced;
}

export interface PlanChangesOptions extends SubscribingOptions {
  /** Whatever else decides how an entry is written (mapping, policies): another text writes everything again. */
  shape: string;
  /** Ask again for what was refused. */
  again: boolean;
  /** With `again`: only where it is due by then, ms since 1970; absent: for all. */
  dueBy?: number | undefined;
}

/**
 * Reads the store batch by batch, and gives DNs to what is new in it; not one snapshot. Cheap where nothing changed since a
 * plan that came to nothing (planned-state.ts).
 */
export async function* plannedDifferences(store: Store, options: PlanChangesOptions): AsyncGenerator<PlannedChange> {
  const before = await loadPlanned(store, options);
  if (before.isSettled && !options.again) return;
  const links = await store.read((tx) => loadTargetLinks(tx, options.name));
  let changes = 0;
  let groups = 0;
  for await (const change of differences(store, { ...options, links }, before)) {
    changes++;
    // Who was refused as it is now says nothing about the others, and is asked for anyway.
    if (change.kind === 'group' && change.refusedBefore === undefined) groups++;
    yield change;
  }
  // Who is matched is written when an administrator has said so.
  const came = { isSettled: changes === 0, membersStand: groups === 0, isOpen: links !== NO_LINKS };
  await rememberPlanned(store, options, before, came);
}

async function* differences(
  store: Store,
  options: PlanChangesOptions & { links: TargetLinks },
  before: PlannedState,
): AsyncGenerator<PlannedChange> {
  const { membersStand } = before;
  const seal = sealer(options);
  const changed = await changedOnly(store, options, before, seal);
  let found = changed?.found ?? (await compare(store, options, { seal, lookAtGroups: !membersStand }));
  const containers = options.dn === 'container' ? containersOf(options, found.owners) : [];
  for (const { id } of containers) found.ids.add(id);
  const unwanted = changed?.gone ?? (await findGone(store, options, found.ids, seal));
  const gone = await unlinkGone(store, options, unwanted);
  for (let from = 0; from < gone.length; from += BATCH)
    yield* await removals(store, options, gone.slice(from, from + BATCH));
  let sorted = await associate(store, options, found.numbers);
  if (membersStand && (gone.length > 0 || found.fresh.length > 0 || sorted.moved)) {
    // Members have other DNs now: whose members they are is not known, so all groups are looked at.
    found = await compare(store, options, { seal, lookAtGroups: true });
    sorted = await associate(store, options, found.numbers);
  }
  let { fresh } = found;
  if (sorted.renamed.length + sorted.renamedGroups.length > 0) {
    // Groups that move go before who is new, and name them.
    await associateInto(sorted, store, options, fresh);
    fresh = [];
  }
  const missing = await store.read((tx) => missingContainers(tx, options, containers, seal));
  if (found.numbers.length + found.fresh.length === 0) {
    yield* missing.filter(({ refusedBefore }) => refusedBefore !== undefined);
    return;
  }
  yield* missing;
  yield* changesIn(store, options, [sorted.renamed, sorted.renamedGroups, sorted.others], seal);
  // While a batch is on its way to the directory the next is made.
  const begin = (from: number) => beginFresh(store, options, fresh.slice(from, from + FRESH_BATCH), { seal, sorted });
  let coming = begin(0);
  for (let from = 0; from < fresh.length; from += FRESH_BATCH) {
    const batch = await coming;
    coming = begin(from + FRESH_BATCH);
    yield* batch;
  }
  yield* changesIn(store, options, [sorted.groups], seal);
}

/** null: everything is looked at. */
async function changedOnly(
  store: Store,
  options: PlanChangesOptions & { links: TargetLinks },
  { since, membersStand }: PlannedState,
  seal: Seal,
): Promise<ChangedSince | null> {
  const isWhole = options.again && options.dueBy === undefined;
  if (since === null || !membersStand || isWhole || options.links !== NO_LINKS) return null;
  return changedSince(store, options, seal, since);
}

async function* changesIn(
  store: Store,
  options: PlanChangesOptions,
  lists: number[][],
  seal: Seal,
): AsyncGenerator<PlannedChange> {
  for (const numbers of lists) {
    for (let from = 0; from < numbers.length; from += BATCH) {
      const batch = numbers.slice(from, from + BATCH);
      yield* await store.transaction((tx) => changesOf(tx, options, batch, seal));
    }
  }
}

/** Their DNs are free from now on, for others that come in the same write. */
async function removals(store: Store, options: PlanChangesOptions, ids: Uint8Array[]): Promise<PlannedChange[]> {
  const { name } = options;
  const hash = sealer(options)(NOTHING);
  return store.transaction(async (tx) => {
    const rows = await tx.entriesById('replica', ids);
    const placed = await tx.placedById(name, ids);
    const gone = present(placed.filter((_, i) => rows[i] === undefined));
    await tx.removeAssociations(
      name,
      gone.map(({ id }) => id),
    );
    await membersMoved(tx, name);
    const places = await knownPlaces(tx, name, gone);
    await tx.removePlaced(
      name,
      gone.filter((_, i) => places[i] === null).map(({ id }) => id),
    );
    await beginWriting(
      tx,
      name,
      gone.filter((_, i) => places[i] !== null),
    );
    return gone.flatMap(({ id }, i): PlannedChange[] => {
      const place = places[i]!;
      const adopted = options.links?.isAdopted(id) === true && ({ adopted: true } as const);
      return place === null
        ? []
        : [
            {
              id,
              action: 'remove',
              dn: place.dn,
              attributes: new Map(),
              place,
              hash,
              ...refusedBefore(gone[i], hash),
              ...adopted,
            },
          ];
    });
  });
}

interface Sorted {
  /** Before what is new, which may have the DNs that they leave. */
  renamed: number[];
  renamedGroups: number[];
  others: number[];
  groups: number[];
  /** Entries have other DNs than before. */
  moved: boolean;
}

async function associate(store: Store, options: PlanChangesOptions, differing: number[]): Promise<Sorted> {
  const sorted: Sorted = { renamed: [], renamedGroups: [], others: [], groups: [], moved: false };
  await associateInto(sorted, store, options, differing);
  return sorted;
}

async function associateInto(
  sorted: Sorted,
  store: Store,
  options: PlanChangesOptions,
  differing: number[],
): Promise<void> {
  for (let from = 0; from < differing.length; from += BATCH) {
    const numbers = differing.slice(from, from + BATCH);
    await store.transaction((tx) => associateBatch(tx, options, numbers, sorted));
  }
}

async function associateBatch(
  tx: StoreTx,
  options: PlanChangesOptions,
  numbers: number[],
  sorted: Sorted,
): Promise<void> {
  const rows = await shownRows(tx, options, numbers);
  const ids = rows.map(({ id }) => id);
  const known = await tx.associationsById(options.name, ids);
  // Who is renamed first: the DN that he leaves may be that of somebody who comes.
  const renamed = await associateRows(
    tx,
    options,
    rows.filter((_, i) => known[i] !== undefined),
  );
  const added = await associateRows(
    tx,
    options,
    rows.filter((_, i) => known[i] === undefined),
  );
  if (renamed + added > 0) {
    sorted.moved = true;
    await membersMoved(tx, options.name);
  }
  const associations = await tx.associationsById(options.name, ids);
  const placed = await tx.placedById(options.name, ids);
  for (const [i, row] of rows.entries()) {
    const before = placed[i]?.place;
    const moves = before != null && normalizeDn(before.dn) !== associations[i]!.normalizedDn;
    const [movers, stayers] =
      kindOf(shownBytes(row)!) === 'group' ? [sorted.renamedGroups, sorted.groups] : [sorted.renamed, sorted.others];
    (moves ? movers : stayers).push(row.number);
  }
}

async function missingContainers(
  tx: StoreTx,
  { name, again, dueBy }: PlanChangesOptions,
  containers: DirectoryChange[],
  seal: Seal,
): Promise<PlannedChange[]> {
  const placed = await tx.placedById(
    name,
    containers.map(({ id }) => id),
  );
  return containers.flatMap((change, i): PlannedChange[] => {
    const stands = placed[i];
    const hash = seal(change.id);
    if (standsAsIs(stands, hash, ofContainer({ again, dueBy }))) return [];
    return [{ ...change, hash, ...refusedBefore(stands, hash), ...(stands?.place && { place: stands.place }) }];
  });
}

function beginFresh(
  store: Store,
  options: PlanChangesOptions,
  numbers: number[],
  { seal, sorted }: { seal: Seal; sorted: Sorted },
): Promise<PlannedChange[]> {
  if (numbers.length === 0) return Promise.resolve([]);
  const make = (tx: StoreTx) => freshChanges(tx, options, numbers, { seal, groups: sorted.groups });
  return heardLater(store.transaction(make, { large: numbers.length > LARGE }));
}

/** Of rows of which nothing was written yet: they get their DNs. `groups` takes those whose members are looked up when all have theirs. */
async function freshChanges(
  tx: StoreTx,
  options: PlanChangesOptions,
  numbers: number[],
  { seal, groups }: { seal: Seal; groups: number[] },
): Promise<PlannedChange[]> {
  const rows = await shownRows(tx, options, numbers);
  const folded = await foldedRows(tx, rows);
  const entries = folded.map((bytes) => decodeEntry(bytes!));
  const { dns, news } = await associateEntries(tx, options, entries);
  if (news > 0) await membersMoved(tx, options.name);
  const changes: PlannedChange[] = [];
  for (const [i, entry] of entries.entries()) {
    const row = rows[i]!;
    if (entry.kind === 'group') {
      groups.push(row.number);
      continue;
    }
    const bytes = folded[i]!;
    const hash = seal(bytes === row.bytes ? row.hash : entryHash(bytes));
    const attributes = await writtenAttributes(tx, options, entry, dns[i]!);
    const adopted = options.links?.isAdopted(row.id) === true && ({ adopted: true } as const);
    changes.push({ id: row.id, action: 'put', dn: dns[i]!, attributes, hash, kind: entry.kind, ...adopted });
  }
  const begun = changes.map(({ id, dn, hash }): Placed => ({ id, place: { dn, anchor: '' }, hash, refused: null }));
  await beginWriting(tx, options.name, begun);
  return changes;
}

async function changesOf(
  tx: StoreTx,
  options: PlanChangesOptions,
  numbers: number[],
  seal: Seal,
): Promise<PlannedChange[]> {
  const rows = await shownRows(tx, options, numbers);
  const folded = await foldedRows(tx, rows);
  const ids = rows.map(({ id }) => id);
  const associations = await tx.associationsById(options.name, ids);
  const placed = await tx.placedById(options.name, ids);
  const places = await knownPlaces(tx, options.name, placed);
  const asking = { again: options.again, dueBy: options.dueBy };
  const owners = rows.map(({ owner }) => owner);
  const without = await ownersWithout(tx, options, owners, placed);
  const changes: PlannedChange[] = [];
  const begun: Placed[] = [];
  for (const [i, row] of rows.entries()) {
    const dn = associations[i]?.dn;
    // It went and came again while the plan was made: the next one has it.
    if (dn === undefined) continue;
    const bytes = folded[i]!;
    const entry = decodeEntry(bytes);
    const attributes = await writtenAttributes(tx, options, entry, dn);
    const own = seal(entryHash(bytes));
    const hash = entry.kind === 'group' ? Buffer.concat([own, seal(membersHash(attributes, dn))]) : own;
    if (standsAsIs(placed[i], hash, { ...asking, lacksContainer: without.has(row.owner) })) continue;
    const place = wasWritten(placed[i]) || placed[i]?.place?.dn !== dn ? places[i] : null;
    const adopted = options.links?.isAdopted(row.id) === true && ({ adopted: true } as const);
    changes.push({
      id: row.id,
      action: 'put',
      dn,
      attributes,
      hash,
      kind: entry.kind,
      ...refusedBefore(placed[i], hash),
      ...(place && { place }),
      ...adopted,
      ...(placed[i]?.lacksMembers === true && { lackedMembers: true }),
    });
    begun.push({ refused: null, ...placed[i], id: row.id, place: places[i] ?? { dn, anchor: '' }, hash });
  }
  await beginWriting(tx, options.name, begun);
  return changes;
}

/** Without those of whom it is open who they are there. */
async function shownRows(tx: StoreTx, { links }: PlanChangesOptions, numbers: number[]): Promise<EntryRow[]> {
  const rows = present(await tx.entriesByNumber('replica', numbers));
  return rows.filter((row) => !isEdit(shownBytes(row)!) && links?.waits(row.id) !== true);
}

/** Until an outcome is recorded nobody knows what stands there. */
async function beginWriting(tx: StoreTx, directory: string, stands: Placed[]): Promise<void> {
  await tx.putPlaced(
    directory,
    stands.map((one) => ({ ...one, hash: null })),
  );
}

/** Nothing is to be asked: it was written so, or refused so. */
function standsAsIs(stands: Placed | undefined, hash: Buffer, asking: Asking): boolean {
  if (stands?.hash == null || !hash.equals(stands.hash)) return false;
  return stands.refused === null || !isAskedAgain(stands.refused, asking);
}

function refusedBefore(stands: Placed | undefined, hash: Buffer): Pick<PlannedChange, 'refusedBefore'> {
  const isSame = stands?.hash != null && hash.equals(stands.hash);
  return isSame && stands.refused !== null ? { refusedBefore: stands.refused } : {};
}

function membersHash(attributes: DirectoryChange['attributes'], dn: string): Uint8Array {
  const members = (attributes.get('member') ?? []).map((member) => Buffer.from(member).toString());
  return digestOf(Buffer.from(JSON.stringify([dn, ...members.sort()])));
}
