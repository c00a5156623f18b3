/** `dirpost preview`: what the next sync would publish, and what would be written. Changes nothing. */
import { differences, formatLdif } from '@dirpost/adapters';
import { type DirectoryEntry, DirpostError, isDirpostError, previewedChanges } from '@dirpost/core';
import { collect, type Collected } from '../collect.ts';
import { type DuplicateCount, duplicateWords, findDuplicates } from '../duplicates.ts';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { previewEntries } from './preview-ldap.ts';
import { matchColumns } from './held.ts';
import type { Column, Screen } from './screen.ts';
import { type LeftOut, leftOutColumns } from './left-out.ts';
import type { NamedMatch } from '../waiting-matches.ts';

export interface WriteCounts {
  directory: string;
  add?: number;
  modify?: number;
  delete?: number;
  /** From here on of directories that are written entry by entry. */
  rename?: number;
  refused?: number;
  /** Changes that were not compared with what stands there: there are too many. */
  more?: number;
  /** Attributes that the directory has no place for, and of how many of these entries. */
  leftOut?: LeftOut[];
  /** Why it could not be compared with what stands there. */
  problem?: string;
  /** Some of them. */
  changes?: { dn: string; action: string; code?: string; reason?: string }[];
  /** Entries that may be what is there already. */
  matches?: NamedMatch[];
}

export async function preview(call: Invocation, options: { ldif?: boolean }): Promise<ExitCode> {
  return withAgent(call, { quiet: true }, async ({ postoffice }) => {
    const { screen, signal } = call;
    const ldif = options.ldif === true;
    const collected = await collect(postoffice, { signal, progress: screen.progress.bind(screen), preview: true });
    const writes: WriteCounts[] = [];
    if (ldif) screen.raw(formatLdif([]));
    for (const target of postoffice.subscribing) {
      const previewOne = target.directory.writes === 'whole' ? previewWrite : previewEntries;
      // LDIF that ends early is not to be taken for the whole.
      const previewed = previewOne(call, postoffice, target, ldif);
      writes.push(await (ldif ? previewed : previewed.catch((error) => problemOf(target, error, signal))));
    }
    if (ldif) return EXIT.done;
    const duplicates = await postoffice.store.read(
      async (tx) => (await findDuplicates(tx, postoffice, { signal, progress: screen.progress.bind(screen) })).counts,
    );
    screen.data({ publish: collected, write: writes, duplicates });
    screen.line('What would be published:');
    screen.table(collected, [
      { title: 'directory', value: (one) => one.directory },
      { title: 'read', value: readOf, align: 'right' },
      { title: 'new', value: (one) => one.summary?.added, align: 'right' },
      { title: 'changed', value: (one) => one.summary?.changed, align: 'right' },
      { title: 'removed', value: (one) => one.summary?.removed, align: 'right' },
      { title: 'held', value: (one) => one.summary?.held.entries, align: 'right' },
      { title: 'left out', value: (one) => one.summary?.leftOut, align: 'right' },
      { title: 'refused', value: (one) => one.summary?.refusedCount, align: 'right' },
      ...(collected.some(({ summary }) => (summary?.recognised ?? 0) > 0) ? [otherKeyColumn] : []),
      { title: 'problem', value: (one) => one.problem ?? 'none', wraps: true },
    ]);
    screen.table(
      collected.flatMap((one) => one.summary?.refused ?? []),
      [
        { title: 'refused', value: (one) => one.dn },
        { title: 'because', value: (one) => one.reason, wraps: true },
      ],
    );
    showAmbiguous(screen, collected);
    showWrites(call, writes);
    showDuplicates(screen, duplicates);
    return [...collected, ...writes].some(({ problem = null }) => problem !== null) ? EXIT.failed : EXIT.done;
  });
}

/** Who might be an entry that is missing: he is published as a new one, and that one is removed, within the limits. */
function showAmbiguous(screen: Screen, collected: Collected[]): void {
  const ambiguous = collected.flatMap((one) => one.summary?.ambiguous ?? []);
  screen.table(ambiguous, [
    { title: 'came', value: (one) => (one.cameCount === 1 ? one.came : `${one.came} and ${one.cameCount - 1} more`) },
    {
      title: 'may be',
      value: (one) => (one.missingCount === 1 ? one.missing : `${one.missing} or ${one.missingCount - 1} more`),
    },
    { title: 'by', value: (one) => one.attribute },
  ]);
}

const otherKeyColumn: Column<Collected> = {
  title: 'other key',
  value: (one) => one.summary?.recognised,
  align: 'right',
};

const byEntryColumns: Column<WriteCounts>[] = [
  { title: 'rename', value: (one) => one.rename, align: 'right' },
  { title: 'refused', value: (one) => one.refused, align: 'right' },
];

const problemColumn: Column<WriteCounts> = { title: 'problem', value: (one) => one.problem ?? 'none', wraps: true };

/** What would be published is shown all the same. */
function problemOf({ directory }: SubscribingDirectory, error: unknown, signal: AbortSignal): WriteCounts {
  if (!(error instanceof DirpostError) || signal.aborted) throw error;
  const problem = `${error.message} ${error.hint ?? ''}`.trimEnd();
  return { directory: directory.name, problem };
}

function showWrites({ screen }: Invocation, writes: WriteCounts[]): void {
  if (writes.length === 0) return;
  screen.line();
  screen.line('What would be written of the replica as it is now (dirpost preview --ldif shows it whole):');
  const isByEntry = writes.some(({ rename }) => rename !== undefined);
  screen.table(writes, [
    { title: 'directory', value: (one) => one.directory },
    { title: 'add', value: (one) => one.add, align: 'right' },
    { title: 'modify', value: (one) => one.modify, align: 'right' },
    { title: 'delete', value: (one) => one.delete, align: 'right' },
    ...(isByEntry ? byEntryColumns : []),
    ...(writes.some(({ problem }) => problem !== undefined) ? [problemColumn] : []),
  ]);
  const refused = writes.flatMap(({ changes = [] }) => changes.filter(({ action }) => action === 'refused'));
  screen.table(refused, [
    { title: 'would be refused', value: (one) => one.dn },
    { title: 'code', value: (one) => one.code },
    { title: 'because', value: (one) => one.reason, wraps: true },
  ]);
  screen.table(
    writes.flatMap(({ matches = [] }) => matches),
    matchColumns,
  );
  screen.table(
    writes.flatMap(({ directory, leftOut = [] }) => leftOut.map((one) => ({ directory, ...one }))),
    leftOutColumns,
  );
  for (const { directory, more = 0 } of writes) {
    if (more > 0) screen.line(`${directory}: ${more} more changes are not shown here.`);
  }
}

/** Where only changes were asked for, 0 is what is best. */
function readOf({ summary }: Collected): string | number | undefined {
  const certificate = summary?.certificate;
  return certificate?.extent === 'delta' ? `${certificate.entries} changed` : certificate?.entries;
}

/** Of what is published already: what the read would add is not in the store yet. */
function showDuplicates(screen: Screen, counts: DuplicateCount[]): void {
  const [here, network] = [duplicateWords(counts, 'here'), duplicateWords(counts, 'network')];
  if (here + network === '') return;
  screen.line();
  if (here !== '') screen.line(`Warning: values that several entries here have: ${here}. Which: dirpost duplicates`);
  if (network !== '')
    screen.line(`Warning: values that entries of several postoffices have: ${network}. Which: dirpost duplicates`);
}

async function previewWrite(
  { screen, signal }: Invocation,
  { store }: Postoffice,
  { directory, options }: SubscribingDirectory,
  ldif: boolean,
): Promise<WriteCounts> {
  const counts = { directory: directory.name, add: 0, modify: 0, delete: 0 };
  const existing = presentEntries(directory.read(null, signal));
  for await (const record of differences(existing, previewedChanges(store, options))) {
    if (record.kind === 'add' || record.kind === 'modify' || record.kind === 'delete') counts[record.kind]++;
    if (ldif) screen.raw(formatLdif([record], { version: false }));
  }
  return counts;
}

/** A target that was never written has no entries. */
async function* presentEntries(batches: AsyncIterable<{ entries: DirectoryEntry[] }>): AsyncGenerator<DirectoryEntry> {
  try {
    for await (const { entries } of batches) yield* entries;
  } catch (error) {
    if (!isDirpostError(error, 'file-missing')) throw error;
  }
}
