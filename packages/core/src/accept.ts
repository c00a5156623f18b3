/**
 * T2, first half: a submission becomes part of what the server collected. Runs inside the store transaction that
 * processes the exchange; throws `digest-mismatch` when the sum afterwards is not what the owner says, and then
 * nothing of it stays. What is collected is what the owner says; what the lists show of it is subject to limits (holds.ts).
 */
import type { Change, Submission } from './change.ts';
import { type ChangedEntry, UniqueValues } from './claims.ts';
import { DigestSum, EMPTY_DIGEST } from './digest.ts';
import { changedAttributes } from './changed-attributes.ts';
import { editRefusal, nameRefusedEdits, reviewEdits, targetsOf } from './edit-permission.ts';
import { isEdit } from './edits.ts';
import { patchMayHaveEffect } from './effects.ts';
import { attributeSpans, CanonicalWriter, entryHash, ownerOf, patchEntry } from './entry.ts';
import { DirpostError } from './errors.ts';
import { beginHolding, effectsOver, heldRows, holdOrShow, listable, shownBytes, showHeld } from './holds.ts';
import { IdSet } from './id-set.ts';
import type { Limits } from './limits.ts';
import type { ListNumbering } from './list-numbering.ts';
import { type PublishJudge, publishJudge } from './permission.ts';
import { OneAhead } from './parts-ahead.ts';
import { flag, type RequestorRecord, type ServerContext, type ServerRecord, unflag } from './records.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

interface Acceptance {
  tx: StoreTx;
  context: ServerContext;
  server: ServerRecord;
  record: RequestorRecord;
  numbering: ListNumbering;
  unique: UniqueValues;
  judge: PublishJudge;
  /** Of everything after changes; of what was named by a full submission, which owes nothing to what stood before. */
  sum: DigestSum;
  /** Ids that a full submission named; null for changes. */
  named: IdSet | null;
  writer: CanonicalWriter;
  /** Entries that changed, shown or held. */
  accepted: number;
  /** Called when the store has begun to write: the next part is decoded while it does. */
  meanwhile(): void;
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
  const work: Acceptance = {
    tx,
    context,
    server,
    record,
    numbering,
    unique: new UniqueValues(tx, context.unique),
    judge: publishJudge(record.name, context.rules, context.unique),
    sum: DigestSum.from(submission.full ? EMPTY_DIGEST : record.accepted.digest),
    named: submission.full ? new IdSet() : null,
    writer: new CanonicalWriter(),
    accepted: 0,
    meanwhile: () => {},
  };
  const { live, members, holding } = record;
  const edits = await tx.countEdits('collected', record.name);
  beginHolding(holding, { entries: live - edits + holding.held.removals, members });
  if (submission.full) await tx.clearPeerNumbers('collected', record.name);
  await takeParts(work, parts);
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
  if (holding.held.entries > 0) {
    const over = effectsOver(holding, context.holds);
    for await (const rows of heldRows(tx, 'collected', over, record.name)) await showCollected(work, rows, false);
  }
  await work.unique.settle(server, numbering);
  await reviewEdits(tx, context, server, numbering, [record]);
  await nameRefusedEdits(tx, context, record);
  return work.accepted;
}

async function takeParts(work: Acceptance, parts: AsyncIterable<Change[]>): Promise<void> {
  const ahead = new OneAhead(parts);
  work.meanwhile = () => ahead.begin();
  try {
    for (let changes = await ahead.next(); changes !== undefined; changes = await ahead.next()) {
      for (let from = 0; from < changes.length; from += BATCH) await take(work, changes.slice(from, from + BATCH));
    }
  } finally {
    work.meanwhile = () => {};
    await ahead.end();
  }
}

async function take(work: Acceptance, changes: Change[]): Promise<void> {
  const rows = await findRows(work, changes);
  const entries = changes.map((change, i) => {
    if (change.state === 'removed') return null;
    return change.state === 'whole' ? change.bytes : patched(work, rows[i], change);
  });
  refuseTwice(work.record.name, changes, rows);
  const targets = await targetsOf(work.tx, entries);
  const placed: Placed = { shown: [], quiet: [] };
  for (const [i, change] of changes.entries()) {
    const row = rows[i];
    const bytes = entries[i]!;
    const isForeign = row !== undefined && row.owner !== work.record.name;
    // It was never counted as his, and stays as it is: so who published it by mistake goes on once he has taken it out.
    if (isForeign && bytes === null) continue;
    if (isForeign) throw ownedByAnother(work.record.name, row);
    if (bytes !== null && ownerOf(bytes) !== work.record.name) {
      throw new DirpostError('message-payload', `${work.record.name} submitted an entry in the name of another.`);
    }
    if (bytes === null) {
      if (row !== undefined && !row.deleted) remove(work, row, placed);
      continue;
    }
    work.named?.add(bytes);
    const harmless = change.state === 'part' && row?.held === null && !patchMayHaveEffect(change.bytes);
    accept(work, row, { bytes, peerNumber: change.number, harmless, target: targets[i] }, placed);
  }
  if (placed.quiet.length > 0) await work.tx.putEntries('collected', placed.quiet);
  await write(work, placed.shown);
}

/** What all changes of a batch are judged by is read once before: an entry that stood there twice would count twice in every sum. */
function refuseTwice(sender: string, changes: Change[], rows: (EntryRow | undefined)[]): void {
  const seen = new Set<string>();
  for (const [i, change] of changes.entries()) {
    const id = rows[i]?.id ?? change.id;
    if (id === null) continue;
    const text = Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
    if (seen.has(text)) {
      const problem = `${sender} submitted the entry ${Buffer.from(id).toString('hex')} twice in one message. Nothing of it was taken.`;
      throw new DirpostError('message-payload', problem, { context: { sender } });
    }
    seen.add(text);
  }
}

/** Names both: the one who came first may be the one who says what is not so (threats.md). */
function ownedByAnother(sender: string, { id, owner, deleted }: EntryRow): DirpostError {
  const until = deleted
    ? `is that of an entry of ${owner}, which was removed and is not forgotten yet`
    : `is of ${owner}`;
  const text = `${sender} submitted an entry whose id ${Buffer.from(id).toString('hex')} ${until}. Nothing of this message was taken.`;
  return new DirpostError('message-payload', text, { context: { sender, owner, deleted } });
}

/** `shown`: got a new seq, and is numbered on the lists. `quiet`: held, or only named by another number. */
interface Placed {
  shown: ChangedEntry[];
  quiet: EntryRow[];
}

type Numbered = Pick<Acceptance, 'tx' | 'server' | 'record' | 'numbering' | 'unique'> &
  Partial<Pick<Acceptance, 'meanwhile'>>;

async function write({ tx, numbering, unique, meanwhile }: Numbered, changed: ChangedEntry[]): Promise<void> {
  if (changed.length === 0) return;
  const rows = changed.map(({ row }) => unique.prepare(row));
  const putting = tx.putEntries('collected', rows);
  meanwhile?.();
  const numbers = await putting;
  const numbered = changed.map(({ row, before }, i) => ({ row: { ...row, number: numbers[i]! }, before }));
  await unique.changed(numbered);
  await numbering.entriesChanged(numbered.map(({ row }) => row));
}

/** What was held of these rows is on the lists from now on: a new seq, as for any change. `unique` is settled by the caller. */
export async function showCollected(work: Numbered, rows: EntryRow[], approved: boolean): Promise<void> {
  const changed = rows.map((row): ChangedEntry => {
    showHeld(work.record, row, approved);
    const seq = ++work.server.seq;
    const shown = { ...row, seq, changed: changedSince(row, row.bytes, seq), held: null };
    return { row: shown, before: listable(row) };
  });
  await write(work, changed);
}

/** Relative to what the lists had of it. */
function changedSince(row: EntryRow, bytes: Uint8Array | null, seq: number): EntryRow['changed'] {
  const before = shownBytes(row);
  if (before === null || bytes === null) return null;
  return changedAttributes({ bytes: before, changed: row.changed }, bytes, seq);
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
  const bytes = patchEntry(row.bytes!, change.bytes, work.writer);
  if (isTooLarge(bytes, work.context.limits)) {
    throw new DirpostError('limit-exceeded', `${work.record.name} made an entry larger than entries may be.`);
  }
  return bytes;
}

/** Each change is within the limits, and many together need not be. Nobody would take what is sent of such an entry. */
function isTooLarge(bytes: Uint8Array, { maxEntryBytes, maxAttributes }: Limits): boolean {
  if (bytes.length > maxEntryBytes) return true;
  let count = 0;
  for (const _ of attributeSpans(bytes)) count++;
  return count > maxAttributes;
}

function remove(work: Acceptance, row: EntryRow, placed: Placed): void {
  if (work.named === null) work.sum.subtract(row.hash);
  work.record.live--;
  if (row.note !== null) unflag(work.record, row.id);
  place(work, row, { ...row, deleted: true, bytes: null, note: null }, false, placed);
}

interface Submitted {
  bytes: Uint8Array;
  peerNumber: number;
  harmless: boolean;
  /** Of an edit: the entry that it is of. */
  target: EntryRow | undefined;
}

function accept(
  work: Acceptance,
  row: EntryRow | undefined,
  { bytes, peerNumber, harmless, target }: Submitted,
  placed: Placed,
): void {
  const hash = entryHash(bytes);
  const live = row !== undefined && !row.deleted;
  work.sum.add(hash);
  if (live && work.named === null) work.sum.subtract(row.hash);
  if (live && Buffer.compare(hash, row.hash) === 0) {
    if (peerNumber !== row.peerNumber) placed.quiet.push({ ...row, peerNumber });
    return;
  }
  if (live) {
    work.record.live--;
    if (row.note !== null) unflag(work.record, row.id);
  }
  const { lists, limits } = work.context;
  const refusal =
    work.judge(bytes, work.record.live) ?? (isEdit(bytes) ? editRefusal(lists, work.record.name, bytes, target) : null);
  const next: EntryRow = {
    number: row?.number ?? 0,
    id: Buffer.from(bytes.subarray(0, 16)),
    owner: work.record.name,
    seq: row?.seq ?? 0,
    deleted: false,
    hash,
    bytes,
    peerNumber,
    introduced: 0,
    changed: row?.changed ?? null,
    note: refusal?.code ?? null,
    held: null,
    withheld: row?.withheld ?? null,
  };
  if (refusal !== null) flag(work.record, next.id, refusal, limits.maxRefusedNamed);
  work.record.live++;
  place(work, row, next, harmless, placed);
}

/** What is refused leaves the lists at once, whatever the limits are: the rules say so, and not its owner. */
function place(
  work: Acceptance,
  row: EntryRow | undefined,
  next: EntryRow,
  harmless: boolean,
  { shown, quiet }: Placed,
): void {
  work.accepted++;
  const before = row === undefined ? null : listable(row);
  const after = next.note !== null ? null : next.bytes;
  const change = { before, after, harmless: harmless || next.note !== null };
  if (holdOrShow(work.record, row, next, change, work.context.clock.now()) === 'held') {
    quiet.push(next);
    return;
  }
  next.seq = ++work.server.seq;
  next.changed = row === undefined ? null : changedSince(row, next.bytes, next.seq);
  shown.push({ row: next, before });
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
      const placed: Placed = { shown: [], quiet: [] };
      for (const row of gone) remove(work, row, placed);
      await work.tx.putEntries('collected', placed.quiet);
      await write(work, placed.shown);
    }
  }
}
