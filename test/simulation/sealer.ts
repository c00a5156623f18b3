/**
 * Sealing without keys and without randomness: the plain envelope and payload under a keyed hash. It refuses what the
 * real one refuses, in the same order and with the same codes; its messages can be looked into by the checkers.
 */
import { createHash, createHmac } from 'node:crypto';
import { DirpostError } from '@dirpost/core';
import type { OpenedMessage, Sealer } from '@dirpost/message';

type Envelope = OpenedMessage['envelope'];

const MAGIC = Buffer.from('DIRPOST1');
const TAG_BYTES = 32;

export function simulatedSealer(name: string, known: ReadonlySet<string>): Sealer {
  return {
    outside(bytes) {
      try {
        return readSealed(bytes).envelope;
      } catch {
        return undefined;
      }
    },
    async seal(envelope, payload) {
      if (!known.has(envelope.to)) throw new DirpostError('peer-unknown', `No keys of ${envelope.to} are known.`);
      const header = Buffer.from(JSON.stringify(envelope));
      const lengths = Buffer.alloc(8);
      lengths.writeUInt32BE(header.length, 0);
      lengths.writeUInt32BE(payload.length, 4);
      const signed = Buffer.concat([MAGIC, lengths, header, payload]);
      return Buffer.concat([signed, tagOf(envelope.from, signed)]);
    },
    async open(bytes) {
      const { envelope, payload } = readSealed(bytes);
      if (envelope.to !== name) throw new DirpostError('message-recipient', `The message is for ${envelope.to}.`);
      if (!known.has(envelope.from)) throw new DirpostError('message-sender', `${envelope.from} is not known here.`);
      const payloadHash = createHash('sha256').update(payload).digest();
      return { envelope, payload, payloadHash, signedBy: { signing: envelope.from, recovered: null } };
    },
  };
}

function tagOf(sender: string, signed: Uint8Array): Buffer {
  return createHmac('sha256', sender).update(signed).digest();
}

/** Throws as opening does. */
export function readSealed(bytes: Uint8Array): { envelope: Envelope; payload: Uint8Array } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = file.subarray(0, MAGIC.length);
  if (!start.equals(MAGIC.subarray(0, start.length))) throw new DirpostError('message-foreign', 'Not a message file.');
  if (file.length < MAGIC.length + 8) throw truncated();
  const payloadStart = MAGIC.length + 8 + file.readUInt32BE(MAGIC.length);
  const signedBytes = payloadStart + file.readUInt32BE(MAGIC.length + 4);
  if (file.length < signedBytes + TAG_BYTES) throw truncated();
  const envelope = parseEnvelope(file.subarray(MAGIC.length + 8, payloadStart));
  const signature = file.subarray(signedBytes);
  if (!tagOf(envelope.from, file.subarray(0, signedBytes)).equals(signature)) {
    throw new DirpostError('message-signature', 'The signature does not match: the file was altered.');
  }
  return { envelope, payload: Buffer.from(file.subarray(payloadStart, signedBytes)) };
}

function parseEnvelope(bytes: Buffer): Envelope {
  try {
    const envelope: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof envelope === 'object' && envelope !== null && 'from' in envelope && typeof envelope.from === 'string')
      return envelope as Envelope;
  } catch {
    // What cannot be parsed is reported below.
  }
  throw new DirpostError('message-header', 'The header is not in order.');
}

function truncated(): DirpostError {
  return new DirpostError('message-truncated', 'The message file ends early.');
}
