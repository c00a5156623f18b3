/**
 * An owner confirmed himself (rule 9) with a store that was restored and directories that were not read since, and what
 * he had lost was removed from everybody by repairs. Worlds come to it too seldom (none of 132 seeds), so it is played here.
 */
import {
  type Arrival,
  composeExchange,
  type Exchange,
  findRequestor,
  loadServer,
  type MessageHead,
  processExchange,
  processUpdate,
  type Report,
  type Update,
} from '@dirpost/core';
import { createHash } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { World } from './world.ts';

const report: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
let hq: Postoffice;
let oslo: Postoffice;

beforeEach(async () => {
  const { machines } = new World({ seed: 1, calm: true, requestors: 1 });
  const [server, requestor] = await Promise.all(machines.map((machine) => machine.start()));
  hq = server!.postoffice;
  oslo = requestor!.postoffice;
});

async function newest<Head extends MessageHead>(
  { name, store, requestor }: Postoffice,
  kind: Head['kind'],
): Promise<Arrival<Head>> {
  return store.read(async (tx) => {
    const message = (await tx.outgoing({ kind })).at(-1)!;
    const payload = (await tx.outgoingPayload(message.id))!;
    const payloadHash = createHash('sha256').update(payload).digest();
    return { from: name, head: requestor.codec.head(payload) as Head, payload, payloadHash };
  });
}

/** Exchange up, update down. */
async function cycle(certified: boolean): Promise<void> {
  await oslo.store.transaction((tx) => composeExchange(tx, oslo.requestor, report, certified));
  await processExchange(hq.store, hq.server!, await newest<Exchange>(oslo, 'exchange'));
  await processUpdate(oslo.store, oslo.requestor, await newest<Update>(hq, 'update'), report);
}

async function isConfirmed(): Promise<boolean> {
  return hq.store.read(async (tx) => {
    const { incarnation } = await loadServer(tx);
    return (await findRequestor(tx, 'oslo'))!.confirmedUnder === incarnation;
  });
}

it('an owner who has not read his directories is not confirmed by a submission that matches', async () => {
  await cycle(true);
  // He had not heard of this incarnation of the server.
  expect(await isConfirmed()).toBe(false);
  await cycle(false);
  expect(await isConfirmed()).toBe(false);
  await cycle(true);
  expect(await isConfirmed()).toBe(true);
});
