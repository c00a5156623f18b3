/**
 * `dirpost preview` for directories that are written entry by entry: the plan is made in a transaction that is rolled back, and
 * what it says is compared with what stands there.
 */
import { formatLdif, LdapDirectory } from '@dirpost/adapters';
import { DirpostError, type PlannedChange, plannedDifferences, type Store } from '@dirpost/core';
import type { Postoffice, SubscribingDirectory } from '../postoffice.ts';
import type { Invocation } from './command.ts';
import type { WriteCounts } from './preview.ts';

/** So many are compared; a preview of more is for nobody to read. */
const MOST_COMPARED = 20_000;
/** In the answer for programs. */
const MOST_NAMED = 1_000;

export async function previewEntries(
  { screen, signal }: Invocation,
  { store }: Pick<Postoffice, 'store'>,
  target: SubscribingDirectory,
  ldif: boolean,
): Promise<WriteCounts> {
  const { directory } = target;
  if (!(directory instanceof LdapDirectory)) {
    throw new DirpostError('wrong-use', `${directory.name} cannot show what would be written.`);
  }
  const { planned, more } = await planOf(store, target);
  const counts: WriteCounts = { directory: directory.name, add: 0, modify: 0, delete: 0, rename: 0, refused: 0, more };
  const changes: NonNullable<WriteCounts['changes']> = [];
  for await (const { dn, action, records, code, reason } of directory.preview(planned, signal)) {
    if (action !== 'nothing') counts[action] = (counts[action] ?? 0) + 1;
    if (action !== 'nothing' && changes.length < MOST_NAMED) {
      changes.push({ dn, action, ...(code !== undefined && { code, reason: reason ?? '' }) });
    }
    if (ldif && records.length > 0) screen.raw(formatLdif(records, { version: false }));
  }
  return { ...counts, changes };
}

/** Rolls back what the plan writes down. */
class PreviewEnds extends Error {}

async function planOf(
  store: Store,
  { options, shape = '' }: SubscribingDirectory,
): Promise<{ planned: PlannedChange[]; more: number }> {
  const planned: PlannedChange[] = [];
  let more = 0;
  try {
    await store.transaction(async (tx) => {
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
  return { planned, more };
}
