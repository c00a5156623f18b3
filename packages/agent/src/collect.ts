/**
 * T0 collect: read this postoffice's directories, compare with what is published, number the differences (seq).
 * A directory that cannot be read, or only in part, changes nothing: the last data stay in use.
 */
import {
  DirectoryReading,
  DirpostError,
  type Holding,
  loadOwn,
  type ReadBatch,
  type ReadCertificate,
  type ReadSummary,
  type Incarnation,
} from '@dirpost/core';
import { lookBackSafely } from './both/read-back.ts';
import { isBoth, withdrawEnded } from './both/withdraw.ts';
import { loadDirectoryState, saveDirectoryState } from './directory-state.ts';
import { counted, type Progress } from './events.ts';
import { heldWords } from './held.ts';
import type { Postoffice, PublishingDirectory } from './postoffice.ts';
import { learnAnchors } from './write-differences.ts';

export interface CollectOptions {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
  /** Everything is computed and nothing stays, not even a sign that the directory was read. */
  preview?: boolean;
  /** Everything is read, also where a directory could tell what changed. */
  whole?: boolean;
}

export interface Collected {
  summary: ReadSummary | null;
  directory: string;
  problem: string | null;
}

export async function collect(postoffice: Postoffice, options: CollectOptions): Promise<Collected[]> {
  const results: Collected[] = [];
  // By them a directory that is read knows what was written into it from here.
  if (options.preview !== true) await learnAnchors(postoffice, options.signal);
  for (const source of postoffice.publishing) results.push(await collectOne(postoffice, source, options));
  if (options.preview !== true) await collectByHand(postoffice, options);
  return results;
}

/** Of directories of both ways: what was changed by hand in their containers. */
async function collectByHand(postoffice: Postoffice, { signal, whole = false }: CollectOptions): Promise<void> {
  await withdrawEnded(postoffice, 'T0');
  for (const target of postoffice.subscribing.filter(isBoth))
    await lookBackSafely(postoffice, target, { time: 'T0', signal, whole });
}

async function collectOne(
  postoffice: Postoffice,
  { directory, mapping, configuration }: PublishingDirectory,
  { signal, progress, preview = false, whole = false }: CollectOptions,
): Promise<Collected> {
  const { name } = directory;
  const { store, requestor, writtenHere } = postoffice;
  const configured = postoffice.publishing.map((one) => one.directory.name);
  const reading = new DirectoryReading(store, postoffice.name, name, mapping, requestor, writtenHere);
  let summary: ReadSummary | null = null;
  let problem: string | null = null;
  let incarnation: Incarnation | null = null;
  try {
    const since = await reading.begin({ configuration, whole, configured });
    ({ incarnation } = await postoffice.store.read(loadOwn));
    const readFrom = (bookmark: string | null) =>
      takeAll(reading, directory.read(bookmark, signal), (done) => progress?.({ what: `reading ${name}`, done }));
    let certificate = await readFrom(since);
    if (certificate !== undefined && (await reading.needsWhole(certificate))) {
      await reading.restart();
      certificate = await readFrom(null);
    }
    summary = await reading.finish(certificate ?? uncertified(name), preview);
    if (!summary.certificate.complete) problem = summary.certificate.remarks.join(' ');
  } catch (error) {
    // Directories fail one by one; everything else is not this step's to judge.
    if (!(error instanceof DirpostError) || signal.aborted || !isOfDirectory(error)) throw error;
    problem = error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
  }
  if (!preview && problem === null && incarnation !== null) postoffice.completeReads.note(name, incarnation);
  if (!preview) await remember(postoffice, name, summary, problem);
  const { heldAtCollect } = await postoffice.store.read(loadOwn);
  tell(postoffice, name, summary, problem, heldAtCollect[name]);
  return { directory: name, summary, problem };
}

/** The certificate, if there is one. */
async function takeAll(
  reading: DirectoryReading,
  batches: AsyncIterable<ReadBatch>,
  progress: (done: number) => void,
): Promise<ReadCertificate | undefined> {
  let certificate: ReadCertificate | undefined;
  let entries = 0;
  for await (const batch of batches) {
    if (batch.restart === true) await reading.restart();
    await reading.take(batch.entries, batch);
    entries += batch.entries.length;
    progress(entries);
    certificate = batch.certificate;
  }
  return certificate;
}

/** The store too may be busy for a while: that is no fault of a directory. */
function isOfDirectory({ code, retry }: DirpostError): boolean {
  return code === 'directory-failed' || retry !== 'later';
}

function uncertified(name: string): ReadCertificate {
  return {
    complete: false,
    remarks: [`The read of ${name} ended without a certificate.`],
    entries: 0,
    source: name,
    bookmark: null,
  };
}

async function remember(
  { store, clock }: Postoffice,
  name: string,
  summary: ReadSummary | null,
  problem: string | null,
): Promise<void> {
  await store.transaction(async (tx) => {
    const state = await loadDirectoryState(tx, name);
    const lastReadMs = clock.now();
    const complete = problem === null ? { lastCompleteMs: lastReadMs, read: summary } : {};
    const readProblemSinceMs = problem === null ? null : (state.readProblemSinceMs ?? lastReadMs);
    await saveDirectoryState(tx, { ...state, lastReadMs, ...complete, readProblem: problem, readProblemSinceMs });
  });
}

function tell(
  postoffice: Postoffice,
  name: string,
  summary: ReadSummary | null,
  problem: string | null,
  holding: Holding | undefined,
): void {
  if (problem !== null || summary === null) {
    const text = `${name} was not read completely; what was published of it stays as it was. ${problem}`;
    return postoffice.tell({ time: 'T0', level: 'warning', text, details: { directory: name } });
  }
  const { added, changed, removed, refusedCount, recognised, ambiguousCount, certificate } = summary;
  const held = heldWords(holding, postoffice.requestor.holds);
  const what = certificate.extent === 'delta' ? 'changed entry' : 'entry';
  const counts = `${added} new, ${changed} changed, ${removed} removed, ${refusedCount} refused`;
  const text = `${name}: read ${counted(certificate.entries, what)}; ${counts}${otherKeysWords(summary)}${held}`;
  const level = refusedCount + ambiguousCount > 0 || held !== '' ? 'warning' : 'info';
  postoffice.tell({
    time: 'T0',
    level,
    text,
    details: {
      directory: name,
      added,
      changed,
      removed,
      refused: refusedCount,
      held: summary.held.entries,
      ...(recognised > 0 && { recognised }),
      ...(ambiguousCount > 0 && { ambiguous: ambiguousCount }),
    },
  });
}

/** "; 3 with another key, 1 value ambiguous", or nothing. */
function otherKeysWords({ recognised, ambiguousCount }: ReadSummary): string {
  const words = [
    ...(recognised > 0 ? [`${recognised} with another key than before`] : []),
    ...(ambiguousCount > 0 ? [`${counted(ambiguousCount, 'value')} by which nobody can be told for certain`] : []),
  ];
  return words.length === 0 ? '' : `; ${words.join(', ')}`;
}
