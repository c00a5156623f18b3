/**
 * Postoffices that have nothing in common but mail: each office has a mailbox in the mail system of the test.
 *
 *   people.ldif ─▶ branch ── SMTP ─▶ Exim ─▶ Dovecot ── IMAP ─▶ server
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Office } from '../demo/office.ts';
import type { NetworkOptions } from '../network/network.ts';
import type { MailOptions } from '../servers/mail/options.ts';
import type { MailSystem } from '../servers/mail/system.ts';

export function addressOf({ name }: Pick<Office, 'name'>): string {
  return `dirpost@${name}.test`;
}

export function passwordOf({ name }: Pick<Office, 'name'>): string {
  return `secret-of-${name}`;
}

/** The server is `hq`, the branches `b1`, `b2` and so on. */
export function namesOf(branches: number): string[] {
  return ['hq', ...Array.from({ length: branches }, (_, i) => `b${i + 1}`)];
}

/** What the agents of an office log in with from now on. */
export async function writePassword({ root, name }: Pick<Office, 'root' | 'name'>, password: string): Promise<void> {
  await mkdir(join(root, 'passwords'), { recursive: true });
  await writeFile(join(root, 'passwords', name), `${password}\n`, { mode: 0o600 });
}

export function mailUsers(names: string[]): MailOptions['users'] {
  return names.map((name) => ({ address: addressOf({ name }), password: passwordOf({ name }) }));
}

/** `transports.mail` of an office. */
export function mailSettings({ smtp, imap, ca }: MailSystem, office: Pick<Office, 'root' | 'name'>): object {
  return {
    address: addressOf(office),
    submission: { host: smtp.host, port: smtp.port, tls: 'starttls' },
    mailbox: { host: imap.host, port: imap.imapsPort, tls: 'implicit' },
    login: { password: { file: join(office.root, 'passwords', office.name) } },
    ca,
  };
}

/** Of a network of real agents, who join by mail. The passwords are written. `more`: other transports beside mail. */
export async function mailNetworkOptions(
  mail: MailSystem,
  options: Omit<NetworkOptions, 'transports'>,
  more: object = {},
): Promise<NetworkOptions> {
  const { root, branches } = options;
  for (const name of namesOf(branches)) await writePassword({ root, name }, passwordOf({ name }));
  return { ...options, transports: (office) => ({ mail: mailSettings(mail, office), ...more }) };
}
