/**
 * What an enrolment says (format.md, "Enrolment"): a new postoffice proves that it has the secret of its invitation and
 * names its keys; the server answers. Both are messages of kind enrolment, whose head carries a map.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import {
  DirpostError,
  type Enrolment,
  type EntryKind,
  type Incarnation,
  isMailAddress,
  type PublishRule,
} from '@dirpost/core';
import { parsePublicKeys, rawSigningKey } from './keys.ts';

const PROOF_DOMAIN = Buffer.from('dirpost enrolment 1\0');
const PROOF_BYTES = 32;
const MAX_TEXT_BYTES = 255;
const MAX_LISTED = 1_000;

/** What the proof speaks of. */
export interface Proven {
  /** Id of the invitation: 32 hexadecimal digits. */
  invitation: string;
  server: string;
  name: string;
  /** Of the new postoffice. */
  signing: string;
  recipient: string;
}

export interface EnrolmentRequest {
  signing: string;
  recipient: string;
  version: string;
  proof: Uint8Array;
  /** Mail address of the new postoffice, where it has one: there it is answered by mail. */
  mail?: string;
}

/**
 * `joined`: the keys are known from now on. `late`: the invitation is right and too old. `used`: somebody with other keys
 * has used it.
 */
export type EnrolmentResult = 'joined' | 'late' | 'used';

export interface EnrolmentAnswer {
  /** Id of the invitation that it speaks of. */
  invitation: string;
  result: EnrolmentResult;
  /** The server's stamp for that postoffice (rule 5); empty for one of which nothing was processed yet. */
  stamp: string;
  /** Incarnation of the server. */
  heard: Incarnation;
  /** The address list that it follows; null for none. */
  list: string | null;
  publish: PublishRule;
  /** By the server's clock: its time, and when the invitation ends. */
  nowMs: number;
  expiresMs: number;
}

/** What the server keeps of a secret: enough to check a proof, and of no use to whoever only reads the line. */
export function proofKeyOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest();
}

export function proofOf(proofKey: Uint8Array, { invitation, server, name, signing, recipient }: Proven): Buffer {
  const proof = createHmac('sha256', proofKey).update(PROOF_DOMAIN).update(Buffer.from(invitation, 'hex'));
  proof.update(rawSigningKey(signing));
  for (const text of [server, name, recipient]) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(Buffer.byteLength(text));
    proof.update(length).update(text);
  }
  return proof.digest();
}

/** In a time that does not depend on where they differ. */
export function isProof(proof: Uint8Array, proofKey: Uint8Array, proven: Proven): boolean {
  return proof.length === PROOF_BYTES && timingSafeEqual(proof, proofOf(proofKey, proven));
}

export function enrolmentRequest(incarnation: Incarnation, request: EnrolmentRequest): Enrolment {
  const { signing, recipient, version, proof, mail } = request;
  const told = mail === undefined ? {} : { mail };
  const fields = { signing: rawSigningKey(signing), recipient, version, proof: Buffer.from(proof), ...told };
  return { kind: 'enrolment', incarnation, fields };
}

/** Throws DirpostError `message-payload`. */
export function readEnrolmentRequest({ fields }: Enrolment): EnrolmentRequest {
  const signing = Buffer.from(octets(fields, 'signing', 32)).toString('base64');
  const recipient = text(fields, 'recipient', 4_096);
  try {
    parsePublicKeys(JSON.stringify({ signing, recipient }));
  } catch {
    throw malformed('recipient');
  }
  const mail = fields['mail'] === undefined ? undefined : text(fields, 'mail');
  if (mail !== undefined && !isMailAddress(mail)) throw malformed('mail');
  const told = mail === undefined ? {} : { mail };
  return { signing, recipient, version: text(fields, 'version'), proof: octets(fields, 'proof', PROOF_BYTES), ...told };
}

export function enrolmentAnswer(incarnation: Incarnation, answer: EnrolmentAnswer): Enrolment {
  const { publish, invitation, ...rest } = answer;
  const { kinds = null, mailDomains = null, maxEntries = null } = publish;
  const fields = { invitation: Buffer.from(invitation, 'hex'), ...rest, kinds, mailDomains, maxEntries };
  return { kind: 'enrolment', incarnation, fields };
}

/** Throws DirpostError `message-payload`. */
export function readEnrolmentAnswer({ fields }: Enrolment): EnrolmentAnswer {
  const { result } = fields;
  if (result !== 'joined' && result !== 'late' && result !== 'used') throw malformed('result');
  const [kinds, mailDomains, maxEntries] = [texts(fields, 'kinds'), texts(fields, 'mailDomains'), fields['maxEntries']];
  const publish: PublishRule = {
    ...(kinds === null ? {} : { kinds: kinds as EntryKind[] }),
    ...(mailDomains === null ? {} : { mailDomains }),
    ...(maxEntries == null ? {} : { maxEntries: count(fields, 'maxEntries') }),
  };
  const [stamp, heard] = [text(fields, 'stamp'), text(fields, 'heard')];
  if (stamp !== '' && !/^\d{1,9}\.[!-~]{1,64}#[0-9a-f]{32}$/.test(stamp)) throw malformed('stamp');
  if (!/^\d{1,9}\.[!-~]{1,64}$/.test(heard)) throw malformed('heard');
  const times = { nowMs: moment(fields, 'nowMs'), expiresMs: moment(fields, 'expiresMs') };
  const invitation = Buffer.from(octets(fields, 'invitation', 16)).toString('hex');
  const list = fields['list'] === null ? null : text(fields, 'list');
  return { invitation, result, stamp, heard, list, publish, ...times };
}

function text(fields: Record<string, unknown>, name: string, maxBytes = MAX_TEXT_BYTES): string {
  const value = fields[name];
  if (typeof value !== 'string' || Buffer.byteLength(value) > maxBytes) throw malformed(name);
  return value;
}

function texts(fields: Record<string, unknown>, name: string): string[] | null {
  const value = fields[name];
  if (value === null || value === undefined) return null;
  if (!Array.isArray(value) || value.length > MAX_LISTED) throw malformed(name);
  return value.map((one: unknown) => text({ [name]: one }, name));
}

function octets(fields: Record<string, unknown>, name: string, length: number): Uint8Array {
  const value = fields[name];
  if (!(value instanceof Uint8Array) || value.length !== length) throw malformed(name);
  return Buffer.from(value);
}

function count(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(name);
  return value;
}

/** Of what a date can be (ECMA-262, "Time Values"). */
function moment(fields: Record<string, unknown>, name: string): number {
  const ms = count(fields, name);
  if (ms > 8.64e15) throw malformed(name);
  return ms;
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The enrolment lacks "${what}", or holds it in a wrong form.`);
}
