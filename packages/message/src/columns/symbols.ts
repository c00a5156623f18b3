/**
 * Columns whose values are numbers of a dictionary, called symbols: a symbol may be foretold by the symbol that another
 * column has in the same row (town by postal code, dialling code by town; format.md, "Symbols").
 */
import { entropyBits, streamsCost } from './cost.ts';
import { bitLength, decodeIntegers, encodeIntegers, type Integers } from './integers.ts';
import { malformedColumns, type Source, Streams } from './octets.ts';

/** The symbols of a column that was written before, by cell, with the row of each cell (ascending). */
export interface SymbolColumn {
  column: number;
  rows: Uint32Array;
  symbols: Integers;
  distinct: number;
}

/** Dictionaries larger than this are neither foretold nor foretell: ranks are moved one by one. */
const MAX_DISTINCT = 4096;
/** Fewer rows cannot pay for learning. */
const MIN_ROWS = 64;
const MAX_CONTEXTS = 16;
const SAMPLE_ROWS = 512;
/** A context may have this many times more rows than what it foretells, so that walking both stays in proportion. */
export const MAX_ROWS_RATIO = 16;
/** Ranks are found and moved one by one: above this mean they gain nothing and cost time. */
const MAX_MEAN_RANK = 64;

export interface SymbolContexts {
  rows: Uint32Array;
  columns: SymbolColumn[];
}

/** `contexts` are offered where there is one symbol per cell; undefined otherwise. */
export function encodeSymbols(
  symbols: Integers,
  distinct: number,
  contexts: SymbolContexts | undefined,
  out: Streams,
): void {
  const direct = new Streams();
  direct.plain.varint(0);
  encodeIntegers(symbols, direct);
  const context = contexts === undefined ? undefined : bestContext(symbols, distinct, contexts);
  if (context !== undefined && contexts !== undefined) {
    const foretold = new Streams();
    foretold.plain.varint(context.column + 1);
    const walked = writeRanks(symbols, alignSymbols(context, contexts.rows), foretold);
    if (walked <= symbols.length * MAX_MEAN_RANK && streamsCost(foretold) < streamsCost(direct))
      return out.append(foretold);
  }
  out.append(direct);
}

export function decodeSymbols(
  count: number,
  distinct: number,
  contexts: SymbolContexts | undefined,
  from: Source,
): Float64Array {
  const reference = from.plain.varint();
  const symbols = reference === 0 ? decodeIntegers(count, from) : readForetold(count, reference - 1, contexts, from);
  for (let i = 0; i < count; i++) if (symbols[i]! >= distinct) throw malformedColumns('a number beyond its dictionary');
  return symbols;
}

function readForetold(count: number, column: number, contexts: SymbolContexts | undefined, from: Source): Float64Array {
  const context = contexts?.columns.find((one) => one.column === column);
  if (contexts === undefined || context === undefined || context.distinct > MAX_DISTINCT) {
    throw malformedColumns('a column foretold by one that cannot foretell');
  }
  from.budget.steps(context.rows.length + count);
  return readRanks(alignSymbols(context, contexts.rows), from);
}

/** For every cell the context's symbol in the same row plus one; 0 where the row has none. */
export function alignSymbols(context: SymbolColumn, rows: Uint32Array): Uint32Array {
  const aligned = new Uint32Array(rows.length);
  if (isDense(rows) && isDense(context.rows)) {
    const both = Math.min(rows.length, context.rows.length);
    for (let cell = 0; cell < both; cell++) aligned[cell] = context.symbols[cell]! + 1;
    return aligned;
  }
  for (let cell = 0, at = 0; cell < rows.length; cell++) {
    while (at < context.rows.length && context.rows[at]! < rows[cell]!) at++;
    if (at < context.rows.length && context.rows[at] === rows[cell]) aligned[cell] = context.symbols[at]! + 1;
  }
  return aligned;
}

/** A cell in every row from the first on: then a cell's index is its row. */
export function isDense(rows: Uint32Array): boolean {
  return rows.length === 0 || rows[rows.length - 1] === rows.length - 1;
}

/** The column that foretells these symbols best by conditional entropy, if that looks like a gain. */
function bestContext(symbols: Integers, distinct: number, contexts: SymbolContexts): SymbolColumn | undefined {
  if (symbols.length < MIN_ROWS || distinct < 2 || distinct > MAX_DISTINCT) return undefined;
  const counts = new Uint32Array(distinct);
  for (let i = 0; i < symbols.length; i++) counts[symbols[i]!]!++;
  const directBits = entropyBits(counts, symbols.length);
  let bestBits = directBits * 0.95;
  let best: SymbolColumn | undefined;
  for (const context of contexts.columns.slice(-MAX_CONTEXTS)) {
    if (context.distinct < 2 || context.distinct > MAX_DISTINCT) continue;
    if (context.rows.length > symbols.length * MAX_ROWS_RATIO) continue;
    const aligned = alignSymbols(context, contexts.rows);
    if (!looksForetold(symbols, distinct, aligned, context.distinct, directBits / symbols.length)) continue;
    const bits = conditionalBits(symbols, distinct, aligned, context.distinct + 1);
    if (bits >= bestBits) continue;
    bestBits = bits;
    best = context;
  }
  return best;
}

/** By some of the rows, in which learning weighs more than in all: a column is dropped only if it is far off. */
function looksForetold(
  symbols: Integers,
  distinct: number,
  aligned: Uint32Array,
  contextDistinct: number,
  directBitsEach: number,
): boolean {
  if (symbols.length <= SAMPLE_ROWS * 2) return true;
  const some = new Uint32Array(SAMPLE_ROWS);
  const someAligned = new Uint32Array(SAMPLE_ROWS);
  for (let i = 0; i < SAMPLE_ROWS; i++) {
    const cell = Math.floor((i * symbols.length) / SAMPLE_ROWS);
    some[i] = symbols[cell]!;
    someAligned[i] = aligned[cell]!;
  }
  return conditionalBits(some, distinct, someAligned, contextDistinct + 1) < directBitsEach * SAMPLE_ROWS * 1.2;
}

/** Entropy of the symbols where the context is known, plus what each pair costs when it is met for the first time. */
function conditionalBits(symbols: Integers, distinct: number, aligned: Uint32Array, contextCount: number): number {
  const totals = new Uint32Array(contextCount);
  const size = 2 ** bitLength(symbols.length * 2);
  const keys = new Float64Array(size).fill(-1);
  const counts = new Uint32Array(size);
  let pairs = 0;
  for (let i = 0; i < symbols.length; i++) {
    const key = aligned[i]! * distinct + symbols[i]!;
    let slot = Math.imul(key, 0x9e3779b1) >>> (32 - bitLength(size - 1));
    while (keys[slot] !== key && keys[slot] !== -1) slot = (slot + 1) & (size - 1);
    if (counts[slot] === 0) pairs++;
    keys[slot] = key;
    counts[slot]!++;
    totals[aligned[i]!]!++;
  }
  let bits = pairs * (Math.log2(distinct) + 1);
  for (let slot = 0; slot < size; slot++) {
    const count = counts[slot]!;
    if (count > 0) bits -= count * Math.log2(count / totals[Math.floor(keys[slot]! / distinct)]!);
  }
  return bits;
}

/**
 * The symbols met so far in one context, the more frequent first. A symbol is named by its rank, from 1; rank 0 says
 * that it is new in this context and stands in the second sequence.
 */
class Ranks {
  readonly symbols: number[] = [];
  readonly #counts: number[] = [];

  /** Counts the symbol at this index; it moves up past those that were met less often. */
  count(index: number): void {
    const { symbols } = this;
    const counts = this.#counts;
    const symbol = symbols[index]!;
    const met = counts[index]! + 1;
    let at = index;
    for (; at > 0 && counts[at - 1]! < met; at--) {
      symbols[at] = symbols[at - 1]!;
      counts[at] = counts[at - 1]!;
    }
    symbols[at] = symbol;
    counts[at] = met;
  }

  add(symbol: number): void {
    this.symbols.push(symbol);
    this.#counts.push(1);
  }
}

/** Returns the sum of all ranks: the steps that reading them takes. */
function writeRanks(symbols: Integers, aligned: Uint32Array, out: Streams): number {
  const ranksOf = new Map<number, Ranks>();
  const ranks = new Uint32Array(symbols.length);
  const fresh: number[] = [];
  let walked = 0;
  for (let i = 0; i < symbols.length; i++) {
    const known = getRanks(ranksOf, aligned[i]!);
    const index = known.symbols.indexOf(symbols[i]!);
    ranks[i] = index + 1;
    walked += index + 1;
    if (index >= 0) known.count(index);
    else {
      fresh.push(symbols[i]!);
      known.add(symbols[i]!);
    }
  }
  encodeIntegers(ranks, out);
  encodeIntegers(fresh, out);
  return walked;
}

function readRanks(aligned: Uint32Array, from: Source): Float64Array {
  const symbols = decodeIntegers(aligned.length, from);
  let freshCount = 0;
  let walked = 0;
  for (let i = 0; i < symbols.length; i++) {
    walked += symbols[i]!;
    if (symbols[i] === 0) freshCount++;
  }
  from.budget.steps(walked / 2);
  const fresh = decodeIntegers(freshCount, from);
  const ranksOf = new Map<number, Ranks>();
  let nextFresh = 0;
  for (let i = 0; i < symbols.length; i++) {
    const known = getRanks(ranksOf, aligned[i]!);
    const rank = symbols[i]!;
    if (rank > known.symbols.length) throw malformedColumns('a rank that is not taken');
    if (rank === 0) {
      symbols[i] = fresh[nextFresh++]!;
      if (known.symbols.length >= MAX_DISTINCT) throw malformedColumns('more ranks than a column can have');
      known.add(symbols[i]!);
    } else {
      symbols[i] = known.symbols[rank - 1]!;
      known.count(rank - 1);
    }
  }
  return symbols;
}

function getRanks(ranksOf: Map<number, Ranks>, context: number): Ranks {
  let ranks = ranksOf.get(context);
  if (ranks === undefined) ranksOf.set(context, (ranks = new Ranks()));
  return ranks;
}
