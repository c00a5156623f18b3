/**
 * What both ends of transport `http` have to agree on: names of headers, limits, and the octets that a request's
 * signature covers. docs/protocol.md, "HTTP", tells it as a whole.
 */
import { createHash } from 'node:crypto';

const KIB = 1024;

/** Bodies of one request: a slice of a message file. */
export const MAX_SLICE_BYTES = 256 * KIB;
/** The client goes no lower on a bad line. */
export const MIN_SLICE_BYTES = 16 * KIB;
/** What Admission.admit needs of the beginning of a message file. */
export const ADMISSION_BYTES = 5_000;
export const MAX_ENROLMENT_BYTES = 64 * KIB;
export const MAX_COLLECT_BYTES = 128 * KIB;
/** Ids in `done` and in `leave` of one request. */
export const MAX_NAMED_IDS = 1_000;
/** Files in one answer to a collecting request. */
export const MAX_FILES_LISTED = 100;
export const MAX_WAIT_SECONDS = 45;
/** In one head; as many as stand in the header of a message file. */
const MAX_KEY_STATEMENTS = 6;
/** The longest that there is, as in the header of a message file. */
const MAX_KEY_STATEMENT_BYTES = 400;

/** In small letters, as node hands them over. */
export const header = {
  protocol: 'dirpost-protocol',
  postoffice: 'dirpost-postoffice',
  nonce: 'dirpost-nonce',
  signature: 'dirpost-signature',
  statements: 'dirpost-key-statements',
  bodyHash: 'dirpost-body-sha256',
  nextNonce: 'dirpost-next-nonce',
  uploadOffset: 'upload-offset',
} as const;

/** Stands in each answer of a server, so that a web page in its place is told from it. */
export const PROTOCOL_VERSION = '1';

/** The header has them in base64, one after another. */
export function statementsText(statements: readonly Uint8Array[]): string {
  return statements.map((one) => Buffer.from(one).toString('base64')).join(',');
}

/** They are untrusted, and unread. Undefined for more, or longer ones, than there may be. */
export function statementsIn(text: string): Uint8Array[] | undefined {
  if (text === '') return [];
  const statements = text.split(',', MAX_KEY_STATEMENTS + 1).map((one) => Buffer.from(one, 'base64'));
  const isTooLong = statements.some((one) => one.length > MAX_KEY_STATEMENT_BYTES);
  return statements.length > MAX_KEY_STATEMENTS || isTooLong ? undefined : statements;
}

const MESSAGE_ID = /^[0-9a-f]{32}$/;

export function isMessageId(text: unknown): text is string {
  return typeof text === 'string' && MESSAGE_ID.test(text);
}

export const paths = {
  health: '/healthz',
  nonce: '/v1/nonce',
  collect: '/v1/collect',
  message: (id: string) => `/v1/messages/${id}`,
  enrolment: (id: string) => `/v1/enrolments/${id}`,
} as const;

export interface CollectRequest {
  /** Seconds that the answer may wait for a file. */
  wait: number;
  /** Durably spooled by the requestor: these are deleted, before anything else. */
  done: string[];
  /** Not to be listed, and not worth an answer. */
  leave: string[];
}

export interface CollectAnswer {
  files: { id: string; bytes: number }[];
}

export interface RequestToSign {
  server: string;
  method: string;
  /** With its query, from `/v1/` on: what stands before is the affair of a proxy in front of the server. */
  path: string;
  /** Empty: none. */
  contentRange: string;
  nonce: string;
  /** SHA-256 of the body, 32 octets. */
  bodyHash: Uint8Array;
}

/** Each field with its length before it (4 octets, big-endian), so that no two requests have the same octets. */
export function requestOctets(request: RequestToSign): Buffer {
  const { server, method, path, contentRange, nonce, bodyHash } = request;
  const fields = ['dirpost http 1', server, method, path, contentRange, nonce].map((text) => Buffer.from(text));
  const parts: Buffer[] = [];
  for (const field of [...fields, Buffer.from(bodyHash)]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    parts.push(length, field);
  }
  return Buffer.concat(parts);
}

export function bodyHashOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest();
}

/** Octets `start` to `end` (exclusive) of `total`; start = end: none, which asks to finish what is complete. */
export interface Slice {
  start: number;
  end: number;
  total: number;
}

/** RFC 9110 §14.4. `bytes 0-99/1000`, or the form without a range: the star, then the total. */
export function formatContentRange({ start, end, total }: Slice): string {
  return start === end ? `bytes */${total}` : `bytes ${start}-${end - 1}/${total}`;
}

/** Undefined: not well-formed, or it contradicts itself. */
export function parseContentRange(text: string): Slice | undefined {
  const found = /^bytes (?:(\d{1,12})-(\d{1,12})|\*)\/(\d{1,12})$/.exec(text);
  if (found === null) return undefined;
  const total = Number(found[3]);
  if (found[1] === undefined) return { start: total, end: total, total };
  const start = Number(found[1]);
  const end = Number(found[2]) + 1;
  return start < end && end <= total ? { start, end, total } : undefined;
}
