import { describe, expect, it } from 'vitest';
import { pack, packList, unpack } from './columns.ts';

/** As between threads. */
function carried(value: unknown): unknown {
  const packed = pack(value);
  return unpack(structuredClone(packed, { transfer: [packed.octets] }));
}

describe('what goes between the threads comes out the same', () => {
  it.each([
    ['nothing', undefined],
    ['plain values', [1, 'two', true, null, undefined]],
    ['octets', Buffer.from('octets')],
    ['empty octets', Buffer.alloc(0)],
    [
      'an object with octets and an absent value',
      { id: 'a', payload: Buffer.from('x'), filter: undefined, none: null },
    ],
    ['an empty batch', ['replica', []]],
    ['a column of octets', [Buffer.from('a'), Buffer.alloc(0), Buffer.from('ccc')]],
    ['a column with gaps', [undefined, { number: 1, bytes: Buffer.from('a') }, null, { number: 2, bytes: null }]],
    ['numbers up to the largest safe one', [0, -1, Number.MAX_SAFE_INTEGER]],
    ['rows with records of different keys', [{ changed: { cn: 1 } }, { changed: null }, { changed: { sn: 2, cn: 3 } }]],
    ['rows of different keys', [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }]],
    ['rows within rows', [{ row: { number: 1 }, entry: { id: Buffer.from('i') } }]],
    ['columns of arrays', [{ memberDns: [] }, { memberDns: ['a', 'b'] }]],
  ])('%s', (_, value) => {
    expect(carried(value)).toEqual(value);
  });

  it('arguments come out the same, and their octets travel in the one buffer', () => {
    const args = ['replica', [{ id: Buffer.from('id'), number: 1 }], { payload: Buffer.from('load') }, undefined, 5];
    const packed = packList(args);
    expect(packed.octets.byteLength).toBe(6);
    expect(unpack(structuredClone(packed, { transfer: [packed.octets] }))).toEqual(args);
  });

  it('octets that are views of a larger buffer do not bring it along', () => {
    const pool = Buffer.alloc(1 << 20, 7);
    const packed = pack([pool.subarray(10, 12), pool.subarray(500, 501)]);
    expect(packed.octets.byteLength).toBe(3);
  });
});
