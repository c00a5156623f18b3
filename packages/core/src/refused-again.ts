/**
 * T3, for directories that are written entry by entry: when such a directory is asked again for an entry that it refused and that
 * has not changed since.
 *
 *   may pass by itself ─▶ with each write that has something to do ┐
 *   refused ──────────▶ after 5 minutes, 10, 20 … at most a day ───┴─▶ another answer, or the entry changed: from the beginning
 */
import type { DirectoryChange, WriteOutcome } from './seams/directory.ts';
import type { Placed, RefusedPlaced } from './seams/store.ts';

/** A group is refused so that was written, but for members that are not there: it is written again until they are. */
export const MEMBERS_MISSING = 'membersMissing';

/** What it belongs below does not stand there. */
export const NOTHING_ABOVE = 'noSuchObject';

/** Codes of refusals that another change, or time, may mend: they are tried at each write. */
const PASSING = new Set([
  'busy',
  'unavailable',
  'timeLimitExceeded',
  'operationsError',
  'entryAlreadyExists',
  NOTHING_ABOVE,
  // In a tree whose upper entry goes before the lower ones.
  'notAllowedOnNonLeaf',
  MEMBERS_MISSING,
]);

/** What was asked for stands there, but for members who do not: it counts as refused only to be asked for again. */
export function standsWritten({ result, code }: WriteOutcome): boolean {
  return result === 'written' || code === MEMBERS_MISSING;
}

/** Who is not there stays lacking until the group is written with all: a refusal for another reason says nothing of it. */
export function lacksMembersNow({ lackedMembers }: DirectoryChange, code: string): Pick<Placed, 'lacksMembers'> {
  return lackedMembers === true || code === MEMBERS_MISSING ? { lacksMembers: true } : {};
}

export function mayPassByItself(code: string): boolean {
  return PASSING.has(code);
}

/** What was refused is tried again after so long, and each time after twice as long: over a weekend somebody mends it. */
const FIRST_AGAIN_MS = 5 * 60_000;
const LAST_AGAIN_MS = 24 * 60 * 60_000;

/** `again` and `dueBy` as in PlanChangesOptions. `lacksContainer`: that in which it belongs is refused, and is not asked for now. */
export interface Asking {
  again: boolean;
  dueBy?: number | undefined;
  lacksContainer?: boolean;
}

/** Whether it is asked for, although nothing about it changed. */
export function isAskedAgain(refused: RefusedPlaced, { again, dueBy, lacksContainer = false }: Asking): boolean {
  if (PASSING.has(refused.code) && !(lacksContainer && refused.code === NOTHING_ABOVE)) return true;
  return again && (dueBy === undefined || isDue(refused, dueBy));
}

export function isDue({ dueMs = 0, tries }: Pick<RefusedPlaced, 'dueMs' | 'tries'>, byMs: number): boolean {
  // Later than it was to wait at all: the clock went back meanwhile.
  return dueMs <= byMs || dueMs - byMs > waitAfter(tries);
}

/** `tries` absent: not known, so as long as it ever is. */
function waitAfter(tries = Infinity): number {
  return Math.min(LAST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** (tries - 1));
}

/** `before`: of the same entry as it is now. */
export function refusedNow(
  before: RefusedPlaced | undefined,
  code: string,
  reason: string,
  nowMs: number,
): RefusedPlaced {
  const isSame = before?.code === code && before.tries !== undefined;
  // It came along with others, or by command.
  if (isSame && !isDue(before, nowMs)) return { ...before, reason };
  const tries = isSame ? before.tries! + 1 : 1;
  return { code, reason, tries, dueMs: nowMs + waitAfter(tries) };
}
