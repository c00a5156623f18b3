/** Edits against a real store: what the editor publishes, and what the owner of their targets does with them. */
import { randomBytes } from 'node:crypto';
import { createMemoryStore } from '@dirpost/adapters';
import {
  type Attributes,
  attributeValues,
  baseOf,
  compileList,
  compileMapping,
  createRequestor,
  decodeEntry,
  defaultHolds,
  defaultLimits,
  DigestSum,
  type DirectoryEntry,
  DirectoryReading,
  editOf,
  editRefusal,
  effectsBetween,
  encodeEdit,
  encodeEntry,
  entryHash,
  type EntryRow,
  foldedRows,
  loadOwn,
  ownEdits,
  pendingEdits,
  proposeEdit,
  saveOwn,
  settledEdits,
  settledIn,
  settleEdit,
  type Store,
  sweepSettled,
  withdrawEdit,
  withSettled,
} from '@dirpost/core';
import { beforeEach, describe, expect, it } from 'vitest';

const DAY_MS = 24 * 3_600_000;
let store: Store;
let nowMs = 0;
const oslo = { name: 'oslo', random: randomBytes, clock: { now: () => nowMs } };
const mapping = compileMapping({ owner: 'oslo', key: 'uid', space: 'uid', limits: defaultLimits });
const anna = mapping.idOfAnchor(Buffer.from('anna'));
const foreign = Buffer.alloc(16, 9);

const values = (fields: Record<string, string[]>): Attributes =>
  new Map(Object.entries(fields).map(([name, all]) => [name, all.map((value) => Buffer.from(value))]));

beforeEach(async () => {
  nowMs = 0;
  store = createMemoryStore();
  await store.transaction((tx) => createRequestor(tx, randomBytes));
});

function row(bytes: Uint8Array, fields: Partial<EntryRow> = {}): EntryRow {
  const { id, owner } = decodeEntry(bytes);
  const rest = { peerNumber: null, introduced: 0, changed: null, note: null, held: null, withheld: null };
  return { number: 0, id, owner, seq: 0, deleted: false, hash: entryHash(bytes), bytes, ...rest, ...fields };
}

const inReplica = (bytes: Uint8Array) => store.transaction((tx) => tx.putEntries('replica', [row(bytes)]));

async function published(id: Uint8Array): Promise<Uint8Array> {
  const [found] = await store.read((tx) => tx.entriesById('published', [id]));
  return found!.bytes!;
}

async function digestAgrees(): Promise<void> {
  const sum = new DigestSum();
  const { own, rows } = await store.read(async (tx) => ({
    own: await loadOwn(tx),
    rows: (await tx.scanEntries('published', 0, 100)).filter(({ deleted }) => !deleted),
  }));
  for (const { hash, bytes } of rows) {
    expect(entryHash(bytes!)).toEqual(hash);
    sum.add(hash);
  }
  expect([own.digest, own.live]).toEqual([sum.digest(), rows.length]);
}

/** T0. */
async function read(fields: Record<string, string[]>): Promise<number> {
  const attributes = values({ objectclass: ['person'], uid: ['anna'], cn: ['Anna'], ...fields });
  const entry: DirectoryEntry = { dn: 'uid=anna,dc=oslo', attributes };
  const reading = new DirectoryReading(store, 'oslo', 'people', mapping, { holds: defaultHolds, clock: oslo.clock });
  await reading.begin();
  await reading.take([entry]);
  const certificate = { complete: true, remarks: [], entries: 1, source: 'test', bookmark: null };
  const { changed, added } = await reading.finish(certificate);
  return changed + added;
}

describe('an edit of an own entry', () => {
  let serial = 0;

  /** In the replica; its bytes. */
  async function arrives(editor: string, saw: Record<string, string[]>, wanted: Record<string, string[]>) {
    const bases = [baseOf(values(saw), Object.keys(wanted))];
    const edit = { target: anna, bases, serial: Buffer.alloc(8, ++serial), values: values(wanted) };
    const bytes = encodeEntry(encodeEdit(editor, edit));
    await inReplica(bytes);
    return bytes;
  }

  const pending = (policy: 'owner-wins' | 'editor-wins' = 'owner-wins') =>
    store.read((tx) => pendingEdits(tx, 10, () => policy));
  const settle = (edit: Uint8Array, take: string[]) =>
    store.transaction((tx) => settleEdit(tx, oslo, { target: anna, hash: entryHash(edit), take }));
  const sweep = () => store.transaction((tx) => sweepSettled(tx, oslo));

  it('is taken if it is based on what the entry is, and told to be settled in the same change', async () => {
    await read({ title: ['clerk'] });
    const edit = await arrives('lima', { title: ['clerk'] }, { title: ['chief'] });
    expect(await pending()).toMatchObject([{ editor: 'lima', verdict: 'take', take: ['title'], lost: [] }]);
    const before = (await store.read(loadOwn)).seq;
    expect(await settle(edit, ['title'])).toBe('settled');
    expect((await store.read(loadOwn)).seq).toBe(before + 1);
    expect(attributeValues(await published(anna), 'title').map(String)).toEqual(['chief']);
    expect(settledIn(await published(anna))).toEqual([entryHash(edit)]);
    expect(await pending()).toEqual([]);
    expect(await settle(edit, ['title'])).toBe('settled');
    expect((await store.read(loadOwn)).seq).toBe(before + 1);
    await digestAgrees();
  });

  it('is a conflict if the entry has changed: policies of attributes say what is taken', async () => {
    await read({ title: ['boss'], mobile: ['1'] });
    await arrives('lima', { title: ['clerk'], mobile: ['1'] }, { title: ['chief'], mobile: ['2'] });
    expect(await pending()).toMatchObject([{ verdict: 'conflict', take: [], lost: ['mobile', 'title'] }]);
    expect(await pending('editor-wins')).toMatchObject([{ verdict: 'conflict', take: ['mobile', 'title'], lost: [] }]);
  });

  it('of what is so already is only told to be settled', async () => {
    await read({ title: ['chief'] });
    const edit = await arrives('lima', { title: ['clerk'] }, { title: ['chief'], mobile: [] });
    expect(await pending()).toMatchObject([{ verdict: 'already', take: [], lost: [] }]);
    await settle(edit, []);
    expect(settledIn(await published(anna))).toEqual([entryHash(edit)]);
  });

  it('stays marked whatever is read, is no change, and its mark goes with the edit', async () => {
    await read({ title: ['clerk'] });
    const edit = await arrives('lima', { title: ['clerk'] }, { title: ['chief'] });
    await settle(edit, ['title']);
    expect(await read({ title: ['chief'] })).toBe(0);
    expect(await read({ title: ['chief'], mobile: ['1'] })).toBe(1);
    expect(settledIn(await published(anna))).toEqual([entryHash(edit)]);
    expect(await sweep()).toBe(0);
    const [found] = await store.read((tx) => tx.editsOf('replica', [anna]));
    await store.transaction((tx) => tx.removeEntries('replica', [found![0]!.number]));
    expect(await sweep()).toBe(1);
    expect(settledIn(await published(anna))).toEqual([]);
    await digestAgrees();
  });

  it('that comes back is told to be settled, and not taken once more, for as long as it is remembered', async () => {
    await read({ title: ['clerk'] });
    const edit = await arrives('lima', { title: ['clerk'] }, { title: ['chief'] });
    await settle(edit, ['title']);
    const remove = async () => {
      const [found] = await store.read((tx) => tx.editsOf('replica', [anna]));
      await store.transaction((tx) => tx.removeEntries('replica', [found![0]!.number]));
      await sweep();
    };
    await remove();
    await read({ title: ['clerk'] });
    await inReplica(edit);
    expect(await pending('editor-wins')).toMatchObject([{ verdict: 'already', take: [] }]);
    await settle(edit, ['title']);
    expect(attributeValues(await published(anna), 'title').map(String)).toEqual(['clerk']);
    nowMs += 91 * DAY_MS;
    await remove();
    await inReplica(edit);
    expect(await pending()).toMatchObject([{ verdict: 'take' }]);
    expect(await store.read((tx) => tx.documentNames('settled/'))).toEqual([]);
  });

  it('that is not there, or of which only other attributes are named, changes nothing', async () => {
    await read({ title: ['clerk'] });
    const edit = await arrives('lima', { title: ['clerk'] }, { title: ['chief'] });
    expect(await settle(withSettled(edit, [foreign]), ['title'])).toBe('gone');
    await settle(edit, ['cn']);
    expect(attributeValues(await published(anna), 'cn').map(String)).toEqual(['Anna']);
  });

  it('has no effect that a limit is for, neither when it goes nor when its mark does', () => {
    const made = { target: anna, bases: [foreign], serial: Buffer.alloc(8), values: values({ title: ['x'] }) };
    expect(effectsBetween(encodeEntry(encodeEdit('lima', made)), null).effects).toBe(0);
    const entry = encodeEntry({ id: anna, owner: 'oslo', kind: 'person', attributes: values({ cn: ['Anna'] }) });
    expect(effectsBetween(withSettled(entry, [foreign]), entry).effects).toBe(0);
    expect(effectsBetween(entry, null).effects).not.toBe(0);
  });
});

describe("an edit of somebody else's entry", () => {
  const saw = values({ title: ['clerk'], mobile: ['1'] });
  const theirs = encodeEntry({ id: foreign, owner: 'lima', kind: 'person', attributes: saw });
  const propose = (wanted: Record<string, string[]>, seen = saw) =>
    store.transaction((tx) => proposeEdit(tx, oslo, { target: foreign, values: values(wanted), saw: seen }));
  const own = () => store.read(async (tx) => (await ownEdits(tx, [foreign]))[0]);

  it('is published, once, until it is withdrawn; a read of the directory does not touch it', async () => {
    expect(await propose({ title: ['chief'], mobile: [] })).toBe('proposed');
    expect(await propose({ mobile: [], title: ['chief'] })).toBe('as it is');
    await read({});
    await digestAgrees();
    expect((await own())!.values).toEqual(values({ title: ['chief'], mobile: [] }));
    expect(await store.transaction((tx) => withdrawEdit(tx, oslo, foreign))).toBe(true);
    expect(await store.transaction((tx) => withdrawEdit(tx, oslo, foreign))).toBe(false);
    expect(await own()).toBeUndefined();
    await digestAgrees();
  });

  it('that replaces another is based on the entry with and without that one', async () => {
    await propose({ title: ['chief'] });
    const first = (await own())!;
    await propose({ title: ['boss'] });
    const bases = (await own())!.bases.map(String);
    expect(bases.sort()).toEqual([baseOf(saw, ['title']), baseOf(first.values, ['title'])].map(String).sort());
    await propose({ title: ['clerk'], mobile: ['2'] });
    expect((await own())!.bases).toHaveLength(2);
    await digestAgrees();
  });

  it('is at its end when it is marked, or what it is of is gone; not while nothing is known', async () => {
    await propose({ title: ['chief'], mobile: ['2'] });
    const ended = () => store.read((tx) => settledEdits(tx));
    expect(await ended()).toEqual([]);
    await store.transaction(async (tx) => {
      const record = await loadOwn(tx);
      record.cursor = { cookie: '', incarnation: '0.1', seq: 1, list: 'all', number: 1 };
      await saveOwn(tx, record);
    });
    expect(await ended()).toMatchObject([{ outcome: 'gone', taken: [] }]);
    await inReplica(theirs);
    expect(await ended()).toEqual([]);
    const { hash } = (await own())!;
    const taken = encodeEntry({ ...decodeEntry(theirs), attributes: values({ title: ['chief'], mobile: ['1'] }) });
    const [found] = await store.read((tx) => tx.entriesById('replica', [foreign]));
    const marked = row(withSettled(taken, [hash]), { number: found!.number });
    await store.transaction((tx) => tx.putEntries('replica', [marked]));
    expect(await ended()).toMatchObject([{ outcome: 'settled', taken: ['title'], hash }]);
  });

  it('is shown in the entry until it is settled, with those of others, and never as an entry', async () => {
    await inReplica(theirs);
    await propose({ title: ['chief'] });
    const bonns = { target: foreign, bases: [foreign], serial: Buffer.alloc(8), values: values({ mobile: [] }) };
    await inReplica(encodeEntry(encodeEdit('bonn', bonns)));
    const shown = () =>
      store.read(async (tx) => {
        const folded = await foldedRows(tx, await tx.scanEntries('replica', 0, 10));
        return folded.map((bytes) => (bytes === null ? null : decodeEntry(bytes).attributes));
      });
    expect(await shown()).toEqual([values({ title: ['chief'] }), null]);
    const { hash } = (await own())!;
    const [found] = await store.read((tx) => tx.entriesById('replica', [foreign]));
    await store.transaction((tx) =>
      tx.putEntries('replica', [row(withSettled(theirs, [hash]), { number: found!.number })]),
    );
    expect(await shown()).toEqual([values({ title: ['clerk'] }), null]);
  });

  it('of names, members or passwords cannot be proposed', async () => {
    for (const name of ['objectclass', 'entrydn', 'member', 'member;entryid', 'userpassword', 'x-edit-settled'])
      await expect(propose({ [name]: ['x'] })).rejects.toMatchObject({ code: 'wrong-use' });
    await expect(propose({})).rejects.toMatchObject({ code: 'wrong-use' });
  });
});

describe('the server', () => {
  const everybody = { name: 'everybody', filter: '(!(title=secret))', attributes: ['*'], receivers: '*' as const };
  const target = (fields: Record<string, string[]> = {}) =>
    row(encodeEntry({ id: foreign, owner: 'lima', kind: 'person', attributes: values({ cn: ['Uta'], ...fields }) }));
  const edit = (wanted: Record<string, string[]>) => {
    const made = { target: foreign, bases: [foreign], serial: Buffer.alloc(8), values: values(wanted) };
    return encodeEntry(encodeEdit('oslo', made));
  };
  const lists = [
    { ...everybody, name: 'few', attributes: ['cn', 'mail'], receivers: ['bonn'] },
    { ...everybody, edits: ['title', 'mail'] },
  ].map(compileList);
  const refusal = (wanted: Record<string, string[]>, of = target(), editor = 'oslo') =>
    editRefusal(lists, editor, edit(wanted), of);

  it('takes edits of what the list of the editor says, of entries on it, and none by default', () => {
    expect(refusal({ title: ['x'] })).toBeNull();
    expect(refusal({ 'mail;lang-no': [] })).toBeNull();
    expect(refusal({ mobile: ['1'] })).toEqual({
      code: 'edit-not-allowed',
      reason: 'the list everybody takes no edits of mobile',
    });
    expect(refusal({ title: ['x'], mobile: [] })).toMatchObject({ code: 'edit-not-allowed' });
    expect(refusal({ mail: ['x'] }, target(), 'bonn')).toMatchObject({ code: 'edit-not-allowed' });
    expect(refusal({ title: ['x'] }, { ...target(), owner: 'oslo' })).toMatchObject({ code: 'edit-not-allowed' });
  });

  it('lets those wait whose entries are not on the lists now, and refuses those that the owner would not see', () => {
    expect(editRefusal(lists, 'oslo', edit({ title: ['x'] }), undefined)).toMatchObject({ code: 'edit-waits' });
    expect(refusal({ title: ['x'] }, target({ title: ['secret'] }))).toMatchObject({ code: 'edit-waits' });
    expect(refusal({ title: ['x'] }, { ...target(), deleted: true, bytes: null })).toMatchObject({
      code: 'edit-waits',
    });
    expect(refusal({ title: ['x'] }, { ...target(), owner: 'bonn' })).toEqual({
      code: 'edit-not-allowed',
      reason: 'the list that bonn follows does not release title',
    });
    expect(refusal({ mail: ['x'] }, { ...target(), owner: 'bonn' })).toBeNull();
  });

  it('refuses what is malformed, whatever it may be', () => {
    const good = edit({ title: ['x'] });
    for (let at = 17; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x41;
      let isRead = true;
      try {
        editOf(bad);
      } catch {
        isRead = false;
      }
      if (!isRead) expect(editRefusal(lists, 'oslo', bad, target())).not.toBeNull();
    }
  });
});
