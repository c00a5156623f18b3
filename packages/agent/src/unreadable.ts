/**
 * At the server: when something of a requestor could not be read last, and it was told the present keys. In the store, since a
 * server that is run by cron has a process for each look.
 */
import type { PostofficeName, StoreTx } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';

const AGAIN_AFTER_MS = 3_600_000;
const documentOf = (name: PostofficeName) => `unreadable/${name}`;

/** Whether it is to be told now: it was not within the hour. */
export async function noteUnreadable({ store, clock }: Postoffice, from: PostofficeName): Promise<boolean> {
  const document = documentOf(from);
  const nowMs = clock.now();
  return store.transaction(async (tx) => {
    const toldMs = (await tx.getDocument<number>(document)) ?? -Infinity;
    // A clock that goes back silences nobody.
    if (Math.abs(nowMs - toldMs) < AGAIN_AFTER_MS) return false;
    await tx.putDocument(document, nowMs);
    return true;
  });
}

/** Of one who is no requestor any more. */
export async function forgetUnreadable(tx: StoreTx, name: PostofficeName): Promise<void> {
  await tx.removeDocument(documentOf(name));
}
