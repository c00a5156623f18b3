/**
 * T1 send: compose the exchange (submission, request, verification due) into the outbox, then seal what the outbox
 * holds and hand it to a transport. Composing is one transaction; sealing and sending come after it and can be repeated.
 */
import {
  composeExchange,
  DirpostError,
  isDirpostError,
  loadOwn,
  type OutgoingSummary,
  type Submitted,
} from '@dirpost/core';
import { makeReport } from './directory-state.ts';
import { counted } from './events.ts';
import { enrolmentDueMs, repeatEnrolment } from './joining/enrol.ts';
import type { Postoffice } from './postoffice.ts';

/** Above this a transaction is taken off the main thread. */
const LARGE_CHANGES = 1_000;

/** null: everything has to be submitted, and that waits until all directories were read completely (collect.ts); or joining is not finished. */
export async function submit(postoffice: Postoffice): Promise<Submitted | null> {
  if (await repeatEnrolment(postoffice)) return null;
  const { requestor } = postoffice;
  let submitted: Submitted;
  try {
    submitted = await compose(postoffice);
  } catch (error) {
    if (!isDirpostError(error, 'directory-incomplete')) throw error;
    postoffice.tell({ time: 'T1', level: 'warning', text: `no exchange was composed: ${error.message}` });
    return null;
  }
  const what = submitted.full
    ? `everything (${counted(submitted.changes, 'entry')})`
    : counted(submitted.changes, 'change');
  const parts = submitted.parts > 1 ? ` in ${submitted.parts} parts` : '';
  const text = `exchange ${submitted.number} to ${requestor.server}: ${what} up to seq ${submitted.to.seq}${parts}`;
  postoffice.tell({ time: 'T1', level: 'info', text, details: { ...submitted } });
  return submitted;
}

async function compose(postoffice: Postoffice): Promise<Submitted> {
  const { store, requestor, publishing, completeReads } = postoffice;
  const waiting = await store.read(async (tx) => {
    const own = await loadOwn(tx);
    return own.sendFull ? own.live : own.seq - own.accepted;
  });
  const directories = publishing.map(({ directory }) => directory.name);
  return store.transaction(
    async (tx) => {
      const { incarnation } = await loadOwn(tx);
      const certified = completeReads.covers(directories, incarnation);
      return composeExchange(tx, requestor, await makeReport(tx, postoffice), certified);
    },
    { large: waiting > LARGE_CHANGES },
  );
}

/** Unless the newest exchange was answered, or is young enough to be waited for. */
export async function exchangeIsDue(postoffice: Postoffice): Promise<boolean> {
  const dueMs = await exchangeDueMs(postoffice);
  return dueMs !== null && dueMs <= postoffice.clock.now();
}

/** When the next exchange is due because of the last one, apart from any schedule; null: that one is answered. */
export async function exchangeDueMs(postoffice: Postoffice): Promise<number | null> {
  const { store, clock, retry } = postoffice;
  const enrolmentMs = await enrolmentDueMs(postoffice);
  if (enrolmentMs !== undefined) return enrolmentMs;
  const own = await store.read(loadOwn);
  const nowMs = clock.now();
  if (own.stopped !== null) return null;
  if (own.exchangeMs === null || own.request !== 'changes' || own.sendFull) return nowMs;
  if (own.unanswered === 0) return null;
  // The clock went back meanwhile.
  if (own.exchangeMs > nowMs) return nowMs;
  return own.exchangeMs + doubling(retry.exchangeAfterMs, own.unanswered - 1, retry.exchangeAtMostMs);
}

/**
 * When the outbox is to be looked at again; null: it is empty. A peer that was tried and failed is left alone until its
 * next try, with all that waits for it.
 */
export async function sendingDueMs({ store, clock, retry }: Postoffice): Promise<number | null> {
  const nowMs = clock.now();
  const waiting = await store.read((tx) => tx.outgoing({ undelivered: true }));
  const peers = new Map<string, number>();
  for (const message of waiting) {
    const tryMs = hasToWait(message, nowMs, retry.deliverAtMostMs) ? message.nextAttemptMs : nowMs;
    peers.set(message.to, Math.max(tryMs, peers.get(message.to) ?? 0));
  }
  return peers.size === 0 ? null : Math.min(...peers.values());
}

function doubling(firstMs: number, times: number, mostMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(Math.max(times, 0), 30), mostMs);
}

export interface Sent {
  messages: number;
  bytes: number;
  failed: number;
}

/**
 * Everything in the outbox that is due, or all of it `now`. A peer whose transports all fail is tried again later and
 * holds up nobody.
 */
export async function sendOutgoing(postoffice: Postoffice, signal: AbortSignal, now = false): Promise<Sent> {
  const { store, clock, retry } = postoffice;
  const sent: Sent = { messages: 0, bytes: 0, failed: 0 };
  const unreachable = new Set<string>();
  const tried = new Tried(postoffice);
  const waiting = await store.read((tx) => tx.outgoing({ undelivered: true }));
  try {
    for (const message of waiting) {
      signal.throwIfAborted();
      if (unreachable.has(message.to)) continue;
      if (!now && hasToWait(message, clock.now(), retry.deliverAtMostMs)) continue;
      const delivered = await sealAndDeliver(postoffice, message, signal);
      // Gone meanwhile: a newer message contains what it said.
      if (delivered === null) continue;
      if (typeof delivered === 'number') {
        sent.messages++;
        sent.bytes += delivered;
      } else {
        sent.failed++;
        unreachable.add(message.to);
        tellFailed(postoffice, message, delivered);
      }
      await tried.add(message, typeof delivered === 'number' ? null : delivered.problem);
    }
  } finally {
    await tried.settle();
  }
  await dropStale(postoffice);
  return sent;
}

interface Failure {
  problem: string;
}

/** The octets that some transport has durably; why none has; null for a message that is not to be sent any more. */
async function sealAndDeliver(
  postoffice: Postoffice,
  message: OutgoingSummary,
  signal: AbortSignal,
): Promise<number | Failure | null> {
  try {
    const bytes = await sealed(postoffice, message);
    if (bytes === null) return null;
    const delivered = await deliver(postoffice, message, bytes, signal);
    // So that a repeat sends the same octets, and an administrator can carry the file himself.
    if (typeof delivered !== 'number') await postoffice.spool.put('outgoing', fileName(message.id), bytes);
    return delivered;
  } catch (error) {
    // A peer whose keys are missing must not hold up the others; a full disk is nobody's fault but ours.
    if (!(error instanceof DirpostError) || error.code === 'disk-full' || signal.aborted) throw error;
    return { problem: error.hint === undefined ? error.message : `${error.message} ${error.hint}` };
  }
}

function tellFailed(postoffice: Postoffice, message: OutgoingSummary, { problem }: Failure): void {
  const what = message.kind === 'enrolment' ? 'the enrolment' : `${message.kind} ${message.number}`;
  const text = `${what} to ${message.to} could not be sent, and will be tried again: ${problem}`;
  postoffice.tell({ time: 'T1', level: 'warning', text, details: { id: message.id, to: message.to } });
}

/** No wait is longer than the longest: a time beyond that was written before the clock went back. */
function hasToWait({ nextAttemptMs }: OutgoingSummary, nowMs: number, mostMs: number): boolean {
  return nextAttemptMs > nowMs && nextAttemptMs - nowMs <= mostMs;
}

export function fileName(id: string): string {
  return `${id}.dpm`;
}

/** One that could not be delivered before lies sealed in the spool. */
async function sealed(postoffice: Postoffice, message: OutgoingSummary): Promise<Uint8Array | null> {
  const { store, spool, sealer } = postoffice;
  if (message.attempts > 0) {
    const queued = await spool.list('outgoing');
    const name = fileName(message.id);
    if (queued.some((file) => file.name === name)) return spool.read('outgoing', name);
  }
  const payload = await store.read((tx) => tx.outgoingPayload(message.id));
  if (payload === undefined) return null;
  const { id, to, forIncarnation, createdMs } = message;
  return sealer.seal({ id, from: postoffice.name, to, forIncarnation, createdMs }, payload);
}

async function deliver(
  postoffice: Postoffice,
  message: OutgoingSummary,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<number | Failure> {
  const { routes, name } = postoffice;
  const problems: string[] = [];
  for (const transport of await routes.to(message.to)) {
    if (bytes.length > transport.maxMessageBytes) {
      problems.push(
        `${transport.name} takes at most ${transport.maxMessageBytes} bytes; this message file has ${bytes.length}.`,
      );
      continue;
    }
    try {
      await transport.deliver({ id: message.id, from: name, to: message.to, bytes }, signal);
      tellRoute(postoffice, message, transport.name, problems);
      return bytes.length;
    } catch (error) {
      if (!(error instanceof DirpostError) || signal.aborted) throw error;
      problems.push(`${transport.name}: ${error.message}${error.hint === undefined ? '' : ` ${error.hint}`}`);
    }
  }
  return { problem: problems.join(' ') || `No transport to ${message.to} is configured.` };
}

/** Another way than the preferred one was taken, or the preferred one works again. */
function tellRoute(postoffice: Postoffice, { to }: OutgoingSummary, transport: string, problems: string[]): void {
  const news = postoffice.routes.taken(to, transport);
  if (news === null) return;
  const why = problems.length > 0 ? `: ${problems.join(' ')}` : '';
  const text = `message files to ${to} go by ${transport} instead of ${news}${why}`;
  postoffice.tell({ time: 'T1', level: problems.length > 0 ? 'warning' : 'info', text, details: { to, transport } });
}

const SETTLED_TOGETHER = 50;

/**
 * What was tried, settled together: a crash before that sends again, which changes nothing. What is delivered is done
 * with, but for the parts of a larger message: they are kept until it is acknowledged.
 */
class Tried {
  readonly #postoffice: Postoffice;
  #messages: { message: OutgoingSummary; problem: string | null }[] = [];

  constructor(postoffice: Postoffice) {
    this.#postoffice = postoffice;
  }

  async add(message: OutgoingSummary, problem: string | null): Promise<void> {
    this.#messages.push({ message, problem });
    if (this.#messages.length >= SETTLED_TOGETHER) await this.settle();
  }

  async settle(): Promise<void> {
    const tried = this.#messages;
    if (tried.length === 0) return;
    this.#messages = [];
    const { store, spool, clock, retry } = this.#postoffice;
    await store.transaction(async (tx) => {
      const nowMs = clock.now();
      for (const { message, problem } of tried) {
        const attempts = message.attempts + 1;
        if (problem !== null) {
          const waitMs = doubling(retry.deliverAfterMs, attempts - 1, retry.deliverAtMostMs);
          await tx.updateOutgoing(message.id, { attempts, nextAttemptMs: nowMs + waitMs, lastError: problem });
        } else if (message.parts > 1) {
          await tx.updateOutgoing(message.id, { attempts, deliveredMs: nowMs, lastError: null });
        } else {
          await tx.removeOutgoing([message.id]);
        }
      }
    });
    for (const { message, problem } of tried) {
      if (problem === null && message.attempts > 0) await spool.remove('outgoing', fileName(message.id));
    }
  }
}

/** Sealed files of messages that a newer one has replaced. */
async function dropStale({ store, spool }: Postoffice): Promise<void> {
  const queued = await spool.list('outgoing');
  if (queued.length === 0) return;
  const waiting = new Set((await store.read((tx) => tx.outgoing({ undelivered: true }))).map(({ id }) => fileName(id)));
  for (const { name } of queued) if (!waiting.has(name)) await spool.remove('outgoing', name);
}
