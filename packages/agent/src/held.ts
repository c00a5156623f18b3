/**
 * What is held at this postoffice (core/src/holds.ts), in the words of an administrator: by place and sort, with the limit
 * that it is over. For the events of T0, T2 and T3, and for the commands that list, approve and sum up.
 *
 *   read      what a read would do to what is published (T0)
 *   server    what an owner's changes would do to the lists (T2)
 *   replica   what an update would do to the directories here (T3)
 */
import {
  allRequestors,
  type Effect,
  effectBit,
  EFFECTS,
  effectsOver,
  type EntryTable,
  heldCounts,
  type HeldPlace,
  type HoldLimit,
  type Holding,
  type HoldLimits,
  loadOwn,
  type StoreTx,
} from '@dirpost/core';
import { type HeldEdits, heldEdits, heldEditsWords } from './both/held-edits.ts';
import { counted } from './events.ts';
import { type FirstWrite, waitingFirstWrites } from './first-write.ts';
import type { Postoffice } from './postoffice.ts';
import { type WaitingMatches, waitingMatches, waitingWords } from './waiting-matches.ts';

export const PLACES = ['read', 'server', 'replica'] as const;
export type Place = (typeof PLACES)[number];

export const tableOf: Record<Place, EntryTable> = { read: 'published', server: 'collected', replica: 'replica' };

/** What is measured together: the read of a directory, the changes of an owner, the replica. */
export interface HeldGroup {
  place: Place;
  directory: string | null;
  owner: string | null;
  holding: Holding;
}

export async function heldGroups(tx: StoreTx): Promise<HeldGroup[]> {
  const { heldAtCollect, replica } = await loadOwn(tx);
  const groups: HeldGroup[] = [];
  for (const [directory, holding] of Object.entries(heldAtCollect))
    groups.push({ place: 'read', directory, owner: null, holding });
  for (const { name, holding } of await allRequestors(tx))
    groups.push({ place: 'server', directory: null, owner: name, holding });
  groups.push({ place: 'replica', directory: null, owner: null, holding: replica.holding });
  return groups.filter(({ holding }) => holding.held.entries > 0);
}

export function corePlace(place: Place, directory: string | null): HeldPlace {
  if (place === 'read') return `published:${directory ?? ''}`;
  return place === 'server' ? 'collected' : 'replica';
}

export interface MeasuredEffect {
  effect: Effect;
  /** Entries, or members that are lost. */
  held: number;
  /** Approved of the same while something waits: it counts too. */
  approved: number;
  of: number;
  /** Of `of`, with what was approved; null where there was nothing. */
  percent: number | null;
  limit: HoldLimit;
  /** false: held only because the same entries are over another limit. */
  over: boolean;
  /** Of a read: so many entries that could not be told may be those who are missing, so that these wait. */
  unclear: number;
  /** Of renames at a read: so many are entries that came under other keys. */
  rekeyed: number;
  /** Of cleared values, where it is known for all together: which attributes, the most frequent first. */
  attributes: string[];
}

export function measuredEffects(holding: Holding, limits: HoldLimits): MeasuredEffect[] {
  const over = effectsOver(holding, limits);
  return EFFECTS.filter((effect) => holding.held[effect] > 0).map((effect) => {
    const [held, approved] = [holding.held[effect], holding.approved[effect]];
    const of = effect === 'lostMembers' ? holding.against.members : holding.against.entries;
    const percent = of === 0 ? null : Number((((held + approved) * 100) / of).toFixed(1));
    const unclear = effect === 'removals' ? (holding.unclear ?? 0) : 0;
    const attributes = effect === 'clearedValues' ? mostFrequent(holding.cleared ?? {}) : [];
    const isOver = (over & effectBit(effect)) !== 0;
    const rekeyed = effect === 'renames' ? (holding.rekeyed ?? 0) : 0;
    return { effect, held, approved, of, percent, limit: limits[effect], over: isOver, unclear, rekeyed, attributes };
  });
}

function mostFrequent(counts: Record<string, number>): string[] {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name]) => name);
}

const NOUNS: Record<Effect, string> = {
  removals: 'removal',
  clearedValues: 'cleared value',
  lostMembers: 'lost member',
  renames: 'rename',
};

/** "60 removals" */
export function effectWords(effect: Effect, count: number): string {
  return counted(count, NOUNS[effect]).replace(/^\d+/, number);
}

const SHOWN_ATTRIBUTES = 5;

/** "12 cleared values of mail, title"; "40 renames, 38 of them with another key than before" */
export function heldEffectWords({ effect, held, attributes, rekeyed }: MeasuredEffect): string {
  if (rekeyed > 0) return `${effectWords(effect, held)}, ${number(rekeyed)} of them with another key than before`;
  if (attributes.length === 0) return effectWords(effect, held);
  const more = attributes.length > SHOWN_ATTRIBUTES ? ', …' : '';
  return `${effectWords(effect, held)} of ${attributes.slice(0, SHOWN_ATTRIBUTES).join(', ')}${more}`;
}

/** "6 % of 1,000; the limit is 10 and 5 %" */
export function measureWords({ effect, approved, of, percent, limit, over, unclear }: MeasuredEffect): string {
  if (unclear > 0) return `${counted(unclear, 'entry')} could not be understood, and may be theirs`;
  if (!over) return 'of entries that are held for more than that';
  const whom = effect === 'lostMembers' ? ' members' : '';
  const withApproved = approved === 0 ? '' : `with ${number(approved)} approved, `;
  const share = percent === null ? '' : `${withApproved}${percent} % of ${number(of)}${whom}; `;
  return `${share}the limit is ${limit.above} and ${limit.percent} %`;
}

/** For the end of an event: "; held: 60 removals (…)", or nothing. */
export function heldWords(holding: Holding | undefined, limits: HoldLimits): string {
  if (holding === undefined || holding.held.entries === 0) return '';
  const words = measuredEffects(holding, limits).map((one) => `${heldEffectWords(one)} (${measureWords(one)})`);
  return `; held: ${words.join(', ')}`;
}

export interface HeldHere {
  /** Entries with effects that wait for an approval. */
  entries: number;
  read: number;
  server: number;
  replica: number;
  firstWrites: FirstWrite[];
  /** Entries that may be what a directory has already. */
  matches: WaitingMatches[];
  /** Edits that are too many at once. */
  heldEdits: HeldEdits[];
}

export async function heldHere(tx: StoreTx, postoffice: Postoffice): Promise<HeldHere> {
  const { published, collected, replica } = await heldCounts(tx);
  const [read, server] = [published.entries, collected.entries];
  const entries = read + server + replica.entries;
  const firstWrites = await waitingFirstWrites(tx, postoffice);
  const matches = await waitingMatches(tx, postoffice);
  const edits = await heldEdits(tx, postoffice);
  return { entries, read, server, replica: replica.entries, firstWrites, matches, heldEdits: edits };
}

/** What a command says at its end; each line tells what to type. */
export function heldLines({ entries, firstWrites, matches, heldEdits: edits }: HeldHere): string[] {
  const lines = firstWrites.map((one) =>
    one.withdrawn === true
      ? firstWriteWords(one)
      : `${one.directory} is not written yet. Look with: dirpost preview; then: dirpost approve ${one.directory}`,
  );
  lines.push(...matches.flatMap(waitingWords), ...edits.map(heldEditsWords));
  if (entries > 0)
    lines.push(`Held: effects on ${entryWords(entries)}. Look at them, and approve or not: dirpost held`);
  return lines;
}

export function firstWriteWords({ directory, entries, withdrawn = false }: FirstWrite): string {
  if (withdrawn) {
    return `${directory}: what was written there was removed. Take it out of the configuration; or write it again with: dirpost approve ${directory}`;
  }
  const ready = `${entryWords(entries)} ${entries === 1 ? 'is' : 'are'} ready`;
  return `${directory}: ${ready}; the first write into a directory waits for: dirpost approve ${directory}`;
}

export function isHeld({ entries, firstWrites, matches, heldEdits: edits }: HeldHere): boolean {
  return entries + firstWrites.length + matches.length + edits.length > 0;
}

export function entryWords(count: number): string {
  return counted(count, 'entry').replace(/^\d+/, number);
}

export function number(value: number | string): string {
  return new Intl.NumberFormat('en').format(Number(value));
}
