/**
 * `dirpost sync`: a whole cycle now. On a requestor it waits for the server's answer, for a while; an agent in which it
 * runs goes on with its own work meanwhile, and may be the one who takes the answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DirpostError, loadOwn } from '@dirpost/core';
import { conflictWords, countOpenConflicts } from '../both/conflicts.ts';
import { collectAndSend } from '../cycle.ts';
import { addDispatched, catchUpOwn, type Dispatched, dispatch } from '../dispatch.ts';
import { loadEnrolment } from '../joining/enrolment-record.ts';
import type { Postoffice } from '../postoffice.ts';
import { EXIT, type ExitCode, type Invocation, type Turn, withTurns } from './command.ts';
import { counted } from '../events.ts';
import { heldHere, heldLines, isHeld } from '../held.ts';
import { removedDirectories, removedLines } from '../removed-directories.ts';
import { bytes } from './screen.ts';

const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 1_000;

export async function sync(call: Invocation, options: { wait: string; whole?: boolean }): Promise<ExitCode> {
  const wait = secondsOf(options.wait);
  const whole = options.whole === true;
  return withTurns(call, async (turn, postoffice) => {
    const { screen, signal } = call;
    const progress = screen.progress.bind(screen);
    const { collected, submitted, sent } = await turn(
      (here) => collectAndSend(here, { signal, progress, now: true, whole }),
      whole ? 'sync whole' : 'sync',
    );
    // The server's own requestor is answered within one dispatch, or not at all.
    // Who could not send has nothing to wait for.
    const waitMs = postoffice.server === null && sent.failed === 0 ? wait * 1_000 : 0;
    const arrived = await dispatchUntilAnswered(turn, submitted?.number ?? null, { signal, progress }, waitMs);
    await turn((here) => catchUpOwn(here, arrived, { signal, progress }));
    const own = await postoffice.store.read(loadOwn);
    const answered = own.answeredMs !== null && own.unanswered === 0;
    const total = { messages: sent.messages + arrived.sent.messages, bytes: sent.bytes + arrived.sent.bytes };
    const inStep = own.cursor !== null && own.accepted === own.seq && !own.sendFull && own.request === 'changes';
    const held = await postoffice.store.read((tx) => heldHere(tx, postoffice));
    const conflicts = await postoffice.store.read(countOpenConflicts);
    const isRefused = (await postoffice.store.read(loadEnrolment))?.state === 'refused';
    const removed = await postoffice.store.read((tx) => removedDirectories(tx, postoffice));
    const came = { collected, submitted, sent: total, dispatched: arrived, answered, inStep, held };
    screen.data({ ...came, removedDirectories: removed, conflicts });
    if (arrived.corrupt > 0)
      screen.line(`${counted(arrived.corrupt, 'message file')} could not be taken; see: dirpost queue`);
    screen.line();
    screen.line(
      `${counted(total.messages, 'message file')} sent (${bytes(total.bytes)}), ${arrived.collected} collected.`,
    );
    const whom = postoffice.server === null ? `with ${postoffice.requestor.server}` : 'with what was collected';
    if (answered && inStep) screen.line(`In step ${whom}: digests agree.`);
    else if (answered) screen.line('Answered; the next sync goes on from here.');
    else if (!isRefused)
      screen.line(`No answer of ${postoffice.requestor.server} yet. It comes with a later sync or dispatch.`);
    for (const line of [...heldLines(held), ...removed.flatMap(removedLines)]) screen.line(line);
    if (conflicts > 0) screen.line(conflictWords(conflicts));
    const failed =
      isRefused ||
      own.stopped !== null ||
      collected.some(({ problem }) => problem !== null) ||
      sent.failed + arrived.sent.failed + arrived.unwritten + arrived.corrupt > 0;
    if (failed) return EXIT.failed;
    return isHeld(held) ? EXIT.held : EXIT.done;
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
  turn: Turn,
  exchange: number | null,
  options: { signal: AbortSignal; progress: (progress: { what: string; done: number }) => void },
  waitMs: number,
): Promise<Dispatched> {
  const startedMs = Date.now();
  const total: Dispatched = {
    collected: 0,
    processed: 0,
    corrupt: 0,
    updates: [],
    unwritten: 0,
    sent: { messages: 0, bytes: 0, failed: 0 },
  };
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LAST_POLL_MS)) {
    const { dispatched, isOver } = await turn(async (postoffice) => {
      const came = await dispatch(postoffice, options);
      const own = await postoffice.store.read(loadOwn);
      const isAnswered = own.unanswered === 0 && !(await waitsForParts(postoffice));
      return { dispatched: came, isOver: own.stopped !== null || isAnswered };
    }, 'answer');
    addDispatched(total, dispatched);
    if (isOver) return total;
    if (Date.now() - startedMs >= waitMs) return total;
    const awaited = exchange === null ? 'an answer' : `the answer to exchange ${exchange}`;
    options.progress({ what: `waiting for ${awaited}; polls`, done: total.collected });
    await sleep(pollMs, undefined, { signal: options.signal });
  }
}

async function waitsForParts(postoffice: Postoffice): Promise<boolean> {
  const parts = await postoffice.store.read((tx) => tx.parts(postoffice.requestor.server, 'update'));
  return parts.length > 0;
}
