/**
 * What a command shows: tables that fit the terminal, or one JSON document with --json. Values from outside are shown
 * without control characters, so that nothing in a directory can speak to the terminal.
 */
import type { Progress } from '../events.ts';

export interface Column<Row> {
  title: string;
  value(row: Row): string | number | null | undefined;
  align?: 'right';
}

export interface Streams {
  out: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  err: { write(text: string): unknown; isTTY?: boolean };
}

const DEFAULT_WIDTH = 100;
const PROGRESS_AFTER_MS = 2_000;
const PROGRESS_EVERY_MS = 200;

export class Screen {
  #startedMs = Date.now();
  #shownMs = 0;
  #progressShown = false;

  constructor(
    readonly streams: Streams,
    readonly json: boolean,
  ) {}

  /** A line for people; nothing with --json. */
  line(text = ''): void {
    if (this.json) return;
    this.clearProgress();
    this.streams.out.write(`${printable(text, true)}\n`);
  }

  /** The one document of --json; nothing for people. */
  data(value: unknown): void {
    if (!this.json) return;
    this.clearProgress();
    this.streams.out.write(`${printableJson(value, 2)}\n`);
  }

  /** Output that is written piece by piece, such as LDIF or a long document. */
  raw(text: string): void {
    this.clearProgress();
    this.streams.out.write(text);
  }

  table<Row>(rows: Row[], columns: Column<Row>[]): void {
    if (this.json || rows.length === 0) return;
    // What is piped on or kept in a file is not cut.
    const width = this.streams.out.isTTY === true ? (this.streams.out.columns ?? DEFAULT_WIDTH) : Infinity;
    for (const line of formatTable(rows, columns, width)) this.line(line);
  }

  /** Pairs under each other, values aligned. */
  facts(pairs: [string, string | number | null | undefined][]): void {
    const wide = Math.max(...pairs.map(([name]) => name.length));
    for (const [name, value] of pairs) this.line(`  ${name.padEnd(wide)}  ${printable(String(value ?? '–'))}`);
  }

  /** To the standard error, whatever the mode: it does not disturb a document that is piped on. */
  problem(text: string): void {
    this.clearProgress();
    this.streams.err.write(`${printable(text, true)}\n`);
  }

  progress({ what, done }: Progress): void {
    const nowMs = Date.now();
    if (this.streams.err.isTTY !== true || nowMs - this.#startedMs < PROGRESS_AFTER_MS) return;
    if (nowMs - this.#shownMs < PROGRESS_EVERY_MS) return;
    this.#shownMs = nowMs;
    this.#progressShown = true;
    this.streams.err.write(`\r\x1b[K${what} ${done.toLocaleString('en')} …`);
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    this.#progressShown = false;
    this.streams.err.write('\r\x1b[K');
  }
}

function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  const buffer = value as { type?: unknown; data?: unknown } | null;
  if (buffer?.type === 'Buffer' && Array.isArray(buffer.data)) return Buffer.from(buffer.data).toString('hex');
  return value;
}

/** Columns get what they need; what is too wide for the terminal is cut from the widest column, with an ellipsis. */
export function formatTable<Row>(rows: Row[], columns: Column<Row>[], width: number): string[] {
  const cells = rows.map((row) => columns.map((column) => printable(String(column.value(row) ?? '–'))));
  const widths = columns.map((column, i) => Math.max(column.title.length, ...cells.map((row) => [...row[i]!].length)));
  const gaps = 2 * (columns.length - 1);
  for (let total = sum(widths) + gaps; total > width; total = sum(widths) + gaps) {
    const widest = widths.indexOf(Math.max(...widths));
    if (widths[widest]! <= 8) break;
    widths[widest] = Math.max(8, widths[widest]! - (total - width));
  }
  const format = (row: string[]) =>
    row
      .map((cell, i) => pad(cut(cell, widths[i]!), widths[i]!, columns[i]!.align))
      .join('  ')
      .trimEnd();
  return [format(columns.map((column) => column.title)), ...cells.map(format)];
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
}

function pad(text: string, width: number, align: 'right' | undefined): string {
  const space = ' '.repeat(Math.max(0, width - [...text].length));
  return align === 'right' ? space + text : text + space;
}

/** Without control characters, and without marks that change the direction of what follows. */
export function printable(text: string, keepLines = false): string {
  const controls = keepLines
    ? /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
    : /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  return text.replace(controls, (character) => `\\x${character.codePointAt(0)!.toString(16).padStart(2, '0')}`);
}

/** The same characters as JSON escapes: the value stays what it is. */
export function printableJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, replacer, indent);
  const escaped = (character: string) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`;
  return text.replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, escaped);
}

/** "2026-11-20 14:03:11", local time. */
export function time(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || ms === 0) return '–';
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function bytes(count: number): string {
  if (count < 10_000) return `${count} B`;
  return count < 10_000_000 ? `${Math.round(count / 1000)} kB` : `${Math.round(count / 1_000_000)} MB`;
}
