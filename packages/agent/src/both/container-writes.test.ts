/** What is remembered of writes into a container of both ways, with a real store, and a directory that says what a test wants. */
import { createMemoryStore } from '@dirpost/adapters';
import { deriveEntryId, type Directory, type DirectoryChange, MEMBERS_MISSING, type WriteOutcome } from '@dirpost/core';
import { expect, it } from 'vitest';
import type { BothWays } from '../config/both-ways.ts';
import type { BothTarget } from '../postoffice.ts';
import { leavingWhatStays } from './container-writes.ts';
import { valuesText } from './values.ts';

const DN = 'cn=Team,ou=network,dc=x';
const id = deriveEntryId('hq', 'x', Buffer.from('team'));
const VALUES = [Buffer.from('Everybody')];

/** Remembered of its description, when the directory answers so. */
async function remembered(answer: Omit<WriteOutcome, 'id'>): Promise<string | undefined> {
  const store = createMemoryStore();
  const directory = {
    name: 'network',
    writes: 'changes',
    async *write(changes: AsyncIterable<DirectoryChange>) {
      for await (const change of changes) yield { id: change.id, ...answer };
    },
  } as unknown as Directory;
  const both = {
    ways: { watched: ['description'] } as BothWays,
    shaping: async () => (change: DirectoryChange) => change.attributes,
  } as unknown as BothTarget;
  const changes = async function* (): AsyncGenerator<DirectoryChange> {
    yield { id, action: 'put', dn: DN, kind: 'group', attributes: new Map([['description', VALUES]]) };
  };
  try {
    const { signal } = new AbortController();
    for await (const outcome of leavingWhatStays(directory, both, store).write(changes(), signal))
      expect(outcome).toMatchObject(answer);
    const [watched] = await store.read((tx) => tx.watchedById('network', [id]));
    return watched?.written['description'];
  } finally {
    await store.close();
  }
}

it('what was written of a group that lacks members is no change by hand later', async () => {
  const place = { dn: DN, anchor: '' };
  expect(await remembered({ result: 'refused', code: MEMBERS_MISSING, reason: '', place })).toBe(valuesText(VALUES));
});

it('nothing is remembered of what was refused as a whole', async () => {
  expect(await remembered({ result: 'refused', code: 'busy', reason: '' })).toBeUndefined();
});
