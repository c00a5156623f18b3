/**
 * T2: the server's half of the rules (design section 4). An exchange or a verification comes in; what it means for the
 * store, and the answer, are committed in one transaction.
 *
 *   exchange ─▶ was the server restored? (rule 8)
 *            ─▶ judge: process · repeat (rule 4) · rolled back (rules 5, 6) · superseded (rule 7)
 *            ─▶ all parts here? ─▶ accept the submission (accept.ts) ─▶ answer (answer.ts)
 *
 * No order of messages is assumed: each is judged by its incarnation, number and digests alone.
 */
import { createHash } from 'node:crypto';
import { acceptSubmission } from './accept.ts';
import { type Answer, type Answering, answerWithData, answerWithoutData } from './answer.ts';
import type { AnchorHint, Change, Exchange, Heard, PostofficeName, Receipt, Verification } from './change.ts';
import { clashesOf, firstOctets } from './clashes.ts';
import type { Cursor } from './cursor.ts';
import { EMPTY_DIGEST } from './digest.ts';
import { isDirpostError } from './errors.ts';
import { generationOf, type Incarnation, MAX_LIVES_FORGOTTEN, newIncarnation, stampOfExchange } from './incarnation.ts';
import { noteSeqTime } from './lag.ts';
import { ListNumbering } from './list-numbering.ts';
import { decodedParts } from './parts-ahead.ts';
import {
  ANCHORS_DOCUMENT,
  historyScope,
  loadRequestor,
  loadServer,
  noteOlderCopy,
  type RequestorRecord,
  saveRequestor,
  saveServer,
  sentScope,
  type ServerContext,
  type ServerRecord,
} from './records.ts';
import { refusedElsewhere, takeReport } from './refused-elsewhere.ts';
import type { Codec } from './seams/codec.ts';
import type { StagedPart, Store, StoreTx } from './seams/store.ts';
import { noteVerified, overtaking } from './verified.ts';

/** Of one owner. They stand in the head of every message that introduces entries of his, and only the first is used by readers. */
const MAX_ANCHORS = 8;

/** An opened message file of a requestor. */
export interface Arrival<Head> {
  from: PostofficeName;
  head: Head;
  payload: Uint8Array;
  /** SHA-256 of the payload. */
  payloadHash: Uint8Array;
}

export interface ProcessOutcome {
  /** `waiting`: other parts of the exchange are missing. */
  verdict: 'processed' | 'waiting' | 'repeat' | 'rolled-back' | 'superseded' | 'verified' | 'unmatched';
  /** Entries of the submission that changed anything. */
  accepted: number;
  answer: Answer | null;
  /** A new incarnation of the server, when this message showed that it was restored. */
  newIncarnation: Incarnation | null;
}

/** `large` work runs off the main thread; the caller knows the size of what arrived. */
export async function processExchange(
  store: Store,
  context: ServerContext,
  arrival: Arrival<Exchange>,
  large = false,
): Promise<ProcessOutcome> {
  try {
    return await store.transaction((tx) => exchangeIn(tx, context, arrival, true), { large });
  } catch (error) {
    // What does not add up leaves no trace but the receipt that asks for everything.
    if (!isDirpostError(error, 'digest-mismatch')) throw error;
    return store.transaction((tx) => exchangeIn(tx, context, arrival, false), { large });
  }
}

export async function processVerification(
  store: Store,
  context: ServerContext,
  { from, head }: Arrival<Verification>,
): Promise<ProcessOutcome> {
  return store.transaction(async (tx) => {
    const server = await loadServer(tx);
    const record = await loadRequestor(tx, from, context.clock.now());
    const cursor = openCursor(context, head.cursor, from);
    const restored = await noticeRestoredServer(tx, context, server, record, cursor, head.heard);
    const matches = await noteVerified(tx, context, server, record, head, cursor);
    if (matches) await takeReport(tx, record, head.report);
    await saveServer(tx, server);
    await saveRequestor(tx, record);
    return { verdict: matches ? 'verified' : 'unmatched', accepted: 0, answer: null, newIncarnation: restored };
  });
}

async function exchangeIn(
  tx: StoreTx,
  context: ServerContext,
  arrival: Arrival<Exchange>,
  trusted: boolean,
): Promise<ProcessOutcome> {
  const { from } = arrival;
  const server = await loadServer(tx);
  const record = await loadRequestor(tx, from, context.clock.now());
  const stated = openCursor(context, arrival.head.cursor, from);
  const restored = await noticeRestoredServer(tx, context, server, record, stated, arrival.head.heard);
  const cursor = overtaking(server, record, arrival.head, stated) ?? stated;
  const verdict = judge(record, arrival);
  const parts = verdict === 'process' ? await gatherParts(tx, arrival, context.limits.maxParts) : null;
  // The head of the first part speaks for all: it alone carries the bucket digests.
  const exchange =
    parts?.complete === true && parts.first !== null ? (context.codec.head(parts.first) as Exchange) : arrival.head;
  const answering = {
    tx,
    context,
    server,
    record,
    exchange,
    cursor,
    receipt: await receiptOf(tx, context, record, false),
  };
  let outcome: Omit<ProcessOutcome, 'newIncarnation'>;
  if (verdict !== 'process') outcome = await answerVerdict(answering, verdict);
  else if (parts!.forked) outcome = await answerVerdict(answering, 'rolled-back');
  else if (!parts!.complete) outcome = await answerIncomplete(answering, parts!);
  else outcome = await processComplete(answering, arrival, parts!, trusted);
  record.lastHeardMs = context.clock.now();
  record.version = arrival.head.version;
  if (record.removed === true) record.removed = false;
  await noteSeqTime(tx, server.seq, context.clock.now());
  await saveServer(tx, server);
  await saveRequestor(tx, record);
  return { ...outcome, newIncarnation: restored };
}

function openCursor(context: ServerContext, cookie: Uint8Array | null, holder: PostofficeName): Cursor | null {
  return cookie === null ? null : context.cookies.open(cookie, holder);
}

/** Rule 8. Changes `server` when it was restored, and resolves to its new incarnation. */
async function noticeRestoredServer(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  record: RequestorRecord,
  cursor: Cursor | null,
  heard: Heard | null,
): Promise<Incarnation | null> {
  const foreign = (incarnation: Incarnation | undefined) =>
    incarnation !== undefined &&
    incarnation !== server.incarnation &&
    generationOf(incarnation) >= generationOf(server.incarnation);
  // A cookie was made here; what was heard is only said.
  const told = heard?.incarnation ?? null;
  const believed = generationOf(told) <= generationOf(server.incarnation) + MAX_LIVES_FORGOTTEN ? told : null;
  const ahead = heard !== null && heard.incarnation === server.incarnation && heard.number > record.updateNumber;
  const contradicted = cursor !== null && (await contradicts(tx, server, record, cursor));
  if (!contradicted && !ahead && !foreign(cursor?.incarnation) && !foreign(believed ?? undefined)) return null;
  server.incarnation = newIncarnation(context.random, server.incarnation, cursor?.incarnation ?? null, believed);
  server.lives++;
  await tx.clearListIntroduced();
  const composed = await tx.outgoing({ kind: 'update' });
  await tx.removeOutgoing(composed.map((message) => message.id));
  return server.incarnation;
}

/** A cookie of this incarnation that the store does not know; below the floor checkpoints were forgotten and prove nothing. */
async function contradicts(
  tx: StoreTx,
  server: ServerRecord,
  record: RequestorRecord,
  cursor: Cursor,
): Promise<boolean> {
  if (cursor.incarnation !== server.incarnation || cursor.seq < (record.floors[cursor.list] ?? 0)) return false;
  return (await tx.checkpoint(sentScope(record.name, cursor.list), cursor.seq)) !== cursor.digest;
}

type Verdict = 'process' | 'repeat' | 'rolled-back' | 'superseded';

function judge(record: RequestorRecord, { head, payloadHash }: Arrival<Exchange>): Verdict {
  if (record.incarnation !== null && head.incarnation !== record.incarnation) {
    if (generationOf(head.incarnation) <= generationOf(record.incarnation)) return 'superseded';
    const { full, replaces } = head.submission;
    return full && replaces === record.stamp ? 'process' : 'rolled-back';
  }
  if (head.number > record.newest) return 'process';
  if (head.number < record.newest) return 'repeat';
  return record.newestHashes[head.part] === hex(payloadHash) ? 'repeat' : 'rolled-back';
}

interface Gathered {
  complete: boolean;
  /** This part had been staged before. */
  repeated: boolean;
  /** Another payload stands for the same part: two copies of the requestor are at work (rule 6). */
  forked: boolean;
  missing: number[];
  /** Payload of the first part; null when the exchange has only one. */
  first: Uint8Array | null;
}

/** `most`: parts kept of one sender. Numbers that fall would heap them up: then only this exchange is kept. */
async function gatherParts(tx: StoreTx, { from, head, payload }: Arrival<Exchange>, most: number): Promise<Gathered> {
  if (head.parts === 1) return { complete: true, repeated: false, forked: false, missing: [], first: null };
  const staged = await tx.parts(from, 'exchange');
  const isTooMany = staged.length >= most && staged.some(({ number }) => number > head.number);
  const isOfAnother = staged.some((part) => part.incarnation !== head.incarnation);
  if (isTooMany || isOfAnother) await tx.removeParts(from, 'exchange');
  else if (staged.some((part) => part.number < head.number)) await tx.removeParts(from, 'exchange', head.number);
  const before = await tx.partPayload(from, 'exchange', head.incarnation, head.number, head.part);
  const part: StagedPart = { ...head, from, kind: 'exchange', payload };
  if (before === undefined) await tx.putPart(pickPart(part));
  const held = new Set(
    (await tx.parts(from, 'exchange')).filter((one) => one.number === head.number).map((one) => one.part),
  );
  const missing = Array.from({ length: head.parts }, (_, i) => i).filter((i) => !held.has(i));
  const forked = before !== undefined && Buffer.compare(before, payload) !== 0;
  const complete = missing.length === 0;
  const first = complete ? (await tx.partPayload(from, 'exchange', head.incarnation, head.number, 0))! : null;
  return { complete, repeated: before !== undefined, forked, missing, first };
}

export function pickPart({ from, kind, incarnation, number, part, parts, payload }: StagedPart): StagedPart {
  return { from, kind, incarnation, number, part, parts, payload };
}

async function answerVerdict(
  answering: Answering,
  verdict: Exclude<Verdict, 'process'>,
): Promise<Omit<ProcessOutcome, 'newIncarnation'>> {
  const { counts } = answering.record;
  if (verdict === 'repeat') counts.repeats++;
  if (verdict === 'rolled-back') counts.rollbacks++;
  if (verdict === 'superseded') noteOlderCopy(answering.record, answering.context.clock.now());
  const answer = await answerWithoutData(answering, verdict === 'repeat' ? 'receipt' : verdict);
  return { verdict, accepted: 0, answer };
}

/** A part that came again while others are missing asks for them: the receipt names them. */
async function answerIncomplete(
  answering: Answering,
  parts: Gathered,
): Promise<Omit<ProcessOutcome, 'newIncarnation'>> {
  if (!parts.repeated) return { verdict: 'waiting', accepted: 0, answer: null };
  const receipt = { ...answering.receipt, missingOf: answering.exchange.number, missing: parts.missing };
  return { verdict: 'waiting', accepted: 0, answer: await answerWithoutData({ ...answering, receipt }, 'receipt') };
}

async function processComplete(
  answering: Answering,
  arrival: Arrival<Exchange>,
  parts: Gathered,
  trusted: boolean,
): Promise<Omit<ProcessOutcome, 'newIncarnation'>> {
  const { tx, context, server, record, exchange, cursor } = answering;
  const replaced = record.stamp;
  const hashes = await partHashes(tx, arrival, parts);
  const newLife = record.incarnation !== exchange.incarnation;
  record.incarnation = exchange.incarnation;
  record.newest = exchange.number;
  record.newestHashes = hashes;
  record.stamp = stampOfExchange(exchange.incarnation, hashes);
  record.counts.exchanges++;
  const { verdict, accepted, wantFull } = await takeSubmission(answering, arrival, replaced, trusted);
  await tx.removeParts(arrival.from, 'exchange', newLife ? undefined : exchange.number + 1);
  if (verdict === 'rolled-back') {
    record.counts.rollbacks++;
    const answer = await answerWithoutData(
      { ...answering, receipt: await receiptOf(tx, context, record, false) },
      'rolled-back',
    );
    return { verdict, accepted: 0, answer };
  }
  await rememberAnchors(tx, record, exchange.anchors);
  if (await noteVerified(tx, context, server, record, exchange, cursor)) await takeReport(tx, record, exchange.report);
  const answer = await answerWithData({ ...answering, receipt: await receiptOf(tx, context, record, wantFull) });
  return { verdict: 'processed', accepted, answer };
}

async function partHashes(tx: StoreTx, arrival: Arrival<Exchange>, parts: Gathered): Promise<string[]> {
  const { from, head } = arrival;
  if (parts.first === null) return [hex(arrival.payloadHash)];
  const hashes: string[] = [];
  for (let part = 0; part < head.parts; part++) {
    const payload = (await tx.partPayload(from, 'exchange', head.incarnation, head.number, part))!;
    hashes.push(hex(createHash('sha256').update(payload).digest()));
  }
  return hashes;
}

interface Taken {
  verdict: 'processed' | 'rolled-back';
  accepted: number;
  wantFull: boolean;
}

/** Rules 5 and 6 for the submission of a complete exchange. */
async function takeSubmission(
  answering: Answering,
  arrival: Arrival<Exchange>,
  replaced: string,
  trusted: boolean,
): Promise<Taken> {
  const { tx, server, record, exchange } = answering;
  const { submission } = exchange;
  const { from, to } = submission;
  const nothing: Taken = { verdict: 'processed', accepted: 0, wantFull: false };
  if (!trusted) return { ...nothing, wantFull: true };
  if (submission.full) {
    // Compare and swap: what replaces names what it replaces, so nothing in flight from a dead branch can win.
    if (submission.replaces !== replaced) return nothing;
    record.counts.fulls++;
    return { ...nothing, accepted: await take(answering, arrival) };
  }
  if (to.seq === record.accepted.seq && to.digest === record.accepted.digest) {
    confirm(server, record, exchange);
    return nothing;
  }
  const known = from.seq === 0 ? EMPTY_DIGEST : await tx.checkpoint(historyScope(record.name), from.seq);
  if (known === from.digest && to.seq >= record.accepted.seq)
    return { ...nothing, accepted: await take(answering, arrival) };
  if (to.seq <= record.accepted.seq) return { ...nothing, verdict: 'rolled-back' };
  // Above what was accepted: this server lost changes that it had acknowledged; the receipt says from where on.
  return { ...nothing, wantFull: from.seq <= record.accepted.seq };
}

async function take(answering: Answering, arrival: Arrival<Exchange>): Promise<number> {
  const { tx, context, server, record, exchange } = answering;
  const numbering = new ListNumbering(tx, context.lists);
  const reader = context.codec.readSubmission?.() ?? context.codec;
  const changes = changesOf(tx, reader, arrival);
  const accepted = await acceptSubmission(tx, context, server, record, exchange.submission, numbering, changes);
  if ('accepted' in reader) reader.accepted();
  await numbering.save();
  const scope = historyScope(record.name);
  if (exchange.submission.full) await tx.clearCheckpoints(scope);
  await tx.putCheckpoint(scope, record.accepted.seq, record.accepted.digest);
  await tx.keepCheckpoints(scope, context.limits.checkpointsKept);
  confirm(server, record, exchange);
  return accepted;
}

async function* changesOf(
  tx: StoreTx,
  reader: Pick<Codec, 'changes'>,
  { from, head, payload }: Arrival<Exchange>,
): AsyncGenerator<Change[]> {
  if (head.parts === 1) return yield reader.changes(payload);
  const { parts, incarnation, number } = head;
  const read = (part: number) => tx.partPayload(from, 'exchange', incarnation, number, part);
  yield* decodedParts(parts, read, (one) => reader.changes(one));
}

/** Rule 9: a submission that matches, by somebody who has heard this incarnation and has read his directories. */
function confirm(server: ServerRecord, record: RequestorRecord, { heard, submission }: Exchange): void {
  if (submission.certified && heard?.incarnation === server.incarnation) record.confirmedUnder = server.incarnation;
}

async function rememberAnchors(tx: StoreTx, record: RequestorRecord, anchors: AnchorHint[]): Promise<void> {
  const own = anchors.filter((anchor) => anchor.owner === record.name).slice(0, MAX_ANCHORS);
  // An exchange names anchors only where it introduces entries.
  if (own.length === 0 || JSON.stringify(own) === JSON.stringify(record.anchors)) return;
  record.anchors = own;
  const all = (await tx.getDocument<AnchorHint[]>(ANCHORS_DOCUMENT)) ?? [];
  await tx.putDocument(ANCHORS_DOCUMENT, [...all.filter((anchor) => anchor.owner !== record.name), ...own]);
}

export async function receiptOf(
  tx: StoreTx,
  { limits, maxPayloadBytes }: ServerContext,
  record: RequestorRecord,
  wantFull: boolean,
): Promise<Receipt> {
  // Together with what is refused they are no more than may be named.
  const mostNamed = limits.maxRefusedNamed - record.flagged.length;
  const clashes = await clashesOf(tx, record.name, mostNamed);
  const named = [...clashes.named, ...(await refusedElsewhere(tx, record.name, mostNamed - clashes.named.length))];
  return {
    accepted: record.accepted,
    newest: record.newest,
    stamp: record.stamp,
    wantFull,
    missingOf: 0,
    missing: [],
    refusedCount: record.flaggedCount,
    refused: record.flagged.map(({ id, code, reason }) => ({ id: Buffer.from(id, 'hex'), code, reason })),
    heldCount: record.holding.held.entries,
    // The narrowest way has to have room for changes beside them.
    clashes: { ...clashes, named: firstOctets(named, maxPayloadBytes(record.name) / 8) },
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
