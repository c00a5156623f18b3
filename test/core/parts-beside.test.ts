/** Parts that are encoded while others are read and put: the same message as one after another gives. */
import { openSqliteStore } from '@dirpost/adapters';
import {
  type BesideEncoder,
  type Change,
  type Codec,
  composeParts,
  defaultLimits,
  deriveEntryId,
  DirpostError,
  encodeEntry,
  type HeadOf,
  type Outgoing,
  type Store,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exchangeHead } from '../vectors/heads.ts';

const limits = { ...defaultLimits, maxPartBytes: 80_000 };
const ENVELOPE = {
  to: 'hq',
  forIncarnation: null,
  incarnation: '0.0011223344556677',
  number: 1,
  kind: 'exchange',
} as const;

const headOf: HeadOf = (part, totals, introducing) =>
  exchangeHead({
    part,
    parts: totals.parts,
    anchors: introducing.size > 0 ? [{ owner: 'oslo', space: 'uid', attribute: 'uid' }] : [],
    buckets: part === 0 ? Buffer.alloc(16_384, 5) : null,
  });

function people(count: number): Change[] {
  return Array.from({ length: count }, (_, i) => {
    const uid = Buffer.from(`p${i}`);
    const id = deriveEntryId('oslo', 'uid', uid);
    const note = Buffer.from(`${(i * 2_654_435_761) % 2 ** 32} ${(i * 40_503) % 65_536} of ${i}`);
    const attributes = new Map([
      ['uid', [uid]],
      ['description', [note]],
    ]);
    const bytes = encodeEntry({ id, owner: 'oslo', kind: 'person', attributes });
    return { number: i + 1, id, owner: 'oslo', state: 'whole', bytes };
  });
}

let store: Store;
beforeEach(async () => {
  store = await openSqliteStore({ path: ':memory:' });
});
afterEach(() => store.close());

async function compose(codec: Codec, changes: Change[], mostBytes = 1_000_000): Promise<Outgoing[]> {
  let random = 0;
  const shop = {
    codec,
    limits,
    clock: { now: () => 1_000 },
    random: (count: number) => Buffer.alloc(count, ++random),
    maxPayloadBytes: () => mostBytes,
  };
  await store.transaction(async (tx) => {
    await tx.removeOutgoing((await tx.outgoing({ to: 'hq' })).map(({ id }) => id));
    await composeParts(tx, shop, ENVELOPE, [changes], headOf);
  });
  return store.read(async (tx) => {
    const parts = (await tx.outgoing({ to: 'hq' })).toSorted((one, other) => one.part - other.part);
    const payloads = await Promise.all(parts.map(({ id }) => tx.outgoingPayload(id)));
    return parts.map((part, i) => ({ ...part, payload: payloads[i]! }) as unknown as Outgoing);
  });
}

/** Answers when it is let go; `most`: so many were under way at once. */
function watched(codec: Codec, parts: number) {
  const seen = { most: 0, now: 0, calls: 0 };
  const beside: BesideEncoder = {
    parts,
    async encode(head, changes) {
      seen.calls++;
      seen.most = Math.max(seen.most, ++seen.now);
      await new Promise((resolve) => setImmediate(resolve));
      seen.now--;
      return codec.encode(head, changes);
    },
  };
  return { codec: { ...codec, beside }, seen };
}

describe('parts that are encoded beside other work', () => {
  test('are those that are encoded one after another', async () => {
    const plain = await compose(createCodec(limits), people(3_000));
    expect(plain.length).toBeGreaterThan(8);
    expect(await compose(createCodec(limits, { threads: 2 }), people(3_000))).toEqual(plain);
  });

  test('also where the ways take less, so that some become two', async () => {
    const whole = await compose(createCodec(limits), people(3_000));
    const mostBytes = Math.max(...whole.slice(1).map(({ payload }) => payload.length));
    const plain = await compose(createCodec(limits), people(3_000), mostBytes);
    expect(plain.length).toBeGreaterThan(whole.length);
    const { codec } = watched(createCodec(limits), 2);
    expect(await compose(codec, people(3_000), mostBytes)).toEqual(plain);
  });

  test('are only so many at once as memory is meant for', async () => {
    const { codec, seen } = watched(createCodec(limits), 2);
    await compose(codec, people(3_000));
    expect(seen.calls).toBeGreaterThan(3);
    expect(seen.most).toBeGreaterThan(1);
    expect(seen.most).toBeLessThanOrEqual(3);
  });

  test('are none of a message of few parts', async () => {
    const { codec, seen } = watched(createCodec(limits), 2);
    expect(await compose(codec, people(1_000))).toHaveLength(4);
    expect(await compose(codec, [])).toHaveLength(1);
    expect(seen.calls).toBe(0);
  });

  test('leave nothing of a message when one of them cannot be made', async () => {
    const before = await compose(createCodec(limits), people(20));
    const { codec, seen } = watched(createCodec(limits), 2);
    const lost = new DirpostError('interrupted', 'A thread has ended.', { retry: 'later' });
    const { encode } = codec.beside;
    codec.beside = { parts: 2, encode: (...args) => (seen.calls === 2 ? Promise.reject(lost) : encode(...args)) };
    await expect(compose(codec, people(3_000))).rejects.toBe(lost);
    const left = await store.read((tx) => tx.outgoing({ to: 'hq' }));
    expect(left.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });
});
