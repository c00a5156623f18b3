/**
 * The recovery key of a directory server: an Ed25519 key that is printed once, by `dirpost init`, and kept on paper. The
 * server keeps the public half, and requestors pin it when they join: it alone may announce other keys for a server whose
 * own were lost or stolen (format.md, "Keys").
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { DirpostError } from '@dirpost/core';
import { authenticationKeyObject, inGroups, rawSigningKey, SIGNING_KEY_BYTES } from './keys.ts';
import { x25519Identity, type X25519Identity, x25519Recipient, type X25519Recipient } from './x25519.ts';

export interface RecoveryKey {
  /** For paper: 14 groups of four small letters and digits, the last of them a checksum. */
  text: string;
  /** The 32 octets in base64. */
  publicKey: string;
}

const CHECKSUM_BYTES = 3;
/** RFC 8410: what stands before the 32 octets of an Ed25519 private key in its DER form. */
const privateDerPrefix = Buffer.from('302e020100300506032b657004220420', 'hex');

export function generateRecoveryKey(): RecoveryKey {
  const der = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
  const seed = der.subarray(-SIGNING_KEY_BYTES);
  return { text: inGroups(Buffer.concat([seed, checksumOf(seed)])), publicKey: publicKeyOf(seed) };
}

/** As somebody typed it from paper. Throws DirpostError `wrong-use`, without quoting it. */
export function parseRecoveryKey(text: string): RecoveryKey {
  const letters = text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const octets = base32Octets(letters);
  const seed = octets?.subarray(0, SIGNING_KEY_BYTES);
  const isWhole = octets?.length === SIGNING_KEY_BYTES + CHECKSUM_BYTES;
  if (!isWhole || seed === undefined || !checksumOf(seed).equals(octets.subarray(SIGNING_KEY_BYTES))) {
    throw new DirpostError('wrong-use', 'This is not a recovery key, or a letter of it is wrong.', {
      retry: 'operator',
      hint: 'It has 14 groups of four small letters and digits from 2 to 7. Compare them one by one with the paper.',
    });
  }
  return { text: inGroups(octets), publicKey: publicKeyOf(seed) };
}

/** For people to compare: 160 bits of SHA-256, as 8 groups. */
export function recoveryFingerprint(publicKey: string): string {
  const hash = createHash('sha256').update('dirpost recovery fingerprint\0').update(rawSigningKey(publicKey));
  return inGroups(hash.digest().subarray(0, 20));
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([privateDerPrefix, seed]), format: 'der', type: 'pkcs8' });
}

/** Of a text that was checked. */
function seedOf(text: string): Buffer {
  return base32Octets(text.replaceAll('-', ''))!.subarray(0, SIGNING_KEY_BYTES);
}

function publicKeyOf(seed: Uint8Array): string {
  const der = createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' });
  return der.subarray(-SIGNING_KEY_BYTES).toString('base64');
}

function checksumOf(seed: Uint8Array): Buffer {
  return createHash('sha256').update('dirpost recovery key\0').update(seed).digest().subarray(0, CHECKSUM_BYTES);
}

/** RFC 4648 §6; undefined for letters that are not of it. */
function base32Octets(letters: string): Buffer | undefined {
  const octets: number[] = [];
  let [bits, held] = [0, 0];
  for (const letter of letters) {
    const value = 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(letter);
    if (value === -1) return undefined;
    bits = ((bits << 5) | value) & 0xfff;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    octets.push((bits >> held) & 0xff);
  }
  return Buffer.from(octets);
}

/** Signs with the recovery key, as it was typed. */
export function recoverySigner({ text }: RecoveryKey): (octets: Uint8Array) => Buffer {
  const key = privateKeyOf(seedOf(text));
  return (octets) => sign(null, octets, key);
}

export function isSignedByRecoveryKey(publicKey: string, octets: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, octets, authenticationKeyObject(publicKey), signature);
}

/** Prime of the field of Curve25519. */
const P = 2n ** 255n - 19n;

/**
 * What is sealed for the recovery key: its Ed25519 public half as an X25519 one (RFC 7748 §4.1: u = (1 + y) / (1 - y)).
 * So a backup can be sealed where only the public half is.
 */
export function recoveryRecipient(publicKey: string): X25519Recipient {
  const y = littleEndian(rawSigningKey(publicKey)) & (2n ** 255n - 1n);
  const u = ((1n + y) * power((1n - y + P) % P, P - 2n)) % P;
  return x25519Recipient(Buffer.from(u.toString(16).padStart(64, '0'), 'hex').reverse());
}

/** RFC 8032 §5.1.5: the scalar of an Ed25519 key is the first half of SHA-512 over its seed; X25519 clamps it alike. */
export function recoveryIdentity({ text }: RecoveryKey): X25519Identity {
  return x25519Identity(createHash('sha512').update(seedOf(text)).digest().subarray(0, SIGNING_KEY_BYTES));
}

function littleEndian(octets: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(octets).reverse().toString('hex')}`);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}
