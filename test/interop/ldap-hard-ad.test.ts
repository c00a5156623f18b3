/** Samba as Active Directory: groups of thousands, its limits, and deltas and writes while it is restarted and killed. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DirectoryChange, WriteOutcome } from '@dirpost/core';
import type { LdapBase, LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import {
  attributesOf,
  container,
  counted,
  idOf,
  ldif,
  openDirectory,
  range,
  readAll,
  targetIn,
  writeAll,
} from './ldap-directory.ts';
import { Mirror } from './ldap-mirror.ts';

const SUFFIX = 'DC=probe,DC=test';
const PEOPLE = `OU=people,${SUFFIX}`;
const NETWORK = `OU=network,${SUFFIX}`;
const CONFIGURATION = `CN=Configuration,${SUFFIX}`;
const GROUP = `CN=all,${NETWORK}`;
const POLICY = `CN=Default Query Policy,CN=Query-Policies,CN=Directory Service,CN=Windows NT,CN=Services,${CONFIGURATION}`;
const MEMBERS = 5_000;
const PERSONS = 40;
/** Parts of a filter for which no index helps. */
const PARTS = 3_000;
const contact = (name: string, more = '') =>
  `dn: CN=${name},${PEOPLE}\nobjectClass: contact\ncn: ${name}\nsn: Person\n${more}`;
const sub = (dn: string, filter = '(objectClass=contact)'): LdapBase => ({ dn, scope: 'sub', filter });
const names = (text: string) => text.match(/^dn: .*$/gm)!.map((line) => line.slice(4));

describeSamba('what is hard, with Samba AD', () => {
  let samba: Samba;
  /** DNs of entries that are there. */
  let all: string[];
  beforeAll(async () => {
    const people = `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people\n`;
    const content = ldif([people, ...range(PERSONS).map((i) => contact(`p${i}`))]);
    // What is killed here is a process, not a machine.
    samba = await startSamba({ ldif: content, settings: ['ldb:nosync=yes'] });
    // Who is not there cannot be a member: what each domain has spares the making of some.
    const system = names(await samba.search('(cn=*)', ['1.1'], CONFIGURATION));
    const own = range(MEMBERS + 3 - system.length).map((i) => `CN=m${i},${PEOPLE}`);
    await samba.modify(ldif(own.map((dn) => `dn: ${dn}\nobjectClass: contact\n`)));
    all = [...own, ...system];
  }, 240_000);
  afterAll(() => samba?.stop());

  const options = (more: Partial<LdapOptions> = {}): Partial<LdapOptions> => ({
    servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
    ca: samba.ca,
    profile: 'ad',
    anchor: 'objectguid',
    ...more,
  });
  const read = (bases: LdapBase[], more: Partial<LdapOptions> = {}) =>
    readAll(openDirectory(samba, options({ method: 'whole', bases, ...more })));
  const writer = () => openDirectory(samba, options({ bases: [], target: targetIn(NETWORK, { shape: 'ad-contact' }) }));

  it('takes a group of 5,000, gives it back, and takes later what differs', async () => {
    const group = (members: string[]): DirectoryChange => ({
      id: idOf('group'),
      action: 'put',
      kind: 'group',
      dn: GROUP,
      attributes: attributesOf({ cn: 'all', member: members }),
    });
    const first = await writeAll(writer(), [container(NETWORK, 'network'), group(all.slice(0, MEMBERS))]);
    expect(counted(first)).toEqual({ written: 2 });
    const members = async () => {
      const { entries } = await read([sub(NETWORK, '(objectClass=group)')], {
        attributes: ['cn', 'member;range=0-999'],
      });
      return entries[0]!.attributes.get('member')!.map(String).toSorted();
    };
    expect(await members()).toEqual(all.slice(0, MEMBERS).toSorted());
    const second = await writeAll(writer(), [{ ...group(all.slice(6)), place: first[1]!.place! }]);
    expect(counted(second)).toEqual({ written: 1 });
    expect(await members()).toEqual(all.slice(6).toSorted());
  });

  for (const method of ['usn', 'dirsync', 'modify-timestamp'] as const) {
    it(`tells by ${method} what changed before it was killed, and after it was started again`, async () => {
      const mirror = new Mirror(
        openDirectory(samba, options({ method, bases: [sub(PEOPLE, '(cn=p*)')] })),
        'objectguid',
      );
      await mirror.read();
      const before = mirror.names;
      await samba.modify(ldif([contact(`pa-${method}`), `dn: CN=p1,${PEOPLE}\nchangetype: delete\n`]));
      await samba.restart();
      await samba.modify(ldif([contact(`pb-${method}`), contact('p1')]));
      const { certificate } = await mirror.read();
      expect(certificate).toMatchObject({ complete: true, remarks: [] });
      if (method !== 'modify-timestamp') expect(certificate.extent).toBe('delta');
      expect(mirror.names).toEqual([...before, `pa-${method}`, `pb-${method}`].toSorted());
    });
  }

  it('that has too little time for an answer is not complete, and is when it has', async () => {
    const limit = (from: number, to: number) =>
      samba.modify(
        `dn: ${POLICY}\nchangetype: modify\ndelete: lDAPAdminLimits\nlDAPAdminLimits: MaxQueryDuration=${from}\n-\nadd: lDAPAdminLimits\nlDAPAdminLimits: MaxQueryDuration=${to}\n`,
      );
    await limit(120, 1);
    const parts = range(PARTS).map((i) => `(cn=*q${i}*)`);
    const bases = [sub(PEOPLE, `(&(objectClass=contact)(!(|${parts.join('')})))`)];
    for (const pageSize of [10, 1_000]) {
      const { certificate } = await read(bases, { pageSize });
      expect(certificate).toMatchObject({ complete: false, bookmark: null });
      // It says one or the other, by where its time runs out.
      expect(certificate.remarks.join()).toMatch(/timeLimitExceeded \(3\)|operationsError \(1\)/);
      expect(certificate.remarks.join().length).toBeLessThan(1_000);
    }
    await limit(1, 120);
    expect((await read([sub(PEOPLE, '(cn=p*)')])).certificate).toMatchObject({ complete: true });
  });

  it('has no limit on the entries of an answer, and is read whole where its policy names one', async () => {
    const page = (from: number, to: number) =>
      samba.modify(
        `dn: ${POLICY}\nchangetype: modify\ndelete: lDAPAdminLimits\nlDAPAdminLimits: MaxPageSize=${from}\n-\nadd: lDAPAdminLimits\nlDAPAdminLimits: MaxPageSize=${to}\n`,
      );
    await page(1_000, 10);
    const whole = await read([sub(PEOPLE, '(cn=m*)')], { pageSize: 500 });
    const there = all.filter((dn) => dn.endsWith(PEOPLE));
    expect(whole.certificate).toMatchObject({ complete: true, remarks: [], entries: there.length });
    await page(10, 1_000);
  });

  it('that is killed in the middle of a batch of writes has all once, when it is back', async () => {
    const changes: DirectoryChange[] = range(300).map((i) => ({
      id: idOf(`k${i}`),
      action: 'put',
      kind: 'contact',
      dn: `CN=k${i},${NETWORK}`,
      attributes: attributesOf({ cn: `k${i}`, sn: 'Person', mail: `k${i}@other.test` }),
    }));
    const got: WriteOutcome[] = [];
    const writing = writeAll(writer(), [container(NETWORK, 'network'), ...changes], async (outcome) => {
      if (got.push(outcome) === 60) await samba.kill();
    });
    await expect(writing).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await samba.start();
    const stands = () => read([sub(NETWORK, '(cn=k*)')]);
    const left = (await stands()).entries.length;
    expect(left).toBeGreaterThanOrEqual(59);
    expect(left).toBeLessThan(changes.length);
    expect(counted(await writeAll(writer(), changes))).toEqual({ written: changes.length });
    expect((await stands()).certificate).toMatchObject({ complete: true, entries: changes.length });
  });
});
