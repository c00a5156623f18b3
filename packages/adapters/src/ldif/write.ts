/** LDIF as a stream or as text. What a record looks like is in encoder.ts. */
import type { Writable } from 'node:stream';
import type { DirectoryEntry } from '@dirpost/core';
import { LdifEncoder } from './encoder.ts';
import type { ChangeRecord, ContentRecord } from './records.ts';

export type WritableRecord = ContentRecord | ChangeRecord | DirectoryEntry;

export interface LdifWriteOptions {
  signal?: AbortSignal;
  /** Lines above the first record, each a comment. */
  comments?: string[];
  /** `version: 1` at the top; by default it is there. */
  version?: boolean;
}

const FLUSH_BYTES = 1 << 18;

/**
 * Writes all records and waits for the stream whenever it is full. Does not end the stream. Resolves with the number
 * of records when the stream has taken everything; rejects with the error of the stream or of the records.
 */
export async function writeLdif(
  records: AsyncIterable<WritableRecord> | Iterable<WritableRecord>,
  stream: Writable,
  options: LdifWriteOptions = {},
): Promise<number> {
  const encoder = new LdifEncoder();
  begin(encoder, options);
  let count = 0;
  for await (const record of records) {
    options.signal?.throwIfAborted();
    encodeRecord(encoder, record);
    count++;
    if (encoder.length >= FLUSH_BYTES) await flush(encoder, stream);
  }
  await flush(encoder, stream);
  return count;
}

function begin(encoder: LdifEncoder, options: LdifWriteOptions): void {
  for (const comment of options.comments ?? []) encoder.comment(comment);
  if (options.version ?? true) encoder.version();
}

function encodeRecord(encoder: LdifEncoder, record: WritableRecord): void {
  if ('kind' in record) encoder.record(record);
  else encoder.entry(record);
}

async function flush(encoder: LdifEncoder, stream: Writable): Promise<void> {
  // The stream may keep what it is given, so it gets a copy.
  const bytes = Buffer.from(encoder.bytes());
  encoder.reset();
  await new Promise<void>((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** A few records as text: for previews and messages. */
export function formatLdif(records: Iterable<WritableRecord>, options: LdifWriteOptions = {}): string {
  const encoder = new LdifEncoder();
  begin(encoder, options);
  for (const record of records) encodeRecord(encoder, record);
  return encoder.bytes().toString('utf8');
}
