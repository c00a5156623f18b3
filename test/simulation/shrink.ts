/**
 * The shortest way that is found to show what a seed broke: fewer steps, fewer requestors, then without steps that it does not
 * need. Every try is a run of its own; one that breaks any rule will do.
 */
import { World, type WorldOptions, type WorldResult } from './world.ts';

export interface Shrunk {
  options: WorldOptions;
  result: WorldResult;
  tries: number;
}

/** `patienceMs`: no new try after it. Gives null where `options` breaks nothing. */
export async function shrink(options: WorldOptions, patienceMs: number, now: () => number): Promise<Shrunk | null> {
  const untilMs = now() + patienceMs;
  const first = await new World(options).run();
  if (first.violations.length === 0) return null;
  const best: Shrunk = { options, result: first, tries: 1 };
  const breaks = async (tried: WorldOptions) => {
    if (now() > untilMs) return false;
    best.tries++;
    const result = await new World(tried).run();
    if (result.violations.length === 0) return false;
    Object.assign(best, { options: tried, result });
    return true;
  };
  await fewerSteps(best, breaks);
  for (let requestors = (best.options.requestors ?? 3) - 1; requestors > 0; requestors--)
    if (!(await breaks({ ...best.options, requestors }))) break;
  await fewerSteps(best, breaks);
  await withoutSteps(best, breaks);
  return best;
}

type Breaks = (tried: WorldOptions) => Promise<boolean>;

/** A run of fewer steps begins as the longer one does. */
async function fewerSteps(best: Shrunk, breaks: Breaks): Promise<void> {
  let enough = best.options.steps ?? 220;
  for (let less = enough >> 1; less > 0; less >>= 1) {
    while (enough - less > 0 && (await breaks({ ...best.options, steps: enough - less }))) enough -= less;
  }
}

async function withoutSteps(best: Shrunk, breaks: Breaks): Promise<void> {
  const steps = best.options.steps ?? 220;
  for (let size = Math.max(1, steps >> 2); size > 0; size >>= 1) {
    for (let from = 0; from < steps; from += size) {
      const without = new Set(best.options.without);
      const left = Array.from({ length: Math.min(size, steps - from) }, (_, i) => from + i);
      if (left.every((step) => without.has(step))) continue;
      await breaks({ ...best.options, without: [...new Set([...without, ...left])].sort((a, b) => a - b) });
    }
  }
}
