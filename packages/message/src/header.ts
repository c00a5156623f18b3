/**
 * The plain part of a message file (format.md, "Message file"): what stands before the sealed body, and how a file is cut.
 *
 *   DIRPOST1 · header length (2) · body length (4) · header (msgpack map) · body · signature (64)
 *
 * Checks go from cheap to dear, and every length is checked before it is used.
 */
import { DirpostError, type Incarnation, type Limits, MAX_GENERATION } from '@dirpost/core';
import { MAX_STATEMENT_BYTES, MAX_STATEMENTS } from './key-statement.ts';
import { KEY_ID_BYTES, SIGNING_KEY_BYTES } from './keys.ts';
import { pack, unpack } from './scan.ts';

const MAGIC = Buffer.from('DIRPOST');
const VERSION = '1'.charCodeAt(0);
const PREFIX_BYTES = 14;
export const SIGNATURE_BYTES = 64;
export const MESSAGE_ID_BYTES = 16;
const INVITATION_ID_BYTES = 16;

/** What is written on the outside of a message file. */
export interface Envelope {
  /** 32 hexadecimal digits. */
  id: string;
  from: string;
  to: string;
  /** The incarnation of the receiver that it is for (rule 13), where the sender knows it. */
  forIncarnation: Incarnation | null;
  createdMs: number;
}

/** Stands in the header while a postoffice is joining: the receiver does not know its keys yet. */
export interface EnrolmentMark {
  /** Id of the invitation: 32 hexadecimal digits. */
  invitation: string;
  /** The sender's own signing key: Ed25519, the 32 octets in base64. */
  signing: string;
}

export interface Header {
  envelope: Envelope;
  /** 8 octets of hash of the signing key. */
  signingKeyId: Uint8Array;
  /** Names of header fields that a reader has to understand. */
  critical: string[];
  enrolment: EnrolmentMark | null;
  /** How the sender came to other keys (key-statement.ts), oldest first; unread. */
  statements: Uint8Array[];
}

/** A message file, cut into its parts. */
export interface Pieces {
  header: Header;
  body: Uint8Array;
  /** Everything that the signature covers. */
  signed: Uint8Array;
  signature: Uint8Array;
}

/** Header fields of this version; `x` lists critical ones. */
const knownFields = new Set(['f', 't', 'n', 'i', 'c', 'k', 'e', 's', 'x']);

export function encodeHeader(header: Header): Buffer {
  const { envelope } = header;
  const fields: Record<string, unknown> = { f: envelope.from, t: envelope.to };
  if (envelope.forIncarnation !== null) fields['n'] = packIncarnation(envelope.forIncarnation);
  fields['i'] = Buffer.from(envelope.id, 'hex');
  fields['c'] = envelope.createdMs;
  fields['k'] = Buffer.from(header.signingKeyId);
  if (header.enrolment !== null) {
    const { invitation, signing } = header.enrolment;
    fields['e'] = [Buffer.from(invitation, 'hex'), Buffer.from(signing, 'base64')];
  }
  if (header.statements.length > 0) fields['s'] = header.statements.map((one) => Buffer.from(one));
  if (header.critical.length > 0) fields['x'] = header.critical;
  return pack(fields);
}

/** Magic, lengths and header: all that stands before the body. */
export function encodePrefix(header: Uint8Array, bodyBytes: number): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix[MAGIC.length] = VERSION;
  prefix.writeUInt16BE(header.length, 8);
  prefix.writeUInt32BE(bodyBytes, 10);
  return Buffer.concat([prefix, header]);
}

/** True when the bytes begin like a message file of any version, which is how a transport recognises one. */
export function looksLikeMessage(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** Cuts a message file and decodes its header; opens nothing and needs no key. */
export function cut(bytes: Uint8Array, limits: Limits): Pieces {
  checkMagic(bytes, limits);
  if (bytes.length < PREFIX_BYTES) throw truncated();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bodyStart = PREFIX_BYTES + view.getUint16(8);
  const bodyEnd = bodyStart + view.getUint32(10);
  if (bodyStart - PREFIX_BYTES > limits.maxHeaderBytes) throw headerTooLong(limits);
  if (bodyEnd + SIGNATURE_BYTES > limits.maxMessageBytes) throw tooLarge(limits);
  if (bytes.length < bodyEnd + SIGNATURE_BYTES) throw truncated();
  if (bytes.length > bodyEnd + SIGNATURE_BYTES) {
    throw new DirpostError('message-signature', 'The message file has bytes after its signature.');
  }
  return {
    header: decodeHeader(bytes.subarray(PREFIX_BYTES, bodyStart), limits),
    body: bytes.subarray(bodyStart, bodyEnd),
    signed: bytes.subarray(0, bodyEnd),
    signature: bytes.subarray(bodyEnd),
  };
}

/**
 * The header alone, of a message file of which only the beginning is there yet: for a transport that has to know whom
 * it is from before it takes the rest. Throws as `cut` does.
 */
export function headerOf(start: Uint8Array, limits: Limits): Header {
  checkMagic(start, limits);
  if (start.length < PREFIX_BYTES) throw truncated();
  const end = PREFIX_BYTES + new DataView(start.buffer, start.byteOffset, start.byteLength).getUint16(8);
  if (end - PREFIX_BYTES > limits.maxHeaderBytes) throw headerTooLong(limits);
  if (start.length < end) throw truncated();
  return decodeHeader(start.subarray(PREFIX_BYTES, end), limits);
}

function checkMagic(bytes: Uint8Array, limits: Limits): void {
  if (bytes.length > limits.maxMessageBytes) throw tooLarge(limits);
  const start = Buffer.from(bytes.subarray(0, MAGIC.length));
  if (!start.equals(MAGIC.subarray(0, start.length))) {
    throw new DirpostError('message-foreign', 'This is not a dirpost message file.');
  }
  if (bytes.length <= MAGIC.length) throw truncated();
  if (bytes[MAGIC.length] !== VERSION) {
    throw new DirpostError(
      'message-version',
      'The message file has a format version that this dirpost does not know.',
      {
        hint: 'Upgrade this postoffice.',
      },
    );
  }
}

function decodeHeader(bytes: Uint8Array, limits: Limits): Header {
  const decoded = unpack(bytes, limits.maxNesting, 'message-header');
  if (typeof decoded !== 'object' || decoded === null || Array.isArray(decoded) || decoded instanceof Uint8Array) {
    throw malformed('a map');
  }
  const fields = decoded as Record<string, unknown>;
  const critical = fields['x'] ?? [];
  if (!Array.isArray(critical) || !critical.every((name) => typeof name === 'string'))
    throw malformed('critical names');
  const unknown = critical.find((name) => !knownFields.has(name));
  if (unknown !== undefined) {
    throw new DirpostError(
      'message-critical',
      `The header has the field ${JSON.stringify(unknown)}, which must be understood and is not.`,
      {
        hint: 'Upgrade this postoffice.',
      },
    );
  }
  const { f: from, t: to, n: incarnation = null, i: id, c: createdMs, k: signingKeyId } = fields;
  if (!isName(from) || !isName(to)) throw malformed('sender and receiver');
  if (!(id instanceof Uint8Array) || id.length !== MESSAGE_ID_BYTES) throw malformed('a message id');
  if (typeof createdMs !== 'number' || !Number.isSafeInteger(createdMs) || createdMs < 0)
    throw malformed('a creation time');
  if (!(signingKeyId instanceof Uint8Array) || signingKeyId.length !== KEY_ID_BYTES) throw malformed('a key id');
  const forIncarnation = incarnation === null ? null : unpackIncarnation(incarnation);
  if (forIncarnation === undefined) throw malformed('an incarnation');
  const envelope: Envelope = { id: Buffer.from(id).toString('hex'), from, to, forIncarnation, createdMs };
  return {
    envelope,
    signingKeyId: Buffer.from(signingKeyId),
    critical,
    enrolment: enrolmentMark(fields, critical),
    statements: statementsIn(fields),
  };
}

function statementsIn({ s: given = [] }: Record<string, unknown>): Uint8Array[] {
  const isRight = (one: unknown) => one instanceof Uint8Array && one.length <= MAX_STATEMENT_BYTES;
  if (!Array.isArray(given) || given.length > MAX_STATEMENTS || !given.every(isRight))
    throw malformed('statements of keys');
  return given.map((one) => Buffer.from(one as Uint8Array));
}

/** Who does not understand it must refuse it, so it is always critical. */
function enrolmentMark(fields: Record<string, unknown>, critical: string[]): EnrolmentMark | null {
  const given = fields['e'];
  if (given === undefined && !critical.includes('e')) return null;
  const [invitation, signing] = Array.isArray(given) && critical.includes('e') ? (given as unknown[]) : [];
  if (!(invitation instanceof Uint8Array) || invitation.length !== INVITATION_ID_BYTES) throw malformed('an enrolment');
  if (!(signing instanceof Uint8Array) || signing.length !== SIGNING_KEY_BYTES) throw malformed('an enrolment');
  return {
    invitation: Buffer.from(invitation).toString('hex'),
    signing: Buffer.from(signing).toString('base64'),
  };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && Buffer.byteLength(value) <= 255;
}

/** Generation (varint) and the 8 random octets; anything that is not of that form stays text. */
export function packIncarnation(incarnation: Incarnation): Uint8Array | string {
  const match = /^(0|[1-9]\d{0,8})\.([0-9a-f]{16})$/.exec(incarnation);
  if (match === null) return incarnation;
  const generation: number[] = [];
  let left = Number(match[1]);
  for (; left >= 0x80; left >>>= 7) generation.push((left & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...generation, left]), Buffer.from(match[2]!, 'hex')]);
}

/** Undefined when it is not an incarnation. */
export function unpackIncarnation(packed: unknown): Incarnation | undefined {
  if (typeof packed === 'string') return /^\d{1,9}\.[!-~]{1,64}$/.test(packed) ? packed : undefined;
  if (!(packed instanceof Uint8Array) || packed.length < 9 || packed.length > 13) return undefined;
  let generation = 0;
  const digits = packed.subarray(0, -8);
  for (let i = digits.length - 1; i >= 0; i--) generation = generation * 0x80 + (digits[i]! & 0x7f);
  if (generation > MAX_GENERATION) return undefined;
  return `${generation}.${Buffer.from(packed.subarray(-8)).toString('hex')}`;
}

function headerTooLong(limits: Limits): DirpostError {
  return new DirpostError('message-header', `The header is longer than ${limits.maxHeaderBytes} bytes.`);
}

function truncated(): DirpostError {
  return new DirpostError('message-truncated', 'The message file ends early.', {
    hint: 'It was cut on the way; the sender repeats what is not acknowledged.',
  });
}

function tooLarge(limits: Limits): DirpostError {
  return new DirpostError('message-too-large', `The message file is larger than ${limits.maxMessageBytes} bytes.`);
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-header', `The header lacks ${what}, or holds it in a wrong form.`);
}
