/**
 * Payloads: a head and its changes as bytes, and back (format.md, "Payload"). It is the sealed content of a message
 * file, and what the store keeps of a message that is to be sent.
 *
 *   version (1) · head length (varint) · head · columns
 *   columns: length of the plain stream (varint), 0 without changes; compressed length (varint), 0 if stored as it is;
 *            plain stream; packed stream
 *
 * Everything that is read is untrusted: lengths are checked before anything is allocated.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import {
  type AnchorHint,
  type BesideEncoder,
  type Change,
  type Codec,
  DirpostError,
  isDirpostError,
  type Limits,
  type MessageHead,
  type SubmissionReader,
} from '@dirpost/core';
import { decodeChanges } from './columns/decode.ts';
import { encodeChanges } from './columns/encode.ts';
import { Octets, Reader, type Streams } from './columns/octets.ts';
import { passOn } from './columns/pass-on.ts';
import { renumber } from './columns/renumber.ts';
import { EncodingThreads } from './encoding-threads.ts';
import { decodeHead, encodeHead } from './head.ts';
import { type ColumnTask, KeptColumns, type Noted, sizeOf } from './kept-columns.ts';

const VERSION = 1;
/** Columns of small change sets. */
const KEPT_BYTES = 1024 * 1024;
/** Of half a million people. */
const RELAYED_BYTES = 16 * 1024 * 1024;

export interface CodecOptions {
  /**
   * Columns of submissions that were accepted are kept, too: what a server takes from an owner it gives to the others as it
   * came, and encoding it again would cost several times what decoding does.
   */
  relays?: boolean;
  /** Parts of large messages are encoded by so many threads at once; 0: one after another, by whoever asks. */
  threads?: number;
}

export function createCodec(limits: Limits, { relays = false, threads = 0 }: CodecOptions = {}): Codec {
  const kept = new KeptColumns(relays ? RELAYED_BYTES : KEPT_BYTES, (task) => makeColumns(task, limits));
  const read = (payload: Uint8Array) => {
    const { head, columns } = cut(payload, limits);
    const anchors = anchorsOf(decodeHead(head, limits));
    return { anchors, columns, changes: decodeColumns(columns, anchors, limits) };
  };
  return {
    encode(head, changes) {
      const columns = kept.get(changes, anchorsOf(head));
      return join(encodeHeadWithin(head, limits), columns);
    },
    replaceHead(payload, head) {
      const { head: before, columns } = cut(payload, limits);
      // Derived ids depend on the hints of the head that the changes were encoded under.
      if (!sameAnchors(anchorsOf(decodeHead(before, limits)), anchorsOf(head))) {
        throw new DirpostError('wrong-use', 'A head can only be replaced by one with the same anchor hints.');
      }
      return join(encodeHeadWithin(head, limits), columns);
    },
    head(payload) {
      return decodeHead(cut(payload, limits).head, limits);
    },
    changes: (payload) => read(payload).changes,
    ...(threads > 0 ? { beside: encoderBeside(kept, limits, threads) } : {}),
    ...(relays ? { readSubmission: () => submissionReader(kept, read) } : {}),
  };
}

function encoderBeside(kept: KeptColumns, limits: Limits, threads: number): BesideEncoder {
  const pool = new EncodingThreads({ threads, limits });
  const make = async (task: ColumnTask): Promise<Buffer | undefined> => {
    const answer = await pool.make(task);
    if ('failed' in answer) return makeColumns(task, limits);
    return answer.columns === null ? undefined : Buffer.from(answer.columns.buffer);
  };
  return {
    parts: threads,
    async encode(head, changes) {
      const columns = await kept.getBeside(changes, anchorsOf(head), make);
      return join(encodeHeadWithin(head, limits), columns);
    },
  };
}

/** Throws DirpostError `limit-exceeded` and `wrong-use`. */
export function makeColumns({ make, columns, changes, anchors }: ColumnTask, limits: Limits): Buffer | undefined {
  switch (make) {
    case 'encode':
      return encodeColumns(changes, anchors, limits);
    case 'renumber': {
      const { plain, packed } = opened(columns!, limits);
      return closedWithin(renumber(plain, packed, changes, limits), limits);
    }
    case 'passOn':
      return passedOn(columns!, changes, anchors, limits);
  }
}

function submissionReader(
  kept: KeptColumns,
  read: (payload: Uint8Array) => { anchors: AnchorHint[]; columns: Uint8Array; changes: Change[] },
): SubmissionReader {
  const waiting: Noted[] = [];
  let bytes = 0;
  return {
    changes(payload) {
      const { anchors, columns, changes } = read(payload);
      const noted = bytes < RELAYED_BYTES ? kept.note(changes, anchors, columns) : undefined;
      if (noted !== undefined) {
        waiting.push(noted);
        bytes += sizeOf(noted);
      }
      return changes;
    },
    accepted() {
      for (const noted of waiting) kept.keep(noted);
    },
  };
}

/** Undefined for what this postoffice would not answer for; then it is encoded anew. */
function passedOn(columns: Uint8Array, changes: Change[], anchors: AnchorHint[], limits: Limits): Buffer | undefined {
  try {
    const streams = passOn(opened(columns, limits), changes, anchors, limits);
    return streams === undefined ? undefined : closedWithin(streams, limits);
  } catch (error) {
    // It was read once: this is of the smaller limits for what is passed on.
    if (!isDirpostError(error)) throw error;
    return undefined;
  }
}

function closedWithin(streams: Streams, limits: Limits): Buffer | undefined {
  return streams.plain.length + streams.packed.length > maxStreamBytes(limits) ? undefined : closed(streams);
}

function anchorsOf(head: MessageHead): AnchorHint[] {
  return head.kind === 'exchange' || head.kind === 'update' ? head.anchors : [];
}

function sameAnchors(a: AnchorHint[], b: AnchorHint[]): boolean {
  const isSame = (one: AnchorHint, other: AnchorHint | undefined) =>
    one.owner === other?.owner && one.space === other.space && one.attribute === other.attribute;
  return a.length === b.length && a.every((one, i) => isSame(one, b[i]));
}

function encodeHeadWithin(head: MessageHead, limits: Limits): Buffer {
  const bytes = encodeHead(head);
  if (bytes.length > limits.maxHeadBytes) throw over('The head of the payload', limits.maxHeadBytes);
  return bytes;
}

function join(head: Uint8Array, columns: Uint8Array): Buffer {
  const out = new Octets(head.length + columns.length + 8);
  out.octet(VERSION);
  out.sized(head);
  out.raw(columns);
  return out.view();
}

function cut(payload: Uint8Array, limits: Limits): { head: Uint8Array; columns: Uint8Array } {
  const reader = new Reader(payload);
  const version = reader.octet();
  if (version !== VERSION) {
    throw new DirpostError('message-critical', `The payload has format version ${version}, which is not known here.`, {
      hint: 'Upgrade this postoffice.',
    });
  }
  const headLength = reader.varint();
  if (headLength > limits.maxHeadBytes) throw over('The head of the payload', limits.maxHeadBytes);
  const head = reader.raw(headLength);
  return { head, columns: reader.raw(reader.left) };
}

/** The streams of a part may be as large as its canonical bytes, and numbers and ids that are not part of these. */
function maxStreamBytes(limits: Limits): number {
  return limits.maxPartBytes + limits.maxPartChanges * 32 + 4096;
}

function encodeColumns(changes: Change[], anchors: AnchorHint[], limits: Limits): Buffer {
  if (changes.length === 0) return Buffer.from([0]);
  const bytes = changes.reduce((sum, change) => sum + change.bytes.length, 0);
  if (bytes > limits.maxPartBytes) throw over('A part', limits.maxPartBytes);
  const streams = encodeChanges(changes, anchors, limits);
  const { plain, packed } = streams;
  if (plain.length + packed.length > maxStreamBytes(limits)) throw over('The columns', maxStreamBytes(limits));
  return closed(streams);
}

function closed({ plain, packed }: Streams): Buffer {
  const compressed = compress(plain.view());
  const isSmaller = compressed.length < plain.length;
  const out = new Octets(compressed.length + packed.length + 16);
  out.varint(plain.length);
  out.varint(isSmaller ? compressed.length : 0);
  out.raw(isSmaller ? compressed : plain.view());
  out.raw(packed.view());
  return out.view();
}

function decodeColumns(columns: Uint8Array, anchors: AnchorHint[], limits: Limits): Change[] {
  const { plain, packed } = opened(columns, limits);
  if (plain.length > 0) return decodeChanges(plain, packed, anchors, limits);
  if (packed.length > 0) throw malformed('has octets after its end');
  return [];
}

/** The streams; without changes the first is empty. */
function opened(columns: Uint8Array, limits: Limits): { plain: Uint8Array; packed: Uint8Array } {
  const reader = new Reader(columns);
  const plainLength = reader.varint();
  if (plainLength === 0) return { plain: columns.subarray(0, 0), packed: reader.raw(reader.left) };
  const compressedLength = reader.varint();
  if (plainLength + reader.left - compressedLength > maxStreamBytes(limits)) {
    throw over('The inflated columns', maxStreamBytes(limits));
  }
  const plain = compressedLength === 0 ? reader.raw(plainLength) : inflate(reader.raw(compressedLength), plainLength);
  return { plain, packed: reader.raw(reader.left) };
}

/** The best quality that takes no longer than sealing and sending would. */
function compress(plain: Uint8Array): Buffer {
  const quality = plain.length > 256 * 1024 ? 5 : plain.length > 16 * 1024 ? 9 : 10;
  return brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      // A window as large as the data; a larger one only costs memory.
      [constants.BROTLI_PARAM_LGWIN]: Math.min(22, Math.max(16, Math.ceil(Math.log2(plain.length + 16)))),
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
}

function inflate(compressed: Uint8Array, plainLength: number): Buffer {
  let inflated: Buffer;
  try {
    inflated = brotliDecompressSync(compressed, { maxOutputLength: plainLength });
  } catch (cause) {
    throw new DirpostError('message-payload', 'The columns of the payload cannot be inflated.', { cause });
  }
  if (inflated.length !== plainLength) throw malformed('inflates to another length than it says');
  return inflated;
}

function over(what: string, limitBytes: number): DirpostError {
  return new DirpostError('limit-exceeded', `${what} would be larger than ${limitBytes} bytes.`);
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The payload ${what}.`);
}

/** The same payload with its plain stream stored as it is, so that tests can damage what is inside. */
export function uncompressedForTests(payload: Uint8Array, limits: Limits): Uint8Array {
  const { head, columns } = cut(payload, limits);
  const reader = new Reader(columns);
  const plainLength = reader.varint();
  const compressedLength = plainLength === 0 ? 0 : reader.varint();
  if (compressedLength === 0) return payload;
  const out = new Octets();
  out.varint(plainLength);
  out.varint(0);
  out.raw(inflate(reader.raw(compressedLength), plainLength));
  out.raw(reader.raw(reader.left));
  return join(head, out.view());
}
