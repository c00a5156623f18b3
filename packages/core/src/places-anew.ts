/**
 * T3: a directory that was reloaded (from LDIF, or on another server) gives its entries other keys, and then the keys that were
 * written down at the last write (Placed) find nobody. Told by a sample: under every DN stands an entry, and none has its key. Then
 * all places are learnt anew by their DNs, and all entries are written anew: what was loaded may be older than what was written.
 *
 * One entry of another key under its DN is somebody whom an administrator put there, and is left alone.
 */
import { createHash } from 'node:crypto';
import { CONTAINER, placedAt } from './compare-placed.ts';
import { normalizeDn } from './dn.ts';
import { IdSet } from './id-set.ts';
import { linksIn } from './match-targets.ts';
import { membersMoved } from './planned-state.ts';
import type { Place } from './seams/directory.ts';
import type { Link } from './seams/associations.ts';
import type { Placed, Store, StoreTx } from './seams/store.ts';

const SAMPLE = 16;
/** So many at least have to have other keys. */
const LEAST = 2;
const BATCH = 500;

/** `from`: 16 octets; places of some entries, from there on. */
export async function samplePlaces(tx: StoreTx, directory: string, from: Uint8Array): Promise<Placed[]> {
  const behind = await tx.scanPlaced(directory, from, SAMPLE);
  const rows = behind.length === SAMPLE ? behind : await tx.scanPlaced(directory, null, SAMPLE);
  return rows.filter(({ place, hash, refused }) => hash !== null && refused === null && hasKey(place));
}

function hasKey(place: Place | null): boolean {
  return place !== null && place.anchor !== '' && place.anchor !== CONTAINER;
}

/** `stand`: what stands at their DNs. */
export function isReloaded(sample: Placed[], stand: Place[]): boolean {
  const byDn = new Map(stand.map(({ dn, anchor }) => [normalizeDn(dn), anchor]));
  const keys = sample.flatMap(({ place }) => {
    const key = byDn.get(normalizeDn(place!.dn)) ?? '';
    return key === '' ? [] : [key === place!.anchor];
  });
  return keys.length >= LEAST && !keys.includes(true);
}

/** `look`: what stands in the container (null), or at these DNs. How many places were learnt. */
export async function placesAnew(
  store: Store,
  directory: string,
  look: (dns: string[] | null) => AsyncIterable<Place>,
): Promise<number> {
  const present = new IdSet();
  for await (const { anchor } of look(null)) present.add(keyId(anchor));
  let learnt = 0;
  for await (const places of batches(look(null))) {
    learnt += await store.transaction((tx) => learn(tx, directory, places, (anchor) => present.has(keyId(anchor))));
  }
  const adopted = await store.read((tx) => allAdopted(tx, directory));
  for (let from = 0; from < adopted.length; from += BATCH) {
    const links = adopted.slice(from, from + BATCH);
    const places: Place[] = [];
    for await (const place of look(links.map(({ dn }) => dn))) places.push(place);
    learnt += await store.transaction(async (tx) => {
      await relink(tx, directory, links, places);
      return learn(tx, directory, places, () => false);
    });
  }
  if (learnt > 0) await store.transaction((tx) => membersMoved(tx, directory));
  return learnt;
}

async function allAdopted(tx: StoreTx, directory: string): Promise<Link[]> {
  const adopted: Link[] = [];
  for await (const links of linksIn(tx, directory, 'adopted')) adopted.push(...links);
  return adopted;
}

/** Whoever is still there under his old key has it. */
async function learn(
  tx: StoreTx,
  directory: string,
  places: Place[],
  isThere: (anchor: string) => boolean,
): Promise<number> {
  const found = await placedAt(tx, directory, places);
  const learnt = found.flatMap(({ place, placed: one }): Placed[] => {
    if (!hasKey(one.place) || place.anchor === '') return [];
    if (one.place!.anchor === place.anchor || isThere(one.place!.anchor)) return [];
    return [{ ...one, place, hash: null }];
  });
  await tx.putPlaced(directory, learnt);
  return learnt.length;
}

async function relink(tx: StoreTx, directory: string, links: Link[], places: Place[]): Promise<void> {
  const byDn = new Map(places.map(({ dn, anchor }) => [normalizeDn(dn), anchor]));
  const moved = links.filter((link) => (byDn.get(normalizeDn(link.dn)) ?? link.anchor) !== link.anchor);
  await tx.removeLinks(directory, moved);
  await tx.putLinks(
    directory,
    moved.map((link) => ({ ...link, anchor: byDn.get(normalizeDn(link.dn))! })),
  );
}

async function* batches(places: AsyncIterable<Place>): AsyncGenerator<Place[]> {
  let batch: Place[] = [];
  for await (const place of places) {
    batch.push(place);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** In 16 octets. */
function keyId(anchor: string): Buffer {
  return createHash('sha256').update(anchor).digest().subarray(0, 16);
}
