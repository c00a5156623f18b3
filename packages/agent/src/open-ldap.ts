/** An LDAP directory of a postoffice, from its configuration; and what of that decides how it is read and written. */
import { createHash } from 'node:crypto';
import {
  type LdapBase,
  type LdapBind,
  LdapDirectory,
  type LdapOptions,
  readSecret,
  type Secret,
} from '@dirpost/adapters';
import { DirpostError, type Limits, sortedNames, type WrittenHere } from '@dirpost/core';
import type { BothWays } from './config/both-ways.ts';
import type { PublishDirectory, SubscribeDirectory } from './config/directory.ts';
import type { LdapLogin } from './config/ldap-connection.ts';
import type { PublishLdap, SubscribeLdap } from './config/ldap.ts';
import { ldapProfile } from './config/ldap-profiles.ts';
import type { Configuration } from './config/load.ts';
import { VERSION } from './version.ts';

/** Connects to nothing until it is used. `stamps`: attributes with stamps, by which own writes are known when they are read. */
export function openLdap(
  directory: PublishLdap | SubscribeLdap,
  limits: Limits,
  stamps: readonly string[] = [],
): LdapDirectory {
  return new LdapDirectory(ldapOptions(directory, limits, stamps));
}

/** Attributes with stamps, of all directories that are written; lower case. */
export function stampsIn(directories: Configuration['directories']): string[] {
  const stamps = directories.flatMap((one) =>
    one.type === 'ldap' && one.direction === 'subscribe' ? [one.target.stamp ?? []].flat() : [],
  );
  return [...new Set(stamps)];
}

/** What must not be read back. */
export function writtenHere(subscribing: SubscribeDirectory[]): WrittenHere {
  const written = subscribing.filter(({ type }) => type === 'ldap').map(({ name }) => name);
  return { directories: written, stamps: stampsIn(subscribing) };
}

function ldapOptions(
  directory: PublishLdap | SubscribeLdap,
  limits: Limits,
  stamps: readonly string[] = [],
): LdapOptions {
  const { name, key, connection } = directory;
  const { profile, servers, ca, login, times } = connection;
  const shared = {
    name,
    servers,
    ...(ca !== null && { ca }),
    bind: bindOf(login),
    profile,
    anchor: key.toLowerCase(),
    times,
    limits,
  };
  if (directory.direction === 'publish') {
    const { bases, asked, method, wholeReadEveryMs, referrals, pageSize } = directory;
    const attributes = [...new Set([...asked, ...stamps])];
    return { ...shared, bases, attributes, method, wholeReadEveryMs, referrals, pageSize };
  }
  const { target } = directory;
  // What others publish by default: `dirpost check` says what of it the schema does not know.
  const attributes = ldapProfile(profile).attributes.map((one) => one.toLowerCase());
  return { ...shared, ...unread, attributes, target };
}

/** Of both ways: what stands in its container, of what changes by hand are seen. */
export function openContainer(directory: SubscribeLdap, ways: BothWays, limits: Limits): LdapDirectory {
  const { method, wholeReadEveryMs, pageSize, watched } = ways;
  // Entries that were there before stand elsewhere.
  const { adopt } = directory;
  const adopted: LdapBase[] = adopt === null ? [] : [{ dn: adopt.base, scope: 'sub', filter: adopt.filter }];
  return new LdapDirectory({
    ...ldapOptions(directory, limits, []),
    bases: [{ dn: directory.container, scope: 'sub', filter: '(objectClass=*)' }, ...adopted],
    attributes: watched,
    method,
    wholeReadEveryMs,
    pageSize,
  });
}

/** A target is only looked into entry by entry. */
const unread = {
  bases: [],
  method: 'whole',
  wholeReadEveryMs: 0,
  referrals: 'count',
  pageSize: 1_000,
} satisfies Partial<LdapOptions>;

function bindOf(login: LdapLogin): LdapBind {
  switch (login.method) {
    case 'anonymous':
      return login;
    case 'simple':
      return { ...login, password: () => passwordOf(login.password, login.dn) };
    case 'scram':
      return { ...login, password: () => passwordOf(login.password, login.user) };
    case 'external': {
      const { certificate, key } = login;
      return { method: 'external', ...(certificate && key ? { certificate: { certificate, key } } : {}) };
    }
    case 'gssapi': {
      const { method, principal, keytab, serviceHost } = login;
      return { method, principal, keytab, ...(serviceHost !== undefined && { serviceHost }) };
    }
  }
}

async function passwordOf(secret: Secret, who: string): Promise<string> {
  try {
    return await readSecret(secret, `the password of ${who}`);
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    const { message, retry, hint, context } = error;
    throw new DirpostError('directory-failed', message, { retry, ...(hint && { hint }), context, cause: error });
  }
}

/** Files with a password or key. */
export function secretFilesOf({ connection: { login } }: PublishLdap | SubscribeLdap): string[] {
  switch (login.method) {
    case 'anonymous':
      return [];
    case 'simple':
    case 'scram':
      return 'file' in login.password ? [login.password.file] : [];
    case 'external':
      return login.key === undefined ? [] : [login.key];
    case 'gssapi':
      return [login.keytab];
  }
}

/** Stands for everything that decides what a read publishes, also a newer dirpost. Servers and logins do not. */
export function configurationOfRead(directory: PublishDirectory, { postoffice, limits }: Configuration): string {
  const decides = directory.type === 'ldap' ? { ...directory, connection: null, onChangeMs: null } : directory;
  const said = JSON.stringify([VERSION, postoffice, limits, decides]);
  return createHash('sha256').update(said).digest('base64url').slice(0, 22);
}

/** How entries are written into it; when it changes all are written again. */
export function shapeOf({ target, rdn }: SubscribeLdap): string {
  return JSON.stringify([
    target.shape,
    sortedNames(Object.keys(target.policies)).map((name) => [name, target.policies[name]]),
    rdn,
    ...(target.stamp === undefined ? [] : [target.stamp]),
  ]);
}
