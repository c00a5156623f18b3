/**
 * A test that cannot fail is a defect: rules of the design are broken on purpose, and the checkers of the simulation
 * have to notice each within some seeds.
 */
import { describe, expect, it } from 'vitest';
import { mutations, type NamedMutation } from './mutations.ts';
import { World } from './world.ts';

/** RARE=1: the rules whose breach shows in one of hundreds of seeds, which takes minutes each. */
const RARE = process.env['RARE'] === '1';
const MOST_SEEDS = RARE ? 2_000 : 60;

/** The first seed that shows it, and what it shows; null when none does. */
async function caught({
  make,
  world,
  seed: first = 1,
}: NamedMutation): Promise<{ seed: number; violation: string } | null> {
  for (let seed = first; seed < first + MOST_SEEDS; seed++) {
    const { violations } = await new World({ ...world, seed, mutation: make() }).run();
    if (violations.length > 0) return { seed, violation: violations[0]! };
  }
  return null;
}

describe('a broken rule is noticed', () => {
  for (const mutation of mutations.filter(({ rare = false }) => rare === RARE)) {
    it(`${mutation.rule}: ${mutation.name}`, { timeout: RARE ? 7_200_000 : 240_000 }, async () => {
      const shown = await caught(mutation);
      expect(shown).not.toBeNull();
      expect(shown!.violation).toMatch(mutation.shows);
    });
  }
});
