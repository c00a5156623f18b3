/**
 * Edits at the editor: what he proposes is an entry of his own (edits.ts), published beside those of his directories until its
 * owner has settled it (settle.ts). It travels with the next exchange.
 *
 *   proposeEdit ─▶ published ─▶ server ─▶ owner settles ─▶ the target comes back with its mark ─▶ settledEdits ─▶ withdrawEdit
 */
import { changedAttributes } from './changed-attributes.ts';
import { DigestSum } from './digest.ts';
import {
  baseOf,
  type Edit,
  editId,
  encodeEdit,
  EDIT_SERIAL_BYTES,
  isBasedOn,
  isSettledIn,
  MAX_EDIT_BASES,
  readEdit,
} from './edits.ts';
import { type Attributes, compareBytes, decodeEntry, encodeEntry, entryHash } from './entry.ts';
import { DirpostError } from './errors.ts';
import { loadOwn, type OwnRecord, type RequestorContext, saveOwn } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

/** `EntryRow.note` of published edits, in the place of a directory: none can have this name, so no read removes them. */
export const EDITS_NOTE = '(edits)';

const BATCH = 1_000;

type Editor = Pick<RequestorContext, 'name' | 'random'>;

export interface Proposal {
  /** Entry id of somebody else's entry. */
  target: Uint8Array;
  /** All that is to be otherwise; it replaces what was proposed for this entry before. Without values: to be cleared. */
  values: Attributes;
  /** At least the present values of these attributes, as the replica has them: without anybody's edits. */
  saw: Attributes;
}

export interface OwnEdit extends Edit {
  /** Entry id of the edit. */
  id: Uint8Array;
  /** Entry hash: what the owner marks as settled. */
  hash: Uint8Array;
}

/** Publishes it in place of an earlier one. `as it is`: it has been proposed already. Throws DirpostError `wrong-use` for what may not be edited. */
export async function proposeEdit(
  tx: StoreTx,
  { name, random }: Editor,
  { target, values, saw }: Proposal,
): Promise<'proposed' | 'as it is'> {
  const [row] = await tx.entriesById('published', [editId(name, target)]);
  const earlier = row === undefined || row.deleted ? null : readEdit(row.bytes!);
  if (earlier !== null && isSame(earlier, values, saw)) return 'as it is';
  const edit: Edit = { target, values, bases: basesOf(values, saw, earlier), serial: random(EDIT_SERIAL_BYTES) };
  const bytes = encodeEntry(encodeEdit(name, edit));
  const own = await loadOwn(tx);
  await tx.putEntries('published', [publishedRow(own, name, row, bytes)]);
  await saveOwn(tx, own);
  return 'proposed';
}

/**
 * What the owner may have: what was seen, or that with the earlier edit, which he may have taken meanwhile; nobody here knows
 * yet. Of those before it only the hashes are left, which speak of the same attributes only.
 */
function basesOf(values: Attributes, saw: Attributes, earlier: Edit | null): Uint8Array[] {
  const names = [...values.keys()];
  const bases = [baseOf(saw, names)];
  if (earlier !== null) {
    bases.push(baseOf(new Map([...saw, ...earlier.values]), names));
    const isOfTheSame = earlier.values.size === names.length && names.every((one) => earlier.values.has(one));
    if (isOfTheSame) bases.push(...earlier.bases);
  }
  return [...new Map(bases.map((base) => [hex(base), base])).values()].slice(0, MAX_EDIT_BASES);
}

function isSame(earlier: Edit, values: Attributes, saw: Attributes): boolean {
  const isAs = compareBytes(baseOf(earlier.values, earlier.values.keys()), baseOf(values, values.keys())) === 0;
  return isAs && isBasedOn(earlier, saw);
}

function publishedRow(own: OwnRecord, owner: string, row: EntryRow | undefined, bytes: Buffer): EntryRow {
  const live = row !== undefined && !row.deleted;
  const hash = entryHash(bytes);
  const sum = DigestSum.from(own.digest);
  if (live) sum.subtract(row.hash);
  else own.live++;
  own.digest = sum.add(hash).digest();
  const seq = ++own.seq;
  return {
    number: row?.number ?? 0,
    id: decodeEntry(bytes).id,
    owner,
    seq,
    deleted: false,
    hash,
    bytes,
    peerNumber: null,
    introduced: live ? row.introduced : seq,
    changed: live ? changedAttributes(row, bytes, seq) : null,
    note: EDITS_NOTE,
    held: null,
    withheld: null,
  };
}

/** Whether there was one. */
export async function withdrawEdit(tx: StoreTx, { name }: Pick<Editor, 'name'>, target: Uint8Array): Promise<boolean> {
  const [row] = await tx.entriesById('published', [editId(name, target)]);
  if (row === undefined || row.deleted) return false;
  const own = await loadOwn(tx);
  own.digest = DigestSum.from(own.digest).subtract(row.hash).digest();
  own.live--;
  const tombstone = { ...row, seq: ++own.seq, deleted: true, bytes: null, changed: null };
  await tx.putEntries('published', [tombstone]);
  await saveOwn(tx, own);
  return true;
}

/** What this postoffice proposes for each of these entries. */
export async function ownEdits(tx: StoreTx, targets: Uint8Array[]): Promise<(OwnEdit | undefined)[]> {
  const found = await tx.editsOf('published', targets);
  return found.map(([row]) => (row === undefined ? undefined : ownEdit(row)));
}

/** All of them, ascending by number of their rows, from numbers > `after`. */
export async function scanOwnEdits(
  tx: StoreTx,
  after: number,
  limit: number,
): Promise<(OwnEdit & { number: number })[]> {
  const rows = await tx.scanEdits('published', after, limit);
  return rows.map((row) => ({ ...ownEdit(row), number: row.number }));
}

function ownEdit({ id, bytes, hash }: EntryRow): OwnEdit {
  const edit = readEdit(bytes!);
  if (edit === null) throw new DirpostError('store-damaged', 'An edit that is published is malformed.');
  return { ...edit, id, hash };
}

/** An own edit that is at its end and may be withdrawn. */
export interface SettledEdit {
  target: Uint8Array;
  hash: Uint8Array;
  /** `gone`: the target has left the list that this postoffice follows. */
  outcome: 'settled' | 'gone';
  edit: OwnEdit;
  /** Attributes that are as proposed; of a target that is gone none. */
  taken: string[];
}

/**
 * Own edits that their owners have settled, or whose targets are gone. Empty as long as this postoffice has no replica that is
 * known to be whole.
 */
export async function settledEdits(tx: StoreTx, limit = BATCH): Promise<SettledEdit[]> {
  const { cursor } = await loadOwn(tx);
  if (cursor === null) return [];
  const settled: SettledEdit[] = [];
  for (let after = 0; settled.length < limit; ) {
    const edits = await scanOwnEdits(tx, after, BATCH);
    if (edits.length === 0) break;
    after = edits.at(-1)!.number;
    const targets = await tx.entriesById(
      'replica',
      edits.map(({ target }) => target),
    );
    for (const [i, edit] of edits.entries()) {
      const bytes = targets[i]?.bytes ?? null;
      const { target, hash } = edit;
      if (bytes === null) settled.push({ target, hash, edit, outcome: 'gone', taken: [] });
      else if (isSettledIn(bytes, hash))
        settled.push({ target, hash, edit, outcome: 'settled', taken: takenOf(edit, bytes) });
    }
  }
  return settled.slice(0, limit);
}

function takenOf({ values }: Edit, bytes: Uint8Array): string[] {
  const { attributes } = decodeEntry(bytes);
  const isAs = (name: string) => compareBytes(baseOf(values, [name]), baseOf(attributes, [name])) === 0;
  return [...values.keys()].filter(isAs);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
