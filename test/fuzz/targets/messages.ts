/**
 * Message files: as they come, signed anew after a change, and with a changed inside that is sealed and signed properly, so
 * that what reads after decryption is reached. The keys are those of the vectors.
 */
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { defaultLimits, MIB, type Limits } from '@dirpost/core';
import {
  createCodec,
  headerOf,
  inspect,
  publicKeys,
  readEnrolmentAnswer,
  readEnrolmentRequest,
} from '@dirpost/message';
import { encryptAgeFile } from '../../../packages/message/src/age-file.ts';
import { encodeHeader, encodePrefix } from '../../../packages/message/src/header.ts';
import { keyId } from '../../../packages/message/src/keys.ts';
import { uncompressedForTests } from '../../../packages/message/src/payload.ts';
import { encodeInner } from '../../../packages/message/src/seal.ts';
import { ParsedKeys } from '../../../packages/message/src/x25519.ts';
import { MESSAGE_ID, sign } from '../../vectors/sealing.ts';
import { describeContent, folder, keys, parseVector, sealerOf, type Vector } from '../../vectors/vector.ts';
import { ownWork, type Target, tolerated } from '../target.ts';

const SIGNATURE_BYTES = 64;
const PREFIX_BYTES = 14;
/** A part may be so large in a test as in life; but less, so that time tells more. */
const limits: Limits = { ...defaultLimits, maxPartBytes: MIB };
const codec = createCodec(limits);
const parsedKeys = new ParsedKeys();
/** Made once: making them costs more than what is to be tested. */
const opener = sealerOf('bergen');
const bergen = publicKeys(keys['bergen']!);
const oslo = publicKeys(keys['oslo']!);
const envelope = { id: MESSAGE_ID, from: 'oslo', to: 'bergen', forIncarnation: null, createdMs: 1_790_000_000_000 };

function vectors(): Vector[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
  return files.map((file) => parseVector(readFileSync(new URL(file, folder), 'utf8'))).filter(isSmall);
}

function isSmall({ bytes }: Vector): boolean {
  return bytes.length < 64 * 1024;
}

/** What vectors that open carry. */
async function payloads(): Promise<Uint8Array[]> {
  const good = vectors().filter(({ expect }) => expect === 'ok');
  const found = await Promise.all(
    good.map(async ({ receiver, bytes }) => (await (await sealerOf(receiver)).open(bytes)).payload),
  );
  return found.flatMap((payload) => [payload, uncompressedForTests(payload, limits)]);
}

/** A payload: what is read is written and read the same. */
function readPayload(payload: Uint8Array): void {
  const head = codec.head(payload);
  if (head.kind === 'enrolment') {
    for (const read of [readEnrolmentRequest, readEnrolmentAnswer]) tolerated(() => void read(head));
  }
  const changes = codec.changes(payload);
  tolerated(() => {
    const again = codec.encode(head, changes);
    ownWork(() => {
      assert.equal(describeContent(codec.head(again), codec.changes(again)), describeContent(head, changes));
      assert.deepEqual(codec.head(again), head);
    });
  });
}

const whole: Target = {
  name: 'message',
  about: 'message files from anybody: what opening, inspecting and a listening transport do with them',
  seeds: () => vectors().map(({ bytes }) => bytes),
  words: ['DIRPOST1', 'age-encryption.org/v1\n', '-> X25519 ', '\n---'],
  async run(input) {
    const sealer = await opener;
    tolerated(() => void inspect(input));
    tolerated(() => void headerOf(input, limits));
    sealer.outside(input);
    const { payload } = await sealer.open(input);
    readPayload(payload);
  },
};

const signed: Target = {
  name: 'message-signed',
  about: 'message files with any header and any body, signed by a postoffice that is known',
  seeds: () => vectors().map(({ bytes }) => bytes.subarray(0, Math.max(0, bytes.length - SIGNATURE_BYTES))),
  words: ['age-encryption.org/v1\n', '-> X25519 ', '\n---', 'bergen', 'oslo'],
  async run(input) {
    const unsigned = Buffer.from(input);
    // Else hardly any would be of the length that it says.
    if (unsigned.length >= PREFIX_BYTES) {
      const headerBytes = unsigned.readUInt16BE(8);
      unsigned.writeUInt32BE(Math.max(0, unsigned.length - PREFIX_BYTES - headerBytes), 10);
    }
    const { payload } = await (await opener).open(sign(unsigned, 'oslo'));
    readPayload(payload);
  },
};

const inside: Target = {
  name: 'message-inside',
  about: 'sealed bodies with any content, sealed and signed by a postoffice that is known',
  seeds: async () => (await payloads()).map((payload) => Buffer.concat([encodeInner(envelope), payload])),
  async run(input) {
    const { recipient } = await bergen;
    const body = encryptAgeFile(input, parsedKeys.recipients([recipient])!);
    const signingKeyId = keyId((await oslo).signing);
    const header = encodeHeader({ envelope, signingKeyId, critical: [], enrolment: null, statements: [] });
    const bytes = sign(Buffer.concat([encodePrefix(header, body.length), body]), 'oslo');
    const { payload } = await (await opener).open(bytes);
    assert.equal(Buffer.from(input.subarray(input.length - payload.length)).equals(payload), true);
    readPayload(payload);
  },
};

const payload: Target = {
  name: 'payload',
  about: 'what stands inside a sealed body: head, columns, enrolments',
  seeds: payloads,
  run: readPayload,
};

export const messageTargets = [whole, signed, inside, payload];
