/** The part of the store contract about address lists. */
import { beforeEach, describe, expect, it } from 'vitest';
import { entries, entry, listRow, octets, read, write, type StoreOf } from './store-samples.ts';

const owners = ['oslo', 'bergen'];
const ownerOf = (number: number) => owners[(number - 1) % 2]!;

export function listContract(store: StoreOf): void {
  describe('lists', () => {
    beforeEach(async () => {
      await write(store(), async (tx) => {
        await tx.putEntries(
          'collected',
          entries(6, (seed) => ({ owner: ownerOf(seed) })),
        );
        await tx.putListRows(
          'all',
          [1, 2, 3, 4, 5, 6].map((number) => listRow(number, { owner: ownerOf(number) })),
        );
        await tx.putListRows('short', [listRow(1), listRow(2, { owner: 'bergen' })]);
      });
    });
    rowContract(store);
    listedContract(store);
    purgeContract(store);
  });
}

function rowContract(store: StoreOf): void {
  it('rows come back as they were put, in the order asked, per list', async () => {
    const row = listRow(4, { owner: 'bergen', seq: 12, left: true, first: 2, entered: 7, introduced: 9 });
    await write(store(), (tx) => tx.putListRows('all', [row]));
    await read(store(), async (tx) => {
      expect(await tx.listRows('all', [4, 99, 1])).toEqual([row, undefined, listRow(1)]);
      expect(await tx.listRows('short', [4])).toEqual([undefined]);
      expect(await tx.listRows('none', [1])).toEqual([undefined]);
    });
  });

  it('a row can change without a new seq', async () => {
    const row = listRow(1, { introduced: 5, hash: octets('other') });
    await write(store(), (tx) => tx.putListRows('all', [row]));
    expect(await read(store(), (tx) => tx.listRows('all', [1]))).toEqual([row]);
  });

  it('a new incarnation clears where numbers were introduced, in all lists', async () => {
    await write(store(), async (tx) => {
      await tx.putListRows('all', [listRow(1, { introduced: 3 })]);
      await tx.putListRows('short', [listRow(1, { introduced: 3 })]);
      await tx.clearListIntroduced();
      expect(await tx.listRows('all', [1])).toEqual([listRow(1)]);
      expect(await tx.listRows('short', [1])).toEqual([listRow(1)]);
    });
  });

  it('removing a list leaves the others', async () => {
    await write(store(), (tx) => tx.removeList('all'));
    await read(store(), async (tx) => {
      expect(await tx.scanListHashes('all', 0, null, 10)).toEqual([]);
      expect(await tx.scanListHashes('short', 0, null, 10)).toHaveLength(2);
    });
  });
}

function listedContract(store: StoreOf): void {
  it('what changed since a seq comes ascending by seq, with entries and tombstones, without those of one owner', async () => {
    const moved = listRow(1, { seq: 8 });
    const left = listRow(3, { seq: 7, left: true });
    await write(store(), (tx) => tx.putListRows('all', [moved, left]));
    await read(store(), async (tx) => {
      expect(await tx.listSince('all', 5, 'bergen', 10)).toEqual([
        { row: left, entry: entry(3, { number: 3 }) },
        { row: moved, entry: entry(1, { number: 1 }) },
      ]);
      const numbers = (found: { row: { number: number } }[]) => found.map(({ row }) => row.number);
      expect(numbers(await tx.listSince('all', 0, 'nobody', 3))).toEqual([2, 4, 5]);
      expect(numbers(await tx.listSince('all', 5, 'nobody', 9))).toEqual([6, 3, 1]);
      expect(await tx.listSince('none', 0, 'nobody', 9)).toEqual([]);
    });
  });

  it('scans what is still on the list, ascending by number', async () => {
    await write(store(), (tx) => tx.putListRows('all', [listRow(3, { left: true, seq: 7 })]));
    await read(store(), async (tx) => {
      const numbers = (found: { row: { number: number } }[]) => found.map(({ row }) => row.number);
      expect(numbers(await tx.scanList('all', 0, null, 10))).toEqual([1, 2, 4, 5, 6]);
      expect(numbers(await tx.scanList('all', 1, null, 2))).toEqual([2, 4]);
      expect(await tx.scanList('all', 0, 'bergen', 1)).toEqual([{ row: listRow(1), entry: entry(1, { number: 1 }) }]);
      expect(numbers(await tx.scanList('all', 0, 'bergen', 10))).toEqual([1, 5]);
      expect(await tx.scanListHashes('all', 4, null, 10)).toEqual([
        { number: 5, id: octets('id 5'), owner: 'oslo', hash: octets('released 5') },
        { number: 6, id: octets('id 6'), owner: 'bergen', hash: octets('released 6') },
      ]);
      expect(await tx.scanListHashes('all', 0, 'oslo', 1)).toEqual([
        { number: 2, id: octets('id 2'), owner: 'bergen', hash: octets('released 2') },
      ]);
    });
  });
}

function purgeContract(store: StoreOf): void {
  it('a purge removes the tombstones of that list up to the seq', async () => {
    await write(store(), async (tx) => {
      await tx.putListRows(
        'all',
        [2, 3, 4].map((number) => listRow(number, { left: true, seq: number + 10 })),
      );
      await tx.putListRows('short', [listRow(2, { left: true, seq: 12 })]);
      expect(await tx.purgeList('all', 13)).toBe(2);
      expect(await tx.purgeList('all', 13)).toBe(0);
      expect(await tx.purgeList('none', 13)).toBe(0);
      const left = await tx.listRows('all', [1, 2, 3, 4]);
      expect(left.map((row) => row?.number)).toEqual([1, undefined, undefined, 4]);
      expect(await tx.listRows('short', [2])).toHaveLength(1);
    });
  });

  it('collected tombstones go when no list names them any more', async () => {
    await write(store(), async (tx) => {
      const gone = [1, 3, 5].map((number) =>
        entry(number, { number, owner: ownerOf(number), deleted: true, bytes: null }),
      );
      await tx.putEntries('collected', gone);
      await tx.putListRows(
        'all',
        [1, 3, 5].map((number) => listRow(number, { left: true, seq: number + 10 })),
      );
      await tx.putListRows('short', [listRow(1, { left: true, seq: 11 })]);
      expect(await tx.purgeCollected()).toBe(0);
      await tx.purgeList('all', 13);
      expect(await tx.purgeCollected()).toBe(1);
      const left = await tx.scanHashes('collected', 0, 10);
      expect(left.map((row) => row.number)).toEqual([1, 2, 4, 5, 6]);
    });
  });

  it('collected tombstones that are held stay, whether a list names them or not', async () => {
    const shown = { effects: 1, lostMembers: 0, sinceMs: 5, approved: false, shown: octets('shown') };
    const gone = (number: number) => entry(number, { number, owner: ownerOf(number), deleted: true, bytes: null });
    await write(store(), async (tx) => {
      await tx.removeList('all');
      await tx.removeList('short');
      await tx.putEntries('collected', [gone(1), { ...gone(3), held: shown }]);
      expect(await tx.purgeCollected()).toBe(1);
      expect((await tx.entriesByNumber('collected', [1, 3])).map((row) => row?.held)).toEqual([undefined, shown]);
      await tx.putEntries('collected', [gone(3)]);
      expect(await tx.purgeCollected()).toBe(1);
    });
  });
}
