/**
 * T2, first half: a submission becomes part of what the server collected. Runs inside the store transaction that
 * processes the exchange; throws `digest-mismatch` when the sum afterwards is not what the owner says, and then
 * nothing of it stays.
 */
import type { Change, Submission } from './change.ts';
import { DigestSum, EMPTY_DIGEST } from './digest.ts';
import { changedAttributes } from './changed-attributes.ts';
import { CanonicalWriter, entryHash, ownerOf, patchEntry } from './entry.ts';
import { DirpostError } from './errors.ts';
import { IdSet } from './id-set.ts';
import type { ListNumbering } from './list-numbering.ts';
import { type PublishJudge, publishJudge } from './permission.ts';
import { flag, type RequestorRecord, type ServerContext, type ServerRecord, unflag } from './records.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

interface Acceptance {
  tx: StoreTx;
  context: ServerContext;
  server: ServerRecord;
  record: RequestorRecord;
  numbering: ListNumbering;
  judge: PublishJudge;
  /** Of everything after changes; of what was named by a full submission, which owes nothing to what stood before. */
  sum: DigestSum;
  /** Ids that a full submission named; null for changes. */
  named: IdSet | null;
  writer: CanonicalWriter;
}

/** `parts` gives the changes of each part. Updates `server.seq` and `record`; resolves to how many entries changed. */
export async function acceptSubmission(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  record: RequestorRecord,
  submission: Submission,
  numbering: ListNumbering,
  parts: AsyncIterable<Change[]>,
): Promise<number> {
  const before = server.seq;
  const work: Acceptance = {
    tx,
    context,
    server,
    record,
    numbering,
    judge: publishJudge(record.name, context.rules),
    sum: DigestSum.from(submission.full ? EMPTY_DIGEST : record.accepted.digest),
    named: submission.full ? new IdSet() : null,
    writer: new CanonicalWriter(),
  };
  if (submission.full) await tx.clearPeerNumbers('collected', record.name);
  for await (const changes of parts) {
    for (let from = 0; from < changes.length; from += BATCH) await take(work, changes.slice(from, from + BATCH));
  }
  if (work.named !== null) await removeUnnamed(work, work.named);
  if (work.sum.digest() !== submission.to.digest) {
    throw new DirpostError(
      'digest-mismatch',
      `The changes of ${record.name} do not add up to the digest that it names.`,
      {
        context: { owner: record.name, seq: submission.to.seq },
      },
    );
  }
  record.accepted = submission.to;
  return server.seq - before;
}

async function take(work: Acceptance, changes: Change[]): Promise<void> {
  const rows = await findRows(work, changes);
  const changed: EntryRow[] = [];
  const renumbered: EntryRow[] = [];
  for (const [i, change] of changes.entries()) {
    const row = rows[i];
    if (change.state === 'removed') {
      if (row !== undefined && !row.deleted) changed.push(removed(work, row));
      continue;
    }
    const bytes = change.state === 'whole' ? change.bytes : patched(work, row, change);
    if (ownerOf(bytes) !== work.record.name || (row !== undefined && row.owner !== work.record.name)) {
      throw new DirpostError('message-payload', `${work.record.name} submitted an entry that is not its own.`);
    }
    work.named?.add(bytes);
    const next = accepted(work, row, bytes, change.number);
    if (next.seq > (row?.seq ?? 0)) changed.push(next);
    else if (next.peerNumber !== row?.peerNumber) renumbered.push(next);
  }
  await work.tx.putEntries('collected', renumbered);
  await write(work, changed);
}

async function write(work: Acceptance, changed: EntryRow[]): Promise<void> {
  if (changed.length === 0) return;
  const numbers = await work.tx.putEntries('collected', changed);
  await work.numbering.entriesChanged(changed.map((row, i) => ({ ...row, number: numbers[i]! })));
}

async function findRows(work: Acceptance, changes: Change[]): Promise<(EntryRow | undefined)[]> {
  const byId = changes.filter((change) => change.id !== null);
  const byNumber = changes.filter((change) => change.id === null);
  const { tx, record } = work;
  const found = await tx.entriesById(
    'collected',
    byId.map((change) => change.id!),
  );
  const numbered = await tx.entriesByPeerNumber(
    'collected',
    record.name,
    byNumber.map((change) => change.number),
  );
  let nextById = 0;
  let nextByNumber = 0;
  return changes.map((change) => (change.id === null ? numbered[nextByNumber++] : found[nextById++]));
}

function patched(work: Acceptance, row: EntryRow | undefined, change: Change): Uint8Array {
  if (row === undefined || row.deleted) {
    throw new DirpostError(
      'digest-mismatch',
      `${work.record.name} changed entry ${change.number}, which is not known here.`,
    );
  }
  return patchEntry(row.bytes!, change.bytes, work.writer);
}

function removed(work: Acceptance, row: EntryRow): EntryRow {
  if (work.named === null) work.sum.subtract(row.hash);
  work.record.live--;
  if (row.note !== null) unflag(work.record, row.id);
  return { ...row, seq: ++work.server.seq, deleted: true, bytes: null, changed: null, note: null };
}

/** The row as it becomes; its seq is a new one only if the entry itself changed. */
function accepted(work: Acceptance, row: EntryRow | undefined, bytes: Uint8Array, peerNumber: number): EntryRow {
  const hash = entryHash(bytes);
  const live = row !== undefined && !row.deleted;
  work.sum.add(hash);
  if (live && work.named === null) work.sum.subtract(row.hash);
  if (live && Buffer.compare(hash, row.hash) === 0) return { ...row, peerNumber };
  if (live) {
    work.record.live--;
    if (row.note !== null) unflag(work.record, row.id);
  }
  const seq = ++work.server.seq;
  const refusal = work.judge(bytes, work.record.live);
  const next: EntryRow = {
    number: row?.number ?? 0,
    id: Buffer.from(bytes.subarray(0, 16)),
    owner: work.record.name,
    seq,
    deleted: false,
    hash,
    bytes,
    peerNumber,
    introduced: 0,
    changed: live ? changedAttributes(row, bytes, seq) : null,
    note: refusal?.code ?? null,
  };
  if (refusal !== null) flag(work.record, next.id, refusal, work.context.limits.maxRefusedNamed);
  work.record.live++;
  return next;
}

/** A full submission replaces: what it did not name is gone (the owner's word, complete by its digest). */
async function removeUnnamed(work: Acceptance, named: IdSet): Promise<void> {
  const { tx, record } = work;
  for (let after = 0; ; ) {
    const rows = await tx.scanHashes('collected', after, 5 * BATCH, record.name);
    if (rows.length === 0) return;
    after = rows.at(-1)!.number;
    const numbers = rows.filter((row) => !row.deleted && !named.has(row.id)).map((row) => row.number);
    for (let from = 0; from < numbers.length; from += BATCH) {
      const gone = (await tx.entriesByNumber('collected', numbers.slice(from, from + BATCH))) as EntryRow[];
      await write(
        work,
        gone.map((row) => removed(work, row)),
      );
    }
  }
}
