/**
 * What once failed does not fail again, and a second or less of seeded fuzzing of each target. `npm run fuzz` does it for
 * longer, led by what is reached.
 */
import { readdirSync } from 'node:fs';
import { DirpostError } from '@dirpost/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../simulation/random.ts';
import { failuresFolder, readInputs } from './corpus.ts';
import { execute, Fuzzer } from './fuzzer.ts';
import { ownWork, type Target } from './target.ts';
import { targetNamed, targets } from './targets.ts';

const SEED = 20_260_101;
/** Always the same inputs, and fewer of them on a slow machine: who passes here passes everywhere. */
const ROUNDS = 40;
const FUZZ_MS = 700;

describe.each(targets.map((target) => [target.name, target] as const))('%s', (name, target) => {
  beforeAll(() => target.open?.());
  afterAll(() => target.close?.());

  it('reads all that once failed', async () => {
    for (const { file, input } of await readInputs(failuresFolder, name)) {
      expect({ file, failure: await execute(target, input) }).toEqual({ file, failure: null });
    }
  });

  it('returns or throws a DirpostError for whatever comes', async () => {
    const fuzzer = new Fuzzer(target, { random: new SeededRandom(SEED, 5) });
    const failures = await fuzzer.begin();
    const endMs = performance.now() + FUZZ_MS;
    for (let round = 0; round < ROUNDS && performance.now() < endMs; round++) failures.push(...(await fuzzer.round()));
    expect(
      failures.map(({ kind, words, input }) => ({ kind, words, input: Buffer.from(input).toString('base64') })),
    ).toEqual([]);
  });
});

it('each folder of past failures is of a target', () => {
  const folders = readdirSync(failuresFolder, { withFileTypes: true }).filter((one) => one.isDirectory());
  expect(folders.map(({ name }) => name).filter((name) => targetNamed(name) === undefined)).toEqual([]);
});

describe('the fuzzer', () => {
  const broken: Target = {
    name: 'broken',
    about: 'falls over the octet 7',
    seeds: () => [Buffer.from('0123456')],
    run(input) {
      if (input.includes(0x37)) throw new TypeError('seven');
      if (input.length === 0) throw new DirpostError('wrong-use', 'Nothing is no fault.');
    },
  };

  it('finds a fault, once, and the shortest input that has it', async () => {
    const fuzzer = new Fuzzer(broken, { random: new SeededRandom(1, 5) });
    const failures = await fuzzer.begin();
    for (let round = 0; round < 100; round++) failures.push(...(await fuzzer.round()));
    expect(failures.map(({ kind, input }) => [kind, Buffer.from(input).toString()])).toEqual([['error', '7']]);
  });

  it('notices what takes too long', async () => {
    const busy = () => {
      const start = process.cpuUsage();
      while (process.cpuUsage(start).user < 60_000);
    };
    expect(await execute({ ...broken, run: busy }, Buffer.alloc(1), 20)).toMatchObject({ kind: 'slow' });
  });

  it('sees through what refuses its own work', async () => {
    const run = () =>
      ownWork(() => {
        throw new DirpostError('ldif-syntax', 'no');
      });
    expect(await execute({ ...broken, run }, Buffer.alloc(1))).toMatchObject({ kind: 'error' });
  });
});
