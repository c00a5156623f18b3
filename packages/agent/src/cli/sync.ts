/** `dirpost sync`: a whole cycle now. On a requestor it waits for the server's answer, for a while. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DirpostError, loadOwn } from '@dirpost/core';
import { collect } from '../collect.ts';
import { type Dispatched, dispatch } from '../dispatch.ts';
import { type Sent, sendOutgoing, submit } from '../send.ts';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { bytes } from './screen.ts';

const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 1_000;

export async function sync(call: Invocation, options: { wait: string }): Promise<ExitCode> {
  const waitMs = secondsOf(options.wait) * 1_000;
  return withAgent(call, {}, async ({ postoffice }) => {
    const { screen, signal } = call;
    const progress = screen.progress.bind(screen);
    const collected = await collect(postoffice, { signal, progress });
    const submitted = await submit(postoffice);
    const sent = await sendOutgoing(postoffice, signal);
    const arrived = await dispatchUntilAnswered(postoffice, submitted.number, { signal, progress }, waitMs);
    const own = await postoffice.store.read(loadOwn);
    const answered = own.answeredMs !== null && own.unanswered === 0;
    const total = { messages: sent.messages + arrived.sent.messages, bytes: sent.bytes + arrived.sent.bytes };
    const inStep = own.cursor !== null && own.accepted === own.seq && !own.sendFull && own.request === 'changes';
    screen.data({ collected, submitted, sent: total, dispatched: arrived, answered, inStep });
    screen.line();
    screen.line(`${total.messages} message files sent (${bytes(total.bytes)}), ${arrived.collected} collected.`);
    if (answered && inStep) screen.line(`In step with ${postoffice.requestor.server}: digests agree.`);
    else if (answered) screen.line('Answered; the next sync goes on from here.');
    else screen.line(`No answer of ${postoffice.requestor.server} yet. It comes with a later sync or dispatch.`);
    const failed = collected.some(({ problem }) => problem !== null) || sent.failed + arrived.sent.failed > 0;
    return failed ? EXIT.failed : EXIT.done;
  });
}

export function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds < 0) {
    throw new DirpostError('wrong-use', `"${text}" is not a number of seconds.`);
  }
  return seconds;
}

/** Polls the transports, more and more slowly, until the newest exchange was answered or the time is over. */
async function dispatchUntilAnswered(
  postoffice: Postoffice,
  exchange: number,
  options: { signal: AbortSignal; progress: (progress: { what: string; done: number }) => void },
  waitMs: number,
): Promise<Dispatched> {
  const startedMs = Date.now();
  const total: Dispatched = {
    collected: 0,
    processed: 0,
    corrupt: 0,
    updates: [],
    sent: { messages: 0, bytes: 0, failed: 0 },
  };
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LAST_POLL_MS)) {
    add(total, await dispatch(postoffice, options));
    const own = await postoffice.store.read(loadOwn);
    if (own.stopped !== null || (own.unanswered === 0 && !(await waitsForParts(postoffice)))) return total;
    if (Date.now() - startedMs >= waitMs) return total;
    options.progress({ what: `waiting for the answer to exchange ${exchange}; polls`, done: total.collected });
    await sleep(pollMs, undefined, { signal: options.signal });
  }
}

async function waitsForParts(postoffice: Postoffice): Promise<boolean> {
  const parts = await postoffice.store.read((tx) => tx.parts(postoffice.requestor.server, 'update'));
  return parts.length > 0;
}

function add(total: Dispatched, more: Dispatched): void {
  total.collected += more.collected;
  total.processed += more.processed;
  total.corrupt += more.corrupt;
  total.updates.push(...more.updates);
  for (const name of Object.keys(total.sent) as (keyof Sent)[]) total.sent[name] += more.sent[name];
}
