/**
 * What would change: two contents of a directory → the change records that lead from one to the other, for previews.
 * Of the existing entries only DNs and hashes are kept (about 150 bytes each), so a million entries can be compared.
 */
import { type Attributes, type DirectoryEntry, normalizeDn, sortedNames } from '@dirpost/core';
import { DnTable } from '../dn-table.ts';
import type { ChangeRecord, Modification } from './records.ts';
import { SeededHash } from '../seeded-hash.ts';

type Entries = AsyncIterable<DirectoryEntry> | Iterable<DirectoryEntry>;

/**
 * Additions and modifications in the order of `planned`, then deletions in reverse order of `existing`, so that what
 * stands under an entry goes before it. An attribute that differs is replaced as a whole. Throws `dn-syntax`.
 */
export async function* differences(existing: Entries, planned: Entries): AsyncGenerator<ChangeRecord> {
  const remembered = new RememberedEntries();
  for await (const entry of existing) remembered.add(entry);
  for await (const entry of planned) {
    const before = remembered.take(entry.dn);
    if (before === undefined) {
      yield { kind: 'add', dn: entry.dn, attributes: entry.attributes, controls: [], line: 0 };
      continue;
    }
    const modifications = remembered.modifications(before, entry.attributes);
    if (modifications.length > 0) yield { kind: 'modify', dn: entry.dn, modifications, controls: [], line: 0 };
  }
  for (const dn of remembered.left()) yield { kind: 'delete', dn, controls: [], line: 0 };
}

interface Remembered {
  names: readonly string[];
  /** 8 octets for each name. */
  hashes: Buffer;
}

const HASH_BYTES = 8;
const BLOCK_BYTES = 1 << 20;

/**
 * Entries as packed octets in blocks: length of the DN (4), shape (4), DN, hashes. A shape is the list of attribute
 * names, which most entries of a directory share.
 */
class RememberedEntries {
  readonly #hash = new SeededHash();
  readonly #numbers = new DnTable();
  readonly #blocks: Buffer[] = [];
  #used = BLOCK_BYTES;
  /** Of entry number n: block · 2^32 + place in it. */
  readonly #places: number[] = [];
  readonly #shapes: string[][] = [];
  readonly #shapeNumbers = new Map<string, number>();
  /** Entries that `planned` has too. */
  readonly #taken: boolean[] = [];

  add(entry: DirectoryEntry): void {
    const number = this.#places.length;
    if (this.#numbers.add(normalizeDn(entry.dn), number) !== undefined) return;
    const names = sortedNames(entry.attributes.keys());
    const dn = Buffer.from(entry.dn);
    const record = this.#room(8 + dn.length + names.length * HASH_BYTES);
    record.writeUInt32LE(dn.length, 0);
    record.writeUInt32LE(this.#shape(names), 4);
    dn.copy(record, 8);
    names.forEach((name, i) => {
      this.#writeHash(entry.attributes.get(name)!, record, 8 + dn.length + i * HASH_BYTES);
    });
    this.#taken.push(false);
  }

  take(dn: string): Remembered | undefined {
    const number = this.#numbers.get(normalizeDn(dn));
    if (number === undefined) return undefined;
    this.#taken[number] = true;
    const { record, dnLength } = this.#record(number);
    return { names: this.#shapes[record.readUInt32LE(4)]!, hashes: record.subarray(8 + dnLength) };
  }

  modifications(before: Remembered, after: Attributes): Modification[] {
    const modifications: Modification[] = [];
    const hash = Buffer.alloc(HASH_BYTES);
    for (const [i, name] of before.names.entries()) {
      const values = after.get(name) ?? [];
      this.#writeHash(values, hash, 0);
      if (hash.compare(before.hashes, i * HASH_BYTES, (i + 1) * HASH_BYTES) === 0) continue;
      modifications.push({ operation: 'replace', attribute: name, values });
    }
    const known = new Set(before.names);
    for (const [name, values] of after) {
      if (!known.has(name) && values.length > 0) modifications.push({ operation: 'replace', attribute: name, values });
    }
    return modifications;
  }

  /** A sum over the values, so that their order means nothing. */
  #writeHash(values: Uint8Array[], into: Buffer, at: number): void {
    let a = 0;
    let b = 0;
    for (const value of values) {
      this.#hash.octets(value);
      a = (a + this.#hash.a) >>> 0;
      b = (b + this.#hash.b) >>> 0;
    }
    into.writeUInt32LE(a, at);
    into.writeUInt32LE(b, at + 4);
  }

  *left(): Generator<string> {
    for (let number = this.#places.length - 1; number >= 0; number--) {
      if (this.#taken[number]) continue;
      const { record, dnLength } = this.#record(number);
      yield record.toString('utf8', 8, 8 + dnLength);
    }
  }

  #record(number: number): { record: Buffer; dnLength: number } {
    const place = this.#places[number]!;
    const record = this.#blocks[Math.floor(place / 2 ** 32)]!.subarray(place % 2 ** 32);
    return { record, dnLength: record.readUInt32LE(0) };
  }

  #room(bytes: number): Buffer {
    if (this.#used + bytes > (this.#blocks.at(-1)?.length ?? 0)) {
      this.#blocks.push(Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, bytes)));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += bytes;
    this.#places.push((this.#blocks.length - 1) * 2 ** 32 + at);
    return this.#blocks.at(-1)!.subarray(at, at + bytes);
  }

  #shape(names: string[]): number {
    const key = names.join(' ');
    let number = this.#shapeNumbers.get(key);
    if (number === undefined) {
      number = this.#shapes.push(names) - 1;
      this.#shapeNumbers.set(key, number);
    }
    return number;
  }
}
