/**
 * T3 dispatch: take what the transports have, process it into the replica and the directories, send what came of it.
 * On the server this is also where T2 happens: exchanges and verifications go to process.ts, updates stay here.
 *
 *   transports ─▶ spool/incoming ─▶ open ─▶ exchange, verification: process.ts ─▶ outbox
 *                                      └──▶ update: replica, cursor, verification ─▶ outbox ─▶ directories (write.ts)
 *
 * A message file leaves `incoming` only after the transaction that processed it; a crash between the two processes it
 * once more, which changes nothing.
 */
import {
  type DispatchOutcome,
  DirpostError,
  EMPTY_DIGEST,
  type Exchange,
  listFor,
  loadOwn,
  loadServer,
  type MessageHead,
  type ProcessOutcome,
  processUpdate,
  type Update,
  type Verification,
} from '@dirpost/core';
import type { OpenedMessage } from '@dirpost/message';
import {
  announceWhereDue,
  answerOlderKey,
  answerUnreadable,
  noteRecovered,
  receiveAnnouncement,
} from './announcing.ts';
import { forgetBounces } from './forget-bounces.ts';
import { makeReport } from './directory-state.ts';
import { counted, type CycleEvent, type Progress } from './events.ts';
import { heldWords } from './held.ts';
import { acceptEnrolment } from './joining/accept-enrolment.ts';
import { receiveAnswer } from './joining/enrol.ts';
import { openArrived, refuseSender } from './joining/refused-senders.ts';
import type { Postoffice } from './postoffice.ts';
import { processExchangeFile, processVerificationFile } from './process.ts';
import { arrivedBy, receive } from './receive.ts';
import { type Sent, sendOutgoing, submit } from './send.ts';
import type { SpooledFile } from './spool.ts';
import { writeDirectories } from './write.ts';
import { learnAnchors } from './write-differences.ts';

const LARGE_PAYLOAD_BYTES = 256 * 1024;
/** One by one, of message files that one dispatch could not take: more are counted. Each has its note in the spool. */
const MAX_TOLD = 20;
/** Of collecting and processing in one dispatch: whoever never stops sending does not keep it from all else that is due. */
const MAX_ROUNDS = 50;

export interface Dispatched {
  collected: number;
  processed: number;
  corrupt: number;
  updates: DispatchOutcome[];
  /** Directories that could not be written. */
  unwritten: number;
  sent: Sent;
}

export interface DispatchOptions {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
  /** Directories are asked again for entries that they refused. */
  again?: boolean;
}

/**
 * Until nothing more has arrived: the server's own requestor answers within one call. What still comes then waits in the
 * transports for the next one.
 */
export async function dispatch(postoffice: Postoffice, options: DispatchOptions): Promise<Dispatched> {
  const { signal } = options;
  const total: Dispatched = {
    collected: 0,
    processed: 0,
    corrupt: 0,
    updates: [],
    unwritten: 0,
    sent: { messages: 0, bytes: 0, failed: 0 },
  };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const collected = await receive(postoffice, signal);
    const waiting = ownFirst(await postoffice.spool.list('incoming'));
    if (round > 0 && waiting.length === 0) break;
    total.collected += collected;
    const left = await processIncoming(postoffice, waiting, total, options);
    total.unwritten = await writeDirectories(postoffice, round === 0 ? options : { ...options, again: false });
    addSent(total.sent, await sendOutgoing(postoffice, signal));
    await learnAnchors(postoffice, signal);
    if (left > 0) break;
  }
  tellMoreSetAside(postoffice, total.corrupt - MAX_TOLD);
  await postoffice.upkeep.run(postoffice);
  return total;
}

/**
 * The server's own requestor need not wait for its next sync to have what the others sent: it asks at once, in memory.
 * Adds to `total`.
 */
export async function catchUpOwn(postoffice: Postoffice, total: Dispatched, options: DispatchOptions): Promise<void> {
  const { store, server, name } = postoffice;
  if (server === null || listFor(server.lists, name) === undefined) return;
  const behind = await store.read(async (tx) => {
    const { stopped, unanswered, cursor } = await loadOwn(tx);
    const { seq, incarnation } = await loadServer(tx);
    const inStep = unanswered === 0 && cursor?.incarnation === incarnation && cursor.seq === seq;
    return stopped === null && !inStep;
  });
  if (!behind) return;
  await submit(postoffice);
  addSent(total.sent, await sendOutgoing(postoffice, options.signal));
  addDispatched(total, await dispatch(postoffice, options));
}

export function addDispatched(total: Dispatched, more: Dispatched): void {
  total.collected += more.collected;
  total.processed += more.processed;
  total.corrupt += more.corrupt;
  total.unwritten = more.unwritten;
  total.updates.push(...more.updates);
  addSent(total.sent, more.sent);
}

export function addSent(total: Sent, more: Sent): void {
  total.messages += more.messages;
  total.bytes += more.bytes;
  total.failed += more.failed;
}

/** What the server's own requestor says goes out with the answers to all others: else chance decides who has it a cycle later. */
function ownFirst(files: SpooledFile[]): SpooledFile[] {
  const isOwn = ({ name }: SpooledFile) => arrivedBy(name) === 'memory';
  return [...files.filter(isOwn), ...files.filter((file) => !isOwn(file))];
}

/** How many were left for later. */
async function processIncoming(
  postoffice: Postoffice,
  files: SpooledFile[],
  total: Dispatched,
  { signal, progress }: DispatchOptions,
): Promise<number> {
  let left = 0;
  for (const [i, { name }] of files.entries()) {
    signal.throwIfAborted();
    progress?.({ what: 'message files', done: i });
    try {
      await processFile(postoffice, name, total);
      total.processed++;
      await postoffice.spool.move('incoming', name, 'done');
    } catch (error) {
      if (!(error instanceof DirpostError) || error.code === 'disk-full' || error.code === 'stopped') throw error;
      if (error.retry === 'later') {
        left++;
        postoffice.tell({ time: 'T3', level: 'warning', text: `message file ${name} has to wait: ${error.message}` });
        continue;
      }
      total.corrupt++;
      if (error.code === 'message-decrypt') await answerUnreadable(postoffice, String(error.context['from']));
      await setAside(postoffice, name, error, total.corrupt <= MAX_TOLD);
    }
  }
  return left;
}

/** Design rule 6: what cannot be opened is reported and kept. */
async function setAside(postoffice: Postoffice, name: string, error: DirpostError, isTold: boolean): Promise<void> {
  const note = { atMs: postoffice.clock.now(), transport: 'incoming', code: error.code, reason: error.message };
  const kept = await postoffice.spool.move('incoming', name, 'corrupt', note);
  if (!isTold) return;
  const text = `a message file was not taken, and is kept as corrupt/${kept}: ${error.message}`;
  postoffice.tell({ time: 'T3', level: 'error', text, details: { code: error.code, file: kept } });
}

/** Whoever sends what nobody can take fills no log. */
function tellMoreSetAside({ tell }: Postoffice, count: number): void {
  if (count <= 0) return;
  const text = `${counted(count, 'more message file')} ${count === 1 ? 'was' : 'were'} not taken, and kept in corrupt: dirpost queue`;
  tell({ time: 'T3', level: 'error', text, details: { count } });
}

async function processFile(postoffice: Postoffice, name: string, total: Dispatched): Promise<void> {
  const opened = await openArrived(postoffice, await postoffice.spool.read('incoming', name));
  const transport = arrivedBy(name);
  if (transport !== null) await postoffice.routes.arrived(opened.envelope.from, transport);
  const { requestor, server } = postoffice;
  const head = requestor.codec.head(opened.payload);
  const { payload, payloadHash, envelope } = opened;
  const { from } = envelope;
  if (head.kind !== 'announcement') await noteRecovered(postoffice, opened);
  let verdict: DispatchOutcome['verdict'] | ProcessOutcome['verdict'] | null = null;
  if (head.kind === 'enrolment' || opened.enrolment !== undefined) {
    await dispatchEnrolment(postoffice, opened, head);
  } else if (head.kind === 'announcement') {
    if (server === null && from !== requestor.server) throw notFor(opened, `${from} is not the directory server`);
    await receiveAnnouncement(postoffice, opened, head);
  } else if (head.kind === 'update') {
    if (from !== requestor.server) throw notFor(opened, `${from} is not the directory server of this postoffice`);
    const outcome = await dispatchUpdate(postoffice, { from, head, payload, payloadHash });
    total.updates.push(outcome);
    verdict = outcome.verdict;
    await answerOlderKey(postoffice, opened, verdict === 'applied');
  } else if (server === null) {
    throw notFor(opened, 'this postoffice is not a directory server');
  } else if (head.kind === 'exchange') {
    const arrival = { from, head: head satisfies Exchange, payload, payloadHash };
    verdict = (await processExchangeFile(postoffice, server, arrival)).verdict;
    await announceWhereDue(postoffice, from);
    await answerOlderKey(postoffice, opened, verdict === 'processed');
  } else {
    const arrival = { from, head: head satisfies Verification, payload, payloadHash };
    verdict = (await processVerificationFile(postoffice, server, arrival)).verdict;
  }
  await forgetBounces(postoffice, { from, head, verdict });
}

/** What is signed by a key that only an invitation vouches for may be nothing but an enrolment. */
async function dispatchEnrolment(postoffice: Postoffice, opened: OpenedMessage, head: MessageHead): Promise<void> {
  const { from } = opened.envelope;
  if (head.kind !== 'enrolment') {
    await refuseSender(postoffice, from, `${from} has not joined yet, and sent another message than its enrolment.`);
  } else if (postoffice.server !== null) {
    await acceptEnrolment(postoffice, postoffice.server, opened, head);
  } else if (from === postoffice.requestor.server && opened.enrolment === undefined) {
    await receiveAnswer(postoffice, from, head);
  } else {
    throw notFor(opened, 'this postoffice is not a directory server');
  }
}

function notFor({ envelope }: OpenedMessage, why: string): DirpostError {
  const context = { from: envelope.from, id: envelope.id };
  return new DirpostError('message-recipient', `The message of ${envelope.from} is not for here: ${why}.`, { context });
}

async function dispatchUpdate(
  postoffice: Postoffice,
  arrival: { from: string; head: Update; payload: Uint8Array; payloadHash: Uint8Array },
): Promise<DispatchOutcome> {
  const { store, requestor } = postoffice;
  const report = await store.read((tx) => makeReport(tx, postoffice));
  const large = arrival.head.parts > 1 || arrival.payload.length > LARGE_PAYLOAD_BYTES;
  const outcome = await processUpdate(store, requestor, arrival, report, large);
  const { number, part, parts } = arrival.head;
  const which = parts > 1 ? ` part ${part + 1} of ${parts}` : '';
  // A repair may remove what it does not name.
  const changed = outcome.verdict === 'applied' && (outcome.changes > 0 || outcome.mode === 'repair');
  const held = changed ? await heldInReplica(postoffice) : '';
  const level = levelOf(outcome, held);
  const text = `update ${number}${which} from ${arrival.from}: ${describe(outcome, arrival.head)}${held}`;
  postoffice.tell({ time: 'T3', level, text, details: { number, ...outcome } });
  return outcome;
}

function levelOf({ verdict }: DispatchOutcome, held: string): CycleEvent['level'] {
  if (verdict === 'stopped') return 'error';
  return verdict === 'mismatch' || held !== '' ? 'warning' : 'info';
}

/** What updates would do to the directories here beyond the limits. */
async function heldInReplica({ store, requestor }: Postoffice): Promise<string> {
  const { replica } = await store.read(loadOwn);
  return heldWords(replica.holding, requestor.holds);
}

function describe({ verdict, live, ...outcome }: DispatchOutcome, head: Update): string {
  switch (verdict) {
    case 'applied':
      return `${contentOf(outcome, head)}; ${counted(live, 'entry')} in the replica, digests agree`;
    case 'receipt':
      return 'a receipt';
    case 'waiting':
      return 'kept until its other parts arrive';
    case 'asked-for-buckets':
      return 'the server asks for bucket digests; they go with the next exchange';
    case 'not-applicable':
      return 'older than what is here, or for another replica; left out';
    case 'mismatch':
      return 'the digest is not reached; nothing was applied, the next exchange asks for a repair';
    case 'ignored':
      return 'from or for an incarnation that is over; left out';
    case 'new-incarnation':
      return 'the store of this postoffice is an older copy; it goes on as a new incarnation and submits everything';
    case 'stopped':
      return 'this postoffice is stopped: another copy of it lives. If none does: dirpost recover --only-copy';
  }
}

function contentOf({ mode, changes, removals }: Pick<DispatchOutcome, 'mode' | 'changes' | 'removals'>, head: Update) {
  if (mode === 'repair') {
    const what = head.base.digest === EMPTY_DIGEST ? 'snapshot' : 'repair';
    return `${what} of ${counted(changes, 'entry')} applied`;
  }
  if (changes === 0) return 'nothing new';
  return `${counted(changes, 'change')} applied, ${counted(removals, 'removal')} among them`;
}
