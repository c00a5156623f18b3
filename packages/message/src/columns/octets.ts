/**
 * Writing and reading octets and bits. Columns go into two streams (format.md, "Columns"): `plain` is compressed as a
 * whole, `packed` holds what no compressor makes smaller (digits, random ids) and is stored as it is.
 * Readers trust nothing: reading past the end throws.
 */
import { DirpostError } from '@dirpost/core';

export class Octets {
  bytes: Buffer;
  length = 0;

  constructor(capacity = 256) {
    this.bytes = Buffer.allocUnsafe(capacity);
  }

  octet(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  varint(value: number): void {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.octet((value % 0x80) | 0x80);
    this.octet(value);
  }

  raw(source: Uint8Array, start = 0, end = source.length): void {
    const count = end - start;
    this.reserve(count);
    copyOctets(source, start, end, this.bytes, this.length);
    this.length += count;
  }

  /** Length and octets. */
  sized(source: Uint8Array): void {
    this.varint(source.length);
    this.raw(source);
  }

  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    bigger.set(this.bytes.subarray(0, this.length));
    this.bytes = bigger;
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/** For the short runs that values are, a loop is faster than a view and a copy. */
export function copyOctets(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start <= 48) for (let i = start; i < end; i++) to[at++] = from[i]!;
  else to.set(from.subarray(start, end), at);
}

/** `copyAhead` reads and writes up to so many octets too many. */
export const COPY_SLACK = 3;

/** Copies four octets at a time; what it writes too many is overwritten by what comes next. */
export function copyAhead(from: DataView, start: number, length: number, to: DataView, at: number): void {
  for (let i = 0; i < length; i += 4) to.setInt32(at + i, from.getInt32(start + i));
}

export class Streams {
  readonly plain = new Octets();
  readonly packed = new Octets();

  append(other: Streams): void {
    this.plain.raw(other.plain.view());
    this.packed.raw(other.packed.view());
  }
}

/** Bits into the packed stream, the most significant first; `finish` fills up the last octet with zeros. */
export class BitWriter {
  #held = 0;
  #count = 0;

  constructor(readonly out: Octets) {}

  /** `width` up to 53. */
  write(value: number, width: number): void {
    if (width > 24) {
      const low = width - 24;
      this.#write24(Math.floor(value / 2 ** low), 24);
      this.write(value % 2 ** low, low);
    } else {
      this.#write24(value, width);
    }
  }

  /** Fewer than 8 bits are held between calls, so that 32 bits are enough. */
  #write24(value: number, width: number): void {
    let held = (this.#held << width) | value;
    let count = this.#count + width;
    for (; count >= 8; count -= 8) this.out.octet((held >>> (count - 8)) & 0xff);
    held &= (1 << count) - 1;
    this.#held = held;
    this.#count = count;
  }

  finish(): void {
    if (this.#count > 0) this.write(0, 8 - this.#count);
  }
}

export class Reader {
  at = 0;

  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  octet(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw early();
    this.at++;
    return value;
  }

  varint(): number {
    // Most are one octet long.
    const first = this.bytes[this.at];
    if (first !== undefined && first < 0x80) {
      this.at++;
      return first;
    }
    let value = 0;
    for (let factor = 1; factor < 2 ** 56; factor *= 0x80) {
      const octet = this.octet();
      value += (octet & 0x7f) * factor;
      if (octet < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw malformedColumns('a number that is too large');
  }

  skip(length: number): void {
    if (length > this.left) throw early();
    this.at += length;
  }

  /** A varint that counts things of at least `bytesEach` octets that are still to be read here. */
  count(bytesEach = 1): number {
    const count = this.varint();
    if (count * bytesEach > this.left) throw malformedColumns('a count that is larger than the data');
    return count;
  }

  raw(length: number): Uint8Array {
    if (length > this.left) throw early();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  sized(maxBytes: number): Uint8Array {
    const length = this.varint();
    if (length > maxBytes) throw malformedColumns('a name that is too long');
    return this.raw(length);
  }
}

export class BitReader {
  #held = 0;
  #count = 0;

  constructor(readonly from: Reader) {}

  /** `width` up to 53. */
  read(width: number): number {
    if (width <= 24) return this.#read24(width);
    const low = width - 24;
    const high = this.#read24(24);
    return high * 2 ** low + this.read(low);
  }

  #read24(width: number): number {
    let held = this.#held;
    let count = this.#count;
    for (; count < width; count += 8) held = (held << 8) | this.from.octet();
    count -= width;
    const value = held >>> count;
    this.#held = held & ((1 << count) - 1);
    this.#count = count;
    return value;
  }
}

/** Where a decoder reads, and what it may still spend. */
export class Source {
  readonly plain: Reader;
  readonly packed: Reader;

  constructor(
    plain: Uint8Array,
    packed: Uint8Array,
    readonly budget: Budget,
  ) {
    this.plain = new Reader(plain);
    this.packed = new Reader(packed);
  }
}

/**
 * What decoding may spend at most, so that a small file cannot ask for much memory or time: everything that is about
 * to be allocated or walked is spent here first.
 */
export class Budget {
  constructor(
    private valuesLeft: number,
    private bytesLeft: number,
    private stepsLeft: number,
  ) {}

  values(count: number): void {
    this.valuesLeft -= count;
    if (!(this.valuesLeft >= 0)) throw overBudget('values');
  }

  bytes(count: number): void {
    this.bytesLeft -= count;
    if (!(this.bytesLeft >= 0)) throw overBudget('bytes');
  }

  /** Throws as `bytes` would, and spends nothing. */
  fits(count: number): void {
    if (!(this.bytesLeft >= count)) throw overBudget('bytes');
  }

  steps(count: number): void {
    this.stepsLeft -= count;
    if (!(this.stepsLeft >= 0)) throw overBudget('references between columns');
  }
}

export function overBudget(what: string): DirpostError {
  return new DirpostError('limit-exceeded', `The changes would decode to more ${what} than a part may have.`);
}

export function malformedColumns(what: string): DirpostError {
  return new DirpostError('message-payload', `The columns of the payload hold ${what}.`);
}

function early(): DirpostError {
  return malformedColumns('data that end early');
}
