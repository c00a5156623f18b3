/**
 * What joining, and leaving again, mean for the two stores (design sections 6 and 11). Whose keys are believed is decided
 * elsewhere (agent, joining/); here stand the rules of the exchange: a requestor that lost everything and joins anew is told the
 * stamp that its first submission replaces (rule 5), so nothing of it is taken for old and nothing in flight wins.
 */
import type { AnchorHint, PostofficeName } from './change.ts';
import { reviewEdits } from './edit-permission.ts';
import { type ChangedEntry, UniqueValues } from './claims.ts';
import { EMPTY_DIGEST } from './digest.ts';
import { listable, noHolding } from './holds.ts';
import type { Incarnation, Stamp } from './incarnation.ts';
import { listFor } from './list.ts';
import { ListNumbering } from './list-numbering.ts';
import {
  ANCHORS_DOCUMENT,
  findRequestor,
  historyScope,
  loadList,
  loadServer,
  saveRequestor,
  saveServer,
  sentScope,
  type ServerContext,
} from './records.ts';
import { forgetReport } from './refused-elsewhere.ts';
import { loadOwn, type RequestorContext, saveOwn, takeNewIncarnation } from './requestor-record.ts';
import type { EntryRow, StoreTx } from './seams/store.ts';

const BATCH = 2_000;

/** What a postoffice has to know of the server before its first exchange. */
export interface Welcome {
  /** Empty where nothing of that name was processed yet. */
  stamp: Stamp;
  /** Incarnation of the server. */
  heard: Incarnation;
  /** Name of the address list that it follows; null for none. */
  list: string | null;
}

export async function welcome(tx: StoreTx, context: ServerContext, name: PostofficeName): Promise<Welcome> {
  const record = await findRequestor(tx, name);
  const { incarnation } = await loadServer(tx);
  return {
    stamp: record?.stamp ?? '',
    heard: incarnation,
    list: listFor(context.lists, name)?.definition.name ?? null,
  };
}

/**
 * At the server: nothing that waits for that postoffice can be opened any more, because its keys are others or gone. What it
 * said of its list and what was collected of it stay.
 */
export async function dropWaiting(tx: StoreTx, name: PostofficeName): Promise<void> {
  const waiting = await tx.outgoing({ to: name });
  await tx.removeOutgoing(waiting.map(({ id }) => id));
  await tx.removeParts(name, 'exchange');
  const record = await findRequestor(tx, name);
  if (record !== undefined) await saveRequestor(tx, { ...record, outstanding: null });
}

/**
 * At the server, of one who is no requestor any more: what it had of the lists proves nothing from now on. Should it come back
 * with the store that it has, a repair tells it what it lacks.
 */
export async function forgetSent(tx: StoreTx, context: ServerContext, name: PostofficeName): Promise<void> {
  const record = await findRequestor(tx, name);
  if (record === undefined) return;
  const { seq } = await loadServer(tx);
  const floors: Record<string, number> = {};
  for (const { definition } of context.lists) {
    const { identity } = await loadList(tx, definition.name);
    await tx.clearCheckpoints(sentScope(name, identity));
    floors[identity] = seq + 1;
  }
  await saveRequestor(tx, { ...record, floors });
}

/**
 * At the requestor: the server's answer. Where the server knows an earlier life of this postoffice, this store begins a new
 * one above it and submits everything; whether it did.
 */
export async function enter(
  tx: StoreTx,
  context: RequestorContext,
  { stamp, heard }: Pick<Welcome, 'stamp' | 'heard'>,
): Promise<boolean> {
  const own = await loadOwn(tx);
  own.heard = { incarnation: heard, number: 0 };
  own.answeredMs = context.clock.now();
  if (stamp !== '') takeNewIncarnation(own, context.random, stamp);
  await saveOwn(tx, own);
  return stamp !== '';
}

/**
 * At the server: the administrator withdraws everything that an owner published. It leaves the lists as if the owner had
 * removed it; how many entries. The stamp stays, so that joining again is possible; and should that postoffice come back
 * with the store that it has, it is told that nothing of it was accepted, and submits everything. `refused`: only what is kept
 * from the lists anyway, before nobody remembers why it is.
 */
export async function withdrawOwner(
  tx: StoreTx,
  context: ServerContext,
  name: PostofficeName,
  which: 'all' | 'refused' = 'all',
): Promise<number> {
  await forgetReport(tx, name);
  const server = await loadServer(tx);
  const numbering = new ListNumbering(tx, context.lists);
  const unique = new UniqueValues(tx, context.unique);
  let withdrawn = 0;
  for (let after = 0; ; ) {
    const rows = await tx.scanEntries('collected', after, BATCH, name);
    if (rows.length === 0) break;
    after = rows.at(-1)!.number;
    // One that is removed and held is still on the lists.
    const goes = ({ deleted, held, note }: EntryRow) =>
      which === 'all' ? !deleted || held !== null : !deleted && note !== null;
    const gone = rows.filter(goes).map((row): ChangedEntry => {
      const rest = { changed: null, note: null, held: null, withheld: null };
      return { row: { ...row, seq: ++server.seq, deleted: true, bytes: null, ...rest }, before: listable(row) };
    });
    if (gone.length === 0) continue;
    const removed = gone.map(({ row }) => row);
    await tx.putEntries('collected', removed);
    await unique.changed(gone);
    await numbering.entriesChanged(removed);
    withdrawn += gone.length;
  }
  await unique.settle(server, numbering);
  await reviewEdits(tx, context, server, numbering, []);
  await numbering.save();
  await saveServer(tx, server);
  const record = await findRequestor(tx, name);
  if (record === undefined || withdrawn === 0) return withdrawn;
  await tx.clearCheckpoints(historyScope(name));
  if (which === 'all') await forgetAnchors(tx, name);
  const empty = { live: 0, members: 0, anchors: [], holding: noHolding() };
  await saveRequestor(tx, {
    ...record,
    ...(which === 'all' ? empty : { live: record.live - withdrawn }),
    accepted: { seq: 0, digest: EMPTY_DIGEST },
    flagged: [],
    flaggedCount: 0,
    // The administrator's word stands for the owner's (rule 9): repairs may infer that these entries are gone.
    confirmedUnder: which === 'all' ? server.incarnation : record.confirmedUnder,
  });
  return withdrawn;
}

/** Of entries that nobody has any more; whoever submits others names them again. */
async function forgetAnchors(tx: StoreTx, name: PostofficeName): Promise<void> {
  const all = (await tx.getDocument<AnchorHint[]>(ANCHORS_DOCUMENT)) ?? [];
  const others = all.filter(({ owner }) => owner !== name);
  if (others.length > 0) await tx.putDocument(ANCHORS_DOCUMENT, others);
  else await tx.removeDocument(ANCHORS_DOCUMENT);
}
