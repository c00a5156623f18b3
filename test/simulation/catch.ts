/** Whether the checkers notice a broken rule: for the test (mutations.test.ts) and the command (mutations-run.ts). */
import type { NamedMutation } from './mutations.ts';
import { World, type WorldOptions } from './world.ts';

/** Hints age when the worlds change: the search goes on behind them. */
export const MOST_SEEDS = 40;

export interface Caught {
  options: WorldOptions;
  violations: string[];
  seedsTried: number;
  /** In weather that simulation.test.ts does not have: what the same world breaks without the lie. It has to be nothing. */
  without: string[];
}

/** By the first seed that shows the breach; null when none does. */
export async function caught({ make, world, shows, seed: first = 1 }: NamedMutation): Promise<Caught | null> {
  for (let seed = first; seed < first + MOST_SEEDS; seed++) {
    const options = { ...world, seed };
    const { violations } = await new World({ ...options, mutation: make() }).run();
    if (!violations.some((violation) => shows.test(violation))) continue;
    const without = world === undefined ? [] : (await new World(options).run()).violations;
    return { options, violations, seedsTried: seed - first + 1, without };
  }
  return null;
}
