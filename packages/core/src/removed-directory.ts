/**
 * Directories that were taken out of the configuration. By itself nothing happens to what they published (T0) or got (T3): a
 * line that is missing in a file by mistake shall cost nobody anything. An administrator says what becomes of it:
 *
 *   published ─┬─ keepDirectory ──────▶ stays published; a directory that reads the same entries takes them over (publish-read.ts)
 *              └─ withdrawDirectory ──▶ tombstones, each with its seq: they leave the network with the next exchange
 *   written   ─┬─ forgetWritten ──────▶ stays in the directory
 *              └─ plannedWithdrawal ──▶ removals, while it is still configured; then forgetWritten
 *
 * Each of them is done in one transaction, and may be done again.
 */
import { forgetApart } from './apart.ts';
import { disapproveDirectory } from './approve.ts';
import { CONTAINER } from './compare-placed.ts';
import { DigestSum } from './digest.ts';
import { normalizeDn } from './dn.ts';
import type { FinishedRead } from './finished-read.ts';
import { loadTargetLinks } from './match-targets.ts';
import type { SubscribingOptions } from './plan.ts';
import { forgetPlanned, membersMoved } from './planned-state.ts';
import { saveReadBase } from './read-base.ts';
import { loadOwn, saveOwn } from './requestor-record.ts';
import type { DirectoryChange, WriteOutcome } from './seams/directory.ts';
import type { EntryRow, Placed, Store, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

/** A directory whose entries stay published although nobody reads it any more. */
export interface KeptDirectory {
  name: string;
  entries: number;
  /** When that was said, ms since 1970. */
  sinceMs: number;
}

const KEPT = 'kept directory/';
const keptDocument = (directory: string) => `${KEPT}${directory}`;
/** In the place of the directory that an entry comes from (EntryRow.note); no name of a directory has a colon. */
const KEPT_NOTE = 'kept:';
const keptNote = (directory: string) => `${KEPT_NOTE}${directory}`;

export async function keptDirectories(tx: StoreTx): Promise<KeptDirectory[]> {
  const kept: KeptDirectory[] = [];
  for (const name of await tx.documentNames(KEPT)) kept.push((await tx.getDocument<KeptDirectory>(name))!);
  return kept;
}

/** Of an entry that is kept: the directory that it came from. Else null. */
export function keptFrom(note: string | null): string | null {
  return note?.startsWith(KEPT_NOTE) === true ? note.slice(KEPT_NOTE.length) : null;
}

/** What it published stays so, and no read ever removes it. How many entries. */
export async function keepDirectory(tx: StoreTx, directory: string, nowMs: number): Promise<number> {
  let entries = 0;
  for await (const rows of publishedFrom(tx, [directory])) {
    await tx.putEntries(
      'published',
      rows.map((row) => ({ ...row, note: keptNote(directory), held: null })),
    );
    entries += rows.length;
  }
  const own = await loadOwn(tx);
  delete own.heldAtCollect[directory];
  await saveOwn(tx, own);
  await countKept(tx, directory, entries, nowMs);
  return entries;
}

/**
 * What is kept is read from another directory now, as when one got another name, or from that of old, which is back: nothing changes
 * by it but the notes of these rows.
 */
export async function takeOverKept(
  tx: StoreTx,
  directory: string,
  rows: (EntryRow | undefined)[],
  { aliases, context }: Pick<FinishedRead, 'aliases' | 'context'>,
): Promise<void> {
  const taken = rows.filter((row): row is EntryRow => row?.deleted === false && keptFrom(row.note) !== null);
  if (taken.length === 0) return;
  for (const from of new Set(taken.map(({ note }) => keptFrom(note)!))) {
    const ids = taken.filter(({ note }) => keptFrom(note) === from).map(({ id }) => id);
    await countKept(tx, from, -ids.length, context.clock.now());
    await aliases.takeOver(tx, from, ids);
    if (from !== directory) await tx.removeAssociations(from, ids);
  }
  for (const row of taken) row.note = directory;
  await tx.putEntries('published', taken);
}

/** `nowMs`: when it began to be kept. */
async function countKept(tx: StoreTx, name: string, more: number, nowMs: number): Promise<void> {
  const known = await tx.getDocument<KeptDirectory>(keptDocument(name));
  const entries = (known?.entries ?? 0) + more;
  if (entries > 0) await tx.putDocument(keptDocument(name), { name, entries, sinceMs: known?.sinceMs ?? nowMs });
  else await tx.removeDocument(keptDocument(name));
}

/**
 * What it published is published no more: an administrator said so, and no limit holds it here. The server and the other
 * postoffices have limits of their own. `only`: what is kept of it; else also what is not. How many entries.
 */
export async function withdrawDirectory(tx: StoreTx, directory: string, only?: 'kept'): Promise<number> {
  const own = await loadOwn(tx);
  const sum = DigestSum.from(own.digest);
  let entries = 0;
  const notes = [keptNote(directory), ...(only === 'kept' ? [] : [directory])];
  for await (const rows of publishedFrom(tx, notes)) {
    for (const row of rows) sum.subtract(row.hash);
    await tx.putEntries(
      'published',
      rows.map((row) => ({ ...row, seq: ++own.seq, deleted: true, bytes: null, changed: null, held: null })),
    );
    entries += rows.length;
  }
  own.live -= entries;
  own.digest = sum.digest();
  if (only !== 'kept') delete own.heldAtCollect[directory];
  await saveOwn(tx, own);
  await tx.removeDocument(keptDocument(directory));
  return entries;
}

/** Not an entry of the network: what others lie below. */
export function isContainer({ place }: Pick<Placed, 'place'>): boolean {
  return place?.anchor === CONTAINER;
}

/**
 * What reads of it remember. `associations` and `aliases`: they too; not where its entries are kept, since these may be taken over under
 * the keys and DNs that they have now. No associations either where a directory of the same name is still written.
 */
export async function forgetRead(
  tx: StoreTx,
  directory: string,
  { associations = true, aliases = true } = {},
): Promise<void> {
  await saveReadBase(tx, directory, null);
  await tx.clearStaged(directory);
  if (aliases) await tx.clearAliases(directory);
  await forgetApart(tx, directory);
  if (associations) await tx.clearAssociations(directory);
}

/** What writes into it remember; an approval of its first write, too. `associations`: as above. */
export async function forgetWritten(tx: StoreTx, directory: string, { associations = true } = {}): Promise<void> {
  await tx.clearPlaced(directory);
  await tx.clearLinks(directory);
  await tx.clearWatched(directory);
  await forgetPlanned(tx, directory);
  await disapproveDirectory(tx, directory);
  await endWithdrawal(tx, directory);
  if (associations) await tx.clearAssociations(directory);
}

/**
 * Removes from a directory that is written entry by entry all that stands there by dirpost, then the containers of the
 * postoffices; that in which they are stays, since it may be there for others or have rights given to it. Who stood there before
 * and was adopted (match-targets.ts) stays. To be repeated while
 * something goes: what has others below it goes last. For recordWithdrawn.
 */
export async function* plannedWithdrawal(
  store: Store,
  { name, container }: Pick<SubscribingOptions, 'name' | 'container'>,
): AsyncGenerator<DirectoryChange> {
  const top = normalizeDn(container);
  const { isAdopted } = await store.read((tx) => loadTargetLinks(tx, name));
  const containers: DirectoryChange[] = [];
  for (let after: Uint8Array | null = null; ; ) {
    const from: Uint8Array | null = after;
    const rows: Placed[] = await store.read((tx) => tx.scanPlaced(name, from, BATCH));
    if (rows.length === 0) break;
    after = rows.at(-1)!.id;
    for (const { id, place } of rows) {
      if (place === null || isAdopted(id)) continue;
      const removal = { id, action: 'remove' as const, dn: place.dn, attributes: new Map() };
      if (!isContainer({ place })) yield { ...removal, place };
      else if (normalizeDn(place.dn) !== top) {
        containers.push({ ...removal, kind: 'container', place: { dn: place.dn, anchor: '' } });
      }
    }
  }
  yield* containers;
}

/** In one transaction for many outcomes of plannedWithdrawal; they go in pairs with `changes`. */
export async function recordWithdrawn(
  tx: StoreTx,
  directory: string,
  changes: DirectoryChange[],
  outcomes: WriteOutcome[],
): Promise<void> {
  const gone = changes.filter((_, i) => outcomes[i]!.result === 'written').map(({ id }) => id);
  await tx.removePlaced(directory, gone);
  await tx.removeAssociations(directory, gone);
  await tx.removeWatched(directory, gone);
  const stayed = changes.flatMap(({ id, kind, place }, i): Placed[] => {
    const { result, code = 'refused', reason = '' } = outcomes[i]!;
    if (result === 'written' || kind === 'container') return [];
    return [{ id, place: place ?? null, hash: null, refused: { code, reason } }];
  });
  await tx.putPlaced(directory, stayed);
  // Whoever is written again needs his groups to be looked at, too.
  await membersMoved(tx, directory);
}

const withdrawnDocument = (directory: string) => `withdrawn/${directory}`;

/** Whether an administrator had everything removed from it: nothing is written there until he approves it anew. */
export async function isWithdrawn(tx: StoreTx, directory: string): Promise<boolean> {
  return (await tx.getDocument(withdrawnDocument(directory))) === true;
}

/** Before the first removal: after a crash nothing of it is written again. */
export async function beginWithdrawal(tx: StoreTx, directory: string): Promise<void> {
  await tx.putDocument(withdrawnDocument(directory), true);
}

export async function endWithdrawal(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(withdrawnDocument(directory));
}

/** Live entries; they may be changed meanwhile. */
async function* publishedFrom(tx: StoreTx, notes: string[]): AsyncGenerator<EntryRow[]> {
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('published', after, BATCH);
    if (rows.length === 0) return;
    after = rows.at(-1)!.number;
    const live = rows.filter(({ deleted, note }) => !deleted && notes.includes(note ?? ''));
    if (live.length > 0) yield live;
  }
}
