/**
 * A verification may come before the exchange that was composed before it: by another transport, or by mail in any order. What
 * it names was applied, and is not sent once more.
 */
import { createHash } from 'node:crypto';
import {
  type Arrival,
  composeExchange,
  defaultLimits,
  type Exchange,
  processExchange,
  type ProcessOutcome,
  processUpdate,
  processVerification,
  type Report,
  type Update,
  type Verification,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HeldNetwork, limits } from './held-network.ts';

const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
const codec = createCodec(defaultLimits);

let network: HeldNetwork;
beforeEach(async () => {
  network = await new HeldNetwork('replica', limits([], { above: 0, percent: 100 })).begin();
});
afterEach(() => network.close());

async function composed(): Promise<Uint8Array> {
  const { lima } = network.stores;
  await lima.transaction((tx) => composeExchange(tx, network.requestor('lima'), REPORT));
  return taken('lima', 'hq');
}

/** The one message that waits. */
async function taken(from: 'lima' | 'hq', to: string): Promise<Uint8Array> {
  const store = network.stores[from];
  const waiting = await store.read((tx) => tx.outgoing({ to }));
  expect(waiting).toHaveLength(1);
  const payload = (await store.read((tx) => tx.outgoingPayload(waiting[0]!.id)))!;
  await store.transaction((tx) => tx.removeOutgoing([waiting[0]!.id]));
  return payload;
}

function arrivalOf(from: string, payload: Uint8Array) {
  return { from, payload, payloadHash: createHash('sha256').update(payload).digest(), head: codec.head(payload) };
}

const toServer = (payload: Uint8Array): Promise<ProcessOutcome> =>
  processExchange(network.stores.hq, network.server(), arrivalOf('lima', payload) as Arrival<Exchange>);

async function toLima(payload: Uint8Array): Promise<Uint8Array> {
  const update = arrivalOf('hq', payload) as Arrival<Update>;
  await processUpdate(network.stores.lima, network.requestor('lima'), update, REPORT);
  return taken('lima', 'hq');
}

async function oneMoreAtOslo(): Promise<void> {
  network.people.push({ uid: 'p99', name: 'Person 99', phone: '+99' });
  await network.read();
  await network.cycle('oslo');
}

it('what was verified is not sent again to an exchange that comes after its verification', async () => {
  await oneMoreAtOslo();
  const first = await toServer(await composed());
  expect(first.answer).toMatchObject({ mode: 'delta', changes: 1 });
  const update = await taken('hq', 'lima');
  const late = await composed();
  const verification = await toLima(update);
  const verified = arrivalOf('lima', verification) as Arrival<Verification>;
  await processVerification(network.stores.hq, network.server(), verified);
  const answer = await toServer(late);
  expect(answer.answer).toMatchObject({ mode: 'delta', changes: 0 });
  await toLima(await taken('hq', 'lima'));
  expect(Object.keys(await network.seenAtTheEnd())).toContain('p99');
});

it('an exchange that was not overtaken is answered from its own cursor', async () => {
  await oneMoreAtOslo();
  await toServer(await composed());
  await taken('hq', 'lima');
  // The update was lost: no verification came, and the change goes once more.
  expect((await toServer(await composed())).answer).toMatchObject({ mode: 'delta', changes: 1 });
});
