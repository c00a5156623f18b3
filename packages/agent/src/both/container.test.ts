/** The container of a directory of both ways, looked at and written: with a real store, and a directory in memory. */
import { createMemoryStore } from '@dirpost/adapters';
import {
  type Attributes,
  createRequestor,
  defaultHolds,
  defaultLimits,
  decodeEntry,
  deriveEntryId,
  type Directory,
  type DirectoryChange,
  type DirectoryEntry,
  DirpostError,
  encodeEntry,
  type EntryRow,
  entryHash,
  loadOwn,
  normalizeDn,
  ownEdits,
  type ReadBatch,
  type ReadCertificate,
  saveOwn,
  scanOwnEdits,
  type Store,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BothWays } from '../config/both-ways.ts';
import { loadDirectoryState } from '../directory-state.ts';
import type { CycleEvent } from '../events.ts';
import type { Postoffice } from '../postoffice.ts';
import { writeDirectories } from '../write.ts';
import { loadConflicts } from './conflicts.ts';
import { approveEdits, heldEdits } from './held-edits.ts';
import { leavingWhatStays } from './container-writes.ts';
import { lookBack } from './read-back.ts';
import { valuesText } from './values.ts';
import type { BothDirectory } from './withdraw.ts';

const NAME = 'people';
const CONTAINER = 'ou=network,dc=x';
const DN = `cn=Anna,ou=hq,${CONTAINER}`;
const ANCHOR = Buffer.from('anchor of Anna');
const id = deriveEntryId('hq', 'x', Buffer.from('anna'));
const signal = new AbortController().signal;
const random = (count: number) => Buffer.alloc(count, 7);

const of = (...texts: string[]): Uint8Array[] => texts.map((text) => Buffer.from(text));
const texts = (values: readonly Uint8Array[] = []) => values.map((value) => Buffer.from(value).toString());

let store: Store;
let told: CycleEvent[];
let standing: DirectoryEntry[];
let certificate: Partial<ReadCertificate>;
let asked: (string | null)[];
let readFails: boolean;

beforeEach(async () => {
  store = createMemoryStore();
  [told, asked, certificate, readFails] = [[], [], {}, false];
  standing = [stands({})];
  await store.transaction(async (tx) => {
    await createRequestor(tx, random);
    const own = await loadOwn(tx);
    await saveOwn(tx, { ...own, cursor: { cookie: '', incarnation: own.incarnation, seq: 1, list: '', number: 1 } });
  });
  await says({ title: ['Clerk'], mobile: ['1', '2'] });
  await store.transaction(async (tx) => {
    await tx.putAssociations(NAME, [{ id, dn: DN, normalizedDn: normalizeDn(DN) }]);
    const hash = Buffer.alloc(16, 1);
    await tx.putPlaced(NAME, [{ id, place: { dn: DN, anchor: ANCHOR.toString('hex') }, hash, refused: null }]);
  });
});

afterEach(() => store.close());

function stands(values: Record<string, string[]>, dn = DN): DirectoryEntry {
  const all = { title: ['Clerk'], mobile: ['2', '1'], ...values };
  const attributes: Attributes = new Map(Object.entries(all).map(([name, given]) => [name, of(...given)]));
  return { dn, attributes: attributes.set('entryuuid', [ANCHOR]) };
}

/** The network, of Anna. */
async function says(values: Record<string, string[]>): Promise<void> {
  const attributes: Attributes = new Map([['cn', of('Anna')]]);
  for (const [name, given] of Object.entries(values)) attributes.set(name, of(...given));
  const bytes = encodeEntry({ id, owner: 'hq', kind: 'person', attributes });
  await store.transaction(async (tx) => {
    const [before] = await tx.entriesById('replica', [id]);
    const row: EntryRow = {
      number: before?.number ?? 0,
      id,
      owner: 'hq',
      seq: 0,
      deleted: false,
      hash: entryHash(bytes),
      bytes,
      peerNumber: 1,
      introduced: 0,
      changed: null,
      note: null,
      held: null,
      withheld: null,
    };
    await tx.putEntries('replica', [row]);
  });
}

const ways = (more: Partial<BothWays> = {}): BothWays => ({
  conflicts: { default: 'network-wins', attributes: {} },
  edits: [],
  takes: { default: 'owner-wins', attributes: {} },
  watched: ['cn', 'mobile', 'title'],
  method: 'auto',
  wholeReadEveryMs: 0,
  pageSize: 1,
  ...more,
});

function target(given: BothWays = ways()): BothDirectory {
  const read = async function* (since: string | null): AsyncGenerator<ReadBatch> {
    asked.push(since);
    if (readFails) throw new DirpostError('directory-failed', 'Nobody answers.', { retry: 'later' });
    yield { entries: standing };
    const end = { complete: true, remarks: [], entries: standing.length, source: 'memory', bookmark: 'next' };
    yield { entries: [], certificate: { ...end, ...certificate } };
  };
  return {
    directory: { name: NAME } as Directory,
    firstWrite: 'allowed',
    options: { name: NAME, dn: 'container', container: CONTAINER, publishing: [] },
    both: {
      ways: given,
      container: { read },
      anchor: 'entryuuid',
      // As a server that has room for one title only.
      shaping: async () => (entry) => {
        const title = entry.attributes.get('title')?.slice(0, 1) ?? [];
        return new Map(entry.attributes).set('title', title);
      },
    },
  };
}

const office = () =>
  ({
    name: 'oslo',
    store,
    requestor: { name: 'oslo', random, holds: defaultHolds },
    limits: defaultLimits,
    clock: { now: () => 1_000 },
    subscribing: [],
    tell: (event: CycleEvent) => told.push(event),
  }) as unknown as Postoffice;

const look = (given?: BothWays) => lookBack(office(), target(given), { time: 'T0', signal });
const watched = async () => (await store.read((tx) => tx.watchedById(NAME, [id])))[0];
const edit = async () => (await store.read((tx) => ownEdits(tx, [id])))[0];
const conflicts = () => store.read(loadConflicts);

it('what is as the network says is remembered, whatever the order of values, and nothing is told', async () => {
  expect(await look()).toEqual({ proposed: 0, conflicts: 0, isHeld: false, problem: null });
  expect((await watched())?.written).toEqual({
    title: valuesText(of('Clerk')),
    mobile: valuesText(of('1', '2')),
  });
  expect(told).toEqual([]);
});

it('only what changed since the last look is asked for, until the configuration is another one', async () => {
  await look();
  await look();
  await look(ways({ watched: ['title'] }));
  expect(asked).toEqual([null, 'next', null]);
});

it('what was changed by hand alone is proposed to the owner, and together with what was proposed before', async () => {
  await look();
  const edits = ways({ edits: ['title', 'mobile'] });
  standing = [stands({ title: ['Boss'] })];
  expect(await look(edits)).toMatchObject({ proposed: 1, conflicts: 0 });
  standing = [stands({ title: ['Boss'], mobile: [] })];
  expect(await look(edits)).toMatchObject({ proposed: 1 });
  const { values } = (await edit())!;
  expect([...values].map(([name, given]) => [name, texts(given)])).toEqual([
    ['title', ['Boss']],
    ['mobile', []],
  ]);
  // Own edits are what the network will say.
  expect(await look(edits)).toMatchObject({ proposed: 0, conflicts: 0 });
});

it('an entry that was moved by hand is known by its anchor; another at its DN is not taken for it', async () => {
  await look();
  standing = [stands({ title: ['Boss'] }, `cn=Anna,ou=aside,${CONTAINER}`)];
  expect(await look(ways({ edits: ['title'] }))).toMatchObject({ proposed: 1 });
  const stranger = stands({ title: ['Thief'] });
  stranger.attributes.set('entryuuid', of('somebody else'));
  standing = [stranger];
  expect(await look()).toMatchObject({ proposed: 0, conflicts: 0 });
});

it('of an entry that was there before dirpost only what the network names is compared', async () => {
  await says({ mobile: ['1', '2'] });
  standing = [stands({ title: ['Boss'], mobile: ['3'] }, 'cn=Anna,ou=staff,dc=x')];
  await look();
  expect((await conflicts()).map(({ attribute }) => attribute)).toEqual(['mobile']);
});

it('a read that is not complete proposes nothing, and is made once more', async () => {
  await look();
  standing = [stands({ title: ['Boss'] })];
  certificate = { complete: false, remarks: ['A page is missing.'] };
  expect(await look(ways({ edits: ['title'] }))).toMatchObject({
    proposed: 0,
    conflicts: 0,
    problem: 'A page is missing.',
  });
  expect(await edit()).toBeUndefined();
  certificate = {};
  expect(await look(ways({ edits: ['title'] }))).toMatchObject({ proposed: 1 });
  expect(asked).toEqual([null, 'next', 'next']);
});

it('what the directory has no room for is no change by hand, and is not proposed as one', async () => {
  await says({ title: ['Clerk', 'Poet'], mobile: ['1', '2'] });
  expect(await look()).toMatchObject({ conflicts: 0 });
  standing = [stands({ title: ['Boss'] })];
  expect(await look(ways({ edits: ['title'] }))).toMatchObject({ proposed: 0, conflicts: 1 });
});

it('where both changed it the network wins, and what was there is on record; or it stays', async () => {
  await look();
  await says({ title: ['Chief'], mobile: ['1', '2'] });
  standing = [stands({ title: ['Boss'] })];
  expect(await look(ways({ edits: ['title'] }))).toMatchObject({ proposed: 0, conflicts: 1 });
  expect(await conflicts()).toMatchObject([
    { attribute: 'title', name: 'Anna', owner: 'hq', decided: 'network', because: 'network-wins' },
  ]);
  // It is written with the next dispatch.
  expect((await store.read((tx) => tx.placedById(NAME, [id])))[0]?.hash).toBeNull();
  await look(ways({ conflicts: { default: 'no-change', attributes: {} } }));
  expect((await watched())?.kept).toEqual({ title: [Buffer.from('Boss').toString('base64')] });
  expect(await conflicts()).toMatchObject([{ decided: 'network' }, { decided: null }]);
  standing = [stands({ title: ['Chief'] })];
  await look();
  expect((await watched())?.kept).toEqual({});
  expect(await conflicts()).toMatchObject([{ decided: 'network' }]);
});

it('no value of a person is told to the log', async () => {
  await look();
  standing = [stands({ title: ['Boss'] })];
  await look(ways({ edits: ['title'] }));
  expect(told).toHaveLength(1);
  expect(JSON.stringify(told)).not.toMatch(/Boss|Clerk|Anna/);
});

/** As a directory that takes everything. */
function taking(given: DirectoryChange[]): Directory {
  return {
    name: NAME,
    writes: 'changes',
    async *write(changes: AsyncIterable<DirectoryChange>) {
      for await (const change of changes) {
        given.push(change);
        const place = change.action === 'put' ? { place: { dn: change.dn, anchor: '' } } : {};
        yield { id: change.id, result: 'written' as const, ...place };
      }
    },
  } as unknown as Directory;
}

/** T3 into that container. */
const dispatch = (one: BothDirectory) => {
  const { requestor, clock, limits, ...rest } = office();
  const workshop = { codec: createCodec(limits), clock, limits, maxPayloadBytes: () => 1e6, server: 'hq', anchors: [] };
  const given = { ...rest, clock, limits, publishing: [], subscribing: [one], retry };
  return writeDirectories(
    { ...given, requestor: { ...requestor, ...workshop, version: '1' } } as unknown as Postoffice,
    {
      signal,
    },
  );
};
const retry = { deliverAfterMs: 1, deliverAtMostMs: 2 };

it.each([
  ['is not complete', () => (certificate = { complete: false, remarks: ['A page is missing.'] }), /A page is missing/],
  ['fails', () => (readFails = true), /Nobody answers/],
])(
  'nothing is written over unseen where the look before the write %s: it is postponed, and says why',
  async (_, breaks, why) => {
    await look();
    await says({ title: ['Chief'], mobile: ['1', '2'] });
    standing = [stands({ title: ['Boss'] })];
    breaks();
    const given: DirectoryChange[] = [];
    const one = { ...target(), directory: taking(given) };
    expect(await dispatch(one)).toBe(1);
    expect(given).toEqual([]);
    const { write } = await store.read((tx) => loadDirectoryState(tx, NAME));
    expect(write).toMatchObject({ problem: expect.stringMatching(why), failures: 1 });
    expect(told.map(({ text }) => text).join()).toMatch(/will be tried again.*dirpost check/);
    [certificate, readFails] = [{}, false];
    expect(await dispatch(one)).toBe(0);
    expect(given.filter(({ kind }) => kind === 'person')).toHaveLength(1);
    expect(await conflicts()).toMatchObject([{ attribute: 'title', decided: 'network' }]);
  },
);

/** So many more, as Anna, all of whom were written. */
async function crowd(count: number): Promise<void> {
  const people = Array.from({ length: count }, (_, i) => {
    const key = Buffer.from(`person ${i}`);
    return { id: deriveEntryId('hq', 'x', key), key, dn: `cn=Person ${i},ou=hq,${CONTAINER}` };
  });
  await store.transaction(async (tx) => {
    const [anna] = await tx.entriesById('replica', [id]);
    const rows = people.map(({ id: own }, i) => {
      const bytes = encodeEntry({ ...decodeEntry(anna!.bytes!), id: own });
      return { ...anna!, number: 0, id: own, bytes, hash: entryHash(bytes), peerNumber: 2 + i };
    });
    await tx.putEntries('replica', rows);
    await tx.putAssociations(
      NAME,
      people.map(({ id: own, dn }) => ({ id: own, dn, normalizedDn: normalizeDn(dn) })),
    );
    const hash = Buffer.alloc(16, 1);
    await tx.putPlaced(
      NAME,
      people.map(({ id: own, key, dn }) => ({
        id: own,
        place: { dn, anchor: key.toString('hex') },
        hash,
        refused: null,
      })),
    );
  });
  standing = people.map(({ key, dn }) => {
    const one = stands({}, dn);
    one.attributes.set('entryuuid', [key]);
    return one;
  });
}

const change = (values: Record<string, string[]>, first: number) => {
  for (const { attributes } of standing.slice(0, first))
    for (const [name, given] of Object.entries(values)) attributes.set(name, of(...given));
};
const countOwnEdits = () => store.read(async (tx) => (await scanOwnEdits(tx, 0, 100)).length);

it('many changes by hand at once wait for an approval, and so does the write; then they are proposed once', async () => {
  const edits = ways({ edits: ['title'] });
  await crowd(40);
  await look(edits);
  change({ title: [] }, 11);
  expect(await look(edits)).toEqual({ proposed: 0, conflicts: 0, isHeld: true, problem: null });
  expect(await countOwnEdits()).toBe(0);
  const given: DirectoryChange[] = [];
  const one = { ...target(edits), directory: taking(given) };
  expect(await dispatch(one)).toBe(0);
  expect(given).toEqual([]);
  const waiting = () => store.read((tx) => heldEdits(tx, { subscribing: [one] }));
  expect(await waiting()).toEqual([
    { directory: NAME, place: 'container', entries: 11, of: 41, sinceMs: 1_000, limit: { above: 10, percent: 5 } },
  ]);
  expect(told.at(-1)!.text).toMatch(/11 entries .*26\.8 % of 41; the limit is 10 and 5 %.*dirpost approve people/);
  expect(await store.transaction((tx) => approveEdits(tx, NAME))).toEqual({ container: 11, own: 0 });
  expect(await waiting()).toEqual([]);
  expect(await look(edits)).toMatchObject({ proposed: 11, isHeld: false });
  // The approval was for these.
  change({ title: ['Pope'] }, 22);
  expect(await look(edits)).toMatchObject({ proposed: 0, isHeld: true });
  change({ title: ['Clerk'] }, 22);
  expect(await look(edits)).toMatchObject({ isHeld: false });
  expect(await waiting()).toEqual([]);
});

it('as many as the limit allows are proposed at once', async () => {
  const edits = ways({ edits: ['title'] });
  await crowd(40);
  await look(edits);
  change({ title: [], mobile: ['3'] }, 10);
  expect(await look(ways({ edits: ['title', 'mobile'] }))).toMatchObject({ proposed: 20, isHeld: false });
});

it('a write leaves alone what stays, remembers what it wrote, and forgets who is gone', async () => {
  const given: DirectoryChange[] = [];
  const writes = leavingWhatStays(taking(given), target().both, store);
  expect(writes.name).toBe(NAME);
  const kept = { title: [Buffer.from('Boss').toString('base64')], mobile: [Buffer.from('3').toString('base64')] };
  await store.transaction((tx) => tx.putWatched(NAME, [{ id, written: {}, kept }]));
  const write = async (change: Partial<DirectoryChange>) => {
    const attributes: Attributes = new Map([
      ['title', of('Chief')],
      ['mobile', of('3')],
    ]);
    const changes = async function* (): AsyncGenerator<DirectoryChange> {
      yield { id, action: 'put', dn: DN, attributes, kind: 'person', ...change };
    };
    for await (const outcome of writes.write(changes(), signal)) expect(outcome.result).toBe('written');
  };
  await write({});
  expect(texts(given[0]!.attributes.get('title'))).toEqual(['Boss']);
  expect(await watched()).toMatchObject({
    written: { title: valuesText(of('Boss')), mobile: valuesText(of('3')) },
    // The network says the same by now.
    kept: { title: kept.title },
  });
  await write({ action: 'remove' });
  expect(await watched()).toBeUndefined();
});
