/** Login by Kerberos with a keytab, at Samba AD, through the optional package `kerberos`. */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapBind, LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeKerberos } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { openDirectory, readAll, targetIn } from './ldap-directory.ts';

const REALM = 'PROBE.TEST';
const SUFFIX = 'DC=probe,DC=test';
const signal = new AbortController().signal;

type Gssapi = Extract<LdapBind, { method: 'gssapi' }>;

describeKerberos('a login by Kerberos at Samba AD', () => {
  let samba: Samba;
  const before = { ...process.env };

  beforeAll(async () => {
    samba = await startSamba({
      services: ['ldap', 'kdc'],
      settings: ['ldap server require strong auth=allow_sasl_over_tls'],
    });
    process.env['KRB5_CONFIG'] = join(samba.folder, 'krb5.conf');
    await writeFile(process.env['KRB5_CONFIG'], clientConfiguration(samba.host));
    for (const name of ['dirpost', 'other']) {
      await samba.tool('user', 'create', name, `Passw0rd!${name}`);
      await samba.tool('domain', 'exportkeytab', keytabOf(name), `--principal=${name}@${REALM}`);
    }
    await samba.tool('spn', 'add', `ldap/${samba.serverName}`, 'DC1$');
  }, 180_000);
  afterAll(async () => {
    for (const name of ['KRB5_CONFIG', 'KRB5_CLIENT_KTNAME', 'KRB5CCNAME']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    await samba?.stop();
  });

  const keytabOf = (name: string) => join(samba.folder, `${name}.keytab`);
  const loginOf = (name: string, more: Partial<Gssapi> = {}): Gssapi => ({
    method: 'gssapi',
    principal: `${name}@${REALM}`,
    keytab: keytabOf(name),
    serviceHost: samba.serverName,
    ...more,
  });
  const open = (bind: LdapBind, more: Partial<LdapOptions> = {}) =>
    openDirectory(samba, {
      servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
      ca: samba.ca,
      bind,
      anchor: 'objectguid',
      profile: 'ad',
      method: 'whole',
      attributes: ['cn'],
      bases: [{ dn: `CN=Users,${SUFFIX}`, scope: 'one', filter: '(cn=dirpost)' }],
      ...more,
    });

  it('reads, over ldaps and StartTLS, with the ticket that the keytab gives', async () => {
    for (const tls of ['ldaps', 'starttls'] as const) {
      const port = tls === 'ldaps' ? samba.ldapsPort : samba.port;
      const { certificate, entries } = await readAll(
        open(loginOf('dirpost'), { servers: [{ host: samba.host, port, tls }] }),
      );
      expect(certificate).toMatchObject({ complete: true, entries: 1 });
      expect(entries[0]!.dn).toBe(`CN=dirpost,CN=Users,${SUFFIX}`);
    }
  });

  it('is that of each principal, where several log in at once, and leaves nothing in the environment', async () => {
    await samba.modify(`dn: OU=mine,${SUFFIX}\nobjectClass: organizationalUnit\n`);
    const sid = /objectSid: (\S+)/.exec(await samba.tool('user', 'show', 'dirpost'))![1]!;
    await samba.tool('dsacl', 'set', `--objectdn=OU=mine,${SUFFIX}`, `--sddl=(A;CI;GA;;;${sid})`);
    const target = targetIn(`OU=mine,${SUFFIX}`, { shape: 'ad-contact' });
    const mayWrite = async (name: string) =>
      (await open(loginOf(name), { bases: [], target }).facts(signal)).writing?.may;
    for (let i = 0; i < 3; i++) {
      const all = await Promise.all(['dirpost', 'other', 'dirpost', 'other'].map(mayWrite));
      expect(all).toEqual(['yes', 'no', 'yes', 'no']);
    }
    expect([process.env['KRB5_CLIENT_KTNAME'], process.env['KRB5CCNAME']]).toEqual([undefined, undefined]);
  });

  it.each([
    ['a keytab that is not there', (): Partial<Gssapi> => ({ keytab: keytabOf('nobody') })],
    ['a keytab of somebody else', (): Partial<Gssapi> => ({ keytab: keytabOf('other') })],
    ['a server that the domain does not know', (): Partial<Gssapi> => ({ serviceHost: 'dc9.probe.test' })],
  ])('is refused with %s, says so, and the next one is as before', async (_, more) => {
    await expect(readAll(open(loginOf('dirpost', more())))).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'operator',
      message: expect.stringMatching(/^Kerberos does not let dirpost@PROBE\.TEST in by the keytab .*: ./) as string,
    });
    expect((await readAll(open(loginOf('dirpost')))).certificate.complete).toBe(true);
  });
});

function clientConfiguration(kdc: string): string {
  return `[libdefaults]
 default_realm = ${REALM}
 dns_lookup_realm = false
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 ${REALM} = {
  kdc = ${kdc}:88
 }
[domain_realm]
 .probe.test = ${REALM}
 probe.test = ${REALM}
`;
}
