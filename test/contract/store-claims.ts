/** The part of the store contract about values that must be unique. */
import type { Claim } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { octets, read, write, type StoreOf } from './store-samples.ts';

const claim = (seed: string, owner: string, number: number, seq = number) => ({
  value: octets(seed),
  owner,
  number,
  seq,
});

const told = (claims: Claim[]) =>
  claims.map(({ owner, number, seq, holder, state }) => [owner, number, seq, holder, state]);

export function claimContract(store: StoreOf): void {
  describe('claims', () => {
    it('one that is alone is settled; one of another owner is new; one of the same owner is as old as his first', async () => {
      await write(store(), async (tx) => {
        await tx.putClaims([claim('a', 'oslo', 1, 10), claim('a', 'oslo', 2, 20), claim('b', 'lima', 3, 30)]);
        expect(await tx.unsettledClaims(10)).toEqual([]);
        await tx.putClaims([claim('a', 'lima', 4, 40), claim('a', 'lima', 5, 50)]);
      });
      await read(store(), async (tx) => {
        expect(told(await tx.unsettledClaims(10))).toEqual([
          ['lima', 4, 40, null, 'new'],
          ['lima', 5, 40, null, 'new'],
        ]);
        expect(told(await tx.claimsOf(octets('a'), 'oslo', 1, 10))).toEqual([['oslo', 2, 10, null, 'settled']]);
        expect(await tx.claimants([octets('a'), octets('none'), octets('b')])).toEqual([
          [
            { owner: 'oslo', seq: 10 },
            { owner: 'lima', seq: 40 },
          ],
          [],
          [{ owner: 'lima', seq: 30 }],
        ]);
      });
    });

    it('the oldest claimant comes first, whoever was heard of first', async () => {
      await write(store(), (tx) => tx.putClaims([claim('a', 'oslo', 1, 20), claim('a', 'lima', 2, 10)]));
      const [found] = await read(store(), (tx) => tx.claimants([octets('a')]));
      expect(found!.map(({ owner }) => owner)).toEqual(['lima', 'oslo']);
    });

    it('one that is gone stays until it is removed, and keeps its seq when it comes back', async () => {
      await write(store(), async (tx) => {
        await tx.putClaims([claim('a', 'oslo', 1, 10), claim('b', 'oslo', 1, 10)]);
        await tx.dropClaims([claim('a', 'oslo', 1), claim('never there', 'oslo', 1)]);
        expect(told(await tx.unsettledClaims(10))).toEqual([['oslo', 1, 10, null, 'gone']]);
        await tx.putClaims([claim('a', 'oslo', 2, 99)]);
        await tx.removeClaims([claim('a', 'oslo', 1)]);
        expect(told(await tx.claimsOf(octets('a'), 'oslo', 0, 10))).toEqual([['oslo', 2, 10, null, 'settled']]);
        await tx.dropAllClaims();
        await tx.putClaims([claim('b', 'oslo', 1, 99)]);
        expect(told(await tx.unsettledClaims(10))).toEqual([['oslo', 2, 10, null, 'gone']]);
        expect(told(await tx.claimsOf(octets('b'), 'oslo', 0, 10))).toEqual([['oslo', 1, 10, null, 'settled']]);
      });
    });

    it('what is gone comes before what is new, also if it is told who holds it', async () => {
      await write(store(), async (tx) => {
        await tx.putClaims([claim('a', 'oslo', 1), claim('a', 'lima', 2), claim('b', 'lima', 3)]);
        await tx.dropClaims([claim('b', 'lima', 3)]);
        await tx.settleClaims([{ ...claim('b', 'lima', 3), holder: 'oslo' }]);
        expect((await tx.unsettledClaims(10)).map(({ state }) => state)).toEqual(['gone', 'new']);
        await tx.settleClaims([{ ...claim('a', 'lima', 2), holder: 'oslo' }]);
        expect((await tx.unsettledClaims(10)).map(({ state }) => state)).toEqual(['gone']);
      });
    });

    it('those that wait are found by their owner, by the holder, and all', async () => {
      await write(store(), async (tx) => {
        await tx.putClaims([claim('a', 'oslo', 1), claim('a', 'lima', 2), claim('a', 'rome', 3)]);
        await tx.settleClaims([
          { ...claim('a', 'lima', 2), holder: 'oslo' },
          { ...claim('a', 'rome', 3), holder: 'oslo' },
        ]);
      });
      await read(store(), async (tx) => {
        expect(told(await tx.waitingClaims({ owner: 'lima' }, 10))).toEqual([['lima', 2, 2, 'oslo', 'settled']]);
        expect((await tx.waitingClaims({ holder: 'oslo' }, 10)).map(({ owner }) => owner).sort()).toEqual([
          'lima',
          'rome',
        ]);
        expect(await tx.waitingClaims({}, 1)).toHaveLength(1);
        const counts = [{}, { owner: 'lima' }, { owner: 'oslo' }, { holder: 'oslo' }, { holder: 'lima' }];
        expect(await Promise.all(counts.map((of) => tx.countWaitingClaims(of)))).toEqual([2, 1, 0, 2, 0]);
      });
    });
  });
}
