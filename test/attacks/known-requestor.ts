/** `lima` is a requestor that is known, with keys of its own, and sends what it may not: at the server's decisions. */
import { createHash } from 'node:crypto';
import {
  type Change,
  composeExchange,
  defaultLimits,
  type Exchange,
  processExchange,
  type Report,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { HeldNetwork, limits } from '../core/held-network.ts';

export const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
export const codec = createCodec(defaultLimits);

/** Nothing is held in it. */
export function openNetwork(): Promise<HeldNetwork> {
  return new HeldNetwork('replica', limits([], { above: 0, percent: 100 })).begin();
}

/** The exchange that lima would send now. */
export async function nextExchange(network: HeldNetwork): Promise<Exchange> {
  const { lima } = network.stores;
  await lima.transaction((tx) => composeExchange(tx, network.requestor('lima'), REPORT));
  const [waiting] = await lima.read((tx) => tx.outgoing({ to: 'hq' }));
  const payload = (await lima.read((tx) => tx.outgoingPayload(waiting!.id)))!;
  await lima.transaction((tx) => tx.removeOutgoing([waiting!.id]));
  return codec.head(payload) as Exchange;
}

export function sendTo(
  network: HeldNetwork,
  head: Exchange,
  changes: Change[] = [],
  from = 'lima',
): ReturnType<typeof processExchange> {
  const payload = codec.encode(head, changes);
  const payloadHash = createHash('sha256').update(payload).digest();
  return processExchange(network.stores.hq, network.server(), { from, head, payload, payloadHash });
}
