/**
 * How far an LDAP directory was read. A bookmark belongs to the server that gave it, to the scope that was read, and to the
 * method: with anything else it is worth nothing, and everything is read anew.
 */
import { createHash } from 'node:crypto';
import type { LdapOptions } from './options.ts';

export type DeltaBookmark =
  /** Cookies of the bases, base64, in their order. */
  | { method: 'syncrepl'; cookies: string[] }
  /** One cookie for the naming context, base64. */
  | { method: 'dirsync'; server: string; cookie: string }
  /** `server`: the invocationId, since USNs of domain controllers have nothing to do with each other. */
  | { method: 'usn'; server: string; usn: number }
  /** Generalized Time (RFC 4517 §3.3.13) of the newest change that was seen, by the server's clock. */
  | { method: 'modify-timestamp'; server: string; time: string };

interface Written {
  version: 1;
  /** What was read. */
  scope: string;
  /** Of the last whole read, ms since 1970. */
  wholeMs: number;
  delta: DeltaBookmark | null;
}

export type Bookmarked = Omit<Written, 'version' | 'scope'>;

/** Changes with everything that decides which entries are read, and with which attributes. */
export function scopeOf({ bases, attributes, anchor, referrals }: LdapOptions): string {
  const said = JSON.stringify([bases, [...attributes].sort(), anchor, referrals]);
  return createHash('sha256').update(said).digest('base64url').slice(0, 22);
}

export function writeBookmark(options: LdapOptions, { wholeMs, delta }: Bookmarked): string {
  const written: Written = { version: 1, scope: scopeOf(options), wholeMs, delta };
  return JSON.stringify(written);
}

/** null: none that is of use for what is read now. */
export function readBookmark(options: LdapOptions, text: string | null): Bookmarked | null {
  if (text === null) return null;
  let written: Partial<Written>;
  try {
    written = JSON.parse(text) as Partial<Written>;
  } catch {
    return null;
  }
  const { version, scope, wholeMs, delta } = written;
  if (version !== 1 || scope !== scopeOf(options) || typeof wholeMs !== 'number') return null;
  return { wholeMs, delta: delta ?? null };
}
