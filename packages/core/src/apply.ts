/**
 * T3, first half: the changes of an update fold into the replica. Runs inside the store transaction that also moves the
 * cursor; throws `digest-mismatch` when the sum afterwards is not what the server says, and then nothing of it stays.
 */
import { inBuckets } from './answer.ts';
import type { Change, PostofficeName, Update } from './change.ts';
import { DigestSum, type Digest } from './digest.ts';
import { CanonicalWriter, entryHash, ownerOf, patchEntry } from './entry.ts';
import { DirpostError } from './errors.ts';
import { IdSet } from './id-set.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

export interface Replica {
  digest: Digest;
  live: number;
}

interface Applying {
  tx: StoreTx;
  own: PostofficeName;
  sum: DigestSum;
  live: number;
  /** The replica was empty at the start: nothing needs to be looked up, if only no id comes twice. */
  fresh: boolean;
  /** Ids that a repair brought; null for a delta. */
  named: IdSet | null;
  writer: CanonicalWriter;
  /** Rows on their way into the store, while the next ones are made. */
  writing: Promise<unknown>;
}

export async function applyDelta(
  tx: StoreTx,
  own: PostofficeName,
  replica: Replica,
  update: Update,
  parts: AsyncIterable<Change[]>,
): Promise<Replica> {
  const work = begin(tx, own, replica, null);
  await takeParts(work, parts);
  const digest = work.sum.digest();
  if (digest !== update.to.digest) throw mismatch(update);
  return { digest, live: work.live };
}

export interface Repaired extends Replica {
  /** False where removals had to be left out because their owners have not confirmed themselves (rule 9). */
  complete: boolean;
}

export async function applyRepair(
  tx: StoreTx,
  own: PostofficeName,
  replica: Replica,
  update: Update,
  parts: AsyncIterable<Change[]>,
): Promise<Repaired> {
  const named = new IdSet();
  const work = begin(tx, own, replica, named);
  await takeParts(work, parts);
  const kept = await removeUnnamed(work, named, update);
  const digest = work.sum.digest();
  const complete = digest === update.to.digest;
  if (!complete && kept === 0) throw mismatch(update);
  return { digest, live: work.live, complete };
}

function begin(tx: StoreTx, own: PostofficeName, replica: Replica, named: IdSet | null): Applying {
  const { digest, live } = replica;
  return {
    tx,
    own,
    sum: DigestSum.from(digest),
    live,
    fresh: live === 0 && named !== null,
    named,
    writer: new CanonicalWriter(),
    writing: Promise.resolve(),
  };
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
  const gone: number[] = [];
  const claimed: EntryRow[] = [];
  for (const [i, change] of changes.entries()) {
    const row = rows[i];
    if (change.state === 'removed') {
      if (row !== undefined) gone.push(forget(work, row));
      continue;
    }
    if (change.owner === work.own)
      throw new DirpostError('message-payload', 'The server sent our own entry back to us.');
    const next = change.state === 'whole' ? whole(work, row, change) : patched(work, row, change);
    if (next !== null) put.push(next);
    if (next !== null && row?.peerNumber !== next.peerNumber) claimed.push(next);
    const first = work.named?.add((next ?? row!).id) ?? true;
    if (!first) throw new DirpostError('message-payload', 'A repair brings the same entry twice.');
  }
  if (work.fresh) return putBehind(work, put);
  await work.tx.removeEntries('replica', gone);
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
  return become(work, row, id!, owner, bytes, number);
}

function patched(work: Applying, row: EntryRow | undefined, change: Change): EntryRow | null {
  if (row === undefined) {
    throw new DirpostError(
      'digest-mismatch',
      `An update changes entry ${change.number}, which the replica does not have.`,
    );
  }
  const bytes = patchEntry(row.bytes!, change.bytes, work.writer);
  return become(work, row, row.id, ownerOf(bytes), bytes, change.number);
}

/** null where the row is right as it is. Hashes are taken of the content, so that damage to a row shows in the digest. */
function become(
  work: Applying,
  row: EntryRow | undefined,
  id: Uint8Array,
  owner: PostofficeName,
  bytes: Uint8Array,
  peerNumber: number,
): EntryRow | null {
  const hash = entryHash(bytes);
  if (row === undefined) {
    work.live++;
  } else {
    const before = entryHash(row.bytes!);
    if (row.peerNumber === peerNumber && Buffer.compare(before, hash) === 0) return null;
    work.sum.subtract(before);
  }
  work.sum.add(hash);
  const number = row?.number ?? 0;
  return {
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
  };
}

function forget(work: Applying, row: EntryRow): number {
  work.sum.subtract(entryHash(row.bytes!));
  work.live--;
  return row.number;
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
    const unnamed = rows.filter((row) => inBuckets(row.id, update.differing!) && !named.has(row.id));
    const numbers = unnamed.filter((row) => confirmed.has(row.owner)).map((row) => row.number);
    kept += unnamed.length - numbers.length;
    for (let from = 0; from < numbers.length; from += BATCH) {
      const gone = (await work.tx.entriesByNumber('replica', numbers.slice(from, from + BATCH))) as EntryRow[];
      await work.tx.removeEntries(
        'replica',
        gone.map((row) => forget(work, row)),
      );
    }
  }
}

function mismatch(update: Update): DirpostError {
  return new DirpostError('digest-mismatch', `Update ${update.number} does not add up to the digest that it names.`, {
    context: { number: update.number, mode: update.mode, seq: update.to.seq },
  });
}
