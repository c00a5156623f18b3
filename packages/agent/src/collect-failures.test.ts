import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import { DirpostError, type Store, type StoreTx } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { uncollectedFrom } from './carriage-status.ts';
import { CollectFailures, loadUncollected } from './collect-failures.ts';

let store: MemoryStore;
let nowMs: number;
let written: number;
beforeEach(() => {
  [store, nowMs, written] = [createMemoryStore(), 1_000, 0];
});
afterEach(() => store.close());

const open = () => {
  const counting = {
    read: store.read.bind(store),
    transaction: <T>(work: (tx: StoreTx) => Promise<T>) => {
      written++;
      return store.transaction(work);
    },
  } as Store;
  return new CollectFailures(counting, { now: () => nowMs });
};
const kept = () => store.read(loadUncollected);
const wrongPassword = new DirpostError('transport-failed', 'It refuses the login.', { hint: 'Look at the secret.' });

it('a transport that cannot be asked is kept with its reason, since it first failed, also over a restart', async () => {
  await open().failed('mail', wrongPassword);
  nowMs = 2_000;
  await open().failed('mail', new DirpostError('transport-failed', 'The line is down.'));
  expect(await kept()).toEqual({
    mail: { sinceMs: 1_000, problem: 'The line is down.', hint: null, code: 'transport-failed' },
  });
});

it('the same failure, and what works, write nothing', async () => {
  const failures = open();
  for (let i = 0; i < 3; i++) {
    nowMs++;
    await failures.worked('mail');
    await failures.failed('http', wrongPassword);
  }
  expect(written).toBe(1);
});

it('one that works again is forgotten, and the others stay', async () => {
  const failures = open();
  await failures.failed('mail', wrongPassword);
  await failures.failed('http', wrongPassword);
  await failures.worked('mail');
  expect(Object.keys(await kept())).toEqual(['http']);
  await failures.worked('http');
  expect(await store.read((tx) => tx.documentNames(''))).toEqual([]);
});

it('what is not configured any more is not shown', async () => {
  await open().failed('mail', wrongPassword);
  expect(uncollectedFrom([{ name: 'http' }], await kept())).toEqual([]);
  expect(uncollectedFrom([{ name: 'mail' }], await kept())).toMatchObject([{ transport: 'mail', sinceMs: 1_000 }]);
});
