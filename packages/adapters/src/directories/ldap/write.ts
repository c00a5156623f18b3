/**
 * T3: changes of the replica into an LDAP directory, in the order in which they come (core/src/plan-changes.ts: removals and
 * renames, containers, persons, groups).
 *
 *   changes ─▶ batch ─▶ drafts (write-entry.ts: what is there, what has to be done) ─┬─▶ one by one, pipelined
 *                                                                                    └─▶ a fill: one transaction (RFC 5805)
 *
 * A batch takes about 200 ms, since a transaction holds the server's only writer. One entry that is refused stops no
 * other. Everything may be done twice: after a cut line nobody knows what has taken effect.
 */
import type { DirectoryChange, WriteOutcome } from '@dirpost/core';
import type { LdapOptions } from './options.ts';
import { pipelined } from './pipelined.ts';
import { readRootDse, TRANSACTIONS } from './root-dse.ts';
import { readSchema } from './schema.ts';
import type { LdapServers } from './servers.ts';
import { inTransaction } from './transaction.ts';
import { type Draft, EntryWriter } from './write-entry.ts';

const FIRST_BATCH = 64;
const LARGEST_BATCH = 4_000;
const SMALLEST_BATCH = 8;
const AIM_MS = 200;
/** Operations of which a transaction is worth its three round trips. */
const LEAST_TOGETHER = 16;
/** Changes after which a write is a large one. */
const FILL_AFTER = 2_000;

/** Kept as long as the directory is open. */
export interface WriteMemory {
  /** A line was cut in a transaction: perhaps by it. */
  transactionsFailed: boolean;
}

export async function* writeChanges(
  options: LdapOptions,
  servers: LdapServers,
  changes: AsyncIterable<DirectoryChange>,
  memory: WriteMemory,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  const { transactions = 'fill' } = options.target ?? {};
  let written = 0;
  let line: Line | null = null;
  let size = FIRST_BATCH;
  const write = async (batch: DirectoryChange[]): Promise<WriteOutcome[]> => {
    // Most writes have nothing to say, and need no line.
    line ??= await openLine(options, servers, signal);
    const { writer, offersTransactions } = line;
    const isWanted = transactions === 'always' || (transactions === 'fill' && written >= FILL_AFTER);
    const beganMs = performance.now();
    const outcomes = await writeBatch(writer, batch, offersTransactions && isWanted ? memory : null);
    written += outcomes.length;
    const tookMs = Math.max(1, performance.now() - beganMs);
    size = clamp(Math.round((batch.length * AIM_MS) / tookMs), Math.ceil(size / 2), size * 2);
    return outcomes;
  };
  // While the server works on a batch, the outcomes of the one before are recorded and the next is made.
  let underWay: Promise<WriteOutcome[]> = Promise.resolve([]);
  const begin = (batch: DirectoryChange[]): void => {
    underWay = write(batch);
    // It is told when it is waited for.
    underWay.catch(() => {});
  };
  try {
    let batch: DirectoryChange[] = [];
    for await (const change of changes) {
      batch.push(change);
      // What others lie below is there before them.
      if (batch.length < size && change.kind !== 'container') continue;
      const outcomes = await underWay;
      begin(batch);
      batch = [];
      yield* outcomes;
    }
    yield* await underWay;
    if (batch.length > 0) yield* await write(batch);
  } finally {
    const close = () => line?.writer.session.close();
    close();
    // Whoever stops early may do so while the line is being opened.
    await underWay.catch(() => {});
    close();
  }
}

interface Line {
  writer: EntryWriter;
  offersTransactions: boolean;
}

async function openLine(options: LdapOptions, servers: LdapServers, signal: AbortSignal): Promise<Line> {
  const session = await servers.open(signal);
  try {
    const dse = await readRootDse(session, signal);
    const schema = await readSchema(session, dse, signal);
    const writer = new EntryWriter({ session, options, schema, signal });
    await writer.requireContainer();
    return { writer, offersTransactions: dse.extensions.has(TRANSACTIONS) };
  } catch (error) {
    session.close();
    throw error;
  }
}

function clamp(size: number, least: number, most: number): number {
  return Math.max(SMALLEST_BATCH, Math.min(LARGEST_BATCH, Math.max(least, Math.min(most, size))));
}

async function writeBatch(
  writer: EntryWriter,
  changes: DirectoryChange[],
  memory: WriteMemory | null,
): Promise<WriteOutcome[]> {
  const drafts = await pipelined(changes, (change) => writer.draft(change));
  const outcomes: WriteOutcome[] = [];
  for (const run of runsOf(drafts)) {
    const mayBeTogether = memory !== null && deedOf(run[0]!) !== 'rename';
    const isTogether = mayBeTogether && (await together(writer, run, memory));
    // There are many: their anchors are left open, and learnt in one search (`places`).
    if (isTogether) outcomes.push(...run.map((draft) => draft.outcome ?? done(draft)));
    else outcomes.push(...(await writer.withAnchors(await pipelined(run, (draft) => writer.carryOut(draft)))));
  }
  return outcomes;
}

/** True: all took effect. */
async function together({ session, signal }: EntryWriter, drafts: Draft[], memory: WriteMemory): Promise<boolean> {
  const operations = drafts.flatMap((draft) => (draft.outcome === null ? draft.operations : []));
  if (memory.transactionsFailed || operations.length < LEAST_TOGETHER) return false;
  try {
    return await inTransaction(session, operations, signal);
  } catch (error) {
    if (!signal.aborted) memory.transactionsFailed = true;
    throw error;
  }
}

/**
 * In their order; removals and renames end before others begin, which may want the names that become free, and members are
 * there before their groups. And slapd 2.5 crashes in a transaction that moves entries, and refuses one that renames an entry and changes it.
 */
function runsOf(drafts: Draft[]): Draft[][] {
  const runs: Draft[][] = [];
  for (const draft of drafts) {
    const last = runs.at(-1);
    if (last !== undefined && deedOf(last[0]!) === deedOf(draft)) last.push(draft);
    else runs.push([draft]);
  }
  return runs;
}

function deedOf({ change, operations }: Draft): 'put' | 'put group' | 'remove' | 'rename' {
  if (operations.some(({ type }) => type === 'rename')) return 'rename';
  return change.action === 'put' && change.kind === 'group' ? 'put group' : change.action;
}

function done({ change, place }: Draft): WriteOutcome {
  return { id: change.id, result: 'written', ...(place !== null && { place }) };
}
