/**
 * T1 at the server: the ways to a requestor may take less than they did when an update was composed for him (rule 11). Its
 * changes are then cut anew into smaller parts, under a number of their own. Nothing of what it says changes, so it does
 * not matter which of the two is complete first: the other is then older than the cursor, or leads where the replica is.
 */
import type { AnchorHint, Change, PostofficeName, Update } from './change.ts';
import { composeParts, type HeadOf } from './parts.ts';
import {
  ANCHORS_DOCUMENT,
  findRequestor,
  loadServer,
  type RequestorRecord,
  saveRequestor,
  type ServerContext,
} from './records.ts';
import type { StoreTx } from './seams/store.ts';
import { receiptOf } from './server.ts';

export interface Recut {
  number: number;
  parts: number;
}

/**
 * null: it was for a life of the requestor that is over, or is not here whole, and is dropped, as a transport might have
 * lost it; his next exchange is answered anew. Throws DirpostError `limit-exceeded` as composing does.
 */
export async function recutUpdate(
  tx: StoreTx,
  context: ServerContext,
  to: PostofficeName,
  number: number,
): Promise<Recut | null> {
  const server = await loadServer(tx);
  const record = await findRequestor(tx, to);
  const kept = (await tx.outgoing({ to, kind: 'update' }))
    .filter((message) => message.number === number && message.incarnation === server.incarnation)
    .toSorted((one, other) => one.part - other.part);
  const ids = kept.map(({ id }) => id);
  const whole = record !== undefined && kept.length > 0 && kept.length === kept[0]!.parts;
  const head = whole ? (context.codec.head((await tx.outgoingPayload(ids[0]!))!) as Update) : null;
  const cursor = head?.cursor == null ? null : context.cookies.open(head.cursor, to);
  if (record === undefined || head === null || cursor === null || head.for !== record.incarnation) {
    await tx.removeOutgoing(ids);
    return null;
  }
  const again = ++record.updateNumber;
  const cookie = context.cookies.seal({ ...cursor, number: again }, to);
  const changes = changesOf(tx, context, ids);
  const headOf = await headAgain(tx, context, record, { ...head, number: again, cursor: cookie });
  const { forIncarnation, incarnation } = kept[0]!;
  const envelope = { to, forIncarnation, incarnation, number: again, kind: 'update' as const };
  const { parts } = await composeParts(tx, context, envelope, changes, headOf);
  await tx.removeOutgoing(ids);
  record.outstanding = parts > 1 ? { number: again, parts } : null;
  await saveRequestor(tx, record);
  return { number: again, parts };
}

/** The receipt as of now: one that was overtaken would name an old stamp. */
async function headAgain(tx: StoreTx, context: ServerContext, record: RequestorRecord, head: Update): Promise<HeadOf> {
  const anchors = (await tx.getDocument<AnchorHint[]>(ANCHORS_DOCUMENT)) ?? [];
  const wantFull = head.receipt.wantFull && head.receipt.newest === record.newest;
  const receipt = await receiptOf(tx, context, record, wantFull);
  return (part, totals, introducing): Update => ({
    ...head,
    receipt,
    part,
    ...totals,
    anchors: anchors.filter(({ owner }) => introducing.has(owner)),
  });
}

async function* changesOf(tx: StoreTx, { codec }: ServerContext, ids: string[]): AsyncGenerator<Change[]> {
  for (const id of ids) yield codec.changes((await tx.outgoingPayload(id))!);
}
