/** T0: a directory whose entries came back under other keys. */
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  approve,
  compileMapping,
  createRequestor,
  defaultHolds,
  defaultLimits,
  DigestSum,
  type DirectoryEntry,
  DirectoryReading,
  type HoldLimits,
  keepDirectory,
  loadOwn,
  type ReadBatch,
  type ReadCertificate,
  type ReadSummary,
} from '@dirpost/core';
import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';

const never: HoldLimits = {
  removals: { above: 0, percent: 100 },
  clearedValues: { above: 0, percent: 100 },
  lostMembers: { above: 0, percent: 100 },
  renames: { above: 0, percent: 100 },
};
const options = { owner: 'oslo', key: 'entryUUID', space: 'entryuuid', limits: defaultLimits };
const mapping = compileMapping({ ...options, match: ['employeeNumber', 'uid', 'mail'] });

let store: MemoryStore;

beforeEach(async () => {
  store = createMemoryStore();
  await store.transaction((tx) => createRequestor(tx, randomBytes));
});

const octets = (text: string) => Buffer.from(text);

function entry(key: string, name: string, values: Record<string, string | string[]> = {}): DirectoryEntry {
  const all = { objectclass: 'person', cn: name, entryuuid: key, ...values };
  const attributes = new Map(Object.entries(all).map(([one, value]) => [one, [value].flat().map(octets)]));
  return { dn: `cn=${name},dc=oslo`, attributes };
}

const person = (key: string, uid: string, values: Record<string, string | string[]> = {}) =>
  entry(key, uid, { uid, mail: `${uid}@oslo.example`, ...values });

const group = (key: string, name: string, members: string[]) =>
  entry(key, name, { objectclass: 'groupOfNames', member: members.map((one) => `cn=${one},dc=oslo`) });

interface Way {
  holds?: HoldLimits;
  by?: typeof mapping;
  into?: MemoryStore;
  since?: Pick<ReadBatch, 'present' | 'gone'>;
  extent?: 'whole' | 'delta';
  preview?: boolean;
  /** Its name in the configuration, where it is the only one. */
  name?: string;
}

/** As collect.ts does it. `all`: what a read of everything would give. */
async function read(entries: DirectoryEntry[], way: Way = {}, all = entries): Promise<ReadSummary> {
  const {
    holds = never,
    by = mapping,
    into = store,
    since = {},
    extent = 'whole',
    preview = false,
    name = 'people',
  } = way;
  const reading = new DirectoryReading(into, 'oslo', name, by, { holds, clock: { now: () => 0 } });
  const whole = extent === 'whole' && since.present === undefined;
  await reading.begin({ configuration: 'same', whole, configured: [name] });
  const certificate: ReadCertificate = {
    complete: true,
    remarks: [],
    entries: 0,
    source: 'test',
    bookmark: 'next',
    extent,
  };
  for (const one of entries) await reading.take([one]);
  await reading.take([], since);
  if (!(await reading.needsWhole(certificate))) return reading.finish(certificate, preview);
  await reading.restart();
  for (const one of all) await reading.take([one]);
  return reading.finish({ ...certificate, extent: 'whole' }, preview);
}

const rows = (of = store) => of.read((tx) => tx.scanEntries('published', 0, 10_000));
/** DN → entry id, of those who are published. */
async function ids(of = store): Promise<Record<string, string>> {
  const live = (await rows(of)).filter(({ deleted }) => !deleted);
  const associations = await of.read((tx) =>
    tx.associationsById(
      'people',
      live.map(({ id }) => id),
    ),
  );
  return Object.fromEntries(live.map(({ id }, i) => [associations[i]?.dn ?? '', Buffer.from(id).toString('hex')]));
}

const people = (key: (name: string) => string, count = 40) =>
  Array.from({ length: count }, (_, i) => person(key(`p${i}`), `p${i}`));
const old = (name: string) => `old-${name}`;
const fresh = (name: string) => `new-${name}`;

describe('entries that come back under other keys', () => {
  it('keep their ids, and nobody is removed or added', async () => {
    await read([...people(old), group('old-g', 'g', ['p1', 'p2'])]);
    const before = await ids();
    const summary = await read([...people(fresh), group('new-g', 'g', ['p1', 'p2'])]);
    // The key is an attribute, too.
    expect(summary).toMatchObject({ added: 0, removed: 0, changed: 41, recognised: 41, published: 41 });
    expect(await ids()).toEqual(before);
    const changed = new Set((await rows()).flatMap((row) => Object.keys(row.changed ?? {})));
    expect([...changed]).toEqual(['entryuuid']);
  });

  it('are known under them from then on: changes, deltas, removals', async () => {
    await read(people(old));
    const before = await ids();
    await read(people(fresh));
    const [first, ...others] = people(fresh);
    const promoted = person('new-p0', 'p0', { title: 'Director' });
    expect(await read([promoted, ...others])).toMatchObject({ added: 0, removed: 0, changed: 1, recognised: 0 });
    const gone = { gone: [octets('new-p1')] };
    expect(await read([first!], { extent: 'delta', since: gone })).toMatchObject({ changed: 1, removed: 1, added: 0 });
    const present = { present: others.slice(1).map(({ attributes }) => attributes.get('entryuuid')![0]!) };
    expect(await read([promoted], { since: present })).toMatchObject({ changed: 1, removed: 0, added: 0 });
    const { 'cn=p1,dc=oslo': left, ...stay } = before;
    expect(left).toBeDefined();
    expect(await ids()).toEqual(stay);
  });

  it('are recognised once more when the store is restored from before', async () => {
    await read(people(old));
    const image = store.serialize();
    await read(people(fresh));
    const after = await ids();
    const restored = createMemoryStore(image);
    expect(await read(people(fresh), { into: restored })).toMatchObject({ recognised: 40, added: 0, removed: 0 });
    expect(await ids(restored)).toEqual(after);
  });

  it('a second time too, and a third', async () => {
    await read(people(old));
    const before = await ids();
    for (const time of ['b', 'c', 'd']) {
      expect(await read(people((name) => `${time}-${name}`))).toMatchObject({ recognised: 40, added: 0, removed: 0 });
    }
    expect(await ids()).toEqual(before);
    expect(await store.read((tx) => tx.countAliases('people'))).toBe(40);
  });

  it('are what they were when the old keys come back', async () => {
    await read(people(old));
    const before = await ids();
    await read(people(fresh));
    expect(await read(people(old))).toMatchObject({ added: 0, removed: 0, recognised: 0 });
    expect(await ids()).toEqual(before);
    expect(await store.read((tx) => tx.countAliases('people'))).toBe(0);
  });

  it('with other values are changed, and told as that', async () => {
    await read([person('a', 'anna'), person('b', 'bo')]);
    const summary = await read([person('c', 'anna', { title: 'Dr' }), person('b', 'bo')]);
    expect(summary).toMatchObject({ added: 0, removed: 0, changed: 1, recognised: 1 });
  });

  it('in a delta, together with the removal of the old one', async () => {
    await read([person('a', 'anna'), person('b', 'bo')]);
    const before = await ids();
    const all = [person('c', 'anna'), person('b', 'bo')];
    const told = await read([all[0]!], { extent: 'delta', since: { gone: [octets('a')] } }, all);
    expect(told).toMatchObject({ added: 0, removed: 0, recognised: 1 });
    expect(await ids()).toEqual(before);
  });

  it('are new ones where nothing is to be matched', async () => {
    await read(people(old));
    const told = await read(people(fresh), { by: compileMapping(options) });
    expect(told).toMatchObject({ added: 40, removed: 40, recognised: 0 });
  });

  it('are not remembered by a preview', async () => {
    await read(people(old));
    expect(await read(people(fresh), { preview: true })).toMatchObject({ recognised: 40 });
    expect(await store.read((tx) => tx.countAliases('people'))).toBe(0);
  });
});

describe('a directory that gets another name in the configuration', () => {
  const all = (key: typeof old) => [...people(key), group(key('g'), 'g', ['p1', 'p2'])];
  const live = async () =>
    (await rows()).filter(({ deleted }) => !deleted).map(({ id, hash, note }) => ({ id, hash, note }));
  const keep = () => store.transaction((tx) => keepDirectory(tx, 'people', 0));

  it.each([
    ['under the keys that its entries have always had', [old], 0],
    ['under keys that they had before', [old, fresh], 0],
    ['under other keys at once', [old, (name: string) => `third-${name}`], 41],
  ] as const)('%s: publishes nobody twice, and takes them over once they are kept', async (what, keys, changed) => {
    const [first, last] = [keys[0], keys.at(-1)!];
    await read(all(first));
    if (what.endsWith('before')) await read(all(last));
    const before = await live();
    for (let i = 0; i < 2; i++) {
      expect(await read(all(last), { name: 'staff' })).toMatchObject({
        added: 0,
        changed: 0,
        removed: 0,
        refusedCount: 41,
      });
    }
    expect(await live()).toEqual(before);
    await keep();
    expect(await read(all(last), { name: 'staff' })).toMatchObject({ added: 0, changed, removed: 0, refusedCount: 0 });
    const after = await live();
    expect(after.map(({ id, note }) => ({ id, note }))).toEqual(before.map(({ id }) => ({ id, note: 'staff' })));
    expect(await read(all(last), { name: 'staff' })).toMatchObject({ added: 0, changed: 0, removed: 0 });
    expect(await read(all(last).slice(1), { name: 'staff' })).toMatchObject({ added: 0, removed: 1 });
  });
});

describe('who is recognised', () => {
  it('has the same kind', async () => {
    await read([person('a', 'anna')]);
    const contact = person('b', 'anna', { objectclass: 'contact' });
    expect(await read([contact])).toMatchObject({ added: 1, removed: 1, recognised: 0 });
  });

  it('is not somebody else who got his mail address', async () => {
    await read([person('a', 'anna', { mail: 'sales@oslo.example', employeeNumber: '1' })]);
    const successor = person('b', 'bo', { mail: 'sales@oslo.example', employeeNumber: '2' });
    expect(await read([successor])).toMatchObject({ added: 1, removed: 1, recognised: 0 });
  });

  it('is not one of two with the same value: both are told, and nobody gets the other’s entry', async () => {
    const shared = { mail: 'info@oslo.example', uid: [] };
    await read([entry('a', 'anna', shared), person('x', 'cy')]);
    const told = await read([entry('b', 'bo', shared), entry('c', 'cleo', shared), person('x', 'cy')]);
    expect(told).toMatchObject({ added: 2, removed: 1, recognised: 0, ambiguousCount: 1 });
    expect(told.ambiguous).toEqual([
      { attribute: 'mail', came: 'cn=bo,dc=oslo', missing: 'cn=anna,dc=oslo', cameCount: 2, missingCount: 1 },
    ]);
  });

  it('has one value of the attribute, not several', async () => {
    const two = { mail: ['a@oslo.example', 'b@oslo.example'], uid: [] };
    await read([entry('a', 'anna', two)]);
    expect(await read([entry('b', 'anna', two)])).toMatchObject({ added: 1, removed: 1, recognised: 0 });
  });

  it('is a group by its DN, if it has nothing else', async () => {
    await read([group('a', 'all', []), person('p', 'anna')]);
    const before = await ids();
    const told = await read([group('b', 'all', ['anna']), person('p', 'anna')]);
    expect(told).toMatchObject({ added: 0, removed: 0, changed: 1, recognised: 1 });
    expect(await ids()).toEqual(before);
  });
});

describe('an old key that comes back while the new one stays', () => {
  it.each([
    ['before', ['a', 'b']],
    ['behind', ['b', 'a']],
  ])('has the old entry again; the other is a new one (read %s it)', async (_, order) => {
    await read([person('a', 'anna')]);
    const [id] = Object.values(await ids());
    await read([person('b', 'anna')]);
    const both = order.map((key) => person(key, key === 'a' ? 'anna' : 'other'));
    expect(await read(both)).toMatchObject({ added: 1, removed: 0, refusedCount: 0, published: 2 });
    const now = await ids();
    expect(now['cn=anna,dc=oslo']).toBe(id);
    expect(now['cn=other,dc=oslo']).not.toBe(id);
    expect(await read(both)).toMatchObject({ added: 0, removed: 0, changed: 0, refusedCount: 0 });
  });

  it('in a delta', async () => {
    await read([person('a', 'anna')]);
    const [id] = Object.values(await ids());
    await read([person('b', 'anna')]);
    const all = [person('b', 'other'), person('a', 'anna')];
    expect(await read([person('a', 'anna')], { extent: 'delta' }, all)).toMatchObject({ added: 1, removed: 0 });
    expect((await ids())['cn=anna,dc=oslo']).toBe(id);
  });
});

describe('more of them than the limits allow', () => {
  it('wait for an approval; until then everybody stays published as he was', async () => {
    await read(people(old), { holds: defaultHolds });
    const before = { ids: await ids(), rows: await rows() };
    for (let time = 0; time < 2; time++) {
      const told = await read(people(fresh), { holds: defaultHolds });
      expect(told).toMatchObject({ added: 0, removed: 0, changed: 0, recognised: 0 });
      expect((await rows()).map((row) => ({ ...row, held: null }))).toEqual(before.rows);
      expect(told.held).toMatchObject({ entries: 40, renames: 40, removals: 0 });
      expect((await store.read(loadOwn)).heldAtCollect.people?.rekeyed).toBe(40);
      expect(await store.read((tx) => tx.countAliases('people'))).toBe(0);
    }
    expect(await store.transaction((tx) => approve(tx, 'published:people', 'all'))).toBe(40);
    const told = await read(people(fresh), { holds: defaultHolds });
    expect(told).toMatchObject({ added: 0, removed: 0, changed: 40, recognised: 40 });
    expect(await ids()).toEqual(before.ids);
    expect((await store.read(loadOwn)).heldAtCollect).toEqual({});
  });

  it('do not wait any more when the old keys come back', async () => {
    await read(people(old), { holds: defaultHolds });
    await read(people(fresh), { holds: defaultHolds });
    expect((await read(people(old), { holds: defaultHolds })).held.entries).toBe(0);
  });
});

it('whatever keys change: no two entries share an id, the digest is right, and a second read changes nothing', async () => {
  const office = fc.uniqueArray(
    fc.record({ uid: fc.nat(11), key: fc.nat(15), mail: fc.nat(3), title: fc.constantFrom('a', 'b') }),
    { maxLength: 8, selector: ({ key }) => key },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(office, { minLength: 2, maxLength: 6 }), async (states) => {
      const into = createMemoryStore();
      await into.transaction((tx) => createRequestor(tx, randomBytes));
      for (const state of states) {
        const shown = state.map((one, i) => {
          const values = { uid: `u${one.uid}`, mail: `m${one.mail}@x`, title: one.title };
          return entry(`k${one.key}`, `${i}-${one.key}`, values);
        });
        expect(await read(shown, { into })).toMatchObject({ published: state.length, refusedCount: 0 });
        const live = (await rows(into)).filter(({ deleted }) => !deleted);
        expect(live).toHaveLength(state.length);
        const sum = new DigestSum();
        for (const { hash } of live) sum.add(hash);
        expect((await into.read(loadOwn)).digest).toBe(sum.digest());
        const told = await read(shown, { into });
        expect(told).toMatchObject({ added: 0, removed: 0, changed: 0, recognised: 0 });
      }
      await into.close();
    }),
    { numRuns: 60 },
  );
});
