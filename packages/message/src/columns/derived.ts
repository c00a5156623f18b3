/**
 * A column written through templates (format.md, "Derived columns"): for each cell which templates give values of it,
 * and what they do not give.
 */
import { decodeIntegers, encodeIntegers } from './integers.ts';
import { decodeList, encodeList } from './lists.ts';
import { malformedColumns, Octets, type Source, type Streams } from './octets.ts';
import type { SymbolColumn } from './symbols.ts';
import type { Column } from './table.ts';
import { hasHole, readTemplate, RowLookup, type Template, writeTemplate } from './templates.ts';
import { compareValues, ValueList, type Values, ValueWriter } from './values.ts';

export const MAX_TEMPLATES = 4;

/** `symbols` of earlier columns may foretell what stands in holes. */
export function encodeDerived(
  column: Column,
  templates: Template[],
  lookup: RowLookup,
  symbols: SymbolColumn[],
  out: Streams,
): void {
  const matchers = templates.map((template) => new TemplateMatcher(template, lookup));
  const cells = column.rows.length;
  const used = new Uint32Array(cells);
  const restCounts = new Uint32Array(cells);
  const rest = new ValueList(column.values.bytes);
  const { firsts, values } = column;
  const left: number[] = [];
  for (let cell = 0; cell < cells; cell++) {
    left.length = 0;
    for (let value = firsts[cell]!; value < firsts[cell + 1]!; value++) left.push(value);
    for (let i = 0; i < matchers.length; i++) {
      const at = matchers[i]!.take(cell, values, left);
      if (at < 0) continue;
      used[cell]! |= 1 << i;
      left.splice(at, 1);
    }
    restCounts[cell] = left.length;
    for (const value of left) rest.push(values.starts[value]!, values.ends[value]!);
  }
  out.plain.varint(templates.length);
  for (const template of templates) writeTemplate(template, out.plain);
  encodeIntegers(used, out);
  encodeIntegers(restCounts, out);
  encodeList(rest, undefined, out);
  for (const [i, matcher] of matchers.entries()) {
    if (matcher.holes === undefined) continue;
    encodeList(matcher.holes.finish(), { rows: rowsThatUse(column.rows, used, i), columns: symbols }, out);
  }
}

function rowsThatUse(rows: Uint32Array, used: ArrayLike<number>, template: number): Uint32Array {
  const users = new Uint32Array(rows.length);
  let count = 0;
  for (let cell = 0; cell < rows.length; cell++) {
    if ((used[cell]! & (1 << template)) !== 0) users[count++] = rows[cell]!;
  }
  return users.subarray(0, count);
}

/** Compares values with what a template says of a cell, and keeps what stood in the holes. */
export class TemplateMatcher {
  readonly holes: ValueWriter | undefined;
  readonly #before: Template;
  readonly #after: Template;
  readonly #scratch = new Octets(256);

  constructor(
    template: Template,
    private readonly lookup: RowLookup,
  ) {
    const hole = template.indexOf('hole');
    this.#before = hole < 0 ? template : template.slice(0, hole);
    this.#after = hole < 0 ? [] : template.slice(hole + 1);
    this.holes = hole < 0 ? undefined : new ValueWriter(undefined);
  }

  /** The index in `left` of the first value that the template gives, -1 for none. */
  take(cell: number, values: Values, left: number[]): number {
    const scratch = this.#scratch;
    scratch.length = 0;
    if (left.length === 0 || !this.lookup.append(this.#before, cell, scratch)) return -1;
    const beforeEnd = scratch.length;
    if (!this.lookup.append(this.#after, cell, scratch)) return -1;
    for (let i = 0; i < left.length; i++) {
      const start = values.starts[left[i]!]!;
      const end = values.ends[left[i]!]!;
      const hole = end - start - scratch.length;
      if (hole < 0 || (hole > 0 && this.holes === undefined)) continue;
      if (!sameOctets(values.bytes, start, scratch.bytes, 0, beforeEnd)) continue;
      if (!sameOctets(values.bytes, end - (scratch.length - beforeEnd), scratch.bytes, beforeEnd, scratch.length))
        continue;
      this.holes?.push(values.bytes, start + beforeEnd, start + beforeEnd + hole);
      return i;
    }
    return -1;
  }
}

function sameOctets(a: Uint8Array, at: number, b: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++, at++) if (a[at] !== b[i]) return false;
  return true;
}

interface DecodedTemplate {
  parts: Template;
  /** Values of the hole, one for each use; and the next. */
  holes: Values | undefined;
  next: number;
}

/** The values of a column, by cell; `firsts` as in Column. */
export function decodeDerived(
  rows: Uint32Array,
  columns: readonly Column[],
  symbols: SymbolColumn[],
  from: Source,
): { firsts: Uint32Array; values: Values } {
  const templateCount = from.plain.varint();
  if (templateCount === 0 || templateCount > MAX_TEMPLATES) throw malformedColumns('too many templates');
  const parts = Array.from({ length: templateCount }, () => readTemplate(from.plain, columns.length));
  const used = decodeIntegers(rows.length, from);
  const restCounts = decodeIntegers(rows.length, from);
  const rest = decodeList(sum(restCounts), undefined, from).values;
  const templates = parts.map((template, i): DecodedTemplate => {
    if (!hasHole(template)) return { parts: template, holes: undefined, next: 0 };
    const contexts = { rows: rowsThatUse(rows, used, i), columns: symbols };
    const holes = decodeList(contexts.rows.length, contexts, from).values;
    return { parts: template, holes, next: 0 };
  });
  const lookup = new RowLookup(rows, columns, from);
  const firsts = new Uint32Array(rows.length + 1);
  const into = new ValueWriter(from.budget, rows.length + 1);
  let total = 0;
  let nextRest = 0;
  for (let cell = 0; cell < rows.length; cell++) {
    firsts[cell] = total;
    if (used[cell]! >= 1 << templateCount) throw malformedColumns('a template that is not there');
    for (let i = 0; i < templateCount; i++) {
      if ((used[cell]! & (1 << i)) !== 0) appendValue(templates[i]!, cell, lookup, into);
    }
    for (let left = restCounts[cell]!; left > 0; left--, nextRest++) {
      into.push(rest.bytes, rest.starts[nextRest]!, rest.ends[nextRest]!);
    }
    const end = into.count;
    if (end - total > 1 && used[cell]! > 0) sortValues(into, total, end);
    total = end;
  }
  firsts[rows.length] = total;
  return { firsts, values: into.finish() };
}

function appendValue(template: DecodedTemplate, cell: number, lookup: RowLookup, into: ValueWriter): void {
  const { octets } = into;
  const start = octets.length;
  for (const part of template.parts) {
    if (part === 'hole') {
      const holes = template.holes!;
      octets.raw(holes.bytes, holes.starts[template.next], holes.ends[template.next]);
      template.next++;
    } else if (!lookup.appendPart(part, cell, octets)) {
      throw malformedColumns('a template of a value that the row lacks');
    }
    into.budget?.fits(octets.length - start);
  }
  into.end(start);
}

/** Insertion from the front: at most the templates' values stand before the rest, which is in order already. */
function sortValues(into: ValueWriter, start: number, end: number): void {
  const { bytes } = into.octets;
  const { starts, ends } = into.list;
  for (let i = Math.min(end - 1, start + MAX_TEMPLATES - 1); i >= start; i--) {
    const from = starts[i]!;
    const to = ends[i]!;
    let at = i;
    for (; at + 1 < end && compareValues(bytes, from, to, bytes, starts[at + 1]!, ends[at + 1]!) > 0; at++) {
      starts[at] = starts[at + 1]!;
      ends[at] = ends[at + 1]!;
    }
    starts[at] = from;
    ends[at] = to;
  }
}

function sum(numbers: Float64Array): number {
  let total = 0;
  for (let i = 0; i < numbers.length; i++) total += numbers[i]!;
  return total;
}
