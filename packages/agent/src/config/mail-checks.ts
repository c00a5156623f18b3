/** Cross-checks of `transports.mail`, on the values as they stand in the file. */
import { isIP } from 'node:net';
import type { ProfileName } from '@dirpost/adapters';
import { type FaultPath, type PlacedFault, quote, valueAt } from './faults.ts';
import { hostOf, mailProfiles, tlsModes } from './mail-defaults.ts';

const MAIL: FaultPath = ['transports', 'mail'];
const ways = ['submission', 'mailbox'] as const;

export function checkMail(values: unknown): PlacedFault[] {
  const given = valueAt(values, MAIL);
  if (typeof given !== 'object' || given === null) return [];
  return [
    ...checkEndpoints(given),
    ...checkLogins(given),
    ...ways.flatMap((way) => checkLogin(given, [way, 'login'])),
    ...checkLogin(given, ['login']),
    ...checkPeers(values),
  ];
}

function checkEndpoints(given: object): PlacedFault[] {
  const faults: PlacedFault[] = [];
  for (const way of ways) {
    const { host, tls } = hostOf(way, endpointsIn(given));
    if (host === '' && profileIn(given) === 'generic') {
      const message =
        'is missing: name the mail server here or under mailbox, or a profile that knows it (microsoft365, google)';
      return [{ path: [...MAIL, 'submission', 'host'], message }];
    }
    if (tls === 'none' && host !== '' && !isOwnMachine(host)) {
      const message = `none is for this machine only (127.0.0.1, ::1, localhost), not for ${quote(host)}: passwords and mails would pass the network in the open; use implicit or starttls`;
      faults.push({ path: [...MAIL, way, 'tls'], message });
    }
  }
  return faults;
}

/** What is in order of hosts, ports and TLS; of the rest the schema complains. */
function endpointsIn(given: object): Parameters<typeof hostOf>[1] {
  const endpoint = (way: string) => {
    const [host, port] = ['host', 'port'].map((name) => valueAt(given, [way, name]));
    const tls = tlsModes.find((mode) => mode === valueAt(given, [way, 'tls']));
    return {
      ...(typeof host === 'string' && { host }),
      ...(typeof port === 'number' && { port }),
      ...(tls !== undefined && { tls }),
    };
  };
  const profile = profileIn(given);
  return { submission: endpoint('submission'), mailbox: endpoint('mailbox'), ...(profile !== null && { profile }) };
}

/** null: it is none. */
function profileIn(given: object): ProfileName | null {
  const profile = valueAt(given, ['profile']) ?? 'generic';
  return mailProfiles.find((one) => one === profile) ?? null;
}

function isOwnMachine(host: string): boolean {
  return /^(?:localhost\.?|::1)$/i.test(host) || (isIP(host) === 4 && host.startsWith('127.'));
}

function checkLogins(given: object): PlacedFault[] {
  if (valueAt(given, ['login']) !== undefined) return [];
  const withoutLogin = valueAt(given, ['submission', 'withoutLogin']) === true;
  const lacking = [
    ...(withoutLogin || valueAt(given, ['submission', 'login']) !== undefined ? [] : ['submission']),
    ...(valueAt(given, ['mailbox', 'login']) === undefined ? ['mailbox'] : []),
  ];
  if (lacking.length === 0) return [];
  const message =
    lacking.length === 2
      ? 'is missing: how to log in for submission and mailbox, such as { user: dirpost, password: { file: mail-password } }'
      : `is missing: how to log in for ${lacking[0]!}; name it here for both, or as ${lacking[0]!}.login`;
  return [{ path: [...MAIL, 'login'], message }];
}

/** `at`: of one login. */
function checkLogin(given: object, at: FaultPath): PlacedFault[] {
  const place = [...MAIL, ...at];
  const profile = profileIn(given);
  const isMailbox = at[0] === 'mailbox' || (at[0] === 'login' && valueAt(given, ['mailbox', 'login']) === undefined);
  const faults: PlacedFault[] = [];
  const ownHost = valueAt(given, ['mailbox', 'host']) !== undefined;
  if (profile === 'microsoft365' && isMailbox && !ownHost && valueAt(given, [...at, 'password']) !== undefined) {
    const message = 'Microsoft 365 takes no password for IMAP: use oauth (docs/mail.md says how to register it)';
    faults.push({ path: [...place, 'password'], message });
  }
  const client = valueAt(given, [...at, 'oauth']);
  if (typeof client !== 'object' || client === null) return faults;
  const [scope, tenant] = ['scope', 'tenant'].map((name) => valueAt(client, [name]));
  if (profile === 'generic' && scope === undefined && tenant === undefined) {
    const message = 'is missing: what the token shall be good for, as the mail service names it';
    faults.push({ path: [...place, 'oauth', 'scope'], message });
  }
  const url = valueAt(client, ['tokenUrl']);
  if (typeof url === 'string' && /^http:/i.test(url) && !isOwnMachine(hostIn(url))) {
    const message = 'the secret would pass the network in the open: write https:// in place of http://';
    faults.push({ path: [...place, 'oauth', 'tokenUrl'], message });
  }
  return faults;
}

function hostIn(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
}

/** A requestor sends to its server only. */
function checkPeers(values: unknown): PlacedFault[] {
  const peers = valueAt(values, [...MAIL, 'peers']);
  if (typeof peers !== 'object' || peers === null) return [];
  const [own, role, server] = ['postoffice', 'role', 'server'].map((name) => valueAt(values, [name]));
  return Object.keys(peers).flatMap((name) => {
    const path = [...MAIL, 'peers', name];
    if (name === own) return [{ path, message: 'is this postoffice itself; its address is transports.mail.address' }];
    if (role !== 'requestor' || name === server || typeof server !== 'string') return [];
    return [{ path, message: `a requestor sends to its server only, which is ${quote(server)}` }];
  });
}
