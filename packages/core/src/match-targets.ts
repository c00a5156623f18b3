/**
 * T3: entries that a directory has already. What stands in the container with a stamp (written-here.ts) is what dirpost wrote, and
 * is taken again at once. What stood elsewhere before dirpost came may be somebody of the network; who he is is found by attributes,
 * shown, and approved by an administrator, and from then on an association that only `dirpost unlink` removes.
 *
 *   no place ─▶ stamp ─▶ one: its place
 *           └─▶ by attributes ─┬─ one, and it is wanted by one ─▶ found ─ approve ─▶ approved ─ next write ─▶ adopted
 *                              ├─ several of either             ─▶ ambiguous: nothing is written
 *                              └─ none                          ─▶ a new entry in the container
 *   found or adopted ─ unlink ─▶ unlinked: these two never again, until `dirpost link`
 *
 * An adopted entry stays where it is, and keeps what the network does not name.
 */
import { normalizeDn } from './dn.ts';
import { DirpostError } from './errors.ts';
import { IdSet } from './id-set.ts';
import type { SubscribingOptions } from './plan.ts';
import { membersMoved } from './planned-state.ts';
import { standsWritten } from './refused-again.ts';
import type { DirectoryChange, WriteOutcome } from './seams/directory.ts';
import type { Link, LinkState } from './seams/associations.ts';
import type { Placed, Store, StoreTx } from './seams/store.ts';
import type { Hit } from './target-matching.ts';

const BATCH = 1_000;
/** In refusals of entries that wait for an administrator. */
export const AMBIGUOUS_MATCH = 'ambiguous-match';
export const MATCH_WAITS = 'match-waits';

/** What was decided, for plans of what is to be written. */
export interface TargetLinks {
  /** Nothing is written of it: who it is there is open. */
  waits(id: Uint8Array): boolean;
  isAdopted(id: Uint8Array): boolean;
}

/** Of a directory in which nobody was matched. */
export const NO_LINKS: TargetLinks = { waits: () => false, isAdopted: () => false };

export async function loadTargetLinks(tx: StoreTx, directory: string): Promise<TargetLinks> {
  const waiting = new IdSet();
  const adopted = new IdSet();
  for (const state of ['found', 'approved', 'ambiguous'] as const)
    for await (const links of linksIn(tx, directory, state)) for (const { id } of links) waiting.add(id);
  for await (const links of linksIn(tx, directory, 'adopted')) for (const { id } of links) adopted.add(id);
  if (waiting.size + adopted.size === 0) return NO_LINKS;
  return { waits: (id) => waiting.has(id), isAdopted: (id) => adopted.has(id) };
}

export async function* linksIn(tx: StoreTx, directory: string, state: LinkState): AsyncGenerator<Link[]> {
  for (let after: Link | null = null; ; ) {
    const links: Link[] = await tx.linksInState(directory, state, after, BATCH);
    if (links.length === 0) return;
    yield links;
    after = links.at(-1)!;
  }
}

/** What was found out about the target, to be written down in one transaction. */
export interface Found {
  /** All that had no place. */
  looked: Uint8Array[];
  /** By stamp: dirpost's own. */
  stamped: Hit[];
  /** By attributes. */
  matched: Hit[];
}

export interface Decided {
  restored: number;
  adopted: number;
  waiting: number;
  ambiguous: number;
}

/** `approved`: nothing waits; the first write is approved, and this with it. */
export async function decideMatches(
  tx: StoreTx,
  directory: string,
  { looked, stamped, matched }: Found,
  approved: boolean,
): Promise<Decided> {
  const decided: Decided = { restored: 0, adopted: 0, waiting: 0, ambiguous: 0 };
  const before = await forgetOpen(tx, directory, looked);
  const again = clearOf(stamped);
  const matches = clearOf(matched.filter(({ id }) => !stamped.some((one) => Buffer.compare(one.id, id) === 0)));
  const ambiguous = [...again.ambiguous, ...matches.ambiguous];
  const isApproved = (hit: Hit) => approved || before.approved.has(pairOf(hit.id, hit.entry.anchor));
  const adopted = matches.clear.filter(isApproved);
  const waiting = matches.clear.filter((hit) => !isApproved(hit));
  await putPlaces(tx, directory, [...again.clear, ...adopted]);
  await tx.putAssociations(
    directory,
    adopted.map(({ id, entry: { dn } }) => ({ id, dn, normalizedDn: normalizeDn(dn) })),
  );
  await tx.putLinks(directory, [
    ...adopted.map((hit) => linkOf(hit, 'adopted')),
    ...waiting.map((hit) => linkOf(hit, 'found')),
    ...ambiguous.map((hit) => linkOf(hit, 'ambiguous')),
  ]);
  await refuseOpen(tx, directory, [
    ...waiting.map((hit): [Hit, string, string] => [
      hit,
      MATCH_WAITS,
      `${hit.entry.dn} may be this entry, by ${hit.by}`,
    ]),
    ...ambiguous.map((hit): [Hit, string, string] => [hit, AMBIGUOUS_MATCH, ambiguityOf(hit, ambiguous)]),
  ]);
  if (adopted.length + again.clear.length + before.count > 0) await membersMoved(tx, directory);
  const entries = new Set(ambiguous.map(({ id }) => hex(id)));
  return Object.assign(decided, {
    restored: again.clear.length,
    adopted: adopted.length,
    waiting: waiting.length,
    ambiguous: entries.size,
  });
}

/** What waited is looked at anew: who is no longer in question is written. */
async function forgetOpen(
  tx: StoreTx,
  directory: string,
  ids: Uint8Array[],
): Promise<{ approved: Set<string>; count: number }> {
  const approved = new Set<string>();
  let count = 0;
  for (let from = 0; from < ids.length; from += BATCH) {
    const batch = ids.slice(from, from + BATCH);
    const links = (await tx.links(directory, batch)).flat();
    const open = links.filter(({ state }) => state === 'found' || state === 'approved' || state === 'ambiguous');
    for (const { id, anchor, state } of links) if (state === 'approved') approved.add(pairOf(id, anchor));
    await tx.removeLinks(directory, open);
    count += open.length;
    const placed = await tx.placedById(directory, batch);
    const refused = placed.filter(
      (one) => one?.refused?.code === MATCH_WAITS || one?.refused?.code === AMBIGUOUS_MATCH,
    );
    await tx.putPlaced(
      directory,
      refused.map((one) => ({ ...one!, hash: null, refused: null })),
    );
  }
  return { approved, count };
}

/** One entry for one entry; else both are in question, with all others that they are in question with. */
function clearOf(hits: Hit[]): { clear: Hit[]; ambiguous: Hit[] } {
  const pairs = [...new Map(hits.map((hit) => [pairOf(hit.id, hit.entry.anchor), hit])).values()];
  const ofEntry = countBy(pairs, ({ id }) => hex(id));
  const ofTarget = countBy(pairs, ({ entry }) => entry.anchor);
  const isClear = ({ id, entry }: Hit) => ofEntry.get(hex(id)) === 1 && ofTarget.get(entry.anchor) === 1;
  return { clear: pairs.filter(isClear), ambiguous: pairs.filter((hit) => !isClear(hit)) };
}

function countBy(hits: Hit[], key: (hit: Hit) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const hit of hits) counts.set(key(hit), (counts.get(key(hit)) ?? 0) + 1);
  return counts;
}

function ambiguityOf({ id, entry, by }: Hit, all: Hit[]): string {
  const others = all.filter((one) => Buffer.compare(one.id, id) === 0).length - 1;
  if (others > 0) return `by ${by} it may be ${entry.dn}, or ${others} more`;
  const wanting = all.filter((one) => one.entry.anchor === entry.anchor).length - 1;
  return `by ${by} it may be ${entry.dn}, and so may ${wanting} more`;
}

async function putPlaces(tx: StoreTx, directory: string, hits: Hit[]): Promise<void> {
  await tx.putPlaced(
    directory,
    hits.map(({ id, entry: { dn, anchor } }): Placed => ({ id, place: { dn, anchor }, hash: null, refused: null })),
  );
}

async function refuseOpen(tx: StoreTx, directory: string, open: [Hit, string, string][]): Promise<void> {
  const rows = new Map(
    open.map(([{ id }, code, reason]): [string, Placed] => [
      hex(id),
      { id, place: null, hash: null, refused: { code, reason } },
    ]),
  );
  await tx.putPlaced(directory, [...rows.values()]);
}

/** How many wait no longer. They are taken with the next write. */
export async function approveMatches(tx: StoreTx, directory: string): Promise<number> {
  const found: Link[] = [];
  for await (const links of linksIn(tx, directory, 'found')) found.push(...links);
  await tx.putLinks(
    directory,
    found.map((link) => ({ ...link, state: 'approved' })),
  );
  if (found.length > 0) await membersMoved(tx, directory);
  return found.length;
}

/** Of entries that went from the network: what stood there before stays there, and is nobody's. Gives those that are to be removed. */
export async function unlinkGone(
  store: Store,
  { name, links, adopted }: Pick<SubscribingOptions, 'name' | 'links' | 'adopted'>,
  ids: Uint8Array[],
): Promise<Uint8Array[]> {
  const staying = adopted?.delete === true ? [] : ids.filter((id) => links?.isAdopted(id) === true);
  for (let from = 0; from < staying.length; from += BATCH) {
    const batch = staying.slice(from, from + BATCH);
    await store.transaction(async (tx) => {
      await tx.removePlaced(name, batch);
      await tx.removeAssociations(name, batch);
      await forgetAdopted(
        tx,
        name,
        batch.map((id) => ({ id })),
      );
      await membersMoved(tx, name);
    });
  }
  return staying.length === 0 ? ids : ids.filter((id) => links?.isAdopted(id) !== true);
}

/** What stood there before stays, and is nobody's: the directory is written no more. */
export async function releaseAdopted(tx: StoreTx, directory: string): Promise<void> {
  for await (const links of linksIn(tx, directory, 'adopted')) {
    const ids = links.map(({ id }) => id);
    await tx.removePlaced(directory, ids);
    await tx.removeAssociations(directory, ids);
  }
  await tx.clearLinks(directory);
}

/** What was done with entries that stood there before. `changes` and `outcomes` go in pairs. */
export async function recordAdopted(
  tx: StoreTx,
  directory: string,
  changes: DirectoryChange[],
  outcomes: WriteOutcome[],
): Promise<void> {
  const written = changes
    .map((change, i) => ({ ...change, stands: outcomes[i]!.place, isWritten: standsWritten(outcomes[i]!) }))
    .filter(({ adopted, isWritten }) => adopted === true && isWritten);
  if (written.length === 0) return;
  await forgetAdopted(
    tx,
    directory,
    written.filter(({ action }) => action === 'remove'),
  );
  const standing = written.filter(({ action }) => action === 'put');
  const links = await tx.links(
    directory,
    standing.map(({ id }) => id),
  );
  // He may have another name now, or an administrator moved him.
  const moved = links.flatMap((some, i) => {
    const dn = standing[i]!.stands?.dn;
    const link = some.find(({ state }) => state === 'adopted');
    return dn === undefined || link === undefined || link.dn === dn ? [] : [{ ...link, dn }];
  });
  await tx.putLinks(directory, moved);
  await tx.putAssociations(
    directory,
    moved.map(({ id, dn }) => ({ id, dn, normalizedDn: normalizeDn(dn) })),
  );
}

async function forgetAdopted(tx: StoreTx, directory: string, entries: { id: Uint8Array }[]): Promise<void> {
  const links = await tx.links(
    directory,
    entries.map(({ id }) => id),
  );
  await tx.removeLinks(
    directory,
    links.flat().filter(({ state }) => state === 'adopted'),
  );
}

/** The administrator's word: the entry at that DN is not that one, now or ever. null: nothing is linked to it. */
export async function unlink(
  tx: StoreTx,
  directory: string,
  dn: string,
  id: Uint8Array | null = null,
): Promise<Link | null> {
  const links = await linksAt(tx, directory, dn, ['adopted', 'approved', 'found', 'ambiguous']);
  const [link, ...others] = id === null ? links : links.filter((one) => Buffer.compare(one.id, id) === 0);
  if (link === undefined) return null;
  if (others.length > 0) {
    throw new DirpostError('wrong-use', `${dn} may be several entries of the network.`, {
      hint: `Say which it is not, with --entry: ${[link, ...others].map((one) => hex(one.id)).join(', ')}`,
    });
  }
  await tx.putLinks(directory, [{ ...link, state: 'unlinked' }]);
  if (link.state === 'adopted') await tx.removeAssociations(directory, [link.id]);
  const [placed] = await tx.placedById(directory, [link.id]);
  if (placed !== undefined) await tx.removePlaced(directory, [link.id]);
  await membersMoved(tx, directory);
  return link;
}

/** Takes back what `unlink` said of that entry. */
export async function linkAgain(tx: StoreTx, directory: string, dn: string): Promise<Link[]> {
  const links = await linksAt(tx, directory, dn, ['unlinked']);
  await tx.removeLinks(directory, links);
  const ids = links.map(({ id }) => id);
  const placed = await tx.placedById(directory, ids);
  await tx.removePlaced(
    directory,
    ids.filter((_, i) => placed[i]?.place === null),
  );
  if (links.length > 0) await membersMoved(tx, directory);
  return links;
}

async function linksAt(tx: StoreTx, directory: string, dn: string, states: LinkState[]): Promise<Link[]> {
  const wanted = normalizeDn(dn);
  const found: Link[] = [];
  for (const state of states) {
    for await (const links of linksIn(tx, directory, state)) {
      found.push(...links.filter((link) => normalizeDn(link.dn) === wanted));
    }
  }
  return found;
}

/** These two are not the same, as an administrator said. */
export async function withoutUnlinked(tx: StoreTx, directory: string, hits: Hit[]): Promise<Hit[]> {
  const kept: Hit[] = [];
  for (let from = 0; from < hits.length; from += BATCH) {
    const batch = hits.slice(from, from + BATCH);
    const links = await tx.links(
      directory,
      batch.map(({ id }) => id),
    );
    kept.push(
      ...batch.filter(
        ({ entry }, i) => !links[i]!.some(({ state, anchor }) => state === 'unlinked' && anchor === entry.anchor),
      ),
    );
  }
  return kept;
}

function linkOf({ id, entry: { anchor, dn }, by }: Hit, state: LinkState): Link {
  return { id, anchor, dn, state, by };
}

function pairOf(id: Uint8Array, anchor: string): string {
  return `${hex(id)} ${anchor}`;
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
