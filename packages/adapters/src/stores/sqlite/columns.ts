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
    all.set(octets, at);
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
  const present = values.filter((value) => value !== null && value !== undefined);
  if (present.length === values.length) return fullColumnOf(values, found);
  const marks = Uint8Array.from(values, (value) => {
    if (value === null) return NULL;
    return value === undefined ? UNDEFINED : PRESENT;
  });
  return { as: 'sparse', marks, present: fullColumnOf(present, found) };
}

function fullColumnOf(values: unknown[], found: Uint8Array[]): Shape {
  const first = values[0];
  if (typeof first === 'number' && values.every((value) => typeof value === 'number')) {
    return { as: 'numbers', values: Float64Array.from(values) };
  }
  if (first instanceof Uint8Array && values.every((value) => value instanceof Uint8Array)) {
    for (const value of values) found.push(value);
    return { as: 'octetsColumn', lengths: Int32Array.from(values, (value) => value.length) };
  }
  const keys = sharedKeys(values);
  if (keys === undefined) return { as: 'plain', value: values };
  const rows = values as Record<string, unknown>[];
  const columns = keys.map((key) =>
    columnOf(
      rows.map((row) => row[key]),
      found,
    ),
  );
  return { as: 'rows', keys, columns, count: rows.length };
}

/** The keys of objects that all have the same ones, else undefined. */
function sharedKeys(values: unknown[]): string[] | undefined {
  const first = values[0];
  if (!isRecord(first)) return undefined;
  const keys = Object.keys(first);
  const alike = (value: unknown) =>
    isRecord(value) && Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));
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
        return Array.from(shape.values);
      case 'octetsColumn':
        return Array.from(shape.lengths, (length) => this.#take(length));
      case 'rows':
        return this.#rows(shape.keys, shape.columns, shape.count);
      case 'sparse': {
        const present = this.#column(shape.present);
        let at = 0;
        return Array.from(shape.marks, (mark) => {
          if (mark === PRESENT) return present[at++];
          return mark === NULL ? null : undefined;
        });
      }
      default:
        return this.value(shape) as unknown[];
    }
  }

  #rows(keys: string[], shapes: Shape[], count: number): Record<string, unknown>[] {
    const columns = shapes.map((shape) => this.#column(shape));
    return Array.from({ length: count }, (_, at) => {
      const row: Record<string, unknown> = {};
      for (let column = 0; column < keys.length; column++) row[keys[column]!] = columns[column]![at];
      return row;
    });
  }

  #take(length: number): Buffer {
    const octets = Buffer.from(this.octets, this.#at, length);
    this.#at += length;
    return octets;
  }
}
