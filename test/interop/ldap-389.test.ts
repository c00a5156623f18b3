/** 389-DS, read and written: its content synchronization, its anchors, and writes without transactions. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WriteOutcome } from '@dirpost/core';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389 } from '../servers/ldap/presence.ts';
import {
  attributesOf,
  container,
  counted,
  entryNamed,
  idOf,
  ldif,
  NETWORK,
  openDirectory,
  PEOPLE,
  people,
  person,
  personLdif,
  range,
  readAll,
  removal,
  simple,
  SUFFIX,
  targetIn,
  textOf,
  valuesOf,
  writeAll,
} from './ldap-directory.ts';
import { fold, type Known } from './ldap-fold.ts';

const ANCHOR = 'nsuniqueid';
const OTHERS = `ou=others,${SUFFIX}`;
const MEMBERS = 5_000;
const names = range(150).map((i) => `p${i}`);
const photo = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0]), randomBytes(40_000)]);
const content = ldif([
  people,
  `dn: ${OTHERS}\nobjectClass: organizationalUnit\nou: others`,
  ...names.map((name) => personLdif(name, 'title: first')),
  personLdif('photographed', `jpegPhoto:: ${photo.toString('base64')}`, OTHERS),
  `dn: cn=all,${OTHERS}\nobjectClass: groupOfNames\ncn: all\n${range(MEMBERS)
    .map((i) => `member: cn=m${i},${OTHERS}`)
    .join('\n')}`,
]);
const sub = (dn: string) => ({ dn, scope: 'sub', filter: '(objectClass=person)' }) as const;
const source: Partial<LdapOptions> = { bases: [sub(PEOPLE)], anchor: ANCHOR, profile: '389ds' };
const dnOf = (name: string) => `dn: cn=${name},${PEOPLE}\n`;
const modified = (name: string, title: string) => `${dnOf(name)}changetype: modify\nreplace: title\ntitle: ${title}\n`;
const deleted = (name: string) => `${dnOf(name)}changetype: delete\n`;

describe389('a directory on 389-DS', () => {
  let server: Ds389;
  beforeAll(async () => {
    server = await startDs389({ ldif: content, sizeLimit: 1_000 });
  });
  afterAll(() => server?.stop());

  const whole = (more: Partial<LdapOptions> = {}) =>
    readAll(openDirectory(server, { ...source, method: 'whole', ...more }));

  it('is read whole, page by page, over TLS as well', async () => {
    const tls = [
      { host: 'localhost', port: server.ldapsPort, tls: 'ldaps' },
      { host: '127.0.0.1', port: server.port, tls: 'starttls' },
    ] as const;
    for (const servers of [undefined, ...tls.map((one) => [one])]) {
      const bind = simple(server.reader);
      const read = await whole({ bind, ca: server.ca, ...(servers && { servers }) });
      expect(read.certificate).toMatchObject({ complete: true, entries: names.length, remarks: [] });
      expect(valuesOf(read)).toEqual(names.toSorted());
    }
  });

  it('gives pictures octet by octet, and groups with all their members', async () => {
    const bases = [{ ...sub(OTHERS), filter: '(cn=*)' }];
    const read = await whole({ bases, attributes: ['cn', 'member', 'jpegphoto'] });
    expect(Buffer.compare(entryNamed(read, 'photographed').attributes.get('jpegphoto')![0]!, photo)).toBe(0);
    expect(entryNamed(read, 'all').attributes.get('member')!.length).toBe(MEMBERS);
  });

  it('is not complete beyond a limit, without a base, and for who may not see it', async () => {
    await server.modify('dn: cn=config\nchangetype: modify\nreplace: nsslapd-sizelimit\nnsslapd-sizelimit: 100\n');
    const bind = simple(server.reader);
    for (const method of ['whole', 'syncrepl'] as const) {
      const { certificate } = await whole({ bind, method, pageSize: 1_000 });
      expect(certificate).toMatchObject({ complete: false, bookmark: null });
      expect(certificate.remarks.join()).toMatch(/(size|admin)LimitExceeded/);
    }
    await server.modify('dn: cn=config\nchangetype: modify\nreplace: nsslapd-sizelimit\nnsslapd-sizelimit: -1\n');
    for (const method of ['whole', 'syncrepl'] as const) {
      const missing = await whole({ bases: [sub(`ou=nowhere,${SUFFIX}`)], method });
      expect(missing.certificate).toMatchObject({ complete: false, bookmark: null });
      const unseen = await whole({ bind: { method: 'anonymous' }, method });
      expect(unseen.certificate).toMatchObject({ complete: false, bookmark: null });
    }
  });

  it('tells what changed since a bookmark, also after a restart, and with a bookmark that is garbage', async () => {
    let known: Known = new Map();
    let bookmark: string | null = null;
    const agree = async (since: string | null) => {
      const read = await readAll(openDirectory(server, source), since);
      expect(read.certificate).toMatchObject({ complete: true, remarks: [] });
      known = fold(known, read, ANCHOR);
      bookmark = read.certificate.bookmark;
      expect(known).toEqual(fold(new Map(), await whole(), ANCHOR));
      return read;
    };
    await agree(null);
    const renamed = `${dnOf('p2')}changetype: modrdn\nnewrdn: cn=p2 renamed\ndeleteoldrdn: 1\n`;
    await server.modify(ldif([personLdif('new'), modified('p1', 'second'), renamed, deleted('p3')]));
    expect(valuesOf(await agree(bookmark))).toEqual(expect.arrayContaining(['new', 'p1', 'p2 renamed']));
    const move = `${dnOf('p4')}changetype: modrdn\nnewrdn: cn=p4\ndeleteoldrdn: 0\nnewsuperior: ${OTHERS}\n`;
    await server.modify(ldif([modified('p5', 'before'), deleted('p6'), move]));
    await server.restart();
    await server.modify(ldif([modified('p7', 'after'), deleted('p8')]));
    await agree(bookmark);
    await server.modify(ldif([modified('p7', 'last'), deleted('p9')]));
    for (const since of ['', '{}', bookmark!.slice(0, -9), bookmark!.replaceAll('2', 'x')]) await agree(since);
  });

  it('is written entry by entry, and one that is refused stops no other', async () => {
    const directory = openDirectory(server, { anchor: ANCHOR, target: targetIn(NETWORK) });
    const changes = [container(NETWORK, 'network'), ...range(300).map((i) => person(`n${i}`, { title: 'first' }))];
    changes[100] = person('nowhere', {}, `ou=missing,${NETWORK}`);
    const first = await writeAll(directory, changes);
    expect(counted(first)).toEqual({ written: 300, noSuchObject: 1 });
    const place = (i: number) => first[i + 1]!.place!;
    const stands = () => whole({ bases: [sub(NETWORK)] });
    const before = await stands();
    expect(Buffer.from(place(7).anchor, 'hex').toString()).toBe(textOf(entryNamed(before, 'n7'), ANCHOR));
    await server.modify(`dn: cn=n5,${NETWORK}\nchangetype: modrdn\nnewrdn: cn=n5 moved\ndeleteoldrdn: 1\n`);
    const second = await writeAll(directory, [
      removal(person('n1'), place(1)),
      // Gets the name that has just become free.
      { ...person('n1', { title: 'successor' }), id: idOf('successor') },
      { ...person('n2 renamed', { title: 'first' }), id: idOf('n2'), place: place(2) },
      { ...person('n3', { title: 'second' }), place: place(3) },
      { ...person('n5', { title: 'found' }), place: place(5) },
      person('n4', { title: 'adopted' }),
    ]);
    expect(counted(second)).toEqual({ written: 6 });
    const after = await stands();
    expect(after.entries.length).toBe(299);
    const titles = ['n1', 'n2 renamed', 'n3', 'n4', 'n5'].map((name) => textOf(entryNamed(after, name), 'title'));
    expect(titles).toEqual(['successor', 'first', 'second', 'adopted', 'found']);
    expect(textOf(entryNamed(after, 'n5'), ANCHOR)).toBe(textOf(entryNamed(before, 'n5'), ANCHOR));
  });

  it('takes a group of 5,000, and later what differs', async () => {
    const directory = openDirectory(server, { anchor: ANCHOR, target: targetIn(NETWORK) });
    const group = (members: number[]) => ({
      id: idOf('group'),
      action: 'put' as const,
      kind: 'group' as const,
      dn: `cn=all,${NETWORK}`,
      attributes: attributesOf({ cn: 'all', member: members.map((i) => `cn=m${i},${NETWORK}`) }),
    });
    const first = await writeAll(directory, [container(NETWORK, 'network'), group(range(MEMBERS))]);
    expect(counted(first)).toEqual({ written: 2 });
    const members = range(MEMBERS + 3).slice(6);
    expect(counted(await writeAll(directory, [{ ...group(members), place: first[1]!.place! }]))).toEqual({
      written: 1,
    });
    const read = await whole({ bases: [{ ...sub(NETWORK), filter: '(cn=all)' }] });
    expect(read.entries[0]!.attributes.get('member')!.length).toBe(members.length);
  });

  it('that is killed fails in the middle, and goes on when it is back', async () => {
    const bases = [sub(PEOPLE)];
    const reading = readAll(openDirectory(server, { ...source, bases, method: 'whole', pageSize: 50 }), null, () =>
      server.kill(),
    );
    await expect(reading).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await server.start();
    const directory = openDirectory(server, { anchor: ANCHOR, target: targetIn(NETWORK) });
    const changes = [container(NETWORK, 'network'), ...range(600).map((i) => person(`k${i}`))];
    const got: WriteOutcome[] = [];
    const writing = writeAll(directory, changes, async (outcome) => {
      if (got.push(outcome) === 100) await server.kill();
    });
    await expect(writing).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await server.start();
    expect(counted(await writeAll(directory, changes))).toEqual({ written: 601 });
    const read = await whole({ bases: [{ ...sub(NETWORK), filter: '(cn=k*)' }] });
    expect(read.certificate).toMatchObject({ complete: true, entries: 600 });
  });
});
