/**
 * T2: what requestors have verified. A cursor that comes back, in a verification or in the next exchange, is the
 * acknowledgement of all before it.
 */
import type { Exchange, Verification } from './change.ts';
import type { Cursor } from './cursor.ts';
import type { RequestorRecord, ServerContext, ServerRecord } from './records.ts';
import type { StoreTx } from './seams/store.ts';

/**
 * The cursor of a verification that was sent after this exchange and came before it: what it names is not sent once more.
 * A copy or a restored store that uses such a number anew is noticed by rule 6; where it is not, the delta does not fit
 * its replica and is repaired.
 */
export function overtaking(
  server: ServerRecord,
  { verified }: RequestorRecord,
  { incarnation, number }: Exchange,
  stated: Cursor | null,
): Cursor | null {
  if (verified?.cursor === undefined || verified.incarnation !== incarnation) return null;
  const { cursor, exchange = 0 } = verified;
  if (exchange < number || cursor.incarnation !== server.incarnation) return null;
  return stated !== null && stated.list === cursor.list && stated.seq >= cursor.seq ? null : cursor;
}

/** False: the cursor is of another life of either side, or an older one. */
export async function noteVerified(
  tx: StoreTx,
  context: ServerContext,
  server: ServerRecord,
  record: RequestorRecord,
  { incarnation, number }: Pick<Exchange | Verification, 'incarnation' | 'number'>,
  cursor: Cursor | null,
): Promise<boolean> {
  if (cursor === null || incarnation !== record.incarnation || cursor.incarnation !== server.incarnation) return false;
  record.lastHeardMs = context.clock.now();
  if (record.verified?.list === cursor.list && record.verified.seq > cursor.seq) return false;
  // An exchange that was overtaken says nothing of when its cursor was verified.
  const known = record.verified?.incarnation === incarnation ? (record.verified.exchange ?? 0) : 0;
  record.verified = { list: cursor.list, seq: cursor.seq, incarnation, cursor, exchange: Math.max(known, number) };
  record.lastVerifiedMs = context.clock.now();
  if (record.outstanding !== null && cursor.number >= record.outstanding.number) {
    const kept = await tx.outgoing({ to: record.name, kind: 'update' });
    await tx.removeOutgoing(kept.filter((message) => message.number <= cursor.number).map((message) => message.id));
    record.outstanding = null;
  }
  return true;
}
