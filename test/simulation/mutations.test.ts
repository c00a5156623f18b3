/**
 * A test that cannot fail is a defect: rules of the design are broken on purpose, and the checkers of the simulation
 * have to notice each within some seeds. In weather that simulation.test.ts does not have the same world without the lie
 * must break nothing, so that it is the lie which is noticed.
 */
import { describe, expect, it } from 'vitest';
import { mutations, type NamedMutation } from './mutations.ts';
import { World, type WorldOptions } from './world.ts';

/** Hints age when the worlds change: the search goes on behind them. */
const MOST_SEEDS = 40;

interface Caught {
  options: WorldOptions;
  violations: string[];
}

/** The first seed that shows the breach; null when none does. */
async function caught({ make, world, shows, seed: first = 1 }: NamedMutation): Promise<Caught | null> {
  for (let seed = first; seed < first + MOST_SEEDS; seed++) {
    const options = { ...world, seed };
    const { violations } = await new World({ ...options, mutation: make() }).run();
    if (violations.some((violation) => shows.test(violation))) return { options, violations };
  }
  return null;
}

describe('a broken rule is noticed', () => {
  for (const mutation of mutations) {
    it(`${mutation.rule}: ${mutation.name}`, { timeout: 240_000 }, async () => {
      const shown = await caught(mutation);
      if (shown === null) return expect.fail(`None of ${MOST_SEEDS} seeds shows it; look for other weather.`);
      if (mutation.world === undefined) return;
      const { violations } = await new World(shown.options).run();
      expect(violations, `${JSON.stringify(shown.options)}, nothing broken`).toEqual([]);
    });
  }
});
