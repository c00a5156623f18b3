/**
 * Forgetting what everybody has acknowledged (T2, design rule 4): tombstones of a list live until the cursor that its
 * slowest requestor verified. One that was silent for longer than the retention no longer holds them: it is stale, and
 * is answered by a repair when it comes back.
 */
import { listFor } from './list.ts';
import { allRequestors, loadList, loadServer, saveList, type ServerContext } from './records.ts';
import type { StoreTx } from './seams/store.ts';

export async function purge(tx: StoreTx, context: ServerContext): Promise<number> {
  const nowMs = context.clock.now();
  const server = await loadServer(tx);
  const slowest = new Map<string, number>();
  for (const record of await allRequestors(tx)) {
    if (nowMs - record.lastHeardMs > context.retentionMs) continue;
    const list = listFor(context.lists, record.name)?.definition.name;
    if (list === undefined) continue;
    const { identity } = await loadList(tx, list);
    const seq = record.verified?.list === identity ? record.verified.seq : 0;
    slowest.set(list, Math.min(slowest.get(list) ?? Number.MAX_SAFE_INTEGER, seq));
  }
  let purged = 0;
  let moved = false;
  for (const { definition } of context.lists) {
    const record = await loadList(tx, definition.name);
    // Whom nobody follows, or only stale requestors, nobody waits for.
    const seq = slowest.get(definition.name) ?? server.seq;
    if (seq <= record.purged) continue;
    moved = true;
    purged += await tx.purgeList(definition.name, seq);
    await saveList(tx, { ...record, purged: seq });
  }
  // Not only if a list lost a tombstone: some entries were never on any.
  if (moved) await tx.purgeCollected();
  return purged;
}
