/**
 * `dirpost approve`: an administrator lets what is held happen, or a first write. At the sender it happens with the next
 * read; on the server and in the replica at once, and the directories here are written by this same command.
 */
import {
  approve,
  approveDirectory,
  approveMatches,
  type Approval,
  DirpostError,
  endWithdrawal,
  loadOwn,
  type StoreTx,
} from '@dirpost/core';
import { type ApprovedEdits, approveEdits, heldEdits, heldEditsWords } from '../both/held-edits.ts';
import { loadDirectoryState } from '../directory-state.ts';
import { mayBeWritten, waitingFirstWrites } from '../first-write.ts';
import {
  corePlace,
  entryWords,
  firstWriteWords,
  heldEffectWords,
  type HeldHere,
  heldGroups,
  heldHere,
  heldLines,
  measuredEffects,
  type Place,
  PLACES,
} from '../held.ts';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { sendOutgoing } from '../send.ts';
import { writeDirectories } from '../write.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { groupWords } from './held.ts';
import { heldIds } from './held-ids.ts';

export interface ApproveOptions {
  all?: boolean;
  owner?: string;
  entry?: string[];
  place?: Place;
}

const CHOICES = 'dirpost approve DIRECTORY, or --all, or --owner NAME, or --entry ID-OR-DN';

/** Entries that were approved; `first`: a directory whose first write was. */
interface Approved {
  read: Record<string, number>;
  server: number;
  replica: number;
  first: string | null;
  /** Entries that are linked with what a directory has already. */
  matches: number;
  /** Entries of which there were too many edits at once. */
  edits: ApprovedEdits;
}

const nothing = (): Approved => ({
  read: {},
  server: 0,
  replica: 0,
  first: null,
  matches: 0,
  edits: { container: 0, own: 0 },
});

export async function approveCommand(
  call: Invocation,
  directory: string | undefined,
  options: ApproveOptions,
): Promise<ExitCode> {
  const { all = false, owner, entry, place } = options;
  const given = [directory !== undefined, all, owner !== undefined, entry !== undefined].filter(Boolean).length;
  if (given === 0) return explain(call);
  if (given > 1 || (directory !== undefined && place !== undefined)) {
    throw new DirpostError('wrong-use', 'That is more than one choice; nothing was approved.', { hint: CHOICES });
  }
  return withAgent(call, {}, async ({ postoffice }) => {
    if (place === 'server' && postoffice.server === null) throw notServer(postoffice);
    const places = place === undefined ? PLACES : [place];
    const approved = await postoffice.store.transaction(
      async (tx): Promise<Approved> => {
        if (directory !== undefined) return approveNamed(tx, postoffice, directory);
        if (entry !== undefined)
          return approveHeld(tx, postoffice, places, { ids: await heldIds(tx, postoffice, places, entry) });
        return approveHeld(tx, postoffice, places, owner === undefined ? 'all' : { owner });
      },
      { large: true },
    );
    const done = count(approved) > 0 || approved.first !== null;
    if (!done && owner !== undefined) throw await nothingOf(postoffice, owner);
    const isWritten = approved.replica + approved.matches + approved.edits.own > 0 || approved.first !== null;
    const unwritten = isWritten ? await write(call, postoffice, approved.matches > 0) : 0;
    const left = await postoffice.store.read((tx) => heldHere(tx, postoffice));
    call.screen.data({ approved, unwritten, held: left });
    tell(call, { approved, unwritten, left, directory });
    return unwritten > 0 ? EXIT.failed : EXIT.done;
  });
}

/** What is held, and what to type. */
async function explain(call: Invocation): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const { screen } = call;
    const { groups, firstWrites, edits } = await postoffice.store.read(async (tx) => ({
      groups: await heldGroups(tx),
      edits: await heldEdits(tx, postoffice),
      firstWrites: await waitingFirstWrites(tx, postoffice),
    }));
    for (const one of firstWrites) screen.line(firstWriteWords(one));
    for (const one of edits) screen.line(heldEditsWords(one));
    for (const group of groups) {
      const effects = measuredEffects(group.holding, postoffice.requestor.holds);
      const words = effects.map(heldEffectWords);
      screen.line(`${groupWords(group, postoffice)} (${group.place}): ${words.join(', ')}`);
    }
    if (groups.length > 0) screen.line('Each entry, and since when: dirpost held');
    const is =
      groups.length + firstWrites.length + edits.length === 0
        ? 'Nothing is held here.'
        : 'Nothing was approved: say what.';
    throw new DirpostError('wrong-use', is, { hint: CHOICES });
  });
}

/** A subscribing directory: its first write, or entries that are linked with what it has. A publishing one: what is held of its read. Of both ways: both. */
async function approveNamed(tx: StoreTx, postoffice: Postoffice, name: string): Promise<Approved> {
  const target = postoffice.subscribing.find(({ directory }) => directory.name === name);
  const approved = target === undefined ? nothing() : await approveFirst(tx, target);
  if (postoffice.publishing.some(({ directory }) => directory.name === name)) {
    approved.read = { [name]: await approve(tx, corePlace('read', name), 'all') };
  } else if (target === undefined) {
    throw unknownDirectory(postoffice, name);
  }
  approved.edits = await approveEdits(tx, name);
  return approved;
}

function unknownDirectory(postoffice: Postoffice, name: string): DirpostError {
  const names = [...postoffice.subscribing, ...postoffice.publishing].map(({ directory }) => directory.name);
  return new DirpostError('wrong-use', `There is no directory ${name} in the configuration.`, {
    hint: `There are: ${[...new Set(names)].join(', ')}`,
  });
}

async function approveFirst(tx: StoreTx, target: SubscribingDirectory): Promise<Approved> {
  const { name } = target.directory;
  if (await mayBeWritten(tx, target, await loadDirectoryState(tx, name)))
    return { ...nothing(), matches: await approveMatches(tx, name) };
  await endWithdrawal(tx, name);
  await approveDirectory(tx, name);
  return { ...nothing(), first: name };
}

async function approveHeld(
  tx: StoreTx,
  postoffice: Postoffice,
  places: readonly Place[],
  what: Approval,
): Promise<Approved> {
  const approved = nothing();
  if (places.includes('read')) {
    for (const directory of Object.keys((await loadOwn(tx)).heldAtCollect)) {
      const entries = await approve(tx, corePlace('read', directory), what);
      if (entries > 0) approved.read[directory] = entries;
    }
  }
  if (places.includes('server') && postoffice.server !== null) {
    approved.server = await approve(tx, 'collected', what, postoffice.server);
  }
  if (places.includes('replica')) approved.replica = await approve(tx, 'replica', what);
  return approved;
}

/** How many directories could not be written. */
async function write({ screen, signal }: Invocation, postoffice: Postoffice, again: boolean): Promise<number> {
  const unwritten = await writeDirectories(postoffice, { signal, progress: screen.progress.bind(screen), again });
  // The server hears of it at once; what cannot be sent now goes later.
  await sendOutgoing(postoffice, signal, true);
  return unwritten;
}

function count({ read, server, replica, matches, edits }: Approved): number {
  return Object.values(read).reduce((sum, one) => sum + one, server + replica + matches + edits.container + edits.own);
}

interface Done {
  approved: Approved;
  unwritten: number;
  left: HeldHere;
  directory: string | undefined;
}

function tell({ screen }: Invocation, { approved, unwritten, left, directory }: Done): void {
  const { read, server, replica, first, matches, edits } = approved;
  for (const [name, entries] of Object.entries(read)) {
    if (entries === 0) continue;
    screen.line(`Approved: effects on ${entryWords(entries)} of ${name}. They apply with the next read: dirpost sync`);
  }
  if (server > 0) {
    screen.line(`Approved: effects on ${entryWords(server)}. The address lists have them now,`);
    screen.line('  and requestors get them with their next exchange; this postoffice itself with: dirpost sync');
    screen.line('  Each of them has limits of its own.');
  }
  const written =
    unwritten > 0 ? 'Not every directory could be written, see above.' : 'The directories here have them.';
  if (replica > 0) screen.line(`Approved: effects on ${entryWords(replica)} of the replica. ${written}`);
  if (matches > 0) {
    screen.line(
      `Approved: ${entryWords(matches)} of the network ${matches === 1 ? 'is' : 'are'} linked with what is there. ${written}`,
    );
  }
  if (edits.own > 0) screen.line(`Approved: edits by others of ${entryWords(edits.own)} of ${directory}.`);
  if (edits.container > 0) {
    const what = `Approved: what was changed by hand of ${entryWords(edits.container)} in the container of ${directory}.`;
    screen.line(`${what} It goes to the owners with: dirpost sync`);
  }
  const later = unwritten > 0 ? 'It could not be written now, see above.' : 'From now on it is written by itself.';
  if (first !== null) screen.line(`Approved: the first write into ${first}. ${later}`);
  if (count(approved) === 0 && first === null) screen.line(nothingTold(directory, left));
  for (const line of heldLines(left)) screen.line(line);
}

function nothingTold(directory: string | undefined, { entries, firstWrites }: HeldHere): string {
  if (entries + firstWrites.length === 0 && directory === undefined) {
    return 'Nothing is held here; nothing was approved.';
  }
  return directory === undefined
    ? 'Nothing of that is held; nothing was approved.'
    : `Nothing waits for the approval of ${directory}; nothing was approved.`;
}

async function nothingOf({ store }: Postoffice, owner: string): Promise<DirpostError> {
  const groups = await store.read(heldGroups);
  const what =
    groups.length === 0 ? 'Nothing is held here' : `Nothing of ${JSON.stringify(owner.slice(0, 80))} is held here`;
  return new DirpostError('wrong-use', `${what}; nothing was approved.`, { hint: 'See what is: dirpost held' });
}

function notServer({ requestor }: Postoffice): DirpostError {
  return new DirpostError('wrong-use', 'This postoffice is not a directory server: it holds nothing at that place.', {
    hint: `What the server holds is approved there, at ${requestor.server}.`,
  });
}
