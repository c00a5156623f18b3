/**
 * The body of a message file: a whole age file (https://age-encryption.org/v1) in memory, for X25519 recipients, on
 * node:crypto. The age library, which works in streams and in JavaScript, takes three times as long for a small message;
 * it is left the other kinds of keys (post-quantum hybrid ones).
 *
 *   header (lines: version, a stanza per recipient, MAC) · nonce (16) · STREAM: chunks of 64 KiB, each with a tag (16)
 *
 * Errors are plain ones: whoever calls says what they mean for the message file.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { fromBase64, hkdf, type Stanza, toBase64, type X25519Identity, type X25519Recipient } from './x25519.ts';

export const VERSION_LINE = 'age-encryption.org/v1';
export const FILE_KEY_BYTES = 16;
export const NONCE_BYTES = 16;
export const TAG_BYTES = 16;
const MAC_BYTES = 32;
export const CHUNK_BYTES = 64 * 1024;
/** Columns of a full line of a stanza's body. */
const LINE_COLUMNS = 64;
/** Of a stanza's first line: VCHARs between single spaces. */
const STANZA = /^->(?: [!-~]+)+$/;
const NO_SALT = Buffer.alloc(0);
/** Of a header: room for a few recipients of any kind. Each stanza costs a reader one try for each of its keys. */
export const MAX_AGE_HEADER_BYTES = 16 * 1024;

export function encryptAgeFile(plain: Uint8Array, recipients: readonly X25519Recipient[]): Buffer {
  if (recipients.length === 0) throw new Error('an age file needs a recipient');
  const fileKey = randomBytes(FILE_KEY_BYTES);
  const stanzas = recipients.map((recipient) => formatStanza(recipient.wrap(fileKey)));
  const authenticated = Buffer.from(`${VERSION_LINE}\n${stanzas.join('')}---`);
  const nonce = randomBytes(NONCE_BYTES);
  const macLine = Buffer.from(` ${toBase64(headerMac(fileKey, authenticated))}\n`);
  return Buffer.concat([authenticated, macLine, nonce, ...encryptedChunks(plain, payloadKey(fileKey, nonce))]);
}

export function decryptAgeFile(file: Uint8Array, identities: readonly X25519Identity[]): Buffer {
  const octets = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const { stanzas, authenticated, mac, end } = parseHeader(octets);
  const fileKey = unwrapWithAny(identities, stanzas);
  if (!timingSafeEqual(mac, headerMac(fileKey, authenticated))) throw new Error('the MAC of the header does not match');
  const nonce = octets.subarray(end, end + NONCE_BYTES);
  if (nonce.length < NONCE_BYTES) throw new Error('the file ends before its payload');
  return decryptChunks(octets.subarray(end + NONCE_BYTES), payloadKey(fileKey, nonce));
}

function unwrapWithAny(identities: readonly X25519Identity[], stanzas: Stanza[]): Buffer {
  for (const identity of identities) {
    const fileKey = identity.unwrap(stanzas);
    if (fileKey !== null) return fileKey;
  }
  throw new Error('the file is for none of these identities');
}

export function headerMac(fileKey: Uint8Array, authenticated: Uint8Array): Buffer {
  return createHmac('sha256', hkdf(fileKey, NO_SALT, 'header'))
    .update(authenticated)
    .digest();
}

export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return hkdf(fileKey, nonce, 'payload');
}

/** The last line of the body is shorter than the others, if need be empty. */
export function formatStanza({ args, body }: Stanza): string {
  const text = toBase64(body);
  const lines: string[] = [];
  for (let at = 0; at <= text.length; at += LINE_COLUMNS) lines.push(text.slice(at, at + LINE_COLUMNS));
  return `-> ${args.join(' ')}\n${lines.join('\n')}\n`;
}

export interface ParsedHeader {
  stanzas: Stanza[];
  /** What the MAC is of: up to and with the three hyphens. */
  authenticated: Buffer;
  mac: Buffer;
  /** Where the nonce begins, and then the payload. */
  end: number;
}

/** Throws for a header that is malformed or too long, or does not end in `file`. */
export function parseHeader(file: Buffer): ParsedHeader {
  let at = 0;
  const line = (): string => {
    const end = file.subarray(0, MAX_AGE_HEADER_BYTES).indexOf(0x0a, at);
    if (end < 0) throw new Error('the header ends early, or is too long');
    const text = file.toString('latin1', at, end);
    at = end + 1;
    return text;
  };
  if (line() !== VERSION_LINE) throw new Error('not an age file of version 1');
  const stanzas: Stanza[] = [];
  for (;;) {
    const start = at;
    const first = line();
    if (first.startsWith('--- ')) {
      const mac = fromBase64(first.slice(4));
      if (mac.length !== MAC_BYTES) throw new Error('a malformed MAC');
      return { stanzas, authenticated: file.subarray(0, start + 3), mac, end: at };
    }
    if (!STANZA.test(first)) throw new Error('a malformed stanza');
    stanzas.push({ args: first.slice(3).split(' '), body: stanzaBody(line) });
  }
}

function stanzaBody(line: () => string): Buffer {
  const lines: Buffer[] = [];
  for (;;) {
    const text = line();
    if (text.length > LINE_COLUMNS) throw new Error('a line of a stanza is too long');
    lines.push(fromBase64(text));
    if (text.length < LINE_COLUMNS) return Buffer.concat(lines);
  }
}

/** The nonce of a chunk: its number (11 octets), and 1 for the last one. */
export function chunkNonce(chunk: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(chunk, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** An empty payload is one empty chunk; otherwise none is empty. */
function encryptedChunks(plain: Uint8Array, key: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  const chunks = Math.max(1, Math.ceil(plain.length / CHUNK_BYTES));
  for (let chunk = 0; chunk < chunks; chunk++) {
    const cipher = createCipheriv('chacha20-poly1305', key, chunkNonce(chunk, chunk === chunks - 1), {
      authTagLength: TAG_BYTES,
    });
    const octets = plain.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    pieces.push(cipher.update(octets), cipher.final(), cipher.getAuthTag());
  }
  return pieces;
}

function decryptChunks(sealed: Buffer, key: Buffer): Buffer {
  const sealedChunkBytes = CHUNK_BYTES + TAG_BYTES;
  const chunks = Math.max(1, Math.ceil(sealed.length / sealedChunkBytes));
  const plain = Buffer.allocUnsafe(Math.max(0, sealed.length - chunks * TAG_BYTES));
  for (let chunk = 0; chunk < chunks; chunk++) {
    const isLast = chunk === chunks - 1;
    const octets = sealed.subarray(chunk * sealedChunkBytes, (chunk + 1) * sealedChunkBytes);
    if (octets.length < TAG_BYTES) throw new Error('the payload ends early');
    if (octets.length === TAG_BYTES && chunk > 0) throw new Error('the last chunk is empty');
    const decipher = createDecipheriv('chacha20-poly1305', key, chunkNonce(chunk, isLast), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(octets.subarray(octets.length - TAG_BYTES));
    decipher.update(octets.subarray(0, octets.length - TAG_BYTES)).copy(plain, chunk * CHUNK_BYTES);
    // Throws when the chunk was altered, moved, or is not the last although nothing follows.
    decipher.final();
  }
  return plain;
}
