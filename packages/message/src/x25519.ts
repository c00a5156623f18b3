/**
 * age's X25519 recipients and identities (https://age-encryption.org/v1, "The X25519 recipient type") on node:crypto: the
 * library's own, in JavaScript, take most of the time of sealing and opening a small message. Other kinds of keys
 * (post-quantum hybrid ones) are left to the library.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import type { Identity, Recipient } from 'age-encryption';

const INFO = 'age-encryption.org/v1/X25519';
const KEY_BYTES = 32;
const TAG_BYTES = 16;
const FILE_KEY_BYTES = 16;
/** RFC 8410: what stands before the 32 octets in the DER forms. */
const publicDerPrefix = Buffer.from('302a300506032b656e032100', 'hex');
const privateDerPrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** Each wrapping key is used once, therefore with this nonce. */
const NONCE = Buffer.alloc(12);

const MAX_KEPT = 10_000;

/** Parsed once by their text: parsing a key costs as much as using it. */
export class ParsedKeys {
  readonly #recipients = new Map<string, string | Recipient>();
  readonly #identities = new Map<string, string | Identity>();

  recipient(text: string): string | Recipient {
    return remember(this.#recipients, text, recipientOf);
  }

  identity(text: string): string | Identity {
    return remember(this.#identities, text, identityOf);
  }
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

/** What to give to the library's Encrypter for a recipient. */
export function recipientOf(text: string): string | Recipient {
  const key = decodeBech32(text, 'age');
  return key === undefined ? text : x25519Recipient(key);
}

/** What to give to the library's Decrypter for an identity. */
export function identityOf(text: string): string | Identity {
  const scalar = decodeBech32(text.toLowerCase(), 'age-secret-key-');
  return scalar === undefined ? text : x25519Identity(scalar);
}

function x25519Recipient(recipient: Buffer): Recipient {
  const publicKey = publicKeyOf(recipient);
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import('age-encryption');
      const ephemeral = generateKeyPairSync('x25519');
      const share = octetsOf(ephemeral.publicKey);
      const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
      const cipher = createCipheriv('chacha20-poly1305', wrapKey(shared, share, recipient), NONCE, {
        authTagLength: TAG_BYTES,
      });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return [new Stanza(['X25519', toBase64(share)], body)];
    },
  };
}

function x25519Identity(scalar: Buffer): Identity {
  const der = Buffer.concat([privateDerPrefix, scalar]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const recipient = octetsOf(createPublicKey(privateKey));
  return {
    unwrapFileKey(stanzas) {
      for (const { args, body } of stanzas) {
        if (args[0] !== 'X25519') continue;
        const share = Buffer.from(args[1] ?? '', 'base64');
        const isCanonical = args.length === 2 && share.length === KEY_BYTES && toBase64(share) === args[1];
        if (!isCanonical || body.length !== FILE_KEY_BYTES + TAG_BYTES) throw new Error('a malformed X25519 stanza');
        const fileKey = unwrap(privateKey, recipient, share, body);
        if (fileKey !== null) return fileKey;
      }
      return null;
    },
  };
}

/** Null when the stanza is for another recipient. */
function unwrap(privateKey: KeyObject, recipient: Buffer, share: Buffer, body: Uint8Array): Uint8Array | null {
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
  return Buffer.from(hkdfSync('sha256', shared, Buffer.concat([share, recipient]), INFO, KEY_BYTES));
}

function publicKeyOf(octets: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicDerPrefix, octets]), format: 'der', type: 'spki' });
}

function octetsOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(publicDerPrefix.length);
}

function toBase64(octets: Buffer): string {
  return octets.toString('base64').replaceAll('=', '');
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
