/** A branch with Active Directory, as Samba does it, by an ordinary user who may write into one organizational unit (docs/ldap.md). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readLdif } from '../demo/contents.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { ldif } from './ldap-directory.ts';
import { ownCycle, type OwnOffices, ownOffices, publishedAtHq, staffWith, takenOf } from './ldap-own-offices.ts';

const SUFFIX = 'DC=probe,DC=test';
const USERS = `CN=Users,${SUFFIX}`;
const NETWORK = `OU=Network,${SUFFIX}`;
const PASSWORD = 'Passw0rd!branch';
const AT_HQ = 'ou=oslo,ou=network,dc=example,dc=org';

const userLdif = (cn: string, name: string, more = '') =>
  `dn: CN=${cn},${USERS}\nobjectClass: user\nsAMAccountName: ${name}\nuserAccountControl: 512\nunicodePwd:: ${Buffer.from(`"${PASSWORD}"`, 'utf16le').toString('base64')}\n${more}`;

const personOf = (cn: string, name: string, more = '') =>
  userLdif(cn, name, `sn: Person\ngivenName: ${name}\nmail: ${name}@probe.test\n${more}`);
const groupOf = (members: string[]) =>
  `dn: CN=lager,${USERS}\nobjectClass: group\nsAMAccountName: lager\ngroupType: 2\nmail: lager@probe.test\n${members
    .map((cn) => `member: CN=${cn},${USERS}\n`)
    .join('')}`;
/** Of contacts in the container, all that is not the server's own. */
const WRITTEN = ['objectClass', 'cn', 'sn', 'givenName', 'mail', 'title', 'telephoneNumber', 'l', 'uid', 'displayName'];

const content = ldif([
  userLdif('dirpost', 'dirpost'),
  ...['ingrid', 'olav', 'petter'].map((name) => personOf(`${name} Person`, name)),
  groupOf(['ingrid Person', 'olav Person']),
  `dn: ${NETWORK}\nobjectClass: organizationalUnit\nou: Network\n`,
]);

describeSamba('a branch with Active Directory', () => {
  let samba: Samba;
  let offices: OwnOffices;
  beforeAll(async () => {
    samba = await startSamba({ ldif: content });
    const sid = /^objectSid: (.*)$/m.exec(await samba.tool('user', 'show', 'dirpost'))![1]!;
    await samba.tool('dsacl', 'set', `--objectdn=${NETWORK}`, `--sddl=(A;CI;GA;;;${sid})`);
    offices = await ownOffices({
      profile: 'ad',
      url: `ldaps://${samba.host}`,
      ca: samba.ca,
      login: { dn: 'dirpost@probe.test', password: PASSWORD },
      base: USERS,
      container: NETWORK,
    });
  }, 180_000);
  afterAll(() => samba?.stop());

  const search = (filter: string, ...attributes: string[]) => samba.search(filter, attributes, NETWORK);
  const count = async (filter: string) => (await search(filter, '1.1')).match(/^dn:/gm)?.length ?? 0;

  it('publishes who has a mail address, and gets contacts and groups after an approval', async () => {
    const { hq, branch } = offices;
    await ownCycle(offices);
    expect((await branch.run('held')).code).toBe(3);
    expect(await count('(|(objectClass=contact)(objectClass=group))')).toBe(0);
    await branch.must('approve', 'network');
    expect(await count('(objectClass=contact)')).toBe(3);
    expect(await count('(&(objectClass=group)(groupType=8)(member=*))')).toBe(1);
    const published = await readLdif(hq.network);
    expect(published.get(`CN=lager,${AT_HQ}`)!.get('member')).toEqual([
      `CN=ingrid Person,${AT_HQ}`,
      `CN=olav Person,${AT_HQ}`,
    ]);
    expect([...published.keys()].filter((dn) => dn.startsWith('CN='))).toHaveLength(4);
    await ownCycle(offices);
    expect((await branch.run('preview')).out).toMatch(/\nnetwork +0 +0 +0 +0 +0\n/);
  }, 60_000);

  it('gives and takes what is changed, renamed and gone', async () => {
    const { hq } = offices;
    await samba.modify(`dn: CN=ingrid Person,${USERS}
changetype: modify
replace: title
title: Sjef

dn: CN=olav Person,${USERS}
changetype: modrdn
newrdn: CN=olav Berg
deleteoldrdn: 1

dn: CN=petter Person,${USERS}
changetype: delete
`);
    const [first, ...others] = staffWith({ title: 'Boss' }).people;
    await hq.writePeople({ ...staffWith({}), people: [first!, ...others.slice(1)], groups: [] });
    await ownCycle(offices);
    const published = await readLdif(hq.network);
    expect(published.get(`CN=ingrid Person,${AT_HQ}`)!.get('title')).toEqual(['Sjef']);
    expect(published.get(`CN=lager,${AT_HQ}`)!.get('member')).toEqual([
      `CN=ingrid Person,${AT_HQ}`,
      `CN=olav Berg,${AT_HQ}`,
    ]);
    expect(published.has(`CN=petter Person,${AT_HQ}`)).toBe(false);
    expect(await count('(objectClass=contact)')).toBe(2);
    expect(await count('(title=Boss)')).toBe(2);
    expect(await count('(objectClass=group)')).toBe(0);
  }, 60_000);

  it('is the same to all where entries were removed and made anew with other objectGUIDs: published, and written', async () => {
    const { hq, branch } = offices;
    await ownCycle(offices);
    const before = await publishedAtHq(hq, 'objectguid');
    const guids = async () => (await samba.search('(mail=*)', ['objectGUID'])).match(/^objectGUID:: .*$/gm)!;
    const guidsBefore = await guids();
    const written = await search('(cn=*)', ...WRITTEN);
    const own = ['CN=ingrid Person', 'CN=olav Berg', 'CN=lager'].map((rdn) => `dn: ${rdn},${USERS}`);
    const there = written.match(/^dn::? .*$/gm)!;
    await samba.modify(ldif([...own, ...there].map((line) => `${line}\nchangetype: delete\n`)));
    const people = [
      personOf('ingrid Person', 'ingrid', 'title: Sjef\n'),
      personOf('olav Berg', 'olav'),
      groupOf(['ingrid Person', 'olav Berg']),
    ];
    await samba.modify(ldif([...people, written]));
    expect((await guids()).filter((guid) => guidsBefore.includes(guid))).toEqual([]);
    const titled = { ...staffWith({ title: 'Chief' }), groups: [] };
    const [first, ...others] = titled.people;
    await hq.writePeople({ ...titled, people: [first!, ...others.slice(1)] });
    await ownCycle(offices);
    expect(await takenOf(branch)).toMatchObject({ added: 0, removed: 0, recognised: before.size });
    expect(await publishedAtHq(hq, 'objectguid')).toEqual(before);
    expect([await count('(title=Chief)'), await count('(objectClass=contact)')]).toEqual([2, 2]);
    await hq.writePeople({ ...titled, people: others.slice(1) });
    await ownCycle(offices);
    expect(await count('(objectClass=contact)')).toBe(1);
  }, 60_000);
});
