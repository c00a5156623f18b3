/**
 * Keeps the mailbox from filling up, once a day: mails of ours that were processed long ago, notifications about them, and,
 * where the server keeps a copy of all that is sent, the own mails in Sent. Mails of others are never touched.
 */
import type { SearchObject } from 'imapflow';
import { selectFolder } from './collect.ts';
import type { Connection } from './connection.ts';
import type { Folders } from './folders.ts';
import { imapFailure } from './imap-failures.ts';
import { MARK_HEADER } from './mark.ts';
import { deleteMails, moveMails } from './moving.ts';
import type { Profile } from './profiles.ts';

/** Removed in one go; the rest waits a day. */
const MAX_MAILS = 5_000;
const DAY_MS = 86_400_000;

export interface Upkeep {
  connection: Connection;
  folders: Folders;
  profile: Profile;
  keepProcessedMs: number;
  nowMs: number;
}

/** Resolves to how many mails were deleted. Throws DirpostError `transport-failed`. */
export async function pruneMails({ connection, folders, profile, keepProcessedMs, nowMs }: Upkeep): Promise<number> {
  // RFC 9051 §6.4.4: BEFORE knows days only, in the time zone of the server.
  const before = new Date(nowMs - keepProcessedMs - DAY_MS);
  const marked: SearchObject = { header: { [MARK_HEADER]: true } };
  // The header is looked at first, so that the server reads few bodies.
  const returned: SearchObject = { header: { 'Content-Type': 'delivery-status' }, text: `${MARK_HEADER}:` };
  const trash = profile.folders.deleteIn === '\\Trash' ? folders.trash : null;
  const prune = (path: string, query: SearchObject) => pruneFolder(connection, path, { before, ...query }, trash);
  let count = 0;
  if (folders.processed !== folders.inbox) {
    count += await prune(folders.processed, marked);
    count += await prune(folders.processed, returned);
  }
  if (profile.sentIsAutomatic && folders.sent !== null) count += await prune(folders.sent, marked);
  return count;
}

async function pruneFolder(
  connection: Connection,
  path: string,
  query: SearchObject,
  trash: string | null,
): Promise<number> {
  const doing = `look for old mails in ${path}`;
  const { exists } = await selectFolder(connection, path);
  if (exists === 0) return 0;
  let found;
  try {
    found = await connection.client.search({ ...query, deleted: false }, { uid: true });
  } catch (error) {
    throw imapFailure(connection.brokenBy ?? error, connection.server, doing);
  }
  connection.check(doing);
  if (!Array.isArray(found)) throw connection.refused(doing);
  const uids = found.slice(0, MAX_MAILS);
  if (uids.length === 0) return 0;
  // Gmail keeps what is only deleted from a label; what lies in its trash it deletes after 30 days.
  if (trash === null || trash === path) await deleteMails(connection, uids);
  else await moveMails(connection, uids, trash);
  return uids.length;
}
