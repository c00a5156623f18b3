/**
 * Values that follow from other columns of the same row: `cn` is `{givenname} {sn}`, `mail` is `{uid}@example.org`.
 * A template is a sequence of literals, other columns' first values (transformed), and at most one hole for what the
 * row adds itself (format.md, "Derived columns").
 */
import { malformedColumns, Octets, type Reader, type Source } from './octets.ts';
import type { Column } from './table.ts';
import { appendTransformed, TRANSFORM_COUNT } from './transforms.ts';

export interface Reference {
  /** Place of the column in the order of columns. */
  column: number;
  transform: number;
  /** At most so many octets of the result; 0 for all. */
  take: number;
}

export type TemplatePart = 'hole' | Uint8Array | Reference;
export type Template = TemplatePart[];

const PART_HOLE = 0;
const PART_LITERAL = 1;
/** And above: a reference with the transform that is so much less. */
const PART_REFERENCE = 2;
const MAX_PARTS = 16;
const MAX_LITERAL_BYTES = 1024;
/** Folding one takes as long as walking so many rows. */
const STEPS_FOR_EACH_OCTET = 4;
/** Of longer ones people have few: they are counted as more than they take. */
const LONG_BYTES = 256;

export function isReference(part: TemplatePart): part is Reference {
  return part !== 'hole' && !(part instanceof Uint8Array);
}

export function hasHole(template: Template): boolean {
  return template.includes('hole');
}

export function writeTemplate(template: Template, out: Octets): void {
  out.varint(template.length);
  for (const part of template) {
    if (part === 'hole') out.varint(PART_HOLE);
    else if (part instanceof Uint8Array) {
      out.varint(PART_LITERAL);
      out.sized(part);
    } else {
      out.varint(PART_REFERENCE + part.transform);
      out.varint(part.column);
      out.varint(part.take);
    }
  }
}

/** `columnCount` columns were decoded before and may be referred to. */
export function readTemplate(from: Reader, columnCount: number): Template {
  const count = from.varint();
  if (count > MAX_PARTS) throw malformedColumns('a template with too many parts');
  const template: Template = [];
  for (let i = 0; i < count; i++) {
    const tag = from.varint();
    if (tag === PART_HOLE) template.push('hole');
    else if (tag === PART_LITERAL) template.push(from.sized(MAX_LITERAL_BYTES));
    else {
      const transform = tag - PART_REFERENCE;
      const column = from.varint();
      if (transform >= TRANSFORM_COUNT || column >= columnCount) throw malformedColumns('a template of unknown parts');
      template.push({ column, transform, take: from.varint() });
    }
  }
  if (template.filter((part) => part === 'hole').length > 1) throw malformedColumns('a template with several holes');
  return template;
}

/** Finds the value of another column in the row of a cell. Alignments are made once for each column that is referred to. */
export class RowLookup {
  readonly #aligned = new Map<number, Int32Array>();

  constructor(
    private readonly rows: Uint32Array,
    private readonly columns: readonly Column[],
    private readonly source?: Source,
  ) {}

  /** Index of the first value that the column has in the row of `cell`; -1 if none. */
  valueIndex(column: number, cell: number): number {
    let aligned = this.#aligned.get(column);
    if (aligned === undefined) {
      const other = this.columns[column]!;
      this.source?.budget.steps(other.rows.length + this.rows.length);
      aligned = alignFirstValues(this.rows, other);
      this.#aligned.set(column, aligned);
    }
    return aligned[cell]!;
  }

  /** Appends a run of parts; false, with nothing certain appended, where the row lacks a value that is referred to. */
  append(parts: Template, cell: number, out: Octets): boolean {
    for (const part of parts) if (part !== 'hole' && !this.appendPart(part, cell, out)) return false;
    return true;
  }

  appendPart(part: Uint8Array | Reference, cell: number, out: Octets): boolean {
    if (part instanceof Uint8Array) {
      out.raw(part);
      return true;
    }
    const index = this.valueIndex(part.column, cell);
    if (index < 0) return false;
    const { bytes, starts, ends } = this.columns[part.column]!.values;
    // The whole value is walked, however little of it is taken.
    const octets = ends[index]! - starts[index]!;
    this.source?.budget.steps((octets > LONG_BYTES ? 3 : 1) * STEPS_FOR_EACH_OCTET * (1 + octets));
    appendTransformed(out, bytes, starts[index]!, ends[index]!, part.transform, part.take);
    return true;
  }
}

function alignFirstValues(rows: Uint32Array, other: Column): Int32Array {
  const aligned = new Int32Array(rows.length).fill(-1);
  for (let cell = 0, at = 0; cell < rows.length; cell++) {
    while (at < other.rows.length && other.rows[at]! < rows[cell]!) at++;
    if (at === other.rows.length || other.rows[at] !== rows[cell]) continue;
    if (other.firsts[at + 1]! > other.firsts[at]!) aligned[cell] = other.firsts[at]!;
  }
  return aligned;
}
