/**
 * Moving and deleting mails by UID, on servers with MOVE (RFC 6851) and without. A plain EXPUNGE is never used: it removes
 * what other programs have marked as deleted.
 */
import type { Connection } from './connection.ts';
import { imapFailure } from './imap-failures.ts';

/** In one command. */
const MAX_UIDS = 500;

/** Of the selected folder. Mails that are gone meanwhile are nothing to complain about. Throws DirpostError `transport-failed`. */
export async function moveMails(connection: Connection, uids: readonly number[], destination: string): Promise<void> {
  for (const batch of batchesOf(uids)) {
    try {
      await moveRange(connection, rangeOf(batch), destination);
    } catch (error) {
      connection.check(`move mails to ${destination}`);
      // Another agent or a person may have moved some of them, and some servers refuse the whole command then.
      const left = await stillThere(connection, batch);
      if (left.length === batch.length) throw error;
      if (left.length > 0) await moveRange(connection, rangeOf(left), destination);
    }
  }
}

/** Of these, what was not removed and not marked as deleted. */
export async function stillThere({ client }: Connection, uids: readonly number[]): Promise<number[]> {
  const found = await client.search({ uid: rangeOf(uids), deleted: false }, { uid: true }).catch(() => false);
  return Array.isArray(found) ? found : [...uids];
}

async function moveRange(connection: Connection, range: string, destination: string): Promise<void> {
  const { client } = connection;
  const doing = `move mails to ${destination}`;
  if (connection.can('MOVE')) {
    return await done(connection, doing, () => client.messageMove(range, destination, { uid: true }));
  }
  await done(connection, doing, () => client.messageCopy(range, destination, { uid: true }));
  await deleteRange(connection, range);
}

/** Without UIDPLUS they stay, marked as deleted: clients of people hide them, and we do not look at them again. */
export async function deleteMails(connection: Connection, uids: readonly number[]): Promise<void> {
  for (const batch of batchesOf(uids)) await deleteRange(connection, rangeOf(batch));
}

async function deleteRange(connection: Connection, range: string): Promise<void> {
  const { client } = connection;
  // The client marks them as deleted, and then expunges these and no others (RFC 4315 §2.1).
  const remove = () =>
    connection.can('UIDPLUS')
      ? client.messageDelete(range, { uid: true })
      : client.messageFlagsAdd(range, ['\\Deleted'], { uid: true, silent: true });
  await done(connection, 'delete mails', remove);
}

/** The client answers false for a refusal, and keeps the words to itself. */
async function done(connection: Connection, doing: string, work: () => Promise<unknown>): Promise<void> {
  const { server } = connection;
  let result;
  try {
    result = await work();
  } catch (error) {
    throw imapFailure(error, server, doing);
  }
  connection.check(doing);
  if (result === false || result === undefined) throw connection.refused(doing);
}

function* batchesOf(uids: readonly number[]): Generator<number[]> {
  const sorted = [...new Set(uids)].sort((a, b) => a - b);
  for (let at = 0; at < sorted.length; at += MAX_UIDS) yield sorted.slice(at, at + MAX_UIDS);
}

/** `1:4,7` of sorted numbers. */
export function rangeOf(sorted: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const uid of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && uid === last[1] + 1) last[1] = uid;
    else ranges.push([uid, uid]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`)).join(',');
}
