/**
 * How far an LDAP directory was read. A bookmark belongs to the server that gave it, to the scope that was read, and to the
 * method: with anything else it is worth nothing, and everything is read anew.
 */
import { createHash } from 'node:crypto';
import type { LdapOptions } from './options.ts';
import type { DirSyncMark } from './read-dirsync.ts';
import type { TimeMark } from './read-modified.ts';
import type { UsnMark } from './read-usn.ts';

export type DeltaBookmark =
  /** Cookies of the bases, base64, in their order. */
  | { method: 'syncrepl'; cookies: string[] }
  /** One cookie for the naming context, good for all its servers. */
  | ({ method: 'dirsync' } & DirSyncMark)
  /** Of one server: USNs of domain controllers have nothing to do with each other. */
  | ({ method: 'usn' } & UsnMark)
  | ({ method: 'modify-timestamp' } & TimeMark);

interface Written {
  version: 1;
  /** What was read. */
  scope: string;
  /** Of the last whole read, ms since 1970. */
  wholeMs: number;
  delta: DeltaBookmark | null;
  /** Of the bases, in their order: whether entries were seen there. Absent in bookmarks of older versions. */
  filled?: boolean[];
}

export type Bookmarked = Omit<Written, 'version' | 'scope'>;

/** Changes with everything that decides which entries are read, and with which attributes. */
export function scopeOf({ bases, attributes, anchor, referrals }: LdapOptions): string {
  const said = JSON.stringify([bases, [...attributes].sort(), anchor, referrals]);
  return createHash('sha256').update(said).digest('base64url').slice(0, 22);
}

export function writeBookmark(options: LdapOptions, { wholeMs, delta, filled }: Bookmarked): string {
  const written: Written = { version: 1, scope: scopeOf(options), wholeMs, delta, ...(filled && { filled }) };
  return JSON.stringify(written);
}

/** null: none that is of use for what is read now. */
export function readBookmark(options: LdapOptions, text: string | null): Bookmarked | null {
  if (text === null) return null;
  let written: Partial<Written> | null;
  try {
    written = JSON.parse(text) as Partial<Written> | null;
  } catch {
    return null;
  }
  if (written === null) return null;
  const { version, scope, wholeMs, delta, filled } = written;
  if (version !== 1 || scope !== scopeOf(options) || typeof wholeMs !== 'number') return null;
  return { wholeMs, delta: delta ?? null, ...(Array.isArray(filled) && { filled }) };
}
