/**
 * Finds templates by looking: in a sample of rows, which parts of a value are other columns' values? What is found in
 * one row is a proposal; proposals are judged by how many values of the sample they give (encoder only).
 */
import { MAX_TEMPLATES, TemplateMatcher } from './derived.ts';
import { Octets } from './octets.ts';
import type { Column } from './table.ts';
import { hasHole, isReference, RowLookup, type Template, type TemplatePart } from './templates.ts';
import { appendTransformed, DN_ESCAPED, FOLD_NATIONAL, LOWER, SAME, TRANSFORM_COUNT } from './transforms.ts';
import { MAX_ROWS_RATIO } from './symbols.ts';
import { ValueList, valueText } from './values.ts';

const SAMPLE_ROWS = 96;
/** Rows in which proposals are looked for; all sample rows judge them. */
const PROPOSING_ROWS = 24;
const MAX_PROPOSALS = 64;
const MAX_SOURCES = 16;
const MIN_CELLS = 12;
/** What a column is worth that gives fewer bytes than this for each cell is left to the other encodings. */
const MAX_VALUE_BYTES = 400;

/** A text that a part of a value may be. */
interface Piece {
  text: string;
  column: number;
  transform: number;
}

export interface FoundTemplates {
  /** The best first; none when it is not worth it. */
  templates: Template[];
  /** How many of the sample's values they give together, from 0 to 1. */
  share: number;
}

/** The templates that together give most of the column's values. */
export function findTemplates(column: Column, columns: readonly Column[], sources: number[]): FoundTemplates {
  if (column.rows.length < MIN_CELLS || sources.length === 0) return { templates: [], share: 0 };
  const sample = takeSample(column);
  const usable = sources
    .filter((one) => columns[one]!.rows.length <= column.rows.length * MAX_ROWS_RATIO)
    .slice(-MAX_SOURCES);
  const lookup = new RowLookup(sample.rows, columns);
  const proposals = propose(sample, columns, usable, lookup);
  const chosen: Template[] = [];
  const left = Array.from(sample.rows, (_, cell) => valuesOf(sample, cell));
  while (chosen.length < MAX_TEMPLATES && proposals.length > 0) {
    const judged = proposals.map((template) => ({ template, gain: gainOf(template, sample, left, lookup) }));
    let best = judged.reduce((a, b) => (b.gain > a.gain ? b : a));
    best = refine(best, sample, left, lookup);
    if (best.gain < sample.rows.length * 0.8) break;
    chosen.push(best.template);
    removeGiven(best.template, sample, left, lookup);
  }
  const leftOver = left.reduce((sum, values) => sum + values.length, 0);
  return { templates: chosen, share: 1 - leftOver / Math.max(1, sample.values.count) };
}

/** Cells spread evenly over the column. */
function takeSample(column: Column): Column {
  const size = Math.min(SAMPLE_ROWS, column.rows.length);
  const rows = new Uint32Array(size);
  const firsts = new Uint32Array(size + 1);
  const values = new ValueList(column.values.bytes);
  for (let i = 0; i < size; i++) {
    const cell = Math.floor((i * column.rows.length) / size);
    rows[i] = column.rows[cell]!;
    firsts[i] = values.count;
    // Of a large group a few are enough.
    const end = Math.min(column.firsts[cell + 1]!, column.firsts[cell]! + 8);
    for (let value = column.firsts[cell]!; value < end; value++) {
      values.push(column.values.starts[value]!, column.values.ends[value]!);
    }
  }
  firsts[size] = values.count;
  return { name: column.name, rows, firsts, values };
}

function valuesOf(sample: Column, cell: number): number[] {
  const values: number[] = [];
  for (let value = sample.firsts[cell]!; value < sample.firsts[cell + 1]!; value++) values.push(value);
  return values;
}

function propose(sample: Column, columns: readonly Column[], sources: number[], lookup: RowLookup): Template[] {
  const votes = new Map<string, { template: Template; votes: number }>();
  const vote = (template: Template) => {
    const key = template.map(partKey).join('|');
    const known = votes.get(key);
    if (known === undefined) votes.set(key, { template, votes: 1 });
    else known.votes++;
  };
  /** The last parsed value with the same references. */
  const alike = new Map<string, Run[]>();
  const step = Math.max(1, Math.floor(sample.rows.length / PROPOSING_ROWS));
  for (let cell = 0; cell < sample.rows.length; cell += step) {
    const pieces = piecesOf(columns, sources, lookup, cell);
    for (const value of valuesOf(sample, cell)) {
      const text = valueText(sample.values, value);
      if (text.length === 0 || text.length > MAX_VALUE_BYTES) continue;
      const runs = parse(text, pieces);
      for (const template of variants(runs, pieces)) vote(template);
      const joined = joinLiterals(runs);
      const skeleton = joined
        .map((run) => (typeof run === 'string' ? '=' : `${run.column}.${run.transform}`))
        .join('|');
      const difference = differenceOf(joined, alike.get(skeleton));
      if (difference !== undefined) vote(difference);
      alike.set(skeleton, joined);
    }
  }
  const ranked = [...votes.values()].sort((a, b) => b.votes - a.votes);
  return ranked.slice(0, MAX_PROPOSALS).map(({ template }) => template);
}

/** Two values that differ in one literal suggest a hole where they differ. */
function differenceOf(runs: Run[], other: Run[] | undefined): Template | undefined {
  if (other === undefined || runs.every((run) => typeof run === 'string')) return undefined;
  const at = runs.findIndex((run, i) => typeof run === 'string' && run !== other[i]);
  if (at < 0 || runs.some((run, i) => i > at && typeof run === 'string' && run !== other[i])) return undefined;
  const [one, two] = [runs[at] as string, other[at] as string];
  const shorter = Math.min(one.length, two.length);
  let before = 0;
  while (before < shorter && one[before] === two[before]) before++;
  let after = 0;
  while (after < shorter - before && one[one.length - 1 - after] === two[two.length - 1 - after]) after++;
  const parts = [one.slice(0, before), one.slice(before, one.length - after), one.slice(one.length - after)];
  return toTemplate([...runs.slice(0, at), ...parts, ...runs.slice(at + 1)], at + 1);
}

function joinLiterals(runs: Run[]): Run[] {
  const joined: Run[] = [];
  for (const run of runs) {
    const last = joined[joined.length - 1];
    if (typeof run === 'string' && typeof last === 'string') joined[joined.length - 1] = last + run;
    else joined.push(run);
  }
  return joined;
}

function partKey(part: TemplatePart): string {
  if (part === 'hole') return '*';
  return isReference(part)
    ? `${part.column}.${part.transform}.${part.take}`
    : `=${Buffer.from(part).toString('latin1')}`;
}

/** What the row's other columns look like, transformed; each text once, in its plainest transform. Longest first. */
function piecesOf(columns: readonly Column[], sources: number[], lookup: RowLookup, cell: number): Piece[] {
  const pieces: Piece[] = [];
  const scratch = new Octets(256);
  for (const column of sources) {
    const index = lookup.valueIndex(column, cell);
    if (index < 0) continue;
    const { bytes, starts, ends } = columns[column]!.values;
    if (ends[index]! - starts[index]! > MAX_VALUE_BYTES) continue;
    const seen = new Set<string>();
    for (let transform = SAME; transform < TRANSFORM_COUNT; transform++) {
      scratch.length = 0;
      appendTransformed(scratch, bytes, starts[index]!, ends[index]!, transform, 0);
      const text = scratch.view().toString('latin1');
      if (text === '' || seen.has(text)) continue;
      seen.add(text);
      pieces.push({ text, column, transform });
    }
  }
  return pieces.sort((a, b) => b.text.length - a.text.length || a.column - b.column || a.transform - b.transform);
}

type Run = string | Piece;

/** Cuts a value, from the left, into the longest pieces that stand in it and the literal runs between. */
function parse(text: string, pieces: Piece[]): Run[] {
  const runs: Run[] = [];
  let literal = '';
  for (let at = 0; at < text.length; ) {
    const piece = pieces.find(
      (one) => text.startsWith(one.text, at) && (one.text.length >= 3 || isToken(text, at, one.text.length)),
    );
    if (piece === undefined) {
      literal += text[at++];
      continue;
    }
    if (literal !== '') runs.push(...splitDigits(literal));
    literal = '';
    runs.push(piece);
    at += piece.text.length;
  }
  if (literal !== '') runs.push(...splitDigits(literal));
  return runs;
}

/** Nothing of a word or number stands to the left or right. */
function isToken(text: string, at: number, length: number): boolean {
  const isWord = (letter: string | undefined) => letter !== undefined && /[A-Za-z0-9\x80-\xff]/.test(letter);
  return !isWord(text[at - 1]) && !isWord(text[at + length]);
}

/** Digits within literals come and go with the row: they are runs of their own. */
function splitDigits(literal: string): string[] {
  return literal.match(/\d+|\D+/g) ?? [];
}

/** The templates that a parsed value suggests: as it is, with one of its literals as a hole, with initials for a short literal. */
function variants(runs: Run[], pieces: Piece[]): Template[] {
  if (runs.length > 10) return [];
  const found: Template[] = [];
  for (const one of [runs, ...withInitials(runs, pieces)]) {
    if (!one.some((run) => typeof run !== 'string')) continue;
    found.push(toTemplate(one, -1));
    for (const [i, run] of one.entries()) if (typeof run === 'string') found.push(toTemplate(one, i));
  }
  return found;
}

interface Initial extends Piece {
  take: number;
}

/** A literal of up to four letters, or a word cut short, may be how another column's value begins. */
function withInitials(runs: Run[], pieces: Piece[]): Run[][] {
  const found: Run[][] = [];
  for (const [i, run] of runs.entries()) {
    if (typeof run !== 'string' || run.length > 12 || !/^[A-Za-z]+/.test(run)) continue;
    const letters = /^[A-Za-z]+/.exec(run)![0];
    for (const piece of pieces) {
      if (piece.transform > FOLD_NATIONAL || !piece.text.startsWith(letters) || found.length >= 12) continue;
      const initial: Initial = { ...piece, take: letters.length };
      const tail = run.slice(letters.length);
      found.push([...runs.slice(0, i), initial, ...(tail === '' ? [] : [tail]), ...runs.slice(i + 1)]);
    }
  }
  return found;
}

/** Neighbouring literals become one; the run at `hole` becomes the hole. */
function toTemplate(runs: Run[], hole: number): Template {
  const template: Template = [];
  let literal = '';
  const flush = () => {
    if (literal !== '') template.push(Buffer.from(literal, 'latin1'));
    literal = '';
  };
  for (const [i, run] of runs.entries()) {
    if (typeof run === 'string' && i !== hole) {
      literal += run;
      continue;
    }
    flush();
    if (typeof run === 'string') template.push('hole');
    else
      template.push({ column: run.column, transform: run.transform, take: 'take' in run ? (run as Initial).take : 0 });
  }
  flush();
  return template;
}

/** Rough saving in bytes over the sample: a value's text, less what stands in the hole. */
function gainOf(template: Template, sample: Column, left: number[][], lookup: RowLookup): number {
  const matcher = new TemplateMatcher(template, lookup);
  const { starts, ends } = sample.values;
  let gain = 0;
  for (const [cell, values] of left.entries()) {
    const at = matcher.take(cell, sample.values, values);
    if (at < 0) continue;
    const value = values[at]!;
    gain += (ends[value]! - starts[value]!) * 0.4 + 0.5;
  }
  if (!hasHole(template)) return gain;
  const holes = matcher.holes!.finish();
  const distinct = new Set<string>();
  for (let i = 0; i < holes.count; i++) {
    const text = valueText(holes, i);
    if (text !== '') gain -= 0.4 + text.length * (/^\d+$/.test(text) ? 0.4 : 0.5);
    distinct.add(text);
  }
  return gain - distinct.size * 0.05 - 0.1;
}

/** Other transforms for each reference: a row without accents cannot tell how accents are written. */
function refine(best: Judged, sample: Column, left: number[][], lookup: RowLookup): Judged {
  let current = best;
  for (let i = 0; i < best.template.length; i++) {
    const part = current.template[i]!;
    if (!isReference(part)) continue;
    for (let transform = LOWER; transform <= DN_ESCAPED; transform++) {
      const template = current.template.with(i, { ...part, transform });
      const gain = gainOf(template, sample, left, lookup);
      if (gain > current.gain) current = { template, gain };
    }
  }
  return current;
}

interface Judged {
  template: Template;
  gain: number;
}

function removeGiven(template: Template, sample: Column, left: number[][], lookup: RowLookup): void {
  const matcher = new TemplateMatcher(template, lookup);
  for (const [cell, values] of left.entries()) {
    const at = matcher.take(cell, sample.values, values);
    if (at >= 0) values.splice(at, 1);
  }
}
