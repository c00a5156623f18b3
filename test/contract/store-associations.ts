/** The part of the store contract about which entry is which: keys that stand for others, and entries that were there before. */
import type { Alias, Link, LinkState } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { octets, read, staged, write, type StoreOf } from './store-samples.ts';

export function associationsContract(store: StoreOf): void {
  describe('aliases', () => aliasContract(store));
  describe('links', () => linkContract(store));

  it('staged entries get other ids and bytes, and stay where they are', async () => {
    const group = staged(2, { memberDns: ['CN=Person 1,DC=example'] });
    await write(store(), async (tx) => {
      await tx.stageEntries('people', [staged(1), group, staged(3)]);
      await tx.stageEntries('other', [staged(9)]);
      const { id, hash, bytes } = staged(7);
      await tx.replaceStaged('people', [{ ...group, id, hash, bytes, position: 2 }]);
      await tx.replaceStaged('none', [{ ...group, position: 1 }]);
      await tx.replaceStaged('people', []);
    });
    await read(store(), async (tx) => {
      const { id, hash, bytes } = staged(7);
      const expected = [staged(1), { ...group, id, hash, bytes }, staged(3)];
      expect(await tx.stagedEntries('people', 0, 10)).toEqual(
        expected.map((one, at) => ({ ...one, position: at + 1 })),
      );
      expect(await tx.stagedEntries('other', 0, 10)).toEqual([{ ...staged(9), position: 1 }]);
    });
  });

  it('what stands in a directory is found by its anchor; an open one is nobody’s', async () => {
    const placed = (seed: number, anchor: string | null) => ({
      id: octets(`id ${seed}`),
      place: anchor === null ? null : { dn: `CN=Person ${seed},DC=example`, anchor },
      hash: null,
      refused: null,
    });
    await write(store(), async (tx) => {
      await tx.putPlaced('network', [placed(1, 'aa'), placed(2, ''), placed(3, null), placed(4, 'bb')]);
      await tx.putPlaced('other', [placed(5, 'aa')]);
    });
    await read(store(), async (tx) => {
      const found = await tx.placedByAnchor('network', ['bb', 'aa', '', 'cc']);
      expect(found).toEqual([placed(4, 'bb'), placed(1, 'aa'), undefined, undefined]);
      expect(await tx.placedByAnchor('other', ['aa', 'bb'])).toEqual([placed(5, 'aa'), undefined]);
      expect(await tx.placedByAnchor('none', ['aa'])).toEqual([undefined]);
    });
  });
}

function aliasContract(store: StoreOf): void {
  const alias = (key: string, id: string): Alias => ({ key: octets(`key ${key}`), id: octets(`id ${id}`) });

  it('are found by key and by id, per directory, and removed by id', async () => {
    await write(store(), async (tx) => {
      await tx.putAliases('people', [alias('a', '1'), alias('b', '2')]);
      await tx.putAliases('other', [alias('a', '3')]);
    });
    await read(store(), async (tx) => {
      const keys = ['b', 'a', 'x'].map((key) => alias(key, '').key);
      expect(await tx.aliasesByKey('people', keys)).toEqual([alias('b', '2'), alias('a', '1'), undefined]);
      expect(await tx.aliasesById('people', [alias('', '1').id, alias('', '3').id])).toEqual([
        alias('a', '1'),
        undefined,
      ]);
      expect(await tx.aliasesByKey('other', keys)).toEqual([undefined, alias('a', '3'), undefined]);
      expect(await tx.countAliases('people')).toBe(2);
      expect(await tx.countAliases('none')).toBe(0);
      expect(await tx.aliasDirectories()).toEqual(['other', 'people']);
    });
    await write(store(), (tx) => tx.removeAliases('people', [alias('', '1').id, alias('', '9').id]));
    expect(await read(store(), (tx) => tx.aliasDirectories())).toEqual(['other', 'people']);
    await write(store(), (tx) => tx.clearAliases('people'));
    expect(await read(store(), (tx) => tx.aliasDirectories())).toEqual(['other']);
  });

  it('two keys never stand for one entry, nor one key for two', async () => {
    await write(store(), async (tx) => {
      await tx.putAliases('people', [alias('a', '1'), alias('b', '2')]);
      await tx.putAliases('people', [alias('c', '1')]);
      await tx.putAliases('people', [alias('b', '3')]);
    });
    await read(store(), async (tx) => {
      const keys = ['a', 'b', 'c'].map((key) => alias(key, '').key);
      expect(await tx.aliasesByKey('people', keys)).toEqual([undefined, alias('b', '3'), alias('c', '1')]);
      expect(await tx.aliasesById('people', [alias('', '2').id])).toEqual([undefined]);
    });
  });
}

function linkContract(store: StoreOf): void {
  const link = (seed: number, anchor: string, state: LinkState): Link => ({
    id: Buffer.alloc(16, seed),
    anchor,
    dn: `CN=Person ${seed},DC=example`,
    state,
    by: 'mail',
  });

  it('are kept by id and anchor, replaced, listed by state and removed', async () => {
    const first = [link(1, 'aa', 'found'), link(1, 'bb', 'unlinked'), link(2, 'cc', 'found'), link(3, 'dd', 'adopted')];
    await write(store(), async (tx) => {
      await tx.putLinks('network', first);
      await tx.putLinks('other', [link(1, 'aa', 'adopted')]);
    });
    await read(store(), async (tx) => {
      const ids = [3, 1, 9].map((seed) => link(seed, '', 'found').id);
      expect(await tx.links('network', ids)).toEqual([[first[3]], [first[0], first[1]], []]);
      expect(await tx.linksInState('network', 'found', null, 10)).toEqual([first[0], first[2]]);
      expect(await tx.linksInState('network', 'found', null, 1)).toEqual([first[0]]);
      expect(await tx.linksInState('network', 'found', first[0]!, 10)).toEqual([first[2]]);
      expect(await tx.countLinks('network', 'found')).toBe(2);
      expect(await tx.countLinks('other', 'found')).toBe(0);
    });
    const renamed = { ...link(1, 'aa', 'approved'), dn: 'CN=Other,DC=example', by: 'stamp' };
    await write(store(), async (tx) => {
      await tx.putLinks('network', [renamed]);
      await tx.removeLinks('network', [link(2, 'cc', 'found'), link(3, 'zz', 'found')]);
    });
    await read(store(), async (tx) => {
      expect(await tx.linksInState('network', 'found', null, 10)).toEqual([]);
      expect(await tx.linksInState('network', 'approved', null, 10)).toEqual([renamed]);
      expect(await tx.countLinks('network', 'adopted')).toBe(1);
    });
    await write(store(), (tx) => tx.clearLinks('network'));
    expect(await read(store(), (tx) => tx.countLinks('network', 'adopted'))).toBe(0);
    expect(await read(store(), (tx) => tx.countLinks('other', 'adopted'))).toBe(1);
  });
}
