/**
 * T3, last step: write the replica into the directories that subscribe to it, after the transaction and from what it
 * recorded. Idempotent: a crash in between writes again. What changed in the report goes to the server at once. The first
 * write into a directory waits (first-write.ts).
 */
import {
  associateReplica,
  composeVerification,
  type DirectoryChange,
  DirpostError,
  loadOwn,
  plannedChanges,
  shownToDirectories,
} from '@dirpost/core';
import { leavingWhatStays } from './both/container-writes.ts';
import { lookBeforeWrite } from './both/read-back.ts';
import { takeEdits } from './both/take-edits.ts';
import { isBoth, withdrawEnded } from './both/withdraw.ts';
import {
  loadDirectoryState,
  makeReport,
  saveDirectoryState,
  type RefusedEntry,
  type WriteState,
} from './directory-state.ts';
import { counted, type Progress } from './events.ts';
import { entriesReady, mayBeWritten } from './first-write.ts';
import { firstWriteWords } from './held.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';
import { doubling } from './send.ts';
import { standingEntries } from './standing.ts';
import { learnAnchors, writeDifferences } from './write-differences.ts';

/** What has no time of its own, such as what may be several that are there already, is looked at so often. */
const ALL_AGAIN_MS = 24 * 60 * 60_000;

export interface WriteOptions {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
  /** Directories are asked again for entries that they refused. */
  again?: boolean;
}

/** How many directories could not be written. */
export async function writeDirectories(postoffice: Postoffice, options: WriteOptions): Promise<number> {
  // What an earlier write left open: by anchors it is known what was written from here.
  await learnAnchors(postoffice, options.signal);
  await takeEdits(postoffice, options.signal);
  await withdrawEnded(postoffice, 'T3');
  const results: WriteResult[] = [];
  for (const target of postoffice.subscribing) results.push(await writeIfBehind(postoffice, target, options));
  const failed = results.filter((result) => result === 'failed').length;
  if (!results.includes('written')) return failed;
  await postoffice.store.transaction(async (tx) => {
    await composeVerification(tx, postoffice.requestor, await makeReport(tx, postoffice));
  });
  return failed;
}

type WriteResult = 'written' | 'unchanged' | 'waiting' | 'failed';

async function writeIfBehind(
  postoffice: Postoffice,
  target: SubscribingDirectory,
  options: WriteOptions,
): Promise<WriteResult> {
  const { store, clock } = postoffice;
  const { name } = target.directory;
  const { own, state, allowed, shown } = await store.read(async (tx) => {
    const known = await loadDirectoryState(tx, name);
    const record = await loadOwn(tx);
    return {
      own: record,
      state: known,
      allowed: await mayBeWritten(tx, target, known),
      shown: await shownToDirectories(tx, record),
    };
  });
  if (!allowed) return waits(postoffice, name, entriesReady(own));
  const seq = own.cursor?.seq ?? 0;
  const { digest, live } = shown;
  const before = state.write;
  if (own.cursor === null && before === null) return 'unchanged';
  const isWhole = target.directory.writes === 'whole';
  const isAsBefore = before !== null && before.digest === digest && before.problem === null;
  const stands = (await target.directory.exists?.()) ?? true;
  if (isAsBefore && (isWhole ? stands : leavesRefused(before, clock.now(), options))) {
    if (before.seq === seq) return 'unchanged';
    await saveWrite(postoffice, name, { ...before, seq });
    return 'written';
  }
  if (!isWhole) return writeEntries(postoffice, target, { seq, digest, live, before }, options);
  try {
    const outcome = await writeWhole(postoffice, target, live, options);
    await saveWrite(postoffice, name, { seq, digest, writtenMs: clock.now(), ...outcome, problem: null });
    const refused = outcome.refusedCount > 0 ? `, ${outcome.refusedCount} refused` : '';
    const text = `${name}: wrote ${counted(outcome.entries, 'entry')}${refused}`;
    postoffice.tell({
      time: 'T3',
      level: outcome.refusedCount > 0 ? 'warning' : 'info',
      text,
      details: { directory: name },
    });
    return 'written';
  } catch (error) {
    if (!(error instanceof DirpostError) || options.signal.aborted) throw error;
    return fails(postoffice, name, before, error);
  }
}

async function fails(
  postoffice: Postoffice,
  name: string,
  before: WriteState | null,
  error: DirpostError,
): Promise<WriteResult> {
  const nothing = { seq: 0, digest: '', writtenMs: 0, entries: 0, refusedCount: 0, refused: [] };
  const nowMs = postoffice.clock.now();
  const failures = (before?.failures ?? 0) + 1;
  const retryMs = nowMs + waitAfter(postoffice, failures);
  const problemSinceMs = before?.problemSinceMs ?? nowMs;
  await saveWrite(postoffice, name, {
    ...nothing,
    ...before,
    problem: error.message,
    problemSinceMs,
    failures,
    retryMs,
  });
  const text = `${name} could not be written, and will be tried again: ${error.message} ${error.hint ?? ''}`.trimEnd();
  postoffice.tell({ time: 'T3', level: 'error', text, details: { directory: name, code: error.code } });
  return 'failed';
}

/** Nothing changed, and it is too early to ask again for what was refused. */
function leavesRefused(before: WriteState, nowMs: number, { again = false }: WriteOptions): boolean {
  if (before.refusedCount === 0 || again) return false;
  return !isClockBack(before, nowMs) && (before.againMs ?? 0) > nowMs;
}

/** Of what was refused each says for itself whether it is due then (refused-again.ts). */
function isClockBack({ triedMs = 0 }: WriteState, nowMs: number): boolean {
  return triedMs > nowMs;
}

/** `failures`: in a row. */
function waitAfter({ retry }: Pick<Postoffice, 'retry'>, failures: number): number {
  return doubling(retry.deliverAfterMs, failures - 1, retry.deliverAtMostMs);
}

interface Standing {
  seq: number;
  digest: string;
  live: number;
  before: WriteState | null;
}

/** A directory that is written entry by entry: what was written stays written, also when it fails half-way. */
async function writeEntries(
  postoffice: Postoffice,
  target: SubscribingDirectory,
  { seq, digest, live, before }: Standing,
  options: WriteOptions,
): Promise<WriteResult> {
  const { name } = target.directory;
  const nowMs = postoffice.clock.now();
  const sinceAllMs = nowMs - (before?.allTriedMs ?? 0);
  const isAllDue = options.again === true || sinceAllMs < 0 || sinceAllMs >= ALL_AGAIN_MS;
  const isRefusedDue = before !== null && before.refusedCount > 0 && !leavesRefused(before, nowMs, options);
  try {
    if (isBoth(target) && !(await lookBeforeWrite(postoffice, target, options.signal))) return 'waiting';
    const { written, refusedCount, refused, dueMs } = await writeDifferences(
      postoffice,
      withWhatStays(postoffice, target),
      { ...options, again: isAllDue || isRefusedDue, dueBy: options.again === true ? undefined : nowMs },
    );
    const entries = await standingEntries(postoffice.store, name, live, refusedCount);
    const allTriedMs = isAllDue ? nowMs : before!.allTriedMs!;
    const againMs = refusedCount === 0 ? null : Math.min(dueMs ?? Infinity, allTriedMs + ALL_AGAIN_MS);
    const came = { seq, digest, entries, refusedCount, refused, againMs, problem: null };
    const writtenMs = written > 0 || before === null ? nowMs : before.writtenMs;
    await saveWrite(postoffice, name, { ...came, writtenMs, triedMs: nowMs, allTriedMs });
    // Who asked for it wants to hear how it went.
    const isAsked = options.again === true && refusedCount > 0;
    const isNews = isAsked || written > 0 || before?.seq !== seq || before.problem !== null;
    if (!isNews && answersOf(before.refused) === answersOf(refused)) return 'unchanged';
    const refusedWords = refusedCount > 0 ? `, ${refusedCount} refused` : '';
    const text = `${name}: wrote ${counted(written, 'change')}${refusedWords}`;
    const level = refusedCount > 0 ? 'warning' : 'info';
    if (written > 0 || refusedCount > 0)
      postoffice.tell({ time: 'T3', level, text, details: { directory: name, written } });
    return 'written';
  } catch (error) {
    if (!(error instanceof DirpostError) || options.signal.aborted) throw error;
    return fails(postoffice, name, before, error);
  }
}

function answersOf(refused: RefusedEntry[]): string {
  return JSON.stringify(refused.map(({ id, code, reason }) => [id, code, reason]));
}

/** Of both ways: what was set by hand and stays is not written over. */
function withWhatStays({ store }: Postoffice, target: SubscribingDirectory): SubscribingDirectory {
  if (!isBoth(target)) return target;
  return { ...target, directory: leavingWhatStays(target.directory, target.both, store) };
}

/** When a directory that could not be written, or what one refused, is tried again, ms since 1970; null: none waits for that. */
export async function writingDueMs(postoffice: Postoffice): Promise<number | null> {
  const { store, clock, subscribing } = postoffice;
  const nowMs = clock.now();
  const dueOf = (write: WriteState): number | null => {
    const { problem, retryMs = null, failures = 1, againMs = null } = write;
    if (problem === null) return againMs !== null && isClockBack(write, nowMs) ? nowMs : againMs;
    // Longer than it was to wait: so was it before the clock went back.
    return retryMs !== null && retryMs - nowMs > waitAfter(postoffice, failures) ? nowMs : retryMs;
  };
  const dues = await store.read(async (tx) => {
    const states = [];
    for (const { directory } of subscribing) states.push((await loadDirectoryState(tx, directory.name)).write);
    return states.flatMap((write) => {
      const dueMs = write === null ? null : dueOf(write);
      return dueMs === null ? [] : [dueMs];
    });
  });
  return dues.length === 0 ? null : Math.min(...dues);
}

function waits(postoffice: Postoffice, directory: string, entries: number): WriteResult {
  if (entries === 0) return 'unchanged';
  const text = firstWriteWords({ directory, entries });
  postoffice.tell({ time: 'T3', level: 'warning', text, details: { directory, entries } });
  return 'waiting';
}

async function saveWrite({ store }: Postoffice, name: string, write: WriteState): Promise<void> {
  await store.transaction(async (tx) => saveDirectoryState(tx, { ...(await loadDirectoryState(tx, name)), write }));
}

async function writeWhole(
  postoffice: Postoffice,
  { directory, options }: SubscribingDirectory,
  live: number,
  { signal, progress }: WriteOptions,
): Promise<Pick<WriteState, 'entries' | 'refusedCount' | 'refused'>> {
  await associateReplica(postoffice.store, options);
  const result: Pick<WriteState, 'entries' | 'refusedCount' | 'refused'> = { entries: 0, refusedCount: 0, refused: [] };
  let written = 0;
  const changes: AsyncIterable<DirectoryChange> = plannedChanges(postoffice.store, options);
  for await (const outcome of directory.write(changes, signal)) {
    if (outcome.result === 'refused') {
      result.refusedCount++;
      if (result.refused.length < postoffice.limits.maxRefusedNamed) {
        const { id, code = 'refused', reason = '' } = outcome;
        result.refused.push({ id: Buffer.from(id).toString('hex'), code, reason });
      }
    }
    if (++written % 1_000 === 0) progress?.({ what: `writing ${directory.name}`, done: written });
  }
  // Containers are written too, but they are nobody's entries.
  result.entries = Math.max(0, live - result.refusedCount);
  return result;
}
