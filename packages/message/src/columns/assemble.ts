/**
 * Decoded columns → changes in canonical bytes (entry.ts), all in one arena of exactly the size that is needed. What
 * core would have to check entry by entry is checked here column by column: sizes, counts, order of values.
 */
import { type Change, type Limits } from '@dirpost/core';
import type { DecodedPart } from './decode.ts';
import { COPY_SLACK, copyAhead, copyOctets, malformedColumns, overBudget } from './octets.ts';
import { type Column, ID_BYTES, type Shape, states } from './table.ts';
import { compareValues } from './values.ts';

/** Longer values are copied by the system. */
const LONG_BYTES = 256;

/** What the writing loop needs of a column. */
interface Cells {
  column: Column;
  /** Length and octets of the name. */
  nameBytes: number;
  name: DataView;
  values: DataView;
  /** The next cell to be written. */
  next: number;
}

interface PreparedShape {
  shape: Shape;
  /** In order of name. */
  cells: Cells[];
  isWhole: boolean;
}

export function assemble(part: DecodedPart, limits: Limits): Change[] {
  const cells = part.columns.map((column): Cells => {
    const name = Buffer.from(column.name, 'latin1');
    const padded = Buffer.concat([Buffer.from([name.length]), name, Buffer.alloc(COPY_SLACK)]);
    return { column, nameBytes: 1 + name.length, name: viewOf(padded), values: viewOf(column.values.bytes), next: 0 };
  });
  const shapes = part.shapes.map((shape): PreparedShape => {
    const sorted = shape.columns.map((index) => cells[index]!).sort((a, b) => (a.column.name < b.column.name ? -1 : 1));
    return { shape, cells: sorted, isWhole: states[shape.state] === 'whole' };
  });
  const owners = part.owners.map((owner) => {
    const octets = Buffer.from(owner);
    return Buffer.concat([Buffer.from([octets.length]), octets]);
  });
  const arena = Buffer.allocUnsafeSlow(totalBytes(part, cells, owners, limits) + COPY_SLACK);
  return writeChanges(part, shapes, owners, arena, limits);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The size of all canonical bytes together; checks each value and cell against its limit on the way. */
function totalBytes(part: DecodedPart, cells: Cells[], owners: Buffer[], limits: Limits): number {
  let total = 0;
  for (let row = 0; row < part.shapeOf.length; row++) {
    if (states[part.shapes[part.shapeOf[row]!]!.state] === 'whole')
      total += ID_BYTES + owners[part.ownerOf[row]!]!.length + 1;
  }
  for (const { column, nameBytes } of cells) {
    total += column.rows.length * nameBytes;
    total += columnBytes(column, limits, limits.maxPartBytes - total);
  }
  return total;
}

/** Cells may share their values: so each is counted before it is compared, and above `most` octets nothing is looked at. */
function columnBytes(column: Column, limits: Limits, most: number): number {
  const { firsts, values } = column;
  const { bytes, starts, ends } = values;
  let total = 0;
  for (let cell = 0; cell < column.rows.length; cell++) {
    const end = firsts[cell + 1]!;
    const count = end - firsts[cell]!;
    if (count > limits.maxValues) throw overBudget('values');
    total += varintBytes(count);
    for (let value = firsts[cell]!; value < end; value++) {
      const length = ends[value]! - starts[value]!;
      if (length > limits.maxValueBytes) throw overBudget('bytes');
      total += varintBytes(length) + length;
      if (total > most) throw overBudget('bytes');
      if (
        value + 1 < end &&
        compareValues(bytes, starts[value]!, ends[value]!, bytes, starts[value + 1]!, ends[value + 1]!) >= 0
      ) {
        throw malformedColumns('values out of order');
      }
    }
  }
  if (total > most) throw overBudget('bytes');
  return total;
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function writeChanges(
  part: DecodedPart,
  shapes: PreparedShape[],
  owners: Buffer[],
  arena: Buffer,
  limits: Limits,
): Change[] {
  const { numbers, ids } = part;
  const changes: Change[] = [];
  const view = viewOf(arena);
  let at = 0;
  for (let row = 0; row < part.shapeOf.length; row++) {
    const { shape, cells, isWhole } = shapes[part.shapeOf[row]!]!;
    const owner = part.ownerOf[row]!;
    const start = at;
    if (isWhole) at = writeHead(arena, at, ids.bytes, row * ID_BYTES, owners[owner]!, shape.kind);
    for (const one of cells) at = writeCell(arena, view, at, one, isWhole);
    if (at - start > limits.maxEntryBytes) throw overBudget('bytes in an entry');
    const bytes = arena.subarray(start, at);
    changes.push({
      number: numbers[row]!,
      id: idOf(part, row, isWhole ? bytes : undefined),
      owner: part.owners[owner]!,
      state: states[shape.state]!,
      bytes,
    });
  }
  return changes;
}

function idOf(part: DecodedPart, row: number, whole: Buffer | undefined): Uint8Array | null {
  if (whole !== undefined) return whole.subarray(0, ID_BYTES);
  if (part.ids.has[row] === 0) return null;
  return Buffer.from(part.ids.bytes.subarray(row * ID_BYTES, (row + 1) * ID_BYTES));
}

function writeHead(arena: Buffer, at: number, ids: Uint8Array, idAt: number, owner: Buffer, kind: number): number {
  for (let i = 0; i < ID_BYTES; i++) arena[at + i] = ids[idAt + i]!;
  at += ID_BYTES;
  for (let i = 0; i < owner.length; i++) arena[at + i] = owner[i]!;
  at += owner.length;
  arena[at] = kind;
  return at + 1;
}

function writeCell(arena: Buffer, view: DataView, at: number, cells: Cells, isWhole: boolean): number {
  const { firsts, values } = cells.column;
  const { starts, ends } = values;
  const cell = cells.next++;
  const first = firsts[cell]!;
  const end = firsts[cell + 1]!;
  if (isWhole && first === end) throw malformedColumns('an attribute without values');
  copyAhead(cells.name, 0, cells.nameBytes, view, at);
  at = writeVarint(arena, at + cells.nameBytes, end - first);
  const safe = cells.values.byteLength - COPY_SLACK;
  for (let value = first; value < end; value++) {
    const from = starts[value]!;
    const to = ends[value]!;
    at = writeVarint(arena, at, to - from);
    if (to - from > LONG_BYTES || to > safe) copyOctets(values.bytes, from, to, arena, at);
    else copyAhead(cells.values, from, to - from, view, at);
    at += to - from;
  }
  return at;
}

function writeVarint(arena: Buffer, at: number, value: number): number {
  for (; value >= 0x80; value >>>= 7) arena[at++] = (value & 0x7f) | 0x80;
  arena[at++] = value;
  return at;
}
