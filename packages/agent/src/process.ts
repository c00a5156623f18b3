/**
 * T2 process: the server takes one message file of a requestor, and composes what it gets back. The decisions are in
 * core (server.ts); here an opened message becomes a call, and its outcome an event.
 */
import {
  type Arrival,
  EMPTY_DIGEST,
  type Exchange,
  findRequestor,
  type ProcessOutcome,
  processExchange,
  processVerification,
  type ServerContext,
  type Verification,
} from '@dirpost/core';
import { counted } from './events.ts';
import { heldWords } from './held.ts';
import type { Postoffice } from './postoffice.ts';

const LARGE_PAYLOAD_BYTES = 256 * 1024;

export async function processExchangeFile(
  postoffice: Postoffice,
  server: ServerContext,
  arrival: Arrival<Exchange>,
): Promise<ProcessOutcome> {
  const { head } = arrival;
  // A snapshot goes to whoever has nothing yet, however small his own message is.
  const large =
    head.parts > 1 ||
    arrival.payload.length > LARGE_PAYLOAD_BYTES ||
    head.cursor === null ||
    head.request !== 'changes';
  const outcome = await processExchange(postoffice.store, server, arrival, large);
  tellRestored(postoffice, arrival.from, outcome);
  const part = head.parts > 1 ? ` part ${head.part + 1} of ${head.parts}` : '';
  const held = outcome.accepted === 0 ? '' : await heldOf(postoffice, server, arrival.from);
  const text = `exchange ${head.number}${part} from ${arrival.from}: ${describe(outcome, head)}${held}`;
  const unusual = outcome.verdict === 'rolled-back' || outcome.verdict === 'superseded' || held !== '';
  postoffice.tell({
    time: 'T2',
    level: unusual ? 'warning' : 'info',
    text,
    details: { from: arrival.from, number: head.number, ...outcome },
  });
  return outcome;
}

export async function processVerificationFile(
  postoffice: Postoffice,
  server: ServerContext,
  arrival: Arrival<Verification>,
): Promise<ProcessOutcome> {
  const outcome = await processVerification(postoffice.store, server, arrival);
  tellRestored(postoffice, arrival.from, outcome);
  const { refusedCount, writtenUpTo } = arrival.head.report;
  const refused = refusedCount > 0 ? `, ${refusedCount} refused by its directory` : '';
  const text =
    outcome.verdict === 'verified'
      ? `verification from ${arrival.from}: applied update ${arrival.head.answers.number}, written up to seq ${writtenUpTo}${refused}`
      : `verification from ${arrival.from} says nothing new`;
  postoffice.tell({ time: 'T2', level: refusedCount > 0 ? 'warning' : 'info', text, details: { from: arrival.from } });
  return outcome;
}

/** What its changes would do to the lists beyond the limits; told when it brought any. */
async function heldOf({ store }: Postoffice, { holds }: ServerContext, owner: string): Promise<string> {
  const record = await store.read((tx) => findRequestor(tx, owner));
  return heldWords(record?.holding, holds);
}

function tellRestored(postoffice: Postoffice, from: string, { newIncarnation }: ProcessOutcome): void {
  if (newIncarnation === null) return;
  const text = `a message of ${from} shows that the store of this server is an older copy; it goes on as incarnation ${newIncarnation} and catches up by itself`;
  postoffice.tell({ time: 'T2', level: 'warning', text, details: { from, newIncarnation } });
}

function describe({ verdict, accepted, answer }: ProcessOutcome, head: Exchange): string {
  if (verdict === 'waiting') return 'kept until its other parts arrive';
  if (verdict === 'repeat') return 'a repeat; answered with a receipt';
  if (verdict === 'rolled-back') return 'its sender was restored from an older copy; told so';
  if (verdict === 'superseded') return 'its sender is an older copy of that postoffice; told so';
  const gained = accepted === 0 ? 'no changes' : `accepted ${counted(accepted, 'change')}`;
  if (answer === null || answer.mode === 'receipt') return `${gained}; answered with a receipt`;
  if (answer.mode === 'ask-buckets') return `${gained}; its replica differs, asked for bucket digests`;
  if (answer.mode === 'delta' && answer.changes === 0) return `${gained}; nothing new for it`;
  const parts = answer.parts > 1 ? ` in ${answer.parts} parts` : '';
  return `${gained}; answered with ${contentOf(answer, head)}${parts}`;
}

function contentOf(answer: NonNullable<ProcessOutcome['answer']>, { replicaDigest, buckets }: Exchange): string {
  if (answer.mode === 'delta') return counted(answer.changes, 'change');
  const entries = counted(answer.changes, 'entry');
  if (replicaDigest === EMPTY_DIGEST) return `a snapshot of ${entries}`;
  return buckets === null ? `everything anew, ${entries},` : `a repair of ${entries}`;
}
