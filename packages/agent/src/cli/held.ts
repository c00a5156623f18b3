/**
 * `dirpost held`: effects that wait for an approval, by place and sort, with examples; and directories whose first write
 * waits. Reads held rows once, whatever their number; --json streams each of them.
 */
import {
  clearedAttributes,
  decodeEntry,
  type Effect,
  effectNames,
  type EntryRow,
  heldRows,
  loadOwn,
  shownBytes,
  type StoreTx,
} from '@dirpost/core';
import { type HeldEdits, heldEdits, heldEditsWords, unwantedEditsWords } from '../both/held-edits.ts';
import { describe } from '../explain/find.ts';
import { type FirstWrite, waitingFirstWrites } from '../first-write.ts';
import {
  effectWords,
  entryWords,
  firstWriteWords,
  heldEffectWords,
  type HeldGroup,
  heldGroups,
  type MeasuredEffect,
  measuredEffects,
  measureWords,
  number,
  type Place,
  PLACES,
  tableOf,
} from '../held.ts';
import type { Postoffice } from '../postoffice.ts';
import {
  type NamedMatch,
  namedMatches,
  type WaitingMatches,
  waitingMatches,
  waitingWords,
} from '../waiting-matches.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { countOf } from './entries.ts';
import { type Column, printableJson, type Screen, time } from './screen.ts';

export interface HeldOptions {
  place?: Place;
  owner?: string;
  limit: string;
}

export interface HeldLine {
  place: Place;
  directory: string | null;
  id: string;
  owner: string;
  /** As it is shown, before what is held. */
  dn: string | null;
  name: string | null;
  mail: string | null;
  effects: Effect[];
  /** Which attributes lose all their values; null where only the whole group of it is known (`groups`). */
  cleared: string[] | null;
  lostMembers: number;
  sinceMs: number;
  approved: boolean;
}

export async function held(call: Invocation, { place, owner, limit }: HeldOptions): Promise<ExitCode> {
  const most = countOf(limit);
  const places = place === undefined ? PLACES : [place];
  return withAgent(call, { readOnly: true, quiet: true }, ({ postoffice }) =>
    postoffice.store.read(async (tx) => {
      const { screen } = call;
      const firstWrites = await waitingFirstWrites(tx, postoffice);
      const waiting = await waitingMatches(tx, postoffice);
      const matches = await namedMatches(tx, postoffice, screen.json ? Infinity : most);
      const edits = await heldEdits(tx, postoffice);
      const groups = (await heldGroups(tx)).filter((group) => places.includes(group.place) && isOf(group, owner));
      const tallies = new Tallies(groups, most);
      const lines = eachLine(tx, places, owner);
      if (screen.json) await stream(screen, { postoffice, firstWrites, matches, edits, tallies, lines });
      else {
        for await (const line of lines) tallies.add(line);
        const { heldAtServer } = await loadOwn(tx);
        // The server's own requestor would tell it twice.
        const atServer = postoffice.server === null ? heldAtServer : 0;
        show(screen, tallies, postoffice, { firstWrites, waiting, matches, edits, heldAtServer: atServer, owner });
      }
      return tallies.entries + firstWrites.length + waiting.length + edits.length > 0 ? EXIT.held : EXIT.done;
    }),
  );
}

function isOf(group: HeldGroup, owner: string | undefined): boolean {
  return owner === undefined || group.owner === null || group.owner === owner;
}

async function* eachLine(tx: StoreTx, places: readonly Place[], owner: string | undefined): AsyncGenerator<HeldLine> {
  for (const place of places) {
    for await (const rows of heldRows(tx, tableOf[place], 0, owner)) {
      for (const row of rows) yield lineOf(place, row);
    }
  }
}

export function lineOf(place: Place, row: EntryRow): HeldLine {
  const { effects, lostMembers, sinceMs, approved } = row.held!;
  const { dn, name, mail } = describe(decodeEntry(shownBytes(row)!));
  return {
    place,
    directory: place === 'read' ? row.note : null,
    id: Buffer.from(row.id).toString('hex'),
    owner: row.owner,
    dn,
    name,
    mail,
    effects: effectNames(effects),
    cleared: row.held!.shown === null || row.bytes === null ? null : clearedAttributes(row.held!.shown, row.bytes),
    lostMembers,
    sinceMs,
    approved,
  };
}

/** What was counted of one effect in a group. */
interface Tally {
  count: number;
  sinceMs: number;
  examples: HeldLine[];
  /** Entries, also those that are no examples. */
  entries: number;
}

class Tallies {
  entries = 0;
  /** Approved at the sender, and not yet read again. */
  approved = 0;
  readonly #tallies = new Map<string, Map<Effect, Tally>>();

  constructor(
    readonly groups: HeldGroup[],
    private readonly most: number,
  ) {}

  add(line: HeldLine): void {
    if (line.approved) {
      this.approved++;
      return;
    }
    this.entries++;
    const key = keyOf(line.place, line.place === 'server' ? line.owner : line.directory);
    const tallies = this.#tallies.get(key) ?? new Map<Effect, Tally>();
    this.#tallies.set(key, tallies);
    for (const effect of line.effects) {
      const tally = tallies.get(effect) ?? { count: 0, sinceMs: Infinity, examples: [], entries: 0 };
      tallies.set(effect, tally);
      tally.count += effect === 'lostMembers' ? line.lostMembers : 1;
      tally.entries++;
      tally.sinceMs = Math.min(tally.sinceMs, line.sinceMs);
      if (tally.examples.length < this.most) tally.examples.push(line);
    }
  }

  of({ place, directory, owner }: HeldGroup): Map<Effect, Tally> {
    return this.#tallies.get(keyOf(place, owner ?? directory)) ?? new Map();
  }
}

function keyOf(place: Place, within: string | null): string {
  return `${place} ${within ?? ''}`;
}

interface Told {
  postoffice: Postoffice;
  firstWrites: FirstWrite[];
  matches: NamedMatch[];
  edits: HeldEdits[];
  tallies: Tallies;
  lines: AsyncIterable<HeldLine>;
}

/** One document, in which no more than a line is held in memory. */
async function stream(
  screen: Screen,
  { postoffice, firstWrites, matches, edits, tallies, lines }: Told,
): Promise<void> {
  const [name, waiting, linked] = [postoffice.name, firstWrites, matches].map((value) => printableJson(value));
  screen.raw(`{\n"postoffice": ${name},\n"firstWrites": ${waiting},\n"matches": ${linked},\n`);
  screen.raw(`"heldEdits": ${printableJson(edits)},\n"entries": [`);
  let between = '\n';
  for await (const line of lines) {
    tallies.add(line);
    screen.raw(`${between}${printableJson(line)}`);
    between = ',\n';
  }
  const groups = tallies.groups.map((group) => {
    const { place, directory, owner, holding } = group;
    const effects = measuredEffects(holding, postoffice.requestor.holds).map((one) => ({
      ...one,
      sinceMs: tallies.of(group).get(one.effect)?.sinceMs ?? null,
    }));
    return { place, directory, owner, entries: holding.held.entries, effects };
  });
  screen.raw(`\n],\n"groups": ${printableJson(groups)}\n}\n`);
}

function show(screen: Screen, tallies: Tallies, postoffice: Postoffice, more: Shown): void {
  const { firstWrites, waiting, matches, edits, heldAtServer, owner } = more;
  for (const one of firstWrites) screen.line(firstWriteWords(one));
  if (firstWrites.length > 0) screen.line('  What would be written shows: dirpost preview');
  for (const line of waiting.flatMap(waitingWords)) screen.line(line);
  screen.table(matches, matchColumns);
  for (const one of edits) for (const line of [heldEditsWords(one), `  ${unwantedEditsWords(one)}`]) screen.line(line);
  for (const group of tallies.groups) showGroup(screen, tallies.of(group), group, postoffice, owner);
  if (tallies.approved > 0) {
    screen.line(`Approved, and done with the next read (dirpost sync): effects on ${entryWords(tallies.approved)}.`);
  }
  if (tallies.entries > 0) {
    screen.line();
    screen.line('If it is a mistake, mend its cause: what is held goes by itself with the next read or update.');
    screen.line('If it is meant: dirpost approve --all, or --owner NAME, or --entry ID-OR-DN');
  } else if (firstWrites.length + waiting.length + edits.length === 0 && tallies.approved === 0) {
    screen.line(owner === undefined ? 'Nothing is held here.' : `Nothing of ${owner} is held here.`);
  }
  if (heldAtServer > 0) {
    const { server } = postoffice.requestor;
    screen.line(`${server} holds effects on ${entryWords(heldAtServer)} of this postoffice. There: dirpost held`);
  }
}

/** Both sides of what may be one. */
export const matchColumns: Column<NamedMatch>[] = [
  { title: 'entry', value: (one) => one.name ?? one.mail ?? one.id },
  { title: 'of', value: (one) => one.owner },
  { title: 'may be', value: (one) => one.dn },
  { title: 'by', value: (one) => one.by },
  { title: 'but', value: (one) => (one.state === 'ambiguous' ? 'is ambiguous' : 'waits') },
];

interface Shown {
  waiting: WaitingMatches[];
  matches: NamedMatch[];
  edits: HeldEdits[];
  firstWrites: FirstWrite[];
  heldAtServer: number;
  owner: string | undefined;
}

/** Where the group is held, and what that means. */
export function groupWords({ place, directory, owner }: HeldGroup, { requestor, publishing }: Postoffice): string {
  if (place === 'read') {
    const isRead = publishing.some((one) => one.directory.name === directory);
    const until = isRead
      ? ''
      : '; the configuration does not publish from it any more, so this ends with the next sync';
    return `Read of ${directory}: what is published stays as it was${until}`;
  }
  if (place === 'server') return `Changes of ${owner}: the address lists stay as they were`;
  return `Updates from ${requestor.server}: the directories here stay as they were`;
}

function showGroup(
  screen: Screen,
  tallies: Map<Effect, Tally>,
  group: HeldGroup,
  postoffice: Postoffice,
  owner: string | undefined,
): void {
  if (tallies.size === 0) return;
  screen.line(`${groupWords(group, postoffice)} (${group.place})`);
  for (const measured of measuredEffects(group.holding, postoffice.requestor.holds)) {
    const tally = tallies.get(measured.effect);
    if (tally !== undefined) showEffect(screen, measured, tally, owner);
  }
}

function showEffect(screen: Screen, measured: MeasuredEffect, tally: Tally, owner: string | undefined): void {
  const { held: count } = measured;
  const ofOwner = tally.count === count ? '' : `, ${number(tally.count)} of them of ${owner}`;
  screen.line(`  ${heldEffectWords(measured)}${ofOwner}: ${measureWords(measured)}; since ${time(tally.sinceMs)}`);
  screen.table(tally.examples, [
    { title: '    owner', value: (line) => `    ${line.owner}` },
    { title: 'entry', value: (line) => line.dn ?? line.name ?? line.mail },
    { title: 'effects', value: (line) => line.effects.map((one) => WORDS[one](line)).join(', ') },
    { title: 'id', value: (line) => line.id },
  ]);
  const left = tally.entries - tally.examples.length;
  if (left > 0) screen.line(`    … and ${number(left)} more: dirpost held --limit ${tally.entries}`);
}

const WORDS: Record<Effect, (line: HeldLine) => string> = {
  removals: () => 'removed',
  clearedValues: ({ cleared }) => (cleared === null ? 'cleared values' : `cleared ${cleared.join(', ')}`),
  lostMembers: ({ lostMembers }) => effectWords('lostMembers', lostMembers),
  renames: () => 'renamed',
};
