/** Seeds that once broke a rule, and what was wrong then. A seed stays here for ever, with the options that it needs. */
import type { WorldOptions } from './world.ts';

export interface Regression extends WorldOptions {
  was: string;
}

export const regressions: Regression[] = [
  { seed: 2, was: 'A restored server gives entry numbers anew; the replica refused the second bearer of one.' },
  { seed: 12, was: 'A restored server did not know an owner, so a repair took his entries for gone.' },
  { seed: 95, was: 'Tombstones of entries that were never on a list were kept for ever.' },
  { seed: 99, was: 'Parts of an exchange that a smaller one had overtaken stayed staged.' },
  { seed: 25, clones: true, was: 'Parts for a life that is over were sent again for ever, and nothing else.' },
  { seed: 1138, was: 'The clock went back, and a part waited 200 days to be sent.' },
  {
    seed: 1423,
    was: 'A restored owner submitted everything after an incomplete read, and what was newer was removed.',
  },
  { seed: 8, calm: true, was: 'A late exchange was answered without a removal that its sender needed meanwhile.' },
];
