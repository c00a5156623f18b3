/** How often things happen in a world, and how small its limits are. */
import { defaultLimits, type Limits } from '@dirpost/core';
import type { SeededRandom } from './random.ts';
import type { WorldOptions } from './world-options.ts';

/** How often each thing happens, against the others. */
const ORDINARY = { people: 25, cycle: 16, deliver: 46, dispatch: 3 };
const FAULTS = {
  backup: 3,
  restore: 1.2,
  redefine: 0.8,
  recover: 1,
  clone: 0.3,
  wipe: 0.2,
  clock: 0.6,
  refuse: 0.5,
  restart: 0.5,
  reinstall: 0.1,
};
/** With `holds` only. */
const HOLDS = { crowd: 6, takeBack: 3, approve: 5 };
/** With `narrow` only. */
const NARROW = { widen: 6, people: 50 };
/** With `reloads` only. */
const RELOADS = { reload: 8 };
/** With `edits` only. */
const EDITS = { propose: 14, revert: 3 };
/** With `keys` only. */
const KEY_CHANGES = { roll: 6, steal: 1, forge: 4, suspend: 2, move: 1, mend: 2 };
export type Weights = typeof ORDINARY &
  typeof FAULTS &
  typeof HOLDS &
  Pick<typeof NARROW, 'widen'> &
  typeof RELOADS &
  typeof EDITS &
  typeof KEY_CHANGES;

export function weightsOf(options: WorldOptions): Weights {
  const faults = (options.calm ?? false) ? zero(FAULTS) : FAULTS;
  const narrow = (options.narrow ?? false) ? NARROW : { widen: 0 };
  const holds = (options.holds ?? false) ? HOLDS : zero(HOLDS);
  const reloads = (options.reloads ?? false) ? RELOADS : zero(RELOADS);
  const edits = (options.edits ?? false) ? EDITS : zero(EDITS);
  const keys = (options.keys ?? false) ? KEY_CHANGES : zero(KEY_CHANGES);
  return { ...ORDINARY, ...faults, ...narrow, ...holds, ...reloads, ...edits, ...keys, ...options.weights };
}

/** Small enough that updates and submissions come in parts and checkpoints are forgotten. */
export function smallLimits(random: SeededRandom): Limits {
  return {
    ...defaultLimits,
    maxPartChanges: random.pick([2, 4, 1_000]),
    maxPartBytes: 16_384,
    maxEntryBytes: 8_192,
    maxRefusedNamed: 2,
    maxOutgoing: 20,
    checkpointsKept: random.pick([3, 6, 12]),
  };
}

function zero<K extends string>(weights: Record<K, number>): Record<K, number> {
  return Object.fromEntries(Object.keys(weights).map((key) => [key, 0])) as Record<K, number>;
}
