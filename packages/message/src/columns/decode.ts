/** Columns → changes (T2, T3). Everything is untrusted: what does not fit the limits is refused before it is allocated. */
import { isUtf8 } from 'node:buffer';
import { type AnchorHint, type Change, kindCodes, type Limits } from '@dirpost/core';
import { assemble } from './assemble.ts';
import { type Earlier, decodeColumn } from './columns.ts';
import { derivers } from './ids.ts';
import { decodeIntegers } from './integers.ts';
import { wellKnownNames } from './names.ts';
import { Budget, malformedColumns, overBudget, type Reader, Source } from './octets.ts';
import type { RowIds } from './references.ts';
import { decodeSymbols } from './symbols.ts';
import { type Column, ID_BYTES, ID_DERIVED, ID_NONE, ID_RAW, MAX_COLUMNS, type Shape, states } from './table.ts';

const REMOVED = states.indexOf('removed');
const WHOLE = states.indexOf('whole');
const MAX_KIND = Math.max(...Object.values(kindCodes));
/** An attribute of a change takes at least so many octets of canonical bytes: name with its length, number of values. */
const MIN_CELL_BYTES = 3;

/** What every reader allows; few columns need more than one. */
const STEPS_FOR_EACH_BYTE = 128;

/** `bytes`: of the changes in canonical form. */
export function budgetFor(bytes: number, stepsForEach: number): Budget {
  return new Budget(bytes + 1024, bytes * 3 + 65_536, bytes * stepsForEach + 65_536);
}

/** A part as it was read, before it is put together. */
export interface DecodedPart {
  numbers: Float64Array;
  owners: string[];
  ownerOf: Float64Array;
  shapes: Shape[];
  shapeOf: Float64Array;
  columns: Column[];
  ids: RowIds;
}

export function decodeChanges(
  plain: Uint8Array,
  packed: Uint8Array,
  anchors: readonly AnchorHint[],
  limits: Limits,
  budget: Budget = budgetFor(limits.maxPartBytes, STEPS_FOR_EACH_BYTE),
): Change[] {
  return assemble(readPart(new Source(plain, packed, budget), anchors, limits), limits);
}

/** All that stands before the numbers. */
export function readTop({ plain }: Source, limits: Limits) {
  const count = plain.varint();
  if (count > limits.maxPartChanges) throw overBudget('changes');
  const owners = readOwners(plain, count);
  const names = readNames(plain);
  return { count, owners, names, shapes: readShapes(plain, count, names.length, limits) };
}

function readPart(from: Source, anchors: readonly AnchorHint[], limits: Limits): DecodedPart {
  const { plain, packed } = from;
  const { count, owners, names, shapes } = readTop(from, limits);
  const numbers = sumSteps(decodeIntegers(count, from));
  const shapeOf = decodeSymbols(count, shapes.length, undefined, from);
  const ownerOf = decodeSymbols(count, owners.length, undefined, from);
  checkUsed(ownerOf, owners.length, 'an owner without a change');
  checkUsed(shapeOf, shapes.length, 'a shape that no change has');
  const rows = rowsOfColumns(names.length, shapes, shapeOf, limits);
  const ids = readRawIds(shapes, shapeOf, from);
  const part: DecodedPart = { numbers, owners, ownerOf, shapes, shapeOf, columns: [], ids };
  const earlier: Earlier = { columns: part.columns, symbols: [] };
  let derived = false;
  const allIds = () => {
    if (!derived) deriveIds(part, anchors);
    derived = true;
    return ids;
  };
  for (const [i, name] of names.entries()) decodeColumn(name, rows[i]!, earlier, allIds, from);
  allIds();
  if (plain.left > 0 || packed.left > 0) throw malformedColumns('octets after the last column');
  return part;
}

function readOwners(plain: Reader, changeCount: number): string[] {
  const owners = Array.from({ length: atMostOneEach(plain.count(2), changeCount) }, () => {
    const name = plain.sized(255);
    if (name.length === 0 || !isUtf8(name)) throw malformedColumns('an owner without a proper name');
    return Buffer.from(name).toString();
  });
  if (new Set(owners).size !== owners.length) throw malformedColumns('an owner twice');
  return owners;
}

/** Owners and shapes that no change has would be work for every reader, and are bounded by nothing that is true. */
function atMostOneEach(count: number, changeCount: number): number {
  if (count > changeCount) throw malformedColumns('more owners or shapes than changes');
  return count;
}

function checkUsed(symbols: ArrayLike<number>, count: number, what: string): void {
  const used = new Uint8Array(count);
  for (let row = 0; row < symbols.length; row++) used[symbols[row]!] = 1;
  if (used.includes(0)) throw malformedColumns(what);
}

function readNames(plain: Reader): string[] {
  const count = plain.count();
  if (count > MAX_COLUMNS) throw overBudget('attributes');
  const names = Array.from({ length: count }, () => {
    const number = plain.varint();
    const name = number === 0 ? Buffer.from(plain.sized(255)).toString('latin1') : wellKnownNames[number - 1];
    // RFC 4512 §2.5, in lower case.
    if (name === undefined || !/^[a-z0-9][a-z0-9.;_-]*$/.test(name)) {
      throw malformedColumns('an attribute name that LDAP does not know');
    }
    return name;
  });
  if (new Set(names).size !== names.length) throw malformedColumns('an attribute twice');
  return names;
}

function readShapes(plain: Reader, changeCount: number, columnCount: number, limits: Limits): Shape[] {
  return Array.from({ length: atMostOneEach(plain.count(2), changeCount) }, () => {
    const octet = plain.octet();
    const shape: Shape = { state: octet & 3, idForm: (octet >> 2) & 3, kind: octet >> 4, columns: [] };
    const count = plain.varint();
    if (count > limits.maxAttributes) throw overBudget('attributes');
    for (let i = 0, next = 0; i < count; i++) {
      const column = next + plain.varint();
      if (column >= columnCount) throw malformedColumns('a shape with an unknown attribute');
      shape.columns.push(column);
      next = column + 1;
    }
    checkShape(shape);
    return shape;
  });
}

function checkShape({ state, idForm, kind, columns }: Shape): void {
  const isWhole = state === WHOLE;
  const valid =
    state < states.length &&
    idForm <= ID_DERIVED &&
    (isWhole ? kind >= 1 && kind <= MAX_KIND : kind === 0) &&
    (!isWhole || idForm !== ID_NONE) &&
    (state !== REMOVED || columns.length === 0);
  if (!valid) throw malformedColumns('a shape that no change can have');
}

function sumSteps(steps: Float64Array): Float64Array {
  for (let row = 1; row < steps.length; row++) {
    steps[row]! += steps[row - 1]!;
    if (steps[row]! > Number.MAX_SAFE_INTEGER) throw malformedColumns('an entry number that is too large');
  }
  return steps;
}

/** For each column the rows that have it. */
function rowsOfColumns(count: number, shapes: Shape[], shapeOf: Float64Array, limits: Limits): Uint32Array[] {
  const cells = new Uint32Array(count);
  let total = 0;
  for (let row = 0; row < shapeOf.length; row++) {
    const { columns } = shapes[shapeOf[row]!]!;
    total += columns.length;
    if (total * MIN_CELL_BYTES > limits.maxPartBytes) throw overBudget('attributes');
    for (const column of columns) cells[column]!++;
  }
  const rows = Array.from(cells, (cellCount) => new Uint32Array(cellCount));
  cells.fill(0);
  for (let row = 0; row < shapeOf.length; row++) {
    for (const column of shapes[shapeOf[row]!]!.columns) rows[column]![cells[column]!++] = row;
  }
  return rows;
}

function readRawIds(shapes: Shape[], shapeOf: Float64Array, from: Source): RowIds {
  const count = shapeOf.length;
  const ids: RowIds = { bytes: new Uint8Array(count * ID_BYTES), has: new Uint8Array(count) };
  for (let row = 0; row < count; row++) {
    if (shapes[shapeOf[row]!]!.idForm !== ID_RAW) continue;
    ids.bytes.set(from.packed.raw(ID_BYTES), row * ID_BYTES);
    ids.has[row] = 1;
  }
  return ids;
}

/** The ids that follow from anchors; throws where a shape asks for one that does not. */
function deriveIds(part: DecodedPart, anchors: readonly AnchorHint[]): void {
  const { shapes, shapeOf, ownerOf, ids, columns } = part;
  const hints = derivers(part.owners, anchors);
  const named = new Map(columns.map((column) => [column.name, column]));
  for (const attribute of new Set(hints.map((hint) => hint?.attribute))) {
    const column = attribute === undefined ? undefined : named.get(attribute);
    if (column === undefined) continue;
    const { bytes, starts, ends } = column.values;
    for (let cell = 0; cell < column.rows.length; cell++) {
      const row = column.rows[cell]!;
      const hint = hints[ownerOf[row]!];
      const value = column.firsts[cell]!;
      if (shapes[shapeOf[row]!]!.idForm !== ID_DERIVED || hint === undefined || hint.attribute !== attribute) continue;
      if (value === column.firsts[cell + 1]) continue;
      const derived = hint.deriver.derive(bytes, starts[value]!, ends[value]!);
      if (derived === undefined) continue;
      for (let i = 0, to = row * ID_BYTES; i < ID_BYTES; i++, to++) ids.bytes[to] = derived[i]!;
      ids.has[row] = 1;
    }
  }
  for (let row = 0; row < shapeOf.length; row++) {
    if (shapes[shapeOf[row]!]!.idForm === ID_DERIVED && ids.has[row] === 0) {
      throw malformedColumns('an entry whose id cannot be derived');
    }
  }
}
