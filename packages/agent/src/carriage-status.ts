/** What `dirpost status` says of the way of message files: what cannot be sent, what came back, what cannot be collected. */
import type { OutgoingSummary, PostofficeName, Transport } from '@dirpost/core';
import type { FailedMessage } from './bounce-words.ts';
import type { PeerBounces } from './bounces.ts';
import type { CollectFailure, Uncollected } from './collect-failures.ts';

/** Message files for one peer that no transport has taken yet. */
export interface Unsent {
  messages: number;
  oldestMs: number | null;
  attempts: number;
  nextAttemptMs: number | null;
  lastError: string | null;
}

/** Message files that came back or were refused, of which at most 20 are kept; and what was said of the newest. */
export interface Bounced
  extends Pick<FailedMessage, 'recipient' | 'status' | 'diagnostic' | 'isTooLarge' | 'neededBytes' | 'isRefused'> {
  messages: number;
  lastMs: number;
}

/** A transport that could not be asked for what has arrived, not even at the last attempt. */
export interface UncollectedTransport extends CollectFailure {
  transport: string;
}

/** `waiting`: all that was not delivered. */
export function unsentTo(waiting: OutgoingSummary[], to: PostofficeName): Unsent {
  const own = waiting.filter((message) => message.to === to);
  const tried = own.filter(({ lastError }) => lastError !== null);
  return {
    messages: own.length,
    oldestMs: own[0]?.createdMs ?? null,
    attempts: Math.max(0, ...tried.map(({ attempts }) => attempts)),
    nextAttemptMs: tried.length === 0 ? null : Math.min(...tried.map(({ nextAttemptMs }) => nextAttemptMs)),
    lastError: tried[0]?.lastError ?? null,
  };
}

/** null: nothing came back, or it was forgotten. */
export function bouncedOf(bounces: PeerBounces | undefined): Bounced | null {
  const newest = bounces?.failed.at(-1);
  if (newest === undefined) return null;
  const { recipient, status, diagnostic, isTooLarge, neededBytes, isRefused, atMs } = newest;
  const more = { ...(neededBytes !== undefined && { neededBytes }), ...(isRefused && { isRefused }) };
  return { messages: bounces!.failed.length, lastMs: atMs, recipient, status, diagnostic, isTooLarge, ...more };
}

/** One that is not configured any more is nobody's trouble. */
export function uncollectedFrom(inbound: Pick<Transport, 'name'>[], failures: Uncollected): UncollectedTransport[] {
  return inbound.flatMap(({ name }) => {
    const failure = failures[name];
    return failure === undefined ? [] : [{ transport: name, ...failure }];
  });
}
