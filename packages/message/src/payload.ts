/**
 * Payloads: a head and its changes as bytes, and back (format.md, "Payload"). It is the sealed content of a message
 * file, and what the store keeps of a message that is to be sent.
 *
 *   version (1) · head length (varint) · head · inflated length (varint) · columns, compressed
 *
 * The inflated length is 0 without changes. Everything that is read is untrusted: lengths are checked before anything is allocated.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { type Change, type Codec, DirpostError, type Limits, type MessageHead, readVarint } from '@dirpost/core';
import { decodeColumns, encodeColumns } from './columns/plain.ts';
import { decodeHead, encodeHead } from './head.ts';

const VERSION = 1;

export function createCodec(limits: Limits): Codec {
  return {
    encode(head, changes) {
      const columns = changes.length === 0 ? Buffer.alloc(0) : encodeColumns(changes, limits);
      return join(encodeHeadWithin(head, limits), columns.length, columns.length === 0 ? columns : compress(columns));
    },
    replaceHead(payload, head) {
      const { inflatedBytes, compressed } = cut(payload, limits);
      return join(encodeHeadWithin(head, limits), inflatedBytes, compressed);
    },
    head(payload) {
      return decodeHead(cut(payload, limits).head, limits);
    },
    changes(payload): Change[] {
      const { inflatedBytes, compressed } = cut(payload, limits);
      if (inflatedBytes === 0) return [];
      return decodeColumns(inflate(compressed, inflatedBytes), limits);
    },
  };
}

function encodeHeadWithin(head: MessageHead, limits: Limits): Buffer {
  const bytes = encodeHead(head);
  if (bytes.length > limits.maxHeadBytes) throw over('The head of the payload', limits.maxHeadBytes);
  return bytes;
}

function join(head: Uint8Array, inflatedBytes: number, compressed: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([VERSION]), varint(head.length), head, varint(inflatedBytes), compressed]);
}

function cut(payload: Uint8Array, limits: Limits) {
  if (payload.length === 0) throw malformed('is empty');
  if (payload[0] !== VERSION) {
    throw new DirpostError(
      'message-critical',
      `The payload has format version ${payload[0]}, which is not known here.`,
      {
        hint: 'Upgrade this postoffice.',
      },
    );
  }
  const [headLength, headStart] = readVarint(payload, 1);
  if (headLength > limits.maxHeadBytes) throw over('The head of the payload', limits.maxHeadBytes);
  if (headStart + headLength > payload.length) throw malformed('ends early');
  const head = payload.subarray(headStart, headStart + headLength);
  const [inflatedBytes, columnsStart] = readVarint(payload, headStart + headLength);
  if (inflatedBytes > limits.maxPartBytes) throw over('The inflated columns', limits.maxPartBytes);
  return { head, inflatedBytes, compressed: payload.subarray(columnsStart) };
}

function compress(columns: Uint8Array): Buffer {
  return brotliCompressSync(columns, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: columns.length > 256 * 1024 ? 5 : 9,
      [constants.BROTLI_PARAM_SIZE_HINT]: columns.length,
    },
  });
}

function inflate(compressed: Uint8Array, inflatedBytes: number): Buffer {
  let inflated: Buffer;
  try {
    inflated = brotliDecompressSync(compressed, { maxOutputLength: inflatedBytes });
  } catch (cause) {
    throw new DirpostError('message-payload', 'The columns of the payload cannot be inflated.', { cause });
  }
  if (inflated.length !== inflatedBytes) throw malformed('inflates to another length than it says');
  return inflated;
}

function varint(value: number): Buffer {
  const octets: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) octets.push((value % 0x80) | 0x80);
  return Buffer.from([...octets, value]);
}

function over(what: string, limitBytes: number): DirpostError {
  return new DirpostError('limit-exceeded', `${what} would be larger than ${limitBytes} bytes.`);
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The payload ${what}.`);
}
