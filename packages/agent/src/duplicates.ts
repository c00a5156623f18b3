/**
 * People who look like one: entries with the same mail, uid or employee number, among what this postoffice publishes and
 * across the network as far as it is known here; compared as LDAP compares (core/src/compared-values.ts). At the server the
 * network is what was collected, elsewhere the replica.
 *
 *   one pass   48 bits of a hash of each value, and the place of its entry: two numbers, nothing else is kept in memory
 *   sorted     hashes that stand there twice clash
 *   then       the entries that clash, value by value
 */
import { randomInt } from 'node:crypto';
import {
  comparedAttributes,
  comparedText,
  comparedValues,
  decodeEntry,
  type EntryRow,
  hashOfText,
  hasHash,
  loadOwn,
  loadServer,
  type PostofficeName,
  shownBytes,
  type StoreTx,
  ValueReader,
  isEdit,
} from '@dirpost/core';
import type { Progress } from './events.ts';
import { describe } from './explain/find.ts';
import type { Postoffice } from './postoffice.ts';

export const COMPARED = ['mail', 'uid', 'employeeNumber'];

const BATCH = 2_000;
/** Entries with one value that are named; of more only their number is told. */
const MOST_NAMED = 1_000;
const HASH_RANGE = 2 ** 48;
/** A place is owner × this + number of the entry. */
const NUMBER_RANGE = 2 ** 40;

export interface DuplicateEntry {
  id: string;
  owner: PostofficeName;
  kind: string;
  name: string | null;
  dn: string | null;
  /** At the server, of a value that must be unique: another owner had it first, so the lists show this entry without it. */
  withheld: boolean;
}

export interface Duplicate {
  attribute: string;
  /** As it is compared. */
  value: string;
  /** `here`: all entries are of this postoffice. `network`: of several. `elsewhere`: all of another (at the server). */
  where: 'here' | 'network' | 'elsewhere';
  count: number;
  entries: DuplicateEntry[];
}

/** How many values of an attribute several entries have: entries of this postoffice, and of several postoffices. */
export interface DuplicateCount {
  attribute: string;
  here: number;
  network: number;
}

export interface FoundDuplicates {
  counts: DuplicateCount[];
  /** By attribute. */
  each(): AsyncGenerator<Duplicate>;
}

interface Options {
  attributes?: readonly string[];
  progress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

/** All within one transaction, in which `each` has to be used, too. */
export async function findDuplicates(
  tx: StoreTx,
  postoffice: Postoffice,
  options: Options = {},
): Promise<FoundDuplicates> {
  const search = new Search(tx, postoffice, options);
  return search.run();
}

class Search {
  readonly #attributes: string[];
  readonly #reader: ValueReader;
  readonly #owners: PostofficeName[];
  readonly #others: 'collected' | 'replica';
  readonly #seed = randomInt(2 ** 32);
  #done = 0;

  constructor(
    private readonly tx: StoreTx,
    postoffice: Postoffice,
    private readonly options: Options,
  ) {
    this.#attributes = comparedAttributes(options.attributes ?? COMPARED);
    this.#reader = new ValueReader(this.#attributes);
    // This postoffice has the number 0.
    this.#owners = [postoffice.name];
    this.#others = postoffice.server === null ? 'replica' : 'collected';
  }

  async run(): Promise<FoundDuplicates> {
    const hashes = new Numbers();
    const places = new Numbers();
    await this.#pass((place, own) => {
      for (const hash of own) {
        hashes.push(hash);
        places.push(place);
      }
    });
    const clashes = repeated(hashes.sorted());
    const clashing = new Float64Array(clashes.total);
    const filled = Uint32Array.from(clashes.starts);
    for (const [i, hash] of hashes.all().entries()) {
      const at = indexOf(clashes.values, hash);
      if (at >= 0) clashing[filled[at]!++] = places.all()[i]!;
    }
    const groups: Group[] = [];
    for (const [i, hash] of clashes.values.entries()) {
      groups.push({ hash, from: clashes.starts[i]!, to: filled[i]! });
    }
    return { counts: this.#count(groups, clashing), each: () => this.#each(groups, clashing) };
  }

  async #pass(take: (place: number, hashes: Set<number>) => void): Promise<void> {
    for (const table of ['published', this.#others] as const) {
      for (let after = 0; ; ) {
        this.options.signal?.throwIfAborted();
        const rows = await this.tx.scanEntries(table, after, BATCH);
        if (rows.length === 0) break;
        after = rows.at(-1)!.number;
        for (const row of rows) {
          // Its own it knows better than the server's last word of them.
          if (table !== 'published' && row.owner === this.#owners[0]) continue;
          const hashes = this.#hashes(row);
          if (hashes.size > 0) take(this.#ownerNumber(row.owner) * NUMBER_RANGE + row.number, hashes);
        }
        this.#done += rows.length;
        this.options.progress?.({ what: 'looking for duplicates', done: this.#done });
      }
    }
  }

  #hashes(row: EntryRow): Set<number> {
    const bytes = shownBytes(row);
    const hashes = new Set<number>();
    // What an edit proposes is nobody's value yet.
    if (bytes === null || isEdit(bytes)) return hashes;
    for (const value of this.#reader.values(bytes)) {
      const text = comparedText(value);
      if (text === null) continue;
      hashes.add(this.#attributes.indexOf(value.attribute) * HASH_RANGE + this.#hashOf(text));
    }
    return hashes;
  }

  /** Of 48 bits. With another seed each time: what collides once does not do so again. */
  #hashOf(text: string): number {
    let [a, b] = [this.#seed, ~this.#seed];
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(((a << 5) | (a >>> 27)) ^ unit, 0x9e3779b1);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ unit, 0x85ebca6b);
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
    b = Math.imul(b ^ (b >>> 16), 0x9e3779b1) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    return ((a ^ (a >>> 16)) >>> 0) * 2 ** 16 + (b >>> 16);
  }

  #ownerNumber(owner: PostofficeName): number {
    const known = this.#owners.indexOf(owner);
    return known >= 0 ? known : this.#owners.push(owner) - 1;
  }

  #count(groups: Group[], places: Float64Array): DuplicateCount[] {
    const counts = this.#attributes.map((attribute) => ({ attribute, here: 0, network: 0 }));
    for (const { hash, from, to } of groups) {
      const count = counts[Math.floor(hash / HASH_RANGE)]!;
      const owners = new Set<number>();
      let own = 0;
      for (let at = from; at < to; at++) {
        const owner = Math.floor(places[at]! / NUMBER_RANGE);
        owners.add(owner);
        if (owner === 0) own++;
      }
      if (own > 1) count.here++;
      if (owners.size > 1) count.network++;
    }
    return counts;
  }

  async *#each(groups: Group[], places: Float64Array): AsyncGenerator<Duplicate> {
    for (const { hash, from, to } of groups) {
      const attribute = this.#attributes[Math.floor(hash / HASH_RANGE)]!;
      const named = places.subarray(from, Math.min(to, from + MOST_NAMED));
      const byText = await this.#load(attribute, hash, named);
      for (const [value, entries] of byText) {
        // What only shares the hash is no duplicate.
        if (entries.length < 2) continue;
        const owners = new Set(entries.map(({ owner }) => owner));
        const here = owners.has(this.#owners[0]!);
        const where = owners.size > 1 ? 'network' : here ? 'here' : 'elsewhere';
        if (where === 'elsewhere' && this.#others === 'replica') continue;
        yield { attribute, value, where, count: byText.size === 1 ? to - from : entries.length, entries };
      }
    }
  }

  async #load(attribute: string, hash: number, places: Float64Array): Promise<Map<string, DuplicateEntry[]>> {
    const byText = new Map<string, DuplicateEntry[]>();
    const numbersOf = (own: boolean) =>
      [...places].filter((place) => place < NUMBER_RANGE === own).map((place) => place % NUMBER_RANGE);
    const published = await this.tx.entriesByNumber('published', numbersOf(true));
    const others = await this.tx.entriesByNumber(this.#others, numbersOf(false));
    const standings =
      this.#others === 'replica'
        ? []
        : await this.tx.entriesById(
            'collected',
            published.map((row) => row!.id),
          );
    for (const [i, row] of [...published, ...others].entries()) {
      const bytes = shownBytes(row!)!;
      for (const text of this.#textsOf(bytes, attribute, hash)) {
        const { id, owner, kind } = decodeEntry(bytes);
        const { name, dn } = describe(decodeEntry(bytes));
        const standing = i < published.length ? standings[i] : row;
        const entry = { id: Buffer.from(id).toString('hex'), owner, kind, name, dn };
        const withheld = standing !== undefined && this.#isWithheld(standing, attribute, text);
        byText.set(text, [...(byText.get(text) ?? []), { ...entry, withheld }]);
      }
    }
    return byText;
  }

  #textsOf(bytes: Uint8Array, attribute: string, hash: number): Set<string> {
    const texts = new Set<string>();
    for (const value of comparedValues(bytes, new Set([attribute]))) {
      const text = comparedText(value);
      if (text === null) continue;
      if (this.#hashOf(text) === hash % HASH_RANGE) texts.add(text);
    }
    return texts;
  }

  #isWithheld({ withheld }: EntryRow, attribute: string, text: string): boolean {
    return withheld !== null && hasHash(withheld, hashOfText(attribute, text));
  }
}

interface Group {
  hash: number;
  from: number;
  to: number;
}

/** A list of numbers that takes 8 octets for each. */
class Numbers {
  #numbers = new Float64Array(4_096);
  #length = 0;

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const longer = new Float64Array(this.#length * 2);
      longer.set(this.#numbers);
      this.#numbers = longer;
    }
    this.#numbers[this.#length++] = number;
  }

  /** A view: no copy. */
  all(): Float64Array {
    return this.#numbers.subarray(0, this.#length);
  }

  sorted(): Float64Array {
    return this.all().toSorted();
  }
}

/** What stands in a sorted list more than once; where the places of each begin, one after the other. */
function repeated(sorted: Float64Array): { values: Float64Array; starts: Uint32Array; total: number } {
  const values = new Numbers();
  const starts = new Numbers();
  let total = 0;
  for (let from = 0, to = 0; from < sorted.length; from = to) {
    while (to < sorted.length && sorted[to] === sorted[from]) to++;
    if (to - from === 1) continue;
    values.push(sorted[from]!);
    starts.push(total);
    total += to - from;
  }
  return { values: values.sorted(), starts: Uint32Array.from(starts.sorted()), total };
}

function indexOf(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = sorted[middle]!;
    if (found === value) return middle;
    if (found < value) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

const COUNTED = 'duplicates';
const DAY_MS = 86_400_000;
/** So many are counted whenever something changed; more at most once a day. */
const FEW_ENTRIES = 20_000;

/** What was counted last. */
export interface CountedDuplicates {
  atMs: number;
  /** What was counted then: another is not what there is now. */
  of: string;
  counts: DuplicateCount[];
}

export async function loadCountedDuplicates(tx: StoreTx): Promise<CountedDuplicates | null> {
  return (await tx.getDocument<CountedDuplicates>(COUNTED)) ?? null;
}

/** Counts them anew, now and then, so that the status need not. */
export async function recountDuplicates(postoffice: Postoffice): Promise<void> {
  const { store, clock, server } = postoffice;
  const nowMs = clock.now();
  const counted = await store.read(async (tx): Promise<CountedDuplicates | null> => {
    const own = await loadOwn(tx);
    const others = server === null ? own.replica.digest : (await loadServer(tx)).seq;
    const of = `${own.digest} ${others}`;
    const last = await loadCountedDuplicates(tx);
    const many = own.live + own.replica.live > FEW_ENTRIES;
    if (last !== null && (last.of === of || (many && nowMs >= last.atMs && nowMs - last.atMs < DAY_MS))) return null;
    return { atMs: nowMs, of, counts: (await findDuplicates(tx, postoffice)).counts };
  });
  if (counted !== null) await store.transaction((tx) => tx.putDocument(COUNTED, counted));
}

/** "3 values of mail"; empty where there is none. */
export function duplicateWords(counts: DuplicateCount[], where: 'here' | 'network'): string {
  const found = counts.filter((count) => count[where] > 0);
  return found.map((count) => `${count[where].toLocaleString('en')} of ${count.attribute}`).join(', ');
}

/** What the server says of values that must be unique; empty where there is nothing to say. */
export function clashWords({ left, kept }: { left: number; kept: number }): string {
  const told: string[] = [];
  if (left > 0) told.push(`${left.toLocaleString('en')} that others had first are left out`);
  if (kept > 0) told.push(`${kept.toLocaleString('en')} that others want, too, are shown`);
  return told.join('; ');
}
