/**
 * UUIDs in their text form (RFC 9562 §4, lower case) without what is not information: random ones (version 4) as their
 * 122 bits, time-based ones (version 1: OpenLDAP's entryUUID) as differences of time, any others as 16 octets
 * (format.md, "UUIDs").
 */
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { BitReader, BitWriter, malformedColumns, type Source, type Streams } from './octets.ts';
import { Interner, type Values, ValueWriter } from './values.ts';
import { decodeSymbols, encodeSymbols } from './symbols.ts';

const TEXT_BYTES = 36;
const DASHES = new Set([8, 13, 18, 23]);

const ANY = 0;
const TIME_BASED = 1;
const RANDOM = 4;

const hexValues = new Uint8Array(256).fill(255);
const hexDigits = Buffer.from('0123456789abcdef');
for (let i = 0; i < 16; i++) hexValues[hexDigits[i]!] = i;

/** 16 octets for each value; undefined unless every value is a UUID. */
export function parseUuids(values: Values): Uint8Array | undefined {
  const packed = Buffer.allocUnsafe(values.count * 16);
  for (let i = 0; i < values.count; i++) {
    const start = values.starts[i]!;
    if (values.ends[i]! - start !== TEXT_BYTES) return undefined;
    let to = i * 16;
    for (let at = 0; at < TEXT_BYTES; ) {
      if (DASHES.has(at)) {
        if (values.bytes[start + at++] !== 0x2d) return undefined;
        continue;
      }
      const high = hexValues[values.bytes[start + at]!]!;
      const low = hexValues[values.bytes[start + at + 1]!]!;
      if (high > 15 || low > 15) return undefined;
      packed[to++] = (high << 4) | low;
      at += 2;
    }
  }
  return packed;
}

export function encodeUuids(packed: Uint8Array, out: Streams): void {
  const version = sharedVersion(packed);
  const times = version === TIME_BASED ? parseTimes(packed) : undefined;
  if (times !== undefined) {
    out.plain.octet(TIME_BASED);
    writeTimes(times, out);
  } else if (version === RANDOM) {
    out.plain.octet(RANDOM);
    const bits = new BitWriter(out.packed);
    for (let at = 0; at < packed.length; at += 16) writeRandom(packed, at, bits);
    bits.finish();
  } else {
    out.plain.octet(ANY);
    out.packed.raw(packed);
  }
}

export function decodeUuids(count: number, from: Source): Values {
  // Each takes at least a bit; what is really there shows when it is read.
  from.budget.bytes(count * (TEXT_BYTES + 16));
  const packed = readPacked(count, from);
  const into = new ValueWriter(undefined, count + 1);
  into.octets.reserve(count * TEXT_BYTES);
  for (let i = 0; i < count; i++) {
    const start = into.octets.length;
    formatUuid(packed, i * 16, into.octets.bytes, start);
    into.octets.length += TEXT_BYTES;
    into.end(start);
  }
  return into.finish();
}

function readPacked(count: number, from: Source): Uint8Array {
  const version = from.plain.octet();
  if (version === ANY) return from.packed.raw(count * 16);
  if (version === TIME_BASED) return readTimes(count, from);
  if (version !== RANDOM) throw malformedColumns('UUIDs in an unknown encoding');
  const packed = Buffer.allocUnsafe(count * 16);
  const bits = new BitReader(from.packed);
  for (let at = 0; at < packed.length; at += 16) readRandom(packed, at, bits);
  return packed;
}

/** The version that all have, with the variant of RFC 9562; 0 when they differ. */
function sharedVersion(packed: Uint8Array): number {
  const version = packed.length === 0 ? 0 : packed[6]! >> 4;
  for (let at = 0; at < packed.length; at += 16) {
    if (packed[at + 6]! >> 4 !== version || packed[at + 8]! >> 6 !== 2) return 0;
  }
  return version;
}

/** 48 bits, then 12 after the version, then 62 after the variant. */
function writeRandom(packed: Uint8Array, at: number, bits: BitWriter): void {
  for (let i = 0; i < 6; i += 3)
    bits.write((packed[at + i]! << 16) | (packed[at + i + 1]! << 8) | packed[at + i + 2]!, 24);
  bits.write(((packed[at + 6]! & 0x0f) << 8) | packed[at + 7]!, 12);
  bits.write(((packed[at + 8]! & 0x3f) << 8) | packed[at + 9]!, 14);
  for (let i = 10; i < 16; i += 3)
    bits.write((packed[at + i]! << 16) | (packed[at + i + 1]! << 8) | packed[at + i + 2]!, 24);
}

function readRandom(packed: Uint8Array, at: number, bits: BitReader): void {
  put(packed, at, bits.read(24), 3);
  put(packed, at + 3, bits.read(24), 3);
  put(packed, at + 6, 0x4000 | bits.read(12), 2);
  put(packed, at + 8, 0x8000 | bits.read(14), 2);
  put(packed, at + 10, bits.read(24), 3);
  put(packed, at + 13, bits.read(24), 3);
}

function put(packed: Uint8Array, at: number, value: number, bytes: number): void {
  for (let i = bytes - 1; i >= 0; i--, value >>>= 8) packed[at + i] = value & 0xff;
}

interface Times {
  /** Of the first, in units of 100 ns: the upper and the lower 30 bits. */
  first: [high: number, low: number];
  /** From each to the next: twice the size, minus one when backwards. */
  deltas: Float64Array;
  /** Clock sequence and node, 8 octets each. */
  nodes: Values;
  symbols: Uint32Array;
}

/** Undefined when two neighbours are further apart than a number can say (14 years). */
function parseTimes(packed: Uint8Array): Times | undefined {
  const count = packed.length / 16;
  const deltas = new Float64Array(count - 1);
  const nodes = new Interner();
  const symbols = new Uint32Array(count);
  const first = readTime(packed, 0);
  let previous = first;
  for (let i = 0; i < count; i++) {
    const time = readTime(packed, i * 16);
    const delta = (time[0] - previous[0]) * 2 ** 30 + (time[1] - previous[1]);
    if (Math.abs(delta) >= 2 ** 52) return undefined;
    if (i > 0) deltas[i - 1] = delta >= 0 ? delta * 2 : -delta * 2 - 1;
    symbols[i] = nodes.add(packed, i * 16 + 8, i * 16 + 16);
    previous = time;
  }
  return { first, deltas, nodes: nodes.distinct, symbols };
}

function readTime(packed: Uint8Array, at: number): [high: number, low: number] {
  const low32 = packed[at]! * 0x1000000 + ((packed[at + 1]! << 16) | (packed[at + 2]! << 8) | packed[at + 3]!);
  const high28 = ((packed[at + 6]! & 0x0f) << 24) | (packed[at + 7]! << 16) | (packed[at + 4]! << 8) | packed[at + 5]!;
  return [high28 * 4 + Math.floor(low32 / 2 ** 30), low32 % 2 ** 30];
}

function writeTime(packed: Uint8Array, at: number, high: number, low: number): void {
  const high28 = Math.floor(high / 4);
  put(packed, at, ((high % 4) * 2 ** 30 + low) | 0, 4);
  put(packed, at + 4, high28 & 0xffff, 2);
  put(packed, at + 6, 0x1000 | (high28 >>> 16), 2);
}

function writeTimes(times: Times, out: Streams): void {
  out.plain.varint(times.first[0]);
  out.plain.varint(times.first[1]);
  encodeIntegers(times.deltas, out);
  out.plain.varint(times.nodes.count);
  for (let i = 0; i < times.nodes.count; i++)
    out.plain.raw(times.nodes.bytes, times.nodes.starts[i], times.nodes.ends[i]);
  encodeSymbols(times.symbols, times.nodes.count, undefined, out);
}

function readTimes(count: number, from: Source): Uint8Array {
  if (count === 0) throw malformedColumns('UUIDs without any');
  let high = from.plain.varint();
  let low = from.plain.varint();
  const deltas = decodeIntegers(count - 1, from);
  const nodeCount = from.plain.count(8);
  const nodes = from.plain.raw(nodeCount * 8);
  const symbols = decodeSymbols(count, nodeCount, undefined, from);
  const packed = Buffer.allocUnsafe(count * 16);
  for (let i = 0; i < count; i++) {
    if (i > 0) {
      const coded = deltas[i - 1]!;
      const sum = low + (coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2);
      const carry = Math.floor(sum / 2 ** 30);
      high += carry;
      low = sum - carry * 2 ** 30;
    }
    if (!(high >= 0 && high < 2 ** 30 && low < 2 ** 30)) throw malformedColumns('a time out of range');
    writeTime(packed, i * 16, high, low);
    packed.set(nodes.subarray(symbols[i]! * 8, symbols[i]! * 8 + 8), i * 16 + 8);
  }
  return packed;
}

function formatUuid(packed: Uint8Array, from: number, text: Uint8Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text[to++] = 0x2d;
    const octet = packed[from + i]!;
    text[to++] = hexDigits[octet >> 4]!;
    text[to++] = hexDigits[octet & 15]!;
  }
}
