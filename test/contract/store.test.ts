/** The store contract against SQLite: a file, a file written by the worker thread, and memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore, openSqliteStore } from '@dirpost/adapters';
import type { Store } from '@dirpost/core';
import { storeContract } from './store.ts';
import type { OpenedStore } from './store-samples.ts';

/** Every transaction is a large one, if nothing else is asked for. */
const allLarge = (store: Store): Store => ({
  transaction: (work, options) => store.transaction(work, options ?? { large: true }),
  read: (work) => store.read(work),
  close: () => store.close(),
});

async function openFile(wrap: (store: Store) => Store): Promise<OpenedStore> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-store-'));
  const open = async () => wrap(await openSqliteStore({ path: join(folder, 'store.db') }));
  let store = await open();
  return {
    store,
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async dispose() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

storeContract('SQLite file', () => openFile((store) => store));
storeContract('SQLite file, large transactions', () => openFile(allLarge));

storeContract('SQLite memory', async () => {
  const first = createMemoryStore();
  let store = first;
  return {
    store,
    async reopen() {
      const image = first.serialize();
      await first.close();
      store = createMemoryStore(image);
      return store;
    },
    dispose: () => store.close(),
  };
});
