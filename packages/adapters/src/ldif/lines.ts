/**
 * Chunks of octets → logical lines of LDIF: folded lines are joined (RFC 2849 note 2), CRLF and LF both end a line. A
 * line that is not folded is handed on where it lies, without a copy. Only the line that is not complete yet is kept
 * between chunks.
 */
import { ldifError } from './records.ts';

/** The line is buffer[start..end), without its line end; `line` is the number of its first physical line. */
export type LineHandler = (buffer: Buffer, start: number, end: number, line: number) => void;

export interface LineSplitterOptions {
  source: string | undefined;
  /** A logical line with its folds. */
  maxLineBytes: number;
  /**
   * Chunks are gathered until so many bytes are there: a long line in small chunks must not cost its length squared.
   */
  minScanBytes: number;
}

const LF = 10;
const CR = 13;
const SPACE = 32;

export class LineSplitter {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #line = 1;
  #started = false;

  constructor(
    readonly onLine: LineHandler,
    readonly options: LineSplitterOptions,
  ) {}

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes >= this.options.minScanBytes) this.#scan(false);
  }

  /** Hands on the lines that are complete, however few octets are there. */
  flush(): void {
    if (this.#pendingBytes > 0) this.#scan(false);
  }

  /** The last line needs no line end. */
  end(): void {
    if (this.#pendingBytes > 0) this.#scan(true);
  }

  #scan(final: boolean): void {
    let buffer = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending);
    if (!this.#started) {
      if (buffer.length < 3 && !final) return;
      buffer = this.#withoutByteOrderMark(buffer);
      this.#started = true;
    }
    this.#refuseNul(buffer);
    const consumed = this.#lines(buffer, final);
    const rest = buffer.subarray(consumed);
    if (rest.length > this.options.maxLineBytes) {
      const reason = `the line is longer than ${this.options.maxLineBytes} bytes`;
      throw ldifError({ source: this.options.source, line: this.#line }, reason, { code: 'limit-exceeded' });
    }
    this.#pending = rest.length === 0 ? [] : [rest];
    this.#pendingBytes = rest.length;
  }

  /** Returns how much of the buffer was used up: all complete lines. */
  #lines(buffer: Buffer, final: boolean): number {
    const length = buffer.length;
    let start = 0;
    while (start < length) {
      let lineEnd = start;
      // Most lines are short: a loop here is faster than a call of indexOf.
      while (lineEnd < length && buffer[lineEnd] !== LF) lineEnd++;
      // Whether the line is folded is known when the octet after its end is there.
      if (lineEnd + 1 >= length && !final) return start;
      const end = buffer[lineEnd - 1] === CR && lineEnd > start ? lineEnd - 1 : lineEnd;
      if (buffer[lineEnd + 1] !== SPACE || end === start) {
        this.onLine(buffer, start, end, this.#line++);
        start = lineEnd + 1;
      } else {
        const next = this.#folded(buffer, start, final);
        if (next < 0) return start;
        start = next;
      }
    }
    return length;
  }

  /** Hands on one folded line; returns where the next one starts, or -1 when its end is not there yet. */
  #folded(buffer: Buffer, start: number, final: boolean): number {
    const parts: Buffer[] = [];
    let lines = 0;
    for (let from = start; ; from++) {
      const found = buffer.indexOf(LF, from);
      const lineEnd = found < 0 ? buffer.length : found;
      if (lineEnd + 1 >= buffer.length && !final) return -1;
      parts.push(buffer.subarray(from, buffer[lineEnd - 1] === CR && lineEnd > from ? lineEnd - 1 : lineEnd));
      lines++;
      from = lineEnd + 1;
      if (buffer[from] === SPACE) continue;
      const joined = Buffer.concat(parts);
      this.onLine(joined, 0, joined.length, this.#line);
      this.#line += lines;
      return from;
    }
  }

  #withoutByteOrderMark(buffer: Buffer): Buffer {
    const [a, b, c] = buffer;
    if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) {
      throw ldifError({ source: this.options.source, line: 1 }, 'the file is in UTF-16', {
        hint: 'LDIF is UTF-8. Export it again so, or convert it (iconv -f UTF-16 -t UTF-8).',
      });
    }
    return a === 0xef && b === 0xbb && c === 0xbf ? buffer.subarray(3) : buffer;
  }

  /** A NUL never stands in LDIF; a file that was being written when the power went is often full of them. */
  #refuseNul(buffer: Buffer): void {
    const at = buffer.indexOf(0);
    if (at < 0) return;
    let line = this.#line;
    for (let i = 0; i < at; i++) if (buffer[i] === LF) line++;
    throw ldifError({ source: this.options.source, line }, 'there is a NUL octet in the file', {
      hint: 'The file may be damaged, or only half of it was written. Export it again.',
    });
  }
}
