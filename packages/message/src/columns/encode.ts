/**
 * Changes → columns (T1, T2). The order on the wire is that of this file: owners, attribute names, shapes, then for
 * each row number, shape, owner and id, then the columns (format.md, "Columns").
 */
import { type AnchorHint, type Change, DirpostError, type Limits } from '@dirpost/core';
import { type Earlier, encodeColumn, isReferenceColumn } from './columns.ts';
import { derivers, sameId } from './ids.ts';
import { encodeIntegers } from './integers.ts';
import { wellKnownNames } from './names.ts';
import { type Octets, Streams } from './octets.ts';
import type { RowIds } from './references.ts';
import { encodeSymbols } from './symbols.ts';
import {
  type Column,
  ID_BYTES,
  ID_DERIVED,
  ID_NONE,
  ID_RAW,
  MAX_COLUMNS,
  type Shape,
  tabulate,
  type Table,
} from './table.ts';

const nameNumbers = new Map(wellKnownNames.map((name, i) => [name, i + 1]));

export function encodeChanges(changes: Change[], anchors: readonly AnchorHint[], limits: Limits): Streams {
  if (changes.length > limits.maxPartChanges) {
    throw new DirpostError('limit-exceeded', `A part would have more than ${limits.maxPartChanges} changes.`);
  }
  const out = new Streams();
  const table = tabulate(changes);
  if (table.columns.length > MAX_COLUMNS) {
    throw new DirpostError('limit-exceeded', `A part would have more than ${MAX_COLUMNS} attributes.`);
  }
  const order = orderColumns(table.columns);
  const columns = order.map((index) => table.columns[index]!);
  const place = new Map(order.map((index, at) => [index, at]));
  const owners = ownersOf(table.changes);
  const idForms = chooseIdForms(table, owners, anchors);
  const { shapes, symbols } = shapesOf(table, idForms, place);
  writeNames(out.plain, table.changes.length, owners, columns);
  writeShapes(shapes, out.plain);
  encodeIntegers(numberSteps(table.changes), out);
  encodeSymbols(symbols, shapes.length, undefined, out);
  encodeSymbols(owners.symbols, owners.names.length, undefined, out);
  for (const [row, change] of table.changes.entries()) if (idForms[row] === ID_RAW) out.packed.raw(change.id!);
  const earlier: Earlier = { columns: [], symbols: [] };
  for (const column of columns) {
    const ids = isReferenceColumn(column) ? rowIds(table.changes) : undefined;
    encodeColumn(column, earlier, ids, out);
  }
  return out;
}

/**
 * References last, because they need the ids; before them the shorter values first, because longer ones are made of
 * shorter ones. Equal ones by name.
 */
function orderColumns(columns: Column[]): number[] {
  const keys = columns.map((column) => ({
    references: isReferenceColumn(column) ? 1 : 0,
    meanBytes: meanBytes(column),
    name: column.name,
  }));
  return columns
    .map((_, i) => i)
    .sort((a, b) => {
      const [x, y] = [keys[a]!, keys[b]!];
      return x.references - y.references || x.meanBytes - y.meanBytes || (x.name < y.name ? -1 : 1);
    });
}

function meanBytes(column: Column): number {
  const { starts, ends, count } = column.values;
  let total = 0;
  for (let i = 0; i < count; i++) total += ends[i]! - starts[i]!;
  return count === 0 ? 0 : Math.round(total / count);
}

interface Owners {
  names: string[];
  symbols: Uint32Array;
}

function ownersOf(changes: Change[]): Owners {
  const names: string[] = [];
  const indexes = new Map<string, number>();
  const symbols = new Uint32Array(changes.length);
  for (const [row, { owner }] of changes.entries()) {
    let index = indexes.get(owner);
    if (index === undefined) indexes.set(owner, (index = names.push(owner) - 1));
    symbols[row] = index;
  }
  return { names, symbols };
}

function chooseIdForms(table: Table, owners: Owners, anchors: readonly AnchorHint[]): Uint8Array {
  const forms = new Uint8Array(table.changes.length);
  for (const [row, { id }] of table.changes.entries()) forms[row] = id === null ? ID_NONE : ID_RAW;
  const hints = derivers(owners.names, anchors);
  for (const attribute of new Set(hints.map((hint) => hint?.attribute))) {
    const column = table.columns.find(({ name }) => name === attribute);
    if (column === undefined) continue;
    for (let cell = 0; cell < column.rows.length; cell++) {
      const row = column.rows[cell]!;
      const hint = hints[owners.symbols[row]!];
      const value = column.firsts[cell]!;
      if (
        hint === undefined ||
        hint.attribute !== attribute ||
        value === column.firsts[cell + 1] ||
        forms[row] !== ID_RAW
      )
        continue;
      const { bytes, starts, ends } = column.values;
      const derived = hint.deriver.derive(bytes, starts[value]!, ends[value]!);
      if (derived !== undefined && sameId(derived, table.changes[row]!.id!)) forms[row] = ID_DERIVED;
    }
  }
  return forms;
}

/** Distinct shapes, the most frequent first, and the one of each row. */
function shapesOf(
  table: Table,
  idForms: Uint8Array,
  place: Map<number, number>,
): { shapes: Shape[]; symbols: Uint32Array } {
  const counts = new Map<number, number>();
  const keys = new Uint32Array(table.rowKinds.length);
  for (const [row, kind] of table.rowKinds.entries()) {
    const key = kind * 3 + idForms[row]!;
    keys[row] = key;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const ranked = [...counts.entries()].sort((a, b) => b[1] - a[1]).map(([key]) => key);
  const index = new Map(ranked.map((key, i) => [key, i]));
  const shapes = ranked.map((key) => {
    const { state, kind, columns } = table.kinds[Math.floor(key / 3)]!;
    const places = columns.map((column) => place.get(column)!).sort((a, b) => a - b);
    return { state, kind, idForm: key % 3, columns: places };
  });
  return { shapes, symbols: keys.map((key) => index.get(key)!) };
}

function writeNames(out: Octets, changeCount: number, owners: Owners, columns: Column[]): void {
  out.varint(changeCount);
  out.varint(owners.names.length);
  for (const name of owners.names) out.sized(Buffer.from(name));
  out.varint(columns.length);
  for (const { name } of columns) {
    const known = nameNumbers.get(name);
    out.varint(known ?? 0);
    if (known === undefined) out.sized(Buffer.from(name, 'latin1'));
  }
}

/** State, form of id and kind in one octet; the columns as distances. */
function writeShapes(shapes: Shape[], out: Octets): void {
  out.varint(shapes.length);
  for (const { state, kind, idForm, columns } of shapes) {
    out.octet(state | (idForm << 2) | (kind << 4));
    out.varint(columns.length);
    let next = 0;
    for (const column of columns) {
      out.varint(column - next);
      next = column + 1;
    }
  }
}

/** The first number, then the distance from each to the next. */
export function numberSteps(changes: Change[]): Float64Array {
  const steps = new Float64Array(changes.length);
  let previous = 0;
  for (const [row, { number }] of changes.entries()) {
    if (!Number.isSafeInteger(number) || number < 0) {
      throw new DirpostError('wrong-use', `A change cannot have the entry number ${number}.`);
    }
    steps[row] = number - previous;
    previous = number;
  }
  return steps;
}

function rowIds(changes: Change[]): RowIds {
  const ids: RowIds = { bytes: new Uint8Array(changes.length * ID_BYTES), has: new Uint8Array(changes.length) };
  for (const [row, { id }] of changes.entries()) {
    if (id === null) continue;
    ids.bytes.set(id, row * ID_BYTES);
    ids.has[row] = 1;
  }
  return ids;
}
