/** Active Directory as Samba does it, read whole and written as contacts. Its deltas are tried in files of their own. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DirectoryChange } from '@dirpost/core';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { hardCases } from './ldap-hard-cases.ts';
import {
  attributesOf,
  container,
  counted,
  entryNamed,
  idOf,
  ldif,
  openDirectory,
  range,
  readAll,
  removal,
  simple,
  targetIn,
  type Texts,
  textOf,
  valuesOf,
  writeAll,
} from './ldap-directory.ts';

const SUFFIX = 'DC=probe,DC=test';
const PEOPLE = `OU=people,${SUFFIX}`;
const NETWORK = `OU=network,${SUFFIX}`;
const PERSONS = 60;
const MEMBERS = 40;
const names = range(PERSONS).map((i) => `p${i}`);
const photo = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0]), randomBytes(20_000)]);
const contactLdif = (name: string, more = '') =>
  `dn: CN=${name},${PEOPLE}\nobjectClass: contact\ncn: ${name}\nsn: Person\nmail: ${name}@probe.test\n${more}`;

const content = ldif([
  `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people`,
  ...names.map((name) => contactLdif(name, 'title: first')),
  contactLdif('Comma\\, Inc. \\+ \\"x\\"'.replaceAll('\\"', '\\22'), '').replace(/\ncn: .*/, ''),
  contactLdif('photographed', `thumbnailPhoto:: ${photo.toString('base64')}`),
  `dn: CN=all,${PEOPLE}\nobjectClass: group\ngroupType: 8\n${range(MEMBERS)
    .map((i) => `member: CN=p${i},${PEOPLE}`)
    .join('\n')}`,
]);

const sub = (dn: string, filter = '(objectClass=contact)') => ({ dn, scope: 'sub', filter }) as const;

describeSamba('a directory on Samba AD', () => {
  let samba: Samba;
  beforeAll(async () => {
    samba = await startSamba({ ldif: content });
  }, 180_000);
  afterAll(() => samba?.stop());

  const options = (more: Partial<LdapOptions> = {}): Partial<LdapOptions> => ({
    servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
    ca: samba.ca,
    anchor: 'objectguid',
    profile: 'ad',
    method: 'whole',
    bases: [sub(PEOPLE)],
    ...more,
  });
  const read = (more: Partial<LdapOptions> = {}) => readAll(openDirectory(samba, options(more)));
  const open = (more: Partial<LdapOptions> = {}) =>
    openDirectory(samba, options({ bases: [], target: targetIn(NETWORK, { shape: 'ad-contact' }), ...more }));
  const contact = (name: string, texts: Texts = {}, within = NETWORK): DirectoryChange => ({
    id: idOf(name),
    action: 'put',
    kind: 'contact',
    dn: `CN=${name},${within}`,
    attributes: attributesOf({ cn: name, sn: 'Person', mail: `${name}@other.test`, ...texts }),
  });

  hardCases(() => samba, {
    suffix: SUFFIX,
    options: () => options({ method: 'auto' }),
    shape: 'ad-contact',
    objectClass: 'contact',
    photo: 'thumbnailphoto',
    names: ['nul\u0000x'],
    cutsAt: 16 * 1_024 * 1_024,
    refused: { invalidAttributeSyntax: { title: 'x'.repeat(200) } },
    // A domain is not loaded from LDIF: its entries get new objectGUIDs where they are removed and made again.
    remake: async (dn, records) => {
      const below = (await samba.search('(objectClass=contact)', ['1.1'], dn)).match(/^dn: .*$/gm)!;
      await samba.modify(ldif([...below.map((line) => `${line}\nchangetype: delete\n`), ...records]));
    },
  });

  it('gives the jpegPhoto of a user octet by octet, and his objectGUID', async () => {
    const picture = Buffer.from(range(70_000).map((i) => (i * 7) % 256));
    await samba.modify(
      `dn: CN=pictured,${SUFFIX}\nobjectClass: user\nsAMAccountName: pictured\njpegPhoto:: ${picture.toString('base64')}\n`,
    );
    const { entries } = await read({ bases: [sub(SUFFIX, '(cn=pictured)')], attributes: ['cn', 'jpegphoto'] });
    expect(Buffer.compare(entries[0]!.attributes.get('jpegphoto')![0]!, picture)).toBe(0);
    const guid = /^objectGUID:: (.*)$/m.exec(await samba.search('(cn=pictured)', ['objectGUID']))![1]!;
    expect(Buffer.from(entries[0]!.attributes.get('objectguid')![0]!).toString('base64')).toBe(guid);
  });

  it('is read whole, page by page, with anchors and pictures octet by octet', async () => {
    const whole = await read({ pageSize: 25, attributes: ['cn', 'title', 'thumbnailphoto'] });
    expect(whole.certificate).toMatchObject({ complete: true, entries: PERSONS + 2, remarks: [] });
    expect(valuesOf(whole)).toEqual(expect.arrayContaining([...names, 'Comma, Inc. + "x"']));
    const anchors = whole.entries.map(({ attributes }) => attributes.get('objectguid')![0]!);
    expect(anchors.map(({ length }) => length)).toEqual(anchors.map(() => 16));
    expect(new Set(anchors.map((anchor) => Buffer.from(anchor).toString('hex'))).size).toBe(anchors.length);
    const { attributes } = entryNamed(whole, 'photographed');
    expect(Buffer.compare(attributes.get('thumbnailphoto')![0]!, photo)).toBe(0);
  });

  it('gives a group in pieces, and all of it is there', async () => {
    const bases = [sub(PEOPLE, '(objectClass=group)')];
    const whole = await read({ bases, attributes: ['cn', 'member;range=0-6'] });
    const members = whole.entries[0]!.attributes.get('member')!.map(String);
    expect(members.toSorted()).toEqual(
      range(MEMBERS)
        .map((i) => `CN=p${i},${PEOPLE}`)
        .toSorted(),
    );
  });

  it('is not complete without a base and where nothing was found, and says that TLS has to come first', async () => {
    const missing = await read({ bases: [sub(`OU=nowhere,${SUFFIX}`)] });
    expect(missing.certificate).toMatchObject({ complete: false, bookmark: null });
    const empty = await read({ bases: [sub(PEOPLE, '(cn=nobody)')] });
    expect(empty.certificate).toMatchObject({ complete: false, bookmark: null });
    const plain = read({ servers: [{ host: samba.host, port: samba.port, tls: 'none' }] });
    await expect(plain).rejects.toMatchObject({
      retry: 'operator',
      message: expect.stringContaining('strongerAuthRequired (8)') as string,
      hint: expect.stringContaining('TLS') as string,
    });
    const wrong = read({ bind: simple({ ...samba.admin, password: 'wrong' }) });
    await expect(wrong).rejects.toMatchObject({ message: expect.stringContaining('invalidCredentials') as string });
    const starttls = await read({ servers: [{ host: samba.host, port: samba.port, tls: 'starttls' }] });
    expect(starttls.certificate.complete).toBe(true);
  });

  it('gets contacts, changed, renamed, moved and removed by their objectGUID', async () => {
    const directory = open();
    const oslo = `OU=oslo,${NETWORK}`;
    const changes = [
      container(NETWORK, 'network'),
      container(oslo, 'oslo'),
      ...names.slice(0, 30).map((name) => contact(name)),
    ];
    const bad = contact('bad', { objectclass: 'x' }, `OU=missing,${NETWORK}`);
    const first = await writeAll(directory, [...changes, bad]);
    expect(counted(first)).toEqual({ written: 32, noSuchObject: 1 });
    const stands = () =>
      read({ bases: [sub(NETWORK)], attributes: ['cn', 'title', 'targetaddress', 'mailnickname', 'mail'] });
    const before = await stands();
    const place = (i: number) => first[i + 2]!.place!;
    const p0 = entryNamed(before, 'p0');
    expect(place(0).anchor).toBe(Buffer.from(p0.attributes.get('objectguid')![0]!).toString('hex'));
    await samba.modify(
      `dn: CN=p4,${NETWORK}\nchangetype: modrdn\nnewrdn: CN=p4\ndeleteoldrdn: 1\nnewsuperior: ${oslo}\n`,
    );
    const second = await writeAll(directory, [
      removal(contact('p1'), place(1)),
      { ...contact('p2 renamed'), id: idOf('p2'), place: place(2) },
      { ...contact('p3', { title: 'second' }, oslo), place: place(3) },
      { ...contact('p4', { title: 'found' }), place: place(4) },
      { ...contact('p5'), place: place(5) },
      // As after a crash: nobody knows that it is there.
      contact('p6', { title: 'adopted' }),
    ]);
    expect(counted(second)).toEqual({ written: 6 });
    const after = await stands();
    expect(after.entries.length).toBe(29);
    const guid = (whole: typeof after, name: string) =>
      Buffer.from(entryNamed(whole, name).attributes.get('objectguid')![0]!).toString('hex');
    expect(guid(after, 'p2 renamed')).toBe(guid(before, 'p2'));
    expect([entryNamed(after, 'p3').dn, textOf(entryNamed(after, 'p3'), 'title')]).toEqual([`CN=p3,${oslo}`, 'second']);
    expect([entryNamed(after, 'p4').dn, guid(after, 'p4')]).toEqual([`CN=p4,${NETWORK}`, guid(before, 'p4')]);
    expect(textOf(entryNamed(after, 'p6'), 'title')).toBe('adopted');
  });

  it('moves who goes to those who left, beside one of his name under the beginning of his entry id', async () => {
    const [office, leavers] = [`OU=lima,${NETWORK}`, `OU=left,${SUFFIX}`];
    const directory = open({ target: targetIn(NETWORK, { shape: 'ad-contact', removal: { moveTo: leavers } }) });
    const [bo, cy] = [contact('bo', {}, office), contact('cy', {}, office)];
    await samba.modify(`dn: ${leavers}\nobjectClass: organizationalUnit\nou: left\n`);
    const made = await writeAll(directory, [container(NETWORK, 'network'), container(office, 'lima'), bo, cy]);
    expect(counted(made)).toEqual({ written: 4 });
    expect(await writeAll(directory, [removal(bo, made[2]!.place!)])).toEqual([{ id: bo.id, result: 'written' }]);
    const takes = { ...bo, id: cy.id, place: made[3]!.place! };
    const [taken] = await writeAll(directory, [takes]);
    expect(counted(await writeAll(directory, [removal(takes, taken!.place!)]))).toEqual({ written: 1 });
    const left = await read({ bases: [sub(leavers)], attributes: ['cn'] });
    const second = `bo ${Buffer.from(cy.id).toString('hex').slice(0, 8)}`;
    expect(left.entries.map(({ dn }) => dn).toSorted()).toEqual([`CN=${second},${leavers}`, `CN=bo,${leavers}`]);
    expect((await read({ bases: [sub(office)] })).entries).toEqual([]);
  });

  it('never gets what lets somebody in, and keeps its own accounts untouched', async () => {
    const users = `CN=Users,${SUFFIX}`;
    const directory = open({ target: targetIn(users, { shape: 'ad-contact', makeContainer: false }) });
    const admins = sub(users, '(|(cn=Administrator)(cn=Domain Admins)(cn=krbtgt))');
    const attributes = ['cn', 'title', 'useraccountcontrol', 'member', 'whenchanged', 'usnchanged', 'admincount'];
    const before = await read({ bases: [admins], attributes });
    expect(before.entries.length).toBe(3);
    const outcomes = await writeAll(directory, [
      ...before.entries.map(({ dn, attributes: has }) => ({
        ...contact(textOf({ attributes: has }, 'cn'), { title: 'none' }, users),
        place: { dn, anchor: Buffer.from(has.get('objectguid')![0]!).toString('hex') },
      })),
      contact('Administrator', { title: 'adopted' }, users),
      removal(contact('krbtgt', {}, users), {
        dn: `CN=krbtgt,${users}`,
        anchor: Buffer.from(entryNamed(before, 'krbtgt').attributes.get('objectguid')![0]!).toString('hex'),
      }),
    ]);
    expect(counted(outcomes)).toEqual({ notAllowed: 5 });
    const after = await read({ bases: [admins], attributes });
    expect(after.entries).toEqual(before.entries);
    const rights = {
      useraccountcontrol: '512',
      serviceprincipalname: 'ldap/x',
      unicodepwd: 'x',
      grouptype: '-2147483646',
    };
    const mallory = await writeAll(open(), [container(NETWORK, 'network'), contact('mallory', rights)]);
    expect(counted(mallory)).toEqual({ written: 2 });
    const [found] = (await read({ bases: [sub(NETWORK, '(cn=mallory)')], attributes: Object.keys(rights) })).entries;
    expect([...found!.attributes.keys()].toSorted()).toEqual(['objectclass', 'objectguid']);
  });

  it('keeps X500 addresses of contacts beside those of the network, and one primary', async () => {
    const target = targetIn(NETWORK, { shape: 'ad-contact', policies: { proxyaddresses: 'merge' } });
    const directory = open({ target });
    const dn = `CN=merged,${NETWORK}`;
    const made = await writeAll(directory, [container(NETWORK, 'network'), contact('merged')]);
    expect(counted(made)).toEqual({ written: 2 });
    const { place } = made[1]!;
    await samba.modify(
      `dn: ${dn}\nchangetype: modify\nadd: proxyAddresses\nproxyAddresses: X500:/o=Old/cn=merged\nproxyAddresses: sip:merged@x.test\n`,
    );
    const change: DirectoryChange = { ...contact('merged', { mail: 'new@other.test' }), place };
    expect(counted(await writeAll(directory, [change]))).toEqual({ written: 1 });
    const { entries } = await read({ bases: [sub(NETWORK, '(cn=merged)')], attributes: ['cn', 'proxyaddresses'] });
    expect(entries[0]!.attributes.get('proxyaddresses')!.map(String).toSorted()).toEqual([
      'SMTP:new@other.test',
      'X500:/o=Old/cn=merged',
      'sip:merged@x.test',
      'smtp:merged@other.test',
    ]);
    for await (const again of directory.preview([change], new AbortController().signal)) {
      expect(again).toMatchObject({ action: 'nothing' });
    }
  });

  it('names in a group those too whose primary group it is, in whole reads and in deltas', async () => {
    const [dn, user] = [`CN=staff,${PEOPLE}`, `CN=primary,${PEOPLE}`];
    await samba.modify(
      ldif([
        `dn: ${user}\nchangetype: add\nobjectClass: user\nsAMAccountName: primary\n`,
        `dn: ${dn}\nchangetype: add\nobjectClass: group\ngroupType: -2147483646\nsAMAccountName: staff\nmember: ${user}\nmember: CN=p0,${PEOPLE}\n`,
      ]),
    );
    const method = 'usn' as const;
    const groups = { bases: [sub(PEOPLE, '(cn=staff)')], attributes: ['cn', 'member'], method };
    const sid = (await read({ ...groups, attributes: ['cn', 'objectsid'] })).entries[0]!.attributes.get(
      'objectsid',
    )![0]!;
    const number = Buffer.from(sid).readUInt32LE(sid.length - 4);
    await samba.modify(`dn: ${user}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: ${number}\n`);
    const whole = await read(groups);
    const membersOf = ({ entries }: typeof whole) => entries[0]!.attributes.get('member')!.map(String).toSorted();
    expect(membersOf(whole)).toEqual([`CN=p0,${PEOPLE}`, user]);
    expect(entryNamed(whole, 'staff').attributes.has('objectsid')).toBe(false);
    await samba.modify(`dn: ${dn}\nchangetype: modify\nadd: member\nmember: CN=p1,${PEOPLE}\n`);
    const delta = await readAll(openDirectory(samba, options(groups)), whole.certificate.bookmark);
    expect(delta.certificate.extent).toBe('delta');
    expect(membersOf(delta)).toEqual([`CN=p0,${PEOPLE}`, `CN=p1,${PEOPLE}`, user]);
  });

  it('that is killed fails in the middle of its pages, and is read when it is back', async () => {
    const reading = readAll(openDirectory(samba, options({ pageSize: 10 })), null, () => samba.kill());
    await expect(reading).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await samba.start();
    expect((await read()).certificate).toMatchObject({ complete: true, entries: PERSONS + 2 });
  });
});
