/**
 * Directories that are no longer in the configuration, and what an administrator has done about what they published or got
 * (core/src/removed-directory.ts). For `dirpost directory remove`, and for whoever tells that one waits for it.
 */
import {
  beginWithdrawal,
  type DirectoryChange,
  forgetRead,
  forgetWritten,
  keepDirectory,
  keptDirectories,
  type KeptDirectory,
  loadOwn,
  plannedWithdrawal,
  recordWithdrawn,
  releaseAdopted,
  type Store,
  type StoreTx,
  withdrawDirectory,
  type WriteOutcome,
} from '@dirpost/core';
import {
  type DirectoryState,
  directoryDocument,
  loadDirectoryState,
  saveDirectoryState,
  type WriteState,
} from './directory-state.ts';
import { forgetConflictsOf } from './both/conflicts.ts';
import { forgetLookBack } from './both/read-back.ts';
import { counted, type Progress } from './events.ts';
import { relearnPlaces } from './match-target.ts';
import { countStanding } from './standing.ts';
import { forgetOpenAnchors } from './write-differences.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

/** Outcomes in one transaction. */
const RECORDED = 500;

/** A directory that is no longer in the configuration, or no longer in this direction. */
export interface RemovedDirectory {
  name: string;
  /** Entries that it published, as of its last complete read; null: it published nothing. */
  published: number | null;
  /** Entries that were written into it; null: none were. */
  written: number | null;
  /** Entries that stay published since an administrator said so before. */
  kept: number;
}

type Configured = Pick<Postoffice, 'publishing' | 'subscribing'>;

/** Those of which an administrator has not said what becomes of them. From documents alone. */
export async function removedDirectories(tx: StoreTx, configured: Configured): Promise<RemovedDirectory[]> {
  const removed: RemovedDirectory[] = [];
  const prefix = directoryDocument('');
  for (const document of await tx.documentNames(prefix)) {
    const one = await removedDirectory(tx, configured, document.slice(prefix.length));
    if (one !== null) removed.push(one);
  }
  return removed;
}

/** null: nothing of it is left to be decided. */
export async function removedDirectory(
  tx: StoreTx,
  { publishing, subscribing }: Configured,
  name: string,
): Promise<RemovedDirectory | null> {
  const { lastCompleteMs, read, write } = await loadDirectoryState(tx, name);
  const published = isAmong(publishing, name) || lastCompleteMs === null ? null : (read?.published ?? 0);
  const written = isAmong(subscribing, name) || write === null ? null : write.entries;
  if (published === null && written === null) return null;
  const kept = (await keptDirectories(tx)).find((one) => one.name === name)?.entries ?? 0;
  return { name, published, written, kept };
}

function isAmong(directories: { directory: { name: string } }[], name: string): boolean {
  return directories.some(({ directory }) => directory.name === name);
}

export interface Settled {
  /** Entries that stay published, or are published no more. */
  kept: number;
  withdrawn: number;
  /** Entries that were written into it and stay there. */
  left: number;
}

/** What becomes of a directory that is not in the configuration any more, and of what was kept of it; in one transaction. */
export async function settleRemoved(
  { store, clock, publishing, subscribing }: Postoffice,
  { name, published, written }: RemovedDirectory,
  how: 'keep' | 'withdraw',
): Promise<Settled> {
  const isRead = isAmong(publishing, name);
  const settled: Settled = { kept: 0, withdrawn: 0, left: written ?? 0 };
  await store.transaction(
    async (tx) => {
      const before = (await keptDirectories(tx)).find((one) => one.name === name)?.entries ?? 0;
      if (how === 'keep') settled.kept = before + (isRead ? 0 : await keepDirectory(tx, name, clock.now()));
      else settled.withdrawn = await withdrawDirectory(tx, name, isRead ? 'kept' : undefined);
      // One of the same name may be used in the other direction, and has associations of its own.
      const associations = !isRead && !isAmong(subscribing, name);
      const isKept = published !== null && how === 'keep';
      if (!isRead) await forgetRead(tx, name, { associations: associations && !isKept, aliases: !isKept });
      if (written !== null) await forgetWritings(tx, name, { associations });
      await forgetState(tx, name, { read: published !== null, write: written !== null });
    },
    { large: true },
  );
  return settled;
}

async function forgetWritings(tx: StoreTx, name: string, options: { associations: boolean }): Promise<void> {
  await forgetWritten(tx, name, options);
  await forgetOpenAnchors(tx, name);
  await forgetLookBack(tx, name);
  await forgetConflictsOf(tx, name);
}

async function forgetState(tx: StoreTx, name: string, forget: { read: boolean; write: boolean }): Promise<void> {
  const state = await loadDirectoryState(tx, name);
  const write = forget.write ? null : state.write;
  const nothing = { lastReadMs: null, lastCompleteMs: null, read: null, readProblem: null, readProblemSinceMs: null };
  const rest: DirectoryState = { ...state, ...(forget.read && nothing), write };
  if (rest.lastReadMs === null && rest.write === null) await tx.removeDocument(directoryDocument(name));
  else await saveDirectoryState(tx, rest);
}

export interface Withdrawing {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
}

export interface WithdrawnFrom {
  removed: number;
  refusedCount: number;
  refused: WriteState['refused'];
}

/**
 * Removes from a directory that is still configured what was written into it. From the first moment on nothing is written
 * there any more, until its first write is approved anew. Throws DirpostError where the directory fails; what was removed
 * until then is recorded, and the next call goes on.
 */
export async function withdrawWritten(
  postoffice: Postoffice,
  { directory, options }: SubscribingDirectory,
  { signal, progress }: Withdrawing,
): Promise<WithdrawnFrom> {
  const { store, clock, limits } = postoffice;
  const { name } = directory;
  const before = await store.transaction(async (tx) => {
    await beginWithdrawal(tx, name);
    await releaseAdopted(tx, name);
    return (await loadDirectoryState(tx, name)).write;
  });
  let removed = 0;
  if (directory.writes === 'whole') {
    for await (const _ of directory.write(none(), signal));
    removed = before?.entries ?? 0;
  } else {
    // By the keys of before nobody is found in a directory that was reloaded.
    await relearnPlaces(postoffice, { directory }, signal);
    const tell = (done: number) => progress?.({ what: `removing from ${name}`, done: removed + done });
    for (let round = -1; round !== 0; removed += Math.max(0, round)) {
      round = await removeAll(store, directory, options.container, signal, tell);
    }
  }
  const entries = directory.writes === 'whole' ? 0 : await countStanding(store, name);
  const { refusedCount, refused } = await store.read((tx) => stillThere(tx, name, limits.maxRefusedNamed));
  await store.transaction(async (tx) => {
    if (refusedCount === 0) await forgetOpenAnchors(tx, name);
    await forgetLookBack(tx, name);
    const nowMs = clock.now();
    const seq = (await loadOwn(tx)).cursor?.seq ?? 0;
    // Of no content that there ever is: whatever is written next is another.
    const stands = { seq, digest: '', writtenMs: nowMs, triedMs: nowMs, entries };
    const write: WriteState = { ...stands, refusedCount, refused, problem: null };
    await saveDirectoryState(tx, { ...(await loadDirectoryState(tx, name)), write });
  });
  return { removed, refusedCount, refused };
}

async function* none(): AsyncGenerator<DirectoryChange> {}

/** How many entries are gone by it. */
async function removeAll(
  store: Store,
  directory: SubscribingDirectory['directory'],
  container: string,
  signal: AbortSignal,
  tell: (done: number) => void,
): Promise<number> {
  const { name } = directory;
  const asked: DirectoryChange[] = [];
  const changes = async function* () {
    for await (const change of plannedWithdrawal(store, { name, container })) {
      asked.push(change);
      yield change;
    }
  };
  let removed = 0;
  let outcomes: WriteOutcome[] = [];
  const record = async () => {
    const pairs = asked.splice(0, outcomes.length);
    const said = outcomes;
    outcomes = [];
    await store.transaction((tx) => recordWithdrawn(tx, name, pairs, said));
    removed += pairs.filter(({ kind }, i) => kind !== 'container' && said[i]!.result === 'written').length;
    tell(removed);
  };
  try {
    for await (const outcome of directory.write(changes(), signal)) {
      outcomes.push(outcome);
      if (outcomes.length >= RECORDED) await record();
    }
  } finally {
    await record();
  }
  return removed;
}

async function stillThere(tx: StoreTx, name: string, most: number): Promise<Omit<WithdrawnFrom, 'removed'>> {
  const { refused: refusedCount } = await tx.countPlaced(name);
  const refused = (await tx.refusedPlaced(name, most)).map(({ id, refused: why }) => ({
    id: Buffer.from(id).toString('hex'),
    code: why?.code ?? 'refused',
    reason: why?.reason ?? '',
  }));
  return { refusedCount, refused };
}

const COMMANDS = (name: string) => ({
  keep: `dirpost directory remove ${name} --keep`,
  withdraw: `dirpost directory remove ${name} --withdraw`,
});

/** For people: what waits, and what to type; a line each. */
export function removedLines({ name, published, written }: RemovedDirectory): string[] {
  const { keep, withdraw } = COMMANDS(name);
  if (published === null) {
    const what = `${counted(written ?? 0, 'entry')} of the network ${stay(written ?? 0)} where ${name} wrote them`;
    return [
      `${name} is not in the configuration any more; ${what}. If that is right: ${keep}`,
      `  To remove them: put it back, then ${withdraw}, and take it out again. Was it only given another name? Then --keep.`,
    ];
  }
  const what = `${counted(published, 'entry')} of it ${stay(published)} published as before`;
  const there = `  what was written into it (${counted(written ?? 0, 'entry')}) stays there, whichever it is`;
  return [
    `${name} is not in the configuration any more; ${what}. Say what becomes of ${published === 1 ? 'it' : 'them'}:`,
    `  they stay, and nothing changes them    ${keep}`,
    `  they leave the network                 ${withdraw}`,
    ...(written === null ? [] : [there]),
    '  Was the directory only given another name? Then --keep: that under the new name takes over whom it has, too.',
  ];
}

export function keptLine({ name, entries }: KeptDirectory): string {
  return `${counted(entries, 'entry')} of ${name} ${stay(entries)} published, although it is not in the configuration any more. To take ${entries === 1 ? 'it' : 'them'} out: ${COMMANDS(name).withdraw}`;
}

function stay(count: number): string {
  return count === 1 ? 'stays' : 'stay';
}
