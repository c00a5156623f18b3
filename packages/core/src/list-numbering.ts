/**
 * Numbering what changed entries, or changed definitions, mean for the address lists (T2, rule 12): the one place
 * that writes list rows and keeps the sums per list and owner.
 */
import { type ChangedEntry, UniqueValues } from './claims.ts';
import { DigestSum, EMPTY_DIGEST } from './digest.ts';
import { isEdit } from './edits.ts';
import { editRefusal, reviewAllEdits, targetsOf } from './edit-permission.ts';
import { membersIn } from './effects.ts';
import { countHeld, listable } from './holds.ts';
import { type AddressList, isEditRow, type ListEffect, listEffect } from './list.ts';
import {
  allRequestors,
  flag,
  type ListRecord,
  listDocument,
  loadList,
  type RequestorRecord,
  saveList,
  saveRequestor,
  type ServerContext,
  type ServerRecord,
} from './records.ts';
import { type PublishJudge, publishJudge, rulesFingerprint } from './permission.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

interface RunningSum {
  sum: DigestSum;
  count: number;
}

/** Gathers the effects of many batches on all lists; `save` writes the sums once. */
export class ListNumbering {
  readonly #sums = new Map<string, Map<string, RunningSum>>();
  readonly #records = new Map<string, ListRecord>();
  /** By hexadecimal id: entries that entered or left a list, and of which there are edits (edit-permission.ts). */
  readonly #moved = new Map<string, Uint8Array>();

  constructor(
    private readonly tx: StoreTx,
    private readonly lists: AddressList[],
  ) {}

  /** `rows` have their numbers, and in `seq` the seq of this change. */
  async entriesChanged(rows: EntryRow[]): Promise<void> {
    const targets = await targetsOfRows(this.tx, rows);
    const moved = new Set<EntryRow>();
    for (const list of this.lists) {
      const before = await this.tx.listRows(
        list.definition.name,
        rows.map((row) => row.number),
      );
      const effects: ListEffect[] = [];
      for (const [i, row] of rows.entries()) {
        const effect = listEffect(list, row, before[i], row.seq, { target: targets[i] });
        if (effect === null) continue;
        effects.push(effect);
        if (effect.add === null || effect.subtract === null) moved.add(row);
      }
      await this.#write(list, effects);
    }
    await this.#noteMoved([...moved]);
  }

  async #noteMoved(rows: EntryRow[]): Promise<void> {
    const ids = rows.filter((row) => !isEditRow(row)).map(({ id }) => id);
    if (ids.length === 0) return;
    const edits = await this.tx.editsOf('collected', ids);
    for (const [i, id] of ids.entries()) if (edits[i]!.length > 0) this.#moved.set(Buffer.from(id).toString('hex'), id);
  }

  /** Ids of entries with edits that entered or left a list since the last call. */
  takeMoved(): Uint8Array[] {
    const moved = [...this.#moved.values()];
    this.#moved.clear();
    return moved;
  }

  /** One list was redefined: only `list` is touched, and every change gets a new seq. */
  async redefined(list: AddressList, rows: EntryRow[], nextSeq: () => number): Promise<void> {
    const before = await this.tx.listRows(
      list.definition.name,
      rows.map((row) => row.number),
    );
    const targets = await targetsOfRows(this.tx, rows);
    const effects: ListEffect[] = [];
    for (const [i, row] of rows.entries()) {
      const effect = listEffect(list, row, before[i], 0, { redefined: true, target: targets[i] });
      if (effect === null) continue;
      const seq = nextSeq();
      effects.push({ ...effect, row: renumbered(effect.row, seq) });
    }
    await this.#write(list, effects);
  }

  async save(): Promise<void> {
    for (const [list, owners] of this.#sums) {
      const record = this.#records.get(list)!;
      await this.tx.putSums(
        list,
        [...owners].map(([owner, { sum, count }]) => ({ owner, digest: sum.digest(), count })),
      );
      await saveList(this.tx, record);
    }
  }

  async #write(list: AddressList, effects: ListEffect[]): Promise<void> {
    if (effects.length === 0) return;
    const name = list.definition.name;
    await this.tx.putListRows(
      name,
      effects.map((effect) => effect.row),
    );
    if (!this.#records.has(name)) this.#records.set(name, await loadList(this.tx, name));
    const record = this.#records.get(name)!;
    const total = DigestSum.from(record.digest);
    for (const { row, add, subtract } of effects) {
      const own = await this.#ownerSum(name, row.owner);
      for (const sum of [own.sum, total]) {
        if (add !== null) sum.add(add);
        if (subtract !== null) sum.subtract(subtract);
      }
      const gained = (add === null ? 0 : 1) - (subtract === null ? 0 : 1);
      own.count += gained;
      record.count += gained;
    }
    record.digest = total.digest();
  }

  async #ownerSum(list: string, owner: string): Promise<RunningSum> {
    const owners = this.#sums.get(list) ?? new Map<string, RunningSum>();
    this.#sums.set(list, owners);
    let running = owners.get(owner);
    if (running === undefined) {
      const stored = await this.tx.sum(list, owner);
      running = {
        sum: stored === undefined ? new DigestSum() : DigestSum.from(stored.digest),
        count: stored?.count ?? 0,
      };
      owners.set(owner, running);
    }
    return running;
  }
}

function targetsOfRows(tx: StoreTx, rows: EntryRow[]): Promise<(EntryRow | undefined)[]> {
  return targetsOf(
    tx,
    rows.map(({ bytes }) => bytes),
  );
}

/** Zeros stand for the seq that this row gets now. */
function renumbered(row: ListEffect['row'], seq: number): ListEffect['row'] {
  const numbered = { ...row, seq };
  if (row.first === 0) numbered.first = seq;
  if (row.entered === 0) numbered.entered = seq;
  if (row.introduced === 0) numbered.introduced = seq;
  return numbered;
}

/**
 * Brings the store in line with the configured lists and publishing rules; called at every start. Costs one pass over
 * all entries for each list that changed, nothing otherwise. Returns the names of the lists that changed.
 */
export async function applyDefinitions(tx: StoreTx, context: ServerContext, server: ServerRecord): Promise<string[]> {
  const touched: string[] = [];
  const configured = new Set(context.lists.map((list) => list.definition.name));
  for (const document of await tx.documentNames(listDocument(''))) {
    const name = document.slice(listDocument('').length);
    if (configured.has(name)) continue;
    await tx.removeList(name);
    await tx.removeSums(name);
    await tx.removeDocument(document);
    touched.push(name);
  }
  const judged = await rejudge(tx, context, server);
  await claimAnew(tx, context, server, judged);
  for (const list of context.lists) {
    const { name } = list.definition;
    const known = await tx.getDocument<ListRecord>(listDocument(name));
    if (known?.fingerprint === list.fingerprint && !judged) continue;
    const identity = known?.identity ?? Buffer.from(context.random(8)).toString('hex');
    const empty = { digest: EMPTY_DIGEST, count: 0, purged: 0 };
    await saveList(tx, { ...empty, ...known, name, identity, fingerprint: list.fingerprint });
    const numbering = new ListNumbering(tx, [list]);
    for (let after = 0; ; ) {
      const rows = await tx.scanEntries('collected', after, BATCH);
      if (rows.length === 0) break;
      await numbering.redefined(list, rows, () => ++server.seq);
      after = rows.at(-1)!.number;
    }
    await numbering.save();
    touched.push(name);
  }
  await judgeEditsAnew(tx, context, server, touched.length > 0);
  return touched;
}

const EDITS = 'server/edits';

/** Where lists or their receivers are others than before. */
async function judgeEditsAnew(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  touched: boolean,
): Promise<void> {
  const lists = JSON.stringify(
    context.lists.map(({ fingerprint, definition: { name, receivers, edits } }) => [
      name,
      fingerprint,
      receivers,
      edits,
    ]),
  );
  if (!touched && (await tx.getDocument<string>(EDITS)) === lists) return;
  const numbering = new ListNumbering(tx, context.lists);
  await reviewAllEdits(tx, context, server, numbering);
  await numbering.save();
  await tx.putDocument(EDITS, lists);
}

const UNIQUE = 'server/unique';

/** Where the attributes whose values must be unique are others than before. */
async function claimAnew(tx: StoreTx, context: ServerContext, server: ServerRecord, judged: boolean): Promise<void> {
  const attributes = JSON.stringify(context.unique);
  if ((await tx.getDocument<string>(UNIQUE)) === attributes) return;
  // What is numbered anew afterwards is numbered once.
  const settled: AddressList[] = [];
  for (const list of judged ? [] : context.lists) {
    const known = await tx.getDocument<ListRecord>(listDocument(list.definition.name));
    if (known?.fingerprint === list.fingerprint) settled.push(list);
  }
  const numbering = new ListNumbering(tx, settled);
  await new UniqueValues(tx, context.unique).rebuild(server, numbering);
  await numbering.save();
  await tx.putDocument(UNIQUE, attributes);
}

const RULES = 'server/rules';

/**
 * The row as the rules want it; null where it is right. What is not allowed any more leaves the lists at once, also if it
 * was only there because an effect is held.
 */
function judgedRow(row: EntryRow, record: RequestorRecord, judge: PublishJudge, maxNamed: number): EntryRow | null {
  if (row.bytes === null && row.held === null) return null;
  const refusal = row.bytes === null ? null : judge(row.bytes, record.live++);
  if (refusal !== null) flag(record, row.id, refusal, maxNamed);
  const note = refusal?.code ?? null;
  const ends = row.held !== null && (note !== null || judge(row.held.shown!, 0) !== null);
  if (note === row.note && !ends) return null;
  if (ends) countHeld(record.holding.held, row.held!, -1);
  const next = { ...row, note, held: ends ? null : row.held };
  const [before, after] = [row, next].map(listable);
  record.members += membersIn(after!) - membersIn(before!);
  return next;
}

/** Flags and unflags entries where the publishing rules changed; whether they did. */
async function rejudge(tx: StoreTx, context: ServerContext, server: ServerRecord): Promise<boolean> {
  const fingerprint = rulesFingerprint(context.rules);
  if ((await tx.getDocument<string>(RULES)) === fingerprint) return false;
  const unique = new UniqueValues(tx, context.unique);
  const judges = new Map<string, PublishJudge>();
  const records = new Map<string, RequestorRecord>();
  for (const record of await allRequestors(tx)) {
    records.set(record.name, Object.assign(record, { live: 0, flaggedCount: 0, flagged: [] }));
  }
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('collected', after, BATCH);
    if (rows.length === 0) break;
    const changed: ChangedEntry[] = [];
    const targets = await targetsOfRows(tx, rows);
    for (const [i, row] of rows.entries()) {
      const record = records.get(row.owner);
      if (record === undefined) continue;
      if (!judges.has(row.owner)) judges.set(row.owner, publishJudge(row.owner, context.rules, context.unique));
      const judge: PublishJudge = (bytes, live) =>
        judges.get(row.owner)!(bytes, live) ??
        (isEdit(bytes) ? editRefusal(context.lists, row.owner, bytes, targets[i]) : null);
      const next = judgedRow(row, record, judge, context.limits.maxRefusedNamed);
      if (next !== null) changed.push({ row: unique.prepare(next), before: listable(row) });
    }
    await tx.putEntries(
      'collected',
      changed.map(({ row }) => row),
    );
    // Who may be shown from now on had nothing before.
    await unique.changed(changed, () => ++server.seq);
    after = rows.at(-1)!.number;
  }
  // All lists are numbered anew after this.
  await unique.settle(server, new ListNumbering(tx, []));
  for (const record of records.values()) await saveRequestor(tx, record);
  await tx.putDocument(RULES, fingerprint);
  return true;
}
