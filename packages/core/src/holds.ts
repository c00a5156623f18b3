/**
 * Limits on effects (T0, T2, T3; protocol.md, "Limits"): what goes beyond them is held. A limit never stops a message:
 * digests, numbers and cursors go on as if there were none, only what others see of an entry stays as it was.
 *
 *   while a batch is taken: each effect is held as it comes, since what it is measured against is known at its end
 *   at its end:             effects within their limits are shown, in a second pass over held rows only
 *
 * An entry is held while any of its effects is over its limit. What is held already counts with what is new, and so does
 * what was approved of the same: approving one entry must not bring the others below the limit.
 */
import {
  ALL_EFFECT_BITS,
  EFFECTS,
  type Effect,
  effectBit,
  type EffectBits,
  effectsBetween,
  type Measured,
  membersIn,
  NO_EFFECT,
} from './effects.ts';
import type { EntryRow, EntryTable, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

/** Held are effects above `above` and above `percent`; 100 percent: never. */
export interface HoldLimit {
  above: number;
  percent: number;
}

export type HoldLimits = Record<Effect, HoldLimit>;

export const defaultHolds: HoldLimits = {
  removals: { above: 10, percent: 5 },
  clearedValues: { above: 10, percent: 5 },
  lostMembers: { above: 10, percent: 5 },
  renames: { above: 10, percent: 5 },
};

export type EffectCounts = Record<Effect, number>;

/** `entries`: an entry that is held for two effects counts once. */
export type HeldCounts = EffectCounts & { entries: number };

/** What one batch is measured against: entries that are shown, and the members of groups among them. */
export interface Shown {
  entries: number;
  members: number;
}

/** What is held of one owner (server), in the replica, of one directory. Part of a document. */
export interface Holding {
  held: HeldCounts;
  /** Approved since anything is held. */
  approved: EffectCounts;
  /** The smallest since anything is held: who adds entries does not thin out what he removed. */
  against: Shown;
  /** At a read: so many entries of it could not be told, and may be those who are missing; removals wait, however few. */
  unclear?: number;
  /** At a read: attribute → how many entries would lose it. A sample, where there are many attributes. */
  cleared?: Record<string, number>;
  /** At a read: so many of the renames are entries that came under other keys (recognise.ts). */
  rekeyed?: number;
}

export function noHolding(): Holding {
  return { held: noneHeld(), approved: noEffects(), against: { entries: 0, members: 0 } };
}

export function noneHeld(): HeldCounts {
  return { entries: 0, ...noEffects() };
}

function noEffects(): EffectCounts {
  return { removals: 0, clearedValues: 0, lostMembers: 0, renames: 0 };
}

export function addHeld(a: HeldCounts, b: HeldCounts): HeldCounts {
  const sum = noneHeld();
  for (const what of ['entries', ...EFFECTS] as const) sum[what] = a[what] + b[what];
  return sum;
}

/** Before a batch. */
export function beginHolding(holding: Holding, shown: Shown): void {
  if (holding.held.entries === 0) {
    holding.approved = noEffects();
    holding.against = shown;
  } else {
    const { entries, members } = holding.against;
    holding.against = { entries: Math.min(entries, shown.entries), members: Math.min(members, shown.members) };
  }
}

export function countHeld(held: HeldCounts, measured: Measured, sign: 1 | -1): void {
  held.entries += sign;
  countEffects(held, measured, sign);
}

export function countEffects(counts: EffectCounts, { effects, lostMembers }: Measured, sign: 1 | -1): void {
  for (const effect of EFFECTS) {
    if ((effects & effectBit(effect)) !== 0) counts[effect] += sign * (effect === 'lostMembers' ? lostMembers : 1);
  }
}

/** The effects that are over their limits. */
export function effectsOver({ held, approved, against, unclear = 0 }: Holding, limits: HoldLimits): EffectBits {
  let over = unclear > 0 && held.removals > 0 ? effectBit('removals') : 0;
  for (const effect of EFFECTS) {
    const { above, percent } = limits[effect];
    const count = held[effect] + approved[effect];
    const of = effect === 'lostMembers' ? against.members : against.entries;
    if (percent < 100 && count > above && count * 100 > percent * of) over |= effectBit(effect);
  }
  return over;
}

/** What others see of it: as it was, while an effect is held. */
export function shownBytes(row: EntryRow): Uint8Array | null {
  return row.held?.shown ?? (row.deleted ? null : row.bytes);
}

/** What lists may release of a collected entry: not where the publishing rules refuse it. */
export function listable(row: EntryRow): Uint8Array | null {
  return row.note === null ? shownBytes(row) : null;
}

export interface Tally {
  holding: Holding;
  /** Members of the groups that are shown. */
  members: number;
}

/**
 * Decides, for now, whether a change is shown: sets `next.held`, and keeps the tally. `before` and `after` are what
 * others see and would see, null for nothing. `harmless`: it is shown in any case.
 */
export function holdOrShow(
  tally: Tally,
  row: EntryRow | undefined,
  next: EntryRow,
  { before, after, harmless }: { before: Uint8Array | null; after: Uint8Array | null; harmless: boolean },
  nowMs: number,
): 'held' | 'shown' {
  if (row?.held) countHeld(tally.holding.held, row.held, -1);
  const measured = harmless ? NO_EFFECT : effectsBetween(before, after);
  if (measured.effects === 0) {
    next.held = null;
    tally.members += membersIn(after) - membersIn(before);
    return 'shown';
  }
  const sinceMs = row?.held?.sinceMs ?? nowMs;
  next.held = { ...measured, sinceMs, approved: false, shown: before };
  countHeld(tally.holding.held, measured, 1);
  return 'held';
}

/** A held row's change is shown from now on: the tally follows, the caller writes the row. */
export function showHeld(tally: Tally, row: EntryRow, approved: boolean): void {
  const held = row.held!;
  countHeld(tally.holding.held, held, -1);
  if (approved) countEffects(tally.holding.approved, held, 1);
  tally.members += membersIn(row.bytes) - membersIn(held.shown);
}

/** Held rows with none of the effects in `but`, batch by batch; each may be written before the next is asked for. */
export async function* heldRows(
  tx: StoreTx,
  table: EntryTable,
  but: EffectBits = 0,
  owner?: string,
): AsyncGenerator<EntryRow[]> {
  for (let effects = 1; effects <= ALL_EFFECT_BITS; effects++) {
    if ((effects & but) !== 0) continue;
    for (let after = 0; ; ) {
      const rows = await tx.heldEntries(table, effects, after, BATCH, owner);
      if (rows.length === 0) break;
      yield rows;
      after = rows.at(-1)!.number;
    }
  }
}
