/**
 * A directory that is a CSV file: what a spreadsheet or a personnel system exports. Read at T0 (read-file.ts), replaced
 * as a whole at T3 (write-file.ts). Both are loaded when they are needed: most commands need neither.
 */
import {
  type Bookmark,
  defaultLimits,
  type Directory,
  type DirectoryChange,
  type Limits,
  type ReadBatch,
  type WriteOutcome,
} from '@dirpost/core';
import { isFile } from '../../is-file.ts';
import type { CsvEncoding } from './encoding-names.ts';
import type { WantedColumn } from './header.ts';
import type { CsvReadOptions } from './read-file.ts';
import type { CsvColumn } from './write-file.ts';

export interface CsvDirectoryOptions {
  name: string;
  path: string;
  limits?: Limits;
  /** One character. Default: reading, found in the file; writing, a comma. */
  delimiter?: string | undefined;
  /** Default: reading, found in the file; writing, utf-8, with a byte order mark. */
  encoding?: CsvEncoding | 'auto' | undefined;
  /** Separates values in a cell. Default: reading, none; writing, "|". */
  separator?: string | undefined;

  /** Reading: titles of columns. */
  key: string;
  /** The column with the DN of each row. Default: DNs are made of the key. */
  dn?: string | undefined;
  /** The column with the members of a group: keys of other rows, or DNs. Default: "member". */
  members?: string | undefined;
  /** Columns with several values in a cell. Default: all, where there is a separator. */
  multiple?: string[] | undefined;
  /** Other columns without which the file is not read. */
  wanted?: WantedColumn[] | undefined;
  /** Type of the RDN made of the key. Default: uid. */
  rdn?: string | undefined;
  /** What follows the RDN. Default: nothing. */
  suffix?: string | undefined;
  /** Of rows that have none. Default: inetOrgPerson. */
  objectClass?: string | undefined;

  /** Writing: what stands in the file. */
  columns?: CsvColumn[] | undefined;
  /** See CsvWriteOptions. */
  container?: string | undefined;
  /** Writing: values that a spreadsheet would take for formulas stand as they are. Default: false. */
  keepFormulas?: boolean | undefined;
}

const DEFAULT_SEPARATOR = '|';

export class CsvDirectory implements Directory {
  readonly name: string;
  readonly path: string;
  readonly writes = 'whole';
  readonly #options: CsvDirectoryOptions;

  constructor(options: CsvDirectoryOptions) {
    this.name = options.name;
    this.path = options.path;
    this.#options = options;
  }

  /** Every read is a full one. Names of attributes are the titles of the columns, in lower case (foldColumn). */
  async *read(_since: Bookmark | null, signal: AbortSignal): AsyncGenerator<ReadBatch> {
    const { readCsvFile } = await import('./read-file.ts');
    yield* readCsvFile(this.path, this.#readOptions(), signal);
  }

  /** The titles of the columns, as they stand in the file. Throws as `read` does. */
  async columnTitles(signal: AbortSignal): Promise<string[]> {
    const { readCsvHeader } = await import('./read-file.ts');
    const { titles } = await readCsvHeader(this.path, this.#readOptions(), signal);
    return titles.filter((title) => title !== '');
  }

  /**
   * `changes` are the whole content; the file is replaced when they end, and left untouched if they give the same
   * octets. Refused are entries with characters that the encoding lacks, with a DN that is none or that another entry
   * has, and entries that have none of the columns.
   */
  async *write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncGenerator<WriteOutcome> {
    const { writeCsvFile } = await import('./write-file.ts');
    const {
      delimiter = ',',
      encoding = 'utf-8',
      separator = DEFAULT_SEPARATOR,
      container,
      columns = [],
    } = this.#options;
    const options = {
      columns,
      delimiter,
      encoding: encoding === 'auto' ? 'utf-8' : encoding,
      separator,
      container,
      keepFormulas: this.#options.keepFormulas ?? false,
    };
    yield* writeCsvFile(this.path, options, changes, signal);
  }

  exists(): Promise<boolean> {
    return isFile(this.path);
  }

  #readOptions(): CsvReadOptions {
    const { key, dn, members, multiple = [], limits = defaultLimits, wanted = [] } = this.#options;
    const named = (title: string | undefined, use: string) => (title === undefined ? [] : [{ title, use }]);
    return {
      key,
      dn,
      members,
      multiple: this.#options.multiple,
      separator: this.#options.separator,
      delimiter: this.#options.delimiter,
      encoding: this.#options.encoding ?? 'auto',
      rdn: this.#options.rdn ?? 'uid',
      suffix: this.#options.suffix ?? '',
      objectClass: this.#options.objectClass ?? 'inetOrgPerson',
      limits,
      wanted: [
        ...named(key, 'the key'),
        ...named(dn, 'the one with the DN (`dn`)'),
        ...named(members, 'the one with the members of groups (`members`)'),
        ...multiple.map((title) => ({ title, use: 'named under `multiple`' })),
        ...wanted,
      ],
    };
  }
}
