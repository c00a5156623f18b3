/**
 * Whether a server knows less than was read before: a replica that has not caught up, or a server that was put back. A whole
 * read of it is whole, and lacks who came last. Only servers that count the same can be compared.
 */
import type { DeltaBookmark } from './bookmark.ts';

/** `now`: of this read; `known`: of an earlier one. false also where it cannot be told. */
export function isBehind(now: DeltaBookmark | null, known: DeltaBookmark | null): boolean {
  if (now?.method === 'syncrepl' && known?.method === 'syncrepl') {
    return known.cookies.some((cookie, i) => isCookieBehind(now.cookies[i] ?? '', cookie));
  }
  if (now === null || known === null || !('usn' in now) || !('usn' in known)) return false;
  return now.server === known.server && now.usn < known.usn;
}

function isCookieBehind(now: string, known: string): boolean {
  const [newest, before] = [changeNumbers(now), changeNumbers(known)];
  // Other server IDs: it has counted in another way before, or stands elsewhere.
  if ([...before.keys()].some((server) => !newest.has(server))) return false;
  return [...before].some(([server, number]) => newest.get(server)! < number);
}

/** By server ID, from a cookie as OpenLDAP writes it (read-syncrepl.ts). They sort as text. */
function changeNumbers(cookie: string): Map<string, string> {
  const text = Buffer.from(cookie, 'base64').toString();
  const found = text.matchAll(/\d{14}\.\d{6}Z#[0-9a-f]{6}#([0-9a-f]{3})#[0-9a-f]{6}/g);
  return new Map(Array.from(found, ([number, server]) => [server!, number]));
}
