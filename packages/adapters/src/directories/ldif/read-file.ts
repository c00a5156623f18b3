/**
 * Reads an LDIF file as a directory: entries in batches, and at the end the read certificate (T0). The file is
 * complete only when it stood still from before it was opened until after its last octet; only then may anything be
 * deleted because it is not in it (design rule 5).
 */
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import {
  type DirectoryEntry,
  DirpostError,
  isDirpostError,
  type Limits,
  normalizeDn,
  type ReadBatch,
  type ReadCertificate,
} from '@dirpost/core';
import { errnoOf, fileError } from '../../durable-file.ts';
import { DnTable } from './dn-table.ts';
import { PendingChanges } from './fold-changes.ts';
import { LdifParser } from './parse.ts';
import { type LdifRecord, ldifError } from './records.ts';
import type { UrlReader } from './values.ts';

export interface ReadFileOptions {
  limits: Limits;
  readUrl: UrlReader | undefined;
  /** Memory for change records in the file. */
  maxChangeBytes: number;
}

/** Larger batches live long enough for the garbage collector to copy them about: 1,000 take twice the time. */
const BATCH_ENTRIES = 250;
/** Small enough for the processor's cache: larger chunks are slower. */
const CHUNK_BYTES = 1 << 16;
const MAX_REMARKS = 20;
const LF = 10;

export async function* readLdifFile(
  path: string,
  options: ReadFileOptions,
  signal: AbortSignal,
): AsyncGenerator<ReadBatch> {
  const before = await statFile(path);
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw fileError(cause, `read ${path}`);
  });
  try {
    const changes = await collectChanges(file, path, options, signal);
    const reader = new EntryReader(path, changes);
    try {
      for await (const records of parseFile(file, path, options, signal, reader)) {
        for (const record of records) reader.take(record);
        if (reader.entries.length >= BATCH_ENTRIES) yield { entries: reader.takeEntries() };
      }
    } catch (error) {
      // What cannot be understood because somebody is writing it is not an error of the file.
      if (!isDirpostError(error, 'ldif-syntax') || (await stoodStill(file, path, before))) throw error;
    }
    const still = await stoodStill(file, path, before);
    yield { entries: reader.takeEntries(), certificate: reader.certificate(before, still) };
  } finally {
    await file.close();
  }
}

async function statFile(path: string): Promise<BigIntStats> {
  const found = await stat(path, { bigint: true }).catch((cause: unknown) => {
    if (errnoOf(cause) !== 'ENOENT') throw fileError(cause, `read ${path}`);
    throw new DirpostError('file-missing', `There is no file ${path}.`, {
      retry: 'operator',
      hint: 'Export the directory to that place, or correct the path in the configuration.',
      context: { path },
      cause,
    });
  });
  if (found.isFile()) return found;
  throw new DirpostError('file-failed', `${path} is not a regular file.`, { retry: 'operator', context: { path } });
}

async function stoodStill(file: FileHandle, path: string, before: BigIntStats): Promise<boolean> {
  const same = (now: BigIntStats) =>
    now.size === before.size && now.mtimeNs === before.mtimeNs && now.ino === before.ino && now.dev === before.dev;
  // The open file, and what now stands under its name: it may have been replaced.
  if (!same(await file.stat({ bigint: true }))) return false;
  return await stat(path, { bigint: true }).then(same, () => false);
}

/**
 * From the start of the file; the next chunk is read while this one is worked on. `bufferFor` gives the memory for
 * chunk n: new each time where views of it are kept.
 */
async function* chunksOf(
  file: FileHandle,
  path: string,
  signal: AbortSignal,
  bufferFor: (n: number) => Buffer = () => Buffer.allocUnsafeSlow(CHUNK_BYTES),
): AsyncGenerator<Buffer> {
  let position = 0;
  const readChunk = async (n: number) => {
    const buffer = bufferFor(n);
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    position += bytesRead;
    return buffer.subarray(0, bytesRead);
  };
  let next = readChunk(0);
  for (let n = 1; ; n++) {
    signal.throwIfAborted();
    const chunk = await next.catch((cause: unknown) => {
      throw fileError(cause, `read ${path}`);
    });
    if (chunk.length === 0) return;
    next = readChunk(n);
    // Its error is seen when it is awaited, if ever.
    next.catch(() => {});
    yield chunk;
  }
}

async function* parseFile(
  file: FileHandle,
  path: string,
  options: ReadFileOptions,
  signal: AbortSignal,
  ending: { endsWithNewline: boolean },
): AsyncGenerator<LdifRecord[]> {
  const { limits, readUrl } = options;
  const parser = new LdifParser({ source: path, limits, ...(readUrl === undefined ? {} : { readUrl }) });
  for await (const chunk of chunksOf(file, path, signal)) {
    ending.endsWithNewline = chunk.at(-1) === LF;
    yield parser.push(chunk);
  }
  yield ending.endsWithNewline ? parser.end() : parser.endCutOff();
}

async function collectChanges(
  file: FileHandle,
  path: string,
  options: ReadFileOptions,
  signal: AbortSignal,
): Promise<PendingChanges | undefined> {
  if (!(await mentionsChanges(file, path, signal))) return undefined;
  const changes = new PendingChanges(path, options.maxChangeBytes);
  for await (const records of parseFile(file, path, options, signal, { endsWithNewline: false })) {
    for (const record of records) {
      if (record.kind === 'delete' || record.kind === 'modify' || record.kind === 'rename') changes.collect(record);
    }
  }
  return changes;
}

/** A search for octets, a hundred times faster than parsing; it may also find the word where it means nothing. */
async function mentionsChanges(file: FileHandle, path: string, signal: AbortSignal): Promise<boolean> {
  const words = ['changetype:', 'changeType:', 'ChangeType:', 'Changetype:', 'CHANGETYPE:'];
  const overlap = 'changetype:'.length - 1;
  const buffers = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)];
  let tail = Buffer.alloc(0);
  for await (const chunk of chunksOf(file, path, signal, (n) => buffers[n % 2]!)) {
    const seam = Buffer.concat([tail, chunk.subarray(0, overlap)]);
    if (words.some((word) => chunk.includes(word) || seam.includes(word))) return true;
    tail = Buffer.from(chunk.subarray(-overlap));
  }
  return false;
}

/** Records → entries, with everything that speaks against completeness. */
class EntryReader {
  entries: DirectoryEntry[] = [];
  /** Set by parseFile; an empty file does not. */
  endsWithNewline = false;
  readonly #seen = new DnTable();
  readonly #faults: string[] = [];
  #moreFaults = 0;
  #count = 0;

  constructor(
    readonly path: string,
    readonly changes: PendingChanges | undefined,
  ) {}

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
          this.#fault(`Line ${record.line}: the search that made the file ended with "${record.text}".`);
        }
        break;
      case 'search-reference':
        this.#fault(`Line ${record.line}: a part of the directory is elsewhere (${record.urls.join(', ')}).`);
        break;
      default:
        if (this.changes === undefined) {
          throw ldifError({ source: this.path, line: record.line }, 'a change record in an unusual form', {
            hint: 'Write "changetype:" in small letters and on one line.',
          });
        }
    }
  }

  #entry(read: DirectoryEntry, line: number): void {
    try {
      const entry = this.changes === undefined ? read : this.changes.apply(read, line);
      if (entry === null) return;
      const earlier = this.#seen.add(normalizeDn(entry.dn), line);
      if (earlier === undefined) {
        this.entries.push({ dn: entry.dn, attributes: entry.attributes });
        this.#count++;
      } else {
        this.#fault(`The entry ${entry.dn} is there twice, in lines ${earlier} and ${line}; the second is left out.`);
      }
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      this.#fault(`Line ${line}: ${error.message} The entry is left out.`);
    }
  }

  #fault(remark: string): void {
    if (this.#faults.length < MAX_REMARKS) this.#faults.push(remark);
    else this.#moreFaults++;
  }

  certificate(before: BigIntStats, stillThere: boolean): ReadCertificate {
    for (const failure of this.changes?.failures ?? []) this.#fault(failure);
    for (const failure of this.changes?.unapplied() ?? []) this.#fault(failure);
    if (this.#moreFaults > 0) this.#faults.push(`There are ${this.#moreFaults} more faults like these.`);
    const remarks = this.#faults;
    if (before.size === 0n) remarks.unshift('The file is empty.');
    else if (!stillThere) remarks.unshift('The file was changed while it was read.');
    else if (!this.endsWithNewline) {
      remarks.unshift('The file does not end with a newline: it may be half-written. Its last entry is left out.');
    } else if (this.#count === 0) remarks.unshift('There is no entry in the file.');
    return {
      complete: remarks.length === 0,
      remarks,
      entries: this.#count,
      source: `${this.path} (${before.size} bytes, ${before.mtime.toISOString()})`,
      bookmark: null,
    };
  }
}
