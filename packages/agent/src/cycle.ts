/**
 * The four times put together, as the agent on its schedule and the commands `sync` and `dispatch` both run them:
 *
 *   collectAndSend  T0, T1        dispatchAll  T2, T3, with the server's own requestor        answerWhatIsDue  T0, T1 again
 */
import type { Submitted } from '@dirpost/core';
import { type Collected, collect } from './collect.ts';
import { addSent, catchUpOwn, type Dispatched, dispatch, type DispatchOptions } from './dispatch.ts';
import type { Progress } from './events.ts';
import type { Postoffice } from './postoffice.ts';
import { exchangeIsDue, type Sent, sendOutgoing, submit } from './send.ts';

export interface CycleOptions {
  signal: AbortSignal;
  progress?: (progress: Progress) => void;
}

export interface Submission {
  collected: Collected[];
  /** null: see send.ts. */
  submitted: Submitted | null;
  sent: Sent;
}

/** `now`: what waits for its next try is sent too. `whole`: everything is read, not only what changed. */
export async function collectAndSend(
  postoffice: Postoffice,
  options: CycleOptions & { now?: boolean; whole?: boolean },
): Promise<Submission> {
  const collected = await collect(postoffice, options);
  const submitted = await submit(postoffice);
  return { collected, submitted, sent: await sendOutgoing(postoffice, options.signal, options.now === true) };
}

export async function dispatchAll(postoffice: Postoffice, options: DispatchOptions): Promise<Dispatched> {
  const total = await dispatch(postoffice, options);
  await catchUpOwn(postoffice, total, { ...options, again: false });
  return total;
}

/**
 * What the server asked for (a full submission, bucket digests), and exchanges that nobody answered, as exchanges of a
 * requestor; null: nothing is due. The server's own requestor is always answered within dispatchAll.
 */
export async function answerWhatIsDue(postoffice: Postoffice, options: CycleOptions): Promise<Submission | null> {
  if (postoffice.server !== null || !(await exchangeIsDue(postoffice))) return null;
  return collectAndSend(postoffice, options);
}

/** Adds to `total`. */
export function addSubmission(total: Sent, submission: Submission | null): void {
  if (submission !== null) addSent(total, submission.sent);
}
