/** Users whom an Active Directory (Samba) has already, and who are on the network: they are changed and not doubled. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DirectoryChange, type TargetEntry } from '@dirpost/core';
import { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import { runCommand } from '../servers/ldap/commands.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { attributesOf, idOf, ldif, optionsFor, simple, targetIn, writeAll } from './ldap-directory.ts';

const SUFFIX = 'DC=probe,DC=test';
const STAFF = `OU=Staff,${SUFFIX}`;
const NETWORK = `OU=Network,${SUFFIX}`;

const user = (cn: string, mail: string, more = '') =>
  `dn: CN=${cn},${STAFF}\nobjectClass: user\nsAMAccountName: ${cn}\nuserAccountControl: 514\nmail: ${mail}\ndepartment: own\n${more}`;

const group = (cn: string, groupType: string, within = STAFF) =>
  `dn: CN=${cn},${within}\nobjectClass: group\nsAMAccountName: ${cn}\ngroupType: ${groupType}\nmail: ${cn}@probe.test\n`;

const unit = (dn: string, ou: string) => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${ou}\n`;

describeSamba('users whom Active Directory has already', () => {
  let samba: Samba;
  let directory: LdapDirectory;
  beforeAll(async () => {
    const users = [user('anna', 'anna@probe.test'), user('boss', 'boss@probe.test', 'adminCount: 1\n')];
    const groups = [group('guards', '-2147483646'), group('readers', '2'), group('keepers', '-2147483646', NETWORK)];
    samba = await startSamba({ ldif: ldif([unit(STAFF, 'Staff'), unit(NETWORK, 'Network'), ...users, ...groups]) });
    const target = targetIn(NETWORK, {
      shape: 'ad-contact',
      makeContainer: false,
      stamp: 'info',
      adopted: { base: STAFF, groups: true },
    });
    const server = { host: samba.host, port: 636, admin: samba.admin };
    directory = new LdapDirectory(
      optionsFor(server, {
        servers: [{ host: samba.host, port: 636, tls: 'ldaps' }],
        ca: samba.ca,
        bind: simple(samba.admin),
        profile: 'ad',
        anchor: 'objectguid',
        target,
      }),
    );
  }, 180_000);
  afterAll(() => samba?.stop());

  const never = new AbortController().signal;
  const found = async (addresses: string[]): Promise<TargetEntry[]> => {
    const finder = await directory.finder(never);
    const entries: TargetEntry[] = [];
    const values = addresses.map((one) => Buffer.from(one));
    const query = { base: STAFF, filter: '(objectClass=user)', attribute: 'mail', values, attributes: ['mail'] };
    for await (const one of finder.matching(query)) entries.push(one);
    finder.close();
    return entries.toSorted((a, b) => a.dn.localeCompare(b.dn));
  };
  const search = async (filter: string, ...attributes: string[]) => {
    const { dn, password } = samba.admin;
    const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', `ldaps://${samba.host}`, '-D', dn, '-w', password];
    const env = { LDAPTLS_REQCERT: 'never' };
    return (await runCommand('ldapsearch', [...args, '-b', STAFF, filter, ...attributes], { env })).trim();
  };

  it('are found by their address; who may more than others is told as such', async () => {
    const entries = await found(['ANNA@probe.test', 'boss@probe.test', 'nobody@probe.test']);
    expect(entries.map(({ dn, isProtected }) => [dn, isProtected])).toEqual([
      [`CN=anna,${STAFF}`, false],
      [`CN=boss,${STAFF}`, true],
    ]);
    expect(entries[0]!.anchor).toMatch(/^[0-9a-f]{32}$/);
  });

  it('are changed where they stand, without another name, class or loss; who may more is refused', async () => {
    const [anna, boss] = await found(['anna@probe.test', 'boss@probe.test']);
    const put = ({ dn, anchor }: TargetEntry): DirectoryChange => ({
      id: idOf(dn),
      action: 'put',
      dn,
      attributes: attributesOf({ cn: 'Anna of the network', sn: 'Person', mail: 'anna@probe.test', title: 'Sjef' }),
      kind: 'person',
      place: { dn, anchor },
      adopted: true,
    });
    const outcomes = await writeAll(directory, [put(anna!), put(boss!)]);
    expect(outcomes.map(({ result, code }) => code ?? result)).toEqual(['written', 'notAllowed']);
    expect(await search('(mail=anna@probe.test)', 'cn', 'title', 'department', 'info')).toBe(
      `dn: CN=anna,${STAFF}\ncn: anna\ndepartment: own\ntitle: Sjef`,
    );
    expect(await search('(mail=boss@probe.test)', 'title')).toBe(`dn: CN=boss,${STAFF}`);
  });

  it('are never security groups, whatever the configuration says', async () => {
    const finder = await directory.finder(never);
    const values = [Buffer.from('guards@probe.test'), Buffer.from('readers@probe.test')];
    const query = { base: STAFF, filter: '(objectClass=group)', attribute: 'mail', values, attributes: ['mail'] };
    const entries: TargetEntry[] = [];
    for await (const one of finder.matching(query)) entries.push(one);
    finder.close();
    entries.sort((a, b) => a.dn.localeCompare(b.dn));
    expect(entries.map(({ dn, isProtected }) => [dn, isProtected])).toEqual([
      [`CN=guards,${STAFF}`, true],
      [`CN=readers,${STAFF}`, false],
    ]);
    const changes = entries.map(({ dn, anchor }): DirectoryChange => {
      const attributes = attributesOf({ cn: 'x', description: 'taken', member: `CN=anna,${STAFF}` });
      return { id: idOf(dn), action: 'put', dn, attributes, kind: 'group', place: { dn, anchor }, adopted: true };
    });
    const outcomes = await writeAll(directory, changes);
    expect(outcomes.map(({ result, code }) => code ?? result)).toEqual(['notAllowed', 'written']);
    expect(await search('(cn=guards)', 'member', 'description')).toBe(`dn: CN=guards,${STAFF}`);
    // Somebody made one in the container, under the name of a group of the network.
    const dn = `CN=keepers,${NETWORK}`;
    const attributes = attributesOf({ cn: 'keepers', member: `CN=anna,${STAFF}` });
    const inContainer = await writeAll(directory, [{ id: idOf(dn), action: 'put', dn, attributes, kind: 'group' }]);
    expect(inContainer).toMatchObject([{ result: 'refused', code: 'notAllowed', reason: 'it is a security group' }]);
  });

  it('are found again by their stamp, what dirpost made in the container', async () => {
    const change: DirectoryChange = {
      id: idOf('cy'),
      action: 'put',
      dn: `CN=cy,${NETWORK}`,
      attributes: attributesOf({ cn: 'cy', mail: 'cy@probe.test' }),
      kind: 'person',
    };
    const [outcome] = await writeAll(directory, [change]);
    const finder = await directory.finder(never);
    for (const ids of [null, [idOf('cy'), idOf('nobody')]]) {
      const stamped = [];
      for await (const one of finder.stamped(ids)) stamped.push(one);
      expect(stamped).toMatchObject([{ id: idOf('cy'), dn: `CN=cy,${NETWORK}`, anchor: outcome!.place!.anchor }]);
    }
    finder.close();
  });
});
