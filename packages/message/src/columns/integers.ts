/**
 * Sequences of whole numbers (0 … 2^53 - 1), the material of which all columns are made (format.md, "Integers").
 * The encoder takes what is smallest; the decoder knows how many to expect.
 */
import { compressedCost, entropyBits } from './cost.ts';
import { BitReader, BitWriter, malformedColumns, Octets, type Source, type Streams } from './octets.ts';

/** How a sequence is written; the number is the tag in the plain stream. */
const CONSTANT = 0;
const OCTETS = 1;
const VARINTS = 2;
const CLASSES = 3;
const FIXED = 4;
const RICE = 5;
const DELTAS = 6;

export type Integers = ArrayLike<number>;

export function encodeIntegers(values: Integers, out: Streams): void {
  if (values.length === 0) return;
  const direct = cheapest(values);
  const deltas = deltasLookBetter(values) ? signedDeltas(values) : undefined;
  const moved = deltas === undefined ? undefined : cheapest(deltas);
  if (moved !== undefined && moved.cost + 1 < direct.cost) {
    out.plain.octet(DELTAS);
    moved.write(out);
  } else {
    direct.write(out);
  }
}

/** By the first few hundred. */
function deltasLookBetter(values: Integers): boolean {
  if (values.length < 3) return false;
  const sample = Array.from({ length: Math.min(values.length, 400) }, (_, i) => values[i]!);
  const deltas = signedDeltas(sample);
  return deltas !== undefined && classChoice(deltas).cost < classChoice(sample).cost;
}

export function decodeIntegers(count: number, from: Source, mayBeDeltas = true): Float64Array {
  const values = new Float64Array(count);
  if (count === 0) return values;
  const { plain, packed } = from;
  const tag = plain.octet();
  switch (tag) {
    case CONSTANT:
      return values.fill(plain.varint());
    case OCTETS:
      values.set(plain.raw(count));
      return values;
    case VARINTS:
      for (let i = 0; i < count; i++) values[i] = plain.varint();
      return values;
    case CLASSES:
      return readClasses(plain.raw(count), new BitReader(packed), values);
    case FIXED:
    case RICE:
      return tag === FIXED
        ? readFixed(readWidth(plain.octet()), new BitReader(packed), values)
        : readRice(readWidth(plain.octet()), new BitReader(packed), values);
    case DELTAS:
      if (mayBeDeltas) return sumUp(decodeIntegers(count, from, false));
  }
  throw malformedColumns('numbers in an unknown encoding');
}

interface Choice {
  cost: number;
  write(out: Streams): void;
}

function cheapest(values: Integers): Choice {
  let max = 0;
  let min = Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > max) max = value;
    if (value < min) min = value;
  }
  if (min === max) {
    const write = (out: Streams) => {
      out.plain.octet(CONSTANT);
      out.plain.varint(max);
    };
    return { cost: 1 + varintLength(max), write };
  }
  const choices = [classChoice(values), fixedChoice(values, max)];
  if (max < 256) choices.push(octetChoice(values));
  else choices.push(varintChoice(values));
  const rice = riceChoice(values, max);
  if (rice !== undefined) choices.push(rice);
  return choices.reduce((best, choice) => (choice.cost < best.cost ? choice : best));
}

function octetChoice(values: Integers): Choice {
  const octets = new Uint8Array(values);
  const write = (out: Streams) => {
    out.plain.octet(OCTETS);
    out.plain.raw(octets);
  };
  return { cost: 1 + compressedCost(octets), write };
}

function varintChoice(values: Integers): Choice {
  const octets = new Octets(values.length * 2);
  for (let i = 0; i < values.length; i++) octets.varint(values[i]!);
  const write = (out: Streams) => {
    out.plain.octet(VARINTS);
    out.plain.raw(octets.view());
  };
  return { cost: 1 + compressedCost(octets.view()), write };
}

/**
 * Numbers up to 3 are a class of their own; above, two classes share each power of two, and the bits below the two
 * highest are packed. The classes compress, the rest is nearly even.
 */
function classChoice(values: Integers): Choice {
  const classes = new Uint8Array(values.length);
  const counts = new Uint32Array(128);
  let extraBits = 0;
  for (let i = 0; i < values.length; i++) {
    const one = classOf(values[i]!);
    classes[i] = one;
    counts[one]!++;
    extraBits += extraBitsOf(one);
  }
  const write = (out: Streams) => {
    out.plain.octet(CLASSES);
    out.plain.raw(classes);
    const bits = new BitWriter(out.packed);
    for (let i = 0; i < values.length; i++) {
      const width = extraBitsOf(classes[i]!);
      if (width > 0) bits.write(values[i]! % 2 ** width, width);
    }
    bits.finish();
  };
  const described = counts.reduce((sum, count) => sum + (count > 0 ? 4 : 0), 0);
  return { cost: 1 + (entropyBits(counts, values.length) + extraBits + described) / 8, write };
}

function classOf(value: number): number {
  if (value < 4) return value;
  if (value < 0x8000_0000) {
    const bits = 32 - Math.clz32(value);
    return bits * 2 - 2 + ((value >>> (bits - 2)) & 1);
  }
  const bits = bitLength(value);
  return bits * 2 - 2 + (Math.floor(value / 2 ** (bits - 2)) & 1);
}

function extraBitsOf(one: number): number {
  return one < 4 ? 0 : (one >> 1) - 1;
}

function readClasses(classes: Uint8Array, bits: BitReader, values: Float64Array): Float64Array {
  for (let i = 0; i < classes.length; i++) {
    const one = classes[i]!;
    if (one < 4) {
      values[i] = one;
      continue;
    }
    if (one > 105) throw malformedColumns('a number that is too large');
    const width = (one >> 1) - 1;
    values[i] = (2 + (one & 1)) * 2 ** width + bits.read(width);
  }
  return values;
}

function fixedChoice(values: Integers, max: number): Choice {
  const width = bitLength(max);
  const write = (out: Streams) => {
    out.plain.octet(FIXED);
    out.plain.octet(width);
    const bits = new BitWriter(out.packed);
    for (let i = 0; i < values.length; i++) bits.write(values[i]!, width);
    bits.finish();
  };
  return { cost: 2 + (values.length * width) / 8, write };
}

function readFixed(width: number, bits: BitReader, values: Float64Array): Float64Array {
  for (let i = 0; i < values.length; i++) values[i] = bits.read(width);
  return values;
}

/** Golomb-Rice: the quotient by 2^width in ones and a zero, then the rest. For numbers that fall off evenly: distances. */
function riceChoice(values: Integers, max: number): Choice | undefined {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const mean = sum / values.length;
  // The quotients of one far-off number would cost more than all others gain.
  if (max > mean * 64 + 64) return undefined;
  let best: { width: number; bits: number } | undefined;
  for (const width of riceWidths(mean)) {
    const scale = 2 ** -width;
    let bits = (1 + width) * values.length;
    for (let i = 0; i < values.length; i++) bits += Math.floor(values[i]! * scale);
    if (best === undefined || bits < best.bits) best = { width, bits };
  }
  if (best === undefined) return undefined;
  const { width, bits: size } = best;
  const write = (out: Streams) => {
    out.plain.octet(RICE);
    out.plain.octet(width);
    const bits = new BitWriter(out.packed);
    for (let i = 0; i < values.length; i++) {
      let quotient = Math.floor(values[i]! / 2 ** width);
      for (; quotient >= 16; quotient -= 16) bits.write(0xffff, 16);
      bits.write(2 ** (quotient + 1) - 2, quotient + 1);
      if (width > 0) bits.write(values[i]! % 2 ** width, width);
    }
    bits.finish();
  };
  return { cost: 2 + size / 8, write };
}

function riceWidths(mean: number): number[] {
  const middle = mean < 1 ? 0 : Math.floor(Math.log2(mean));
  return [middle - 1, middle, middle + 1].filter((width) => width >= 0 && width <= 48);
}

function readRice(width: number, bits: BitReader, values: Float64Array): Float64Array {
  for (let i = 0; i < values.length; i++) {
    let quotient = 0;
    while (bits.read(1) === 1) quotient++;
    const value = quotient * 2 ** width + bits.read(width);
    if (value > Number.MAX_SAFE_INTEGER) throw malformedColumns('a number that is too large');
    values[i] = value;
  }
  return values;
}

/** The first number, then the differences: twice the size, minus one when negative. Undefined when they would not fit. */
function signedDeltas(values: Integers): Float64Array | undefined {
  const deltas = new Float64Array(values.length);
  let previous = 0;
  for (let i = 0; i < values.length; i++) {
    const delta = values[i]! - previous;
    const coded = delta >= 0 ? delta * 2 : -delta * 2 - 1;
    if (coded > Number.MAX_SAFE_INTEGER) return undefined;
    deltas[i] = coded;
    previous = values[i]!;
  }
  return deltas;
}

function sumUp(deltas: Float64Array): Float64Array {
  let previous = 0;
  for (let i = 0; i < deltas.length; i++) {
    const coded = deltas[i]!;
    previous += coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
    if (previous < 0 || previous > Number.MAX_SAFE_INTEGER) throw malformedColumns('a number out of range');
    deltas[i] = previous;
  }
  return deltas;
}

function readWidth(width: number): number {
  if (width > 53) throw malformedColumns('a number that is too large');
  return width;
}

export function bitLength(value: number): number {
  return value < 0x8000_0000 ? 32 - Math.clz32(value) : 32 + bitLength(Math.floor(value / 0x1_0000_0000));
}

function varintLength(value: number): number {
  return Math.max(1, Math.ceil(bitLength(value) / 7));
}
