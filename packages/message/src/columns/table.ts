/** Changes as a table: a row for each change, a column for each attribute, a cell where a change has the attribute. */
import { type Change, type ChangeState, compareBytes, DirpostError } from '@dirpost/core';
import { Reader } from './octets.ts';
import { Interner, NumberList, ValueList, type Values } from './values.ts';

export const states: ChangeState[] = ['whole', 'part', 'removed'];
export const ID_BYTES = 16;
/** Attributes of a part: each costs a reader about a kilobyte, however short it is. Writers cut where there are more. */
export const MAX_COLUMNS = 4_096;

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
  readonly rows = new NumberList();
  readonly firsts = new NumberList();
  readonly values: ValueList;

  constructor(
    readonly name: string,
    arena: Uint8Array,
  ) {
    this.values = new ValueList(arena);
  }

  finish(): Column {
    this.firsts.push(this.values.count);
    return { name: this.name, rows: this.rows.finish(), firsts: this.firsts.finish(), values: this.values };
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
  if (changes.every(({ number }, i) => i === 0 || changes[i - 1]!.number < number)) return changes;
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
  const from = new Reader(Buffer.concat(changes.map((change) => change.bytes)));
  const names = new Interner();
  const builders: ColumnBuilder[] = [];
  const kinds = new RowKinds();
  const rowKinds = new Uint32Array(changes.length);
  const columns: number[] = [];
  for (const [row, change] of changes.entries()) {
    const end = from.at + change.bytes.length;
    const head = change.state === 'whole' ? checkHead(change) : 0;
    const kind = head === 0 ? 0 : change.bytes[head - 1]!;
    from.skip(head);
    readCells(from, end, row, names, builders, columns);
    rowKinds[row] = kinds.add(states.indexOf(change.state), kind, columns);
  }
  return { changes, columns: builders.map((builder) => builder.finish()), rowKinds, kinds: kinds.all };
}

/** Numbers the kinds of rows in the order of their appearance. Most rows are of the kind of the row before. */
class RowKinds {
  readonly all: Table['kinds'] = [];
  readonly #indexes = new Map<string, number>();
  #last = 0;

  add(state: number, kind: number, columns: number[]): number {
    const last = this.all[this.#last];
    if (last?.state === state && last.kind === kind && sameNumbers(last.columns, columns)) return this.#last;
    const key = `${state} ${kind} ${columns.join(' ')}`;
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.all.push({ state, kind, columns: [...columns] }) - 1;
      this.#indexes.set(key, index);
    }
    this.#last = index;
    return index;
  }
}

function sameNumbers(a: number[], b: number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
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

/** Walks canonical attribute bytes (entry.ts) and adds a cell for each; `columns` are those of the row before and become this row's. */
function readCells(
  from: Reader,
  end: number,
  row: number,
  names: Interner,
  builders: ColumnBuilder[],
  columns: number[],
): void {
  const { bytes } = from;
  const expected = columns.length;
  let cells = 0;
  for (; from.at < end; cells++) {
    const nameLength = from.octet();
    const name = from.at;
    from.skip(nameLength);
    // Most rows have the attributes of the row before.
    const guess = cells < expected ? columns[cells]! : -1;
    const column = guess >= 0 && names.equals(guess, bytes, name, from.at) ? guess : names.add(bytes, name, from.at);
    if (column === builders.length) builders.push(new ColumnBuilder(latin1(bytes, name, from.at), bytes));
    const builder = builders[column]!;
    builder.rows.push(row);
    builder.firsts.push(builder.values.count);
    columns[cells] = column;
    for (let count = from.varint(); count > 0; count--) {
      const length = from.varint();
      from.skip(length);
      builder.values.push(from.at - length, from.at);
    }
  }
  columns.length = cells;
  if (from.at !== end) throw new DirpostError('wrong-use', 'The canonical bytes of a change end early.');
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('latin1');
}
