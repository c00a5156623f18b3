/**
 * Which edits the server takes (T2). One that is not allowed is flagged like any entry that a requestor may not publish: it
 * stays in the digest of its owner, is on no list, and his receipt says why.
 *
 *   allowed: the editor's list has the target, of another owner, and takes edits of all its attributes;
 *            the list that the target's owner follows has the target too, and releases the attributes: so he sees it
 *
 * That depends on the target and on the lists. Where one of them changes the edits are looked at again: an entry that enters or
 * leaves any list is remembered (ListNumbering), and reviewEdits runs before the sums are saved.
 */
import { type Edit, readEdit } from './edits.ts';
import { listable } from './holds.ts';
import { type AddressList, isEditOn, isEditRow, listFor } from './list.ts';
import type { ListNumbering } from './list-numbering.ts';
import type { PublishRefusal } from './permission.ts';
import {
  findRequestor,
  flag,
  type RequestorRecord,
  saveRequestor,
  type ServerContext,
  type ServerRecord,
  unflag,
} from './records.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 1_000;
/** It will not be taken, unless lists are defined otherwise. */
export const EDIT_NOT_ALLOWED = 'edit-not-allowed';
/** What it is of is not on the lists now; it may come (back), as after a restore of the server. */
export const EDIT_WAITS = 'edit-waits';

/** Of canonical bytes of edits: the row of each target, undefined where there is none, or where it is no edit. */
export async function targetsOf(tx: StoreTx, entries: (Uint8Array | null)[]): Promise<(EntryRow | undefined)[]> {
  const targets = entries.map((bytes) => (bytes === null ? null : (readEdit(bytes)?.target ?? null)));
  const wanted = targets.filter((target) => target !== null);
  const found = wanted.length === 0 ? [] : await tx.entriesById('collected', wanted);
  let next = 0;
  return targets.map((target) => (target === null ? undefined : found[next++]));
}

/** null: allowed. `bytes`: of the edit; `target`: its row. */
export function editRefusal(
  lists: AddressList[],
  editor: string,
  bytes: Uint8Array,
  target: EntryRow | undefined,
): PublishRefusal | null {
  const edit = readEdit(bytes);
  const refused = edit === null ? 'it is malformed' : whyNever(lists, editor, edit, target);
  if (refused !== null) return { code: EDIT_NOT_ALLOWED, reason: refused };
  const waits = whyNotNow(lists, editor, edit!, target);
  return waits === null ? null : { code: EDIT_WAITS, reason: waits };
}

function whyNever(lists: AddressList[], editor: string, { values }: Edit, target: EntryRow | undefined): string | null {
  const list = listFor(lists, editor);
  if (list === undefined) return `${editor} follows no list`;
  if (target?.owner === editor) return 'it is of an own entry, which needs no edit';
  if (target !== undefined && isEditRow(target)) return 'it is of an edit';
  const names = [...values.keys()];
  const refused = names.find((name) => !list.takesEditsOf(name) || !list.releases(name));
  if (refused !== undefined) return `the list ${list.definition.name} takes no edits of ${refused}`;
  if (target === undefined) return null;
  const owners = listFor(lists, target.owner);
  const unseen = names.find((name) => owners?.releases(name) !== true);
  return unseen === undefined ? null : `the list that ${target.owner} follows does not release ${unseen}`;
}

function whyNotNow(lists: AddressList[], editor: string, edit: Edit, target: EntryRow | undefined): string | null {
  // One whose removal is held is there for all others.
  if (target === undefined || listable(target) === null) return 'the entry that it is of is not there';
  for (const follower of [editor, target.owner]) {
    const list = listFor(lists, follower);
    if (list === undefined || !isEditOn(list, edit, target))
      return `the entry that it is of is not on the list that ${follower} follows`;
  }
  return null;
}

/**
 * Edits of entries that entered or left a list since the last review are judged and numbered again. `known`: records that the
 * caller has loaded and saves himself.
 */
export async function reviewEdits(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  numbering: ListNumbering,
  known: RequestorRecord[],
): Promise<void> {
  const targets = numbering.takeMoved();
  const review = new Review(tx, context, server, known);
  for (let from = 0; from < targets.length; from += BATCH) {
    const edits = (await tx.editsOf('collected', targets.slice(from, from + BATCH))).flat();
    await review.look(edits, numbering);
  }
  await review.save();
}

/** All edits, where lists or their receivers are others than before. */
export async function reviewAllEdits(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  numbering: ListNumbering,
): Promise<void> {
  const review = new Review(tx, context, server, []);
  for (let after = 0; ; ) {
    const edits = await tx.scanEdits('collected', after, BATCH);
    if (edits.length === 0) break;
    after = edits.at(-1)!.number;
    await review.look(edits, numbering);
  }
  await review.save();
}

/** Edits of all owners that are looked at in one exchange. */
const LOOKED_AT = 10_000;

/**
 * Of many refused entries only so many are named. The editor withdraws the edits among them, and then others take their places: at
 * the next exchange, and from where the last look ended, since there may be many. Updates `record`.
 */
export async function nameRefusedEdits(tx: StoreTx, context: ServerContext, record: RequestorRecord): Promise<void> {
  const most = context.limits.maxRefusedNamed;
  const isFull = () => record.flagged.length >= Math.min(most, record.flaggedCount);
  if (isFull()) return;
  const named = new Set(record.flagged.map(({ id }) => id));
  let after = record.namedUpTo ?? 0;
  for (let looked = 0; looked < LOOKED_AT && !isFull(); looked += BATCH) {
    const edits = await tx.scanEdits('collected', after, BATCH);
    const targets = await targetsOf(
      tx,
      edits.map(({ bytes }) => bytes),
    );
    for (const [i, row] of edits.entries()) {
      after = row.number;
      const id = Buffer.from(row.id).toString('hex');
      if (row.owner !== record.name || row.note === null || named.has(id)) continue;
      const refusal = editRefusal(context.lists, row.owner, row.bytes!, targets[i]);
      const reason = refusal?.code === row.note ? refusal.reason : 'as publishing rules of the server say';
      record.flagged.push({ id, code: row.note, reason });
      if (isFull()) break;
    }
    if (edits.length < BATCH && !isFull()) {
      // Those before are looked at the next time.
      after = 0;
      break;
    }
  }
  record.namedUpTo = after;
}

class Review {
  readonly #records = new Map<string, RequestorRecord>();
  readonly #own = new Set<string>();

  constructor(
    private readonly tx: StoreTx,
    private readonly context: ServerContext,
    private readonly server: ServerRecord,
    known: RequestorRecord[],
  ) {
    for (const record of known) this.#records.set(record.name, record);
  }

  async look(edits: EntryRow[], numbering: ListNumbering): Promise<void> {
    if (edits.length === 0) return;
    const targets = await targetsOf(
      this.tx,
      edits.map(({ bytes }) => bytes),
    );
    const judged: EntryRow[] = [];
    for (const [i, row] of edits.entries()) judged.push(await this.#judged(row, targets[i]));
    // Lists may have another standing of one that is judged as before.
    const rows = judged.map((row) => ({ ...row, seq: ++this.server.seq }));
    await this.tx.putEntries('collected', rows);
    await numbering.entriesChanged(rows);
  }

  async #judged(row: EntryRow, target: EntryRow | undefined): Promise<EntryRow> {
    // Refused for another reason, which its target does not change.
    if (row.note !== null && row.note !== EDIT_NOT_ALLOWED && row.note !== EDIT_WAITS) return row;
    const refusal = editRefusal(this.context.lists, row.owner, row.bytes!, target);
    if ((refusal?.code ?? null) === row.note) return row;
    const record = await this.#record(row.owner);
    if (record !== undefined && row.note !== null) unflag(record, row.id);
    if (record !== undefined && refusal !== null) flag(record, row.id, refusal, this.context.limits.maxRefusedNamed);
    return { ...row, note: refusal?.code ?? null };
  }

  async #record(name: string): Promise<RequestorRecord | undefined> {
    const record = this.#records.get(name) ?? (await findRequestor(this.tx, name));
    if (record !== undefined && !this.#records.has(name)) {
      this.#records.set(name, record);
      this.#own.add(name);
    }
    return record;
  }

  async save(): Promise<void> {
    for (const name of this.#own) await saveRequestor(this.tx, this.#records.get(name)!);
  }
}
