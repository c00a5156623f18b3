/** Changes as a table: a row for each change, a column for each attribute, a cell where a change has the attribute. */
import { type Change, type ChangeState, compareBytes, DirpostError } from '@dirpost/core';
import { overBudget } from './octets.ts';
import { Interner, ValueList, type Values } from './values.ts';

export const states: ChangeState[] = ['whole', 'part', 'removed'];
export const ID_BYTES = 16;

/** How the receiver gets the id of a row. */
export const ID_NONE = 0;
export const ID_RAW = 1;
export const ID_DERIVED = 2;

export interface Column {
  name: string;
  /** The row of each cell, ascending. */
  rows: Uint32Array;
  /** The first value of each cell, and at the end the number of values. */
  firsts: Uint32Array;
  values: Values;
}

/** The rows that have the same state, kind, form of id and attributes. */
export interface Shape {
  state: number;
  /** Code of the entry's kind; 0 unless `whole`. */
  kind: number;
  idForm: number;
  /** Indexes of columns, ascending. */
  columns: number[];
}

/** A column while it grows. */
export class ColumnBuilder {
  readonly rows: number[] = [];
  readonly firsts: number[] = [];
  readonly values: ValueList;

  constructor(
    readonly name: string,
    arena: Uint8Array,
  ) {
    this.values = new ValueList(arena);
  }

  finish(): Column {
    const firsts = Uint32Array.from([...this.firsts, this.values.count]);
    return { name: this.name, rows: Uint32Array.from(this.rows), firsts, values: this.values };
  }
}

export interface Table {
  /** Ascending by number. */
  changes: Change[];
  /** Attributes in the order of their names. */
  columns: Column[];
  /** For each row: state, kind and columns, as one number; `rowKinds` says which. */
  rowKinds: Uint32Array;
  kinds: { state: number; kind: number; columns: number[] }[];
}

/** In the order in which they travel and come back: by number; the same for any order in which they were given. */
function sortChanges(changes: Change[]): Change[] {
  return [...changes].sort(
    (a, b) =>
      a.number - b.number ||
      compareBytes(a.id ?? none, b.id ?? none) ||
      states.indexOf(a.state) - states.indexOf(b.state) ||
      (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : 0) ||
      compareBytes(a.bytes, b.bytes),
  );
}

const none = new Uint8Array(0);

export function tabulate(given: Change[]): Table {
  const changes = sortChanges(given);
  const arena = Buffer.concat(changes.map((change) => change.bytes));
  const names = new Interner();
  const builders: ColumnBuilder[] = [];
  const kindIndexes = new Map<string, number>();
  const kinds: Table['kinds'] = [];
  const rowKinds = new Uint32Array(changes.length);
  let at = 0;
  for (const [row, change] of changes.entries()) {
    const end = at + change.bytes.length;
    const state = states.indexOf(change.state);
    const head = change.state === 'whole' ? checkHead(change) : 0;
    const kind = head === 0 ? 0 : change.bytes[head - 1]!;
    const columns = readCells(arena, at + head, end, row, names, builders);
    const key = `${state} ${kind} ${columns.join(' ')}`;
    let index = kindIndexes.get(key);
    if (index === undefined) {
      index = kinds.push({ state, kind, columns }) - 1;
      kindIndexes.set(key, index);
    }
    rowKinds[row] = index;
    at = end;
  }
  return { changes, columns: builders.map((builder) => builder.finish()), rowKinds, kinds };
}

/** Where the attributes of a whole entry begin, once id and owner are those of the change. */
function checkHead(change: Change): number {
  const { bytes, id } = change;
  const owner = Buffer.from(change.owner);
  const head = ID_BYTES + 1 + owner.length + 1;
  const matches =
    id !== null &&
    bytes.length >= head &&
    compareBytes(bytes.subarray(0, ID_BYTES), id) === 0 &&
    bytes[ID_BYTES] === owner.length &&
    compareBytes(bytes.subarray(ID_BYTES + 1, head - 1), owner) === 0;
  if (!matches)
    throw new DirpostError('wrong-use', 'A whole change is not of the entry and owner that its bytes name.');
  return head;
}

/** Walks canonical attribute bytes (entry.ts) and adds a cell for each; returns the columns in order of name. */
function readCells(
  arena: Buffer,
  start: number,
  end: number,
  row: number,
  names: Interner,
  builders: ColumnBuilder[],
): number[] {
  const columns: number[] = [];
  let at = start;
  while (at < end) {
    const nameEnd = at + 1 + arena[at]!;
    const column = names.add(arena, at + 1, nameEnd);
    if (column === builders.length) builders.push(new ColumnBuilder(arena.toString('latin1', at + 1, nameEnd), arena));
    const builder = builders[column]!;
    builder.rows.push(row);
    builder.firsts.push(builder.values.count);
    columns.push(column);
    let count = 0;
    [count, at] = readLength(arena, nameEnd);
    for (; count > 0 && at < end; count--) {
      const [length, valueStart] = readLength(arena, at);
      at = valueStart + length;
      builder.values.push(valueStart, at);
    }
  }
  if (at !== end) throw new DirpostError('wrong-use', 'The canonical bytes of a change end early.');
  return columns;
}

/** A varint; most are one octet long. */
function readLength(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = bytes[at]!;
  if (value < 0x80) return [value, at + 1];
  value &= 0x7f;
  for (let factor = 0x80, next = at + 1; factor < 2 ** 50; factor *= 0x80, next++) {
    const octet = bytes[next] ?? 0;
    value += (octet & 0x7f) * factor;
    if (octet < 0x80) return [value, next + 1];
  }
  throw overBudget('bytes');
}
