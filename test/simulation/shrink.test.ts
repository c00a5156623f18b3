import { expect, it } from 'vitest';
import { mutations } from './mutations.ts';
import { shrink } from './shrink.ts';
import { World, type WorldOptions } from './world.ts';

/** Its mutation shows in most worlds. */
const mutation = mutations.find(({ name }) => name === 'an incomplete read counts as complete')!;

it('finds a shorter way to show what a seed broke, which still shows it', { timeout: 120_000 }, async () => {
  let clock = 0;
  let failing: WorldOptions | undefined;
  for (let seed = 1; failing === undefined; seed++) {
    const options = { ...mutation.world, seed, steps: 60, mutation: mutation.make() };
    if ((await new World(options).run()).violations.length > 0) failing = options;
  }
  // A try is a second of this clock: twelve of them.
  const shrunk = (await shrink(failing, 12_000, () => (clock += 1_000)))!;
  const { steps = 0, without = [] } = shrunk.options;
  expect(steps - without.length).toBeLessThan(60);
  expect((await new World(shrunk.options).run()).violations).toEqual(shrunk.result.violations);
});

it('gives null where nothing is broken', async () => {
  expect(await shrink({ seed: 1, steps: 5, calm: true }, 0, () => 0)).toBeNull();
});
