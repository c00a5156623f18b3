/**
 * T3: the requestor's half of the rules (design section 4). An update comes in; the replica, the cursor and the
 * verification are committed in one transaction.
 *
 *   update ─▶ superseded or rolled back? (rules 6, 7)  ─▶ of a dead life of the server? (rule 1)
 *          ─▶ receipt: what was accepted               ─▶ all parts here? (rule 11)
 *          ─▶ delta or repair onto the replica (apply.ts) ─▶ cursor moves ─▶ verification
 *
 * An update twice, or a newer one over an older one, gives the same replica (design rule 2).
 */
import { applyDelta, applyRepair } from './apply.ts';
import type { Change, Report, Update } from './change.ts';
import { isDirpostError } from './errors.ts';
import { generationOf } from './incarnation.ts';
import { decodedParts } from './parts-ahead.ts';
import {
  heldAtThisEnd,
  loadOwn,
  OWN_SCOPE,
  type OwnRecord,
  ownCheckpoint,
  type RequestorContext,
  saveOwn,
  takeNewIncarnation,
} from './requestor-record.ts';
import { flaggedEntries } from './records.ts';
import { isRefusedElsewhere } from './refused-elsewhere.ts';
import type { Store, StoreTx } from './seams/store.ts';
import { type Arrival, pickPart } from './server.ts';
import { composeVerification } from './submit.ts';

export interface DispatchOutcome {
  verdict:
    | 'applied'
    | 'receipt'
    | 'waiting'
    | 'asked-for-buckets'
    | 'not-applicable'
    | 'mismatch'
    | 'ignored'
    | 'new-incarnation'
    | 'stopped';
  mode: Update['mode'];
  changes: number;
  removals: number;
  /** The update stands for all its parts: entries now in the replica. */
  live: number;
}

const REPAIRS_BEFORE_EVERYTHING = 2;

export async function processUpdate(
  store: Store,
  context: RequestorContext,
  arrival: Arrival<Update>,
  report: Report,
  large = false,
): Promise<DispatchOutcome> {
  try {
    return await store.transaction((tx) => updateIn(tx, context, arrival, report, true), { large });
  } catch (error) {
    if (!isDirpostError(error, 'digest-mismatch')) throw error;
    // Rule 10: after a failed delta the next exchange carries bucket digests; after failed repairs it asks for all.
    return store.transaction((tx) => updateIn(tx, context, arrival, report, false), { large });
  }
}

async function updateIn(
  tx: StoreTx,
  context: RequestorContext,
  arrival: Arrival<Update>,
  report: Report,
  trusted: boolean,
): Promise<DispatchOutcome> {
  const own = await loadOwn(tx);
  const update = arrival.head;
  const verdict = await receive(tx, context, own, arrival, trusted);
  await saveOwn(tx, own);
  if (verdict === 'applied') {
    // What is held has just been decided; the rest of the report follows when the directories are written.
    await composeVerification(tx, context, { ...report, heldCount: heldAtThisEnd(own) });
  }
  const live = own.replica.live - (await tx.countEdits('replica'));
  return { verdict, mode: update.mode, changes: update.total, removals: update.removals, live };
}

async function receive(
  tx: StoreTx,
  context: RequestorContext,
  own: OwnRecord,
  arrival: Arrival<Update>,
  trusted: boolean,
): Promise<DispatchOutcome['verdict']> {
  const update = arrival.head;
  if (own.stopped !== null) return 'stopped';
  if (update.mode === 'superseded' || update.mode === 'rolled-back') return receiveVerdict(context, own, update);
  if (generationOf(update.incarnation) < generationOf(own.heard?.incarnation ?? null)) return ignored(own);
  if (own.heard?.incarnation !== update.incarnation) {
    own.heard = { incarnation: update.incarnation, number: 0 };
    await tx.removeParts(arrival.from, 'update');
  }
  const late = update.number < own.heard.number;
  own.heard.number = Math.max(own.heard.number, update.number);
  if (update.for !== own.incarnation) return ignored(own);
  if (!late && !(await receiveReceipt(tx, context, own, update))) return 'new-incarnation';
  if (update.mode === 'ask-buckets') {
    own.request = own.failedRepairs >= REPAIRS_BEFORE_EVERYTHING ? 'everything' : 'repair';
    return 'asked-for-buckets';
  }
  if (update.mode === 'receipt') return 'receipt';
  return receiveChanges(tx, context, own, arrival, trusted);
}

function ignored(own: OwnRecord): 'ignored' {
  own.counts.ignored++;
  return 'ignored';
}

/** Rules 6 and 7: of two copies exactly one lives on. */
function receiveVerdict(context: RequestorContext, own: OwnRecord, update: Update): DispatchOutcome['verdict'] {
  if (update.for !== own.incarnation) return ignored(own);
  if (update.mode === 'superseded' && own.restored === true) {
    // Once: should there be another copy after all, the one that announces itself later is told so again.
    own.restored = false;
    takeNewIncarnation(own, context.random, update.receipt.stamp);
    return 'new-incarnation';
  }
  if (update.mode === 'superseded') {
    own.stamp = update.receipt.stamp;
    own.stopped = 'superseded';
    return 'stopped';
  }
  if (++own.told > context.limits.maxRollbacksTold) {
    own.stopped = 'another copy is faster';
    return 'stopped';
  }
  takeNewIncarnation(own, context.random, update.receipt.stamp);
  return 'new-incarnation';
}

/** False when the receipt shows that this store was rolled back (rule 6, seen by itself). */
async function receiveReceipt(
  tx: StoreTx,
  context: RequestorContext,
  own: OwnRecord,
  update: Update,
): Promise<boolean> {
  const { receipt } = update;
  own.stamp = receipt.stamp;
  own.answeredMs = context.clock.now();
  own.unanswered = 0;
  if (receipt.newest > 1) own.told = 0;
  if (receipt.newest > 0) own.restored = false;
  if (receipt.accepted.seq > own.seq || receipt.newest > own.number) {
    takeNewIncarnation(own, context.random, receipt.stamp);
    return false;
  }
  const known = await ownCheckpoint(tx, receipt.accepted.seq);
  own.sendFull = receipt.wantFull || known?.digest !== receipt.accepted.digest;
  if (!own.sendFull) {
    own.accepted = receipt.accepted.seq;
    const lowest = await tx.keepCheckpoints(OWN_SCOPE, context.limits.checkpointsKept);
    await tx.purgePublished(Math.min(lowest, own.accepted));
  }
  own.refused = { count: receipt.refusedCount, entries: flaggedEntries(receipt.refused) };
  own.heldAtServer = receipt.heldCount;
  const { left, kept, named } = receipt.clashes;
  own.clashes = { left, kept, entries: flaggedEntries(named.filter((one) => !isRefusedElsewhere(one))) };
  own.refusedElsewhere = flaggedEntries(named.filter(isRefusedElsewhere));
  await settleOutgoing(tx, context, own, update);
  return true;
}

/** Exchanges that the server has processed need no repeat; parts that it misses are sent again, unchanged. */
async function settleOutgoing(tx: StoreTx, context: RequestorContext, own: OwnRecord, update: Update): Promise<void> {
  const { newest, missingOf, missing } = update.receipt;
  const exchanges = await tx.outgoing({ to: context.server, kind: 'exchange' });
  const settled = exchanges.filter((message) => message.incarnation !== own.incarnation || message.number <= newest);
  await tx.removeOutgoing(settled.map((message) => message.id));
  for (const message of exchanges) {
    const wanted = message.number === missingOf && missing.includes(message.part) && message.deliveredMs !== null;
    if (wanted) await tx.updateOutgoing(message.id, { deliveredMs: null, nextAttemptMs: context.clock.now() });
  }
}

async function receiveChanges(
  tx: StoreTx,
  context: RequestorContext,
  own: OwnRecord,
  arrival: Arrival<Update>,
  trusted: boolean,
): Promise<DispatchOutcome['verdict']> {
  const update = arrival.head;
  const sameLife = own.cursor?.incarnation === update.incarnation;
  if (sameLife && (update.to.seq < own.cursor!.seq || update.number <= own.cursor!.number)) return 'not-applicable';
  if (update.parts > 1 && !(await stagePart(tx, arrival))) return 'waiting';
  const fits =
    update.base.digest === own.replica.digest ||
    (update.mode === 'delta' && sameLife && update.base.seq <= own.cursor!.seq && own.cursor!.list === update.list);
  if (!fits || !trusted) {
    await tx.removeParts(arrival.from, 'update', update.number + 1);
    return fits ? failed(own, update) : 'not-applicable';
  }
  const complete = await fold(tx, context, own, arrival);
  await tx.removeParts(arrival.from, 'update', update.number + 1);
  if (!complete) {
    // Rule 9: some removals had to wait for their owners, so this replica stands for no cursor.
    own.cursor = null;
    own.request = 'repair';
    return 'asked-for-buckets';
  }
  own.cursor = {
    cookie: Buffer.from(update.cursor!).toString('base64'),
    incarnation: update.incarnation,
    seq: update.to.seq,
    list: update.list,
    number: update.number,
  };
  own.request = 'changes';
  own.failedRepairs = 0;
  own.verifiedMs = context.clock.now();
  return 'applied';
}

/** Whether all parts are here. Parts of older updates are kept until one update is complete; two at the most. */
async function stagePart(tx: StoreTx, { from, head, payload }: Arrival<Update>): Promise<boolean> {
  const ofThisUpdate = async () =>
    (await tx.parts(from, 'update')).filter(
      ({ number, incarnation }) => number === head.number && incarnation === head.incarnation,
    );
  // A server that was restored and has not noticed yet gives a number again, to an update of other parts.
  const foreign = (await ofThisUpdate()).some((part) => part.parts !== head.parts);
  await tx.removeParts(from, 'update', foreign ? head.number + 1 : head.number - 1);
  await tx.putPart(pickPart({ ...head, from, kind: 'update', payload }));
  return (await ofThisUpdate()).length === head.parts;
}

async function fold(
  tx: StoreTx,
  context: RequestorContext,
  own: OwnRecord,
  arrival: Arrival<Update>,
): Promise<boolean> {
  const update = arrival.head;
  const parts = changesOf(tx, context, arrival);
  if (update.mode === 'delta') {
    own.replica = await applyDelta(tx, context, own.replica, update, parts);
    own.counts.deltas++;
    return true;
  }
  const { complete, ...replica } = await applyRepair(tx, context, own.replica, update, parts);
  own.replica = replica;
  own.counts.repairs++;
  return complete;
}

async function* changesOf(
  tx: StoreTx,
  { codec }: RequestorContext,
  { from, head, payload }: Arrival<Update>,
): AsyncGenerator<Change[]> {
  if (head.parts === 1) return yield codec.changes(payload);
  const { parts, incarnation, number } = head;
  const read = (part: number) => tx.partPayload(from, 'update', incarnation, number, part);
  yield* decodedParts(parts, read, (one) => codec.changes(one));
}

function failed(own: OwnRecord, update: Update): 'mismatch' {
  if (update.mode === 'repair') own.failedRepairs++;
  own.request = own.failedRepairs >= REPAIRS_BEFORE_EVERYTHING ? 'everything' : 'repair';
  return 'mismatch';
}
