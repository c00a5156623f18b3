/**
 * Payload → message file (T1 and T2): sealed for the receiver's age recipients, then signed. From, to and id stand
 * again inside the sealed body, so that nobody can sign another's ciphertext as his own.
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { encryptAgeFile } from './age-file.ts';
import { encodeHeader, encodePrefix, type EnrolmentMark, type Envelope } from './header.ts';
import { pack } from './scan.ts';
import type { X25519Recipient } from './x25519.ts';

export interface SealingKeys {
  signing: KeyObject;
  signingKeyId: Uint8Array;
}

export interface Recipients {
  /** `age1…` */
  texts: readonly string[];
  /** Null where one is not of the X25519 kind. */
  parsed: X25519Recipient[] | null;
}

/** What the signature covers is hashed with this before it, so that it can never be taken for one of another purpose. */
const SIGNATURE_DOMAIN = Buffer.from('dirpost message file 1 signature\0');

export async function sealMessage(
  envelope: Envelope,
  payload: Uint8Array,
  keys: SealingKeys,
  recipients: Recipients,
  enrolment: EnrolmentMark | null = null,
  statements: Uint8Array[] = [],
): Promise<Uint8Array> {
  const body = await encrypt(Buffer.concat([encodeInner(envelope), payload]), recipients);
  const critical = enrolment === null ? [] : ['e'];
  const header = encodeHeader({ envelope, signingKeyId: keys.signingKeyId, critical, enrolment, statements });
  return signMessage(Buffer.concat([encodePrefix(header, body.length), body]), keys.signing);
}

async function encrypt(plain: Uint8Array, { texts, parsed }: Recipients): Promise<Uint8Array> {
  if (parsed !== null) return encryptAgeFile(plain, parsed);
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const text of texts) encrypter.addRecipient(text);
  return encrypter.encrypt(plain);
}

/** Length (2) and msgpack [from, to, id]: what stands before the payload inside the sealed body. */
export function encodeInner(envelope: Envelope): Buffer {
  const fields = pack([envelope.from, envelope.to, Buffer.from(envelope.id, 'hex')]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(fields.length);
  return Buffer.concat([length, fields]);
}

export function signMessage(unsigned: Uint8Array, signing: KeyObject): Buffer {
  return Buffer.concat([unsigned, sign(null, signatureInput(unsigned), signing)]);
}

/** The 64 octets that Ed25519 signs. */
export function signatureInput(signed: Uint8Array): Buffer {
  return createHash('sha512').update(SIGNATURE_DOMAIN).update(signed).digest();
}
