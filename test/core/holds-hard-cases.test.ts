/** Held effects while everything else goes on: full submissions, repairs, purges, new definitions, restored stores. */
import { createMemoryStore } from '@dirpost/adapters';
import {
  approve,
  findRequestor,
  heldEntries,
  loadOwn,
  loadRequestor,
  plannedChanges,
  associateReplica,
  purge,
  saveOwn,
  shownReplica,
} from '@dirpost/core';
import { afterEach, describe, expect, it } from 'vitest';
import { HeldNetwork, limits, type Place, strike } from './held-network.ts';

const SMALL = { above: 2, percent: 20 };
const opened: HeldNetwork[] = [];
afterEach(async () => {
  for (const network of opened.splice(0)) await network.close();
});

async function open(place: Place): Promise<HeldNetwork> {
  const network = await new HeldNetwork(place, limits(['removals', 'clearedValues', 'renames'], SMALL)).begin();
  opened.push(network);
  return network;
}

/** Three gone, three without a phone. */
async function openHeld(place: Place): Promise<HeldNetwork> {
  const network = await open(place);
  strike(network, 'removals', [0, 1, 2]);
  strike(network, 'clearedValues', [3, 4, 5]);
  await network.deliver();
  expect((await held(network)).counts).toMatchObject({ entries: 6, removals: 3, clearedValues: 3 });
  return network;
}

const held = (network: HeldNetwork) => network.store.read((tx) => heldEntries(tx, network.place, { limit: 100 }));
const own = (network: HeldNetwork, name: 'oslo' | 'lima') => network.stores[name].read(loadOwn);

async function changeOwn(
  network: HeldNetwork,
  name: 'oslo' | 'lima',
  change: Partial<Awaited<ReturnType<typeof loadOwn>>>,
): Promise<void> {
  await network.stores[name].transaction(async (tx) => saveOwn(tx, { ...(await loadOwn(tx)), ...change }));
}

async function approveAll(network: HeldNetwork): Promise<void> {
  await network.store.transaction((tx) => approve(tx, network.place, 'all', network.server()));
}

async function expectShownAsBefore(network: HeldNetwork): Promise<void> {
  const seen = await network.seenAtTheEnd();
  expect(Object.keys(seen)).toHaveLength(11);
  expect([0, 3, 4, 5].map((i) => seen[`p${i}`]!.phone)).toEqual(['+0', '+3', '+4', '+5']);
  expect((await held(network)).counts).toMatchObject({ entries: 6, removals: 3, clearedValues: 3 });
}

async function expectShownAsItIs(network: HeldNetwork): Promise<void> {
  const seen = await network.seenAtTheEnd();
  expect(Object.keys(seen)).toHaveLength(8);
  expect(seen['p3']!.phone).toBeNull();
  expect((await held(network)).counts.entries).toBe(0);
}

it('the verification of the update that is held says how much is held', async () => {
  const network = await openHeld('replica');
  const reported = async () => (await network.stores.hq.read((tx) => findRequestor(tx, 'lima')))!.report.heldCount;
  expect(await reported()).toBe(6);
  network.people.push({ uid: 'p0', name: 'Person 0', phone: '+0' });
  network.people.push({ uid: 'p1', name: 'Person 1', phone: '+1' });
  await network.read();
  await network.cycle('oslo');
  await network.cycle('lima');
  expect(await reported()).toBe((await held(network)).counts.entries);
  expect(await reported()).toBeLessThan(6);
});

describe('at the server', () => {
  it('a full submission obeys the same limits, and does not release what is held', async () => {
    const network = await openHeld('collected');
    await changeOwn(network, 'oslo', { sendFull: true });
    await network.deliver();
    await expectShownAsBefore(network);
    const fresh = await open('collected');
    strike(fresh, 'removals', [0, 1, 2]);
    strike(fresh, 'clearedValues', [3, 4, 5]);
    await changeOwn(fresh, 'oslo', { sendFull: true });
    await fresh.deliver();
    await expectShownAsBefore(fresh);
    await approveAll(fresh);
    expect(await fresh.deliver()).toEqual(['applied']);
    await expectShownAsItIs(fresh);
  });

  it('held tombstones outlive a purge, and go with one after they are approved', async () => {
    const network = await openHeld('collected');
    const tombstones = () => network.store.read((tx) => tx.countEntries('collected', 'oslo'));
    const purgeNow = () => network.store.transaction((tx) => purge(tx, network.server()));
    strike(network, 'clearedValues', [6]);
    network.people.push({ uid: 'q', name: 'New', phone: null });
    await network.deliver();
    await purgeNow();
    expect((await tombstones()).deleted).toBe(3);
    await approveAll(network);
    await network.deliver();
    await network.cycle('oslo');
    await purgeNow();
    expect((await tombstones()).deleted).toBe(0);
  });

  it('a held tombstone that is on no list outlives a purge too', async () => {
    const network = await open('collected');
    network.list = { ...network.list, filter: '(cn=everybody)' };
    await network.define();
    await network.deliver();
    strike(network, 'removals', [0, 1, 2]);
    await network.deliver();
    await network.cycle('lima');
    await network.store.transaction((tx) => purge(tx, { ...network.server(), retentionMs: -1 }));
    expect((await held(network)).counts.removals).toBe(3);
    expect((await held(network)).entries).toHaveLength(3);
  });

  it('a list that is defined anew releases what is shown, in its new selection', async () => {
    const network = await openHeld('collected');
    network.list = { ...network.list, attributes: ['cn', 'entryDN', 'telephoneNumber'], filter: '(!(cn=p9))' };
    await network.define();
    expect(await network.deliver()).toEqual(['applied']);
    const seen = await network.seenAtTheEnd();
    expect(Object.keys(seen)).toHaveLength(10);
    expect(seen['p0']!.phone).toBe('+0');
    expect(seen['p3']!.phone).toBe('+3');
    await approveAll(network);
    expect(await network.deliver()).toEqual(['applied']);
    expect(Object.keys(await network.seenAtTheEnd())).toHaveLength(7);
  });

  it('what its publishing rules no longer allow leaves the lists at once, held or not', async () => {
    const network = await openHeld('collected');
    network.rules = new Map([['oslo', { kinds: ['group'] }]]);
    await network.define();
    expect(await network.deliver()).toEqual(['applied']);
    expect(Object.keys(await network.seenAtTheEnd())).toEqual(['everybody']);
    expect((await held(network)).counts.entries).toBe(0);
    network.rules = new Map();
    await network.define();
    expect(await network.deliver()).toEqual(['applied']);
    await expectShownAsItIs(network);
  });

  it('that was restored to a time before the effects holds them again', async () => {
    const network = await open('collected');
    const image = network.stores.hq.serialize();
    strike(network, 'removals', [0, 1, 2]);
    strike(network, 'clearedValues', [3, 4, 5]);
    await network.deliver();
    await network.stores.hq.close();
    network.stores.hq = createMemoryStore(Uint8Array.from(image));
    for (let i = 0; i < 4; i++) await network.deliver();
    await expectShownAsBefore(network);
    await approveAll(network);
    for (let i = 0; i < 2; i++) await network.deliver();
    await expectShownAsItIs(network);
  });

  it('that was restored to a time while they were held goes on holding them', async () => {
    const network = await openHeld('collected');
    const image = network.stores.hq.serialize();
    await approveAll(network);
    await network.deliver();
    await expectShownAsItIs(network);
    await network.stores.hq.close();
    network.stores.hq = createMemoryStore(Uint8Array.from(image));
    for (let i = 0; i < 4; i++) await network.deliver();
    await expectShownAsBefore(network);
  });

  it('an entry that is refused while it is held is not held any more', async () => {
    const network = await openHeld('collected');
    network.rules = new Map([['oslo', { maxEntries: 8 }]]);
    await network.define();
    for (let i = 0; i < 3; i++) network.people.push({ uid: `q${i}`, name: `New ${i}`, phone: null });
    await network.deliver();
    const { flaggedCount, holding } = await network.store.read((tx) => loadRequestor(tx, 'oslo', 0));
    expect(flaggedCount).toBe(3);
    expect(holding.held.entries).toBe(6);
    expect(Object.keys(await network.seenAtTheEnd())).toHaveLength(11);
  });
});

describe('at the receiver', () => {
  it.each(['repair', 'everything'] as const)(
    'agrees by digest, and changes nothing of what is held: %s',
    async (request) => {
      const network = await openHeld('replica');
      expect(await network.cycle('lima')).toEqual(['applied']);
      await changeOwn(network, 'lima', { cursor: null, request });
      expect(await network.cycle('lima')).toEqual(['applied']);
      await expectShownAsBefore(network);
      const { replica } = await own(network, 'lima');
      expect(replica.live).toBe(8);
      expect(shownReplica(replica).live).toBe(11);
    },
  );

  it('a repair that takes many away is held like an update', async () => {
    const network = await open('replica');
    strike(network, 'removals', [0, 1, 2]);
    strike(network, 'clearedValues', [3, 4, 5]);
    await network.read();
    await network.cycle('oslo');
    await changeOwn(network, 'lima', { cursor: null, request: 'repair' });
    expect(await network.cycle('lima')).toEqual(['applied']);
    await expectShownAsBefore(network);
  });

  it('everything gone is held, and a snapshot onto what is held works', async () => {
    const network = await open('replica');
    network.people = [];
    network.list = { ...network.list, filter: '(kind=person)' };
    await network.define();
    await network.deliver();
    expect((await own(network, 'lima')).replica.live).toBe(0);
    expect(Object.keys(await network.seen())).toHaveLength(11);
    await changeOwn(network, 'lima', { cursor: null });
    network.people = [{ uid: 'p0', name: 'Person 0', phone: '+0' }];
    expect(await network.deliver()).toEqual(['applied']);
    expect(Object.keys(await network.seen())).toHaveLength(11);
    expect((await held(network)).counts.removals).toBe(10);
  });

  it('a list that is defined anew and takes many away is held, and what it clears as well', async () => {
    const network = await open('replica');
    network.list = {
      ...network.list,
      filter: '(!(|(cn=p0)(cn=p1)(cn=p2)))',
      attributes: ['cn', 'entryDN', 'objectClass'],
    };
    await network.define();
    expect(await network.deliver()).toEqual(['applied']);
    expect((await held(network)).counts).toMatchObject({ removals: 3, clearedValues: 8 });
    const seen = await network.seenAtTheEnd();
    expect(Object.keys(seen)).toHaveLength(11);
    expect(seen['p5']!.phone).toBe('+5');
    await approveAll(network);
    expect(Object.keys(await network.seenAtTheEnd())).toHaveLength(8);
    expect(await network.deliver()).toEqual(['applied']);
  });

  it('directories are written for what is shown, and again when it is approved', async () => {
    const network = await openHeld('replica');
    const before = shownReplica((await own(network, 'lima')).replica);
    const options = { name: 'network', dn: 'container' as const, container: 'o=network', publishing: [] };
    const written = async () => {
      await associateReplica(network.stores.lima, options);
      const dns: string[] = [];
      for await (const { dn } of plannedChanges(network.stores.lima, options)) dns.push(dn);
      return dns;
    };
    expect(await written()).toContain('cn=Person 0,ou=oslo,o=network');
    await approveAll(network);
    expect(await written()).not.toContain('cn=Person 0,ou=oslo,o=network');
    const { replica } = await own(network, 'lima');
    expect(shownReplica(replica)).not.toEqual(before);
    expect(shownReplica(replica)).toEqual({ digest: replica.digest, live: replica.live });
  });
});

describe('at the sender', () => {
  it('the approval is for the entries and effects that were listed, and for the next complete read only', async () => {
    const network = await openHeld('published:people');
    await approveAll(network);
    strike(network, 'renames', [3, 4, 5]);
    strike(network, 'removals', [6, 7, 8]);
    await network.read();
    const now = await held(network);
    expect(now.counts).toMatchObject({ removals: 3, renames: 3, clearedValues: 3, entries: 6 });
    expect(Object.keys(await network.seen())).toHaveLength(8);
    await network.read();
    expect((await held(network)).counts).toEqual(now.counts);
  });

  it('a preview says what would be held, and holds nothing', async () => {
    const network = await open('published:people');
    strike(network, 'removals', [0, 1, 2]);
    const { held: previewed, removed } = await network.read(true);
    expect(previewed).toMatchObject({ entries: 3, removals: 3 });
    expect(removed).toBe(0);
    expect((await held(network)).counts.entries).toBe(0);
  });

  it('a preview does not use up what was approved', async () => {
    const network = await openHeld('published:people');
    await approveAll(network);
    await network.read(true);
    expect((await network.read()).held.entries).toBe(0);
    expect(Object.keys(await network.seen())).toHaveLength(8);
  });

  it('members are found by the DN that they have now, held or taken back', async () => {
    const network = await open('published:people');
    const { people } = network;
    strike(network, 'renames', [0, 1, 2]);
    await network.deliver();
    expect((await network.seen())['everybody']!.members).toBe(10);
    network.people = people;
    await network.deliver();
    expect((await network.seen())['everybody']!.members).toBe(10);
    expect((await held(network)).counts.entries).toBe(0);
  });
});
