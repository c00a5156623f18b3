/**
 * T0: who came under a key that nobody knows is looked for among those who are missing. A directory that was reloaded from LDIF,
 * or moved to another server, gives all its entries new keys: without this it would be a removal of everybody and as many
 * new entries. Who is recognised keeps his entry id; his new key is remembered (aliases.ts).
 *
 *   newcomers ─┐ by attribute, in the order of the configuration; groups at last by DN
 *   missing  ──┴─▶ one of each with a value ─▶ the same entry │ several of either ─▶ ambiguous │ else ─▶ new, and removed
 *
 * Only an attribute with exactly one value counts, kinds are the same, and a pair that an earlier attribute tells apart is none.
 * Who is ambiguous is tried by no other attribute: it is better to remove and add, within the limits, than to give somebody
 * another's entry.
 */
import { hash as oneShotHash } from 'node:crypto';
import { loadApart } from './apart.ts';
import { comparedAttributes, comparedHash, type ComparedValue, comparedValues } from './compared-values.ts';
import { encodeEntry, decodeEntry, entryHash, kindOf } from './entry.ts';
import { safelyNormalized } from './follow-members.ts';
import type { ReadTally } from './read-tally.ts';
import type { EntryRow, StagedEntry, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
/** So many of the missing are compared at once; with more the entries are passed over several times. */
const COMPARED_AT_ONCE = 200_000;

export interface AmbiguousMatch {
  attribute: string;
  /** DN of one of those who came, and of one of those who are missing; and how many there are of both with that value. */
  came: string;
  missing: string;
  cameCount: number;
  missingCount: number;
}

export interface Recognising {
  directory: string;
  /** Names of other directories of which some of the missing are. */
  alsoIn: ReadonlySet<string>;
  match: readonly string[];
  tally: ReadTally;
  /** Numbers of rows in what is published. */
  missing: number[];
}

type Positioned = StagedEntry & { position: number };

/** The missing rows that are not missing: what was staged for them has their ids from now on. */
export async function recognise(tx: StoreTx, recognising: Recognising): Promise<EntryRow[]> {
  const { match, missing } = recognising;
  if (match.length === 0 || missing.length === 0) return [];
  const came = await newcomers(tx, recognising);
  if (came.length === 0) return [];
  const isApart = await loadApart(tx, recognising.directory);
  const work: Comparing = { ...recognising, came, isApart, settledMissing: new Set(), settledCame: new Set() };
  const recognised: EntryRow[] = [];
  const attributes = match.map((name) => comparedAttributes([name])[0]!);
  for (const [i, attribute] of attributes.entries()) {
    const pairs = await pairsBy(tx, work, attribute);
    recognised.push(...(await takePairs(tx, work, pairs, attributes.slice(0, i))));
  }
  recognised.push(...(await takePairs(tx, work, await groupsByDn(tx, work), attributes)));
  return recognised;
}

interface Comparing extends Recognising {
  /** Positions in what is staged, ascending. */
  came: number[];
  /** Recognised, or ambiguous. */
  settledMissing: Set<number>;
  settledCame: Set<number>;
  isApart: (key: Uint8Array, id: Uint8Array) => boolean;
}

interface Pair {
  number: number;
  position: number;
}

/** Nothing was ever published under their ids. */
async function newcomers(tx: StoreTx, { directory, tally }: Recognising): Promise<number[]> {
  const positions: number[] = [];
  for (let after = 0; ; ) {
    const staged = await tx.stagedEntries(directory, after, BATCH);
    if (staged.length === 0) return positions;
    after = staged.at(-1)!.position;
    const rows = await tx.entriesById(
      'published',
      staged.map(({ id }) => id),
    );
    for (const [i, { id, position }] of staged.entries())
      if (rows[i] === undefined && !tally.refused.has(Buffer.from(id).toString('hex'))) positions.push(position);
  }
}

interface Sharing {
  missing: number;
  missingCount: number;
  came: number;
  cameCount: number;
}

async function pairsBy(tx: StoreTx, work: Comparing, attribute: string): Promise<Pair[]> {
  const pairs: Pair[] = [];
  const parts = Math.ceil(work.missing.length / COMPARED_AT_ONCE);
  for (let part = 0; part < parts; part++) {
    const shared = new Map<string, Sharing>();
    const valueOf = (bytes: Uint8Array) => {
      const value = singleValue(bytes, attribute);
      return value === null || value[0]! % parts !== part ? null : value.toString('latin1');
    };
    for await (const { number, bytes } of missingRows(tx, work)) {
      const value = valueOf(bytes!);
      if (value === null) continue;
      const sharing = shared.get(value);
      if (sharing !== undefined) sharing.missingCount++;
      else shared.set(value, { missing: number, missingCount: 1, came: 0, cameCount: 0 });
    }
    for await (const { position, bytes } of stagedNewcomers(tx, work)) {
      const sharing = shared.get(valueOf(bytes) ?? '');
      if (sharing === undefined) continue;
      if (sharing.cameCount++ === 0) sharing.came = position;
    }
    const ambiguous = new Map<string, Sharing>();
    for (const [value, sharing] of shared) {
      if (sharing.cameCount === 1 && sharing.missingCount === 1)
        pairs.push({ number: sharing.missing, position: sharing.came });
      else if (sharing.cameCount > 0) ambiguous.set(value, sharing);
    }
    if (ambiguous.size > 0) await leaveAmbiguous(tx, work, attribute, ambiguous, valueOf);
  }
  return pairs;
}

async function leaveAmbiguous(
  tx: StoreTx,
  work: Comparing,
  attribute: string,
  ambiguous: Map<string, Sharing>,
  valueOf: (bytes: Uint8Array) => string | null,
): Promise<void> {
  const { directory, tally, settledMissing, settledCame } = work;
  for (const sharing of ambiguous.values()) {
    const [one] = await tx.stagedEntries(directory, sharing.came - 1, 1);
    const [row] = await tx.entriesByNumber('published', [sharing.missing]);
    const [association] = await tx.associationsById(directory, [row!.id]);
    const { cameCount, missingCount } = sharing;
    tally.tellAmbiguous({ attribute, came: one!.dn, missing: association?.dn ?? '', cameCount, missingCount });
  }
  for await (const { number, bytes } of missingRows(tx, work))
    if (ambiguous.has(valueOf(bytes!) ?? '')) settledMissing.add(number);
  for await (const { position, bytes } of stagedNewcomers(tx, work))
    if (ambiguous.has(valueOf(bytes) ?? '')) settledCame.add(position);
}

/** A group may have nothing but its name. */
async function groupsByDn(tx: StoreTx, work: Comparing): Promise<Pair[]> {
  const missing = new Set(work.missing);
  const pairs: Pair[] = [];
  for await (const { dn, bytes, position } of stagedNewcomers(tx, work)) {
    if (kindOf(bytes) !== 'group') continue;
    for (const name of [work.directory, ...work.alsoIn]) {
      const [holder] = await tx.associationsByDn(name, [safelyNormalized(dn)]);
      const [row] = holder === undefined ? [] : await tx.entriesById('published', [holder.id]);
      if (row === undefined || !missing.has(row.number) || work.settledMissing.has(row.number)) continue;
      if (kindOf(row.bytes!) !== 'group') continue;
      missing.delete(row.number);
      pairs.push({ number: row.number, position });
      break;
    }
  }
  return pairs;
}

/** `earlier`: none of these may tell them apart. */
async function takePairs(tx: StoreTx, work: Comparing, pairs: Pair[], earlier: string[]): Promise<EntryRow[]> {
  const { directory, tally, settledMissing, settledCame, isApart } = work;
  const taken: EntryRow[] = [];
  for (let from = 0; from < pairs.length; from += BATCH) {
    const batch = pairs.slice(from, from + BATCH);
    const rows = await tx.entriesByNumber(
      'published',
      batch.map(({ number }) => number),
    );
    const renamed: Positioned[] = [];
    const aliases = [];
    for (const [i, { number, position }] of batch.entries()) {
      const row = rows[i]!;
      const [staged] = await tx.stagedEntries(directory, position - 1, 1);
      if (isApart(staged!.id, row.id)) continue;
      if (earlier.some((attribute) => tellsApart(attribute, row.bytes!, staged!.bytes))) continue;
      aliases.push({ key: staged!.id, id: row.id });
      const bytes = encodeEntry({ ...decodeEntry(staged!.bytes), id: row.id });
      renamed.push({ ...staged!, id: row.id, bytes, hash: entryHash(bytes) });
      settledMissing.add(number);
      settledCame.add(position);
      tally.seen.add(row.id);
      taken.push({ ...row, bytes: null });
    }
    await tx.replaceStaged(directory, renamed);
    await tx.putAliases(directory, aliases);
  }
  return taken;
}

function tellsApart(attribute: string, one: Uint8Array, other: Uint8Array): boolean {
  const [a, b] = [singleValue(one, attribute), singleValue(other, attribute)];
  return a !== null && b !== null && !a.equals(b);
}

/** In 16 octets, together with the kind; null: it has none, or several. */
function singleValue(bytes: Uint8Array, attribute: string): Buffer | null {
  const only = onlyValue(bytes, attribute);
  const value = only === null ? null : comparedHash(only);
  if (value === null) return null;
  return oneShotHash('sha256', Buffer.concat([Buffer.from(kindOf(bytes)), value]), 'buffer').subarray(0, 16);
}

/** `attribute`: as it is compared. null: the entry has none, or several. */
export function onlyValue(bytes: Uint8Array, attribute: string): ComparedValue | null {
  // Other addresses of a mailbox are not the one by which somebody is known.
  const values = comparedValues(bytes, new Set([attribute])).filter((one) => isOf(one.description, attribute));
  return values.length === 1 ? values[0]! : null;
}

function isOf(description: string, attribute: string): boolean {
  return comparedAttributes([description])[0] === attribute;
}

async function* missingRows(tx: StoreTx, { missing, settledMissing }: Comparing): AsyncGenerator<EntryRow> {
  for (let from = 0; from < missing.length; from += BATCH) {
    const numbers = missing.slice(from, from + BATCH).filter((number) => !settledMissing.has(number));
    for (const row of await tx.entriesByNumber('published', numbers)) yield row!;
  }
}

async function* stagedNewcomers(tx: StoreTx, { directory, came, settledCame }: Comparing): AsyncGenerator<Positioned> {
  let next = 0;
  for (let after = (came[0] ?? 1) - 1; next < came.length; ) {
    const staged = await tx.stagedEntries(directory, after, BATCH);
    if (staged.length === 0) return;
    after = staged.at(-1)!.position;
    for (const one of staged) {
      if (one.position !== came[next]) continue;
      next++;
      if (!settledCame.has(one.position)) yield one;
    }
  }
}
