/** Of LDAP directories: which servers, over which line, as whom. */
import type { LdapProfileName, LdapServer, LdapTimes, LdapTls, Secret } from '@dirpost/adapters';
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { duration, path } from './fields.ts';
import { ldapProfiles } from './ldap-profiles.ts';
import { commandAt, exactlyOne, host, secretOf } from './mail.ts';

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

export const connection = {
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

type ConnectionValues = z.output<z.ZodObject<typeof connection>>;

export function checkConnection(given: ConnectionValues, context: z.core.$RefinementCtx): void {
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

export function connectionOf({
  profile,
  servers,
  domain,
  tls,
  ca,
  bind: login,
  timeouts,
}: ConnectionValues): LdapConnection {
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
