/** T3: where new entries stand is learnt as far as the directory tells it, and the rest another time. */
import { createMemoryStore } from '@dirpost/adapters';
import { type Directory, DirpostError, type Place } from '@dirpost/core';
import { expect, it } from 'vitest';
import type { CycleEvent } from './events.ts';
import type { Postoffice } from './postoffice.ts';
import { learnAnchors } from './write-differences.ts';

const OPEN = 'open anchors/network';
const NAMES = ['anna', 'bo', 'cy'];

it('what a limit of the directory cuts off is learnt another time, and what came before it at once', async () => {
  const store = createMemoryStore();
  const ids = NAMES.map((name) => Buffer.from(name.padEnd(16)));
  await store.transaction(async (tx) => {
    const dns = NAMES.map((name) => `cn=${name}`);
    const placed = ids.map((id, i) => ({ id, place: { dn: dns[i]!, anchor: '' }, hash: ids[i]!, refused: null }));
    await tx.putPlaced('network', placed);
    await tx.putAssociations(
      'network',
      ids.map((id, i) => ({ id, dn: dns[i]!, normalizedDn: dns[i]! })),
    );
    await tx.putDocument(OPEN, true);
  });
  let limit = 2;
  const directory: Partial<Directory> = {
    name: 'network',
    async *places(): AsyncGenerator<Place> {
      for (const name of NAMES.slice(0, limit)) yield { dn: `cn=${name}`, anchor: `key of ${name}` };
      if (limit < NAMES.length) throw new DirpostError('directory-failed', 'sizeLimitExceeded (4)', { retry: 'later' });
    },
  };
  const told: CycleEvent[] = [];
  const subscribing = [{ directory }];
  const postoffice = { store, subscribing, tell: (event: CycleEvent) => told.push(event) } as unknown as Postoffice;
  const anchors = () =>
    store.read(async (tx) => (await tx.placedById('network', ids)).map((one) => one?.place?.anchor));
  const isOpen = () => store.read((tx) => tx.getDocument(OPEN));

  await learnAnchors(postoffice, new AbortController().signal);
  expect(await anchors()).toEqual(['key of anna', 'key of bo', '']);
  expect([await isOpen(), told.map(({ level }) => level)]).toEqual([true, ['warning']]);
  limit = NAMES.length;
  await learnAnchors(postoffice, new AbortController().signal);
  expect([await anchors(), await isOpen()]).toEqual([NAMES.map((name) => `key of ${name}`), undefined]);
});
