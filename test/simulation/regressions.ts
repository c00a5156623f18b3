/**
 * Worlds that once broke a rule, and what was wrong then. An entry stays here for ever, with a seed that reaches it.
 *
 * Each was checked on the worlds as of commit db45d10, those with `keys` when they were added: with its fix taken out of the code the seed that stands here
 * breaks a rule as `shows` says, with the fix it breaks none. Where the first seed no longer showed the bug, because the
 * worlds have changed, another that does took its place, in other weather where it must be. Whoever changes what worlds
 * draw from their randomness has to check again: take the line named by `fix` out, and look for a seed. What worlds come to
 * too seldom is played step by step: clock-back, dead-branch and regression-confirmation.test.ts.
 */
import type { WorldOptions } from './world.ts';

export interface Regression extends WorldOptions {
  was: string;
}

interface Checked extends Regression {
  /** Where the fix stands. */
  fix: string;
  /** What the checkers say without it. */
  shows: string;
}

const checked: Checked[] = [
  {
    seed: 1,
    was: 'A restored server gives entry numbers anew; changes for the second bearer of one went to the first.',
    fix: 'core/src/apply.ts, freeNumbers',
    shows: 'not converged: an entry in the replica has other values',
  },
  {
    seed: 5,
    weights: { reinstall: 4 },
    was: 'A restored server did not know an owner, so a repair took his entries for gone.',
    fix: 'core/src/answer.ts, confirmedOwners: names who is confirmed, not who is unconfirmed',
    shows: 'lost: an entry of an owner of whom the server has not heard yet',
  },
  {
    seed: 24,
    requestors: 1,
    steps: 100,
    was: 'Tombstones of entries that were never on a list were kept for ever.',
    fix: 'core/src/purge.ts: purgeCollected whenever a horizon moved, not only if a list lost a tombstone',
    shows: 'growth: the server keeps a tombstone that everybody has acknowledged',
  },
  {
    seed: 24,
    requestors: 2,
    steps: 150,
    weights: { people: 40, cycle: 25 },
    was: 'Parts of an exchange that a smaller one had overtaken stayed staged.',
    fix: 'core/src/server.ts, processComplete: removeParts also after an exchange of one part',
    shows: 'growth: a part stays staged',
  },
  {
    seed: 17,
    clones: true,
    requestors: 2,
    weights: { people: 35, cycle: 30, clone: 3, restore: 3, backup: 5, recover: 6 },
    was: 'Parts for a life that is over were sent again for ever, and nothing else.',
    fix: 'core/src/answer.ts, resendMissingParts: forIncarnation has to be that of the exchange',
    shows: 'not converged: a replica lacks entries',
  },
  {
    seed: 36,
    clones: true,
    requestors: 2,
    steps: 110,
    badReads: 0.4,
    weights: { cycle: 25, deliver: 70, clone: 3, restore: 4, backup: 5, recover: 3 },
    was: 'A copy that found itself outdated submitted everything on the strength of a read from before.',
    fix: 'agent/src/complete-reads.ts, covers: the incarnation of the read has to be the present one',
    shows: 'lost: the server no longer has an entry of an owner that was cloned',
  },
  {
    seed: 2,
    requestors: 1,
    steps: 250,
    badReads: 0.6,
    weights: { people: 15, cycle: 25, deliver: 90, restore: 5, backup: 6 },
    was: 'A restored owner submitted everything after an incomplete read, and what was newer was removed.',
    fix: 'core/src/submit.ts, composeExchange: a full submission has to be certified',
    shows: 'lost: an entry that never left',
  },
  {
    seed: 9,
    calm: true,
    was: 'A late exchange was answered without a removal that its sender needed meanwhile.',
    fix: 'core/src/answer.ts, deltaChange: Math.max(since, sentSeq)',
    shows: 'mismatch: an update does not add up',
  },
  {
    seed: 3,
    steps: 150,
    keys: true,
    clones: true,
    was: 'What was sealed for keys that are destroyed was never read, and its sender never told of others.',
    fix: 'agent/src/dispatch.ts, processIncoming: answerUnreadable',
    shows: 'not converged: a replica lacks entries',
  },
  {
    seed: 1008,
    steps: 150,
    keys: true,
    clones: true,
    was: 'New keys of a restored server had a lower serial than what it had announced before, and were not taken.',
    fix: 'agent/src/announcing.ts, peerAfter: isOld looks at the serial only for the same key',
    shows: 'not converged: a replica lacks entries',
  },
];

/** A delta began below what its receiver had verified: watched as a count, since other causes are left (watch.ts). */
export const needlessRegression = {
  seed: 28,
  steps: 150,
  reloads: true,
  was: 'An exchange that a verification had overtaken made the server forget that for the next one.',
  fix: 'core/src/verified.ts, noteVerified: the highest exchange that was named',
};

export const regressions: Regression[] = checked.map(({ fix: _, shows: __, ...regression }) => regression);
