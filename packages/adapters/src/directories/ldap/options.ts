/**
 * What an LDAP directory is told when it is opened. The configuration file becomes this in the agent.
 *
 *   directory.ts ─┬─ servers.ts, connect.ts, bind.ts ─▶ session.ts    which server, how, as whom; one line of RFC 4511
 *                 ├─ read*.ts                                         T0: whole reads and deltas, with a read certificate
 *                 └─ write*.ts                                        T3: creates, changes, renames, removals
 */
import type { Limits } from '@dirpost/core';
import type { LoginOptions } from './authenticate.ts';

export interface LdapOptions {
  /** Of the directory, for messages. */
  name: string;
  /** In this order; or found by DNS SRV (RFC 2782, RFC 6763 is not used) `_ldap._tcp.DOMAIN`. */
  servers: LdapServer[] | { domain: string; tls: LdapTls };
  /** PEM file of a private authority. Read anew for each connection. */
  ca?: string;
  bind: LdapBind;
  profile: LdapProfileName;
  /** Each with its own scope and filter; entries seen twice count once. */
  bases: LdapBase[];
  /** Attributes that are asked for; never all (`*`). Names in lower case. Empty: a directory that is only written. */
  attributes: string[];
  /** The attribute that an entry keeps for life: entryUUID, objectGUID, nsuniqueid … in lower case. */
  anchor: string;
  method: DeltaMethod;
  /** A whole read is made at the latest after this time, whatever the method. */
  wholeReadEveryMs: number;
  referrals: 'count' | 'follow';
  pageSize: number;
  times: LdapTimes;
  limits: Limits;
  /** Absent: it is only read. */
  target?: LdapTarget;
  /** How users are found who log in with their password of this directory. */
  logins?: LoginOptions;
}

export interface LdapServer {
  /** Name or address; for `ldapi` the path of the socket. */
  host: string;
  port: number;
  tls: LdapTls;
}

/** `ldaps`: TLS from the first octet. `starttls`: required (RFC 4511 §4.14). `none`: loopback, or where it is configured so. */
export type LdapTls = 'ldaps' | 'starttls' | 'none' | 'ldapi';

export type LdapBind =
  | { method: 'anonymous' }
  /** `password` is read each time that it is needed. */
  | { method: 'simple'; dn: string; password: () => Promise<string> }
  /** SASL EXTERNAL (RFC 4422, appendix A): by client certificate or by the account of the process (ldapi). */
  | { method: 'external'; certificate?: { certificate: string; key: string } }
  | { method: 'scram'; user: string; password: () => Promise<string>; hash: 'sha-1' | 'sha-256' }
  /** Kerberos: by a keytab, through the optional package `kerberos`. */
  | { method: 'gssapi'; principal: string; keytab: string; serviceHost?: string };

export type LdapProfileName = 'openldap' | '389ds' | 'ad' | 'generic';

export interface LdapBase {
  dn: string;
  scope: 'base' | 'one' | 'sub';
  /** RFC 4515. */
  filter: string;
}

/** `auto` takes the best that the server and the rights of the account allow; `check` says which and why. */
export type DeltaMethod = 'auto' | 'syncrepl' | 'dirsync' | 'usn' | 'modify-timestamp' | 'whole';

export interface LdapTimes {
  connectMs: number;
  /** Of one operation, or of one page. */
  operationMs: number;
  keepAliveMs: number;
}

export interface LdapTarget {
  /** Below which entries are written; made if `makeContainer`. */
  container: string;
  makeContainer: boolean;
  /** `contact` objects in Active Directory, else inetOrgPerson and groupOfNames. */
  shape: 'inetorgperson' | 'ad-contact';
  /** What becomes of an entry that is removed. */
  removal: 'delete' | { moveTo: string };
  /**
   * RFC 5805. `fill` (default): once a write has proved to be a large one, such as the first; see transaction.ts for why
   * not for the few changes of every day. After a line was cut in one there are none for the rest of the process.
   */
  transactions?: 'fill' | 'always' | 'never';
  /** Attribute, in lower case, that takes the stamp (core's written-here.ts) of what is written into the container. */
  stamp?: string;
  /** Entries that stood outside of the container before, and are written too: below this DN. Groups only where that is said. */
  adopted?: { base: string; groups?: boolean };
  /** By attribute in lower case; others `force`. */
  policies: Record<string, ValuePolicy>;
  /** Without them the operation is refused for that entry. */
  allowed: { create: boolean; update: boolean; rename: boolean; delete: boolean };
}

/**
 * `force`: exactly the values from the network. `keep`: what the directory has stays, if it has any. `merge`: values of
 * both. `default`: only at creation.
 */
export type ValuePolicy = 'force' | 'keep' | 'merge' | 'default';
