/** More refused edits than a receipt names: an editor withdraws those that are named, and hears of the others then. */
import { decodeEntry, defaultHolds, defaultLimits, editId, loadOwn, proposeEdit, withdrawEdit } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HeldNetwork } from './held-network.ts';

const MOST = defaultLimits.maxRefusedNamed;
const COUNT = 2 * MOST + 30;
let network: HeldNetwork;

beforeEach(async () => {
  network = new HeldNetwork('collected', defaultHolds);
  network.people = Array.from({ length: COUNT }, (_, i) => ({ uid: `p${i}`, name: `Person ${i}`, phone: `+${i}` }));
  network.members = [];
  await network.begin();
  await network.deliver();
});

afterEach(() => network.close());

const idOf = (target: Uint8Array) => Buffer.from(editId('lima', target)).toString('hex');

it('each refused edit is named in the end, in the places of those that were withdrawn', async () => {
  const { lima } = network.stores;
  const targets = await lima.transaction(async (tx) => {
    const rows = (await tx.scanEntries('replica', 0, 1_000)).filter(
      ({ bytes }) => decodeEntry(bytes!).kind === 'person',
    );
    for (const { id, bytes } of rows) {
      const values = new Map([['telephonenumber', [Buffer.from('1')]]]);
      const saw = decodeEntry(bytes!).attributes;
      await proposeEdit(tx, network.requestor('lima'), { target: id, values, saw });
    }
    return rows.map(({ id }) => id);
  });
  expect(targets).toHaveLength(COUNT);
  const open = new Map(targets.map((target) => [idOf(target), target]));
  const counts: number[][] = [];
  for (let exchange = 0; exchange < 4; exchange++) {
    await network.cycle('lima');
    const { refused } = await lima.read(loadOwn);
    counts.push([refused.count, refused.entries.length]);
    const named = refused.entries.map(({ id }) => open.get(id)!);
    await lima.transaction(async (tx) => {
      for (const target of named) await withdrawEdit(tx, network.requestor('lima'), target);
    });
    for (const { id, reason } of refused.entries) {
      expect(reason).toBe('the list all takes no edits of telephonenumber');
      // None is named twice.
      expect(open.delete(id)).toBe(true);
    }
  }
  expect(counts).toEqual([
    [COUNT, MOST],
    [COUNT - MOST, MOST],
    [30, 30],
    [0, 0],
  ]);
});
