/**
 * A list of values in the encoding that makes it smallest (format.md, "Value lists"). What an encoding cannot say it
 * does not offer; what remains is tried and measured.
 */
import { entropyBits, smallest, streamsCost } from './cost.ts';
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { isDigit, MARK, type Masked, maskDigits, maskNumbers, unmaskDigits, unmaskNumbers } from './masks.ts';
import { malformedColumns, type Source, Streams } from './octets.ts';
import { decodeSymbols, encodeSymbols, type SymbolContexts } from './symbols.ts';
import { decodeUuids, encodeUuids, parseUuids } from './uuids.ts';
import { Interner, ValueList, type Values, ValueWriter } from './values.ts';

/** How a list is written; the number is the tag in the plain stream. */
const LINES = 0;
const SIZED = 1;
const RAW = 2;
const DICTIONARY = 3;
const DIGITS = 4;
const NUMBERS = 5;
const UUIDS = 6;
const FRONT = 7;

const NEWLINE = 10;
/** Of lists twice as long only what did well with so many values is tried. */
const SAMPLE_VALUES = 600;
/** A dictionary's values are a list again; a mask's or a front-coded list's inside of it are the deepest. */
const MAX_DEPTH = 2;

/** The symbols of a list that was written through a dictionary. */
export interface ListSymbols {
  symbols: ArrayLike<number>;
  distinct: number;
}

export interface DecodedList {
  values: Values;
  symbols: ListSymbols | undefined;
}

type Candidate = (into: Streams) => ListSymbols | undefined;

/** `contexts` where each value is the only one of its cell. */
export function encodeList(
  values: Values,
  contexts: SymbolContexts | undefined,
  out: Streams,
  depth = 0,
): ListSymbols | undefined {
  if (values.count === 0) return undefined;
  const { streams, result } = smallest(candidatesFor(values, contexts, depth));
  out.append(streams);
  return result;
}

/** What a trial with a sample of a long list leaves to be tried with all of it. */
function plausible(values: Values, depth: number): Set<number> {
  const sample = takeSample(values, SAMPLE_VALUES);
  const costs = candidatesFor(sample, undefined, depth).map((candidate) => {
    const streams = new Streams();
    candidate(streams);
    return { tag: streams.plain.bytes[0]!, cost: streamsCost(streams) };
  });
  const least = Math.min(...costs.map(({ cost }) => cost));
  // A dictionary costs the same for few values as for many: what needs one is given more room.
  const room = (tag: number) => (tag === DICTIONARY || tag === DIGITS || tag === NUMBERS ? 1.3 : 1.02);
  return new Set(costs.filter(({ tag, cost }) => cost <= least * room(tag)).map(({ tag }) => tag));
}

function candidatesFor(values: Values, contexts: SymbolContexts | undefined, depth: number): Candidate[] {
  const tags = values.count > SAMPLE_VALUES * 2 ? plausible(values, depth) : undefined;
  const isPlausible = (tag: number) => tags === undefined || tags.has(tag);
  const candidates: Candidate[] = [];
  const interned = depth < MAX_DEPTH && values.count > 1 && isPlausible(DICTIONARY) ? internList(values) : undefined;
  if (interned !== undefined) {
    candidates.push((into) => writeMasked(DICTIONARY, interned, contexts, into, depth));
    if (interned.masks.count === 1) return candidates;
  }
  const uuids = isPlausible(UUIDS) ? parseUuids(values) : undefined;
  if (uuids !== undefined) return [...candidates, (into) => writeUuids(uuids, into)];
  if (depth < MAX_DEPTH) {
    for (const [tag, masked] of maskings(values, isPlausible)) {
      candidates.push((into) => writeMasked(tag, masked, contexts, into, depth));
    }
    if (isPlausible(FRONT) && sharesPrefixes(values)) candidates.push((into) => writeFront(values, into));
  }
  const { hasNewline, isBinary } = survey(values);
  if (hasNewline || tags?.has(SIZED) === true) candidates.push((into) => writeSized(values, into));
  else if (isPlausible(LINES)) candidates.push((into) => writeLines(values, into));
  if ((hasNewline || isBinary) && isPlausible(RAW)) candidates.push((into) => writeRaw(values, into));
  // The sample may have offered only what not all of the values allow.
  if (candidates.length === 0) candidates.push((into) => writeSized(values, into));
  return candidates;
}

export function decodeList(count: number, contexts: SymbolContexts | undefined, from: Source, depth = 0): DecodedList {
  from.budget.values(count);
  if (count === 0) return { values: new ValueList(Buffer.alloc(0), 0), symbols: undefined };
  if (depth > MAX_DEPTH) throw malformedColumns('dictionaries nested too deeply');
  const tag = from.plain.octet();
  switch (tag) {
    case LINES:
      return plain(readLines(count, from));
    case SIZED:
      return plain(readSized(count, from));
    case RAW:
      return plain(readRaw(count, from));
    case UUIDS:
      return plain(decodeUuids(count, from));
    case FRONT:
      return plain(readFront(count, from, depth));
    case DICTIONARY:
    case DIGITS:
    case NUMBERS:
      return readMasked(tag, count, contexts, from, depth);
  }
  throw malformedColumns('values in an unknown encoding');
}

function plain(values: Values): DecodedList {
  return { values, symbols: undefined };
}

// --- text as it is ---

function writeLines(values: Values, out: Streams): undefined {
  out.plain.octet(LINES);
  for (let i = 0; i < values.count; i++) {
    out.plain.raw(values.bytes, values.starts[i], values.ends[i]);
    out.plain.octet(NEWLINE);
  }
}

function readLines(count: number, from: Source): Values {
  const { plain } = from;
  const values = new ValueList(plain.bytes, count);
  for (let i = 0; i < count; i++) {
    let end = plain.at;
    while (plain.bytes[end] !== NEWLINE)
      if (end++ >= plain.bytes.length) throw malformedColumns('a value that ends early');
    values.push(plain.at, end);
    plain.at = end + 1;
  }
  return values;
}

function writeSized(values: Values, out: Streams): undefined {
  out.plain.octet(SIZED);
  encodeIntegers(lengthsOf(values), out);
  for (let i = 0; i < values.count; i++) out.plain.raw(values.bytes, values.starts[i], values.ends[i]);
}

function writeRaw(values: Values, out: Streams): undefined {
  out.plain.octet(RAW);
  encodeIntegers(lengthsOf(values), out);
  for (let i = 0; i < values.count; i++) out.packed.raw(values.bytes, values.starts[i], values.ends[i]);
}

const readSized = (count: number, from: Source) => readLengths(count, from, from.plain);
const readRaw = (count: number, from: Source) => readLengths(count, from, from.packed);

function readLengths(count: number, from: Source, stream: Source['plain']): Values {
  const lengths = decodeIntegers(count, from);
  const values = new ValueList(stream.bytes, count);
  for (let i = 0; i < count; i++) {
    const start = stream.at;
    stream.raw(lengths[i]!);
    values.push(start, stream.at);
  }
  return values;
}

function lengthsOf(values: Values): Uint32Array {
  const lengths = new Uint32Array(values.count);
  for (let i = 0; i < values.count; i++) lengths[i] = values.ends[i]! - values.starts[i]!;
  return lengths;
}

function writeUuids(packed: Uint8Array, out: Streams): undefined {
  out.plain.octet(UUIDS);
  encodeUuids(packed, out);
}

// --- through a dictionary: whole values, or values without their digits ---

/** Undefined when too few values repeat. */
function internList(values: Values): Masked | undefined {
  const interner = new Interner();
  const symbols = new Uint32Array(values.count);
  for (let i = 0; i < values.count; i++) {
    symbols[i] = interner.add(values.bytes, values.starts[i]!, values.ends[i]!);
    if (i === 2000 && interner.distinct.count > 1950) return undefined;
  }
  if (interner.distinct.count > values.count * 0.8) return undefined;
  return { masks: interner.distinct, symbols, writeDigits: () => {} };
}

function writeMasked(
  tag: number,
  masked: Masked,
  contexts: SymbolContexts | undefined,
  out: Streams,
  depth: number,
): ListSymbols {
  const { values, symbols } = byFrequency(masked);
  out.plain.octet(tag);
  out.plain.varint(values.count);
  encodeList(values, undefined, out, depth + 1);
  encodeSymbols(symbols, values.count, contexts, out);
  masked.writeDigits(out);
  return { symbols, distinct: values.count };
}

function readMasked(
  tag: number,
  count: number,
  contexts: SymbolContexts | undefined,
  from: Source,
  depth: number,
): DecodedList {
  const distinct = from.plain.varint();
  if (distinct > count) throw malformedColumns('a dictionary larger than what it is for');
  const { values: dictionary } = decodeList(distinct, undefined, from, depth + 1);
  const symbols = decodeSymbols(count, distinct, contexts, from);
  if (tag !== DICTIONARY) {
    const unmask = tag === DIGITS ? unmaskDigits : unmaskNumbers;
    return { values: unmask(dictionary, symbols, from), symbols: { symbols, distinct } };
  }
  const values = new ValueList(dictionary.bytes, count);
  for (let i = 0; i < count; i++) values.push(dictionary.starts[symbols[i]!]!, dictionary.ends[symbols[i]!]!);
  return { values, symbols: { symbols, distinct } };
}

/** The dictionary with its most frequent value first; equally frequent ones in the order of their appearance. */
function byFrequency(masked: Masked): { values: Values; symbols: Uint32Array } {
  const { masks } = masked;
  const counts = countSymbols(masked);
  const order = Array.from({ length: masks.count }, (_, i) => i).sort((a, b) => counts[b]! - counts[a]! || a - b);
  const values = new ValueList(masks.bytes, masks.count);
  const renamed = new Uint32Array(masks.count);
  for (const [to, from] of order.entries()) {
    values.push(masks.starts[from]!, masks.ends[from]!);
    renamed[from] = to;
  }
  return { values, symbols: masked.symbols.map((symbol) => renamed[symbol]!) };
}

function countSymbols(masked: Masked): Uint32Array {
  const counts = new Uint32Array(masked.masks.count);
  for (const symbol of masked.symbols) counts[symbol]!++;
  return counts;
}

/** The maskings worth a trial: the best of the digit ones by an estimate over a sample, and the numbers. */
function maskings(values: Values, isPlausible: (tag: number) => boolean): [tag: number, masked: Masked][] {
  const sample = takeSample(values, 384);
  let withDigits = 0;
  for (let i = 0; i < sample.count; i++) if (hasDigit(sample, i)) withDigits++;
  if (withDigits * 4 < sample.count || withDigits < 2) return [];
  const found: [number, Masked][] = [];
  const kept = isPlausible(DIGITS) ? bestKept(sample, values.count / sample.count) : undefined;
  const digits = kept === undefined ? undefined : maskDigits(values, kept);
  if (digits !== undefined && repeats(digits)) found.push([DIGITS, digits]);
  const inSample = isPlausible(NUMBERS) ? maskNumbers(sample) : undefined;
  const numbers = inSample !== undefined && repeats(inSample, 0.9) ? maskNumbers(values) : undefined;
  if (numbers !== undefined && repeats(numbers)) found.push([NUMBERS, numbers]);
  return found;
}

/** How many leading digits are better left in the mask, because they are not random; `scale` times the sample is all. */
function bestKept(sample: Values, scale: number): number | undefined {
  let best: { kept: number; bits: number } | undefined;
  for (let kept = 0; kept <= 7; kept++) {
    const masked = maskDigits(sample, kept);
    // Of masks that are mostly different the sample shows too little.
    if (masked === undefined || !repeats(masked, kept === 0 ? 0.9 : 0.25)) break;
    const bits = maskedBits(masked, sample, scale);
    if (best === undefined || bits < best.bits) best = { kept, bits };
    else if (kept > best.kept + 2) break;
  }
  return best?.kept;
}

/** Values spread evenly over the list. */
function takeSample(values: Values, size: number): Values {
  if (values.count <= size) return values;
  const sample = new ValueList(values.bytes, size);
  for (let i = 0; i < size; i++) {
    const index = Math.floor((i * values.count) / size);
    sample.push(values.starts[index]!, values.ends[index]!);
  }
  return sample;
}

function repeats(masked: Masked, share = 0.6): boolean {
  return masked.masks.count <= Math.max(8, masked.symbols.length * share);
}

function maskedBits(masked: Masked, values: Values, scale: number): number {
  const { masks } = masked;
  const counts = countSymbols(masked);
  let digits = 0;
  let text = masks.count;
  for (let mask = 0; mask < masks.count; mask++) {
    let marks = 0;
    for (let at = masks.starts[mask]!; at < masks.ends[mask]!; at++) if (masks.bytes[at] === MARK) marks++;
    digits += marks * counts[mask]!;
    text += masks.ends[mask]! - masks.starts[mask]! - marks;
  }
  // A sample shows less entropy than there is (Miller and Madow's correction).
  const bits = entropyBits(counts, values.count) + (masks.count - 1) * 0.72;
  return (bits + digits * (10 / 3)) * scale + text * 3;
}

// --- front-coded ---

function writeFront(values: Values, out: Streams): undefined {
  const shared = sharedPrefixes(values);
  const rests = new ValueList(values.bytes, values.count);
  for (let i = 0; i < values.count; i++) rests.push(values.starts[i]! + shared[i]!, values.ends[i]!);
  out.plain.octet(FRONT);
  encodeIntegers(shared, out);
  encodeList(rests, undefined, out, MAX_DEPTH);
}

function readFront(count: number, from: Source, depth: number): Values {
  const shared = decodeIntegers(count, from);
  const { values: rests } = decodeList(count, undefined, from, depth + 1);
  const into = new ValueWriter(from.budget, count);
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const start = into.octets.length;
    if (shared[i]! > start - previous) throw malformedColumns('a value that repeats more than there was');
    into.octets.reserve(shared[i]!);
    into.octets.bytes.copyWithin(start, previous, previous + shared[i]!);
    into.octets.length += shared[i]!;
    into.octets.raw(rests.bytes, rests.starts[i], rests.ends[i]);
    into.end(start);
    previous = start;
  }
  return into.finish();
}

function sharedPrefixes(values: Values, count = values.count): Uint32Array {
  const { bytes, starts, ends } = values;
  const shared = new Uint32Array(count);
  for (let i = 1; i < count; i++) {
    const length = Math.min(ends[i]! - starts[i]!, ends[i - 1]! - starts[i - 1]!);
    let at = 0;
    while (at < length && bytes[starts[i]! + at] === bytes[starts[i - 1]! + at]) at++;
    shared[i] = at;
  }
  return shared;
}

function sharesPrefixes(values: Values): boolean {
  if (values.count < 8) return false;
  const looked = Math.min(values.count, 512);
  return sharedPrefixes(values, looked).reduce((sum, one) => sum + one, 0) > looked * 4;
}

// --- what is there ---

function hasDigit(values: Values, index: number): boolean {
  for (let at = values.starts[index]!; at < values.ends[index]!; at++) if (isDigit(values.bytes[at]!)) return true;
  return false;
}

/** Whether there are line ends, and whether other octets below the space say that it is not text. */
function survey(values: Values): { hasNewline: boolean; isBinary: boolean } {
  const { bytes, starts, ends, count } = values;
  let hasNewline = false;
  let isBinary = false;
  for (let i = 0; i < count; i++) {
    for (let at = starts[i]!, end = ends[i]!; at < end; at++) {
      if (bytes[at]! >= 0x20) continue;
      if (bytes[at] === NEWLINE) hasNewline = true;
      else isBinary = true;
    }
  }
  return { hasNewline, isBinary };
}
