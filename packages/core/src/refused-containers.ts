/**
 * T3, for directories that are written entry by entry: containers that the directory refuses, and what belongs below them. What
 * is refused since nothing stands above it is asked for with each write, but not while its container is refused and waits to be
 * tried again (refused-again.ts): then the entries wait, too, each for its own time.
 */
import { containersOf } from './plan.ts';
import type { PlanChangesOptions } from './plan-changes.ts';
import { type Asking, isAskedAgain, NOTHING_ABOVE } from './refused-again.ts';
import type { Placed, StoreTx } from './seams/store.ts';

const NOBODY: ReadonlySet<string> = new Set();

/** A container has its own time also where nothing stands above it: else all would be tried with each write. */
export function ofContainer({ again, dueBy }: Asking): Asking {
  return { again, dueBy, lacksContainer: true };
}

/** Owners whose containers are refused and not asked for now, among those of entries that wait for them. They go in pairs with `placed`. */
export async function ownersWithout(
  tx: StoreTx,
  options: PlanChangesOptions,
  owners: (string | undefined)[],
  placed: (Placed | undefined)[],
): Promise<ReadonlySet<string>> {
  if (options.dn !== 'container') return NOBODY;
  const waiting = new Set<string>();
  for (const [i, owner] of owners.entries()) {
    if (owner !== undefined && placed[i]?.refused?.code === NOTHING_ABOVE) waiting.add(owner);
  }
  if (waiting.size === 0) return NOBODY;
  const names = [...waiting].sort();
  const containers = await tx.placedById(
    options.name,
    containersOf(options, waiting).map(({ id }) => id),
  );
  const isOut = (one: Placed | undefined) => one?.refused != null && !isAskedAgain(one.refused, ofContainer(options));
  const [top, ...below] = containers.map(isOut);
  return new Set(names.filter((_, i) => top === true || below[i] === true));
}
