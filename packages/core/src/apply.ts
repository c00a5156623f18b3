/**
 * T3, first half: the changes of an update fold into the replica. Runs inside the store transaction that also moves the
 * cursor; throws `digest-mismatch` when the sum afterwards is not what the server says, and then nothing of it stays.
 * The replica is what the server says; what directories are shown of it is subject to limits (holds.ts).
 */
import { inBuckets } from './answer.ts';
import type { Change, Update } from './change.ts';
import { DigestSum, EMPTY_DIGEST, type Digest } from './digest.ts';
import { targetOf } from './edits.ts';
import { membersIn, patchMayHaveEffect } from './effects.ts';
import { CanonicalWriter, entryHash, ownerOf, patchEntry } from './entry.ts';
import { DirpostError } from './errors.ts';
import {
  beginHolding,
  effectsOver,
  heldRows,
  type Holding,
  holdOrShow,
  noHolding,
  shownBytes,
  showHeld,
} from './holds.ts';
import { IdSet } from './id-set.ts';
import { MAX_KEPT, noteReplicaChanges } from './replica-changes.ts';
import type { RequestorContext } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

/** What the server said, held removals not counted; and what of it is held. */
export interface Replica {
  digest: Digest;
  /** Edits are counted, too (StoreTx.countEdits). */
  live: number;
  /** Members of the groups that directories are shown. */
  members: number;
  holding: Holding;
  /** What has to be added to `digest` for that of what directories are shown. */
  difference: Digest;
}

export type ApplyContext = Pick<RequestorContext, 'name' | 'holds' | 'clock'>;

export function emptyReplica(): Replica {
  return { digest: EMPTY_DIGEST, live: 0, members: 0, holding: noHolding(), difference: EMPTY_DIGEST };
}

/** Digest and number of the entries that directories are shown: what they have to be written for. */
export function shownReplica({ digest, live, holding, difference }: Replica): { digest: Digest; live: number } {
  return { digest: DigestSum.from(digest).addDigest(difference).digest(), live: live + holding.held.removals };
}

interface Applying {
  tx: StoreTx;
  context: ApplyContext;
  sum: DigestSum;
  live: number;
  /** For holds.ts, and the sum of what its held rows differ by. */
  holding: Holding;
  members: number;
  difference: DigestSum;
  /** The replica was empty at the start: nothing needs to be looked up, if only no id comes twice. */
  fresh: boolean;
  /** Ids that a repair brought; null for a delta. */
  named: IdSet | null;
  writer: CanonicalWriter;
  /** Rows on their way into the store, while the next ones are made. */
  writing: Promise<unknown>;
  /** Ids of rows that came, changed or went; null: too many. */
  touched: Uint8Array[] | null;
}

export async function applyDelta(
  tx: StoreTx,
  context: ApplyContext,
  replica: Replica,
  update: Update,
  parts: AsyncIterable<Change[]>,
): Promise<Replica> {
  const work = await begin(tx, context, replica, null);
  await takeParts(work, parts);
  const digest = work.sum.digest();
  if (digest !== update.to.digest) throw mismatch(update);
  return ended(work, digest);
}

export interface Repaired extends Replica {
  /** False where removals had to be left out because their owners have not confirmed themselves (rule 9). */
  complete: boolean;
}

export async function applyRepair(
  tx: StoreTx,
  context: ApplyContext,
  replica: Replica,
  update: Update,
  parts: AsyncIterable<Change[]>,
): Promise<Repaired> {
  const named = new IdSet();
  const work = await begin(tx, context, replica, named);
  await takeParts(work, parts);
  const kept = await removeUnnamed(work, named, update);
  const digest = work.sum.digest();
  const complete = digest === update.to.digest;
  if (!complete && kept === 0) throw mismatch(update);
  return { ...(await ended(work, digest)), complete };
}

async function begin(tx: StoreTx, context: ApplyContext, replica: Replica, named: IdSet | null): Promise<Applying> {
  const { digest, live, members, holding, difference } = replica;
  const entries = live - (await tx.countEdits('replica')) + holding.held.removals;
  beginHolding(holding, { entries, members });
  return {
    tx,
    context,
    sum: DigestSum.from(digest),
    live,
    holding,
    members,
    difference: DigestSum.from(difference),
    fresh: live === 0 && holding.held.entries === 0 && named !== null,
    named,
    writer: new CanonicalWriter(),
    writing: Promise.resolve(),
    touched: named === null ? [] : null,
  };
}

function touch(work: Applying, rows: EntryRow[]): void {
  if (work.touched === null) return;
  for (const { id, bytes } of rows) {
    // What an edit changes, by coming or going, is how its target is shown.
    const target = bytes === null ? null : targetOf(bytes);
    work.touched.push(target === null || target.length === 0 ? id : target);
  }
  if (work.touched.length > MAX_KEPT) work.touched = null;
}

/** What is within its limit is shown. */
async function ended(work: Applying, digest: Digest): Promise<Replica> {
  const { tx, holding } = work;
  if (holding.held.entries > 0) {
    const over = effectsOver(holding, work.context.holds);
    for await (const rows of heldRows(tx, 'replica', over)) await showReplica(tx, work, rows, false);
    work.touched = null;
  }
  await noteReplicaChanges(tx, work.touched);
  return { digest, live: work.live, members: work.members, holding, difference: work.difference.digest() };
}

/** What was held of these rows is shown to directories from now on. */
export async function showReplica(
  tx: StoreTx,
  tally: Pick<Applying, 'holding' | 'members' | 'difference'>,
  rows: EntryRow[],
  approved: boolean,
): Promise<void> {
  for (const row of rows) {
    differ(tally.difference, row, -1);
    showHeld(tally, row, approved);
  }
  await tx.removeEntries(
    'replica',
    rows.filter((row) => row.deleted).map((row) => row.number),
  );
  await tx.putEntries(
    'replica',
    rows.filter((row) => !row.deleted).map((row) => ({ ...row, held: null })),
  );
}

/** By what a held row's shown content differs from what the server said. */
function differ(difference: DigestSum, { held, bytes }: EntryRow, sign: 1 | -1): void {
  if (held === null) return;
  const [plus, minus] = sign === 1 ? [held.shown, bytes] : [bytes, held.shown];
  if (plus !== null) difference.add(entryHash(plus));
  if (minus !== null) difference.subtract(entryHash(minus));
}

async function takeParts(work: Applying, parts: AsyncIterable<Change[]>): Promise<void> {
  for await (const changes of parts) {
    for (let from = 0; from < changes.length; from += BATCH) await take(work, changes.slice(from, from + BATCH));
  }
  await work.writing;
}

async function take(work: Applying, changes: Change[]): Promise<void> {
  const rows = work.fresh ? [] : await findRows(work.tx, changes);
  const put: EntryRow[] = [];
  const gone: EntryRow[] = [];
  const claimed: EntryRow[] = [];
  for (const [i, change] of changes.entries()) {
    const row = rows[i];
    if (change.state === 'removed') {
      if (row !== undefined && !row.deleted) gone.push(row);
      continue;
    }
    if (change.owner === work.context.name)
      throw new DirpostError('message-payload', 'The server sent our own entry back to us.');
    const next = change.state === 'whole' ? whole(work, row, change) : patched(work, row, change);
    if (next !== null) put.push(next);
    if (next !== null && row?.peerNumber !== next.peerNumber) claimed.push(next);
    const first = work.named?.add((next ?? row!).id) ?? true;
    if (!first) throw new DirpostError('message-payload', 'A repair brings the same entry twice.');
  }
  if (work.fresh) return putBehind(work, put);
  touch(work, put);
  touch(work, gone);
  await forget(work, gone);
  await freeNumbers(work.tx, claimed);
  await work.tx.putEntries('replica', put);
}

/** Nothing is read back of a fresh replica, so the next batch is made while this one is written. */
async function putBehind(work: Applying, put: EntryRow[]): Promise<void> {
  await work.writing;
  work.writing = work.tx.putEntries('replica', put);
  // Whoever waits for it next hears of a failure; until then it is nobody's.
  work.writing.catch(() => {});
}

/** A server that was restored gives the numbers of its lost life again: who bore one before is known by id only. */
async function freeNumbers(tx: StoreTx, claimed: EntryRow[]): Promise<void> {
  if (claimed.length === 0) return;
  const holders = await tx.entriesByPeerNumber(
    'replica',
    null,
    claimed.map((row) => row.peerNumber!),
  );
  const others = holders.filter((holder, i) => holder !== undefined && holder.number !== claimed[i]!.number);
  await tx.putEntries(
    'replica',
    others.map((holder) => ({ ...holder!, peerNumber: null })),
  );
}

async function findRows(tx: StoreTx, changes: Change[]): Promise<(EntryRow | undefined)[]> {
  const byId = changes.filter((change) => change.id !== null);
  const byNumber = changes.filter((change) => change.id === null);
  const found = await tx.entriesById(
    'replica',
    byId.map((change) => change.id!),
  );
  const numbered = await tx.entriesByPeerNumber(
    'replica',
    null,
    byNumber.map((change) => change.number),
  );
  let nextById = 0;
  let nextByNumber = 0;
  return changes.map((change) => (change.id === null ? numbered[nextByNumber++] : found[nextById++]));
}

function whole(work: Applying, row: EntryRow | undefined, change: Change): EntryRow | null {
  const { id, owner, bytes, number } = change;
  return become(work, row, { id: id!, owner, bytes, peerNumber: number, harmless: false });
}

function patched(work: Applying, row: EntryRow | undefined, change: Change): EntryRow | null {
  if (row === undefined || row.deleted) {
    throw new DirpostError(
      'digest-mismatch',
      `An update changes entry ${change.number}, which the replica does not have.`,
    );
  }
  const bytes = patchEntry(row.bytes!, change.bytes, work.writer);
  const harmless = row.held === null && !patchMayHaveEffect(change.bytes);
  return become(work, row, { id: row.id, owner: ownerOf(bytes), bytes, peerNumber: change.number, harmless });
}

type Become = Pick<EntryRow, 'id' | 'owner' | 'peerNumber'> & { bytes: Uint8Array; harmless: boolean };

/** null where the row is right as it is. Hashes are taken of the content, so that damage to a row shows in the digest. */
function become(
  work: Applying,
  row: EntryRow | undefined,
  { id, owner, bytes, peerNumber, harmless }: Become,
): EntryRow | null {
  const hash = entryHash(bytes);
  if (row === undefined || row.deleted) {
    work.live++;
  } else {
    const before = entryHash(row.bytes!);
    if (row.peerNumber === peerNumber && Buffer.compare(before, hash) === 0) return null;
    work.sum.subtract(before);
  }
  work.sum.add(hash);
  const number = row?.number ?? 0;
  const next: EntryRow = {
    number,
    id,
    owner,
    seq: 0,
    deleted: false,
    hash,
    bytes,
    peerNumber,
    introduced: 0,
    changed: null,
    note: null,
    held: null,
    withheld: null,
  };
  hold(work, row, next, harmless);
  return next;
}

/** Whether the change is held, for now. */
function hold(work: Applying, row: EntryRow | undefined, next: EntryRow, harmless: boolean): boolean {
  if (row === undefined) {
    work.members += membersIn(next.bytes);
    return false;
  }
  differ(work.difference, row, -1);
  const change = { before: shownBytes(row), after: next.bytes, harmless };
  const held = holdOrShow(work, row, next, change, work.context.clock.now()) === 'held';
  differ(work.difference, next, 1);
  return held;
}

/** A removal that is held keeps its row; the number by which the server named it is free. */
async function forget(work: Applying, rows: EntryRow[]): Promise<void> {
  const gone: number[] = [];
  const kept: EntryRow[] = [];
  for (const row of rows) {
    work.sum.subtract(entryHash(row.bytes!));
    work.live--;
    const next: EntryRow = { ...row, deleted: true, bytes: null, peerNumber: null };
    if (hold(work, row, next, false)) kept.push(next);
    else gone.push(row.number);
  }
  await work.tx.removeEntries('replica', gone);
  await work.tx.putEntries('replica', kept);
}

/** Infers removals in the buckets that were replaced, but only of owners who have confirmed themselves; how many were kept. */
async function removeUnnamed(work: Applying, named: IdSet, update: Update): Promise<number> {
  if (work.fresh) return 0;
  const confirmed = new Set(update.confirmed);
  let kept = 0;
  for (let after = 0; ; ) {
    const rows = await work.tx.scanHashes('replica', after, 5 * BATCH);
    if (rows.length === 0) return kept;
    after = rows.at(-1)!.number;
    const unnamed = rows.filter((row) => !row.deleted && inBuckets(row.id, update.differing!) && !named.has(row.id));
    const numbers = unnamed.filter((row) => confirmed.has(row.owner)).map((row) => row.number);
    kept += unnamed.length - numbers.length;
    for (let from = 0; from < numbers.length; from += BATCH) {
      const gone = (await work.tx.entriesByNumber('replica', numbers.slice(from, from + BATCH))) as EntryRow[];
      await forget(work, gone);
    }
  }
}

function mismatch(update: Update): DirpostError {
  return new DirpostError('digest-mismatch', `Update ${update.number} does not add up to the digest that it names.`, {
    context: { number: update.number, mode: update.mode, seq: update.to.seq },
  });
}
