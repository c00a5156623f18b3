/**
 * Packs arguments and results for the way between the threads. Batches are arrays of like objects: they are turned
 * into columns, and all octets of one call into one ArrayBuffer that is transferred. (Structured clone of thousands of
 * small Buffers would copy the pool behind each of them, and of thousands of objects costs more than the SQL.)
 */

/** What stands for a value; octets are taken from the one buffer, in order. */
type Shape =
  | { as: 'plain'; value: unknown }
  | { as: 'octets'; length: number }
  | { as: 'list'; values: Shape[] }
  | { as: 'object'; keys: string[]; values: Shape[] }
  | { as: 'numbers'; values: Float64Array }
  | { as: 'octetsColumn'; lengths: Int32Array }
  | { as: 'rows'; keys: string[]; columns: Shape[]; count: number }
  | { as: 'sparse'; marks: Uint8Array; present: Shape };

export interface Packed {
  shape: Shape;
  octets: ArrayBuffer;
}

/** Marks of a sparse column. */
const PRESENT = 0;
const NULL = 1;
const UNDEFINED = 2;

/** A batch or a single value. */
export function pack(value: unknown): Packed {
  const found: Uint8Array[] = [];
  return joined(shapeOf(value, found), found);
}

/** Arguments: values that have nothing in common, batches among them. */
export function packList(values: unknown[]): Packed {
  const found: Uint8Array[] = [];
  return joined({ as: 'list', values: values.map((value) => shapeOf(value, found)) }, found);
}

function joined(shape: Shape, found: Uint8Array[]): Packed {
  let length = 0;
  for (const octets of found) length += octets.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const octets of found) {
    // A loop is faster than set() for ids and hashes.
    if (octets.length > 32) all.set(octets, at);
    else for (let index = 0; index < octets.length; index++) all[at + index] = octets[index]!;
    at += octets.length;
  }
  return { shape, octets: all.buffer };
}

/** Octets come out as views of the one buffer, which lives as long as any of them. */
export function unpack(packed: Packed): unknown {
  return new Unpacking(packed.octets).value(packed.shape);
}

function shapeOf(value: unknown, found: Uint8Array[]): Shape {
  if (value instanceof Uint8Array) {
    found.push(value);
    return { as: 'octets', length: value.length };
  }
  if (Array.isArray(value)) return columnOf(value, found);
  if (typeof value !== 'object' || value === null) return { as: 'plain', value };
  const keys = Object.keys(value);
  return { as: 'object', keys, values: Object.values(value).map((member) => shapeOf(member, found)) };
}

function columnOf(values: unknown[], found: Uint8Array[]): Shape {
  let gaps = 0;
  for (const value of values) if (value === null || value === undefined) gaps++;
  if (gaps === 0) return fullColumnOf(values, found);
  const marks = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) {
    if (values[at] === null) marks[at] = NULL;
    else if (values[at] === undefined) marks[at] = UNDEFINED;
  }
  const present = gaps === values.length ? [] : values.filter((value) => value !== null && value !== undefined);
  return { as: 'sparse', marks, present: fullColumnOf(present, found) };
}

function fullColumnOf(values: unknown[], found: Uint8Array[]): Shape {
  const first = values[0];
  if (typeof first === 'number' && values.every((value) => typeof value === 'number')) {
    return { as: 'numbers', values: new Float64Array(values) };
  }
  if (first instanceof Uint8Array && values.every((value) => value instanceof Uint8Array)) {
    const lengths = new Int32Array(values.length);
    for (let at = 0; at < values.length; at++) lengths[at] = found[found.push(values[at]!) - 1]!.length;
    return { as: 'octetsColumn', lengths };
  }
  const keys = sharedKeys(values);
  if (keys === undefined) return { as: 'plain', value: values };
  const rows = values as Record<string, unknown>[];
  const columns = keys.map((key) => columnOf(membersOf(rows, key), found));
  return { as: 'rows', keys, columns, count: rows.length };
}

function membersOf(rows: Record<string, unknown>[], key: string): unknown[] {
  const members: unknown[] = [];
  for (const row of rows) members.push(row[key]);
  return members;
}

/** The keys of objects that all have the same ones, else undefined. */
function sharedKeys(values: unknown[]): string[] | undefined {
  const first = values[0];
  if (!isRecord(first)) return undefined;
  const keys = Object.keys(first);
  const alike = (value: unknown) => {
    if (!isRecord(value)) return false;
    const own = Object.keys(value);
    return own.length === keys.length && own.every((key, at) => key === keys[at] || keys.includes(key));
  };
  return values.every(alike) ? keys : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

class Unpacking {
  #at = 0;

  constructor(readonly octets: ArrayBuffer) {}

  value(shape: Shape): unknown {
    switch (shape.as) {
      case 'plain':
        return shape.value;
      case 'octets':
        return this.#take(shape.length);
      case 'list':
        return shape.values.map((member) => this.value(member));
      case 'object':
        return Object.fromEntries(shape.keys.map((key, at) => [key, this.value(shape.values[at]!)]));
      default:
        return this.#column(shape);
    }
  }

  #column(shape: Shape): unknown[] {
    switch (shape.as) {
      case 'numbers':
        return [...shape.values];
      case 'octetsColumn':
        return this.#octetsColumn(shape.lengths);
      case 'rows':
        return this.#rows(shape.keys, shape.columns, shape.count);
      case 'sparse':
        return this.#sparse(shape.marks, shape.present);
      default:
        return this.value(shape) as unknown[];
    }
  }

  #octetsColumn(lengths: Int32Array): Buffer[] {
    const column: Buffer[] = [];
    for (const length of lengths) column.push(this.#take(length));
    return column;
  }

  #sparse(marks: Uint8Array, shape: Shape): unknown[] {
    const present = this.#column(shape);
    const column: unknown[] = [];
    let next = 0;
    for (const mark of marks) {
      if (mark === PRESENT) column.push(present[next++]);
      else column.push(mark === NULL ? null : undefined);
    }
    return column;
  }

  /** Column by column: the objects get their members in the same order, so that the engine gives them one shape. */
  #rows(keys: string[], shapes: Shape[], count: number): Record<string, unknown>[] {
    const rows: Record<string, unknown>[] = [];
    for (let at = 0; at < count; at++) rows.push({});
    keys.forEach((key, column) => {
      const values = this.#column(shapes[column]!);
      for (let at = 0; at < count; at++) rows[at]![key] = values[at];
    });
    return rows;
  }

  #take(length: number): Buffer {
    const octets = Buffer.from(this.octets, this.#at, length);
    this.#at += length;
    return octets;
  }
}
