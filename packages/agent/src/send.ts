/**
 * T1 send: compose the exchange (submission, request, verification due) into the outbox, then seal what the outbox
 * holds and hand it to a transport. Composing is one transaction; sealing and sending come after it and can be repeated.
 */
import {
  composeExchange,
  DirpostError,
  hasToBeRecut,
  isDirpostError,
  loadOwn,
  type MessageFile,
  type MessageSummary,
  type OutgoingSummary,
  type PostofficeName,
  recutUpdate,
  type Submitted,
  type Transport,
} from '@dirpost/core';
import { announceWhereDue, doubtSilence } from './announcing.ts';
import { makeReport } from './directory-state.ts';
import { counted } from './events.ts';
import { enrolmentDueMs, repeatEnrolment } from './joining/enrol.ts';
import type { Postoffice } from './postoffice.ts';
import { fileName, sealOutgoing } from './seal-outgoing.ts';

/** Above this a transaction is taken off the main thread. */
const LARGE_CHANGES = 1_000;

/** null: everything has to be submitted, and that waits until all directories were read completely (collect.ts); or joining is not finished. */
export async function submit(postoffice: Postoffice): Promise<Submitted | null> {
  if (await repeatEnrolment(postoffice)) return null;
  const { requestor } = postoffice;
  await doubtSilence(postoffice);
  await announceWhereDue(postoffice, requestor.server);
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

/** `firstMs`, doubled so many times, but at most `mostMs`. */
export function doubling(firstMs: number, times: number, mostMs: number): number {
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
  const { store, bounces } = postoffice;
  await bounces?.settled();
  const undelivered = () => store.read((tx) => tx.outgoing({ undelivered: true }));
  const recut = new Set<PostofficeName>();
  const tried = new Tried(postoffice);
  const round: Round = { now, sent: { messages: 0, bytes: 0, failed: 0 }, unreachable: new Set(), recut, tried };
  try {
    await sendThese(postoffice, await undelivered(), round, signal);
    if (recut.size > 0) {
      const again = (await undelivered()).filter(({ to }) => recut.has(to));
      await sendThese(postoffice, again, { ...round, recut: null }, signal);
    }
  } finally {
    await tried.settle();
  }
  await dropStale(postoffice);
  return round.sent;
}

interface Round {
  now: boolean;
  /** Added to. */
  sent: Sent;
  unreachable: Set<PostofficeName>;
  /** Peers for whom something was composed anew, to be sent in a second round; null: in that one. */
  recut: Set<PostofficeName> | null;
  tried: Tried;
}

async function sendThese(
  postoffice: Postoffice,
  messages: OutgoingSummary[],
  { now, sent, unreachable, recut, tried }: Round,
  signal: AbortSignal,
): Promise<void> {
  const { clock, retry } = postoffice;
  for (const message of messages) {
    signal.throwIfAborted();
    if (unreachable.has(message.to) || recut?.has(message.to) === true) continue;
    if (!now && hasToWait(message, clock.now(), retry.deliverAtMostMs)) continue;
    const delivered = await sealAndDeliver(postoffice, message, signal, now);
    // Gone meanwhile: a newer message contains what it said.
    if (delivered === null) continue;
    if (typeof delivered === 'number') {
      sent.messages++;
      sent.bytes += delivered;
      await tried.add(message, null);
    } else if (delivered.tooLarge && recut !== null && (await composedSmaller(postoffice, message))) {
      recut.add(message.to);
    } else {
      sent.failed++;
      unreachable.add(message.to);
      tellFailed(postoffice, message, delivered);
      await tried.add(message, delivered);
    }
  }
}

/** The ways to a peer take less than when this was composed: it is composed anew, or cut anew (rule 11). */
async function composedSmaller(postoffice: Postoffice, message: OutgoingSummary): Promise<boolean> {
  const { store, requestor, server, tell } = postoffice;
  const { kind, number, to } = message;
  if (!(await store.read((tx) => hasToBeRecut(tx, requestor, message)))) return false;
  const details = { to, number };
  const text = `${kind} ${number} to ${to} is larger than what can be sent there now, and is composed anew`;
  try {
    if (kind === 'exchange') {
      tell({ time: 'T1', level: 'info', text, details });
      return (await submit(postoffice)) !== null;
    }
    if (kind !== 'update' || server === null) return false;
    const recut = await store.transaction((tx) => recutUpdate(tx, server, to, number), { large: true });
    const what = recut === null ? 'with the next exchange' : `as update ${recut.number} in ${recut.parts} parts`;
    tell({ time: 'T1', level: 'info', text: `${text} ${what}`, details });
    return true;
  } catch (error) {
    if (!(error instanceof DirpostError) || error.code === 'disk-full') throw error;
    tell({ time: 'T1', level: 'warning', text: `${text}, which failed: ${error.message}`, details });
    return false;
  }
}

interface Failure {
  problem: string;
  /** A transport takes only smaller ones. */
  tooLarge: boolean;
  /** It was told as an error already (bounces.ts), and nothing else failed. */
  isKnown: boolean;
  /** No transport is to be tried before. */
  notBeforeMs: number;
}

/** The octets that some transport has durably; why none has; null for a message that is not to be sent any more. */
async function sealAndDeliver(
  postoffice: Postoffice,
  message: OutgoingSummary,
  signal: AbortSignal,
  now: boolean,
): Promise<number | Failure | null> {
  try {
    const payload = await postoffice.store.read((tx) => tx.outgoingPayload(message.id));
    if (payload === undefined) return null;
    const { id, to } = message;
    const bytes = await sealOutgoing(postoffice, message, payload);
    let about: MessageSummary | undefined;
    const file: MessageFile = {
      id,
      from: postoffice.name,
      to,
      bytes,
      // Only mail says it, and counting takes the payload apart.
      get about() {
        return (about ??= summaryOf(postoffice, message, payload));
      },
    };
    const delivered = await deliver(postoffice, file, signal, now);
    // So that a repeat sends the same octets, and an administrator can carry the file himself.
    if (typeof delivered !== 'number') await postoffice.spool.put('outgoing', fileName(message.id), bytes);
    return delivered;
  } catch (error) {
    // A peer whose keys are missing must not hold up the others; a full disk is nobody's fault but ours.
    if (!(error instanceof DirpostError) || error.code === 'disk-full' || signal.aborted) throw error;
    const problem = error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
    return { problem, tooLarge: false, isKnown: false, notBeforeMs: 0 };
  }
}

/** Above this the changes of an exchange, whose head does not say how many there are, are not counted. */
const COUNTED_PAYLOAD_BYTES = 16 * 1024;

function summaryOf(
  { requestor: { codec } }: Postoffice,
  { kind, number, part, parts }: OutgoingSummary,
  payload: Uint8Array,
): MessageSummary {
  const about = { kind, number, part, parts };
  if (kind === 'exchange') {
    const isSmall = parts === 1 && payload.length <= COUNTED_PAYLOAD_BYTES;
    return { ...about, changes: isSmall ? codec.changes(payload).length : null };
  }
  const head = kind === 'update' ? codec.head(payload) : null;
  return { ...about, changes: head?.kind === 'update' ? head.total : 0 };
}

function tellFailed(postoffice: Postoffice, message: OutgoingSummary, { problem, isKnown }: Failure): void {
  const isNumbered = message.kind !== 'enrolment' && message.kind !== 'announcement';
  const what = isNumbered ? `${message.kind} ${message.number}` : `the ${message.kind}`;
  const text = `${what} to ${message.to} could not be sent, and will be tried again: ${problem}`;
  const details = { id: message.id, to: message.to };
  postoffice.tell({ time: 'T1', level: isKnown ? 'info' : 'warning', text, quotesNoEntry: true, details });
}

/** No wait is longer than the longest: a time beyond that was written before the clock went back. */
function hasToWait({ nextAttemptMs }: OutgoingSummary, nowMs: number, mostMs: number): boolean {
  return nextAttemptMs > nowMs && nextAttemptMs - nowMs <= mostMs;
}

async function deliver(
  postoffice: Postoffice,
  file: MessageFile,
  signal: AbortSignal,
  now: boolean,
): Promise<number | Failure> {
  const { routes, bounces } = postoffice;
  const { to, bytes } = file;
  const problems: string[] = [];
  let tooLarge = false;
  let failed = false;
  let isRefused = false;
  let notBeforeMs = 0;
  for (const transport of await routes.to(to)) {
    const { name } = transport;
    const mostBytes = largestTo(transport, to);
    if (bytes.length > mostBytes) {
      tooLarge = true;
      problems.push(`${name} takes at most ${mostBytes} bytes; this message file has ${bytes.length}.`);
      continue;
    }
    const untilMs = now ? null : ((await bounces?.waitsUntilMs(to, name)) ?? null);
    if (untilMs !== null) {
      notBeforeMs = untilMs;
      problems.push(`${name}: what was sent to ${to} came back (dirpost queue).`);
      continue;
    }
    try {
      await transport.deliver(file, signal);
      await bounces?.delivered(to, name, file.about);
      tellRoute(postoffice, to, name, problems);
      return bytes.length;
    } catch (error) {
      if (!(error instanceof DirpostError) || signal.aborted) throw error;
      problems.push(`${name}: ${error.message}${error.hint === undefined ? '' : ` ${error.hint}`}`);
      // What is refused for good waits like what came back.
      if (bounces !== undefined && (await bounces.refused(file, name, error))) {
        isRefused = true;
        notBeforeMs = (await bounces.waitsUntilMs(to, name)) ?? 0;
      } else failed = true;
      // It has just learnt what that peer takes.
      tooLarge ||= bytes.length > largestTo(transport, to);
    }
  }
  const problem = problems.join(' ') || `No transport to ${to} is configured.`;
  // What failed may work earlier than what waits.
  return { problem, tooLarge, isKnown: isRefused && !failed, notBeforeMs: failed ? 0 : notBeforeMs };
}

/** Octets of a message file. */
export function largestTo(transport: Transport, peer: PostofficeName): number {
  return Math.min(transport.maxMessageBytes, transport.maxMessageBytesTo?.(peer) ?? Infinity);
}

/** Another way than the preferred one was taken, or the preferred one works again. */
function tellRoute(postoffice: Postoffice, to: PostofficeName, transport: string, problems: string[]): void {
  const news = postoffice.routes.taken(to, transport);
  if (news === null) return;
  const why = problems.length > 0 ? `: ${problems.join(' ')}` : '';
  const text = `message files to ${to} go by ${transport} instead of ${news}${why}`;
  const level = problems.length > 0 ? 'warning' : 'info';
  postoffice.tell({ time: 'T1', level, text, quotesNoEntry: true, details: { to, transport } });
}

const SETTLED_TOGETHER = 50;

/**
 * What was tried, settled together: a crash before that sends again, which changes nothing. What is delivered is done
 * with, but for the parts of a larger message: they are kept until it is acknowledged.
 */
class Tried {
  readonly #postoffice: Postoffice;
  #messages: { message: OutgoingSummary; failure: Failure | null }[] = [];

  constructor(postoffice: Postoffice) {
    this.#postoffice = postoffice;
  }

  async add(message: OutgoingSummary, failure: Failure | null): Promise<void> {
    this.#messages.push({ message, failure });
    if (this.#messages.length >= SETTLED_TOGETHER) await this.settle();
  }

  async settle(): Promise<void> {
    const tried = this.#messages;
    if (tried.length === 0) return;
    this.#messages = [];
    const { store, spool, clock, retry } = this.#postoffice;
    await store.transaction(async (tx) => {
      const nowMs = clock.now();
      for (const { message, failure } of tried) {
        const attempts = message.attempts + 1;
        if (failure !== null) {
          const waitMs = doubling(retry.deliverAfterMs, attempts - 1, retry.deliverAtMostMs);
          const nextAttemptMs = Math.max(nowMs + waitMs, failure.notBeforeMs);
          await tx.updateOutgoing(message.id, { attempts, nextAttemptMs, lastError: failure.problem });
        } else if (message.parts > 1) {
          await tx.updateOutgoing(message.id, { attempts, deliveredMs: nowMs, lastError: null });
        } else {
          await tx.removeOutgoing([message.id]);
        }
      }
    });
    for (const { message, failure } of tried) {
      if (failure === null && message.attempts > 0) await spool.remove('outgoing', fileName(message.id));
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
