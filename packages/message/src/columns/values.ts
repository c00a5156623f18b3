/** Lists of octet strings without an object for each: one arena and where in it every value starts and ends. */
import type { Budget } from './octets.ts';
import { copyOctets, Octets } from './octets.ts';

export interface Values {
  bytes: Uint8Array;
  starts: Uint32Array;
  ends: Uint32Array;
  count: number;
}

/** Collects values, either by reference into an arena that is already there or by copying. */
export class ValueList implements Values {
  starts: Uint32Array;
  ends: Uint32Array;
  count = 0;

  constructor(
    public bytes: Uint8Array,
    capacity = 64,
  ) {
    this.starts = new Uint32Array(capacity);
    this.ends = new Uint32Array(capacity);
  }

  push(start: number, end: number): void {
    if (this.count === this.starts.length) {
      this.starts = grown(this.starts);
      this.ends = grown(this.ends);
    }
    this.starts[this.count] = start;
    this.ends[this.count++] = end;
  }
}

/** Numbers below 2^32 while they are collected. */
export class NumberList {
  count = 0;
  #numbers: Uint32Array = new Uint32Array(64);

  push(value: number): void {
    if (this.count === this.#numbers.length) this.#numbers = grown(this.#numbers);
    this.#numbers[this.count++] = value;
  }

  finish(): Uint32Array {
    return this.#numbers.slice(0, this.count);
  }
}

function grown(array: Uint32Array): Uint32Array {
  const bigger = new Uint32Array(array.length * 2);
  bigger.set(array);
  return bigger;
}

/** Builds values by copying. */
export class ValueWriter {
  readonly octets: Octets;
  readonly list: ValueList;

  constructor(
    readonly budget: Budget | undefined,
    capacity = 64,
  ) {
    this.octets = new Octets(capacity * 16);
    this.list = new ValueList(this.octets.bytes, capacity);
  }

  get count(): number {
    return this.list.count;
  }

  /** Ends a value that began at `start` of `octets`. */
  end(start: number): void {
    this.budget?.bytes(this.octets.length - start);
    this.list.push(start, this.octets.length);
  }

  push(source: Uint8Array, from: number, to: number): void {
    // Spent before it is copied: a long dictionary value repeated often must not be written first.
    this.budget?.bytes(to - from);
    const start = this.octets.length;
    this.octets.raw(source, from, to);
    this.list.push(start, this.octets.length);
  }

  finish(): Values {
    this.list.bytes = this.octets.view();
    return this.list;
  }
}

export function compareValues(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < length; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

export function valueText(values: Values, index: number): string {
  const { bytes, starts, ends } = values;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', starts[index], ends[index]);
}

/** Gives equal octet strings equal numbers, in the order of their first appearance. */
export class Interner {
  readonly distinct: ValueList;
  readonly #octets: Octets;
  #table = new Int32Array(1024).fill(-1);
  #hashes: Uint32Array = new Uint32Array(512);

  constructor() {
    this.#octets = new Octets(4096);
    this.distinct = new ValueList(this.#octets.bytes);
  }

  add(source: Uint8Array, start: number, end: number): number {
    const hash = hashOctets(source, start, end);
    const mask = this.#table.length - 1;
    let slot = hash & mask;
    for (let known = this.#table[slot]!; known >= 0; known = this.#table[slot]!) {
      if (this.#hashes[known] === hash && this.equals(known, source, start, end)) return known;
      slot = (slot + 1) & mask;
    }
    return this.#insert(slot, hash, source, start, end);
  }

  equals(index: number, source: Uint8Array, start: number, end: number): boolean {
    const { starts, ends } = this.distinct;
    const octets = this.#octets.bytes;
    let at = starts[index]!;
    if (ends[index]! - at !== end - start) return false;
    for (let i = start; i < end; i++, at++) if (octets[at] !== source[i]) return false;
    return true;
  }

  #insert(slot: number, hash: number, source: Uint8Array, start: number, end: number): number {
    const index = this.distinct.count;
    const at = this.#octets.length;
    this.#octets.reserve(end - start);
    copyOctets(source, start, end, this.#octets.bytes, at);
    this.#octets.length += end - start;
    this.distinct.bytes = this.#octets.bytes;
    this.distinct.push(at, this.#octets.length);
    if (index === this.#hashes.length) this.#hashes = grown(this.#hashes);
    this.#hashes[index] = hash;
    this.#table[slot] = index;
    if (this.distinct.count * 2 > this.#table.length) this.#rehash();
    return index;
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 2).fill(-1);
    const mask = this.#table.length - 1;
    for (let index = 0; index < this.distinct.count; index++) {
      let slot = this.#hashes[index]! & mask;
      while (this.#table[slot]! >= 0) slot = (slot + 1) & mask;
      this.#table[slot] = index;
    }
  }
}

/** FNV-1a with a final mix, 32 bits. */
function hashOctets(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}
