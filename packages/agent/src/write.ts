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
  shownReplica,
} from '@dirpost/core';
import { loadDirectoryState, makeReport, saveDirectoryState, type WriteState } from './directory-state.ts';
import { counted, type Progress } from './events.ts';
import { entriesReady, mayBeWritten } from './first-write.ts';
import { firstWriteWords } from './held.ts';
import type { Postoffice, SubscribingDirectory } from './postoffice.ts';

export interface WriteOptions {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
}

/** How many directories could not be written. */
export async function writeDirectories(postoffice: Postoffice, options: WriteOptions): Promise<number> {
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
  const { own, state, allowed } = await store.read(async (tx) => {
    const known = await loadDirectoryState(tx, name);
    return { own: await loadOwn(tx), state: known, allowed: await mayBeWritten(tx, target, known) };
  });
  if (!allowed) return waits(postoffice, name, entriesReady(own));
  const seq = own.cursor?.seq ?? 0;
  const { digest, live } = shownReplica(own.replica);
  const before = state.write;
  if (own.cursor === null && before === null) return 'unchanged';
  if (before !== null && before.digest === digest && before.problem === null) {
    if (before.seq === seq) return 'unchanged';
    await saveWrite(postoffice, name, { ...before, seq });
    return 'written';
  }
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
    const nothing = { seq: 0, digest: '', writtenMs: 0, entries: 0, refusedCount: 0, refused: [] };
    await saveWrite(postoffice, name, { ...nothing, ...before, problem: error.message });
    const text = `${name} could not be written, and will be tried again: ${error.message}`;
    postoffice.tell({ time: 'T3', level: 'error', text, details: { directory: name, code: error.code } });
    return 'failed';
  }
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
