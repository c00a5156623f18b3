/**
 * Design §11, "whole reply held in memory": what an owner submits, a server hands out and a requestor applies passes in
 * batches and parts. `npm run bench -- scale-memory` has the memory of real processes with 1,000,000 entries.
 */
import { randomBytes } from 'node:crypto';
import type { Store } from '@dirpost/core';
import { expect, it } from 'vitest';
import { HeldNetwork, limits } from './held-network.ts';

const PEOPLE = 150;
const VALUE_BYTES = 80_000;
const MOST_AT_ONCE = 6_000_000;

/** Octets that any one call of the store is given or gives back. */
class Watched {
  readonly largest = new Map<string, number>();
  passed = 0;

  of<T extends Store>(store: T): T {
    const watchedTx = <Tx extends object>(tx: Tx) =>
      new Proxy(tx, {
        get: (target, name) => {
          const method: unknown = Reflect.get(target, name);
          if (typeof method !== 'function') return method;
          return async (...given: unknown[]) => {
            const result: unknown = await method.apply(target, given);
            this.#count(String(name), octetsIn(given) + octetsIn(result));
            return result;
          };
        },
      });
    return new Proxy(store, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== 'function') return method;
        if (name !== 'transaction' && name !== 'read') return method.bind(target) as unknown;
        return (work: (tx: object) => Promise<unknown>, ...more: unknown[]) =>
          method.call(target, (tx: object) => work(watchedTx(tx)), ...more) as unknown;
      },
    });
  }

  #count(call: string, octets: number): void {
    this.largest.set(call, Math.max(this.largest.get(call) ?? 0, octets));
    this.passed += octets;
  }
}

function octetsIn(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  if (value === null || typeof value !== 'object') return 0;
  return Object.values(value).reduce((sum: number, one) => sum + octetsIn(one), 0);
}

it('a reply of 12 MB is never in memory as a whole: not at its owner, at the server, or where it is applied', async () => {
  const network = new HeldNetwork('replica', limits([], { above: 0, percent: 100 }));
  network.people = Array.from({ length: PEOPLE }, (_, i) => ({
    uid: `p${i}`,
    name: `Person ${i}`,
    phone: randomBytes(VALUE_BYTES / 2).toString('hex'),
  }));
  network.members = [];
  const watched = { oslo: new Watched(), hq: new Watched(), lima: new Watched() };
  for (const name of ['oslo', 'hq', 'lima'] as const) network.stores[name] = watched[name].of(network.stores[name]);
  await network.begin();
  expect(await network.stores.lima.read((tx) => tx.countEntries('replica'))).toEqual({ live: PEOPLE + 1, deleted: 0 });
  for (const { passed } of Object.values(watched)) expect(passed).toBeGreaterThan(PEOPLE * VALUE_BYTES);
  const tooMuch = Object.entries(watched).map(([name, { largest }]) => [
    name,
    [...largest].filter(([, octets]) => octets > MOST_AT_ONCE),
  ]);
  expect(Object.fromEntries(tooMuch)).toEqual({ oslo: [], hq: [], lima: [] });
  await network.close();
});
