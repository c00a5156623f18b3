import { defaultLimits, DirpostError } from '@dirpost/core';
import { generateHybridIdentity } from 'age-encryption';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { inspect } from './inspect.ts';
import {
  fingerprint,
  formatPrivateKeys,
  formatPublicKeys,
  generateKeys,
  parsePrivateKeys,
  parsePublicKeys,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
} from './keys.ts';
import { createSealer, type Sealer } from './open.ts';

const envelope = {
  id: '000102030405060708090a0b0c0d0e0f',
  from: 'oslo',
  to: 'bergen',
  forIncarnation: '3.9f86d081884c7d65',
  createdMs: 1_790_000_000_000,
};
const payload = Buffer.from('what is to be said');

let oslo: PrivateKeys;
let bergen: PrivateKeys;
const peers = new Map<string, PeerKeys>();
const sealer = (name: string, keys: PrivateKeys): Sealer =>
  createSealer({ name, keys, peers: (peer) => peers.get(peer), limits: defaultLimits });

async function announce(name: string, keys: PrivateKeys): Promise<void> {
  const { signing, recipient } = await publicKeys(keys);
  peers.set(name, { signing: [signing], recipients: [recipient] });
}

beforeAll(async () => {
  [oslo, bergen] = [await generateKeys(), await generateKeys()];
  await announce('oslo', oslo);
  await announce('bergen', bergen);
});

describe('a message file', () => {
  test('opens to what was sealed, and says on the outside whom it is for', async () => {
    const file = await sealer('oslo', oslo).seal(envelope, payload);
    const opened = await sealer('bergen', bergen).open(file);
    expect(opened.envelope).toEqual(envelope);
    expect(Buffer.from(opened.payload)).toEqual(payload);
    expect(inspect(file).envelope).toEqual(envelope);
  });

  test.each([
    ['no incarnation', null],
    ['an incarnation of another form', '12.abc'],
  ])('carries %s', async (_, given) => {
    const file = await sealer('oslo', oslo).seal({ ...envelope, forIncarnation: given }, payload);
    expect((await sealer('bergen', bergen).open(file)).envelope.forIncarnation).toBe(given);
  });

  test('to oneself needs no peer', async () => {
    const alone = createSealer({ name: 'oslo', keys: oslo, peers: () => undefined, limits: defaultLimits });
    const opened = await alone.open(await alone.seal({ ...envelope, to: 'oslo' }, payload));
    expect(Buffer.from(opened.payload)).toEqual(payload);
  });

  test('opens with post-quantum keys, and with old keys while they roll over', async () => {
    const rolled: PrivateKeys = { ...bergen, identities: [await generateHybridIdentity(), ...bergen.identities] };
    const forOldKeys = await sealer('oslo', oslo).seal(envelope, payload);
    await announce('bergen', rolled);
    const forNewKeys = await sealer('oslo', oslo).seal(envelope, payload);
    for (const file of [forOldKeys, forNewKeys]) {
      expect(Buffer.from((await sealer('bergen', rolled).open(file)).payload)).toEqual(payload);
    }
    await announce('bergen', bergen);
  });

  test('with any octet altered, or cut anywhere, is refused with a message code', async () => {
    const file = await sealer('oslo', oslo).seal(envelope, payload);
    const receiver = sealer('bergen', bergen);
    const refused = async (bytes: Uint8Array) => {
      const error: unknown = await receiver.open(bytes).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      expect(error).toBeInstanceOf(DirpostError);
      expect((error as DirpostError).code).toMatch(/^message-/);
    };
    for (let at = 0; at < file.length; at++) {
      const altered = Buffer.from(file);
      altered[at]! ^= 0x41;
      await refused(altered);
      if (at > 0) await refused(file.subarray(0, at));
    }
  });

  test('of random bytes is refused with a message code', async () => {
    const receiver = sealer('bergen', bergen);
    const random = fc.uint8Array({ maxLength: 400 });
    const started = fc.oneof(
      random,
      random.map((rest) => Buffer.concat([Buffer.from('DIRPOST1\0'), rest])),
    );
    await fc.assert(
      fc.asyncProperty(started, async (bytes) => {
        await expect(receiver.open(bytes)).rejects.toMatchObject({ name: 'DirpostError' });
      }),
    );
  });
});

describe('keys', () => {
  test('come back from their files', async () => {
    expect(parsePrivateKeys(formatPrivateKeys(oslo))).toEqual(oslo);
    const announced = await publicKeys(oslo);
    expect(parsePublicKeys(formatPublicKeys(announced))).toEqual(announced);
  });

  test('have a fingerprint of eight groups that changes with either key', async () => {
    const [one, two] = [await publicKeys(oslo), await publicKeys(bergen)];
    expect(fingerprint(one)).toMatch(/^([a-z2-7]{4}-){7}[a-z2-7]{4}$/);
    const all = [one, two, { ...one, signing: two.signing }, { ...one, recipient: two.recipient }].map(fingerprint);
    expect(new Set(all).size).toBe(4);
  });

  test.each([['{'], ['[]'], ['{"signing":"AAAA"}'], ['{"signing":"x","identities":["AGE-SECRET-KEY-1"]}']])(
    'are refused from %s without quoting it',
    (json) => {
      expect(() => parsePrivateKeys(json)).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
    },
  );
});
