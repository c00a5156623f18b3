/**
 * age's X25519 recipients and identities (https://age-encryption.org/v1, "The X25519 recipient type") on node:crypto, for
 * age-file.ts. Other kinds of keys (post-quantum hybrid ones) are left to the age library.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

const INFO = 'age-encryption.org/v1/X25519';
const KEY_BYTES = 32;
const TAG_BYTES = 16;
const FILE_KEY_BYTES = 16;
/** RFC 8410: what stands before the 32 octets in the DER form. */
const privateDerPrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** Each wrapping key is used once, therefore with this nonce. */
const NONCE = Buffer.alloc(12);

const MAX_KEPT = 10_000;

/** One recipient's line and body in the header of an age file. */
export interface Stanza {
  args: string[];
  body: Uint8Array;
}

export interface X25519Recipient {
  wrap(fileKey: Uint8Array): Stanza;
}

export interface X25519Identity {
  /** Null when none of the stanzas is for it. Throws for one that is malformed. */
  unwrap(stanzas: readonly Stanza[]): Buffer | null;
}

/** Parsed once by their text: parsing a key costs as much as using it. */
export class ParsedKeys {
  readonly #recipients = new Map<string, X25519Recipient | null>();
  readonly #identities = new Map<string, X25519Identity | null>();

  /** Null where one of them is of another kind. */
  recipients(texts: readonly string[]): X25519Recipient[] | null {
    return allOf(texts.map((text) => remember(this.#recipients, text, recipientOf)));
  }

  /** Null where one of them is of another kind. */
  identities(texts: readonly string[]): X25519Identity[] | null {
    return allOf(texts.map((text) => remember(this.#identities, text, identityOf)));
  }
}

function allOf<T>(parsed: (T | null)[]): T[] | null {
  return parsed.includes(null) ? null : (parsed as T[]);
}

function remember<T>(parsed: Map<string, T>, text: string, parse: (text: string) => T): T {
  let known = parsed.get(text);
  if (known === undefined) {
    known = parse(text);
    if (parsed.size >= MAX_KEPT) parsed.clear();
    parsed.set(text, known);
  }
  return known;
}

function recipientOf(text: string): X25519Recipient | null {
  const key = decodeBech32(text, 'age');
  return key === undefined ? null : x25519Recipient(key);
}

function identityOf(text: string): X25519Identity | null {
  const scalar = decodeBech32(text.toLowerCase(), 'age-secret-key-');
  return scalar === undefined ? null : x25519Identity(scalar);
}

/** Of the 32 octets of a public key. */
export function x25519Recipient(recipient: Buffer): X25519Recipient {
  const publicKey = publicKeyOf(recipient);
  return {
    wrap(fileKey) {
      const ephemeral = generateKeyPairSync('x25519');
      const share = octetsOf(ephemeral.publicKey);
      const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
      const cipher = createCipheriv('chacha20-poly1305', wrapKey(shared, share, recipient), NONCE, {
        authTagLength: TAG_BYTES,
      });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return { args: ['X25519', toBase64(share)], body };
    },
  };
}

/** Of the 32 octets of a private key. */
export function x25519Identity(scalar: Buffer): X25519Identity {
  const der = Buffer.concat([privateDerPrefix, scalar]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const recipient = octetsOf(createPublicKey(privateKey));
  return {
    unwrap(stanzas) {
      for (const { args, body } of stanzas) {
        if (args[0] !== 'X25519') continue;
        const share = fromBase64(args[1] ?? '');
        const isWellFormed = args.length === 2 && share.length === KEY_BYTES;
        if (!isWellFormed || body.length !== FILE_KEY_BYTES + TAG_BYTES) throw new Error('a malformed X25519 stanza');
        const fileKey = unwrap(privateKey, recipient, share, body);
        if (fileKey !== null) return fileKey;
      }
      return null;
    },
  };
}

/** Null when the stanza is for another recipient. */
function unwrap(privateKey: KeyObject, recipient: Buffer, share: Buffer, body: Uint8Array): Buffer | null {
  // Throws for a share of low order, as age requires.
  const shared = diffieHellman({ privateKey, publicKey: publicKeyOf(share) });
  const decipher = createDecipheriv('chacha20-poly1305', wrapKey(shared, share, recipient), NONCE, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
  try {
    return Buffer.concat([decipher.update(body.subarray(0, FILE_KEY_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}

function wrapKey(shared: Buffer, share: Buffer, recipient: Buffer): Buffer {
  return hkdf(shared, Buffer.concat([share, recipient]), INFO);
}

/** HKDF-SHA-256 (RFC 5869) for 32 octets, of which one round is enough: hkdfSync takes twice as long. */
export function hkdf(secret: Uint8Array, salt: Uint8Array, info: string): Buffer {
  const key = createHmac('sha256', salt).update(secret).digest();
  return createHmac('sha256', key).update(info).update('\x01').digest();
}

/** As JWK (RFC 8037): a tenth of what the DER forms cost. */
function publicKeyOf(octets: Buffer): KeyObject {
  const key = { kty: 'OKP', crv: 'X25519', x: octets.toString('base64url') };
  return createPublicKey({ key, format: 'jwk' });
}

function octetsOf(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
}

/** As age writes it: without padding. */
export function toBase64(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('base64').replaceAll('=', '');
}

/** Throws for any spelling but the one that `toBase64` gives. */
export function fromBase64(text: string): Buffer {
  const octets = Buffer.from(text, 'base64');
  if (toBase64(octets) !== text) throw new Error('not base64 as age writes it');
  return octets;
}

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

/** BIP 173, 32 octets; undefined for another prefix, length or checksum: then the library says what is wrong. */
function decodeBech32(text: string, prefix: string): Buffer | undefined {
  if (!text.startsWith(`${prefix}1`)) return undefined;
  const words = Array.from(text.slice(prefix.length + 1), (letter) => BECH32.indexOf(letter));
  const expanded = [...prefix].map((letter) => letter.charCodeAt(0));
  const checked = [...expanded.map((code) => code >> 5), 0, ...expanded.map((code) => code & 31), ...words];
  if (words.includes(-1) || bech32Checksum(checked) !== 1) return undefined;
  let bits = 0n;
  const data = words.slice(0, -6);
  for (const word of data) bits = (bits << 5n) | BigInt(word);
  const padding = BigInt(data.length * 5 - KEY_BYTES * 8);
  if (padding < 0n || padding > 4n || (bits & ((1n << padding) - 1n)) !== 0n) return undefined;
  return Buffer.from((bits >> padding).toString(16).padStart(KEY_BYTES * 2, '0'), 'hex');
}

function bech32Checksum(words: number[]): number {
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let checksum = 1;
  for (const word of words) {
    const top = checksum >>> 25;
    checksum = ((checksum & 0x1ffffff) << 5) ^ word;
    for (const [i, generator] of generators.entries()) if (((top >> i) & 1) === 1) checksum ^= generator;
  }
  return checksum;
}
