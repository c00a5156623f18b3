/**
 * Three postoffices by HTTP on loopback, for the LDAP benches: oslo publishes out of one slapd, lima writes into another,
 * hq between them runs as an agent. oslo and lima work when they are told to (`dirpost sync`), as their schedule would do it.
 *
 *   slapd ─▶ oslo ── exchange ─▶ hq ── update ─▶ lima ─▶ slapd
 *                                 ◀── verification ──┘
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Slapd } from '../servers/ldap/slapd.ts';
import { freePorts } from '../servers/free-ports.ts';
import { NETWORK, PEOPLE } from './ldap-people.ts';
import { Office } from './office.ts';

export interface LdapOffices {
  hq: Office;
  oslo: Office;
  lima: Office;
  close(): Promise<void>;
}

/** The agent of hq runs when this resolves. `publish`: settings of the directory of oslo. */
export async function openLdapOffices(source: Slapd, target: Slapd, publish: object = {}): Promise<LdapOffices> {
  const root = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
  const [hq, oslo, lima] = ['hq', 'oslo', 'lima'].map((name) => new Office(root, name)) as [Office, Office, Office];
  const close = async () => {
    await Promise.all([hq, oslo, lima].map((office) => office.stop()));
    rmSync(root, { recursive: true, force: true });
  };
  try {
    hq.command('init', 'hq', '--role', 'server');
    for (const office of [oslo, lima]) office.command('init', office.name, '--role', 'requestor', '--server', 'hq');
    await configure({ hq, oslo, lima }, { source, target, publish });
    for (const office of [oslo, lima]) {
      office.trust(hq);
      hq.trust(office);
    }
    await hq.start();
    return { hq, oslo, lima, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Directories {
  source: Slapd;
  target: Slapd;
  publish: object;
}

async function configure(
  { hq, oslo, lima }: Omit<LdapOffices, 'close'>,
  { source, target, publish }: Directories,
): Promise<void> {
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const asRequestor = { role: 'requestor', server: 'hq', transports: { http: { url: `http://${address}` } } };
  const lists = [{ name: 'all', receivers: [oslo.name, lima.name] }];
  hq.writeConfiguration({ role: 'server', lists, transports: { http: { listen: address } } });
  const people = { name: 'people', direction: 'publish', ...connectionTo(oslo, source), base: PEOPLE, ...publish };
  // What the people have beside what is asked for by default.
  const attributes = { employeeNumber: 'employeeNumber' };
  oslo.writeConfiguration({ ...asRequestor, directories: [{ ...people, attributes }] });
  const network = { name: 'network', direction: 'subscribe', ...connectionTo(lima, target) };
  lima.writeConfiguration({
    ...asRequestor,
    directories: [{ ...network, container: NETWORK, firstWrite: 'allowed' }],
  });
}

function connectionTo(office: Office, { url, admin }: Slapd): object {
  writeFileSync(join(office.folder, 'ldap-password'), `${admin.password}\n`, { mode: 0o600 });
  return {
    type: 'ldap',
    profile: 'openldap',
    servers: [url],
    tls: 'none',
    bind: { method: 'simple', dn: admin.dn, password: { file: 'ldap-password' } },
  };
}
