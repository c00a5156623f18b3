import { expect, it } from 'vitest';
import { firstBatchSize, nextBatchSize } from './batch-size.ts';

/** Sizes of the batches of a long write to a server that needs so long for each change. */
function sizesAt(msPerChange: number, from = firstBatchSize(undefined)): number[] {
  const sizes = [from];
  while (sizes.length < 20) sizes.push(nextBatchSize(sizes.at(-1)!, sizes.at(-1)!, sizes.at(-1)! * msPerChange));
  return sizes;
}

it.each([0.1, 0.5, 2, 10])('batches take about 200 ms at %d ms for a change', (msPerChange) => {
  const ms = sizesAt(msPerChange).at(-1)! * msPerChange;
  expect(ms).toBeGreaterThan(180);
  expect(ms).toBeLessThan(220);
});

it('grow and shrink step by step, because one batch may be an exception', () => {
  expect(sizesAt(0.5).slice(0, 4)).toEqual([16, 64, 256, 400]);
  expect(sizesAt(20, 400).slice(0, 4)).toEqual([400, 200, 100, 50]);
});

it('stay between 8 and 4,000, however slow or fast the server is', () => {
  expect(sizesAt(1_000).at(-1)).toBe(8);
  expect(sizesAt(0.001).at(-1)).toBe(4_000);
  expect(nextBatchSize(16, 16, 0)).toBe(64);
});

it('learn nothing from a few changes, which take as long as their round trips', () => {
  expect(nextBatchSize(400, 3, 200)).toBe(400);
});

it('begin with what the last write learnt, but not with very many: the server may be slow now', () => {
  expect(firstBatchSize(undefined)).toBe(16);
  expect(firstBatchSize(400)).toBe(400);
  expect(firstBatchSize(4_000)).toBe(1_000);
});
