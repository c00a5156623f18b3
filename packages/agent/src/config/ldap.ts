/**
 * The part of the configuration about LDAP directories: which servers, as whom, what is read of them (T0) and what is written
 * into them (T3). What spans several directories is checked in ldap-checks.ts; open-ldap.ts opens what stands here.
 */
import type { LdapBase, LdapProfileName, LdapServer, LdapTarget, LdapTimes, LdapTls, Secret } from '@dirpost/adapters';
import { type Exclusion, type Filter, parseFilter } from '@dirpost/core';
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import {
  exclusionOf,
  firstWrite,
  kindFilter,
  mapping,
  name,
  type PublishedKind,
  publishedKinds,
  space,
  withSpace,
} from './directory-fields.ts';
import { attributeName, complain, count, dn, duration, path } from './fields.ts';
import { ldapProfile, ldapProfiles } from './ldap-profiles.ts';
import { commandAt, exactlyOne, host, secretOf } from './mail.ts';

/** As the server takes it: also with matching rules that only it knows. */
const serverFilter = z.string().superRefine((text, context) => complain(context, () => parseFilter(text)));

const scope = z.enum(['base', 'one', 'sub']);
const text = z.string().regex(/^[^\p{Cc}]+$/u, 'must be a text');

const DEFAULT_LDAPI = '/var/run/slapd/ldapi';

const serverUrl = z
  .string()
  .refine(
    (url) => parseServer(url, 'starttls') !== null,
    'must be a server such as ldaps://ldap.example.org, ldap://… or ldapi://PATH',
  );

/** null: it is none. */
export function parseServer(url: string, tls: 'starttls' | 'none'): LdapServer | null {
  const socket = /^ldapi:\/\/(?<path>[^?#]*)$/i.exec(url)?.groups?.['path'];
  if (socket !== undefined) {
    const decoded = decodeURIComponentSafely(socket);
    return { host: decoded === '' || decoded === '/' ? DEFAULT_LDAPI : decoded, port: 0, tls: 'ldapi' };
  }
  const found = /^(?<scheme>ldaps?):\/\/(?<host>\[[0-9a-f:.]+\]|[^[\]:/?#@]+)(?::(?<port>\d{1,5}))?\/?$/i.exec(
    url,
  )?.groups;
  if (found === undefined) return null;
  const isImplicit = found['scheme']!.toLowerCase() === 'ldaps';
  const port = Number(found['port'] ?? (isImplicit ? 636 : 389));
  if (port < 1 || port > 65_535 || !host.safeParse(found['host']).success) return null;
  return { host: found['host']!.replaceAll(/[[\]]/g, ''), port, tls: isImplicit ? 'ldaps' : tls };
}

function decodeURIComponentSafely(given: string): string {
  try {
    return decodeURIComponent(given);
  } catch {
    return given;
  }
}

const password = secretOf('password', 'ldap-password');

const bind = z
  .discriminatedUnion(
    'method',
    [
      z.strictObject({ method: z.literal('anonymous') }),
      z.strictObject({
        method: z.literal('simple'),
        dn: text.describe('The DN of the account; at Active Directory also `user@domain`.'),
        password: password.nonoptional().describe('Its password: `file`, `env` or `command`. Read for each login.'),
      }),
      z.strictObject({
        method: z.literal('external').describe('SASL EXTERNAL: a client certificate, or the account of the process.'),
        certificate: path.optional().describe('PEM file of the client certificate. Not needed with ldapi,'),
        key: path.optional().describe('and of its private key.'),
      }),
      z.strictObject({
        method: z.literal('scram').describe('SASL SCRAM: the password is never sent.'),
        user: text,
        password: password.nonoptional(),
        hash: z.enum(['sha-1', 'sha-256']).default('sha-256'),
      }),
      z.strictObject({
        method: z.literal('gssapi').describe('SASL GSSAPI: Kerberos.'),
        principal: text.describe('Such as dirpost@EXAMPLE.ORG.'),
        keytab: path.describe('File with its key.'),
        serviceHost: host.optional().describe('Where the name of the server in Kerberos is another.'),
      }),
    ],
    { error: 'must be simple, external, scram, gssapi or anonymous' },
  )
  .describe('As whom the directory is read or written. Give that account no more rights than docs/ldap.md says.');

const connection = {
  profile: z
    .enum(ldapProfiles)
    .default('generic')
    .describe('What sort of server it is: gives the defaults of key, kinds, filter and attributes (see ldap.md).'),
  servers: z
    .array(serverUrl)
    .min(1, 'must name at least one server')
    .optional()
    .describe(
      'In this order: `ldaps://ldap1.example.org`, `ldap://…`, `ldapi://PATH`. The first that answers is taken.',
    ),
  domain: host.optional().describe('Instead: the servers that DNS names for this domain (SRV `_ldap._tcp`).'),
  tls: z
    .enum(['starttls', 'ldaps', 'none'])
    .default('starttls')
    .describe(
      'Of `ldap://` servers and of `domain`: `starttls` is required, never skipped. `ldaps`: with `domain` only. `none`: on this machine only.',
    ),
  insecure: z
    .boolean()
    .default(false)
    .describe('Allows `tls: none` to another machine. Passwords are not sent in the clear even then.'),
  ca: path.optional().describe('PEM file of the authority that signed its certificate, if it is a private one.'),
  bind,
  timeouts: z
    .strictObject({
      connect: duration.prefault('10s').describe('For the connection and the login.'),
      operation: duration.prefault('1m').describe('For an answer of the server.'),
      keepAlive: duration.prefault('30s').describe('How often a silent line is looked after.'),
    })
    .prefault({})
    .describe('When a server that does not answer is given up.'),
};

const key = attributeName
  .optional()
  .describe(
    'The anchor: an attribute whose value an entry keeps for life. Default: entryUUID, nsuniqueid (389ds), objectGUID (ad). With another one most ways to find changes cannot be used.',
  );

type ConnectionValues = z.output<z.ZodObject<typeof connection>>;

function checkConnection(given: ConnectionValues, context: z.core.$RefinementCtx): void {
  exactlyOne(context, given, ['servers', 'domain']);
  const fault = (at: string, message: string) => context.addIssue({ code: 'custom', path: [at], message });
  if (given.tls === 'ldaps' && given.domain === undefined) fault('tls', 'ldaps stands in the address: ldaps://…');
  const servers = (given.servers ?? []).map((url) => parseServer(url, 'starttls'));
  const open = servers.find((one) => one?.tls === 'starttls' && !isLoopback(one.host));
  const isOpen = open !== undefined || given.domain !== undefined;
  if (given.tls === 'none' && isOpen && !given.insecure) {
    fault('tls', 'none is for servers on this machine; use starttls or ldaps://, or say insecure: true');
  }
  if (given.bind.method !== 'external') return;
  if ((given.bind.certificate === undefined) !== (given.bind.key === undefined)) {
    fault('bind', 'certificate and key stand together');
  }
}

function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

export type LdapLogin =
  | { method: 'anonymous' }
  | { method: 'simple'; dn: string; password: Secret }
  | { method: 'external'; certificate?: string | undefined; key?: string | undefined }
  | { method: 'scram'; user: string; password: Secret; hash: 'sha-1' | 'sha-256' }
  | { method: 'gssapi'; principal: string; keytab: string; serviceHost?: string | undefined };

export interface LdapConnection {
  profile: LdapProfileName;
  servers: LdapServer[] | { domain: string; tls: LdapTls };
  ca: string | null;
  login: LdapLogin;
  times: LdapTimes;
}

function connectionOf({ profile, servers, domain, tls, ca, bind: login, timeouts }: ConnectionValues): LdapConnection {
  const { connect, operation, keepAlive } = timeouts;
  return {
    profile,
    servers:
      servers === undefined
        ? { domain: domain ?? '', tls }
        : servers.map((url) => parseServer(url, tls === 'none' ? 'none' : 'starttls')!),
    ca: ca ?? null,
    login,
    times: { connectMs: connect, operationMs: operation, keepAliveMs: keepAlive },
  };
}

const type = z.literal('ldap').describe('What it is: `ldap`, an LDAP server (OpenLDAP, 389-DS, Active Directory …).');

const givenKinds = z
  .strictObject(Object.fromEntries(publishedKinds.map((kind) => [kind, kindFilter(kind)])) as KindFilters)
  .prefault({})
  .describe(
    'How entries become group, contact, resource or person, as for files. `profile: ad` has defaults of its own.',
  );

type KindFilters = Record<PublishedKind, ReturnType<typeof kindFilter>>;

export const publishLdap = z
  .strictObject({
    name,
    type,
    direction: z.literal('publish').describe('`publish`: this directory → network.'),
    ...connection,
    key,
    space,
    base: dn.optional().describe('Only entries at or below this DN.'),
    scope: scope.default('sub').describe('`sub`: all below the base. `one`: right below it. `base`: only itself.'),
    filter: serverFilter
      .optional()
      .describe('Only entries that match this filter; the server looks. Default: those that are one of the kinds.'),
    bases: z
      .array(
        z.strictObject({
          dn,
          scope: scope.default('sub'),
          filter: serverFilter.optional().describe('Default: the one of the directory.'),
        }),
      )
      .min(1, 'must name at least one base')
      .optional()
      .describe('Instead of `base`: several, each with its own scope and filter.'),
    kinds: givenKinds,
    exclude: z.array(exclusionOf(attributeName)).default([]).describe('Entries that are left out.'),
    attributes: mapping,
    ask: z
      .array(attributeName)
      .optional()
      .describe(
        'The attributes that are asked of the server; what mapping, kinds and exclusions need comes by itself. Default: names, mail, telephone, office, members (see ldap.md). Never all.',
      ),
    method: z
      .enum(['auto', 'syncrepl', 'dirsync', 'usn', 'modify-timestamp', 'whole'])
      .default('auto')
      .describe('How changes are found. `auto`: the best that the server offers; `dirpost check` says which, and why.'),
    wholeRead: duration.prefault('1d').describe('Everything is read anew after this time, whatever the method.'),
    pageSize: count.max(100_000, 'must be at most 100000').default(1_000).describe('Entries in one answer.'),
    referrals: z
      .enum(['count', 'follow'])
      .default('count')
      .describe('Parts of the tree on other servers. `count`: the read is incomplete with them. `follow`: read there.'),
  })
  .superRefine((given, context) => {
    checkConnection(given, context);
    exactlyOne(context, given, ['base', 'bases']);
  })
  .transform((given) => {
    const profile = ldapProfile(given.profile);
    const kinds = chosenKinds(given.kinds, profile.kinds);
    const filter = given.filter ?? profile.filter ?? anyOf(Object.values(kinds));
    const bases = given.bases ?? [{ dn: given.base ?? '', scope: given.scope, filter: undefined }];
    const ask = given.ask ?? profile.attributes;
    return withSpace({
      name: given.name,
      type: given.type,
      direction: given.direction,
      connection: connectionOf(given),
      key: given.key ?? profile.key,
      space: given.space,
      // The server looks at both.
      base: undefined,
      filter: undefined,
      bases: bases.map((one): LdapBase => ({ dn: one.dn, scope: one.scope, filter: one.filter ?? filter })),
      kinds,
      exclude: given.exclude,
      attributes: given.attributes,
      asked: askedFor(ask, { kinds, exclude: given.exclude, attributes: given.attributes }),
      method: given.method,
      wholeReadEveryMs: given.wholeRead,
      pageSize: given.pageSize,
      referrals: given.referrals,
    });
  });

function chosenKinds(
  given: Partial<Record<PublishedKind, string | null | undefined>>,
  byDefault: Partial<Record<PublishedKind, string>>,
): Partial<Record<PublishedKind, string>> {
  // In the order in which they are tried.
  const order: PublishedKind[] = ['group', 'contact', 'resource', 'person'];
  const chosen = order.map((kind) => [kind, given[kind] === undefined ? byDefault[kind] : given[kind]] as const);
  return Object.fromEntries(chosen.filter(([, one]) => one != null));
}

function anyOf(filters: string[]): string {
  return `(|${filters.join('')})`;
}

interface Naming {
  kinds: Partial<Record<PublishedKind, string>>;
  exclude: Exclusion[];
  attributes: Record<string, string | null>;
}

/** In lower case, each once. */
function askedFor(names: string[], { kinds, exclude, attributes }: Naming): string[] {
  const needed = [
    ...names,
    ...Object.values(kinds).flatMap((filter) => namedIn(parseFilter(filter))),
    ...exclude.flatMap((one) => ('attribute' in one && one.attribute.toLowerCase() !== 'dn' ? [one.attribute] : [])),
    ...Object.values(attributes).flatMap((source) => (source === null ? [] : sourcesIn(source))),
  ];
  return [...new Set(needed.map((one) => one.toLowerCase()))];
}

function namedIn(filter: Filter): string[] {
  if ('filters' in filter) return filter.filters.flatMap(namedIn);
  if (filter.kind === 'not') return namedIn(filter.filter);
  return filter.attribute === undefined ? [] : [filter.attribute];
}

/** Of a mapping: an attribute, or the attributes in a template. */
function sourcesIn(source: string): string[] {
  if (!source.includes('{')) return [source];
  const named = [...source.replaceAll('{{', '').matchAll(/\{([^{}|]+)/g)].map(([, one]) => one!.trim());
  return named.filter((one) => one.toLowerCase() !== 'dn');
}

const policies = z
  .record(attributeName, z.enum(['force', 'keep', 'merge', 'default']))
  .default({})
  .transform((given) => Object.fromEntries(Object.entries(given).map(([one, policy]) => [one.toLowerCase(), policy])))
  .describe(
    'By attribute. `force`: the values of the network. `keep`: what the directory has stays, if it has any. `merge`: both. `default`: only at creation. Default: `force`.',
  );

const allow = z
  .strictObject({
    create: z.boolean().default(true),
    update: z.boolean().default(true),
    rename: z.boolean().default(true),
    delete: z.boolean().default(true),
  })
  .prefault({})
  .describe('What dirpost may do in the container; the rest is refused entry by entry, and reported.');

export const subscribeLdap = z
  .strictObject({
    name,
    type,
    direction: z
      .literal('subscribe')
      .describe('`subscribe`: network → this directory, below a container that is dirpost’s own.'),
    ...connection,
    key,
    container: dn
      .refine((given) => given !== '', 'must be a DN')
      .describe('The DN below which entries are written: ou=POSTOFFICE,CONTAINER. Nothing else is ever touched.'),
    makeContainer: z.boolean().default(true).describe('Whether it is made if it is not there.'),
    shape: z
      .enum(['inetorgperson', 'ad-contact'])
      .optional()
      .describe('What persons become: inetOrgPerson, or contacts of Active Directory. Default: by the profile.'),
    removal: z
      .union([z.literal('delete'), z.strictObject({ moveTo: dn })], 'must be delete, or { moveTo: DN }')
      .default('delete')
      .describe('What becomes of an entry that is gone from the network: `delete`, or `{ moveTo: DN }`.'),
    transactions: z
      .enum(['fill', 'always', 'never'])
      .default('fill')
      .describe(
        'LDAP transactions (RFC 5805), where the server offers them: several times as fast. `fill`: only in a write of thousands of entries, such as the first, since slapd 2.5 has crashed in transactions. `always`, `never`.',
      ),
    policies,
    allow,
    firstWrite,
  })
  .superRefine(checkConnection)
  .transform((given) => {
    const profile = ldapProfile(given.profile);
    const target: LdapTarget = {
      container: given.container,
      makeContainer: given.makeContainer,
      shape: given.shape ?? profile.shape,
      removal: given.removal,
      transactions: given.transactions,
      policies: given.policies,
      allowed: given.allow,
    };
    return {
      name: given.name,
      type: given.type,
      direction: given.direction,
      connection: connectionOf(given),
      key: given.key ?? profile.key,
      dn: 'container' as const,
      container: given.container,
      rdn: target.shape === 'ad-contact' ? 'cn' : profile.rdn,
      target,
      firstWrite: given.firstWrite,
    };
  });

export type PublishLdap = z.output<typeof publishLdap>;
export type SubscribeLdap = z.output<typeof subscribeLdap>;

/** `at` makes a path absolute. */
export function resolveLdap<T extends { connection: LdapConnection }>(given: T, at: (path: string) => string): T {
  const { connection: line } = given;
  return {
    ...given,
    connection: { ...line, ca: line.ca === null ? null : at(line.ca), login: loginAt(line.login, at) },
  };
}

function loginAt(login: LdapLogin, at: (path: string) => string): LdapLogin {
  switch (login.method) {
    case 'anonymous':
      return login;
    case 'simple':
    case 'scram':
      return { ...login, password: secretAt(login.password, at) };
    case 'external':
      return {
        ...login,
        ...(login.certificate !== undefined && login.key !== undefined
          ? { certificate: at(login.certificate), key: at(login.key) }
          : {}),
      };
    case 'gssapi':
      return { ...login, keytab: at(login.keytab) };
  }
}

function secretAt(secret: Secret, at: (path: string) => string): Secret {
  if ('file' in secret) return { file: at(secret.file) };
  return 'command' in secret ? { command: commandAt(secret.command, at) } : secret;
}
