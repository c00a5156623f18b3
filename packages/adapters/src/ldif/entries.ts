/**
 * Records of LDIF → the entries of a directory (T0). Shared by all adapters whose directories arrive as LDIF; where the
 * octets come from, and whether all of them came, is theirs to know.
 */
import { type DirectoryEntry, isDirpostError, normalizeDn } from '@dirpost/core';
import { DnTable } from '../dn-table.ts';
import { Remarks } from '../remarks.ts';
import { type LdifRecord, ldifError } from './records.ts';

export interface EntryReaderOptions {
  /** Named in messages. */
  source: string;
  /** What later change records make of an entry; null: it is deleted. Without it change records are an error. */
  changes?: { apply(entry: DirectoryEntry, line: number): DirectoryEntry | null } | undefined;
  /** What that error says. */
  changeFault: string;
  changeHint: string;
}

/** Records → entries, with everything that speaks against completeness. */
export class EntryReader {
  entries: DirectoryEntry[] = [];
  readonly #seen = new DnTable();
  /** What speaks against completeness. */
  readonly faults = new Remarks();
  count = 0;

  constructor(readonly options: EntryReaderOptions) {}

  takeEntries(): DirectoryEntry[] {
    const entries = this.entries;
    this.entries = [];
    return entries;
  }

  take(record: LdifRecord): void {
    switch (record.kind) {
      case 'content':
      case 'add':
        this.#entry(record, record.line);
        break;
      case 'search-result':
        if (record.code !== 0) {
          this.faults.add(
            `Line ${record.line}: the search that made the file ended with ${JSON.stringify(record.text)}.`,
          );
        }
        break;
      case 'search-reference':
        this.faults.add(
          `Line ${record.line}: a part of the directory is elsewhere (${record.urls.map((url) => JSON.stringify(url)).join(', ')}).`,
        );
        break;
      default:
        if (this.options.changes === undefined) {
          const { source, changeFault, changeHint } = this.options;
          throw ldifError({ source, line: record.line }, changeFault, { hint: changeHint });
        }
    }
  }

  #entry(read: DirectoryEntry, line: number): void {
    try {
      const { changes } = this.options;
      const entry = changes === undefined ? read : changes.apply(read, line);
      if (entry === null) return;
      const earlier = this.#seen.add(normalizeDn(entry.dn), line);
      if (earlier === undefined) {
        this.entries.push({ dn: entry.dn, attributes: entry.attributes });
        this.count++;
      } else {
        this.faults.add(
          `The entry ${JSON.stringify(entry.dn)} is there twice, in lines ${earlier} and ${line}; the second is left out.`,
        );
      }
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      this.faults.add(`Line ${line}: ${error.message} The entry is left out.`);
    }
  }
}
