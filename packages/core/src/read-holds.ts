/**
 * The limits on effects (holds.ts) for one read of one directory (T0). Nothing is shown differently at the sender: what is
 * held was left out, and every read compares all again. Held rows are marked, to be listed and approved.
 */
import { clearedAttributes, effectBit, type EffectBits, type Measured } from './effects.ts';
import {
  beginHolding,
  countHeld,
  effectsOver,
  heldRows,
  type Holding,
  noHolding,
  noneHeld,
  type Shown,
} from './holds.ts';
import { IdSet } from './id-set.ts';
import { loadOwn, type OwnRecord, type RequestorContext, saveOwn } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const MAX_CLEARED_NAMES = 100;

export const REMOVED: Measured = { effects: effectBit('removals'), lostMembers: 0 };

/** An entry that is taken for the same under another key counts with the renames. */
export function rekeyed({ effects, lostMembers }: Measured): Measured {
  return { effects: effects | effectBit('renames'), lostMembers };
}

/**
 * Nobody reads these directories any more, so that nothing of them will be removed or changed: what was published stays
 * published, and waits for nothing. Which directories they were.
 */
export async function dropReadHolds(tx: StoreTx, isRead: (directory: string) => boolean): Promise<string[]> {
  const own = await loadOwn(tx);
  const gone = Object.keys(own.heldAtCollect).filter((directory) => !isRead(directory));
  if (gone.length === 0) return [];
  for await (const rows of heldRows(tx, 'published')) {
    const dropped = rows.filter(({ note }) => note !== null && gone.includes(note));
    await tx.putEntries(
      'published',
      dropped.map((row) => ({ ...row, held: null })),
    );
  }
  for (const directory of gone) delete own.heldAtCollect[directory];
  await saveOwn(tx, own);
  return gone;
}

/** Approved is what was listed: these effects, and no others that a later read brings. */
export function isApproved({ held }: EntryRow, { effects }: Measured): boolean {
  return held !== null && held.approved && (effects & ~held.effects) === 0;
}

export class ReadHolds {
  /** What was published before this read; the members are known when the groups have been compared. */
  readonly shown: Shown = { entries: 0, members: 0 };
  /** Effects of this read that are not shown, approved ones apart. */
  readonly held = noneHeld();
  readonly #before: Holding | undefined;
  readonly #marked = new IdSet();
  readonly #cleared = new Map<string, number>();
  #rekeyed = 0;

  constructor(
    private readonly own: OwnRecord,
    private readonly directory: string,
    /** How many entries of the read may be anybody's. */
    private readonly unclear: number,
    private readonly context: Pick<RequestorContext, 'holds' | 'clock'>,
  ) {
    this.#before = own.heldAtCollect[directory];
  }

  count(measured: Measured, sign: 1 | -1): void {
    countHeld(this.held, measured, sign);
  }

  over(): EffectBits {
    return effectsOver(this.#holding(), this.context.holds);
  }

  /** Of an entry that stays as it is: only now both are at hand. */
  noteCleared(published: Uint8Array, read: Uint8Array): void {
    for (const name of clearedAttributes(published, read)) {
      const known = this.#cleared.get(name);
      if (known !== undefined || this.#cleared.size < MAX_CLEARED_NAMES) this.#cleared.set(name, (known ?? 0) + 1);
    }
  }

  /** Its new key waits. */
  noteRekeyed(): void {
    this.#rekeyed++;
  }

  /** Rows that stay as they are, although the read brought this. */
  async mark(tx: StoreTx, held: { row: EntryRow; measured: Measured }[]): Promise<void> {
    const nowMs = this.context.clock.now();
    const rows: EntryRow[] = [];
    for (const { row, measured } of held) {
      this.#marked.add(row.id);
      const { effects, lostMembers, approved } = row.held ?? { effects: 0, lostMembers: 0, approved: false };
      if (effects === measured.effects && lostMembers === measured.lostMembers && !approved) continue;
      rows.push({ ...row, held: { ...measured, sinceMs: row.held?.sinceMs ?? nowMs, approved: false, shown: null } });
    }
    await tx.putEntries('published', rows);
  }

  /** What was held before and is not now is so no longer; approvals are used up by this read. */
  async end(tx: StoreTx): Promise<void> {
    if (this.#before !== undefined) {
      for await (const rows of heldRows(tx, 'published')) {
        const ended = rows.filter((row) => row.note === this.directory && !this.#marked.has(row.id));
        await tx.putEntries(
          'published',
          ended.map((row) => ({ ...row, held: null })),
        );
      }
    }
    const others = { ...this.own.heldAtCollect };
    delete others[this.directory];
    this.own.heldAtCollect = this.held.entries === 0 ? others : { ...others, [this.directory]: this.#holding() };
  }

  #holding(): Holding {
    const holding = this.#before === undefined ? noHolding() : structuredClone(this.#before);
    beginHolding(holding, { ...this.shown });
    const cleared = Object.fromEntries(this.#cleared);
    return { ...holding, held: this.held, unclear: this.unclear, cleared, rekeyed: this.#rekeyed };
  }
}
