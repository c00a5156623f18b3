/**
 * T2, second half: what the server sends back to one exchange. Composes the update into the outbox, in the same
 * transaction that accepted the submission (design rule 3).
 */
import type {
  AnchorHint,
  Change,
  Checkpoint,
  Exchange,
  PostofficeName,
  Receipt,
  Update,
  UpdateMode,
} from './change.ts';
import type { Cursor } from './cursor.ts';
import { BUCKET_COUNT, BucketSums, bucketOf, EMPTY_DIGEST } from './digest.ts';
import { attributePatch, CanonicalWriter } from './entry.ts';
import { type AddressList, listFor, releaseOf } from './list.ts';
import { composeParts, composeShared, hasToBeRecut, type HeadOf, type Totals } from './parts.ts';
import {
  allRequestors,
  ANCHORS_DOCUMENT,
  type ListRecord,
  listDigestFor,
  loadList,
  type RequestorRecord,
  sentScope,
  type ServerContext,
  type ServerRecord,
} from './records.ts';
import type { ListedEntry, StoreTx } from './seams/store.ts';
import { type DeltaRange, MAX_SHARED_CHANGES, type SharedDelta } from './shared-delta.ts';

const BATCH = 2_000;
const NO_BYTES = new Uint8Array(0);

export interface Answer {
  mode: UpdateMode;
  parts: number;
  changes: number;
}

/** One exchange being answered. */
export interface Answering {
  tx: StoreTx;
  context: ServerContext;
  server: ServerRecord;
  record: RequestorRecord;
  exchange: Exchange;
  cursor: Cursor | null;
  receipt: Receipt;
}

interface Draft {
  mode: UpdateMode;
  base: Checkpoint;
  to: Checkpoint;
  cursor: Uint8Array | null;
  list: string;
  differing: Uint8Array | null;
  confirmed: PostofficeName[];
}

const NOTHING: Checkpoint = { seq: 0, digest: EMPTY_DIGEST };

/** An answer without data: a receipt, or the word that the requestor was rolled back, is superseded, or shall send buckets. */
export async function answerWithoutData(answering: Answering, mode: UpdateMode, list = ''): Promise<Answer> {
  const waiting = await answering.tx.outgoing({ to: answering.record.name, undelivered: true });
  if (waiting.length >= answering.context.limits.maxOutgoing) return { mode, parts: 0, changes: 0 };
  const draft: Draft = { mode, base: NOTHING, to: NOTHING, cursor: null, list, differing: null, confirmed: [] };
  await send(answering, draft, []);
  return { mode, parts: 1, changes: 0 };
}

/** The ladder (design section 4), from the cheapest rung that this exchange allows. */
export async function answerWithData(answering: Answering): Promise<Answer> {
  const { tx, context, record, exchange, cursor, server } = answering;
  const list = listFor(context.lists, record.name);
  if (list === undefined) return answerWithoutData(answering, 'receipt');
  if (await resendMissingParts(answering)) return answerWithoutData(answering, 'receipt', list.definition.name);
  const listRecord = await loadList(tx, list.definition.name);
  const to = { seq: server.seq, digest: await listDigestFor(tx, listRecord, record.name) };

  if (exchange.request === 'changes') {
    if (exchange.replicaDigest === to.digest) return answerInStep(answering, list, listRecord, to);
    const base = await usableBase(tx, record, cursor, listRecord);
    if (base !== null) return answerDelta(answering, list, listRecord, base, to);
    if (exchange.replicaDigest !== EMPTY_DIGEST)
      return answerWithoutData(answering, 'ask-buckets', list.definition.name);
  }
  return answerRepair(answering, list, listRecord, to);
}

/**
 * Rule 11: missing parts again, unchanged, and nothing newer until he has them; unless they were for a life of his that is
 * over, or are larger than what can be sent to him now.
 */
async function resendMissingParts({ tx, record, exchange, server, context }: Answering): Promise<boolean> {
  const { partsHeld } = exchange;
  if (partsHeld === null || partsHeld.incarnation !== server.incarnation) return false;
  const kept = (await tx.outgoing({ to: record.name, kind: 'update' })).filter(
    ({ number, incarnation, forIncarnation }) =>
      number === partsHeld.number && incarnation === server.incarnation && forIncarnation === exchange.incarnation,
  );
  if (kept.length === 0 || kept.length !== kept[0]!.parts) return false;
  const held = new Set(partsHeld.held);
  const missing = kept.filter((message) => !held.has(message.part));
  for (const message of missing) if (await hasToBeRecut(tx, context, message)) return false;
  for (const { id, deliveredMs } of missing) {
    if (deliveredMs !== null) await tx.updateOutgoing(id, { deliveredMs: null, nextAttemptMs: context.clock.now() });
  }
  return true;
}

/** The base of a delta: a cursor of this list, of a checkpoint that is kept, above the purge horizon. */
async function usableBase(
  tx: StoreTx,
  record: RequestorRecord,
  cursor: Cursor | null,
  list: ListRecord,
): Promise<Cursor | null> {
  if (cursor === null || cursor.list !== list.identity || cursor.seq < list.purged) return null;
  const sent = await tx.checkpoint(sentScope(record.name, list.identity), cursor.seq);
  return sent === cursor.digest ? cursor : null;
}

/** The replica is right as it is: only the cursor moves. */
async function answerInStep(
  answering: Answering,
  list: AddressList,
  listRecord: ListRecord,
  to: Checkpoint,
): Promise<Answer> {
  const { cursor, server } = answering;
  const same = cursor !== null && cursor.incarnation === server.incarnation && cursor.list === listRecord.identity;
  const base = { seq: same ? cursor.seq : to.seq, digest: to.digest };
  const named = same ? cursor.named : to.seq;
  return deliver(answering, 'delta', list, listRecord, { base, to, named, differing: null, confirmed: [] }, []);
}

async function answerDelta(
  answering: Answering,
  list: AddressList,
  listRecord: ListRecord,
  cursor: Cursor,
  to: Checkpoint,
): Promise<Answer> {
  const named = cursor.incarnation === answering.server.incarnation ? cursor.named : null;
  const base = { seq: cursor.seq, digest: cursor.digest };
  return deliver(
    answering,
    'delta',
    list,
    listRecord,
    { base, to, named: named ?? cursor.seq, differing: null, confirmed: [] },
    (await sharedDelta(answering, list, listRecord, base, named)) ?? deltaChanges(answering, list, base, named),
  );
}

/** A delta that is small enough to be kept for the requestors that ask next; null: it is not, or he has entries in it. */
async function sharedDelta(
  { tx, context, record, server }: Answering,
  list: AddressList,
  listRecord: ListRecord,
  base: Checkpoint,
  named: number | null,
): Promise<SharedDelta | null> {
  const { recent } = context;
  const range: DeltaRange = {
    list: listRecord.identity,
    digest: listRecord.digest,
    from: base.seq,
    to: server.seq,
    named,
    sentUpTo: Math.max(base.seq, record.sentSeq),
  };
  let delta = recent.get(range);
  if (delta === undefined) {
    const listed = await tx.listSince(list.definition.name, base.seq, '', MAX_SHARED_CHANGES + 1);
    if (listed.length > MAX_SHARED_CHANGES) return null;
    const writer = new CanonicalWriter();
    const changes = listed.map((one) => deltaChange(one, list, base.seq, named, record.sentSeq, writer));
    delta = recent.put(
      range,
      changes.filter((change) => change !== null),
    );
  }
  return delta.owners.has(record.name) ? null : delta;
}

async function* deltaChanges(
  { tx, record }: Answering,
  list: AddressList,
  base: Checkpoint,
  named: number | null,
): AsyncGenerator<Change[]> {
  const writer = new CanonicalWriter();
  for (let after = base.seq; ; ) {
    const listed = await tx.listSince(list.definition.name, after, record.name, BATCH);
    if (listed.length === 0) return;
    const changes = listed.map((one) => deltaChange(one, list, base.seq, named, record.sentSeq, writer));
    yield changes.filter((change) => change !== null);
    after = listed.at(-1)!.row.seq;
  }
}

/**
 * null for what the receiver never had: his replica may be newer than the cursor of a late exchange, but not than what was
 * ever sent to him. `named`: see Cursor.named; null when he knows no numbers of this incarnation.
 */
function deltaChange(
  { row, entry }: ListedEntry,
  list: AddressList,
  since: number,
  named: number | null,
  sentSeq: number,
  writer: CanonicalWriter,
): Change | null {
  const byNumber = named !== null && named < row.introduced && row.introduced <= since;
  if (row.left) {
    if (row.first > Math.max(since, sentSeq)) return null;
    const name = byNumber ? { number: row.number, id: null } : { number: 0, id: entry.id };
    return { ...name, owner: row.owner, state: 'removed', bytes: NO_BYTES };
  }
  const { bytes } = releaseOf(list, entry)!;
  if (row.entered > since) return { number: row.number, id: entry.id, owner: row.owner, state: 'whole', bytes };
  const names = new Set<string>();
  for (const [name, seq] of Object.entries(entry.changed ?? {}))
    if (seq > since && list.releases(name)) names.add(name);
  const patch = attributePatch(bytes, names, writer);
  return { number: row.number, id: byNumber ? null : entry.id, owner: row.owner, state: 'part', bytes: patch };
}

/** Replaces the buckets that differ; everything for an empty replica (a snapshot) or on request. */
async function answerRepair(
  answering: Answering,
  list: AddressList,
  listRecord: ListRecord,
  to: Checkpoint,
): Promise<Answer> {
  const { tx, record, exchange } = answering;
  const everything = exchange.buckets === null;
  const differing = everything ? new Uint8Array(BUCKET_COUNT / 8).fill(0xff) : await differingBuckets(answering, list);
  const base = { seq: 0, digest: exchange.replicaDigest };
  const confirmed = exchange.replicaDigest === EMPTY_DIGEST ? [] : await confirmedOwners(answering);
  // A snapshot introduces every number; after a repair of some buckets the receiver is known to have none.
  const named = everything ? -1 : to.seq;
  record.counts.repairs++;
  return deliver(
    answering,
    'repair',
    list,
    listRecord,
    { base, to, named, differing, confirmed },
    repairChanges(tx, list, record.name, differing),
  );
}

async function differingBuckets({ tx, record, exchange }: Answering, list: AddressList): Promise<Uint8Array> {
  const sums = new BucketSums();
  for (let after = 0; ; ) {
    const rows = await tx.scanListHashes(list.definition.name, after, record.name, 5 * BATCH);
    if (rows.length === 0) break;
    for (const row of rows) sums.add(row.id, row.hash);
    after = rows.at(-1)!.number;
  }
  const ours = sums.bytes();
  const differing = new Uint8Array(BUCKET_COUNT / 8);
  for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
    const [start, end] = [bucket * 16, bucket * 16 + 16];
    if (Buffer.compare(ours.subarray(start, end), exchange.buckets!.subarray(start, end)) !== 0) {
      differing[bucket >> 3]! |= 1 << (bucket & 7);
    }
  }
  return differing;
}

export function inBuckets(id: Uint8Array, buckets: Uint8Array): boolean {
  const bucket = bucketOf(id);
  return (buckets[bucket >> 3]! & (1 << (bucket & 7))) !== 0;
}

async function* repairChanges(
  tx: StoreTx,
  list: AddressList,
  requestor: PostofficeName,
  differing: Uint8Array,
): AsyncGenerator<Change[]> {
  for (let after = 0; ; ) {
    const listed = await tx.scanList(list.definition.name, after, requestor, BATCH);
    if (listed.length === 0) return;
    yield listed
      .filter(({ entry }) => inBuckets(entry.id, differing))
      .map(({ row, entry }) => {
        const { bytes } = releaseOf(list, entry)!;
        return { number: row.number, id: entry.id, owner: row.owner, state: 'whole', bytes };
      });
    after = listed.at(-1)!.row.number;
  }
}

/** Rule 9: owners that have said, to this incarnation of the server, that what it holds of them is right. */
async function confirmedOwners({ tx, record, server }: Answering): Promise<PostofficeName[]> {
  const others = (await allRequestors(tx)).filter((other) => other.name !== record.name);
  return others.filter((other) => other.confirmedUnder === server.incarnation).map((other) => other.name);
}

interface Content {
  base: Checkpoint;
  to: Checkpoint;
  named: number;
  differing: Uint8Array | null;
  confirmed: PostofficeName[];
}

/** Sends data with the cookie for its end, and remembers the checkpoint that the cookie will be compared with. */
async function deliver(
  answering: Answering,
  mode: 'delta' | 'repair',
  list: AddressList,
  listRecord: ListRecord,
  content: Content,
  changes: AsyncIterable<Change[]> | Change[][] | SharedDelta,
): Promise<Answer> {
  const { tx, context, server, record } = answering;
  const earlier = await tx.outgoing({ to: record.name, kind: 'update' });
  await tx.removeOutgoing(earlier.map((message) => message.id));
  const { base, to, named, differing, confirmed } = content;
  const cursor = context.cookies.seal(
    { incarnation: server.incarnation, number: record.updateNumber + 1, list: listRecord.identity, ...to, named },
    record.name,
  );
  const draft: Draft = { mode, base, to, cursor, list: list.definition.name, differing, confirmed };
  const totals = await send(answering, draft, changes);
  const scope = sentScope(record.name, listRecord.identity);
  await tx.putCheckpoint(scope, to.seq, to.digest);
  record.floors[listRecord.identity] = await tx.keepCheckpoints(scope, context.limits.checkpointsKept);
  record.outstanding = totals.parts > 1 ? { number: record.updateNumber, parts: totals.parts } : null;
  record.sentSeq = Math.max(record.sentSeq, to.seq);
  if (mode === 'delta') record.counts.deltas++;
  return { mode, parts: totals.parts, changes: totals.total };
}

async function send(
  { tx, context, server, record, exchange, receipt }: Answering,
  draft: Draft,
  changes: AsyncIterable<Change[]> | Change[][] | SharedDelta,
): Promise<Totals> {
  const number = ++record.updateNumber;
  const anchors = (await tx.getDocument<AnchorHint[]>(ANCHORS_DOCUMENT)) ?? [];
  const headOf: HeadOf = (part, totals, introducing) => {
    const update: Update = {
      kind: 'update',
      incarnation: server.incarnation,
      for: exchange.incarnation,
      number,
      answers: exchange.number,
      receipt,
      part,
      ...totals,
      anchors: anchors.filter((anchor) => introducing.has(anchor.owner)),
      ...draft,
    };
    return update;
  };
  const envelope = {
    to: record.name,
    forIncarnation: exchange.incarnation,
    incarnation: server.incarnation,
    number,
    kind: 'update' as const,
  };
  if (!('encoded' in changes)) return composeParts(tx, context, envelope, changes, headOf);
  return composeShared(tx, context, envelope, changes, JSON.stringify(anchors), headOf);
}
