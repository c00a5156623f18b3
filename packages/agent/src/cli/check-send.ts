/**
 * `dirpost check --send`: something goes through by mail, and comes back. A requestor sends its server an ordinary exchange,
 * which is always answered by an update, the way that it came. Nobody answers a server that asks: it sends a message file to
 * its own address, which shows that its mails go out and that its mailbox gets them; whether a branch gets them the branch
 * finds with the same command.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirpostError, loadOwn, stampOfExchange, type Transport } from '@dirpost/core';
import { dispatch } from '../dispatch.ts';
import type { Postoffice } from '../postoffice.ts';
import { Routes } from '../routes.ts';
import { sendOutgoing, submit } from '../send.ts';
import type { Finding } from './findings.ts';
import type { Invocation, Turn } from './command.ts';

const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 1_000;
const what = 'mail, sent';

export async function sendThrough(
  call: Invocation,
  turn: Turn,
  postoffice: Postoffice,
  waitMs: number,
): Promise<Finding[]> {
  const mail = postoffice.inbound.find(({ name }) => name === 'mail');
  if (mail === undefined) {
    const mend = 'Write it into the configuration: docs/mail.md';
    return [{ what, result: 'fault', text: 'there is no transports.mail', mend }];
  }
  try {
    if (postoffice.server !== null) return [await sendToItself(call, turn, postoffice, mail, waitMs)];
    return [await sendToServer(call, turn, mail, waitMs)];
  } catch (error) {
    if (!(error instanceof DirpostError) || call.signal.aborted) throw error;
    return [{ what, result: 'fault', text: error.message, ...(error.hint === undefined ? {} : { mend: error.hint }) }];
  }
}

async function sendToServer({ signal }: Invocation, turn: Turn, mail: Transport, waitMs: number): Promise<Finding> {
  const byMail: Turn = (step) =>
    turn((here) => step({ ...here, routes: new Routes(here.store, () => [mail], false), inbound: [mail] }));
  const startedMs = Date.now();
  const { submitted, stamp, sent, server } = await byMail(async (here) => {
    const exchange = await submit(here);
    const expected = exchange === null ? '' : await stampOfNewest(here, exchange.number);
    const { server: name } = here.requestor;
    return { server: name, submitted: exchange, stamp: expected, sent: await sendOutgoing(here, signal, true) };
  });
  if (submitted === null) {
    const mend = 'See what was said of it above; then try again.';
    return { what, result: 'fault', text: `no exchange could be composed for ${server}`, mend };
  }
  const { number } = submitted;
  if (sent.failed > 0) {
    return { what, result: 'fault', text: `exchange ${number} could not be sent`, mend: 'The reason stands above.' };
  }
  const outMs = Date.now() - startedMs;
  const out = `exchange ${number} went out in ${seconds(outMs)}`;
  const isAnswered = async (here: Postoffice): Promise<boolean> => {
    await dispatch(here, { signal });
    const own = await here.store.read(loadOwn);
    // An answer to an earlier exchange does not count; one to a later one, of an agent that goes on meanwhile, does.
    return own.stamp === stamp || (own.number > number && own.unanswered === 0);
  };
  if (await comesTrue(() => byMail(isAnswered), startedMs + outMs + waitMs, signal)) {
    const back = seconds(Date.now() - startedMs - outMs);
    return { what, result: 'ok', text: `${out}, and ${server} answered after ${back}` };
  }
  return {
    what,
    result: 'fault',
    text: `${out}; ${server} has not answered within ${seconds(waitMs)}`,
    mend: 'Does dirpost run there, and has it mail? Look into junk at both ends, and at `dirpost queue` for mails that came back; then at what has to be allowed, below. An answer that comes later is taken all the same.',
  };
}

async function sendToItself(
  { signal }: Invocation,
  turn: Turn,
  postoffice: Postoffice,
  mail: Transport,
  waitMs: number,
): Promise<Finding> {
  const { probes, name } = postoffice;
  if (probes === undefined) throw new DirpostError('wrong-use', 'This postoffice was opened without mail.');
  const startedMs = Date.now();
  const probe = await probes.make(postoffice);
  try {
    await mail.deliver({ id: probe.id, from: name, to: name, bytes: probe.bytes }, signal);
    const outMs = Date.now() - startedMs;
    const out = `a message file to the own address went out in ${seconds(outMs)}`;
    const isBack = async (here: Postoffice): Promise<boolean> => {
      await dispatch(here, { signal });
      return probes.isBack(probe.id);
    };
    if (await comesTrue(() => turn(isBack), startedMs + outMs + waitMs, signal)) {
      const back = seconds(Date.now() - startedMs - outMs);
      return { what, result: 'ok', text: `${out}, and was in the mailbox after ${back}` };
    }
    const mend =
      'Look for it in the mailbox and its junk, and at `dirpost queue` for mails that came back; then at what has to be allowed, below.';
    return { what, result: 'fault', text: `${out}, and did not arrive within ${seconds(waitMs)}`, mend };
  } finally {
    probes.forget(probe.id);
  }
}

/** What the server calls the exchange once it has processed it. */
async function stampOfNewest({ store, requestor }: Postoffice, number: number): Promise<string> {
  return store.read(async (tx) => {
    const { incarnation } = await loadOwn(tx);
    const parts = (await tx.outgoing({ to: requestor.server, kind: 'exchange' })).filter(
      (one) => one.number === number,
    );
    const hashes: string[] = [];
    for (const { id } of parts.toSorted((a, b) => a.part - b.part)) {
      const payload = (await tx.outgoingPayload(id))!;
      hashes.push(createHash('sha256').update(payload).digest('hex'));
    }
    return stampOfExchange(incarnation, hashes);
  });
}

/** Looks more and more rarely; once at least. */
async function comesTrue(look: () => Promise<boolean>, untilMs: number, signal: AbortSignal): Promise<boolean> {
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LAST_POLL_MS)) {
    if (await look()) return true;
    if (Date.now() >= untilMs) return false;
    await sleep(pollMs, undefined, { signal });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
