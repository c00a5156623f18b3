/**
 * `dirpost preview` for directories that are written entry by entry: the plan is made in a transaction that is rolled back, and
 * what it says is compared with what stands there.
 */
import { formatLdif, LdapDirectory } from '@dirpost/adapters';
import {
  approveMatches,
  type DirectoryChange,
  DirpostError,
  type Found,
  type PlannedChange,
  plannedDifferences,
  type Store,
} from '@dirpost/core';
import { ContainerWrites } from '../both/container-writes.ts';
import { decide, lookInto } from '../match-target.ts';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { type NamedMatch, namedMatches } from '../waiting-matches.ts';
import type { Invocation } from './command.ts';
import { LeftOutCounts } from './left-out.ts';
import type { WriteCounts } from './preview.ts';

/** So many are compared; a preview of more is for nobody to read. */
const MOST_COMPARED = 20_000;
/** In the answer for programs. */
const MOST_NAMED = 1_000;

export async function previewEntries(
  { screen, signal }: Invocation,
  postoffice: Postoffice,
  target: SubscribingDirectory,
  ldif: boolean,
): Promise<WriteCounts> {
  const { directory } = target;
  if (!(directory instanceof LdapDirectory)) {
    throw new DirpostError('wrong-use', `${directory.name} cannot show what would be written.`);
  }
  const found = await lookInto(postoffice, target, signal);
  const { planned, more, matches } = await planOf(postoffice, target, found);
  const counts: WriteCounts = { directory: directory.name, add: 0, modify: 0, delete: 0, rename: 0, refused: 0, more };
  const changes: NonNullable<WriteCounts['changes']> = [];
  const leftOut = new LeftOutCounts();
  for await (const { dn, action, records, code, reason, ...rest } of directory.preview(
    await shown(postoffice, target, planned, signal),
    signal,
  )) {
    for (const name of rest.leftOut) leftOut.count(name);
    if (action !== 'nothing') counts[action] = (counts[action] ?? 0) + 1;
    // Those first of all are asked for.
    const isNamed = action === 'refused' ? counts.refused! <= MOST_NAMED : changes.length < MOST_NAMED;
    if (action !== 'nothing' && isNamed) {
      changes.push({ dn, action, ...(code !== undefined && { code, reason: reason ?? '' }) });
    }
    if (ldif && action === 'refused') screen.raw(refusedComment(dn, code ?? 'refused', reason ?? ''));
    if (ldif && records.length > 0) screen.raw(formatLdif(records, { version: false }));
  }
  if (ldif) for (const line of leftOut.comments(directory.name)) screen.raw(line);
  return { ...counts, changes, matches, leftOut: leftOut.all() };
}

/** RFC 2849: a comment, in one line. */
function refusedComment(dn: string, code: string, reason: string): string {
  return `# would be refused (${code}): ${dn}: ${reason}`.replaceAll(/[^\x20-\x7e]/g, '?') + '\n\n';
}

/** Of both ways: without what was set by hand and stays. */
async function shown(
  { store }: Postoffice,
  { directory, both }: SubscribingDirectory,
  planned: PlannedChange[],
  signal: AbortSignal,
): Promise<DirectoryChange[]> {
  return both === undefined ? planned : new ContainerWrites(directory, both, store).withWhatStays(planned, signal);
}

/** Rolls back what the plan writes down. */
class PreviewEnds extends Error {}

async function planOf(
  postoffice: Postoffice,
  target: SubscribingDirectory,
  found: Found | null,
): Promise<{ planned: PlannedChange[]; more: number; matches: NamedMatch[] }> {
  const { store } = postoffice;
  const { options, shape = '' } = target;
  let matches: NamedMatch[] = [];
  const planned: PlannedChange[] = [];
  let more = 0;
  try {
    await store.transaction(async (tx) => {
      if (found !== null) await decide(tx, target, found);
      matches = await namedMatches(tx, { subscribing: [target] }, MOST_NAMED);
      // As if it were approved, so that it is seen what would be changed.
      if (found !== null && (await approveMatches(tx, options.name)) > 0) await decide(tx, target, found);
      const scratch: Store = { transaction: (work) => work(tx), read: (work) => work(tx), close: async () => {} };
      for await (const change of plannedDifferences(scratch, { ...options, shape, again: true })) {
        if (planned.length < MOST_COMPARED) planned.push(change);
        else more++;
      }
      throw new PreviewEnds();
    });
  } catch (error) {
    if (!(error instanceof PreviewEnds)) throw error;
  }
  return { planned, more, matches };
}
