/**
 * Rows of a CSV file → entries. A row is called by its key: `uid=KEY,SUFFIX`, unless a column gives its DN. A row that
 * cannot be understood becomes an entry without a key, which is refused and named, and does not stop the others.
 */
import { type Attributes, type DirectoryEntry, escapeDnValue, isDirpostError, normalizeDn } from '@dirpost/core';
import { DnTable } from '../../dn-table.ts';
import { Remarks } from '../../remarks.ts';
import { looksShortened, readCell } from './cells.ts';
import { foldColumn, type Header } from './header.ts';

export interface RowOptions {
  /** Titles of columns. */
  key: string;
  dn?: string | undefined;
  members?: string | undefined;
  /** Columns with several values in a cell; undefined: all, where there is a separator. */
  multiple?: string[] | undefined;
  /** Separates values in a cell; undefined: a cell is one value. */
  separator?: string | undefined;
  /** Type of the RDN that is made of the key. */
  rdn: string;
  /** What follows it; empty for nothing. */
  suffix: string;
  /** Of rows that have none. */
  objectClass: string;
}

export interface Row {
  cells: string[];
  /** Where it begins. */
  line: number;
}

const OBJECT_CLASS = 'objectclass';
const MEMBER = 'member';
const MEMBERS_SEPARATOR = '|';

export class RowReader {
  /** What speaks against completeness. */
  readonly faults = new Remarks();
  /** What an administrator should know. */
  readonly remarks = new Remarks();
  count = 0;
  entries: DirectoryEntry[] = [];
  readonly #names: string[];
  readonly #key: number;
  readonly #dn: number;
  readonly #members: number;
  readonly #separators: (string | undefined)[];
  readonly #objectClass: Uint8Array[];
  readonly #dns = new DnTable();
  readonly #keys = new DnTable();
  readonly #told = new Set<string>();
  #short: { count: number; line: number } = { count: 0, line: 0 };

  constructor(
    readonly header: Header,
    readonly options: RowOptions,
  ) {
    this.#names = header.names;
    this.#key = header.indexOf(options.key);
    this.#dn = options.dn === undefined ? -1 : header.indexOf(options.dn);
    this.#members = options.members === undefined ? header.indexOf(MEMBER) : header.indexOf(options.members);
    this.#objectClass = [Buffer.from(options.objectClass)];
    const multiple = options.multiple && new Set(options.multiple.map(foldColumn));
    this.#separators = this.#names.map((name, i) => {
      if (i === this.#members) return options.separator ?? MEMBERS_SEPARATOR;
      return i !== this.#key && i !== this.#dn && (multiple?.has(name) ?? true) ? options.separator : undefined;
    });
  }

  takeEntries(): DirectoryEntry[] {
    const entries = this.entries;
    this.entries = [];
    return entries;
  }

  /** `before`: how many cells the row above has; undefined for all rows but the last. */
  take({ cells, line }: Row, before?: number): void {
    const width = this.#names.length;
    if (cells.length > width && cells.slice(width).some((cell) => cell.trim() !== '')) {
      const reason = `${cells.length} cells, and the header has ${width}`;
      if (before !== undefined) this.faults.add(`The last row, line ${line}, has ${reason}: it may be half-written.`);
      else
        this.remarks.add(
          `Line ${line} has ${reason}: is a delimiter in a cell without quotation marks? It is refused.`,
        );
      this.#refuse(line, reason);
      return;
    }
    if (cells.length < width) {
      // Spreadsheets leave out empty cells at the end, but of several rows at once, and nobody's key.
      if (before !== undefined && before !== cells.length) {
        this.faults.add(
          `The last row, line ${line}, has ${cells.length} cells, and the header has ${width}: it may be half-written, or no row of the table.`,
        );
        return;
      }
      if (this.#short.count++ === 0) this.#short.line = line;
    }
    this.#entry(cells, line);
  }

  #entry(cells: string[], line: number): void {
    const attributes: Attributes = new Map();
    const width = Math.min(this.#names.length, cells.length);
    for (let i = 0; i < width; i++) {
      const cell = cells[i]!;
      if (cell === '' || i === this.#dn || i === this.#members) continue;
      const name = this.#names[i]!;
      if (name === '') this.#once(`column ${i}`, `Column ${i + 1} has no header; its values are not read.`);
      else {
        if (looksShortened(cell)) this.#shortened(i, cell, line);
        const values = readCell(cell, this.#separators[i]);
        if (values.length > 0) attributes.set(name, values);
      }
    }
    if (attributes.size === 0) return;
    if (!attributes.has(OBJECT_CLASS)) attributes.set(OBJECT_CLASS, this.#objectClass);
    const members = cells[this.#members];
    if (members !== undefined && members !== '') this.#addMembers(attributes, members);
    const key = attributes.get(this.#names[this.#key]!)?.[0];
    if (key === undefined) this.#refuse(line, `no ${this.header.titles[this.#key]}`, { attributes });
    else this.#add(cells, line, key, attributes);
  }

  #add(cells: string[], line: number, key: Uint8Array, attributes: Attributes): void {
    const text = Buffer.from(key).toString('utf8');
    const dn =
      this.#dn < 0 ? this.#dnOf(text) : Buffer.concat(readCell(cells[this.#dn] ?? '', undefined)).toString('utf8');
    let earlier: number | undefined;
    try {
      earlier = this.#dns.add(normalizeDn(dn), line);
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      this.remarks.add(`Line ${line}: ${error.message} The row is refused.`);
      this.#refuse(line, 'no DN');
      return;
    }
    const sameKey = this.#keys.add(text, line) !== undefined;
    if (earlier !== undefined && !sameKey) {
      // The same key twice is core's to refuse; two keys with one DN cannot both be told from each other.
      this.faults.add(
        `The rows in lines ${earlier} and ${line} have the same DN ${JSON.stringify(dn)}; the second is left out.`,
      );
      return;
    }
    this.entries.push({ dn, attributes });
    this.count++;
  }

  /** An entry that core will refuse because it has no key, under a DN that says where it stands. */
  #refuse(line: number, reason: string, { attributes }: { attributes?: Attributes } = {}): void {
    const dn = `cn=${escapeDnValue(`line ${line}: ${reason}`)}`;
    if (attributes !== undefined) this.entries.push({ dn, attributes });
    else this.entries.push({ dn, attributes: new Map([[OBJECT_CLASS, this.#objectClass]]), unclear: true });
    this.count++;
  }

  #addMembers(attributes: Attributes, cell: string): void {
    const members = readCell(cell, this.#separators[this.#members]).map((value) => {
      const text = Buffer.from(value).toString('utf8');
      return isDn(text) ? value : Buffer.from(this.#dnOf(text));
    });
    if (members.length > 0) attributes.set(MEMBER, members);
  }

  #dnOf(key: string): string {
    const { rdn, suffix } = this.options;
    return `${rdn}=${escapeDnValue(key)}${suffix === '' ? '' : `,${suffix}`}`;
  }

  #shortened(column: number, cell: string, line: number): void {
    const title = this.header.titles[column]!;
    this.#once(
      `short ${column}`,
      `Line ${line}: ${JSON.stringify(cell)} under ${JSON.stringify(title)} is what a spreadsheet makes of a long number; digits are lost. Format the column as text, correct it, and export again.`,
    );
  }

  #once(key: string, remark: string): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.remarks.add(remark);
  }

  /** To be called after the last row. */
  end(): void {
    const { count, line } = this.#short;
    if (count === 0) return;
    const rows = count === 1 ? `The row in line ${line} has` : `${count} rows, the first in line ${line}, have`;
    this.remarks.add(`${rows} fewer cells than the header; those that are missing are taken as empty.`);
  }
}

function isDn(text: string): boolean {
  if (!text.includes('=')) return false;
  try {
    return normalizeDn(text) !== '';
  } catch {
    return false;
  }
}
