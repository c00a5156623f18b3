/**
 * The keys of a postoffice: an Ed25519 signing key and age identities (X25519, or post-quantum hybrid ones: an age
 * recipient says what it is). Private keys stay in the key file; public ones travel in invitations and enrolments.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { DirpostError } from '@dirpost/core';

export interface PrivateKeys {
  /** Ed25519, PKCS #8 DER in base64. */
  signing: string;
  /** `AGE-SECRET-KEY-…`; the first is the one that is announced, older ones still open what was sealed for them. */
  identities: string[];
  /** Server: the public half of its recovery key (recovery-key.ts), 32 octets in base64. The private half is on paper. */
  recovery?: string;
  /** Of the one before, until they are forgotten. */
  older?: OlderKeys;
  /** What the others are told of these keys; absent for those that are as they were made. */
  announced?: AnnouncedKeys;
  /** Purpose → secret, in base64: what was derived of an earlier signing key and has to stay. */
  secrets?: Record<string, string>;
}

export interface OlderKeys {
  /** As above; null: it was lost or stolen. Requests are signed with it while the other side knows no newer one. */
  signing: string | null;
  /** Of `identities`, that which is to be forgotten. */
  identities: string[];
  /** By the own clock, ms since 1970. */
  untilMs: number;
}

export interface AnnouncedKeys {
  /** Grows with everything that is announced anew. */
  serial: number;
  /** Statements (key-statement.ts) in base64, oldest first. */
  statements: string[];
  /** How long the keys before are used. */
  overlapMs: number;
  /** Server: told that keys of the network are to be post-quantum ones. */
  hybrid?: boolean;
  addresses?: { http?: string; certificate?: string; mail?: string };
}

export interface PublicKeys {
  /** Ed25519, the 32 octets in base64. */
  signing: string;
  /** `age1…` */
  recipient: string;
}

/** What is known of a peer: several keys of each sort while keys roll over. */
export interface PeerKeys {
  signing: string[];
  recipients: string[];
  /** Nothing of it is taken, and nothing is sealed for it, until its administrator's word is taken back. */
  suspended?: boolean;
  /** Of a server: the pinned recovery key, 32 octets in base64; and the serial of the newest statement by it. */
  recoveryKey?: string;
  recoveredSerial?: number;
}

export const KEY_ID_BYTES = 8;
export const SIGNING_KEY_BYTES = 32;

/** RFC 8410: what stands before the 32 octets of an Ed25519 public key in its DER form. */
const publicDerPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** `hybrid`: with a post-quantum age identity (ML-KEM-768 and X25519). */
export async function generateKeys({ hybrid = false } = {}): Promise<PrivateKeys> {
  const { generateHybridIdentity, generateX25519Identity } = await import('age-encryption');
  const { privateKey } = generateKeyPairSync('ed25519');
  const signing = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  return { signing, identities: [await (hybrid ? generateHybridIdentity() : generateX25519Identity())] };
}

export async function publicKeys(keys: PrivateKeys): Promise<PublicKeys> {
  const { identityToRecipient } = await import('age-encryption');
  return { signing: publicSigningKey(keys.signing), recipient: await identityToRecipient(keys.identities[0]!) };
}

/** The public half of a private signing key. */
export function publicSigningKey(signing: string): string {
  const der = createPublicKey(signingKeyObject(signing)).export({ format: 'der', type: 'spki' });
  return der.subarray(publicDerPrefix.length).toString('base64');
}

/** Whether it is a post-quantum hybrid one. */
export function isHybrid(recipientOrIdentity: string): boolean {
  return /^(?:age1pq1|AGE-SECRET-KEY-PQ-1)/.test(recipientOrIdentity);
}

/** For two people to compare: 160 bits of SHA-256 over both keys, as 8 groups of 4 letters and digits. */
export function fingerprint(keys: PublicKeys): string {
  const hash = createHash('sha256').update('dirpost fingerprint\0').update(rawSigningKey(keys.signing));
  return inGroups(hash.update(keys.recipient).digest().subarray(0, 20));
}

/** Base32 in groups of four with hyphens between, for people to read out. Whole groups: a multiple of 5 octets. */
export function inGroups(bytes: Uint8Array): string {
  return base32(bytes).match(/.{4}/g)!.join('-');
}

/** The first 8 octets of SHA-256 over the 32 octets of the signing key. */
export function keyId(signing: string): Buffer {
  return createHash('sha256').update(rawSigningKey(signing)).digest().subarray(0, KEY_ID_BYTES);
}

export function signingKeyObject(signing: string): KeyObject {
  try {
    const key = createPrivateKey({ key: Buffer.from(signing, 'base64'), format: 'der', type: 'pkcs8' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Falls to the error below: the cause could quote key material.
  }
  throw new DirpostError('config-invalid', 'The signing key is not an Ed25519 private key in PKCS #8 form.');
}

/** As JWK (RFC 8037): a tenth of what the DER form costs. */
export function authenticationKeyObject(signing: string): KeyObject {
  const key = { kty: 'OKP', crv: 'Ed25519', x: rawSigningKey(signing).toString('base64url') };
  return createPublicKey({ key, format: 'jwk' });
}

export function parsePrivateKeys(json: string): PrivateKeys {
  const fields = parseObject(json, 'key file is not a JSON object');
  const { signing, identities } = fields;
  if (!isBase64(signing)) throw invalid('The key file lacks the signing key.');
  signingKeyObject(signing);
  if (!Array.isArray(identities) || identities.length === 0 || !identities.every(isIdentity)) {
    throw invalid('The key file lacks age identities (AGE-SECRET-KEY-…).');
  }
  const more = readFurther(fields);
  if (fields['recovery'] === undefined) return { signing, identities, ...more };
  const { recovery } = fields;
  if (!isBase64(recovery)) throw invalid('The key file holds a recovery key that is none.');
  rawSigningKey(recovery);
  return { signing, identities, recovery, ...more };
}

/** What roll-overs have left. Only this postoffice writes the file: a wrong form is damage. */
function readFurther(fields: Record<string, unknown>): Pick<PrivateKeys, 'older' | 'announced' | 'secrets'> {
  const { older, announced, secrets } = fields as Partial<PrivateKeys>;
  try {
    if (older !== undefined) {
      if (older.signing !== null) signingKeyObject(older.signing);
      if (!older.identities.every(isIdentity) || !Number.isSafeInteger(older.untilMs)) throw new Error('older');
    }
    if (announced !== undefined) {
      const { serial, statements, overlapMs } = announced;
      const isRight = Number.isSafeInteger(serial) && Number.isSafeInteger(overlapMs);
      if (!isRight || !statements.every((one) => typeof one === 'string')) throw new Error('announced');
    }
    if (secrets !== undefined && !Object.values(secrets).every(isBase64)) throw new Error('secrets');
  } catch {
    throw invalid('The key file is damaged: what it says of earlier keys cannot be read.');
  }
  return { ...(older && { older }), ...(announced && { announced }), ...(secrets && { secrets }) };
}

export function formatPrivateKeys(keys: PrivateKeys): string {
  const { signing, identities, recovery, older, announced, secrets } = keys;
  return `${JSON.stringify({ signing, identities, recovery, older, announced, secrets }, null, 2)}\n`;
}

/** 32 octets that only the own keys give. `purpose` stands in what is hashed. Roll-overs keep them. */
export function derivedSecret({ signing, secrets }: PrivateKeys, purpose: string): Buffer {
  const kept = secrets?.[purpose];
  if (kept !== undefined) return Buffer.from(kept, 'base64');
  return createHash('sha256').update(purpose).update(signing).digest();
}

export function parsePublicKeys(json: string): PublicKeys {
  const { signing, recipient } = parseObject(json, 'public keys are not a JSON object');
  if (!isBase64(signing)) throw invalid('The public keys lack the signing key.');
  rawSigningKey(signing);
  if (typeof recipient !== 'string' || !/^age1[a-z0-9]{20,4000}$/.test(recipient)) {
    throw invalid('The public keys lack an age recipient (age1…).');
  }
  return { signing, recipient };
}

export function formatPublicKeys(keys: PublicKeys): string {
  return `${JSON.stringify({ signing: keys.signing, recipient: keys.recipient }, null, 2)}\n`;
}

function parseObject(json: string, problem: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls to the error below: the parser's message could quote key material.
  }
  throw invalid(`The ${problem}.`);
}

/** The 32 octets. Throws DirpostError `config-invalid`. */
export function rawSigningKey(signing: string): Buffer {
  const raw = Buffer.from(signing, 'base64');
  if (raw.length !== SIGNING_KEY_BYTES) throw invalid('A public signing key is 32 octets in base64.');
  return raw;
}

function isBase64(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9+/]{20,400}={0,2}$/.test(value);
}

function isIdentity(value: unknown): value is string {
  return typeof value === 'string' && /^AGE-SECRET-KEY-[A-Z0-9-]{20,200}$/.test(value);
}

function invalid(message: string): DirpostError {
  return new DirpostError('config-invalid', message, { retry: 'operator' });
}

/** RFC 4648 §6 in lower case, without padding. */
function base32(bytes: Uint8Array): string {
  let bits = 0n;
  for (const octet of bytes) bits = (bits << 8n) | BigInt(octet);
  let text = '';
  for (let left = bytes.length * 8; left > 0; left -= 5) {
    text += 'abcdefghijklmnopqrstuvwxyz234567'[Number((bits >> BigInt(left - 5)) & 31n)];
  }
  return text;
}
