/** T3: which entry of a target is which of the network, decided without a server. */
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  AMBIGUOUS_MATCH,
  approveMatches,
  type Attributes,
  decideMatches,
  deriveEntryId,
  encodeEntry,
  type EntryKind,
  type Hit,
  isReloaded,
  type Link,
  linkAgain,
  loadTargetLinks,
  MATCH_WAITS,
  MEMBERS_MISSING,
  type Place,
  type Placed,
  placesAnew,
  recordOutcomes,
  samplePlaces,
  stampedId,
  stampOf,
  type StoreTx,
  type TargetEntry,
  TargetMatching,
  unlink,
  type Wanting,
  withoutUnlinked,
} from '@dirpost/core';
import { beforeEach, describe, expect, it } from 'vitest';

const octets = (text: string) => Buffer.from(text);
const idOf = (name: string) => Buffer.from(deriveEntryId('oslo', 'test', octets(name)));

function attributes(values: Record<string, string | string[]>): Attributes {
  return new Map(Object.entries(values).map(([name, value]) => [name, [value].flat().map(octets)]));
}

function wanting(name: string, values: Record<string, string | string[]>, kind: EntryKind = 'person'): Wanting {
  const id = idOf(name);
  return { id, bytes: encodeEntry({ id, owner: 'oslo', kind, attributes: attributes(values) }) };
}

function there(name: string, values: Record<string, string | string[]>): TargetEntry {
  const all = { objectclass: 'inetOrgPerson', ...values };
  return { dn: `cn=${name},ou=staff`, anchor: name, attributes: attributes(all), isProtected: false };
}

/** Who is taken for whom: "network target attribute". */
function matched(by: string[], network: Record<string, Wanting>, target: TargetEntry[]): string[] {
  const matching = new TargetMatching(by);
  let left = Object.values(network);
  for (const attribute of matching.attributes) left = matching.take(left, attribute, target);
  const nameOf = (id: Uint8Array) => Object.entries(network).find(([, one]) => Buffer.compare(one.id, id) === 0)![0];
  return matching.hits.map(({ id, entry, by: attribute }) => `${nameOf(id)} ${entry.anchor} ${attribute}`);
}

describe('an entry is looked for', () => {
  it('by the first attribute that finds somebody, compared as LDAP compares', () => {
    const anna = wanting('anna', { mail: 'Anna@X.test', employeenumber: '7' });
    const bo = wanting('bo', { mail: 'bo@x.test' });
    const target = [there('A', { mail: 'anna@x.test' }), there('B', { mail: 'BO@x.test', employeenumber: '9' })];
    expect(matched(['employeeNumber', 'mail'], { anna, bo }, target)).toEqual(['anna A mail', 'bo B mail']);
  });

  it('and is nobody whom an earlier attribute tells apart, nor of another kind', () => {
    const anna = wanting('anna', { mail: 'sales@x.test', employeenumber: '7' });
    const group = wanting('group', { mail: 'all@x.test' }, 'group');
    const target = [
      there('A', { mail: 'sales@x.test', employeenumber: '8' }),
      there('B', { mail: 'all@x.test' }),
      there('C', { mail: 'sales@x.test', objectclass: ['top', 'groupOfNames'] }),
    ];
    expect(matched(['employeeNumber', 'mail'], { anna, group }, target)).toEqual([]);
  });

  it('not by an attribute of which it has several values', () => {
    const anna = wanting('anna', { mail: ['a@x.test', 'b@x.test'] });
    expect(matched(['mail'], { anna }, [there('A', { mail: 'a@x.test' })])).toEqual([]);
  });
});

describe('what is found', () => {
  let store: MemoryStore;
  beforeEach(() => {
    store = createMemoryStore();
  });

  const hit = (name: string, anchor: string, by = 'mail'): Hit => ({
    id: idOf(name),
    entry: { dn: `cn=${anchor},ou=staff`, anchor },
    by,
  });
  const decide = (matches: Hit[], { approved = false, stamped = [] as Hit[], also = [] as string[] } = {}) => {
    const looked = [...matches, ...stamped].map(({ id }) => id).concat(also.map(idOf));
    return store.transaction((tx) => decideMatches(tx, 'network', { looked, stamped, matched: matches }, approved));
  };
  const read = <T>(work: (tx: StoreTx) => Promise<T>) => store.read(work);
  const placed = async (name: string) => (await read((tx) => tx.placedById('network', [idOf(name)])))[0];

  it('waits for an approval, and is taken with the next look', async () => {
    expect(await decide([hit('anna', 'A')])).toMatchObject({ waiting: 1, adopted: 0 });
    expect(await placed('anna')).toMatchObject({ place: null, refused: { code: MATCH_WAITS } });
    const waits = await read((tx) => loadTargetLinks(tx, 'network'));
    expect([waits.waits(idOf('anna')), waits.isAdopted(idOf('anna'))]).toEqual([true, false]);
    expect(await store.transaction((tx) => approveMatches(tx, 'network'))).toBe(1);
    expect(await decide([hit('anna', 'A')])).toMatchObject({ waiting: 0, adopted: 1 });
    expect(await placed('anna')).toMatchObject({ place: { dn: 'cn=A,ou=staff', anchor: 'A' }, refused: null });
    const links = await read((tx) => loadTargetLinks(tx, 'network'));
    expect([links.waits(idOf('anna')), links.isAdopted(idOf('anna'))]).toEqual([false, true]);
    const [association] = await read((tx) => tx.associationsById('network', [idOf('anna')]));
    expect(association?.dn).toBe('cn=A,ou=staff');
  });

  it('is not approved with another that has come meanwhile', async () => {
    await decide([hit('anna', 'A')]);
    await store.transaction((tx) => approveMatches(tx, 'network'));
    expect(await decide([hit('anna', 'B')])).toMatchObject({ waiting: 1, adopted: 0 });
  });

  it('is ambiguous where several may be it, or it may be several; both sides are told', async () => {
    const told = await decide([hit('anna', 'A'), hit('anna', 'B'), hit('bo', 'C'), hit('cy', 'C'), hit('di', 'D')]);
    expect(told).toMatchObject({ ambiguous: 3, waiting: 1 });
    for (const name of ['anna', 'bo', 'cy']) expect((await placed(name))?.refused?.code).toBe(AMBIGUOUS_MATCH);
    const links: Link[] = await read((tx) => tx.linksInState('network', 'ambiguous', null, 10));
    expect(links.map(({ dn }) => dn).toSorted()).toEqual(['A', 'B', 'C', 'C'].map((one) => `cn=${one},ou=staff`));
    // Once the others are gone it is none any more; and who is nobody is written as a new entry.
    expect(await decide([hit('anna', 'A')], { also: ['bo'] })).toMatchObject({ ambiguous: 0, waiting: 1 });
    expect(await placed('bo')).toMatchObject({ refused: null });
  });

  it('and is wanted by several is unlinked from one of them only by name', async () => {
    await decide([hit('bo', 'C'), hit('cy', 'C')]);
    const dn = 'cn=C,ou=staff';
    await expect(store.transaction((tx) => unlink(tx, 'network', dn))).rejects.toThrow(/several/);
    expect(await store.transaction((tx) => unlink(tx, 'network', dn, idOf('bo')))).toMatchObject({ id: idOf('bo') });
    expect(await store.transaction((tx) => unlink(tx, 'network', dn))).toMatchObject({ id: idOf('cy') });
  });

  it('by a stamp needs no approval, unless two have the same', async () => {
    const stamped = [hit('anna', 'A', 'stamp'), hit('bo', 'B', 'stamp'), hit('bo', 'C', 'stamp')];
    expect(await decide([], { stamped })).toMatchObject({ restored: 1, ambiguous: 1 });
    expect(await placed('anna')).toMatchObject({ place: { anchor: 'A' }, hash: null });
    expect((await read((tx) => loadTargetLinks(tx, 'network'))).isAdopted(idOf('anna'))).toBe(false);
  });

  it('and unlinked is not found again, until it is linked again', async () => {
    await decide([hit('anna', 'A')], { approved: true });
    const link = await store.transaction((tx) => unlink(tx, 'network', 'CN=a, ou=staff'));
    expect(link).toMatchObject({ anchor: 'A', state: 'adopted' });
    expect(await placed('anna')).toBeUndefined();
    const left = () =>
      read((tx) => withoutUnlinked(tx, 'network', [hit('anna', 'A'), hit('anna', 'B'), hit('bo', 'A')]));
    expect(await left()).toEqual([hit('anna', 'B'), hit('bo', 'A')]);
    expect(await store.transaction((tx) => linkAgain(tx, 'network', 'cn=A,ou=staff'))).toMatchObject([{ anchor: 'A' }]);
    expect(await left()).toHaveLength(3);
    expect(await store.transaction((tx) => linkAgain(tx, 'network', 'cn=A,ou=staff'))).toEqual([]);
  });
});

it('an adopted group that got another name is known by it, also where it lacks members', async () => {
  const store = createMemoryStore();
  const id = idOf('team');
  const place = { dn: 'cn=team,ou=staff', anchor: 'T' };
  const change = { id, action: 'put', dn: 'cn=crew,ou=staff', attributes: new Map(), kind: 'group' } as const;
  const outcome = { id, result: 'refused', code: MEMBERS_MISSING, place: { ...place, dn: change.dn } } as const;
  await store.transaction(async (tx) => {
    await decideMatches(
      tx,
      'network',
      { looked: [id], stamped: [], matched: [{ id, entry: place, by: 'mail' }] },
      true,
    );
    const planned = { ...change, place, adopted: true as const, hash: octets('hash') };
    await recordOutcomes(tx, 'network', [planned], [outcome], 0);
    expect(await tx.links('network', [id])).toMatchObject([[{ dn: change.dn, state: 'adopted' }]]);
    expect(await tx.associationsById('network', [id])).toMatchObject([{ dn: change.dn }]);
  });
  await store.close();
});

describe('a directory with other keys than were written down', () => {
  const row = (name: string, anchor: string): Placed => ({
    id: idOf(name),
    place: { dn: `cn=${name},ou=network`, anchor },
    hash: octets('written'),
    refused: null,
  });
  const stands = (name: string, anchor: string): Place => ({ dn: `CN=${name},ou=network`, anchor });

  it('is a reloaded one if all have others, and not if one has', () => {
    const sample = [row('a', '1'), row('b', '2'), row('c', '3')];
    expect(isReloaded(sample, [stands('a', '4'), stands('b', '5')])).toBe(true);
    expect(isReloaded(sample, [stands('a', '4'), stands('b', '2'), stands('c', '6')])).toBe(false);
    // Perhaps an administrator put one other there.
    expect(isReloaded(sample, [stands('a', '4')])).toBe(false);
    expect(isReloaded(sample, [])).toBe(false);
  });

  it('has its places learnt anew, but for those whose keys are still there', async () => {
    const store = createMemoryStore();
    await store.transaction(async (tx) => {
      const rows = [row('a', '1'), row('b', '2'), row('c', '3'), { ...row('d', ''), hash: null }];
      await tx.putPlaced('network', rows);
      const associations = rows.map(({ id, place }) => ({ id, dn: place!.dn, normalizedDn: place!.dn.toLowerCase() }));
      await tx.putAssociations('network', associations);
    });
    expect(await store.read((tx) => samplePlaces(tx, 'network', Buffer.alloc(16)))).toHaveLength(3);
    const all = [stands('a', '4'), stands('b', '5'), stands('moved c', '3'), stands('c', '6'), stands('d', '7')];
    const look = async function* (dns: string[] | null) {
      yield* dns === null ? all : [];
    };
    expect(await placesAnew(store, 'network', look)).toBe(2);
    const ids = ['a', 'b', 'c', 'd'].map(idOf);
    const placed = await store.read((tx) => tx.placedById('network', ids));
    expect(placed.map((one) => one?.place?.anchor)).toEqual(['4', '5', '3', '']);
    expect(placed.map((one) => one?.hash === null)).toEqual([true, true, false, true]);
  });
});

it('a stamp is known by its beginning, and nothing else is one', () => {
  expect(stampedId(stampOf(idOf('anna')))).toEqual(idOf('anna'));
  for (const text of ['', 'dirpost:', `${stampOf(idOf('anna')).toString()}0`, idOf('anna').toString('hex')])
    expect(stampedId(octets(text))).toBeNull();
});
