/**
 * Reads a CSV file as a directory: entries in batches, and at the end the read certificate (T0). As with every file,
 * it is complete only when it stood still from before it was opened until after its last octet, and ends with a
 * newline. Memory is bounded: the file is read in chunks, and a row is as large as an entry at most.
 */
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { DirpostError, isDirpostError, type Limits, type ReadBatch, type ReadCertificate } from '@dirpost/core';
import { CsvError, parse, type Parser } from 'csv-parse';
import { describeFile, openToRead, statFile, stoodStill } from '../../still-file.ts';
import { findDialect } from './dialect.ts';
import type { CsvEncoding } from './encoding-names.ts';
import { findEncoding, utf8Chunks } from './encoding.ts';
import { Header, type WantedColumn } from './header.ts';
import { type Row, type RowOptions, RowReader } from './rows.ts';

export interface CsvReadOptions extends RowOptions {
  limits: Limits;
  /** Undefined: found in the file. */
  delimiter?: string | undefined;
  encoding: CsvEncoding | 'auto';
  /** Columns without which the file is not read. */
  wanted: WantedColumn[];
}

/** More live long enough for the garbage collector to copy them about. */
const BATCH_ENTRIES = 250;
const LF = 10;
const CR = 13;

interface Ending {
  endsWithNewline: boolean;
}

export async function* readCsvFile(
  path: string,
  options: CsvReadOptions,
  signal: AbortSignal,
): AsyncGenerator<ReadBatch> {
  const before = await statFile(path);
  const file = await openToRead(path);
  try {
    const ending = { endsWithNewline: false };
    let reader: RowReader | undefined;
    const faults: string[] = [];
    try {
      let last: Row | undefined;
      let widthBefore = 0;
      for await (const row of rowsOf(file, path, options, signal, ending)) {
        if (reader === undefined) {
          reader = new RowReader(new Header(path, row.cells, options.wanted), options);
          widthBefore = row.cells.length;
          continue;
        }
        if (last !== undefined) {
          reader.take(last);
          widthBefore = last.cells.length;
        }
        last = row;
        if (reader.entries.length >= BATCH_ENTRIES) yield { entries: reader.takeEntries() };
      }
      if (last !== undefined && ending.endsWithNewline) reader?.take(last, widthBefore);
      reader?.end();
    } catch (error) {
      const quotes = isDirpostError(error) && error.context['unclosed'] === true;
      if (quotes) faults.push(error.message);
      // What cannot be understood because somebody is writing it is not an error of the file.
      else if (!isDirpostError(error, 'directory-failed') || (await stoodStill(file, path, before))) throw error;
    }
    const still = await stoodStill(file, path, before);
    const certificate = certificateOf(path, before, { reader, still, faults, ...ending });
    yield { entries: reader?.takeEntries() ?? [], certificate };
  } finally {
    await file.close();
  }
}

/** The header of the file, or an error as a read would give it. */
export async function readCsvHeader(path: string, options: CsvReadOptions, signal: AbortSignal): Promise<Header> {
  await statFile(path);
  const file = await openToRead(path);
  try {
    for await (const { cells } of rowsOf(file, path, options, signal, { endsWithNewline: false })) {
      return new Header(path, cells, options.wanted);
    }
    return new Header(path, [], []);
  } finally {
    await file.close();
  }
}

/** Rows that are not empty, the header first. */
async function* rowsOf(
  file: FileHandle,
  path: string,
  options: CsvReadOptions,
  signal: AbortSignal,
  ending: Ending,
): AsyncGenerator<Row> {
  const encoding = await findEncoding(file, path, options.encoding, signal);
  const chunks = utf8Chunks(file, path, encoding, signal);
  const first = await chunks.next();
  if (first.done === true) return;
  const { delimiter, skipBytes } = findDialect(first.value.toString('utf8'), options.delimiter, options.separator);
  const parser = parse({
    delimiter,
    // All three, also mixed: files are edited on several systems.
    record_delimiter: ['\r\n', '\n', '\r'],
    // `="00123"` without quotation marks around it is common.
    relax_quotes: true,
    relax_column_count: true,
    info: true,
    max_record_size: options.limits.maxEntryBytes,
  });
  let line = skipBytes > 0 ? 2 : 1;
  const before = line - 1;
  const source = Readable.from(noticeEnding(first.value.subarray(skipBytes), chunks, ending));
  pipeline(source, parser, () => {});
  try {
    for await (const { record, info } of recordsOf(parser)) {
      signal.throwIfAborted();
      if (record.some((cell) => cell !== '' && cell.trim() !== '')) yield { cells: record, line };
      line = before + info.lines + 1;
    }
  } catch (error) {
    throw error instanceof CsvError ? syntaxError(error, path, line) : error;
  }
}

/** What the parser gives with `info: true`. */
function recordsOf(parser: Parser): AsyncIterable<{ record: string[]; info: { lines: number } }> {
  return parser as AsyncIterable<{ record: string[]; info: { lines: number } }>;
}

async function* noticeEnding(first: Buffer, others: AsyncIterable<Buffer>, ending: Ending): AsyncGenerator<Buffer> {
  const notice = (chunk: Buffer) => {
    const last = chunk.at(-1);
    ending.endsWithNewline = last === LF || last === CR;
    return chunk;
  };
  yield notice(first);
  for await (const chunk of others) yield notice(chunk);
}

/** `line`: where the row begins that could not be read. */
function syntaxError(error: CsvError, path: string, line: number): DirpostError {
  const context = { path, line };
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') {
    return new DirpostError(
      'directory-failed',
      `The row that begins in line ${line} opens quotation marks that are never closed: the file may be half-written.`,
      { retry: 'operator', context: { ...context, unclosed: true }, cause: error },
    );
  }
  if (error.code === 'CSV_MAX_RECORD_SIZE') {
    return new DirpostError('limit-exceeded', `${path}, line ${line}: the row that begins here is too large.`, {
      retry: 'operator',
      hint: 'Quotation marks that are not closed make one row of many. If the row is in order, raise limits.maxEntryBytes.',
      context,
      cause: error,
    });
  }
  return new DirpostError('directory-failed', `${path}, line ${line}: this row cannot be read.`, {
    retry: 'operator',
    hint: 'Quotation marks inside a cell are doubled, and the cell stands in quotation marks.',
    context,
    cause: error,
  });
}

interface WholeRead {
  reader: RowReader | undefined;
  still: boolean;
  endsWithNewline: boolean;
  faults: string[];
}

function certificateOf(path: string, before: BigIntStats, read: WholeRead): ReadCertificate {
  const { reader, still, endsWithNewline, faults } = read;
  if (before.size === 0n) faults.unshift('The file is empty.');
  else if (!still) faults.unshift('The file was changed while it was read.');
  else if (faults.length === 0 && !endsWithNewline) {
    faults.unshift('The file does not end with a newline: it may be half-written. Its last row is left out.');
  } else if (faults.length === 0 && (reader === undefined || reader.count === 0)) {
    faults.unshift('There is no row below the header.');
  }
  faults.push(...(reader?.faults.list() ?? []));
  return {
    complete: faults.length === 0,
    remarks: [...faults, ...(reader?.remarks.list() ?? [])],
    entries: reader?.count ?? 0,
    source: describeFile(path, before),
    bookmark: null,
  };
}
