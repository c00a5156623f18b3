/**
 * Edits at the owner of their targets (T3): each is taken or refused, once, and either way he publishes its entry hash with the
 * target (x-edit-settled). Only then its editor withdraws it, and only when it has gone from the replica the mark goes.
 *
 *   edit in the replica ─▶ pendingEdits ─▶ (caller: own directory) ─▶ settleEdit ─▶ … edit gone ─▶ sweepSettled
 *
 * Which edits were settled is remembered for a while longer: one that comes back, because a store was restored or a list was
 * redefined, is told to be settled again and never taken twice.
 */
import { changedAttributes } from './changed-attributes.ts';
import { DigestSum } from './digest.ts';
import { baseOf, type Edit, isBasedOn, isSettledIn, readEdit, settledIn, withSettled } from './edits.ts';
import { type Attributes, compareBytes, decodeEntry, encodeAttributes, entryHash, patchEntry } from './entry.ts';
import { loadOwn, type RequestorContext, saveOwn } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 1_000;
/** So long an edit that has gone is known to have been settled. */
const REMEMBERED_MS = 90 * 24 * 3_600_000;

type Owner = Pick<RequestorContext, 'clock'>;

/** Who wins, of an attribute, where an edit is not based on what it is now. `no-change`: nobody; it stays as it is and is told. */
export type EditPolicy = 'owner-wins' | 'editor-wins' | 'no-change';

export interface PendingEdit {
  /** Of its row in the replica. */
  number: number;
  /** Entry hash of the edit. */
  hash: Uint8Array;
  editor: string;
  edit: Edit;
  /** What the edited attributes are in what is published of the target. */
  present: Attributes;
  /** `take`: based on what they are. `already`: they are so, or it was settled before. `conflict`: they changed meanwhile. */
  verdict: 'take' | 'already' | 'conflict';
  /** Attributes to take, by the verdict and the policies; to be given to settleEdit. */
  take: string[];
  /** Attributes of a conflict whose proposed values lose. */
  lost: string[];
}

/** Edits of own entries that wait for an answer, ascending by number, from numbers > `from`. */
export async function pendingEdits(
  tx: StoreTx,
  limit: number,
  policyOf: (attribute: string) => EditPolicy = () => 'owner-wins',
  from = 0,
): Promise<PendingEdit[]> {
  const pending: PendingEdit[] = [];
  for (let after = from; pending.length < limit; ) {
    const rows = await tx.scanEdits('replica', after, BATCH);
    if (rows.length === 0) break;
    after = rows.at(-1)!.number;
    const edits = rows.map(({ bytes }) => readEdit(bytes!));
    const targets = await tx.entriesById(
      'published',
      edits.map((edit) => edit?.target ?? NONE),
    );
    for (const [i, row] of rows.entries()) {
      const target = targets[i];
      const edit = edits[i] ?? null;
      if (edit === null || !isOwn(target) || isSettledIn(target.bytes!, row.hash)) continue;
      const known = await rememberedIn(tx, edit.target);
      pending.push(judged(row, edit, target, hex(row.hash) in known, policyOf));
    }
  }
  return pending.slice(0, limit);
}

/** An edit of an edit is nobody's. */
function isOwn(target: EntryRow | undefined): target is EntryRow {
  return target !== undefined && !target.deleted && readEdit(target.bytes!) === null;
}

function judged(
  { number, owner: editor, hash }: EntryRow,
  edit: Edit,
  target: EntryRow,
  isKnown: boolean,
  policyOf: (attribute: string) => EditPolicy,
): PendingEdit {
  const { attributes } = decodeEntry(target.bytes!);
  const names = [...edit.values.keys()];
  const present: Attributes = new Map(names.map((name) => [name, attributes.get(name) ?? []]));
  const other = names.filter((name) => compareBytes(baseOf(present, [name]), baseOf(edit.values, [name])) !== 0);
  const about = { number, hash, editor, edit, present };
  if (isKnown || other.length === 0) return { ...about, verdict: 'already', take: [], lost: [] };
  if (isBasedOn(edit, attributes)) return { ...about, verdict: 'take', take: other, lost: [] };
  const take = other.filter((name) => policyOf(name) === 'editor-wins');
  return { ...about, verdict: 'conflict', take, lost: other.filter((name) => !take.includes(name)) };
}

export interface Settlement {
  target: Uint8Array;
  /** Entry hash of the edit. */
  hash: Uint8Array;
  /** Attributes that are as proposed from now on; empty: refused, or so already. */
  take: string[];
}

/**
 * Publishes that the edit is settled, in one change with the values that are taken. `gone`: edit or target is there no more, or
 * is another one; nothing is published. Doing it again changes nothing.
 */
export async function settleEdit(
  tx: StoreTx,
  { clock }: Owner,
  { target, hash, take }: Settlement,
): Promise<'settled' | 'gone'> {
  const [row] = await tx.entriesById('published', [target]);
  const [edits] = await tx.editsOf('replica', [target]);
  const found = edits!.find((one) => compareBytes(one.hash, hash) === 0);
  const edit = found === undefined ? null : readEdit(found.bytes!);
  if (edit === null || !isOwn(row)) return 'gone';
  if (isSettledIn(row.bytes!, hash)) return 'settled';
  const known = await rememberedIn(tx, target);
  const values: Attributes = new Map([...edit.values].filter(([name]) => take.includes(name)));
  const isTaken = !(hex(hash) in known) && values.size > 0;
  const valued = isTaken ? patchEntry(row.bytes!, encodeAttributes(values)) : row.bytes!;
  await publishAs(tx, row, withSettled(valued, [...settledIn(row.bytes!), hash]));
  await tx.putDocument(memoryOf(target), { ...known, [hex(hash)]: clock.now() });
  return 'settled';
}

/** Marks whose edits have gone from the replica go, too; how many entries changed. To be called after each dispatch. */
export async function sweepSettled(tx: StoreTx, { clock }: Owner): Promise<number> {
  const names = await tx.documentNames(memoryOf(NONE));
  let changed = 0;
  for (let from = 0; from < names.length; from += BATCH) {
    const batch = names.slice(from, from + BATCH);
    const targets = batch.map((name) => Buffer.from(name.slice(MEMORY.length), 'hex'));
    const rows = await tx.entriesById('published', targets);
    const edits = await tx.editsOf('replica', targets);
    for (const [i, target] of targets.entries()) {
      const there = new Set(edits[i]!.map((one) => hex(one.hash)));
      if (await sweepTarget(tx, target, rows[i], there, clock.now())) changed++;
    }
  }
  return changed;
}

async function sweepTarget(
  tx: StoreTx,
  target: Uint8Array,
  row: EntryRow | undefined,
  there: Set<string>,
  nowMs: number,
): Promise<boolean> {
  const known = await rememberedIn(tx, target);
  const kept = Object.entries(known).filter(([hash, sinceMs]) => there.has(hash) || nowMs - sinceMs < REMEMBERED_MS);
  if (kept.length === 0) await tx.removeDocument(memoryOf(target));
  else if (kept.length < Object.keys(known).length) await tx.putDocument(memoryOf(target), Object.fromEntries(kept));
  if (!isOwn(row)) return false;
  const marks = settledIn(row.bytes!);
  const standing = marks.filter((mark) => there.has(hex(mark)));
  if (standing.length === marks.length) return false;
  await publishAs(tx, row, withSettled(row.bytes!, standing));
  return true;
}

async function publishAs(tx: StoreTx, row: EntryRow, bytes: Uint8Array): Promise<void> {
  const own = await loadOwn(tx);
  const hash = entryHash(bytes);
  own.digest = DigestSum.from(own.digest).subtract(row.hash).add(hash).digest();
  const seq = ++own.seq;
  await tx.putEntries('published', [{ ...row, seq, hash, bytes, changed: changedAttributes(row, bytes, seq) }]);
  await saveOwn(tx, own);
}

/** What a read gives of an entry that is published, with the marks that it has there (T0). */
export function carryMarks(bytes: Uint8Array, published: Pick<EntryRow, 'bytes'> | undefined): Uint8Array {
  const marks = published?.bytes == null ? [] : settledIn(published.bytes);
  return marks.length === 0 ? bytes : withSettled(bytes, marks);
}

const MEMORY = 'settled/';
const memoryOf = (target: Uint8Array) => `${MEMORY}${hex(target)}`;

/** Entry hashes, in hexadecimal, of edits of this entry that were settled, and when (ms since 1970). */
async function rememberedIn(tx: StoreTx, target: Uint8Array): Promise<Record<string, number>> {
  return (await tx.getDocument<Record<string, number>>(memoryOf(target))) ?? {};
}

const NONE = Buffer.alloc(0);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
