/**
 * One column, in the mode that makes it smallest (format.md, "Columns"): its values as a list, whole sets of values
 * through a dictionary, derived from other columns, or references to entries of the same part.
 */
import { REFERENCE_OPTION } from '@dirpost/core';
import { smallest } from './cost.ts';
import { decodeDerived, encodeDerived } from './derived.ts';
import { findTemplates } from './find-templates.ts';
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { decodeList, encodeList, type ListSymbols } from './lists.ts';
import { malformedColumns, Octets, overBudget, type Source, type Streams } from './octets.ts';
import { decodeReferences, encodeReferences, type RowIds } from './references.ts';
import { decodeSymbols, encodeSymbols, type SymbolColumn, type SymbolContexts } from './symbols.ts';
import type { Column } from './table.ts';
import { RowLookup } from './templates.ts';
import { Interner, ValueList, type Values } from './values.ts';

const LIST = 0;
const SETS = 1;
const DERIVED = 2;
const REFERENCES = 3;

/** Columns that were written or read before, in order, and what they offer to later ones. */
export interface Earlier {
  columns: Column[];
  symbols: SymbolColumn[];
}

export function isReferenceColumn(column: Column): boolean {
  if (!column.name.endsWith(REFERENCE_OPTION)) return false;
  for (let i = 0; i < column.values.count; i++)
    if (column.values.ends[i]! - column.values.starts[i]! !== 16) return false;
  return true;
}

/** Writes the column and adds it to `earlier`. `ids` are needed for reference columns only. */
export function encodeColumn(column: Column, earlier: Earlier, ids: RowIds | undefined, out: Streams): void {
  const contexts = { rows: column.rows, columns: earlier.symbols };
  const candidates: Candidate[] = [];
  const found = ids === undefined && isText(column) ? findDerivation(column, earlier) : undefined;
  if (ids !== undefined) candidates.push((into) => writeReferences(column, ids, into));
  if (found !== undefined) candidates.push(found.write);
  if (found === undefined || found.share < CERTAIN_SHARE) {
    const sets = internSets(column);
    if (sets !== undefined) candidates.push((into) => writeSets(sets, contexts, into));
    candidates.push((into) => writeList(column, contexts, into));
  }
  const { streams, result } = smallest(candidates);
  out.append(streams);
  addEarlier(column, result, earlier);
}

type Candidate = (into: Streams) => ListSymbols | undefined;

/** Templates that give more than this share of the values are taken without trying anything else. */
const CERTAIN_SHARE = 0.9;

function findDerivation(column: Column, earlier: Earlier): { write: Candidate; share: number } | undefined {
  if (repeatsMuch(column)) return undefined;
  const { templates, share } = findTemplates(column, earlier.columns, sourcesFor(earlier));
  if (templates.length === 0) return undefined;
  const lookup = new RowLookup(column.rows, earlier.columns);
  const write: Candidate = (into) => {
    into.plain.octet(DERIVED);
    encodeDerived(column, templates, lookup, earlier.symbols, into);
    return undefined;
  };
  return { write, share };
}

/** So few different values that a dictionary, perhaps a foretold one, says them better; judged by the first cells. */
function repeatsMuch(column: Column): boolean {
  const interner = new Interner();
  const { bytes, starts, ends, count } = column.values;
  const looked = Math.min(count, 1000);
  for (let i = 0; i < looked; i++) interner.add(bytes, starts[i]!, ends[i]!);
  return looked >= 64 && interner.distinct.count * 8 <= looked;
}

/** Reads the column of these rows and adds it to `earlier`. `rowIds` is called when the column needs them. */
export function decodeColumn(
  name: string,
  rows: Uint32Array,
  earlier: Earlier,
  rowIds: () => RowIds,
  from: Source,
): Column {
  const contexts = { rows, columns: earlier.symbols };
  const mode = from.plain.octet();
  const add = (firsts: Uint32Array, values: Values, symbols?: ListSymbols): Column => {
    const column: Column = { name, rows, firsts, values };
    addEarlier(column, symbols, earlier);
    return column;
  };
  switch (mode) {
    case LIST: {
      const firsts = readFirsts(rows.length, from);
      const list = decodeList(firsts[rows.length]!, isSingle(firsts) ? contexts : undefined, from);
      return add(firsts, list.values, isSingle(firsts) ? list.symbols : undefined);
    }
    case SETS:
      return readSets(rows, contexts, from, add);
    case DERIVED: {
      const { firsts, values } = decodeDerived(rows, earlier.columns, earlier.symbols, from);
      return add(firsts, values);
    }
    case REFERENCES: {
      const { firsts, values } = decodeReferences(rows.length, rowIds(), from);
      return add(firsts, values);
    }
  }
  throw malformedColumns('a column in an unknown mode');
}

function addEarlier(column: Column, symbols: ListSymbols | undefined, earlier: Earlier): void {
  const index = earlier.columns.push(column) - 1;
  if (symbols === undefined) return;
  earlier.symbols.push({ column: index, rows: column.rows, symbols: symbols.symbols, distinct: symbols.distinct });
}

/** Columns that templates may refer to: text, and nearer ones rather than farther ones. */
function sourcesFor(earlier: Earlier): number[] {
  return earlier.columns.map((_, i) => i).filter((i) => isText(earlier.columns[i]!));
}

/** Short values without control octets; judged by the first few. */
function isText(column: Column): boolean {
  const { bytes, starts, ends, count } = column.values;
  const few = Math.min(count, 20);
  for (let i = 0; i < few; i++) {
    if (ends[i]! - starts[i]! > 400) return false;
    for (let at = starts[i]!; at < ends[i]!; at++) if (bytes[at]! < 0x20) return false;
  }
  return few > 0;
}

// --- the values as a list ---

function writeList(column: Column, contexts: SymbolContexts, out: Streams): ListSymbols | undefined {
  out.plain.octet(LIST);
  encodeIntegers(countsOf(column), out);
  const single = isSingle(column.firsts);
  const symbols = encodeList(column.values, single ? contexts : undefined, out);
  return single ? symbols : undefined;
}

function countsOf(column: Column): Uint32Array {
  const counts = new Uint32Array(column.rows.length);
  for (let cell = 0; cell < counts.length; cell++) counts[cell] = column.firsts[cell + 1]! - column.firsts[cell]!;
  return counts;
}

function readFirsts(cells: number, from: Source): Uint32Array {
  const counts = decodeIntegers(cells, from);
  const firsts = new Uint32Array(cells + 1);
  let total = 0;
  for (let cell = 0; cell < cells; cell++) {
    firsts[cell] = total;
    total += counts[cell]!;
    if (total > 0x7fff_ffff) throw overBudget('values');
  }
  firsts[cells] = total;
  return firsts;
}

/** Every cell has one value: then a value's symbol is the row's. */
function isSingle(firsts: Uint32Array): boolean {
  for (let cell = 0; cell + 1 < firsts.length; cell++) if (firsts[cell + 1]! - firsts[cell]! !== 1) return false;
  return true;
}

// --- whole sets of values ---

interface Sets {
  symbols: Uint32Array;
  /** Of each distinct set: number of values, and one after another the values. */
  counts: number[];
  values: ValueList;
}

/** Undefined where each cell has one value, or too few sets repeat. */
function internSets(column: Column): Sets | undefined {
  if (column.rows.length < 2 || isSingle(column.firsts)) return undefined;
  const { firsts, values } = column;
  const interner = new Interner();
  const sets: Sets = { symbols: new Uint32Array(column.rows.length), counts: [], values: new ValueList(values.bytes) };
  const key = new Octets(256);
  for (let cell = 0; cell < column.rows.length; cell++) {
    key.length = 0;
    for (let value = firsts[cell]!; value < firsts[cell + 1]!; value++) {
      key.varint(values.ends[value]! - values.starts[value]!);
      key.raw(values.bytes, values.starts[value], values.ends[value]);
    }
    const symbol = interner.add(key.bytes, 0, key.length);
    sets.symbols[cell] = symbol;
    if (symbol < sets.counts.length) continue;
    if (symbol > 1000 && symbol > cell * 0.9) return undefined;
    sets.counts.push(firsts[cell + 1]! - firsts[cell]!);
    for (let value = firsts[cell]!; value < firsts[cell + 1]!; value++) {
      sets.values.push(values.starts[value]!, values.ends[value]!);
    }
  }
  return sets.counts.length <= column.rows.length * 0.8 ? sets : undefined;
}

function writeSets(sets: Sets, contexts: SymbolContexts, out: Streams): ListSymbols {
  out.plain.octet(SETS);
  out.plain.varint(sets.counts.length);
  encodeIntegers(sets.counts, out);
  encodeList(sets.values, undefined, out);
  encodeSymbols(sets.symbols, sets.counts.length, contexts, out);
  return { symbols: sets.symbols, distinct: sets.counts.length };
}

function readSets(
  rows: Uint32Array,
  contexts: SymbolContexts,
  from: Source,
  add: (firsts: Uint32Array, values: Values, symbols: ListSymbols) => Column,
): Column {
  const distinct = from.plain.varint();
  if (distinct > rows.length) throw malformedColumns('more sets of values than cells');
  const setFirsts = readFirsts(distinct, from);
  const dictionary = decodeList(setFirsts[distinct]!, undefined, from).values;
  const symbols = decodeSymbols(rows.length, distinct, contexts, from);
  const firsts = new Uint32Array(rows.length + 1);
  let total = 0;
  for (let cell = 0; cell < rows.length; cell++) {
    firsts[cell] = total;
    total += setFirsts[symbols[cell]! + 1]! - setFirsts[symbols[cell]!]!;
  }
  firsts[rows.length] = total;
  from.budget.values(total);
  const values = new ValueList(dictionary.bytes, total);
  for (let cell = 0; cell < rows.length; cell++) {
    const end = setFirsts[symbols[cell]! + 1]!;
    for (let value = setFirsts[symbols[cell]!]!; value < end; value++) {
      values.push(dictionary.starts[value]!, dictionary.ends[value]!);
    }
  }
  return add(firsts, values, { symbols, distinct });
}

function writeReferences(column: Column, ids: RowIds, out: Streams): undefined {
  out.plain.octet(REFERENCES);
  encodeReferences(column, countsOf(column), ids, out);
}
