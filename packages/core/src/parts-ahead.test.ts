import { expect, test } from 'vitest';
import { decodedParts, OneAhead } from './parts-ahead.ts';

test('a part is read before the one before it is given, and decoded after that was taken', async () => {
  const steps: string[] = [];
  const read = async (part: number) => {
    steps.push(`read ${part}`);
    return Buffer.from([part]);
  };
  const decode = ([part]: Uint8Array) => {
    steps.push(`decode ${part}`);
    return part!;
  };
  for await (const part of decodedParts(3, read, decode)) steps.push(`take ${part}`);
  const [first, second, third] = ['read 0, decode 0, read 1, take 0', 'decode 1, read 2, take 1', 'decode 2, take 2'];
  expect(steps.join(', ')).toBe(`${first}, ${second}, ${third}`);
});

async function* counting(log: string[], fail = Infinity): AsyncGenerator<number> {
  try {
    for (let i = 1; i <= 3; i++) {
      log.push(`make ${i}`);
      if (i === fail) throw new Error(`no ${i}`);
      yield i;
    }
  } finally {
    log.push('end');
  }
}

test('the next is made when there is time for it, and only one', async () => {
  const log: string[] = [];
  const ahead = new OneAhead(counting(log));
  expect(await ahead.next()).toBe(1);
  ahead.begin();
  ahead.begin();
  expect(log).toEqual(['make 1', 'make 2']);
  expect([await ahead.next(), await ahead.next(), await ahead.next()]).toEqual([2, 3, undefined]);
  await ahead.end();
  expect(log).toEqual(['make 1', 'make 2', 'make 3', 'end']);
});

test('what fails early is told when it is taken, and what is not taken ends all the same', async () => {
  const log: string[] = [];
  const ahead = new OneAhead(counting(log, 2));
  expect(await ahead.next()).toBe(1);
  ahead.begin();
  await expect(ahead.next()).rejects.toThrow('no 2');
  const other = new OneAhead(counting(log));
  other.begin();
  await other.end();
  expect(log).toEqual(['make 1', 'make 2', 'end', 'make 1', 'end']);
});
