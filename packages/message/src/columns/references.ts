/**
 * Values that are entry ids (members of groups): one that belongs to an entry of the same part is named by its row,
 * others stand as they are (format.md, "References").
 */
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { decodeList, encodeList } from './lists.ts';
import { malformedColumns, type Source, type Streams } from './octets.ts';
import { type Column, ID_BYTES } from './table.ts';
import { compareValues, ValueList, type Values, ValueWriter } from './values.ts';

/** The ids of all rows, 16 octets each, and which rows have one. */
export interface RowIds {
  bytes: Uint8Array;
  has: Uint8Array;
}

export function encodeReferences(column: Column, counts: Uint32Array, ids: RowIds, out: Streams): void {
  const rowOf = rowsById(ids);
  const named = new Uint32Array(counts.length);
  const others = new Uint32Array(counts.length);
  const distances: number[] = [];
  const rest = new ValueList(column.values.bytes);
  for (let cell = 0; cell < counts.length; cell++) {
    const rows: number[] = [];
    for (let value = column.firsts[cell]!; value < column.firsts[cell + 1]!; value++) {
      const start = column.values.starts[value]!;
      const row = rowOf.get(idText(column.values.bytes, start));
      if (row === undefined) rest.push(start, column.values.ends[value]!);
      else rows.push(row);
    }
    rows.sort((a, b) => a - b);
    for (const [i, row] of rows.entries()) distances.push(i === 0 ? row : row - rows[i - 1]! - 1);
    named[cell] = rows.length;
    others[cell] = counts[cell]! - rows.length;
  }
  encodeIntegers(named, out);
  encodeIntegers(others, out);
  encodeIntegers(distances, out);
  encodeList(rest, undefined, out);
}

function rowsById(ids: RowIds): Map<string, number> {
  const rowOf = new Map<string, number>();
  for (let row = 0; row < ids.has.length; row++) {
    if (ids.has[row] === 0) continue;
    const text = idText(ids.bytes, row * ID_BYTES);
    if (!rowOf.has(text)) rowOf.set(text, row);
  }
  return rowOf;
}

function idText(bytes: Uint8Array, start: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, ID_BYTES).toString('latin1');
}

export function decodeReferences(cells: number, ids: RowIds, from: Source): { firsts: Uint32Array; values: Values } {
  const named = decodeIntegers(cells, from);
  const others = decodeIntegers(cells, from);
  const namedTotal = total(named);
  from.budget.values(namedTotal);
  const distances = decodeIntegers(namedTotal, from);
  const rest = decodeList(total(others), undefined, from).values;
  const into = new ValueWriter(from.budget, namedTotal + rest.count + 1);
  const firsts = new Uint32Array(cells + 1);
  let nextDistance = 0;
  let nextRest = 0;
  for (let cell = 0; cell < cells; cell++) {
    firsts[cell] = into.count;
    let row = -1;
    for (let left = named[cell]!; left > 0; left--) {
      row += distances[nextDistance++]! + 1;
      if (ids.has[row] !== 1) throw malformedColumns('a reference to a row without id');
      into.push(ids.bytes, row * ID_BYTES, (row + 1) * ID_BYTES);
    }
    for (let left = others[cell]!; left > 0; left--, nextRest++) {
      into.push(rest.bytes, rest.starts[nextRest]!, rest.ends[nextRest]!);
    }
    if (named[cell]! > 0) mergeCell(into, firsts[cell]!, named[cell]!);
  }
  firsts[cells] = into.count;
  return { firsts, values: into.finish() };
}

/**
 * The first values are those that rows name, in any order; the further ones are in order, or it is refused when the cell is put
 * together. So only as many as there are rows are ever sorted.
 */
function mergeCell(into: ValueWriter, first: number, named: number): void {
  const { bytes } = into.octets;
  const { starts, ends, count } = into.list;
  const sorted = Array.from({ length: named }, (_, i) => [starts[first + i]!, ends[first + i]!] as const);
  sorted.sort((a, b) => compareValues(bytes, a[0], a[1], bytes, b[0], b[1]));
  let next = 0;
  let further = first + named;
  for (let at = first; at < count && next < named; at++) {
    const [start, end] = sorted[next]!;
    const isNext = further === count || compareValues(bytes, start, end, bytes, starts[further]!, ends[further]!) <= 0;
    if (isNext) next++;
    starts[at] = isNext ? start : starts[further]!;
    ends[at] = isNext ? end : ends[further]!;
    if (!isNext) further++;
  }
}

function total(numbers: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  return sum;
}
