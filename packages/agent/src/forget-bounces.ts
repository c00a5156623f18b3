/**
 * T3, last step of a message file: what it says of mails that came back (bounces.ts). Its sender has what it
 * acknowledges, by whatever way that went, and can be reached by mail again where it went by mail.
 */
import type { DispatchOutcome, MessageHead, PostofficeName, ProcessOutcome } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';

export interface Processed {
  from: PostofficeName;
  head: MessageHead;
  /** null: an enrolment or an announcement. */
  verdict: DispatchOutcome['verdict'] | ProcessOutcome['verdict'] | null;
}

/** Of messages that say nothing new, or come from a life that is over: they may be old. */
const OLD: ReadonlySet<Processed['verdict']> = new Set<Processed['verdict']>([
  'repeat',
  'superseded',
  'rolled-back',
  'unmatched',
  'ignored',
  'not-applicable',
  'stopped',
]);

export async function forgetBounces(postoffice: Postoffice, processed: Processed): Promise<void> {
  const { bounces, server } = postoffice;
  const { from, head, verdict } = processed;
  if (bounces === undefined || OLD.has(verdict)) return;
  if (head.kind === 'update') {
    await bounces.acknowledged(from, 'exchange', head.receipt.newest);
  } else if (head.kind !== 'enrolment' && head.kind !== 'announcement' && head.cursor !== null) {
    const cursor = server?.cookies.open(head.cursor, from) ?? null;
    if (cursor !== null) await bounces.acknowledged(from, 'update', cursor.number);
  }
}
