/**
 * T3, before a directory is written entry by entry: what it has already. By stamp dirpost finds its own entries again; by attributes
 * those that stood there before (core's match-targets.ts). First all is looked for over one line, outside of any transaction; what it
 * means is decided in one. And a directory that was reloaded, so that its entries have other keys, is known by that.
 *
 *   sample of places ─ other keys under all DNs ─▶ all places learnt anew, all written anew
 *   entries without a place ─▶ by stamp ─▶ by attributes ─▶ Found ─▶ decideMatches
 */
import {
  type Decided,
  decideMatches,
  type Directory,
  directoryApproved,
  type Found,
  isReloaded,
  isWithin,
  loadPlanned,
  normalizeDn,
  placesAnew,
  type PlanChangesOptions,
  samplePlaces,
  stampedHit,
  type StoreTx,
  type TargetEntry,
  type TargetFinder,
  TargetMatching,
  type Wanting,
  withoutPlace,
  withoutUnlinked,
} from '@dirpost/core';
import { loadDirectoryState } from './directory-state.ts';
import { counted } from './events.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

/** For more entries than these the whole container is searched for stamps. */
const STAMPS_ASKED = 500;

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

/** Throws DirpostError where the directory fails. */
export async function matchTarget(
  postoffice: Postoffice,
  target: SubscribingDirectory,
  again: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { store, tell } = postoffice;
  const { name } = target.directory;
  const options: PlanChangesOptions = { ...target.options, shape: target.shape ?? '', again };
  if (!again && (await loadPlanned(store, options)).isSettled) return;
  await relearnPlaces(postoffice, target, signal);
  const found = await lookInto(postoffice, target, signal);
  if (found === null) return;
  const decided = await store.transaction(async (tx) => decide(tx, target, found));
  const text = decidedWords(decided);
  if (text === '') return;
  const level = decided.waiting + decided.ambiguous > 0 ? 'warning' : 'info';
  tell({ time: 'T3', level, text: `${name}: ${text}`, details: { directory: name, ...decided } });
}

/** Also for `preview`, in a transaction that is rolled back. */
export async function decide(
  tx: StoreTx,
  { directory: { name } }: SubscribingDirectory,
  found: Found,
): Promise<Decided> {
  const { write } = await loadDirectoryState(tx, name);
  const isFirst = write === null || write.writtenMs === 0;
  return decideMatches(tx, name, found, isFirst && (await directoryApproved(tx, name)));
}

/** "3 found by their stamps, 2 linked with entries that were there, 4 wait, 1 ambiguous", or nothing. */
export function decidedWords({ restored, adopted, waiting, ambiguous }: Decided): string {
  return [
    ...(restored > 0 ? [`${counted(restored, 'entry')} found again by stamp`] : []),
    ...(adopted > 0 ? [`${counted(adopted, 'entry')} linked with what was there before`] : []),
    ...(waiting > 0
      ? [
          `${counted(waiting, 'entry')} may be what is there already, and ${waiting === 1 ? 'waits' : 'wait'} for an approval`,
        ]
      : []),
    ...(ambiguous > 0
      ? [
          `${counted(ambiguous, 'entry')} may be several that are there already, and ${ambiguous === 1 ? 'is' : 'are'} not written`,
        ]
      : []),
  ].join(', ');
}

/** null: there is nothing to look for. */
export async function lookInto(
  postoffice: Postoffice,
  { directory, options, adopt, hasStamps }: SubscribingDirectory,
  signal: AbortSignal,
): Promise<Found | null> {
  if (directory.finder === undefined || (adopt === undefined && hasStamps !== true)) return null;
  const { store } = postoffice;
  const found: Found = { looked: [], stamped: [], matched: [] };
  const matching = new TargetMatching(adopt?.by ?? [], { groups: adopt?.groups });
  let finder: TargetFinder | null = null;
  try {
    let stamps: Stamps | null = null;
    for await (const wanting of withoutPlace(store, options.name)) {
      finder ??= await directory.finder(signal);
      found.looked.push(...wanting.map(({ id }) => id));
      let left = wanting;
      if (hasStamps === true) {
        stamps ??= await Stamps.of(finder, wanting);
        const entries = await takeable(postoffice, directory, await stamps.entries(wanting));
        const hits = entries.map(({ id, ...entry }) => stampedHit(id, entry));
        found.stamped.push(...hits);
        const again = new Set(hits.map(({ id }) => hex(id)));
        left = wanting.filter(({ id }) => !again.has(hex(id)));
      }
      for (const attribute of matching.attributes) {
        const values = matching.valuesOf(left, attribute);
        if (values.length === 0) continue;
        const { base, filter } = adopt!;
        const attributes = ['objectClass', ...matching.attributes];
        const entries: TargetEntry[] = [];
        for await (const one of finder.matching({ base, filter, attribute, values, attributes })) entries.push(one);
        const outside = entries.filter(({ dn }) => !isWithin(dn, options.container));
        left = matching.take(left, attribute, await takeable(postoffice, directory, outside));
      }
    }
    if (found.looked.length === 0) return null;
    const matched = await store.read((tx) => withoutUnlinked(tx, options.name, matching.hits));
    return { ...found, matched };
  } finally {
    finder?.close();
  }
}

/** By entry id in hexadecimal digits. */
type Stamped = Map<string, (TargetEntry & { id: Uint8Array })[]>;

/** Entries with stamps: of those who are looked for, or of all, where many are. */
class Stamps {
  readonly #finder: TargetFinder;
  readonly #all: Stamped | null;

  private constructor(finder: TargetFinder, all: Stamped | null) {
    this.#finder = finder;
    this.#all = all;
  }

  static async of(finder: TargetFinder, first: Wanting[]): Promise<Stamps> {
    if (first.length <= STAMPS_ASKED) return new Stamps(finder, null);
    const all: Stamped = new Map();
    for await (const one of finder.stamped(null)) all.set(hex(one.id), [...(all.get(hex(one.id)) ?? []), one]);
    return new Stamps(finder, all);
  }

  async entries(wanting: Wanting[]): Promise<(TargetEntry & { id: Uint8Array })[]> {
    const ids = wanting.map(({ id }) => id);
    if (this.#all !== null) return ids.flatMap((id) => this.#all!.get(hex(id)) ?? []);
    const found: (TargetEntry & { id: Uint8Array })[] = [];
    for await (const one of this.#finder.stamped(ids)) found.push(one);
    return found;
  }
}

/** Without what the system needs, what has no key, what is somebody's already, and what this postoffice publishes. */
async function takeable<E extends TargetEntry>(
  { store, publishing, writtenHere }: Postoffice,
  { name }: Directory,
  entries: E[],
): Promise<E[]> {
  const free = entries.filter(({ isProtected, anchor }) => !isProtected && anchor !== '');
  if (free.length === 0) return [];
  const anchors = free.map(({ anchor }) => anchor);
  return store.read(async (tx) => {
    const taken = new Set<number>();
    for (const directory of new Set([name, ...(writtenHere?.directories ?? [])])) {
      const placed = await tx.placedByAnchor(directory, anchors);
      for (const [i, one] of placed.entries()) if (one !== undefined) taken.add(i);
    }
    for (const { directory, mapping } of publishing) {
      const keys = anchors.map((anchor) => mapping.idOfAnchor(Buffer.from(anchor, 'hex')));
      const aliases = await tx.aliasesByKey(directory.name, keys);
      const rows = await tx.entriesById(
        'published',
        keys.map((key, i) => aliases[i]?.id ?? key),
      );
      const dns = await tx.associationsByDn(
        directory.name,
        free.map(({ dn }) => normalizeDn(dn)),
      );
      for (const i of free.keys()) if (rows[i]?.deleted === false || dns[i] !== undefined) taken.add(i);
    }
    return free.filter((_, i) => !taken.has(i));
  });
}

/** All places anew, where the directory was reloaded; that is told. Throws DirpostError where the directory fails. */
export async function relearnPlaces(
  { store, random, tell }: Postoffice,
  { directory }: Pick<SubscribingDirectory, 'directory'>,
  signal: AbortSignal,
): Promise<void> {
  const { name } = directory;
  if (directory.places === undefined) return;
  const sample = await store.read((tx) => samplePlaces(tx, name, random(16)));
  if (sample.length === 0) return;
  const dns = sample.map(({ place }) => place!.dn);
  const stand = [];
  for await (const place of directory.places(dns, signal)) stand.push(place);
  if (!isReloaded(sample, stand)) return;
  const { places } = directory;
  const relearnt = await placesAnew(store, name, (some) => places.call(directory, some, signal));
  if (relearnt === 0) return;
  const text = `${name} was reloaded: its entries have other keys than they were written with. ${counted(relearnt, 'entry')} found again by their DNs`;
  tell({ time: 'T3', level: 'warning', text, details: { directory: name, entries: relearnt } });
}
