/**
 * Age files of any length (https://age-encryption.org/v1), piece by piece: for backups, which need not fit in memory. Sealed
 * either for X25519 recipients or by a passphrase, so that the program `age` opens them, too; age-file.ts does the same for
 * message files at once.
 *
 * Errors are plain ones: whoever calls says what they mean for the file.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import {
  CHUNK_BYTES,
  chunkNonce,
  FILE_KEY_BYTES,
  formatStanza,
  headerMac,
  MAX_AGE_HEADER_BYTES,
  NONCE_BYTES,
  parseHeader,
  payloadKey,
  TAG_BYTES,
  VERSION_LINE,
} from './age-file.ts';
import { fromBase64, type Stanza, toBase64, type X25519Identity, type X25519Recipient } from './x25519.ts';

/** A passphrase stands alone: age forbids other recipients beside it. */
export type AgeLock = { passphrase: string } | { recipients: readonly X25519Recipient[] };
export type AgeKey = { passphrase: string } | { identities: readonly X25519Identity[] };

const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const CIPHER = 'chacha20-poly1305';
const SCRYPT_SALT_BYTES = 16;
const SCRYPT_LABEL = 'age-encryption.org/v1/scrypt';
const SCRYPT_LOG_N = 17;
/** What the program `age` writes by itself; it takes 256 MiB. More would let a foreign file take all memory. */
const MAX_SCRYPT_LOG_N = 18;

export async function* sealAge(plain: AsyncIterable<Uint8Array>, lock: AgeLock): AsyncGenerator<Buffer> {
  const fileKey = randomBytes(FILE_KEY_BYTES);
  const stanzas =
    'passphrase' in lock
      ? [scryptStanza(fileKey, lock.passphrase)]
      : lock.recipients.map((recipient) => recipient.wrap(fileKey));
  if (stanzas.length === 0) throw new Error('an age file needs a recipient');
  const authenticated = Buffer.from(`${VERSION_LINE}\n${stanzas.map(formatStanza).join('')}---`);
  const nonce = randomBytes(NONCE_BYTES);
  yield Buffer.concat([authenticated, Buffer.from(` ${toBase64(headerMac(fileKey, authenticated))}\n`), nonce]);
  const key = payloadKey(fileKey, nonce);
  let number = 0;
  for await (const { octets, isLast } of inPieces(plain, CHUNK_BYTES)) {
    const cipher = createCipheriv(CIPHER, key, chunkNonce(number++, isLast), { authTagLength: TAG_BYTES });
    yield Buffer.concat([cipher.update(octets), cipher.final(), cipher.getAuthTag()]);
  }
}

/** Whether the beginning of a file says that a passphrase opens it. Throws for what is no age file. */
export function asksForPassphrase(start: Uint8Array): boolean {
  return parseHeader(Buffer.from(start)).stanzas.some(({ args }) => args[0] === 'scrypt');
}

/**
 * Nothing is given out that was not authenticated; that the file is whole is known only at its end. `onKey` is called when
 * the key has opened the header: what fails from then on is the file, not the key.
 */
export async function* openAge(
  sealed: AsyncIterable<Uint8Array>,
  key: AgeKey,
  onKey?: () => void,
): AsyncGenerator<Buffer> {
  const source = sealed[Symbol.asyncIterator]();
  let start: Buffer = Buffer.alloc(0);
  const more = async (): Promise<void> => {
    const next = await source.next();
    if (next.done === true) throw new Error('the file ends early');
    start = Buffer.concat([start, next.value]);
  };
  while (!hasHeader(start)) {
    if (start.length > MAX_AGE_HEADER_BYTES) throw new Error('the header is too long');
    await more();
  }
  const { stanzas, authenticated, mac, end } = parseHeader(start);
  const fileKey = fileKeyOf(stanzas, key);
  if (!timingSafeEqual(mac, headerMac(fileKey, authenticated))) throw new Error('the MAC of the header does not match');
  onKey?.();
  while (start.length < end + NONCE_BYTES) await more();
  const payload = payloadKey(fileKey, start.subarray(end, end + NONCE_BYTES));
  const rest = start.subarray(end + NONCE_BYTES);
  let number = 0;
  for await (const { octets, isLast } of inPieces(continued(rest, source), SEALED_CHUNK_BYTES)) {
    if (octets.length < TAG_BYTES) throw new Error('the file ends early');
    if (octets.length === TAG_BYTES && number > 0) throw new Error('the last chunk is empty');
    const decipher = createDecipheriv(CIPHER, payload, chunkNonce(number++, isLast), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(octets.subarray(octets.length - TAG_BYTES));
    const plain = decipher.update(octets.subarray(0, octets.length - TAG_BYTES));
    // Throws where the chunk was altered, moved, or is not the last although nothing follows.
    decipher.final();
    yield plain;
  }
}

function hasHeader(start: Buffer): boolean {
  const at = start.indexOf('\n--- ');
  return at >= 0 && start.indexOf('\n', at + 1) >= 0;
}

async function* continued(first: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

interface Piece {
  octets: Buffer;
  isLast: boolean;
}

/** All of `size` octets but the last, which has at least one; a single empty one where there is nothing. */
async function* inPieces(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Piece> {
  let held: Buffer = Buffer.alloc(0);
  for await (const octets of source) {
    held = Buffer.concat([held, octets]);
    let at = 0;
    // One is kept until it is known whether it is the last.
    for (; held.length - at > size; at += size) yield { octets: held.subarray(at, at + size), isLast: false };
    held = held.subarray(at);
  }
  yield { octets: held, isLast: true };
}

function fileKeyOf(stanzas: readonly Stanza[], key: AgeKey): Buffer {
  const isByPassphrase = stanzas.some(({ args }) => args[0] === 'scrypt');
  if ('passphrase' in key) {
    if (!isByPassphrase || stanzas.length !== 1) throw new Error('no passphrase opens this file');
    return openScrypt(stanzas[0]!, key.passphrase);
  }
  if (isByPassphrase) throw new Error('only a passphrase opens this file');
  for (const identity of key.identities) {
    const fileKey = identity.unwrap(stanzas);
    if (fileKey !== null) return fileKey;
  }
  throw new Error('the file is for none of these identities');
}

function scryptStanza(fileKey: Uint8Array, passphrase: string): Stanza {
  const salt = randomBytes(SCRYPT_SALT_BYTES);
  const cipher = createCipheriv(CIPHER, scryptKey(passphrase, salt, SCRYPT_LOG_N), Buffer.alloc(12), {
    authTagLength: TAG_BYTES,
  });
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return { args: ['scrypt', toBase64(salt), String(SCRYPT_LOG_N)], body };
}

function openScrypt({ args, body }: Stanza, passphrase: string): Buffer {
  const salt = fromBase64(args[1] ?? '');
  const logN = /^[1-9]\d?$/.test(args[2] ?? '') ? Number(args[2]) : Infinity;
  const isWellFormed = args.length === 3 && salt.length === SCRYPT_SALT_BYTES;
  if (!isWellFormed || body.length !== FILE_KEY_BYTES + TAG_BYTES) throw new Error('a malformed scrypt stanza');
  if (logN > MAX_SCRYPT_LOG_N) throw new Error(`its passphrase takes too much work (2^${args[2]})`);
  const key = scryptKey(passphrase, salt, logN);
  const decipher = createDecipheriv(CIPHER, key, Buffer.alloc(12), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
  return Buffer.concat([decipher.update(body.subarray(0, FILE_KEY_BYTES)), decipher.final()]);
}

function scryptKey(passphrase: string, salt: Uint8Array, logN: number): Buffer {
  const N = 2 ** logN;
  const salted = Buffer.concat([Buffer.from(SCRYPT_LABEL), salt]);
  return scryptSync(passphrase, salted, 32, { N, r: 8, p: 1, maxmem: 160 * 8 * N });
}
