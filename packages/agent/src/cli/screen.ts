/**
 * What a command shows: tables that fit the terminal, or one JSON document with --json. Values from outside are shown
 * without control characters, so that nothing in a directory can speak to the terminal.
 */
import type { Progress } from '../events.ts';
import { printable, printableJson } from '../printable.ts';

export { printable, printableJson };

export interface Column<Row> {
  title: string;
  value(row: Row): string | number | null | undefined;
  align?: 'right';
  /** Sentences: what is too wide goes on in the lines below, and is not cut. */
  wraps?: boolean;
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

  /** A line for people, and empty ones before it; nothing with --json. A value in it never makes a line of its own. */
  line(text = ''): void {
    const start = text.search(/[^\n]|$/);
    this.#write(`${text.slice(0, start)}${printable(text.slice(start))}`);
  }

  /** Text of this program that has several lines. */
  lines(text: string): void {
    this.#write(printable(text, true));
  }

  #write(text: string): void {
    if (this.json) return;
    this.clearProgress();
    this.streams.out.write(`${text}\n`);
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

/** Columns get what they need; what is too wide for the terminal is cut from the widest column, with an ellipsis, or wrapped. */
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
  const lines = (row: string[]) => {
    const parts = row.map((cell, i) => (columns[i]!.wraps === true ? wrap(cell, widths[i]!) : [cell]));
    const most = Math.max(...parts.map(({ length }) => length));
    return Array.from({ length: most }, (_, at) => format(parts.map((part) => part[at] ?? '')));
  };
  return [format(columns.map((column) => column.title)), ...cells.flatMap(lines)];
}

/** Between words; a word that is wider, such as a DN, within. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let left = [...text];
  while (left.length > width) {
    const space = left.lastIndexOf(' ', width);
    const end = space > 0 ? space : width;
    lines.push(left.slice(0, end).join(''));
    left = left.slice(space > 0 ? end + 1 : end);
  }
  return [...lines, left.join('')];
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
