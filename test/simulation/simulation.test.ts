/** The simulation as a test: many worlds, those that once failed, and that a seed gives the same run again. */
import { describe, expect, it } from 'vitest';
import { needlessRegression, regressions } from './regressions.ts';
import { World } from './world.ts';

const SEEDS = 200;
/** Worlds of one test, so that a failure names few seeds and none runs long. */
const CHUNK = 20;
const FIRST_SEED = 10_000;
const STEPS = 150;

describe('whatever happens to message files, disks, directories and clocks, nothing is lost and all agree afterwards', () => {
  for (let from = FIRST_SEED; from < FIRST_SEED + SEEDS; from += CHUNK) {
    it(`seeds ${from} to ${from + CHUNK - 1}`, { timeout: 240_000 }, async () => {
      for (let seed = from; seed < from + CHUNK; seed++) {
        const { violations } = await new World({ seed, steps: STEPS, clones: seed % 2 === 0 }).run();
        expect(
          violations,
          `npm run sim -- --seed ${seed} --steps ${STEPS}${seed % 2 === 0 ? ' --clones' : ''}`,
        ).toEqual([]);
      }
    });
  }
});

/** Few, for they take longer: npm run sim -- --holds runs more. */
const HELD_SEEDS = 4;
const NARROW_SEEDS = 4;
const EDIT_SEEDS = 6;
const RELOAD_SEEDS = 6;
const KEY_SEEDS = 6;
/** From here all that is counted below happens. */
const FIRST_KEY_SEED = 7;

it('with limits on effects nothing goes beyond them unapproved, and all agree all the same', {
  timeout: 120_000,
}, async () => {
  const counts: Record<string, number> = {};
  for (let seed = 1; seed <= HELD_SEEDS; seed++) {
    const result = await new World({ seed, steps: STEPS, holds: true }).run();
    expect(result.violations, `npm run sim -- --seed ${seed} --steps ${STEPS} --holds`).toEqual([]);
    for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
  }
  for (const place of ['published', 'collected', 'replica']) expect(counts[`approved ${place}`]).toBeGreaterThan(0);
});

it('where ways turn out to take less all agree all the same, in smaller parts', { timeout: 120_000 }, async () => {
  const counts: Record<string, number> = {};
  for (let seed = 1; seed <= NARROW_SEEDS; seed++) {
    const result = await new World({ seed, steps: STEPS, narrow: true }).run();
    expect(result.violations, `npm run sim -- --seed ${seed} --steps ${STEPS} --narrow`).toEqual([]);
    for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
  }
  for (const what of ['refused', 'lost']) expect(counts[`too large, ${what}`]).toBeGreaterThan(0);
  expect(counts['composed anew']).toBeGreaterThan(0);
});

it('where directories are reloaded, and their entries have other keys, nobody is removed for that or comes twice', {
  timeout: 120_000,
}, async () => {
  let rekeyed = 0;
  for (let seed = 1; seed <= RELOAD_SEEDS; seed++) {
    const result = await new World({ seed, steps: STEPS, reloads: true }).run();
    expect(result.violations, `npm run sim -- --seed ${seed} --steps ${STEPS} --reloads`).toEqual([]);
    rekeyed += result.counts['other keys'] ?? 0;
  }
  expect(rekeyed).toBeGreaterThan(100);
});

it('every edit ends settled and withdrawn, taken once at most, and nothing is lost', { timeout: 240_000 }, async () => {
  const counts: Record<string, number> = {};
  for (let seed = 1; seed <= EDIT_SEEDS; seed++) {
    const clones = seed % 2 === 0;
    const result = await new World({ seed, steps: STEPS, edits: true, clones }).run();
    const replay = `npm run sim -- --seed ${seed} --steps ${STEPS} --edits${clones ? ' --clones' : ''}`;
    expect(result.violations, replay).toEqual([]);
    for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
  }
  for (const what of ['proposed', 'taken']) expect(counts[`edits ${what}`]).toBeGreaterThan(0);
});

it('whatever becomes of keys, nobody stays locked out whom messages can let in, and nobody else is believed', {
  timeout: 240_000,
}, async () => {
  const counts: Record<string, number> = {};
  for (let seed = FIRST_KEY_SEED; seed < FIRST_KEY_SEED + KEY_SEEDS; seed++) {
    const clones = seed % 2 === 0;
    const result = await new World({ seed, steps: STEPS, keys: true, clones }).run();
    const replay = `npm run sim -- --seed ${seed} --steps ${STEPS} --keys${clones ? ' --clones' : ''}`;
    expect(result.violations, replay).toEqual([]);
    for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
  }
  for (const what of ['keys rolled', 'keys stolen', 'forged', 'suspended', 'moves', 'server keys replaced'])
    expect(counts[what], what).toBeGreaterThan(0);
});

it('without faults two quiet cycles are enough, and no update fails to add up', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { violations, cycles } = await new World({ seed, steps: STEPS, calm: true }).run();
    expect(violations).toEqual([]);
    expect(cycles).toBeLessThanOrEqual(3);
  }
});

describe('seeds that once broke a rule', () => {
  for (const { was, ...options } of regressions) {
    it(`${options.seed}: ${was}`, async () => {
      expect((await new World(options).run()).violations).toEqual([]);
    });
  }
});

it(`${needlessRegression.seed}: ${needlessRegression.was}`, async () => {
  const { was: _, fix: __, ...options } = needlessRegression;
  const { counts, violations } = await new World(options).run();
  expect(violations).toEqual([]);
  expect(counts['needless']).toBe(0);
});

it('a seed gives the same trace and the same octets on the wire again', async () => {
  const options = { seed: 77, clones: true, steps: STEPS };
  const [one, other] = [await new World(options).run(), await new World(options).run()];
  expect(one.messages).toBeGreaterThan(50);
  expect(other).toEqual(one);
  expect((await new World({ ...options, seed: 78 }).run()).fingerprint).not.toBe(one.fingerprint);
});
