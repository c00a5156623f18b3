/** Edits by others of own entries, at the owner: with a real store, and a directory that answers as it is told. */
import { type Amendment, type AmendOutcome, createMemoryStore } from '@dirpost/adapters';
import {
  approveDirectory,
  type Attributes,
  baseOf,
  createRequestor,
  defaultHolds,
  decodeEntry,
  defaultLimits,
  deriveEntryId,
  type Directory,
  DirpostError,
  EDIT_SERIAL_BYTES,
  encodeEdit,
  encodeEntry,
  type Entry,
  type EntryRow,
  entryHash,
  loadOwn,
  saveOwn,
  type Mapping,
  normalizeDn,
  settledIn,
  type Store,
} from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BothWays } from '../config/both-ways.ts';
import { type DirectoryState, saveDirectoryState } from '../directory-state.ts';
import type { CycleEvent } from '../events.ts';
import type { OwnWrites, Postoffice } from '../postoffice.ts';
import { loadConflicts } from './conflicts.ts';
import { approveEdits, heldEdits } from './held-edits.ts';
import { settleConflict } from './settle-conflict.ts';
import { takeEdits } from './take-edits.ts';

const NAME = 'people';
const DN = 'cn=Anna,dc=x';
const KEY = Buffer.from('anna');
const id = deriveEntryId('hq', 'x', KEY);
const signal = new AbortController().signal;
const random = (count: number) => Buffer.alloc(count, 7);
const of = (...texts: string[]): Uint8Array[] => texts.map((text) => Buffer.from(text));

let store: Store;
let told: CycleEvent[];
let asked: Amendment[];
let answer: AmendOutcome | Error;
let peerNumbers = 0;

beforeEach(async () => {
  store = createMemoryStore();
  [told, asked, answer] = [[], [], { result: 'written' }];
  await prepare();
});

async function prepare(): Promise<void> {
  await store.transaction((tx) => createRequestor(tx, random));
  await put('published', anna({ title: ['Clerk'], mobile: ['1'] }), NAME);
  await store.transaction(async (tx) => {
    await tx.putAssociations(NAME, [{ id, dn: DN, normalizedDn: normalizeDn(DN) }]);
  });
}

afterEach(() => store.close());

const attributesOf = (values: Record<string, string[]>): Attributes =>
  new Map(Object.entries(values).map(([name, given]) => [name, of(...given)]));

const anna = (values: Record<string, string[]>): Entry => ({
  id,
  owner: 'hq',
  kind: 'person',
  attributes: attributesOf({ cn: ['Anna'], ...values }),
});

async function put(table: 'published' | 'replica', entry: Entry, note: string | null = null, seq = 1): Promise<void> {
  const bytes = encodeEntry(entry);
  await store.transaction(async (tx) => {
    const [before] = await tx.entriesById(table, [entry.id]);
    const row: EntryRow = {
      number: before?.number ?? 0,
      id: entry.id,
      owner: entry.owner,
      seq,
      deleted: false,
      hash: entryHash(bytes),
      bytes,
      peerNumber: table === 'replica' ? (before?.peerNumber ?? ++peerNumbers) : null,
      introduced: 1,
      changed: null,
      note,
      held: null,
      withheld: null,
    };
    await tx.putEntries(table, [row]);
  });
}

/** Somebody, mostly oslo, proposes that, and saw this. */
async function proposed(
  values: Record<string, string[]>,
  saw: Record<string, string[]>,
  editor = 'oslo',
): Promise<void> {
  const bases = [baseOf(attributesOf(saw), Object.keys(values))];
  const edit = { target: id, bases, values: attributesOf(values), serial: random(EDIT_SERIAL_BYTES) };
  await put('replica', encodeEdit(editor, edit));
}

/** `takes` null: it is only published from. */
function office(takes: BothWays['takes'] | null = { default: 'owner-wins', attributes: {} }): Postoffice {
  const own: OwnWrites | null = takes && {
    takes,
    sourceOf: (attribute) => (attribute === 'cn' ? { reason: 'cn is made' } : { attribute: `x-${attribute}` }),
    async *amend(amendments) {
      for (const one of amendments) {
        asked.push(one);
        if (answer instanceof Error) throw answer;
        yield answer;
      }
    },
  };
  const mapping = { idOfAnchor: (anchor: Uint8Array) => deriveEntryId('hq', 'x', anchor) } as Mapping;
  return {
    name: 'hq',
    store,
    requestor: { name: 'hq', random, holds: defaultHolds, clock: { now: () => 1_000 } },
    limits: defaultLimits,
    clock: { now: () => 1_000 },
    publishing: [{ directory: { name: NAME } as Directory, mapping, ...(own && { own }) }],
    subscribing: [],
    tell: (event: CycleEvent) => told.push(event),
  } as unknown as Postoffice;
}

async function published(): Promise<{ title: string | undefined; settled: number }> {
  const [row] = await store.read((tx) => tx.entriesById('published', [id]));
  const [title] = decodeEntry(row!.bytes!).attributes.get('title') ?? [];
  return { title: title && Buffer.from(title).toString(), settled: settledIn(row!.bytes!).length };
}

const conflicts = () => store.read(loadConflicts);

it('what is as the editor saw it is written, by its name there, and published as settled', async () => {
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(1);
  const [{ dn, changes, isEntry }] = asked as [Amendment];
  expect({ dn, changes }).toEqual({
    dn: DN,
    changes: [{ attribute: 'x-title', before: of('Clerk'), after: of('Boss') }],
  });
  expect([isEntry(KEY), isEntry(Buffer.from('bob'))]).toEqual([true, false]);
  expect(await published()).toEqual({ title: 'Boss', settled: 1 });
  expect(await conflicts()).toEqual([]);
  expect(await takeEdits(office(), signal)).toBe(0);
  expect(asked).toHaveLength(1);
  expect(JSON.stringify(told)).not.toMatch(/Boss|Clerk|Anna/);
});

it('nothing is written before the first write into that directory is approved', async () => {
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  const target = { directory: { name: NAME }, firstWrite: 'held' } as Postoffice['subscribing'][number];
  const held = { ...office(), subscribing: [target] };
  expect(await takeEdits(held, signal)).toBe(0);
  expect(asked).toEqual([]);
  await store.transaction((tx) => approveDirectory(tx, NAME));
  expect(await takeEdits(held, signal)).toBe(1);
});

it('what the directory has already is settled as taken: an agent died before it could say so', async () => {
  answer = { result: 'already' };
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(1);
  expect(await published()).toEqual({ title: 'Boss', settled: 1 });
});

it('dies before or after any commit, and takes the edit once all the same', async () => {
  for (const moment of ['before', 'after'] as const) {
    for (let survives = 0; survives < 3; survives++) {
      await store.close();
      store = createMemoryStore();
      await prepare();
      await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
      const real = { title: 'Clerk', writes: 0 };
      const standing = office();
      standing.publishing[0]!.own!.amend = async function* (amendments) {
        for (const { changes } of amendments) {
          const [{ before, after }] = changes as [Amendment['changes'][number]];
          const wanted = Buffer.from(after[0]!).toString();
          if (real.title === wanted) yield { result: 'already' };
          else if (real.title !== Buffer.from(before![0]!).toString())
            yield { result: 'differs', attributes: ['x-title'] };
          else {
            Object.assign(real, { title: wanted, writes: real.writes + 1 });
            yield { result: 'written' };
          }
        }
      };
      const dying = { ...standing, store: dyingStore(survives, moment) };
      const isDead = await takeEdits(dying, signal).then(
        () => false,
        () => true,
      );
      expect(isDead).toBe(survives < 2);
      await takeEdits(standing, signal);
      await takeEdits(standing, signal);
      expect({ real, published: await published() }).toEqual({
        real: { title: 'Boss', writes: 1 },
        published: { title: 'Boss', settled: 1 },
      });
      expect(await conflicts()).toEqual([]);
    }
  }
});

/** The process ends with the transaction that follows so many. */
function dyingStore(survives: number, moment: 'before' | 'after'): Store {
  let left = survives;
  return {
    read: (work) => store.read(work),
    close: () => store.close(),
    async transaction(work) {
      const dies = left-- === 0;
      if (dies && moment === 'before') throw new Error('killed');
      const result = await store.transaction(work);
      if (dies) throw new Error('killed');
      return result;
    },
  };
}

it('where a directory is only published from, an edit is settled as not taken, and the record says why', async () => {
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(null), signal)).toBe(1);
  expect(await published()).toEqual({ title: 'Clerk', settled: 1 });
  const [one] = await conflicts();
  expect(one).toMatchObject({ about: 'own', editor: 'oslo', name: 'Anna', attribute: 'title', decided: 'directory' });
  expect(one!.because).toMatch(/people is only published from/);
});

it('of what is kept from a directory that is gone, the reason names the directory and no internal note', async () => {
  await put('published', anna({ title: ['Clerk'] }), `kept:${NAME}`);
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(1);
  expect(asked).toEqual([]);
  expect(await conflicts()).toMatchObject([
    { directory: NAME, because: 'people is no longer read here; the entry stays published as it was' },
  ]);
});

it('what is never taken is settled as not taken, and the rest of the edit is taken', async () => {
  const takes = { default: 'owner-wins', attributes: { title: 'never' } } as const;
  await proposed({ title: ['Boss'], mobile: ['2'] }, { title: ['Clerk'], mobile: ['1'] });
  expect(await takeEdits(office(takes), signal)).toBe(1);
  expect(asked[0]!.changes.map(({ attribute }) => attribute)).toEqual(['x-mobile']);
  expect(await published()).toEqual({ title: 'Clerk', settled: 1 });
  expect(await conflicts()).toMatchObject([
    { attribute: 'title', decided: 'directory', because: 'takes: never, of people' },
  ]);
});

/** Edits by oslo of the titles of so many own entries. */
async function manyProposed(count: number): Promise<void> {
  await store.transaction(async (tx) => saveOwn(tx, { ...(await loadOwn(tx)), seq: 1 + count }));
  for (let i = 0; i < count; i++) {
    const own = deriveEntryId('hq', 'x', Buffer.from(`person ${i}`));
    const dn = `cn=Person ${i},dc=x`;
    await put('published', { ...anna({ title: ['Clerk'] }), id: own }, NAME, 2 + i);
    await store.transaction((tx) => tx.putAssociations(NAME, [{ id: own, dn, normalizedDn: normalizeDn(dn) }]));
    const saw = attributesOf({ title: ['Clerk'] });
    const values = attributesOf({ title: [] });
    await put(
      'replica',
      encodeEdit('oslo', { target: own, bases: [baseOf(saw, ['title'])], values, serial: random(EDIT_SERIAL_BYTES) }),
    );
  }
}

it('edits of many entries at once wait for an approval, once for each such flood', async () => {
  const target = { directory: { name: NAME }, firstWrite: 'allowed', both: {} } as Postoffice['subscribing'][number];
  const both = { ...office(), subscribing: [target] };
  const waiting = () => store.read((tx) => heldEdits(tx, both));
  await manyProposed(11);
  expect(await takeEdits(both, signal)).toBe(0);
  expect(asked).toEqual([]);
  expect(await waiting()).toMatchObject([{ directory: NAME, place: 'own', entries: 11, sinceMs: 1_000 }]);
  expect(told.map(({ text }) => text)).toEqual([
    expect.stringMatching(/11 entries .*the limit is 10 and 5 %.*dirpost approve people/),
  ]);
  expect(await store.transaction((tx) => approveEdits(tx, NAME))).toEqual({ container: 0, own: 11 });
  answer = { result: 'later', code: 'busy' };
  expect(await takeEdits(both, signal)).toBe(0);
  answer = { result: 'written' };
  expect(await takeEdits(both, signal)).toBe(11);
  expect(await waiting()).toEqual([]);
  expect(asked).toHaveLength(22);
});

it('edits of few entries, and of few among many, are taken at once', async () => {
  await manyProposed(10);
  expect(await takeEdits(office(), signal)).toBe(10);
  const read = { published: 1_000 } as DirectoryState['read'];
  await store.close();
  store = createMemoryStore();
  await prepare();
  await store.transaction((tx) =>
    saveDirectoryState(tx, { name: NAME, lastReadMs: 1, lastCompleteMs: 1, read, readProblem: null, write: null }),
  );
  await manyProposed(12);
  expect(await takeEdits(office(), signal)).toBe(12);
});

it('what the directory refuses is settled as not taken, with its code', async () => {
  answer = { result: 'refused', code: 'constraintViolation', reason: 'too long' };
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(1);
  expect(await published()).toEqual({ title: 'Clerk', settled: 1 });
  expect(await conflicts()).toMatchObject([{ decided: 'directory', because: 'constraintViolation: too long' }]);
});

it('of an edit of several attributes those are taken that may be', async () => {
  await proposed({ title: ['Boss'], cn: ['Eve'] }, { title: ['Clerk'], cn: ['Anna'] });
  expect(await takeEdits(office(), signal)).toBe(1);
  expect(asked[0]!.changes.map(({ attribute }) => attribute)).toEqual(['x-title']);
  expect(await published()).toEqual({ title: 'Boss', settled: 1 });
  expect(await conflicts()).toMatchObject([{ attribute: 'cn', because: 'cn is made' }]);
});

it.each([
  ['a server that is busy', { result: 'later', code: 'busy' } as const],
  ['one that does not answer', new DirpostError('directory-failed', 'Nobody answers.', { retry: 'later' })],
])('%s is asked again, and nothing is settled before', async (_, given) => {
  answer = given;
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(0);
  expect(await published()).toEqual({ title: 'Clerk', settled: 0 });
  answer = { result: 'written' };
  expect(await takeEdits(office(), signal)).toBe(1);
});

it('a directory that has another value than is published is read first; if that changes nothing, the edit is not taken', async () => {
  answer = { result: 'differs', attributes: ['x-title'] };
  const read = (lastCompleteMs: number) =>
    store.transaction((tx) =>
      saveDirectoryState(tx, { name: NAME, lastReadMs: 1, lastCompleteMs, read: null, readProblem: null, write: null }),
    );
  await read(1);
  await proposed({ title: ['Boss'] }, { title: ['Clerk'] });
  expect(await takeEdits(office(), signal)).toBe(0);
  expect(await takeEdits(office(), signal)).toBe(0);
  await read(2);
  expect(await takeEdits(office(), signal)).toBe(1);
  expect(await published()).toEqual({ title: 'Clerk', settled: 1 });
});

it('where the owner changed it too his policy decides, for each attribute', async () => {
  const takes = { default: 'owner-wins', attributes: { title: 'editor-wins' } } as const;
  await proposed({ title: ['Boss'], mobile: ['2'] }, { title: ['Poet'], mobile: ['0'] });
  expect(await takeEdits(office(takes), signal)).toBe(1);
  expect(asked[0]!.changes).toEqual([{ attribute: 'x-title', before: null, after: of('Boss') }]);
  expect(await published()).toEqual({ title: 'Boss', settled: 1 });
  expect((await conflicts()).map(({ attribute, decided, because }) => [attribute, decided, because])).toEqual([
    ['mobile', 'directory', 'owner-wins'],
    ['title', 'network', 'editor-wins'],
  ]);
});

it('edits that wait for an administrator hold up none behind them', async () => {
  for (let i = 0; i < 501; i++) await proposed({ title: ['Boss'] }, { title: ['Poet'] }, `branch${i}`);
  await proposed({ mobile: ['2'] }, { mobile: ['1'] }, 'oslo');
  expect(await takeEdits(office({ default: 'no-change', attributes: {} }), signal)).toBe(1);
  expect(asked).toMatchObject([{ dn: DN }]);
});

it.each([
  ['network', 'Boss'],
  ['directory', 'Clerk'],
] as const)('what waits is settled when an administrator takes the %s', async (side, title) => {
  const takes = { default: 'no-change', attributes: {} } as const;
  await proposed({ title: ['Boss'] }, { title: ['Poet'] });
  expect(await takeEdits(office(takes), signal)).toBe(0);
  expect(await takeEdits(office(takes), signal)).toBe(0);
  const [{ number, decided }] = (await conflicts()) as unknown as [{ number: number; decided: null }];
  expect(decided).toBeNull();
  expect(asked).toEqual([]);
  await store.transaction((tx) => settleConflict(tx, office(takes), number, side));
  await expect(store.transaction((tx) => settleConflict(tx, office(takes), number, side))).rejects.toThrow(/settled/);
  expect(await takeEdits(office(takes), signal)).toBe(1);
  expect(await published()).toEqual({ title, settled: 1 });
  expect((await conflicts()).map((one) => [one.decided, one.wanted])).toEqual([[side, undefined]]);
});
