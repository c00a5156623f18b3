/**
 * A test that cannot fail is a defect: rules of the design are broken on purpose, and the checkers of the simulation
 * have to notice each within some seeds. In weather that simulation.test.ts does not have the same world without the lie
 * must break nothing, so that it is the lie which is noticed. `npm run mutations` prints the same as a table.
 */
import { describe, expect, it } from 'vitest';
import { caught, MOST_SEEDS } from './catch.ts';
import { mutations } from './mutations.ts';

describe('a broken rule is noticed', () => {
  for (const mutation of mutations) {
    it(`${mutation.rule}: ${mutation.name}`, { timeout: 240_000 }, async () => {
      const shown = await caught(mutation);
      if (shown === null) return expect.fail(`None of ${MOST_SEEDS} seeds shows it; look for other weather.`);
      expect(shown.without, `${JSON.stringify(shown.options)}, nothing broken`).toEqual([]);
    });
  }
});
