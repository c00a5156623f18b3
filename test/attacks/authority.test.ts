/**
 * What a requestor that is known, with keys of its own, may not do: change what others own, ask for what is not its own,
 * disturb what others have. At the server's decisions: `lima` is the one who tries, `oslo` owns people, `hq` is the server.
 * Edits without permission, and ids of others: forged-edits.test.ts. What the transports refuse: http.test.ts, here.
 */
import { createHash } from 'node:crypto';
import {
  type Arrival,
  type Change,
  createCookieJar,
  decodeEntry,
  DigestSum,
  EMPTY_DIGEST,
  encodeAttributes,
  encodeEntry,
  entryHash,
  type Exchange,
  generationOf,
  loadServer,
  type MessageHead,
  processUpdate,
  type RequestorRecord,
  type Update,
} from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HeldNetwork } from '../core/held-network.ts';
import { codec, nextExchange, openNetwork, REPORT, sendTo } from './known-requestor.ts';

const NOTHING = new Uint8Array(0);

let network: HeldNetwork;
beforeEach(async () => {
  network = await openNetwork();
});
afterEach(() => network.close());

const exchangeOfLima = () => nextExchange(network);
const send = (head: Exchange, changes: Change[] = [], from = 'lima') => sendTo(network, head, changes, from);

/** Everything that hq collected, as octets by id. */
async function collected(): Promise<Map<string, string>> {
  const rows = await network.stores.hq.read((tx) => tx.scanEntries('collected', 0, 1_000));
  const live = rows.filter(({ deleted }) => !deleted);
  return new Map(live.map(({ id, bytes }) => [hex(id), hex(bytes!)]));
}

const hex = (octets: Uint8Array) => Buffer.from(octets).toString('hex');

/** A person of oslo, as everybody on the list has him. */
async function victim(): Promise<Buffer> {
  const [row] = await network.stores.lima.read((tx) => tx.scanEntries('replica', 0, 1));
  return Buffer.from(row!.bytes!);
}

/** A submission that says what its changes add up to, as an attacker says it. */
function submitting(exchange: Exchange, digest: string, full = false): Exchange {
  const { submission } = exchange;
  const from = full ? { seq: 0, digest: EMPTY_DIGEST } : submission.from;
  return { ...exchange, submission: { ...submission, from, to: { seq: submission.to.seq + 1, digest }, full } };
}

/** As who has taken it out of his directory names it. */
const removing = (bytes: Uint8Array): Change => {
  return { number: 0, id: bytes.subarray(0, 16), owner: 'lima', state: 'removed', bytes: NOTHING };
};

const withoutHash = (bytes: Uint8Array) => DigestSum.from(EMPTY_DIGEST).subtract(entryHash(bytes)).digest();

const recordOfLima = async () => {
  const record = await network.stores.hq.read((tx) => tx.getDocument<RequestorRecord>('server/requestor/lima'));
  return record!;
};

const stampOfLima = async () => (await recordOfLima()).stamp;

describe('entries of another owner', () => {
  const attempts: [string, (bytes: Buffer) => { change: Change; digest: string }][] = [
    [
      'changes a value of one',
      (bytes) => ({
        change: {
          number: 1,
          id: bytes.subarray(0, 16),
          owner: 'lima',
          state: 'part',
          bytes: encodeAttributes(new Map([['telephonenumber', [Buffer.from('+666')]]])),
        },
        digest: '11'.repeat(16),
      }),
    ],
    [
      'submits one in the name of its owner',
      (bytes) => ({
        change: { number: 1, id: bytes.subarray(0, 16), owner: 'oslo', state: 'whole', bytes },
        digest: DigestSum.from(EMPTY_DIGEST).add(entryHash(bytes)).digest(),
      }),
    ],
    [
      'submits one under its id as the own',
      (bytes) => {
        const own = encodeEntry({ ...decodeEntry(bytes), owner: 'lima' });
        return {
          change: { number: 1, id: own.subarray(0, 16), owner: 'lima', state: 'whole', bytes: own },
          digest: DigestSum.from(EMPTY_DIGEST).add(entryHash(own)).digest(),
        };
      },
    ],
  ];

  describe.each([
    ['changes', false],
    ['everything anew', true],
  ])('by a submission of %s', (_, full) => {
    it.each(attempts)('one who %s is refused, and nothing is changed', async (_what, attempt) => {
      const before = await collected();
      const { change, digest } = attempt(await victim());
      const head = submitting(await exchangeOfLima(), digest, full);
      if (full) head.submission.replaces = await stampOfLima();
      await expect(send(head, [change])).rejects.toMatchObject({ code: 'message-payload' });
      expect(await collected()).toEqual(before);
      // And lima goes on being served, and oslo too.
      expect((await send(await exchangeOfLima())).verdict).toBe('processed');
      network.people[0]!.phone = '+4711';
      await network.deliver();
      expect((await network.seenAtTheEnd())['p0']).toMatchObject({ phone: '+4711' });
    });
  });

  it.each([
    ['says no digest of it', () => EMPTY_DIGEST, false],
    ['takes its hash off the own digest', withoutHash, false],
    ['submits everything anew', () => EMPTY_DIGEST, true],
  ])('one who removes one and %s removes nothing', async (_what, digestOf, full) => {
    const before = await collected();
    const bytes = await victim();
    const head = submitting(await exchangeOfLima(), digestOf(bytes), full);
    if (full) head.submission.replaces = await stampOfLima();
    expect((await send(head, [removing(bytes)])).verdict).toBe('processed');
    expect(await collected()).toEqual(before);
    // What does not add up is not taken for said.
    expect((await recordOfLima()).accepted.digest).toBe(EMPTY_DIGEST);
  });

  it('who published one by mistake goes on as soon as he takes it out again', async () => {
    const before = await collected();
    const bytes = await victim();
    const own = encodeEntry({ ...decodeEntry(bytes), owner: 'lima' });
    const claim: Change = { number: 1, id: own.subarray(0, 16), owner: 'lima', state: 'whole', bytes: own };
    const head = submitting(await exchangeOfLima(), DigestSum.from(EMPTY_DIGEST).add(entryHash(own)).digest());
    await expect(send(head, [claim])).rejects.toMatchObject({ code: 'message-payload' });
    const after = submitting(await exchangeOfLima(), EMPTY_DIGEST);
    expect((await send(after, [removing(bytes)])).verdict).toBe('processed');
    expect(await collected()).toEqual(before);
  });

  it('the hint by which ids of another owner are derived is not believed', async () => {
    const anchors = [{ owner: 'oslo', space: 'evil', attribute: 'cn' }];
    await send({ ...(await exchangeOfLima()), anchors });
    const known = await network.stores.hq.read((tx) => tx.getDocument<{ owner: string }[]>('server/anchors'));
    expect((known ?? []).filter(({ owner }) => owner === 'oslo')).toEqual([]);
  });
});

describe('cursors', () => {
  it('of another requestor, altered, or made without the secret of the server are as none', async () => {
    await network.cycle('lima');
    const exchange = await exchangeOfLima();
    const mine = exchange.cursor!;
    const jar = createCookieJar(Buffer.from('test'));
    const opened = jar.open(mine, 'lima')!;
    const others = [
      jar.seal(opened, 'oslo'),
      Buffer.concat([mine, Buffer.from([0])]),
      createCookieJar(Buffer.from('guess')).seal({ ...opened, list: '00'.repeat(8), seq: 9_999 }, 'lima'),
    ];
    const before = (await network.stores.hq.read(loadServer)).incarnation;
    for (const [i, cursor] of others.entries()) {
      const { answer } = await send({ ...exchange, number: exchange.number + i, cursor });
      // As if it had named none: it goes on from what it has verified.
      expect(answer).toMatchObject({ mode: 'delta', changes: 0 });
    }
    expect((await network.stores.hq.read(loadServer)).incarnation).toBe(before);
  });

  it('a requestor that follows no list is given no entry, whatever it asks for', async () => {
    network.list = { ...network.list, receivers: ['oslo'] };
    const exchange = { ...(await exchangeOfLima()), cursor: null, replicaDigest: EMPTY_DIGEST };
    for (const [i, request] of (['everything', 'changes'] as const).entries()) {
      const { answer } = await send({ ...exchange, number: exchange.number + i, request });
      expect(answer).toMatchObject({ changes: 0 });
    }
    for (const { id } of await network.stores.hq.read((tx) => tx.outgoing({ to: 'lima' }))) {
      const payload = (await network.stores.hq.read((tx) => tx.outgoingPayload(id)))!;
      expect(codec.changes(payload)).toEqual([]);
    }
  });
});

describe('incarnations', () => {
  it('one that was never is not believed so far ahead that there would be none after it', async () => {
    const before = await network.stores.hq.read(loadServer);
    for (const generation of [34_359_738_367, 999_999_999, generationOf(before.incarnation) + 2_000]) {
      const exchange = await exchangeOfLima();
      const heard = { incarnation: `${generation}.00112233445566ff`, number: 1 };
      await send({ ...exchange, heard });
      expect((await network.stores.hq.read(loadServer)).incarnation).toBe(before.incarnation);
    }
    // One of a life that this server may have forgotten is: rule 8.
    const exchange = await exchangeOfLima();
    const heard = { incarnation: `${generationOf(before.incarnation) + 3}.00112233445566ff`, number: 1 };
    const { newIncarnation } = await send({ ...exchange, heard });
    expect(generationOf(newIncarnation)).toBe(generationOf(before.incarnation) + 4);
    // It costs a word, and nobody anything that he had.
    network.people[0]!.phone = '+4712';
    await network.deliver();
    await network.deliver();
    expect((await network.seenAtTheEnd())['p0']).toMatchObject({ phone: '+4712' });
  });

  it('that cannot be written again cannot be read', async () => {
    const exchange = await exchangeOfLima();
    const incarnation = `${'9'.repeat(9)}.00112233445566ff`;
    expect((codec.head(codec.encode({ ...exchange, incarnation }, [])) as Exchange).incarnation).toBe(incarnation);
    const octets = Buffer.from(codec.encode({ ...exchange, incarnation: '127.00112233445566ff' }, []));
    const at = octets.indexOf(Buffer.from('7f00112233445566ff', 'hex'));
    // The generation in five octets, in place of one: a length of 13 in place of 9.
    const grown = [octets.subarray(0, at - 1), [13, 0xff, 0xff, 0xff, 0xff], octets.subarray(at)];
    const longer = Buffer.concat(grown.map((part) => Buffer.from(part)));
    longer[1] = longer[1]! + 4;
    expect(() => codec.head(longer)).toThrow(expect.objectContaining({ code: 'message-payload' }) as Error);
  });
});

describe('an update', () => {
  it('that names another receiver is left out', async () => {
    await network.cycle('lima');
    network.people[0]!.phone = '+4713';
    await network.read();
    await network.cycle('oslo');
    await send(await exchangeOfLima());
    const [waiting] = await network.stores.hq.read((tx) => tx.outgoing({ to: 'lima' }));
    const payload = (await network.stores.hq.read((tx) => tx.outgoingPayload(waiting!.id)))!;
    const head = codec.head(payload) satisfies MessageHead as Update;
    const arrival: Arrival<Update> = {
      from: 'hq',
      head,
      payload,
      payloadHash: createHash('sha256').update(payload).digest(),
    };
    const before = await network.stores.oslo.read((tx) => tx.scanEntries('replica', 0, 1_000));
    const { verdict } = await processUpdate(network.stores.oslo, network.requestor('oslo'), arrival, REPORT);
    expect(verdict).toBe('ignored');
    expect(await network.stores.oslo.read((tx) => tx.scanEntries('replica', 0, 1_000))).toEqual(before);
  });
});
