/** T3: when a directory is written again for what it refused, or since it failed, by a clock that the test drives. */
import { createMemoryStore } from '@dirpost/adapters';
import {
  createRequestor,
  defaultHolds,
  defaultLimits,
  deriveEntryId,
  type DirectoryChange,
  DirpostError,
  encodeEntry,
  type EntryRow,
  entryHash,
  loadOwn,
  saveOwn,
  type Store,
  type WriteOutcome,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Postoffice } from './postoffice.ts';
import { writeDirectories, writingDueMs } from './write.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const BEGIN_MS = Date.parse('2027-03-01T12:00:00Z');
const id = deriveEntryId('hq', 'x', Buffer.from('anna'));
const random = (count: number) => Buffer.alloc(count, 7);
const { signal } = new AbortController();

let store: Store;
let nowMs: number;
let asked: number;
let isDown: boolean;
let office: Postoffice;

beforeEach(async () => {
  store = createMemoryStore();
  [nowMs, asked, isDown] = [BEGIN_MS, 0, false];
  await store.transaction(async (tx) => {
    await createRequestor(tx, random);
    const own = await loadOwn(tx);
    const cursor = { cookie: '', incarnation: own.incarnation, seq: 1, list: '', number: 1 };
    await saveOwn(tx, { ...own, cursor });
    const attributes = new Map([['cn', [Buffer.from('Anna')]]]);
    const bytes = encodeEntry({ id, owner: 'hq', kind: 'person', attributes });
    const rest = { seq: 0, deleted: false, introduced: 0, changed: null, note: null, held: null, withheld: null };
    const row: EntryRow = { number: 0, id, owner: 'hq', hash: entryHash(bytes), bytes, peerNumber: 1, ...rest };
    await tx.putEntries('replica', [row]);
  });
  office = officeWith(refusing());
});

afterEach(() => store.close());

/** A directory that takes containers only. */
function refusing() {
  return {
    name: 'network',
    writes: 'changes',
    async *write(changes: AsyncIterable<DirectoryChange>): AsyncGenerator<WriteOutcome> {
      if (isDown) throw new DirpostError('directory-failed', 'Nobody answers.', { retry: 'later' });
      for await (const change of changes) {
        const isContainer = change.kind === 'container';
        if (!isContainer) asked++;
        if (isContainer) yield { id: change.id, result: 'written', place: { dn: change.dn, anchor: '' } };
        else yield { id: change.id, result: 'refused', code: 'objectClassViolation', reason: '' };
      }
    },
  };
}

function officeWith(directory: object): Postoffice {
  const clock = { now: () => nowMs };
  const limits = defaultLimits;
  const workshop = { codec: createCodec(limits), clock, limits, maxPayloadBytes: () => 1e6, server: 'hq', anchors: [] };
  const options = { name: 'network', dn: 'container', container: 'ou=network,dc=x', publishing: [] };
  return {
    name: 'oslo',
    store,
    clock,
    limits,
    requestor: { name: 'oslo', random, holds: defaultHolds, version: '1', ...workshop },
    publishing: [],
    subscribing: [{ directory, firstWrite: 'allowed', options }],
    retry: { deliverAfterMs: MINUTE_MS, deliverAtMostMs: HOUR_MS },
    tell: () => {},
  } as unknown as Postoffice;
}

const dueInMs = async () => (await writingDueMs(office))! - nowMs;

it.each([
  ['3 hours', 3 * HOUR_MS],
  ['a year', 365 * 24 * HOUR_MS],
])('what was refused waits as long as it would, although the clock went back by %s', async (_, backMs) => {
  await writeDirectories(office, { signal });
  expect([asked, await dueInMs()]).toEqual([1, 5 * MINUTE_MS]);
  nowMs -= backMs;
  expect(await dueInMs()).toBe(0);
  await writeDirectories(office, { signal });
  expect([asked, await dueInMs()]).toEqual([2, 10 * MINUTE_MS]);
});

it('a directory that could not be written is tried again, although the clock went back', async () => {
  isDown = true;
  await writeDirectories(office, { signal });
  await writeDirectories(office, { signal });
  expect(await dueInMs()).toBe(2 * MINUTE_MS);
  nowMs -= MINUTE_MS;
  expect(await dueInMs()).toBe(0);
});
