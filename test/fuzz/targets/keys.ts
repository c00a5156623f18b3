/** What speaks of keys: announcements of others, sealed backups as a stream, and the files of this postoffice's own keys. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { type Announcement, defaultLimits, type Incarnation } from '@dirpost/core';
import {
  announcement,
  createCodec,
  type Announced,
  asksForPassphrase,
  formatPrivateKeys,
  openAge,
  ParsedKeys,
  parsePrivateKeys,
  publicKeys,
  readAnnouncement,
  sealAge,
} from '@dirpost/message';
import { readSealedKeys } from '../../../packages/agent/src/sealed-keys.ts';
import { keys } from '../../vectors/vector.ts';
import { octets, ownWork, type Target, text, tolerated } from '../target.ts';

const codec = createCodec(defaultLimits);
const INCARNATION: Incarnation = '300.b1b2b3b4b5b6b7b8';
const parsedKeys = new ParsedKeys();

async function announced(): Promise<Announced[]> {
  const { signing, recipient } = await publicKeys(keys['oslo']!);
  const plain = { serial: 5, heard: 0, asks: true, signing, recipient, overlapMs: 1_000, hybrid: false };
  const certificate = Buffer.alloc(40, 0x30);
  return [
    plain,
    {
      ...plain,
      hybrid: true,
      addresses: { http: 'https://hq2.example.org:8943', certificate, mail: 'hq@example.org' },
    },
    { ...plain, addresses: { mail: 'hq@example.org' } },
  ];
}

const announcements: Target = {
  name: 'announcement',
  about: 'announcements of keys and addresses by a postoffice that is known: what is read is written and read the same',
  seeds: async () => (await announced()).map((one) => codec.encode(announcement(INCARNATION, one), [])),
  words: ['serial', 'heard', 'asks', 'signing', 'recipient', 'overlapMs', 'http', 'https://', 'certificate', 'mail'],
  run(input) {
    const head = codec.head(input);
    if (head.kind !== 'announcement') return;
    const said = readAnnouncement(head satisfies Announcement);
    ownWork(() => {
      const again = codec.head(codec.encode(announcement(head.incarnation, said), [])) as Announcement;
      assert.deepEqual(readAnnouncement(again), said);
    });
  },
};

/** In the clear; one of no octets, of one piece, and of several. */
const PLAIN = [0, 100, 3 * 65_536 - 1].map((length) => deterministic(length));

function deterministic(length: number): Buffer {
  const block = createHash('sha256').update('plain').digest();
  return Buffer.alloc(length, block);
}

async function* pieces(input: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < input.length; at += size) yield input.subarray(at, at + size);
}

/** Whatever it gave before it failed, and whether it failed: errors of openAge are plain ones. */
async function openedAs(input: Uint8Array, size: number): Promise<{ plain: Buffer; isWhole: boolean }> {
  const given: Buffer[] = [];
  const identities = parsedKeys.identities(keys['oslo']!.identities)!;
  try {
    for await (const piece of openAge(pieces(input, size), { identities })) given.push(piece);
    return { plain: Buffer.concat(given), isWhole: true };
  } catch (error) {
    assert.equal(
      error instanceof Error && !(error instanceof TypeError || error instanceof RangeError),
      true,
      String(error),
    );
    return { plain: Buffer.concat(given), isWhole: false };
  }
}

const ageStream: Target = {
  name: 'age-stream',
  about: 'a sealed backup as it is opened piece by piece: nothing that was not sealed comes out, however it is cut',
  maxBytes: 4 * 65_536,
  async seeds() {
    const recipients = parsedKeys.recipients([(await publicKeys(keys['oslo']!)).recipient])!;
    const sealed: Uint8Array[] = [];
    for (const plain of PLAIN) {
      const found: Buffer[] = [];
      for await (const piece of sealAge(pieces(plain, 50_000), { recipients })) found.push(piece);
      sealed.push(Buffer.concat(found));
    }
    return [
      ...sealed,
      Buffer.from(`age-encryption.org/v1\n-> scrypt ${'A'.repeat(22)} 17\n${'B'.repeat(43)}\n--- ${'C'.repeat(43)}\n`),
    ];
  },
  words: ['age-encryption.org/v1\n', '-> X25519 ', '-> scrypt ', '\n--- ', ' 99\n'],
  async run(input) {
    const whole = await openedAs(input, Math.max(1, input.length));
    const cut = await openedAs(input, 1_000);
    assert.deepEqual(cut, whole);
    const isOfASeed = PLAIN.some((plain) =>
      whole.isWhole ? plain.equals(whole.plain) : plain.subarray(0, whole.plain.length).equals(whole.plain),
    );
    assert.equal(isOfASeed, true, 'what came out was never sealed');
    try {
      asksForPassphrase(input.subarray(0, 16_384));
    } catch (error) {
      assert.equal(error instanceof TypeError || error instanceof RangeError, false, String(error));
    }
  },
};

const KEYS = keys['oslo']!;
const ROLLED = {
  ...KEYS,
  recovery: Buffer.alloc(32, 7).toString('base64'),
  older: { signing: KEYS.signing, identities: KEYS.identities, untilMs: 1 },
  announced: {
    serial: 3,
    statements: ['AAAA'],
    overlapMs: 5,
    hybrid: true,
    addresses: { http: 'https://hq.example.org' },
  },
  secrets: { 'dirpost cookie secret': Buffer.alloc(32, 8).toString('base64') },
};
const SEALED = { dirpost: 'sealed keys', version: 1, unlock: { command: ['pass', 'show'] }, sealed: 'AAAA' };

const keyFiles: Target = {
  name: 'own-keys',
  about: 'the key file of this postoffice, plain and sealed: what is read is written and read the same',
  seeds: () => octets(formatPrivateKeys(KEYS), formatPrivateKeys(ROLLED), JSON.stringify(SEALED)),
  words: [
    '"older":',
    '"announced":',
    '"statements":[',
    '"secrets":{',
    '"__proto__":',
    '"unlock":{"env":"',
    'null',
    '[]',
  ],
  run(input) {
    const given = text(input);
    tolerated(() => void readSealedKeys(given));
    const read = parsePrivateKeys(given);
    ownWork(() => assert.deepEqual(parsePrivateKeys(formatPrivateKeys(read)), read));
  },
};

export const keyTargets = [announcements, ageStream, keyFiles];
