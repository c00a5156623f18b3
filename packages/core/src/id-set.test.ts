import fc from 'fast-check';
import { expect, it } from 'vitest';
import { IdSet } from './id-set.ts';

const id = fc.uint8Array({ minLength: 16, maxLength: 16 });

it('a set of ids knows what was added, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(id, { comparator: (a, b) => Buffer.compare(a.subarray(0, 8), b.subarray(0, 8)) === 0 }),
      fc.array(id),
      (added, others) => {
        const set = new IdSet();
        for (const one of added) expect(set.add(one)).toBe(true);
        for (const one of added) expect(set.add(one)).toBe(false);
        for (const one of added) expect(set.has(one)).toBe(true);
        const known = new Set(added.map((one) => Buffer.from(one.subarray(0, 8)).toString('hex')));
        for (const one of others) expect(set.has(one)).toBe(known.has(Buffer.from(one.subarray(0, 8)).toString('hex')));
        expect(set.size).toBe(added.length);
      },
    ),
  );
});

it('a set of ids grows', () => {
  const set = new IdSet();
  const of = (i: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32BE((i * 2_654_435_761) % 2 ** 32);
    bytes.writeUInt32BE(i, 4);
    return bytes;
  };
  for (let i = 0; i < 100_000; i++) set.add(of(i));
  expect(set.size).toBe(100_000);
  for (let i = 0; i < 100_000; i++) expect(set.has(of(i))).toBe(true);
  expect(set.has(of(100_001))).toBe(false);
});

it('ids that owners chose to begin alike are told apart, and cost no more than others', () => {
  const ids = Array.from({ length: 60_000 }, (_, i) => {
    const one = Buffer.alloc(16, 7);
    one.writeUInt32BE(i, 12);
    return one;
  });
  const set = new IdSet();
  const before = process.cpuUsage();
  for (const one of ids.slice(1)) set.add(one);
  expect(ids.map((one) => set.has(one)).indexOf(true)).toBe(1);
  const { user, system } = process.cpuUsage(before);
  expect(set.size).toBe(ids.length - 1);
  expect((user + system) / 1_000).toBeLessThan(1_000);
});
