/**
 * The cursor: how far a requestor has the server's list. A cookie that the server makes, seals with a secret from its
 * key file (not from its store, so that a restored store can be told from its future), and gets back unread.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';
import type { PostofficeName } from './change.ts';
import type { Digest } from './digest.ts';
import { CanonicalWriter, readVarint } from './entry.ts';
import type { Incarnation } from './incarnation.ts';

export interface Cursor {
  /** Of the server that made it. */
  incarnation: Incarnation;
  /** Number of the update that it came with. */
  number: number;
  /** Identity of the list: 8 octets as hexadecimal text. A requestor that is given another list starts anew. */
  list: string;
  seq: number;
  digest: Digest;
  /**
   * From which seq on the requestor knows the server's entry numbers: entries whose number was introduced in
   * (named, seq] can be named by it. -1 after a snapshot, which introduces all.
   */
  named: number;
}

export interface CookieJar {
  seal(cursor: Cursor, holder: PostofficeName): Uint8Array;
  /** null for what this secret did not make, or made for somebody else. */
  open(cookie: Uint8Array, holder: PostofficeName): Cursor | null;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM under a synthetic nonce (the first octets of a keyed hash of the content), so that equal cursors give
 * equal cookies and no randomness is needed; the holder's name is authenticated with it.
 */
export function createCookieJar(secret: Uint8Array): CookieJar {
  const key = createHash('sha256').update('dirpost cookie key').update(secret).digest();
  const nonceKey = createHash('sha256').update('dirpost cookie nonce').update(secret).digest();
  return {
    seal(cursor, holder) {
      const plain = encodeCursor(cursor);
      const iv = createHmac('sha256', nonceKey)
        .update(holder)
        .update('\0')
        .update(plain)
        .digest()
        .subarray(0, IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(holder));
      return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(cookie, holder) {
      if (cookie.length < IV_BYTES + TAG_BYTES) return null;
      const decipher = createDecipheriv('aes-256-gcm', key, cookie.subarray(0, IV_BYTES))
        .setAAD(Buffer.from(holder))
        .setAuthTag(cookie.subarray(cookie.length - TAG_BYTES));
      try {
        const plain = decipher.update(cookie.subarray(IV_BYTES, cookie.length - TAG_BYTES));
        return decodeCursor(Buffer.concat([plain, decipher.final()]));
      } catch {
        return null;
      }
    },
  };
}

function encodeCursor(cursor: Cursor): Buffer {
  const [generation, random] = cursor.incarnation.split('.') as [string, string];
  return new CanonicalWriter()
    .varint(Number(generation))
    .raw(Buffer.from(random, 'hex'))
    .varint(cursor.number)
    .raw(Buffer.from(cursor.list, 'hex'))
    .varint(cursor.seq)
    .raw(Buffer.from(cursor.digest, 'hex'))
    .varint(cursor.named + 1)
    .finish();
}

function decodeCursor(plain: Buffer): Cursor {
  let at = 0;
  const varint = () => {
    const [value, next] = readVarint(plain, at);
    at = next;
    return value;
  };
  const hex = (bytes: number) => {
    at += bytes;
    return plain.toString('hex', at - bytes, at);
  };
  const incarnation = `${varint()}.${hex(8)}`;
  return { incarnation, number: varint(), list: hex(8), seq: varint(), digest: hex(16), named: varint() - 1 };
}
