/**
 * One entry of a replica differs from what the server has (a flipped bit, a lost page): only its bucket is sent again. The same as
 * `npm run bench -- repair`, which has 100,000 entries.
 */
import { expect, it } from 'vitest';
import repair from '../bench/cases/repair.ts';

const ENTRIES = 3_000;
/** 16 KiB of bucket digests up, one bucket of some three entries down, and what each cycle costs anyway. */
const MOST_KILOBYTES = 24;

it('one differing entry is mended by one repair of its bucket, and costs the digests and that bucket', async () => {
  const figures = new Map((await repair.run(ENTRIES)).map(({ what, value }) => [what, value]));
  expect(figures.get('on the wire, both ways')).toBeLessThan(MOST_KILOBYTES);
  expect(figures.get('on the wire, both ways')).toBeGreaterThan(16);
  expect(figures.get('down')).toBeLessThan(4);
  expect(figures.get('repairs')).toBe(1);
});
