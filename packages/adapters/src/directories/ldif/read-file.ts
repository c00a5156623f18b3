/**
 * Reads an LDIF file as a directory: entries in batches, and at the end the read certificate (T0). The file is
 * complete only when it stood still from before it was opened until after its last octet; only then may anything be
 * deleted because it is not in it (design rule 5).
 */
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { isDirpostError, type Limits, type ReadBatch, type ReadCertificate } from '@dirpost/core';
import { EntryReader } from '../../ldif/entries.ts';
import { LdifParser } from '../../ldif/parse.ts';
import type { LdifRecord } from '../../ldif/records.ts';
import type { UrlReader } from '../../ldif/values.ts';
import { CHUNK_BYTES, chunksOf, describeFile, openToRead, statFile, stoodStill } from '../../still-file.ts';
import { PendingChanges } from './fold-changes.ts';

export interface ReadFileOptions {
  limits: Limits;
  readUrl: UrlReader | undefined;
  /** Memory for change records in the file. */
  maxChangeBytes: number;
}

/** Larger batches live long enough for the garbage collector to copy them about: 1,000 take twice the time. */
const BATCH_ENTRIES = 250;
const LF = 10;

export async function* readLdifFile(
  path: string,
  options: ReadFileOptions,
  signal: AbortSignal,
): AsyncGenerator<ReadBatch> {
  const before = await statFile(path);
  const file = await openToRead(path);
  try {
    const changes = await collectChanges(file, path, options, signal);
    const ending = { endsWithNewline: false };
    const reader = new EntryReader({
      source: path,
      changes,
      changeFault: 'a change record in an unusual form',
      changeHint: 'Write "changetype:" in small letters and on one line.',
    });
    try {
      for await (const records of parseFile(file, path, options, signal, ending)) {
        for (const record of records) reader.take(record);
        if (reader.entries.length >= BATCH_ENTRIES) yield { entries: reader.takeEntries() };
      }
    } catch (error) {
      // What cannot be understood because somebody is writing it is not an error of the file.
      if (!isDirpostError(error, 'ldif-syntax') || (await stoodStill(file, path, before))) throw error;
    }
    const still = await stoodStill(file, path, before);
    yield {
      entries: reader.takeEntries(),
      certificate: certificateOf(path, before, { reader, changes, still, ...ending }),
    };
  } finally {
    await file.close();
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

interface WholeRead {
  reader: EntryReader;
  changes: PendingChanges | undefined;
  still: boolean;
  endsWithNewline: boolean;
}

function certificateOf(path: string, before: BigIntStats, read: WholeRead): ReadCertificate {
  const { reader, changes, still, endsWithNewline } = read;
  for (const failure of changes?.failures ?? []) reader.faults.add(failure);
  for (const failure of changes?.unapplied() ?? []) reader.faults.add(failure);
  const remarks = reader.faults.list();
  if (before.size === 0n) remarks.unshift('The file is empty.');
  else if (!still) remarks.unshift('The file was changed while it was read.');
  else if (!endsWithNewline) {
    remarks.unshift('The file does not end with a newline: it may be half-written. Its last entry is left out.');
  } else if (reader.count === 0) remarks.unshift('There is no entry in the file.');
  return {
    complete: remarks.length === 0,
    remarks,
    entries: reader.count,
    source: describeFile(path, before),
    bookmark: null,
  };
}
