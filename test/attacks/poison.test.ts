/**
 * What a requestor that is known may send so that others can no longer be served: messages that do not add up in the server's
 * books, entries that nobody would take, heads that fill those of others. `lima` is the one who tries; at the server's decisions.
 */
import { createHash } from 'node:crypto';
import {
  type AnchorHint,
  type Change,
  decodeEntry,
  defaultLimits,
  DigestSum,
  EMPTY_DIGEST,
  encodeAttributes,
  encodeEntry,
  entryHash,
  type Exchange,
  listDigestFor,
  loadList,
  patchEntry,
  processExchange,
  type RequestorRecord,
} from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HeldNetwork } from '../core/held-network.ts';
import { codec, nextExchange, openNetwork, sendTo } from './known-requestor.ts';

const NOTHING = new Uint8Array(0);

let network: HeldNetwork;
beforeEach(async () => {
  network = await openNetwork();
});
afterEach(() => network.close());

const exchangeOfLima = () => nextExchange(network);
const send = (head: Exchange, changes: Change[] = []) => sendTo(network, head, changes);

/** The next one, with these changes, and the digest that their sender says they add up to. */
async function submit(changes: Change[], digest: string): ReturnType<typeof processExchange> {
  const head = await exchangeOfLima();
  const { accepted, newest } = await recordOfLima();
  const submission = { ...head.submission, from: accepted, to: { seq: accepted.seq + 1, digest } };
  return send({ ...head, number: Math.max(head.number, newest + 1), submission }, changes);
}

async function recordOfLima(): Promise<RequestorRecord> {
  const record = await network.stores.hq.read((tx) => tx.getDocument<RequestorRecord>('server/requestor/lima'));
  return record!;
}

function idOf(number: number): Buffer {
  return createHash('sha256').update(`lima ${number}`).digest().subarray(0, 16);
}

function person(number: number, attributes: Record<string, string[]> = { cn: [`Lima ${number}`] }): Change {
  const values = new Map(Object.entries(attributes).map(([name, all]) => [name, all.map((one) => Buffer.from(one))]));
  const id = idOf(number);
  return {
    number,
    id,
    owner: 'lima',
    state: 'whole',
    bytes: encodeEntry({ id, owner: 'lima', kind: 'person', attributes: values }),
  };
}

const sumOf = (changes: readonly Change[], sum = DigestSum.from(EMPTY_DIGEST)): string => {
  for (const { bytes } of changes) sum.add(entryHash(bytes));
  return sum.digest();
};

/** Whether what oslo is told of the list is the sum of what is on it. */
async function expectListInOrder(): Promise<void> {
  const sums = await network.stores.hq.read(async (tx) => {
    const rows = await tx.scanListHashes('all', 0, 'oslo', 1_000);
    const sum = DigestSum.from(EMPTY_DIGEST);
    for (const { hash } of rows) sum.add(hash);
    return { said: await listDigestFor(tx, await loadList(tx, 'all'), 'oslo'), is: sum.digest() };
  });
  expect(sums.said).toBe(sums.is);
}

describe('an entry that stands twice in one message', () => {
  it('is refused with it, so that the sums of the lists, which are for all others, stay right', async () => {
    const first = person(1);
    await submit([first], sumOf([first]));
    await expectListInOrder();
    const before = (await recordOfLima()).accepted;
    const other = { ...person(1, { cn: ['Other'] }), number: 2 };
    const third = { ...person(1, { cn: ['Third'] }), number: 3 };
    const sum = DigestSum.from(before.digest).subtract(entryHash(first.bytes)).subtract(entryHash(first.bytes));
    await expect(submit([other, third], sumOf([other, third], sum))).rejects.toMatchObject({ code: 'message-payload' });
    await expectListInOrder();
    expect((await recordOfLima()).accepted).toEqual(before);
  });

  it('does not take the number of entries below what it is, so that more than the rules allow could be published', async () => {
    network.rules = new Map([['lima', { maxEntries: 1 }]]);
    const first = person(1);
    await submit([first], sumOf([first]));
    const { digest } = (await recordOfLima()).accepted;
    const removals: Change[] = [0, 0, 0].map((number) => ({ ...first, number, state: 'removed', bytes: NOTHING }));
    const sum = DigestSum.from(digest);
    for (const _ of removals) sum.subtract(entryHash(first.bytes));
    await expect(submit(removals, sum.digest())).rejects.toMatchObject({ code: 'message-payload' });
    const more = [person(2), person(3)];
    await submit(more, sumOf(more, DigestSum.from(digest)));
    const { flaggedCount, live } = await recordOfLima();
    expect({ flaggedCount, live }).toEqual({ flaggedCount: 2, live: 3 });
  });
});

it('an entry does not grow beyond what others take by many small changes', async () => {
  const names = (from: number) => Array.from({ length: 150 }, (_, i) => `a${from + i}`);
  const first = person(1, Object.fromEntries(names(0).map((name) => [name, ['x']])));
  await submit([first], sumOf([first]));
  const patch = encodeAttributes(new Map(names(150).map((name) => [name, [Buffer.from('y')]])));
  const change: Change = { number: 1, id: first.id, owner: 'lima', state: 'part', bytes: patch };
  const grown = patchEntry(first.bytes, patch);
  expect(decodeEntry(grown).attributes.size).toBeGreaterThan(defaultLimits.maxAttributes);
  const digest = DigestSum.from(EMPTY_DIGEST).add(entryHash(grown)).digest();
  await expect(submit([change], digest)).rejects.toMatchObject({ code: 'limit-exceeded' });
});

it('hints for ids do not fill the heads of what others get', async () => {
  const long = 'x'.repeat(255);
  const anchors: AnchorHint[] = Array.from({ length: 400 }, (_, i) => ({
    owner: 'lima',
    space: `${i}`,
    attribute: long,
  }));
  const first = person(1);
  const head = { ...(await exchangeOfLima()), anchors };
  const submission = { ...head.submission, to: { seq: 1, digest: sumOf([first]) } };
  await send({ ...head, submission }, [first]);
  const known = await network.stores.hq.read((tx) => tx.getDocument<AnchorHint[]>('server/anchors'));
  expect(JSON.stringify(known ?? []).length).toBeLessThan(4_096);
  expect(known!.find(({ owner }) => owner === 'lima')!.space).toBe('0');
});

describe('parts', () => {
  it.each([
    [0, 0],
    [1, 1],
    [5, 2],
    [0, 4_294_967_295],
    [0, Number.MAX_SAFE_INTEGER],
  ])('part %d of %d is none, and is refused when the head is read', async (part, parts) => {
    const payload = codec.encode({ ...(await exchangeOfLima()), part, parts }, []);
    expect(() => codec.head(payload)).toThrowError(/part/);
  });

  it('of the highest number that there is go with all others', async () => {
    const { hq } = network.stores;
    const number = Number.MAX_SAFE_INTEGER;
    const part = { from: 'lima', kind: 'exchange', incarnation: '0.0', part: 0, parts: 2, payload: NOTHING } as const;
    await hq.transaction((tx) => tx.putPart({ ...part, number }));
    await hq.transaction((tx) => tx.removeParts('lima', 'exchange'));
    expect(await hq.read((tx) => tx.parts('lima', 'exchange'))).toEqual([]);
  });

  it('of exchanges whose numbers fall are not heaped up', async () => {
    const head = await exchangeOfLima();
    const context = { ...network.server(), limits: { ...defaultLimits, maxParts: 8 } };
    for (let number = 1_000; number > 900; number--) {
      const payload = codec.encode({ ...head, number, part: 0, parts: 2 }, []);
      const payloadHash = createHash('sha256').update(payload).digest();
      const arrival = { from: 'lima', head: codec.head(payload) as Exchange, payload, payloadHash };
      await processExchange(network.stores.hq, context, arrival);
      expect((await network.stores.hq.read((tx) => tx.parts('lima', 'exchange'))).length).toBeLessThanOrEqual(8);
    }
  });
});

it.each([
  ['with a space behind it', { mail: ['boss@oslo.example '] }],
  ['with a dot behind it', { mail: ['boss@oslo.example.'] }],
  ['under an option', { 'mail;lang-en': ['boss@oslo.example'] }],
  ['under another name of the attribute', { rfc822mailbox: ['boss@oslo.example'] }],
  ['under its number', { '0.9.2342.19200300.100.1.3': ['boss@oslo.example'] }],
])('mail in the domain of another is not published %s', async (_, attributes) => {
  network.rules = new Map([['oslo', { mailDomains: ['oslo.example'] }]]);
  const first = person(1, attributes);
  await submit([first], sumOf([first]));
  expect((await recordOfLima()).flagged).toMatchObject([{ code: 'mail-domain-not-allowed' }]);
});

it('a reason that quotes a very long value does not make what its owner is told unreadable', async () => {
  network.rules = new Map([['lima', { mailDomains: ['lima.example'] }]]);
  const people = Array.from({ length: 100 }, (_, i) => person(i + 1, { mail: [`${'ø'.repeat(3_000)}${i}`] }));
  await submit(people, sumOf(people));
  const waiting = await network.stores.hq.read((tx) => tx.outgoing({ to: 'lima' }));
  expect(waiting.length).toBeGreaterThan(0);
  for (const { id } of waiting) {
    const head = codec.head((await network.stores.hq.read((tx) => tx.outgoingPayload(id)))!);
    if (head.kind !== 'update') throw new Error('no update');
    expect(head.receipt.refused).toHaveLength(100);
    expect(head.receipt.refused[0]!.reason).toMatch(/^lima may not publish mail in ø+…$/);
  }
});
