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
import { loadDirectoryState, saveDirectoryState } from './directory-state.ts';
import { counted, type Progress } from './events.ts';
import { heldWords } from './held.ts';
import type { Postoffice, PublishingDirectory } from './postoffice.ts';

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
  for (const source of postoffice.publishing) results.push(await collectOne(postoffice, source, options));
  return results;
}

async function collectOne(
  postoffice: Postoffice,
  { directory, mapping, configuration }: PublishingDirectory,
  { signal, progress, preview = false, whole = false }: CollectOptions,
): Promise<Collected> {
  const { name } = directory;
  const reading = new DirectoryReading(postoffice.store, postoffice.name, name, mapping, postoffice.requestor);
  let summary: ReadSummary | null = null;
  let problem: string | null = null;
  let incarnation: Incarnation | null = null;
  try {
    const since = await reading.begin({ configuration, whole });
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
  const { added, changed, removed, refusedCount, certificate } = summary;
  const held = heldWords(holding, postoffice.requestor.holds);
  const what = certificate.extent === 'delta' ? 'changed entry' : 'entry';
  const text = `${name}: read ${counted(certificate.entries, what)}; ${added} new, ${changed} changed, ${removed} removed, ${refusedCount} refused${held}`;
  const level = refusedCount > 0 || held !== '' ? 'warning' : 'info';
  postoffice.tell({
    time: 'T0',
    level,
    text,
    details: { directory: name, added, changed, removed, refused: refusedCount, held: summary.held.entries },
  });
}
