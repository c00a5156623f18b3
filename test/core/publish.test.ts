/** T0 against a real store: what a read of a directory publishes. */
import { createMemoryStore } from '@dirpost/adapters';
import {
  compileMapping,
  createRequestor,
  decodeEntry,
  defaultLimits,
  type DirectoryEntry,
  DirectoryReading,
  DigestSum,
  EMPTY_DIGEST,
  type HoldLimits,
  loadOwn,
  type ReadCertificate,
  type ReadSummary,
  type Store,
} from '@dirpost/core';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';

let store: Store;
const mapping = compileMapping({ owner: 'oslo', key: 'entryUUID', space: 'entryuuid', limits: defaultLimits });
const never: HoldLimits = {
  removals: { above: 0, percent: 100 },
  clearedValues: { above: 0, percent: 100 },
  lostMembers: { above: 0, percent: 100 },
  renames: { above: 0, percent: 100 },
};
const complete: ReadCertificate = { complete: true, remarks: [], entries: 0, source: 'test', bookmark: null };

beforeEach(async () => {
  store = createMemoryStore();
  await store.transaction((tx) => createRequestor(tx, randomBytes));
});

function person(uid: string, change: Record<string, string> = {}): DirectoryEntry {
  const attributes = { objectclass: 'person', uid, cn: uid, entryuuid: `u-${uid}`, ...change };
  const values = Object.entries(attributes).map(([name, value]): [string, Buffer[]] => [name, [Buffer.from(value)]]);
  return { dn: `uid=${uid},dc=oslo`, attributes: new Map(values) };
}

function group(name: string, members: string[]): DirectoryEntry {
  const entry = person(name, { objectclass: 'groupOfNames' });
  entry.attributes.set(
    'member',
    members.map((uid) => Buffer.from(`UID=${uid}, dc=oslo`)),
  );
  return entry;
}

async function read(
  entries: DirectoryEntry[],
  options: { certificate?: Partial<ReadCertificate>; directory?: string; preview?: boolean } = {},
): Promise<ReadSummary> {
  const reading = new DirectoryReading(store, 'oslo', options.directory ?? 'people', mapping, {
    holds: never,
    clock: { now: () => 0 },
  });
  await reading.begin();
  for (const entry of entries) await reading.take([entry]);
  return reading.finish({ ...complete, ...options.certificate }, options.preview);
}

const own = () => store.read(loadOwn);
const rows = () => store.read((tx) => tx.scanEntries('published', 0, 1_000));

async function digestAgrees(): Promise<void> {
  const sum = new DigestSum();
  for (const row of await rows()) if (!row.deleted) sum.add(row.hash);
  expect((await own()).digest).toBe(sum.digest());
}

describe('a complete read', () => {
  it('publishes what is new, changed and gone, each under its own seq', async () => {
    expect(await read([person('anna'), person('bo')])).toMatchObject({
      added: 2,
      changed: 0,
      removed: 0,
      published: 2,
    });
    const second = await read([person('anna', { mail: 'a@x' }), person('cy')]);
    expect(second).toMatchObject({ added: 1, changed: 1, removed: 1, published: 2 });
    const all = await rows();
    expect(all.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual([3, 4, 5]);
    expect(all.find(({ changed }) => changed !== null)?.changed).toEqual({ mail: 3 });
    expect((await own()).live).toBe(2);
    await digestAgrees();
  });

  it('of the same content changes nothing', async () => {
    await read([person('anna'), group('all', ['anna'])]);
    const before = await own();
    expect(await read([person('anna'), group('all', ['anna'])])).toMatchObject({ added: 0, changed: 0, removed: 0 });
    expect(await own()).toEqual(before);
  });

  it('of nothing empties what is published', async () => {
    await read([person('anna')]);
    expect(await read([])).toMatchObject({ removed: 1 });
    expect((await own()).digest).toBe(EMPTY_DIGEST);
  });

  it('of a person who came back publishes him whole, under the same id and number', async () => {
    await read([person('anna')]);
    const [before] = await rows();
    await read([]);
    await read([person('anna')]);
    const [after] = await rows();
    expect(after).toMatchObject({
      number: before!.number,
      id: before!.id,
      deleted: false,
      introduced: 3,
      changed: null,
    });
  });
});

describe('an incomplete read', () => {
  it('publishes nothing and removes nothing', async () => {
    await read([person('anna'), person('bo')]);
    const before = await rows();
    await read([person('anna', { mail: 'a@x' })], { certificate: { complete: false, remarks: ['half-written'] } });
    expect(await rows()).toEqual(before);
  });

  it('leaves nothing behind for the next one', async () => {
    await read([person('anna')]);
    await read([person('bo')], { certificate: { complete: false } });
    expect(await read([person('anna')])).toMatchObject({ added: 0, changed: 0, removed: 0 });
  });
});

it('a preview counts, and changes nothing', async () => {
  await read([person('anna')]);
  const before = [await rows(), await own()];
  expect(await read([person('bo')], { preview: true })).toMatchObject({ added: 1, removed: 1 });
  expect([await rows(), await own()]).toEqual(before);
});

it('two entries with one key are refused both, and what was published stays', async () => {
  await read([person('anna')]);
  const twin = { ...person('bo', { entryuuid: 'u-anna' }), dn: 'uid=twin,dc=oslo' };
  const summary = await read([person('anna', { mail: 'a@x' }), twin]);
  expect(summary).toMatchObject({ refusedCount: 2 });
  expect(summary.refused.map(({ dn, code }) => [dn, code])).toEqual([
    ['uid=twin,dc=oslo', 'duplicate-id'],
    ['uid=anna,dc=oslo', 'duplicate-id'],
  ]);
  const [row] = await rows();
  expect([...decodeEntry(row!.bytes!).attributes.keys()]).not.toContain('mail');
});

describe('who is refused', () => {
  const large = () => person('anna', { cn: 'x'.repeat(defaultLimits.maxValueBytes + 1) });
  const withoutKey = (uid: string) => {
    const entry = person(uid);
    entry.attributes.delete('entryuuid');
    return entry;
  };
  const unclear: DirectoryEntry = { dn: 'cn=line 7', attributes: new Map(), unclear: true };

  it('stays published as he was, and is told', async () => {
    await read([person('anna'), person('bo')]);
    const before = await rows();
    const summary = await read([large(), person('bo')]);
    expect(summary).toMatchObject({ refusedCount: 1, removed: 0, changed: 0, published: 1 });
    expect(summary.refused).toMatchObject([{ dn: 'uid=anna,dc=oslo', code: 'too-large' }]);
    expect(await rows()).toEqual(before);
    expect(await read([person('anna', { mail: 'a@x' }), person('bo')])).toMatchObject({ added: 0, changed: 1 });
    await digestAgrees();
  });

  it('stays with another who has the same key', async () => {
    await read([person('anna')]);
    expect(await read([large(), person('anna', { mail: 'a@x' })])).toMatchObject({ refusedCount: 2, published: 0 });
    expect(await read([person('anna', { mail: 'a@x' }), large()])).toMatchObject({ refusedCount: 2, published: 0 });
    expect((await rows()).map(({ seq }) => seq)).toEqual([1]);
  });

  it('without a key is known by his DN', async () => {
    await read([person('anna'), person('bo')]);
    expect(await read([withoutKey('anna'), withoutKey('cy')])).toMatchObject({ refusedCount: 2, removed: 1 });
    const live = (await rows()).filter(({ deleted }) => !deleted).map(({ bytes }) => decodeEntry(bytes!).attributes);
    expect(live.map((attributes) => String(attributes.get('uid')![0]))).toEqual(['anna']);
    await digestAgrees();
  });

  it('without a key, under the DN of somebody who moved, leaves him alone', async () => {
    await read([person('anna')]);
    const moved = { ...person('anna'), dn: 'uid=anna,ou=new,dc=oslo' };
    expect(await read([withoutKey('anna'), moved])).toMatchObject({ refusedCount: 1, changed: 1, removed: 0 });
  });

  it('and might be anybody holds the removals, however few, until they are approved or all is clear', async () => {
    await read([person('anna'), person('bo')]);
    const summary = await read([person('bo'), unclear]);
    expect(summary).toMatchObject({ removed: 0, held: { removals: 1 } });
    expect((await own()).heldAtCollect['people']).toMatchObject({ unclear: 1, held: { removals: 1 } });
    expect(await read([person('anna'), person('bo'), unclear])).toMatchObject({ held: { removals: 0 } });
    await read([person('bo'), unclear]);
    expect(await read([person('bo')])).toMatchObject({ removed: 1 });
    expect((await own()).heldAtCollect).toEqual({});
  });
});

it('two directories do not publish the same entry, and do not remove those of the other', async () => {
  await read([person('anna')]);
  expect(await read([person('anna'), person('bo')], { directory: 'more' })).toMatchObject({
    added: 1,
    refusedCount: 1,
  });
  expect(await read([], { directory: 'more' })).toMatchObject({ removed: 1 });
  expect((await own()).live).toBe(1);
});

describe('groups', () => {
  it('name their members by entry id, wherever they stand in the directory', async () => {
    const summary = await read([group('all', ['anna', 'bo', 'nobody']), person('anna'), person('bo')]);
    expect(summary.unknownMembers).toBe(1);
    const all = await rows();
    const members = decodeEntry(all.find(({ bytes }) => decodeEntry(bytes!).kind === 'group')!.bytes!).attributes.get(
      'member;entryid',
    )!;
    const people = all
      .filter(({ bytes }) => decodeEntry(bytes!).kind === 'person')
      .map(({ id }) => Buffer.from(id).toString('hex'));
    expect(members.map((id) => Buffer.from(id).toString('hex')).toSorted()).toEqual(people.toSorted());
  });

  it('that are members of each other are published', async () => {
    expect(await read([group('a', ['b']), group('b', ['a'])])).toMatchObject({ added: 2, unknownMembers: 0 });
  });

  it('change when a member leaves', async () => {
    await read([group('all', ['anna', 'bo']), person('anna'), person('bo')]);
    const summary = await read([group('all', ['anna', 'bo']), person('anna')]);
    expect(summary).toMatchObject({ removed: 1, changed: 1, unknownMembers: 1 });
    await digestAgrees();
  });
});
