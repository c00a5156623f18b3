/**
 * A directory that is an LDIF file. Read at T0 (read-file.ts), replaced as a whole at T3 (write-file.ts).
 */
import {
  type Bookmark,
  defaultLimits,
  type Directory,
  type DirectoryChange,
  type Limits,
  MIB,
  type ReadBatch,
  type WriteOutcome,
} from '@dirpost/core';
import { isFile } from '../../is-file.ts';
import { folderUrlReader } from '../../ldif/file-urls.ts';
import { readLdifFile } from './read-file.ts';
import { writeLdifFile } from './write-file.ts';

export interface LdifDirectoryOptions {
  name: string;
  path: string;
  /** The folder inside which values given as `:< file:///…` may be read; without it they are refused. */
  allowFileUrls?: { folder: string };
  limits?: Limits;
  /** Memory for change records in a file that is read (fold-changes.ts). */
  maxChangeBytes?: number;
}

export class LdifDirectory implements Directory {
  readonly name: string;
  readonly path: string;
  readonly writes = 'whole';
  readonly #options: LdifDirectoryOptions;

  constructor(options: LdifDirectoryOptions) {
    this.name = options.name;
    this.path = options.path;
    this.#options = options;
  }

  /** Every read is a full one. Values are views of the chunks that were read: copy what is kept for long. */
  read(_since: Bookmark | null, signal: AbortSignal): AsyncIterable<ReadBatch> {
    const { allowFileUrls, limits = defaultLimits, maxChangeBytes = 64 * MIB } = this.#options;
    const readUrl = allowFileUrls === undefined ? undefined : folderUrlReader(allowFileUrls.folder, limits);
    return readLdifFile(this.path, { limits, readUrl, maxChangeBytes }, signal);
  }

  /**
   * `changes` are the whole content; the file is replaced when they end, and left untouched if they give the same
   * octets. Refused are entries that an LDIF file cannot hold: a DN that is none, one that another entry has, no
   * attributes.
   */
  write(changes: AsyncIterable<DirectoryChange>, signal: AbortSignal): AsyncIterable<WriteOutcome> {
    return writeLdifFile(this.path, this.#options.limits ?? defaultLimits, changes, signal);
  }

  exists(): Promise<boolean> {
    return isFile(this.path);
  }
}
