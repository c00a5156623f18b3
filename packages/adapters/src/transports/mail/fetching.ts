/**
 * Fetches from the selected folder what is asked for and no more: summaries of mails, first octets of parts, small parts
 * of many mails by one command, and large parts in pieces. Nothing is marked as read. What a server says of sizes is
 * believed only for putting mails together; what is held in memory is bounded by what is asked for.
 */
import type { FetchMessageObject, FetchQueryObject } from 'imapflow';
import type { Connection } from './connection.ts';
import { HeaderFields } from './header-fields.ts';
import { imapFailure } from './imap-failures.ts';
import { rangeOf, stillThere } from './moving.ts';
import { FIELDS_LOOKED_AT, type MailSummary } from './recognise.ts';

/** A part up to this size is fetched together with those of other mails. */
export const SMALL_BYTES = 256 * 1024;
/** Octets that one command asks for at most, by the sizes that the server says. */
export const MAX_COMMAND_BYTES = 8 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

export interface FetchedParts {
  uid: number;
  /** By their part; one that the server did not send is missing. */
  parts: Map<string, Buffer>;
}

/** A mail that is gone is left out. One whose structure cannot be read has none. */
export async function* fetchSummaries(connection: Connection, uids: readonly number[]): AsyncGenerator<MailSummary> {
  const missing = new Set(uids);
  const query = { uid: true, size: true, internalDate: true, bodyStructure: true, headers: FIELDS_LOOKED_AT };
  for await (const mail of fetch(connection, uids, query)) {
    // Of one that is just being removed a server says only what it still knows.
    if (mail.bodyStructure === undefined || !missing.delete(mail.uid)) continue;
    // Dovecot says so of one that another agent has just moved.
    if (mail.size === 0) continue;
    yield summaryOf(mail);
  }
  // The client leaves out a mail whose structure is nested deeper than it reads.
  if (missing.size > 0) yield* fetchPlainSummaries(connection, await stillThere(connection, [...missing]));
}

/** Without the structure. */
export async function* fetchPlainSummaries(
  connection: Connection,
  uids: readonly number[],
  headers = FIELDS_LOOKED_AT,
): AsyncGenerator<MailSummary> {
  const query = { uid: true, size: true, internalDate: true, ...(headers.length > 0 && { headers }) };
  for await (const mail of fetch(connection, uids, query)) yield summaryOf(mail);
}

/** The first `maxBytes` encoded octets of some parts, the same ones of each mail. */
export async function* fetchParts(
  connection: Connection,
  uids: readonly number[],
  parts: readonly string[],
  maxBytes: number,
): AsyncGenerator<FetchedParts> {
  const bodyParts = parts.map((key) => ({ key, start: 0, maxLength: maxBytes }));
  for await (const { uid, bodyParts: found } of fetch(connection, uids, { uid: true, bodyParts })) {
    const octets = parts.map((part) => [part, found?.get(part.toLowerCase())] as const);
    yield { uid, parts: new Map(octets.filter((one): one is [string, Buffer] => Buffer.isBuffer(one[1]))) };
  }
}

/** A part, encoded; 'too-large': it has more than `maxBytes`, whatever was said before; null: it is gone. */
export async function fetchLarge(
  connection: Connection,
  uid: number,
  part: string,
  maxBytes: number,
): Promise<Buffer | 'too-large' | null> {
  const chunks: Buffer[] = [];
  for (let length = 0; ; ) {
    const bodyParts = [{ key: part, start: length, maxLength: CHUNK_BYTES }];
    let chunk: Buffer | undefined;
    for await (const mail of fetch(connection, [uid], { uid: true, bodyParts })) {
      chunk = mail.bodyParts?.get(part.toLowerCase()) ?? chunk;
    }
    if (!Buffer.isBuffer(chunk)) return chunks.length === 0 ? null : Buffer.concat(chunks);
    length += chunk.length;
    if (length > maxBytes) return 'too-large';
    chunks.push(chunk);
    if (chunk.length < CHUNK_BYTES) return Buffer.concat(chunks);
  }
}

/** One after another: the next is read from the line when the one before is done with. */
async function* fetch(
  connection: Connection,
  uids: readonly number[],
  query: FetchQueryObject,
): AsyncGenerator<FetchMessageObject> {
  if (uids.length === 0) return;
  try {
    yield* connection.client.fetch(rangeOf([...uids].sort((a, b) => a - b)), query, { uid: true });
  } catch (error) {
    throw imapFailure(connection.brokenBy ?? error, connection.server, 'fetch mails');
  }
}

function summaryOf({ uid, size, internalDate, headers, bodyStructure }: FetchMessageObject): MailSummary {
  const receivedMs = internalDate instanceof Date ? internalDate.getTime() : null;
  const fields = new HeaderFields(Buffer.isBuffer(headers) ? headers : '');
  return { uid, size: size ?? 0, receivedMs, fields, structure: bodyStructure ?? null };
}
