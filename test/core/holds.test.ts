/** Limits on effects at sender, server and receiver: what is held, until when, and that messages go on all the same. */
import {
  approve,
  approveDirectory,
  directoryApproved,
  type Effect,
  EFFECTS,
  heldAtThisEnd,
  heldCounts,
  heldEntries,
  loadOwn,
} from '@dirpost/core';
import { afterEach, describe, expect, it } from 'vitest';
import { HeldNetwork, limits, type Place, PLACES, type Seen, strike } from './held-network.ts';

const SMALL = { above: 2, percent: 20 };
const opened: HeldNetwork[] = [];
afterEach(async () => {
  for (const network of opened.splice(0)) await network.close();
});

async function open(place: Place, effects: readonly Effect[], limit = SMALL): Promise<HeldNetwork> {
  const network = await new HeldNetwork(place, limits(effects, limit)).begin();
  opened.push(network);
  return network;
}

const counts = async (network: HeldNetwork) => (await held(network)).counts;
const held = (network: HeldNetwork) => network.store.read((tx) => heldEntries(tx, network.place, { limit: 100 }));

/** How many of the effect are to be seen. */
function struck(effect: Effect, seen: Seen): number {
  const people = Object.entries(seen).filter(([name]) => name !== 'everybody');
  if (effect === 'removals') return 10 - people.length;
  if (effect === 'clearedValues') return people.filter(([, one]) => one.phone === null).length;
  if (effect === 'renames') return people.filter(([, one]) => one.name.startsWith('cn=Renamed')).length;
  return 10 - seen['everybody']!.members;
}

async function visible(network: HeldNetwork, effect: Effect): Promise<number> {
  return struck(effect, await network.seen());
}

const cases = PLACES.flatMap((place) => EFFECTS.map((effect) => ({ place, effect })));

describe.each(cases)('$effect, $place', ({ place, effect }) => {
  it('within the limit are shown', async () => {
    const network = await open(place, [effect]);
    strike(network, effect, [0, 1]);
    expect(await network.deliver()).toEqual(['applied']);
    expect(await visible(network, effect)).toBe(2);
    expect((await counts(network)).entries).toBe(0);
  });

  it('over the limit are held, and nothing of them is seen at the end of the chain', async () => {
    const network = await open(place, [effect]);
    const before = await network.seenAtTheEnd();
    strike(network, effect, [0, 1, 2]);
    expect(await network.deliver()).toEqual(['applied']);
    expect(await visible(network, effect)).toBe(0);
    expect(struck(effect, await network.seenAtTheEnd())).toBe(0);
    if (effect !== 'removals') expect(await network.seenAtTheEnd()).toEqual(before);
    const entries = effect === 'lostMembers' ? 1 : 3;
    expect(await counts(network)).toMatchObject({ entries, [effect]: 3 });
    const listed = await held(network);
    expect(listed.entries).toHaveLength(entries);
    expect(listed.entries[0]).toMatchObject({ place, owner: 'oslo', effects: [effect], sinceMs: 1_000 });
    expect(listed.entries[0]!.name).toMatch(effect === 'lostMembers' ? /^cn=everybody/ : /^cn=Person [012],o=oslo$/);
  });

  it('above the number, but not above the percentage, are shown', async () => {
    const network = await open(place, [effect], { above: 2, percent: 50 });
    strike(network, effect, [0, 1, 2]);
    await network.deliver();
    expect(await visible(network, effect)).toBe(3);
  });

  it('above the percentage, but not above the number, are shown', async () => {
    const network = await open(place, [effect], { above: 3, percent: 1 });
    strike(network, effect, [0, 1, 2]);
    await network.deliver();
    expect(await visible(network, effect)).toBe(3);
  });

  it('that come by and by do not slip past what is held', async () => {
    const network = await open(place, [effect]);
    strike(network, effect, [0, 1, 2]);
    await network.deliver();
    strike(network, effect, [3]);
    await network.deliver();
    expect(await visible(network, effect)).toBe(0);
    expect((await counts(network))[effect]).toBe(4);
  });

  it('dissolve when the owner takes most of them back, and are gone when he takes back all', async () => {
    const network = await open(place, [effect]);
    const { people, members } = network;
    strike(network, effect, [0, 1, 2, 3]);
    await network.deliver();
    Object.assign(network, { people, members });
    strike(network, effect, [1, 3]);
    await network.deliver();
    expect(await visible(network, effect)).toBe(2);
    expect((await counts(network)).entries).toBe(0);
    strike(network, effect, [0, 2, 5, 6, 7]);
    await network.deliver();
    Object.assign(network, { people, members });
    await network.deliver();
    expect(await visible(network, effect)).toBe(0);
    expect((await counts(network)).entries).toBe(0);
  });

  it.each(['all', 'owner', 'entries'] as const)('are shown when they are approved: %s', async (how) => {
    const network = await open(place, [effect]);
    strike(network, effect, [0, 1, 2]);
    await network.deliver();
    const { entries } = await held(network);
    const what = how === 'all' ? 'all' : how === 'owner' ? { owner: 'oslo' } : { ids: entries.map(({ id }) => id) };
    const approved = await network.store.transaction((tx) => approve(tx, place, what, network.server()));
    expect(approved).toBe(entries.length);
    if (place === 'published:people') await network.deliver();
    expect(await visible(network, effect)).toBe(3);
    expect((await counts(network)).entries).toBe(0);
    expect(await network.deliver()).toEqual(['applied']);
    expect(struck(effect, await network.seenAtTheEnd())).toBe(3);
  });

  it('of another owner are not approved', async () => {
    const network = await open(place, [effect]);
    strike(network, effect, [0, 1, 2]);
    await network.deliver();
    const approved = await network.store.transaction((tx) => approve(tx, place, { owner: 'bonn' }, network.server()));
    expect(approved).toBe(0);
    await network.deliver();
    expect(await visible(network, effect)).toBe(0);
  });
});

describe.each(PLACES)('at %s', (place) => {
  it('approving some does not bring the others below the limit', async () => {
    const network = await open(place, ['removals']);
    strike(network, 'removals', [0, 1, 2]);
    await network.deliver();
    const { entries } = await held(network);
    await network.store.transaction((tx) => approve(tx, place, { ids: [entries[0]!.id] }, network.server()));
    await network.deliver();
    await network.deliver();
    expect(await visible(network, 'removals')).toBe(1);
    expect((await counts(network)).removals).toBe(2);
  });

  it('new entries do not thin out what is held', async () => {
    const network = await open(place, ['removals']);
    strike(network, 'removals', [0, 1, 2]);
    await network.deliver();
    for (let i = 0; i < 20; i++) network.people.push({ uid: `q${i}`, name: `New ${i}`, phone: null });
    await network.deliver();
    strike(network, 'clearedValues', [5]);
    await network.deliver();
    expect((await counts(network)).removals).toBe(3);
    expect(Object.keys(await network.seen())).toHaveLength(31);
  });

  it('an entry that is held shows nothing of later changes either, and all of them when it is approved', async () => {
    const network = await open(place, ['renames', 'clearedValues']);
    strike(network, 'renames', [0, 1, 2]);
    await network.deliver();
    strike(network, 'clearedValues', [0]);
    network.people = network.people.map((one) => (one.uid === 'p1' ? { ...one, phone: '+77' } : one));
    await network.deliver();
    expect((await network.seen())['p0']).toEqual({ name: 'cn=Person 0,o=oslo', phone: '+0', members: 0 });
    expect((await network.seen())['p1']!.phone).toBe('+1');
    const { entries } = await held(network);
    expect(entries.map(({ effects }) => effects.join()).toSorted()).toEqual([
      'clearedValues,renames',
      'renames',
      'renames',
    ]);
    await network.store.transaction((tx) => approve(tx, place, 'all', network.server()));
    await network.deliver();
    const seen = await network.seenAtTheEnd();
    expect(seen['p0']).toEqual({ name: 'cn=Renamed p0,o=oslo', phone: null, members: 0 });
    expect(seen['p1']!.phone).toBe('+77');
  });

  it('who was held as gone and comes back otherwise is shown as he is now', async () => {
    const network = await open(place, ['removals']);
    const { people, members } = network;
    strike(network, 'removals', [0, 1, 2]);
    await network.deliver();
    Object.assign(network, { members, people: people.map((one) => ({ ...one, phone: '+99' })) });
    await network.deliver();
    expect((await counts(network)).entries).toBe(0);
    expect((await network.seenAtTheEnd())['p0']).toMatchObject({ phone: '+99' });
  });

  it('the first content has no effects, however much comes and goes before', async () => {
    const network = await open(place, EFFECTS, { above: 0, percent: 0 });
    expect(Object.keys(await network.seen())).toHaveLength(11);
    expect((await counts(network)).entries).toBe(0);
  });

  it('everything gone at once is held, and the listing is bounded', async () => {
    const network = await open(place, ['removals']);
    network.people = [];
    await network.deliver();
    expect(await visible(network, 'removals')).toBe(0);
    const listed = await network.store.read((tx) => heldEntries(tx, place, { limit: 4 }));
    expect(listed.entries).toHaveLength(4);
    expect(listed.counts).toMatchObject({ entries: 10, removals: 10 });
  });
});

it('the receipt tells the owner how much the server holds, and the report what waits at either end', async () => {
  const network = await open('collected', ['removals']);
  strike(network, 'removals', [0, 1, 2]);
  await network.deliver();
  expect((await network.stores.oslo.read(loadOwn)).heldAtServer).toBe(3);
  expect((await network.store.read(heldCounts)).collected.entries).toBe(3);
  const receiving = await open('replica', ['removals']);
  strike(receiving, 'removals', [0, 1, 2]);
  await receiving.deliver();
  expect(heldAtThisEnd(await receiving.store.read(loadOwn))).toBe(3);
});

it('the first write into a directory waits for its approval, of just this one', async () => {
  const { store } = await open('replica', []);
  expect(await store.read((tx) => directoryApproved(tx, 'people'))).toBe(false);
  await store.transaction((tx) => approveDirectory(tx, 'people'));
  expect(await store.read((tx) => directoryApproved(tx, 'people'))).toBe(true);
  expect(await store.read((tx) => directoryApproved(tx, 'others'))).toBe(false);
});
