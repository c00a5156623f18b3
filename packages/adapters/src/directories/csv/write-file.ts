/**
 * Writes the replica as a CSV file (T3), for spreadsheets and programs that take no LDIF: chosen columns, one row per
 * entry, the same octets for the same content. Replaced as a whole, as replace-file.ts says.
 */
import { type DirectoryChange, isDirpostError, normalizeDn, parseDn, type WriteOutcome } from '@dirpost/core';
import { stringify } from 'csv-stringify/sync';
import { DnTable } from '../../dn-table.ts';
import { replaceFile } from '../../replace-file.ts';
import { type CellStyle, writeCell } from './cells.ts';
import type { CsvEncoding } from './encoding-names.ts';
import { encodeText, unencodable } from './encoding.ts';

export interface CsvColumn {
  /** An attribute, or `dn`, `id`, `postoffice`. */
  attribute: string;
  title: string;
}

export interface CsvWriteOptions extends CellStyle {
  columns: CsvColumn[];
  delimiter: string;
  encoding: CsvEncoding;
  /**
   * The DN under which each postoffice has its container: the rows are `…,ou=POSTOFFICE,CONTAINER`, and containers give
   * no rows.
   */
  container?: string | undefined;
}

const FLUSH_ROWS = 500;

export function writeCsvFile(
  path: string,
  options: CsvWriteOptions,
  changes: AsyncIterable<DirectoryChange>,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  return replaceFile(path, signal, async function* (append) {
    const rows = new RowWriter(options);
    let waiting: string[][] = [];
    await append(encodeText(csvText([options.columns.map(({ title }) => title)], options), options.encoding, true));
    const flush = async () => {
      if (waiting.length > 0) await append(encodeText(csvText(waiting, options), options.encoding, false));
      waiting = [];
    };
    for await (const change of changes) {
      signal.throwIfAborted();
      const { outcome, cells } = rows.row(change);
      if (cells !== undefined) waiting.push(cells);
      if (waiting.length >= FLUSH_ROWS) await flush();
      yield outcome;
    }
    await flush();
  });
}

function csvText(rows: string[][], { delimiter }: CsvWriteOptions): string {
  return stringify(rows, { delimiter, record_delimiter: '\r\n', quoted_match: /[\r\n]/, escape_formulas: false });
}

interface Written {
  outcome: WriteOutcome;
  /** Undefined where nothing is to stand in the file. */
  cells?: string[];
}

class RowWriter {
  readonly #seen = new DnTable();
  readonly #containerDepth: number | undefined;

  constructor(readonly options: CsvWriteOptions) {
    this.#containerDepth = options.container === undefined ? undefined : parseDn(options.container).length;
  }

  row(change: DirectoryChange): Written {
    const { id } = change;
    // The file is written anew: what shall be gone is simply not in it.
    if (change.action === 'remove') return { outcome: { id, result: 'written' } };
    const refused = (code: string, reason: string): Written => ({ outcome: { id, result: 'refused', code, reason } });
    let postoffice = '';
    try {
      if (this.#containerDepth !== undefined) {
        const owner = parseDn(change.dn).at(-1 - this.#containerDepth)?.[0];
        if (parseDn(change.dn).length < this.#containerDepth + 2) return { outcome: { id, result: 'written' } };
        postoffice = Buffer.from(owner!.value).toString('utf8');
      }
      const earlier = this.#seen.add(normalizeDn(change.dn), 0);
      if (earlier !== undefined) return refused('entryAlreadyExists', `Another entry has the DN ${change.dn}.`);
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      return refused('invalidDNSyntax', error.message);
    }
    const cells = this.options.columns.map(({ attribute }) => this.#cell(change, attribute, postoffice));
    for (const [i, cell] of cells.entries()) {
      const missing = unencodable(cell, this.options.encoding);
      if (missing === undefined) continue;
      const { title } = this.options.columns[i]!;
      return refused(
        'constraintViolation',
        `${this.options.encoding} has no "${missing}", which stands in ${title} of ${change.dn}.`,
      );
    }
    if (cells.every((cell) => cell === '')) {
      return refused('objectClassViolation', `The entry ${change.dn} has none of the columns of the file.`);
    }
    return { outcome: { id, result: 'written' }, cells };
  }

  #cell({ id, dn, attributes }: DirectoryChange, attribute: string, postoffice: string): string {
    if (attribute === 'id') return Buffer.from(id).toString('hex');
    if (attribute === 'dn') return writeCell([Buffer.from(dn)], { ...this.options, separator: '\0' });
    if (attribute === 'postoffice') return postoffice;
    return writeCell(attributes.get(attribute.toLowerCase()) ?? [], this.options);
  }
}
