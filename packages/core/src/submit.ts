/**
 * T1: a requestor's exchange and its verification, composed into the outbox. Nothing is sent here; what is put commits
 * together with the numbers that it speaks of.
 */
import type { Change, Checkpoint, Exchange, Report, Verification } from './change.ts';
import { BucketSums, digestOfBuckets, EMPTY_DIGEST } from './digest.ts';
import { attributePatch, CanonicalWriter, entryHash } from './entry.ts';
import { DirpostError } from './errors.ts';
import { composeParts, type HeadOf } from './parts.ts';
import {
  loadOwn,
  OWN_SCOPE,
  type OwnRecord,
  ownCheckpoint,
  partsHeld,
  type RequestorContext,
  requireRunning,
  saveOwn,
} from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
const NO_BYTES = new Uint8Array(0);

export interface Submitted {
  number: number;
  full: boolean;
  changes: number;
  parts: number;
  from: Checkpoint;
  to: Checkpoint;
}

/**
 * An exchange with nothing to say is still composed: it carries the cursor. Older unsent ones are dropped, this one contains
 * them. A submission that replaces takes away what it does not name, so it may only follow a complete read (design rule 5)
 * by the process that sends it: a store that was restored meanwhile does not know what was lost. Without `certified` it
 * throws DirpostError `directory-incomplete` instead, and nothing is composed.
 */
export async function composeExchange(
  tx: StoreTx,
  context: RequestorContext,
  report: Report,
  certified = true,
): Promise<Submitted> {
  const own = await loadOwn(tx);
  requireRunning(own);
  own.number++;
  own.unanswered++;
  own.exchangeMs = context.clock.now();
  own.counts.exchanges++;
  const to = { seq: own.seq, digest: own.digest };
  await tx.putCheckpoint(OWN_SCOPE, to.seq, to.digest);
  await tx.keepCheckpoints(OWN_SCOPE, context.limits.checkpointsKept);
  const known = own.sendFull ? null : await ownCheckpoint(tx, own.accepted);
  const full = known === null;
  if (full && !certified) {
    throw new DirpostError(
      'directory-incomplete',
      `Everything has to be submitted to ${context.server} anew, and the directories were not read completely before.`,
      { retry: 'later' },
    );
  }
  const from = known ?? { seq: 0, digest: EMPTY_DIGEST };
  if (full) own.counts.fulls++;
  await dropOutgoing(tx, context, ['exchange', 'verification']);
  const held = await partsHeld(tx, context.server);
  const buckets = own.request === 'repair' ? await replicaBuckets(tx) : null;
  if (buckets !== null) own.replica.digest = digestOfBuckets(buckets);
  const headOf: HeadOf = (part, totals, introducing): Exchange => ({
    kind: 'exchange',
    incarnation: own.incarnation,
    number: own.number,
    part,
    parts: totals.parts,
    ...wordOf(own),
    partsHeld: held,
    submission: { from, to, full, replaces: full ? own.stamp : null, certified },
    anchors: introducing.size > 0 ? context.anchors : [],
    request: own.request,
    replicaDigest: own.replica.digest,
    buckets: part === 0 ? buckets : null,
    report,
    version: context.version,
  });
  const envelope = { ...address(own, context), number: own.number, kind: 'exchange' as const };
  const changes = full ? everything(tx) : changesSince(tx, from.seq);
  const totals = await composeParts(tx, context, envelope, changes, headOf);
  await saveOwn(tx, own);
  return { number: own.number, full, changes: totals.total, parts: totals.parts, from, to };
}

/** At once after an update, and again whenever the report changes; an unsent one is replaced. */
export async function composeVerification(tx: StoreTx, context: RequestorContext, report: Report): Promise<boolean> {
  const own = await loadOwn(tx);
  if (own.cursor === null || own.stopped !== null) return false;
  await dropOutgoing(tx, context, ['verification']);
  const verification: Verification = {
    kind: 'verification',
    incarnation: own.incarnation,
    number: own.number,
    answers: { incarnation: own.cursor.incarnation, number: own.cursor.number },
    ...wordOf(own),
    report,
  };
  const envelope = { ...address(own, context), number: own.number, kind: 'verification' as const };
  await composeParts(tx, context, envelope, [], () => verification);
  return true;
}

function wordOf(own: OwnRecord): Pick<Exchange, 'cursor' | 'heard'> {
  return { cursor: own.cursor === null ? null : Buffer.from(own.cursor.cookie, 'base64'), heard: own.heard };
}

function address(own: OwnRecord, context: RequestorContext) {
  return { to: context.server, forIncarnation: null, incarnation: own.incarnation };
}

async function dropOutgoing(tx: StoreTx, context: RequestorContext, kinds: string[]): Promise<void> {
  const waiting = await tx.outgoing({ to: context.server });
  await tx.removeOutgoing(waiting.filter((message) => kinds.includes(message.kind)).map((message) => message.id));
}

async function* everything(tx: StoreTx): AsyncGenerator<Change[]> {
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('published', after, BATCH);
    if (rows.length === 0) return;
    yield rows.filter((row) => !row.deleted).map(whole);
    after = rows.at(-1)!.number;
  }
}

async function* changesSince(tx: StoreTx, since: number): AsyncGenerator<Change[]> {
  const writer = new CanonicalWriter();
  for (let after = since; ; ) {
    const rows = await tx.entriesSince('published', after, BATCH);
    if (rows.length === 0) return;
    yield rows.map((row) => changeOf(row, since, writer));
    after = rows.at(-1)!.seq;
  }
}

/**
 * The server knows the numbers that were introduced up to what it accepted in this incarnation. What was removed is named
 * even if it came later: the server may have accepted more than its last receipt said.
 */
function changeOf(row: EntryRow, since: number, writer: CanonicalWriter): Change {
  const introduced = row.introduced <= since;
  if (row.deleted) {
    const name = introduced ? { number: row.number, id: null } : { number: 0, id: row.id };
    return { ...name, owner: row.owner, state: 'removed', bytes: NO_BYTES };
  }
  if (!introduced || row.changed === null) return whole(row);
  const names = new Set(Object.keys(row.changed).filter((name) => row.changed![name]! > since));
  const bytes = attributePatch(row.bytes!, names, writer);
  return { number: row.number, id: null, owner: row.owner, state: 'part', bytes };
}

function whole(row: EntryRow): Change {
  return { number: row.number, id: row.id, owner: row.owner, state: 'whole', bytes: row.bytes! };
}

/** Sums over the content as it stands, not over remembered hashes: damage to the store shows here and is repaired. */
async function replicaBuckets(tx: StoreTx): Promise<Uint8Array> {
  const sums = new BucketSums();
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('replica', after, BATCH);
    if (rows.length === 0) return sums.bytes();
    for (const { id, bytes } of rows) if (bytes !== null) sums.add(id, entryHash(bytes));
    after = rows.at(-1)!.number;
  }
}
