/**
 * T0: who was taken for somebody else under another key (recognise.ts), and of whom an administrator says that he is not
 * (`dirpost unlink`). From the next read on, which is a whole one, his own key gives him his entry id: the entry that he was taken
 * for is missing and leaves the network, and he comes as a new one, both within the limits.
 */
import { normalizeDn } from './dn.ts';
import { saveReadBase } from './read-base.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

/** Of each directory; the oldest words are forgotten: by then one of the two is published no more. */
const MOST = 1_000;

/** In hexadecimal digits. `key`: the entry id that derives from the key; `id`: of the entry that it is not. */
interface Pair {
  key: string;
  id: string;
  dn: string;
}

const apartDocument = (directory: string) => `apart/${directory}`;

async function pairsOf(tx: StoreTx, directory: string): Promise<Pair[]> {
  return (await tx.getDocument<Pair[]>(apartDocument(directory))) ?? [];
}

/** Whether the entry that has this key is not that one, as an administrator said. */
export async function loadApart(tx: StoreTx, directory: string): Promise<(key: Uint8Array, id: Uint8Array) => boolean> {
  const pairs = new Set((await pairsOf(tx, directory)).map(({ key, id }) => `${key} ${id}`));
  return (key, id) => pairs.has(`${hex(key)} ${hex(id)}`);
}

export interface PublishedAt {
  row: EntryRow;
  dn: string;
  /** The entry id that derives from the key that it has now; null: it has had that key from the beginning. */
  key: Uint8Array | null;
}

/** What a directory that is read publishes of the entry at that DN, as of the last read; null: nothing. */
export async function publishedAt(tx: StoreTx, directory: string, dn: string): Promise<PublishedAt | null> {
  const [association] = await tx.associationsByDn(directory, [normalizeDn(dn)]);
  if (association === undefined) return null;
  const [row] = await tx.entriesById('published', [association.id]);
  if (row === undefined || row.deleted || row.note !== directory) return null;
  const [alias] = await tx.aliasesById(directory, [row.id]);
  return { row, dn: association.dn, key: alias?.key ?? null };
}

/** He is not whom he was taken for, now or ever. */
export async function setApart(
  tx: StoreTx,
  directory: string,
  { key, id, dn }: { key: Uint8Array; id: Uint8Array; dn: string },
): Promise<void> {
  const pair: Pair = { key: hex(key), id: hex(id), dn };
  const others = (await pairsOf(tx, directory)).filter((one) => one.key !== pair.key || one.id !== pair.id);
  await tx.putDocument(apartDocument(directory), [...others, pair].slice(-MOST));
  await tx.removeAliases(directory, [id]);
  await saveReadBase(tx, directory, null);
}

/** Takes back what setApart said of the entry at that DN: the next read may take him for them again. The ids of those. */
export async function bringTogether(tx: StoreTx, directory: string, dn: string): Promise<Uint8Array[]> {
  const pairs = await pairsOf(tx, directory);
  const wanted = normalizeDn(dn);
  const back = pairs.filter((one) => normalizeDn(one.dn) === wanted);
  if (back.length === 0) return [];
  await tx.putDocument(
    apartDocument(directory),
    pairs.filter((one) => !back.includes(one)),
  );
  await saveReadBase(tx, directory, null);
  return back.map(({ id }) => Buffer.from(id, 'hex'));
}

export async function forgetApart(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(apartDocument(directory));
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
