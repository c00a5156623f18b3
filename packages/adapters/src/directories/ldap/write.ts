/**
 * T3: changes of the replica into an LDAP directory, in the order in which they come (core/src/plan-changes.ts: removals and
 * renames, containers, persons, groups).
 *
 *   changes ─▶ batch ─▶ drafts (write-entry.ts: what is there, what has to be done) ─▶ one transaction (RFC 5805)
 *                                                                       └─ refused, or not offered ─▶ one by one, pipelined
 *
 * A batch takes about 200 ms, since a transaction holds the server's only writer. One entry that is refused stops no
 * other. Everything may be done twice: after a cut line nobody knows what has taken effect.
 */
import type { DirectoryChange, WriteOutcome } from '@dirpost/core';
import type { LdapOptions } from './options.ts';
import { readRootDse, TRANSACTIONS } from './root-dse.ts';
import { readSchema } from './schema.ts';
import type { LdapServers } from './servers.ts';
import { inTransaction } from './transaction.ts';
import { type Draft, EntryWriter } from './write-entry.ts';

const FIRST_BATCH = 64;
const LARGEST_BATCH = 4_000;
const SMALLEST_BATCH = 8;
const AIM_MS = 200;
/** Requests in flight at once. */
const PIPELINED = 64;

export async function* writeChanges(
  options: LdapOptions,
  servers: LdapServers,
  changes: AsyncIterable<DirectoryChange>,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  const session = await servers.open(signal);
  try {
    const dse = await readRootDse(session, signal);
    const schema = await readSchema(session, dse, signal);
    const writer = new EntryWriter({ session, options, schema, signal });
    const offersTransactions = dse.extensions.has(TRANSACTIONS);
    let size = FIRST_BATCH;
    let batch: DirectoryChange[] = [];
    const flush = async (): Promise<WriteOutcome[]> => {
      const beganMs = performance.now();
      const outcomes = await writeBatch(writer, batch, offersTransactions);
      const tookMs = Math.max(1, performance.now() - beganMs);
      size = clamp(Math.round((batch.length * AIM_MS) / tookMs), Math.ceil(size / 2), size * 2);
      batch = [];
      return outcomes;
    };
    for await (const change of changes) {
      batch.push(change);
      // What others lie below is there before them.
      if (batch.length >= size || change.kind === 'container') yield* await flush();
    }
    if (batch.length > 0) yield* await flush();
  } finally {
    session.close();
  }
}

function clamp(size: number, least: number, most: number): number {
  return Math.max(SMALLEST_BATCH, Math.min(LARGEST_BATCH, Math.max(least, Math.min(most, size))));
}

async function writeBatch(
  writer: EntryWriter,
  changes: DirectoryChange[],
  offersTransactions: boolean,
): Promise<WriteOutcome[]> {
  const drafts = await pipelined(changes, (change) => writer.draft(change));
  const operations = drafts.flatMap((draft) => (draft.outcome === null ? draft.operations : []));
  if (offersTransactions && operations.length > 1) {
    const { session, signal } = writer;
    if (await inTransaction(session, operations, signal)) return drafts.map((draft) => draft.outcome ?? done(draft));
  }
  return pipelined(drafts, (draft) => writer.carryOut(draft));
}

/** In the order of `items`; so many at once as one connection carries well. */
async function pipelined<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = Array.from({ length: items.length });
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: Math.min(PIPELINED, items.length) }, lane));
  return results;
}

function done({ change, place }: Draft): WriteOutcome {
  return { id: change.id, result: 'written', ...(place !== null && { place }) };
}
