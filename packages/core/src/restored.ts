/**
 * A store that an administrator took from a backup (`dirpost restore`) begins a new life at once, before anything is sent
 * from it: it need not find out by the answers of the others that it is older than what they have seen.
 */
import { type Incarnation, newIncarnation } from './incarnation.ts';
import { loadServer, saveServer } from './records.ts';
import { loadOwn, saveOwn, takeNewIncarnation } from './requestor-record.ts';
import type { Random } from './seams/clock.ts';
import type { StoreTx } from './seams/store.ts';

export interface NewLife {
  /** Of this postoffice as a requestor. */
  own: Incarnation;
  /** Of the directory server; null elsewhere. */
  server: Incarnation | null;
}

/**
 * Everything is submitted anew, and as a server every owner is unconfirmed (rule 9). What waited to be sent is dropped: it
 * speaks of the life that is over, and what is due is composed anew. Where the others have seen a newer life than this
 * store knows (it is restored a second time), the restoring counts as the word that this is the only copy (rule 7).
 */
export async function beginNewLife(tx: StoreTx, random: Random, isServer: boolean): Promise<NewLife> {
  const own = await loadOwn(tx);
  takeNewIncarnation(own, random, own.stamp);
  own.told = 0;
  own.stopped = null;
  own.restored = true;
  await saveOwn(tx, own);
  const waiting = await tx.outgoing();
  await tx.removeOutgoing(waiting.map(({ id }) => id));
  if (!isServer) return { own: own.incarnation, server: null };
  const server = await loadServer(tx);
  // The server's own requestor may have heard of a life of it that the record does not know.
  server.incarnation = newIncarnation(random, server.incarnation, own.heard?.incarnation ?? null);
  server.lives++;
  await tx.clearListIntroduced();
  await saveServer(tx, server);
  return { own: own.incarnation, server: server.incarnation };
}

/** `dirpost repair`: the replica comes anew as a whole, and everything is submitted anew after the next complete read. */
export async function askForEverything(tx: StoreTx): Promise<void> {
  const own = await loadOwn(tx);
  own.request = 'everything';
  own.sendFull = true;
  await saveOwn(tx, own);
}
