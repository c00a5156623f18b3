import { expect, it } from 'vitest';
import { transportFailed } from './failures.ts';
import type { Answer, Line, LineRequest } from './line.ts';
import { Patience } from './patience.ts';
import { download } from './slices.ts';

const signal = new AbortController().signal;
const file = { id: '0'.repeat(32), bytes: 1_000 };

/** A proxy that takes away the range that is asked for, and cuts each answer at the same place. */
function throughProxy(asked: LineRequest[], passes: number): Line {
  const request = async (one: LineRequest): Promise<Answer> => {
    asked.push(one);
    async function* chunks(): AsyncGenerator<Buffer, void> {
      for (let at = 0; at < Math.min(passes, file.bytes); at += 100) yield Buffer.alloc(100, at / 100);
      if (passes < file.bytes) throw transportFailed('The connection was cut.', { isPassing: true });
    }
    return { status: 200, header: () => undefined, chunks, read: async () => Buffer.alloc(0), discard: async () => {} };
  };
  return { request } as unknown as Line;
}

it('a file of which each try brings the same beginning is given up for now', async () => {
  const asked: LineRequest[] = [];
  const getting = download(throughProxy(asked, 600), file, new Patience(1, signal), signal);
  await expect(getting).rejects.toMatchObject({ code: 'transport-failed' });
  expect(asked.length).toBeLessThan(10);
  expect(asked.at(-1)!.range).toBe('bytes=600-');
});

it('a file that comes whole is taken, whatever was asked for', async () => {
  const asked: LineRequest[] = [];
  const got = await download(throughProxy(asked, 1_000), file, new Patience(1, signal), signal);
  expect(got).toHaveLength(1_000);
  expect(asked).toHaveLength(1);
});
