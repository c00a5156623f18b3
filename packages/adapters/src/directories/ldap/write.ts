/**
 * T3: changes of the replica into an LDAP directory, in the order in which they come (core/src/plan-changes.ts: removals and
 * renames, containers, persons, groups).
 *
 *   changes ─▶ batch ─▶ drafts (write-entry.ts: what is there, what has to be done) ─┬─▶ one by one, pipelined
 *                                                                                    └─▶ one transaction (RFC 5805)
 *
 * A batch takes about 200 ms (batch-size.ts); how many changes that are is learnt, and remembered for the next write. While one
 * takes effect, a second line brings the operations of the next. One entry that is refused stops no other. Everything may be
 * done twice: after a cut line nobody knows what has taken effect.
 */
import type { DirectoryChange, WriteOutcome } from '@dirpost/core';
import { firstBatchSize, nextBatchSize } from './batch-size.ts';
import type { LdapOptions } from './options.ts';
import { isLarge } from './large-requests.ts';
import { pipelined } from './pipelined.ts';
import { carryOutRenames } from './rename-rings.ts';
import { readRootDse, TRANSACTIONS } from './root-dse.ts';
import { readSchema } from './schema.ts';
import type { LdapServers } from './servers.ts';
import { inTransaction } from './transaction.ts';
import type { Session } from './session.ts';
import { type Draft, EntryWriter } from './write-entry.ts';

/** Operations of which a transaction is worth its three round trips. */
const LEAST_TOGETHER = 16;
/** Changes after which a write is a large one: one disk sync for each would cost more than the pause of a transaction. */
const FILL_AFTER = 16;
/** One brings operations while what another brought takes effect. */
const LINES = 2;

/** Kept as long as the directory is open. */
export interface WriteMemory {
  /** A line was cut in a transaction: perhaps by it. */
  transactionsFailed: boolean;
  /** Changes of a batch, as the last write found that the server takes them; absent before the first. */
  size?: number;
}

/** In the order of the changes. */
export async function* writeChanges(
  options: LdapOptions,
  servers: LdapServers,
  changes: AsyncIterable<DirectoryChange>,
  memory: WriteMemory,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  const writing = new Writing(options, servers, memory, signal);
  const underWay: Promise<WriteOutcome[]>[] = [];
  try {
    for await (const batch of batches(changes, () => writing.size)) {
      if (underWay.length === LINES) yield* await underWay.shift()!;
      underWay.push(writing.begin(batch));
    }
    while (underWay.length > 0) yield* await underWay.shift()!;
  } finally {
    writing.close();
    // Whoever stops early may do so while a line is being opened.
    await Promise.allSettled(underWay);
    writing.close();
  }
}

async function* batches(
  changes: AsyncIterable<DirectoryChange>,
  size: () => number,
): AsyncGenerator<DirectoryChange[]> {
  let batch: DirectoryChange[] = [];
  for await (const change of changes) {
    batch.push(change);
    // What others lie below is there before them.
    if (batch.length < size() && change.kind !== 'container') continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Batches of one write: begun in their order, they take effect in that order. */
class Writing {
  /** Of the next batch. */
  size: number;
  readonly #lines: (Promise<Line> | undefined)[] = [];
  #open: Line[] = [];
  #batches = 0;
  #begun = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly options: LdapOptions,
    private readonly servers: LdapServers,
    private readonly memory: WriteMemory,
    private readonly signal: AbortSignal,
  ) {
    this.size = firstBatchSize(memory.size);
  }

  begin(batch: DirectoryChange[]): Promise<WriteOutcome[]> {
    const before = this.#last;
    const outcomes = this.#write(
      batch,
      before.then(() => {}),
    );
    this.#last = outcomes;
    // It is told when it is waited for.
    outcomes.catch(() => {});
    return outcomes;
  }

  close(): void {
    for (const { writer } of this.#open) writer.close();
  }

  async #write(batch: DirectoryChange[], before: Promise<void>): Promise<WriteOutcome[]> {
    before.catch(() => {});
    const { transactions = 'fill' } = this.options.target ?? {};
    const isMany = this.#begun >= FILL_AFTER || batch.length > FILL_AFTER;
    const isWanted = transactions === 'always' || (transactions === 'fill' && isMany);
    this.#begun += batch.length;
    // Most writes have nothing to say, and need no line.
    const { writer, offersTransactions } = await this.#line(isWanted);
    let beganMs = 0;
    const turn = async () => {
      await before;
      beganMs ||= performance.now();
    };
    const outcomes = await writeBatch(writer, batch, {
      memory: offersTransactions && isWanted ? this.memory : null,
      turn,
    });
    this.size = nextBatchSize(this.size, batch.length, performance.now() - beganMs);
    this.memory.size = this.size;
    return outcomes;
  }

  /** Without transactions a second one would be of no use. Of batches that follow each other each has another. */
  async #line(isWanted: boolean): Promise<Line> {
    const first = await (this.#lines[0] ??= this.#opened(() => this.servers.open(this.signal)));
    const isUseful = isWanted && first.offersTransactions && !this.memory.transactionsFailed;
    const at = isUseful ? this.#batches++ % LINES : 0;
    if (at === 0) return first;
    return (this.#lines[at] ??= this.#opened(() => this.#beside(first.writer.session)));
  }

  #beside(session: Session): Promise<Session> {
    return this.servers.openBeside(session, this.signal);
  }

  async #opened(open: () => Promise<Session>): Promise<Line> {
    const session = await open();
    const line = await openLine(session, this.options, () => this.#beside(session), this.signal);
    this.#open.push(line);
    return line;
  }
}

interface Line {
  writer: EntryWriter;
  offersTransactions: boolean;
}

async function openLine(
  session: Session,
  options: LdapOptions,
  openAnother: () => Promise<Session>,
  signal: AbortSignal,
): Promise<Line> {
  try {
    const dse = await readRootDse(session, signal);
    const schema = await readSchema(session, dse, signal);
    const writer = new EntryWriter({ session, options, schema, signal, openAnother });
    await writer.requireContainer();
    return { writer, offersTransactions: dse.extensions.has(TRANSACTIONS) };
  } catch (error) {
    session.close();
    throw error;
  }
}

interface Together {
  /** null: no transactions. */
  memory: WriteMemory | null;
  /** Resolves when all batches before have taken effect. */
  turn(): Promise<void>;
}

async function writeBatch(
  writer: EntryWriter,
  changes: DirectoryChange[],
  { memory, turn }: Together,
): Promise<WriteOutcome[]> {
  // What stands there is looked at when it is as it will be; what is simply made needs no look.
  if (changes.some(({ action, place }) => action === 'remove' || place !== undefined)) await turn();
  const drafts = await pipelined(changes, (change) => writer.draft(change));
  const outcomes: WriteOutcome[] = [];
  for (const { deed, run } of runsOf(drafts)) {
    const mayBeTogether = memory !== null && deed !== 'rename' && deed !== 'large';
    const isTogether = mayBeTogether && (await together(writer, run, { memory, turn }));
    await turn();
    // There are many: their anchors are left open, and learnt in one search (`places`).
    if (isTogether) outcomes.push(...run.map((draft) => draft.outcome ?? done(draft)));
    else {
      const alone =
        deed === 'rename' ? carryOutRenames(writer, run) : pipelined(run, (draft) => writer.carryOut(draft));
      outcomes.push(...(await writer.withAnchors(await alone)));
    }
  }
  return outcomes;
}

/** True: all took effect. */
async function together(
  { session, signal }: EntryWriter,
  drafts: Draft[],
  { memory, turn }: { memory: WriteMemory; turn(): Promise<void> },
): Promise<boolean> {
  const operations = drafts.flatMap((draft) => (draft.outcome === null ? draft.operations : []));
  if (memory.transactionsFailed || operations.length < LEAST_TOGETHER) return false;
  let failedBefore = false;
  const own = () =>
    turn().catch((error) => {
      failedBefore = true;
      throw error;
    });
  try {
    return await inTransaction(session, operations, signal, own);
  } catch (error) {
    if (!signal.aborted && !failedBefore) memory.transactionsFailed = true;
    throw error;
  }
}

/**
 * In their order; removals and renames end before others begin, which may want the names that become free, and members are
 * there before their groups. And slapd 2.5 crashes in a transaction that moves entries, and refuses one that renames an entry and changes it.
 */
function runsOf(drafts: Draft[]): { deed: Deed; run: Draft[] }[] {
  const runs: { deed: Deed; run: Draft[] }[] = [];
  for (const draft of drafts) {
    const deed = deedOf(draft);
    const last = runs.at(-1);
    if (last?.deed === deed) last.run.push(draft);
    else runs.push({ deed, run: [draft] });
  }
  return runs;
}

type Deed = 'put' | 'put group' | 'remove' | 'rename' | 'large';

function deedOf({ change, operations }: Draft): Deed {
  if (operations.some(({ type }) => type === 'rename')) return 'rename';
  if (operations.some(isLarge)) return 'large';
  return change.action === 'put' && change.kind === 'group' ? 'put group' : change.action;
}

function done({ change, place }: Draft): WriteOutcome {
  return { id: change.id, result: 'written', ...(place !== null && { place }) };
}
