/**
 * Text with digits in it, taken apart: the text without its digits comes from a dictionary (`+47 22 .. .. ..`), the
 * digits are packed. Two ways, of which the encoder takes the smaller (format.md, "Masks"):
 *
 *   digits:  each digit after the first `kept` ones of a value is a mark in the mask; all digits together are packed,
 *            three in ten bits. For numbers that are random, whatever their grouping.
 *   numbers: each run of digits, without its leading zeros, is a mark; the n-th numbers of all values are integers.
 *            For numbers that count something: houses, rooms, dates.
 */
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { BitReader, BitWriter, malformedColumns, Octets, type Source, type Streams } from './octets.ts';
import { Interner, type Values, ValueWriter } from './values.ts';

/** The mark in masks; values that hold this octet themselves are not encoded so. */
export const MARK = 1;
const ZERO = 0x30;
const MAX_RUN = 15;
/** Marked numbers in one value. */
const MAX_NUMBERS = 16;

export interface Masked {
  masks: Values;
  /** The mask of each value. */
  symbols: Uint32Array;
  writeDigits(out: Streams): void;
}

/** Undefined where the octet of the mark occurs. */
export function maskDigits(values: Values, kept: number): Masked | undefined {
  const interner = new Interner();
  const symbols = new Uint32Array(values.count);
  const digits = new Octets(values.count * 8);
  const mask = new Octets(64);
  for (let i = 0; i < values.count; i++) {
    mask.length = 0;
    let seen = 0;
    for (let at = values.starts[i]!; at < values.ends[i]!; at++) {
      const octet = values.bytes[at]!;
      if (octet === MARK) return undefined;
      const marked = isDigit(octet) && seen++ >= kept;
      mask.octet(marked ? MARK : octet);
      if (marked) digits.octet(octet - ZERO);
    }
    symbols[i] = interner.add(mask.bytes, 0, mask.length);
  }
  return { masks: interner.distinct, symbols, writeDigits: (out) => packDigits(digits.view(), out) };
}

/** Undefined where the octet of the mark occurs, or a value has too many numbers. */
export function maskNumbers(values: Values): Masked | undefined {
  const interner = new Interner();
  const symbols = new Uint32Array(values.count);
  const columns: number[][] = [];
  const mask = new Octets(64);
  for (let i = 0; i < values.count; i++) {
    mask.length = 0;
    let runs = 0;
    const end = values.ends[i]!;
    for (let at = values.starts[i]!; at < end; ) {
      const octet = values.bytes[at]!;
      if (octet === MARK) return undefined;
      const run = isDigit(octet) ? readRun(values.bytes, at, end) : undefined;
      mask.octet(run === undefined ? octet : MARK);
      at = run === undefined ? at + 1 : run.end;
      if (run === undefined) continue;
      if (runs === MAX_NUMBERS) return undefined;
      (columns[runs++] ??= []).push(run.value);
    }
    symbols[i] = interner.add(mask.bytes, 0, mask.length);
  }
  return {
    masks: interner.distinct,
    symbols,
    writeDigits(out) {
      for (const column of columns) encodeIntegers(column, out);
    },
  };
}

/** A run that starts here; undefined for a leading zero, which stays in the mask, and for what is too long. */
function readRun(bytes: Uint8Array, start: number, end: number): { value: number; end: number } | undefined {
  let value = 0;
  let at = start;
  for (; at < end && isDigit(bytes[at]!); at++) {
    if (at - start === MAX_RUN) return undefined;
    value = value * 10 + bytes[at]! - ZERO;
  }
  if (bytes[start] === ZERO && at > start + 1) return undefined;
  return { value, end: at };
}

export function unmaskDigits(masks: Values, symbols: Float64Array, from: Source): Values {
  const marks = countMarks(masks, from);
  let total = 0;
  for (let i = 0; i < symbols.length; i++) total += marks[symbols[i]!]!;
  from.budget.bytes(total);
  const digits = unpackDigits(total, from);
  const into = new ValueWriter(from.budget, symbols.length + 1);
  let next = 0;
  for (let i = 0; i < symbols.length; i++) {
    const mask = symbols[i]!;
    const start = into.octets.length;
    into.octets.raw(masks.bytes, masks.starts[mask], masks.ends[mask]);
    const { bytes, length } = into.octets;
    for (let at = start; at < length; at++) if (bytes[at] === MARK) bytes[at] = digits[next++]! + ZERO;
    into.end(start);
  }
  return into.finish();
}

export function unmaskNumbers(masks: Values, symbols: Float64Array, from: Source): Values {
  const columns = readNumberColumns(countMarks(masks, from), symbols, from);
  const next = new Uint32Array(columns.length);
  const into = new ValueWriter(from.budget, symbols.length + 1);
  for (let i = 0; i < symbols.length; i++) {
    const mask = symbols[i]!;
    const start = into.octets.length;
    let run = 0;
    for (let at = masks.starts[mask]!; at < masks.ends[mask]!; at++) {
      const octet = masks.bytes[at]!;
      if (octet !== MARK) into.octets.octet(octet);
      else {
        writeDecimal(columns[run]![next[run]!++]!, into.octets);
        run++;
      }
    }
    into.end(start);
  }
  return into.finish();
}

function readNumberColumns(marks: Uint32Array, symbols: Float64Array, from: Source): Float64Array[] {
  const counts: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const runs = marks[symbols[i]!]!;
    if (runs > MAX_NUMBERS) throw malformedColumns('a mask with too many numbers');
    for (let run = 0; run < runs; run++) counts[run] = (counts[run] ?? 0) + 1;
  }
  return counts.map((count) => {
    from.budget.values(count);
    return decodeIntegers(count, from);
  });
}

function writeDecimal(value: number, out: Octets): void {
  let digits = 1;
  for (let limit = 10; limit <= value; limit *= 10) digits++;
  out.reserve(digits);
  for (let at = out.length + digits - 1, left = value; at >= out.length; at--) {
    const tenth = Math.floor(left / 10);
    out.bytes[at] = left - tenth * 10 + ZERO;
    left = tenth;
  }
  out.length += digits;
}

/** Masks may come through a dictionary, and be the same long one many times. */
function countMarks(masks: Values, from: Source): Uint32Array {
  const marks = new Uint32Array(masks.count);
  let octets = 0;
  for (let i = 0; i < masks.count; i++) octets += masks.ends[i]! - masks.starts[i]!;
  from.budget.steps(octets);
  for (let i = 0; i < masks.count; i++) {
    for (let at = masks.starts[i]!; at < masks.ends[i]!; at++) if (masks.bytes[at] === MARK) marks[i]!++;
  }
  return marks;
}

/** Three digits in ten bits; two that are left over in seven, one in four. */
function packDigits(digits: Uint8Array, out: Streams): void {
  const bits = new BitWriter(out.packed);
  let at = 0;
  for (; at + 3 <= digits.length; at += 3) bits.write(digits[at]! * 100 + digits[at + 1]! * 10 + digits[at + 2]!, 10);
  if (digits.length - at === 2) bits.write(digits[at]! * 10 + digits[at + 1]!, 7);
  if (digits.length - at === 1) bits.write(digits[at]!, 4);
  bits.finish();
}

function unpackDigits(count: number, from: Source): Uint8Array {
  if (count > from.packed.left * 3) throw malformedColumns('digits that end early');
  const digits = new Uint8Array(count);
  const bits = new BitReader(from.packed);
  let at = 0;
  for (; at + 3 <= count; at += 3) {
    const group = bits.read(10);
    if (group > 999) throw malformedColumns('packed digits out of range');
    const tens = (group / 10) | 0;
    const hundreds = (group / 100) | 0;
    digits[at] = hundreds;
    digits[at + 1] = tens - hundreds * 10;
    digits[at + 2] = group - tens * 10;
  }
  if (at < count) {
    const two = count - at === 2;
    const group = bits.read(two ? 7 : 4);
    if (group > (two ? 99 : 9)) throw malformedColumns('packed digits out of range');
    if (two) digits[at++] = (group / 10) | 0;
    digits[at] = group % 10;
  }
  return digits;
}

export function isDigit(octet: number): boolean {
  return octet >= ZERO && octet < ZERO + 10;
}
