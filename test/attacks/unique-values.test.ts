/** One entry with very many values of an attribute whose values must be unique on the network, all of which another has already. */
import { createHash } from 'node:crypto';
import {
  type Change,
  DigestSum,
  EMPTY_DIGEST,
  encodeEntry,
  entryHash,
  type Exchange,
  type RequestorRecord,
} from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HeldNetwork } from '../core/held-network.ts';
import { nextExchange, openNetwork, sendTo } from './known-requestor.ts';

let network: HeldNetwork;
beforeEach(async () => {
  network = await openNetwork();
});
afterEach(() => network.close());

/** The first exchange of `name`: people with these mail addresses, so many in each entry. */
async function publish(name: string, mails: readonly string[], inEach: number): Promise<number> {
  const like = await nextExchange(network);
  const sum = DigestSum.from(EMPTY_DIGEST);
  const changes: Change[] = [];
  for (let from = 0; from < mails.length; from += inEach) {
    const id = createHash('sha256').update(`${name} ${from}`).digest().subarray(0, 16);
    const mail = mails.slice(from, from + inEach).map((one) => Buffer.from(one));
    const bytes = encodeEntry({ id, owner: name, kind: 'person', attributes: new Map([['mail', mail]]) });
    sum.add(entryHash(bytes));
    changes.push({ number: from, id, owner: name, state: 'whole', bytes });
  }
  const to = { seq: changes.length, digest: sum.digest() };
  const submission = { from: { seq: 0, digest: EMPTY_DIGEST }, to, full: false, replaces: null, certified: true };
  const fresh = { incarnation: '0.0011223344556677', number: 1, heard: null, cursor: null };
  const head: Exchange = { ...like, ...fresh, submission };
  const before = process.cpuUsage();
  await sendTo(network, head, changes, name);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

const addresses = (count: number) => Array.from({ length: count }, (_, i) => `m${i}@example.org`);

it('is refused, and keeps the server no longer than other entries do', async () => {
  await publish('trudy', addresses(20_000), 1_000);
  const ms = await publish('mallory', addresses(20_000), 20_000);
  expect(ms).toBeLessThan(2_000);
  const record = await network.stores.hq.read((tx) => tx.getDocument<RequestorRecord>('server/requestor/mallory'));
  expect(record!.flagged).toMatchObject([{ code: 'too-many-values' }]);
});

it('of as many as are compared it is shown without them, in a time that goes with their number', async () => {
  await publish('trudy', addresses(1_000), 1);
  const ms = await publish('mallory', addresses(1_000), 1_000);
  expect(ms).toBeLessThan(2_000);
  const record = await network.stores.hq.read((tx) => tx.getDocument<RequestorRecord>('server/requestor/mallory'));
  expect(record!.flagged).toEqual([]);
  const shown = await network.stores.hq.read((tx) => tx.scanList('all', 0, 'trudy', 100));
  const own = shown.find(({ row }) => row.owner === 'mallory')!;
  expect(own.entry.withheld).toHaveLength(1_000 * 16);
});
