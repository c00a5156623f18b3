/**
 * Reads LDIF (RFC 2849; increment from RFC 4525), in a stream, with bounded memory: lines.ts cuts octets into lines,
 * builder.ts makes records of them. Where it is milder than the RFC, nothing is in doubt: no version line, UTF-8 that
 * is not in base64, a byte order mark, a missing last "-", what ldapsearch appends. Everything else is an error with
 * its line.
 */
import { defaultLimits, type Limits } from '@dirpost/core';
import { RecordBuilder } from './builder.ts';
import { LineSplitter } from './lines.ts';
import type { LdifRecord } from './records.ts';
import type { UrlReader } from './values.ts';

export interface LdifParseOptions {
  /** Named in messages. */
  source?: string;
  limits?: Limits;
  /** For values given as `:< URL`; without it they are refused. See folderUrlReader. */
  readUrl?: UrlReader;
  /** Smaller chunks are gathered first. */
  minScanBytes?: number;
}

/** Feed it chunks, take records. It keeps views of the chunks: do not write over them. */
export class LdifParser {
  readonly #builder: RecordBuilder;
  readonly #lines: LineSplitter;
  #lastLine = 0;

  constructor(options: LdifParseOptions = {}) {
    const { source, limits = defaultLimits, readUrl, minScanBytes = 65_536 } = options;
    const builder = new RecordBuilder({ source, limits, readUrl });
    this.#builder = builder;
    // Base64 makes 4 of 3, folding adds some more.
    const maxLineBytes = 2 * limits.maxValueBytes + 65_536;
    this.#lines = new LineSplitter(
      (buffer, start, end, line) => {
        this.#lastLine = line;
        builder.line(buffer, start, end, line);
      },
      { source, maxLineBytes, minScanBytes },
    );
  }

  /**
   * The records that are complete now. Throws `ldif-syntax`, `ldif-url` or `limit-exceeded`; the parser is then
   * spent.
   */
  push(chunk: Uint8Array): LdifRecord[] {
    this.#lines.push(chunk);
    return this.#take();
  }

  /** The records that the end of the file completes. */
  end(): LdifRecord[] {
    this.#lines.end();
    this.#builder.endRecord(this.#lastLine);
    return this.#take();
  }

  /**
   * For a file that is cut off: what is complete in it. The record that no blank line closes is left out, because its
   * last value may be half a value.
   */
  endCutOff(): LdifRecord[] {
    this.#lines.flush();
    return this.#take();
  }

  #take(): LdifRecord[] {
    const records = this.#builder.records;
    if (records.length > 0) this.#builder.records = [];
    return records;
  }
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** All records of a chunk at a time: for those who count the microseconds. */
export async function* parseLdifBatches(chunks: Chunks, options: LdifParseOptions = {}): AsyncGenerator<LdifRecord[]> {
  const parser = new LdifParser(options);
  for await (const chunk of chunks) {
    const records = parser.push(chunk);
    if (records.length > 0) yield records;
  }
  const rest = parser.end();
  if (rest.length > 0) yield rest;
}

export async function* parseLdif(chunks: Chunks, options: LdifParseOptions = {}): AsyncGenerator<LdifRecord> {
  for await (const records of parseLdifBatches(chunks, options)) yield* records;
}
