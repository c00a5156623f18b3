/** Two postoffices with LDAP directories: oslo publishes out of one slapd, hq (the server) writes into another. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere, temporaryFolder } from '../cli/network.ts';
import { makeOffices, type Office } from '../demo/office.ts';
import type { Slapd } from '../servers/ldap/slapd.ts';
import { NETWORK, PEOPLE } from './ldap-directory.ts';

export interface LdapOffices {
  hq: Office;
  oslo: Office;
}

/** `firstWrite`: of hq's target. */
export async function ldapOffices(
  source: Slapd,
  target: Slapd,
  more: { publish?: object; subscribe?: object } = {},
): Promise<LdapOffices> {
  const [hq, oslo] = (await makeOffices(await temporaryFolder(), ['hq', 'oslo'], runHere)) as [Office, Office];
  await setDirectories(oslo, [await publishing(oslo, source, more.publish)]);
  await setDirectories(hq, [await subscribing(hq, target, more.subscribe)]);
  return { hq, oslo };
}

async function connectionTo(office: Office, server: Slapd): Promise<object> {
  await writeFile(join(office.data, 'ldap-password'), `${server.admin.password}\n`, { mode: 0o600 });
  return {
    type: 'ldap',
    profile: 'openldap',
    servers: [server.url],
    tls: 'none',
    bind: { method: 'simple', dn: server.admin.dn, password: { file: 'ldap-password' } },
  };
}

export async function publishing(office: Office, server: Slapd, more: object = {}): Promise<object> {
  return { name: 'people', direction: 'publish', ...(await connectionTo(office, server)), base: PEOPLE, ...more };
}

export async function subscribing(office: Office, server: Slapd, more: object = {}): Promise<object> {
  const target = { container: NETWORK, firstWrite: 'allowed' };
  return { name: 'network', direction: 'subscribe', ...(await connectionTo(office, server)), ...target, ...more };
}

export async function setDirectories(office: Office, directories: object[]): Promise<void> {
  const text = await readFile(office.config, 'utf8');
  const replaced = text.replace(
    /^directories:.*\n(?:(?: .*|#.*)?\n)*/m,
    () => `directories: ${JSON.stringify(directories)}\n`,
  );
  await writeFile(office.config, replaced);
}

/** From oslo's directory to hq's, and the word of it back. */
export async function ldapCycle({ hq, oslo }: LdapOffices): Promise<void> {
  await oslo.must('sync', '--wait', '0');
  await hq.must('sync');
  await oslo.must('dispatch');
  await hq.must('dispatch');
}
