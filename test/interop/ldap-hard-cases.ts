/**
 * What is hard about a directory server and has to hold with each of them, under the same names: names with every special
 * character, what its schema refuses, an empty base, a wrong filter, a wrong authority, entries made anew with other keys.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { type DirectoryChange, normalizeDn, parseDn } from '@dirpost/core';
import { expect, it } from 'vitest';
import type { LdapBase, LdapOptions, LdapTarget } from '../../packages/adapters/src/directories/ldap/options.ts';
import { LdapServers } from '../../packages/adapters/src/directories/ldap/servers.ts';
import { makeAuthority } from '../contract/http-certificates.ts';
import type { Login } from '../servers/ldap/commands.ts';
import {
  attributesOf,
  container,
  counted,
  entryNamed,
  idOf,
  ldif,
  openDirectory,
  optionsFor,
  range,
  readAll,
  removal,
  targetIn,
  type Texts,
  valuesOf,
  writeAll,
} from './ldap-directory.ts';
import { Mirror } from './ldap-mirror.ts';
import { Wire } from './ldap-wire.ts';

export interface HardServer {
  host: string;
  port: number;
  ldapsPort: number;
  ca: string;
  admin: Login;
  modify(ldif: string): Promise<void>;
}

export interface HardSite {
  suffix: string;
  /** How it is read: profile, anchor, and a line where it wants one. */
  options(): Partial<LdapOptions>;
  shape: LdapTarget['shape'];
  /** Of people in LDIF. */
  objectClass: string;
  photo: string;
  /** Names that it takes besides `SPECIAL`. */
  names?: string[];
  /** Code of the refusal → what its schema does not take. */
  refused: Record<string, Texts>;
  /** Octets of a request at which it cuts the line. */
  cutsAt: number;
  /** Those who are below `dn`, each of whom is `record` there: as they were, with new keys. */
  remake(dn: string, records: string[]): Promise<void>;
}

/** RFC 4514 §2.4: each of them has to be escaped somewhere, or is a value of its own kind. */
export const SPECIAL = [
  'Comma, Inc.',
  'plus+plus',
  '"quoted"',
  'back\\slash',
  '<angle>',
  'semi;colon',
  '#hash',
  ' blank ',
  'a=b',
  'Žluť 日本',
  'tab\tand\u0001',
  'line\nfeed',
  'x/y',
];

/** Every octet of it escaped: right for every name. */
export function hexEscaped(text: string): string {
  return Array.from(Buffer.from(text), (octet) => `\\${octet.toString(16).padStart(2, '0')}`).join('');
}

export function hardCases(server: () => HardServer, site: HardSite): void {
  const { suffix, objectClass } = site;
  const unit = (ou: string) => `dn: ou=${ou},${suffix}\nobjectClass: organizationalUnit\nou: ${ou}\n`;
  const below = (ou: string, filter = `(objectClass=${objectClass})`): LdapBase[] => [
    { dn: `ou=${ou},${suffix}`, scope: 'sub', filter },
  ];
  const read = (bases: LdapBase[], more: Partial<LdapOptions> = {}) =>
    readAll(openDirectory(server(), { ...site.options(), method: 'whole', bases, ...more }));
  const writer = (ou: string) => {
    const target = targetIn(`ou=${ou},${suffix}`, { shape: site.shape });
    return openDirectory(server(), { ...site.options(), bases: [], target });
  };
  const put = (ou: string, rdn: string, id: string, texts: Texts = {}): DirectoryChange => ({
    id: idOf(id),
    action: 'put',
    kind: 'contact',
    dn: `cn=${rdn},ou=${ou},${suffix}`,
    attributes: attributesOf({ cn: id, sn: 'Person', mail: 'somebody@example.com', ...texts }),
  });
  const names = [...SPECIAL, ...(site.names ?? [])];

  it('gives DNs with every character that has to be escaped', async () => {
    const record = (name: string) =>
      `dn: cn=${hexEscaped(name)},ou=special,${suffix}\nobjectClass: ${objectClass}\nsn: Special\n`;
    await server().modify(ldif([unit('special'), ...names.map(record)]));
    const whole = await read(below('special'));
    expect(whole.certificate).toMatchObject({ complete: true, remarks: [] });
    expect(valuesOf(whole)).toEqual(names.toSorted());
    for (const { dn, attributes } of whole.entries) {
      const expected = `cn=${hexEscaped(String(attributes.get('cn')![0]))},ou=special,${suffix}`;
      expect(normalizeDn(dn)).toBe(normalizeDn(expected));
    }
  });

  it('takes names with every character that has to be escaped, renames and removes them', async () => {
    const directory = writer('named');
    const named = (name: string, id = name) => put('named', hexEscaped(name), id, { cn: name });
    const made = await writeAll(directory, [
      container(`ou=named,${suffix}`, 'named'),
      ...names.map((name) => named(name)),
    ]);
    expect(counted(made)).toEqual({ written: names.length + 1 });
    const first = await read(below('named'));
    expect(valuesOf(first)).toEqual(names.toSorted());
    // Nothing differs: nobody is renamed to himself.
    const again = names.map((name, i) => ({ ...named(name), place: made[i + 1]!.place! }));
    for await (const one of directory.preview(again, new AbortController().signal)) {
      expect(one).toMatchObject({ action: 'nothing' });
    }
    const renamed = names.map((name, i) => ({ ...named(`${name}+x`, name), place: made[i + 1]!.place! }));
    const second = await writeAll(directory, renamed);
    expect(counted(second)).toEqual({ written: names.length });
    const after = await read(below('named'));
    expect(valuesOf(after)).toEqual(names.map((name) => `${name}+x`).toSorted());
    const keys = (whole: typeof first) => whole.entries.map(({ attributes }) => keyIn(attributes)).toSorted();
    expect(keys(after)).toEqual(keys(first));
    const removals = renamed.map((change, i) => removal(change, second[i]!.place!));
    expect(counted(await writeAll(directory, removals))).toEqual({ written: names.length });
    expect((await read(below('named'))).entries).toEqual([]);
  });

  it('writes a name as it is spelt now, whatever it was before, and renames nobody to himself', async () => {
    const directory = writer('spelt');
    const unitMade = container(`ou=spelt,${suffix}`, 'spelt');
    const anna = (name: string, texts: Texts = {}) => put('spelt', hexEscaped(name), 'anna', { cn: name, ...texts });
    const made = await writeAll(directory, [unitMade, anna('anna mcdonald'), put('spelt', 'bo', 'bo', { cn: ' bo ' })]);
    expect(counted(made)).toEqual({ written: 3 });
    const [before] = (await read(below('spelt', '(cn=anna*)'))).entries;
    let place = made[1]!.place!;
    for (const name of ['Anna McDonald', 'ANNA McDonald']) {
      const [outcome] = await writeAll(directory, [{ ...anna(name, { title: name }), place }]);
      expect(outcome).toMatchObject({ result: 'written' });
      place = outcome!.place!;
      const [after] = (await read(below('spelt', '(cn=anna*)'))).entries;
      expect(after!.attributes.get('cn')!.map(String)).toEqual([name]);
      expect(Buffer.from(parseDn(after!.dn)[0]![0]!.value).toString()).toBe(name);
      expect(keyIn(after!.attributes)).toBe(keyIn(before!.attributes));
      const again = [{ ...anna(name, { title: name }), place }];
      for await (const one of directory.preview(again, new AbortController().signal)) {
        expect(one).toMatchObject({ action: 'nothing' });
      }
    }
    // Active Directory has one value, that of the name.
    if (site.shape !== 'inetorgperson') return;
    for (const cn of ['Bo Ek', 'BO  Ek ']) {
      const bo = { ...put('spelt', hexEscaped('bo ek'), 'bo', { cn }), place: made[2]!.place! };
      expect(counted(await writeAll(directory, [bo]))).toEqual({ written: 1 });
      const [after] = (await read(below('spelt', '(cn=bo*)'))).entries;
      expect(after!.attributes.get('cn')!.map(String)).toEqual([cn]);
    }
  });

  // Active Directory knows names by cn alone.
  if (site.shape === 'inetorgperson')
    it('takes names of several parts, and of attributes that the network does not tell', async () => {
      const directory = writer('parts');
      const part = (rdn: string, id: string): DirectoryChange => ({
        ...put('parts', 'x', id),
        dn: `${rdn},ou=parts,${suffix}`,
      });
      const first = await writeAll(directory, [
        container(`ou=parts,${suffix}`, 'parts'),
        part('cn=anna+uid=a1', 'anna'),
        part('cn=b\\+o\\, c+sn=\\23 x', 'bo'),
        part('employeeNumber=77', 'cy'),
      ]);
      expect(counted(first)).toEqual({ written: 4 });
      const rdns = async () =>
        (await read(below('parts'))).entries.map(({ dn }) => normalizeDn(dn.split(',ou=')[0]!)).toSorted();
      expect(await rdns()).toEqual(
        ['cn=anna+uid=a1', 'cn=b\\+o\\, c+sn=\\23 x', 'employeeNumber=77'].map(normalizeDn).toSorted(),
      );
      const again = [
        { ...part('cn=anna+uid=a1', 'anna'), place: first[1]!.place! },
        { ...part('employeeNumber=77', 'cy'), place: first[3]!.place! },
      ];
      for await (const one of directory.preview(again, new AbortController().signal)) {
        expect(one).toMatchObject({ action: 'nothing' });
      }
      const renamed = [
        { ...part('cn=anna+uid=a2', 'anna'), place: first[1]!.place! },
        { ...part('cn=bo', 'bo'), place: first[2]!.place! },
        { ...part('employeeNumber=78+cn=cy', 'cy'), place: first[3]!.place! },
      ];
      const second = await writeAll(directory, renamed);
      expect(counted(second)).toEqual({ written: 3 });
      expect(await rdns()).toEqual(['cn=anna+uid=a2', 'cn=bo', 'employeeNumber=78+cn=cy'].map(normalizeDn).toSorted());
    });

  it('knows members by every such name, however it writes them: who is still one is not touched', async () => {
    const directory = writer('members');
    const people = names.map((name) => put('members', hexEscaped(name), name, { cn: name }));
    const group = (dns: string[], dn = `cn=${hexEscaped(SPECIAL[0]!)} all,ou=members,${suffix}`): DirectoryChange => ({
      id: idOf('group'),
      action: 'put',
      kind: 'group',
      dn,
      attributes: attributesOf({ cn: `${SPECIAL[0]} all`, member: dns }),
    });
    const dns = people.map(({ dn }) => dn);
    const unitMade = container(`ou=members,${suffix}`, 'members');
    const made = await writeAll(directory, [unitMade, ...people, group(dns)]);
    expect(counted(made)).toEqual({ written: names.length + 2 });
    const again = { ...group(dns), place: made.at(-1)!.place! };
    for await (const one of directory.preview([again], new AbortController().signal)) {
      expect(one).toMatchObject({ action: 'nothing' });
    }
    const fewer = { ...group(dns.slice(2)), place: made.at(-1)!.place! };
    for await (const one of directory.preview([fewer], new AbortController().signal)) {
      expect(one).toMatchObject({ action: 'modify' });
    }
    expect(counted(await writeAll(directory, [fewer]))).toEqual({ written: 1 });
    const whole = await read(below('members', '(member=*)'));
    const members = whole.entries[0]!.attributes.get('member')!.map((value) => normalizeDn(String(value)));
    expect(members.toSorted()).toEqual(dns.slice(2).map(normalizeDn).toSorted());
  });

  it('keeps pictures octet by octet', async () => {
    const photo = Buffer.concat([
      Buffer.from([0xff, 0xd8, 0xff, 0]),
      randomBytes(30_000),
      Buffer.from([0, 0xff, 0xd9]),
    ]);
    const change = put('pictures', 'photographed', 'photographed');
    change.attributes.set(site.photo, [photo]);
    const written = await writeAll(writer('pictures'), [container(`ou=pictures,${suffix}`, 'pictures'), change]);
    expect(counted(written)).toEqual({ written: 2 });
    const whole = await read(below('pictures'), { attributes: ['cn', site.photo] });
    expect(Buffer.compare(entryNamed(whole, 'photographed').attributes.get(site.photo)![0]!, photo)).toBe(0);
  });

  it('refuses what its schema does not take, with the code of the server, and has all others', async () => {
    const changes = [
      container(`ou=refusing,${suffix}`, 'refusing'),
      ...range(60).map((i) => put('refusing', `r${i}`, `r${i}`)),
    ];
    const codes = Object.keys(site.refused);
    for (const [i, texts] of Object.values(site.refused).entries()) {
      changes[10 * (i + 1)] = put('refusing', `bad${i}`, `bad${i}`, texts);
    }
    const outcomes = await writeAll(writer('refusing'), changes);
    const bad = outcomes.filter(({ result }) => result === 'refused');
    expect(bad.map(({ id, code }) => [Buffer.from(id).toString('hex'), code])).toEqual(
      codes.map((code, i) => [Buffer.from(idOf(`bad${i}`)).toString('hex'), code]),
    );
    for (const { reason } of bad) expect(reason).toMatch(/\w/);
    expect((await read(below('refusing'))).entries).toHaveLength(60 - codes.length);
  });

  it('cuts the line at an entry that is too large for it: that is refused with what helps, and all others are there', async () => {
    const changes = [
      container(`ou=cutting,${suffix}`, 'cutting'),
      ...range(60).map((i) => put('cutting', `c${i}`, `c${i}`)),
    ];
    changes[40]!.attributes.set(site.photo, [Buffer.alloc(site.cutsAt, 0xff)]);
    const outcomes = await writeAll(writer('cutting'), changes);
    expect(counted(outcomes)).toEqual({ written: 60, adminLimitExceeded: 1 });
    expect(outcomes[40]!.reason).toMatch(/cuts the line at an entry of \d+\.\d MB: raise its limit/);
    expect((await read(below('cutting'))).entries).toHaveLength(59);
    // What is large and not too large is written.
    if (site.shape === 'ad-contact') return;
    changes[40]!.attributes.set(site.photo, [Buffer.alloc(site.cutsAt / 2, 0xff)]);
    expect(counted(await writeAll(writer('cutting'), changes.slice(40)))).toEqual({ written: 21 });
  });

  it('is not complete below a base where nothing is', async () => {
    await server().modify(ldif([unit('empty'), unit('filled'), person('anna', 'filled')]));
    for (const bases of [below('empty'), [{ ...below('empty')[0]!, scope: 'one' as const }]]) {
      const { certificate } = await read(bases);
      expect(certificate).toMatchObject({ complete: false, entries: 0, bookmark: null });
      expect(certificate.remarks.join()).toMatch(/Nothing at all was found/);
    }
    // Beside another one it says nothing of those who are there; without what was there it is a fault.
    const both = [...below('empty'), ...below('filled')];
    expect((await read(both)).certificate).toMatchObject({ complete: true, entries: 1 });
    const directory = openDirectory(server(), { ...site.options(), bases: [...below('empty'), ...below('filled')] });
    await server().modify(person('bo', 'empty'));
    const filled = await readAll(directory);
    expect(filled.certificate).toMatchObject({ complete: true, entries: 2 });
    await server().modify(`dn: cn=bo,ou=empty,${suffix}\nchangetype: delete\n`);
    const late = { ...site.options(), bases: both, wholeReadEveryMs: 0 };
    const { certificate } = await readAll(openDirectory(server(), late), filled.certificate.bookmark);
    expect(certificate).toMatchObject({ complete: false, bookmark: null });
    expect(certificate.remarks.join()).toMatch(/there were entries before/);
  });

  const person = (name: string, ou: string, more = '') =>
    `dn: cn=${name},ou=${ou},${suffix}\nobjectClass: ${objectClass}\ncn: ${name}\nsn: Person\nmail: ${name}@example.com\n${more}`;

  it('is not read with a filter that cannot be understood, and not complete with one that finds nothing', async () => {
    for (const filter of ['(cn=*', 'cn=)(', '(&(cn=a)', '']) {
      await expect(read(below('filtered', filter)), filter).rejects.toMatchObject({ name: 'DirpostError' });
    }
    await server().modify(ldif([unit('filtered'), person('anna', 'filtered')]));
    const wrong = [
      '(noSuchAttribute=x)',
      '(cn=nobody)',
      '(cn:noSuchRule:=x)',
      `(&(objectClass=${objectClass})(!(cn=*)))`,
    ];
    for (const filter of wrong) {
      const { certificate } = await read(below('filtered', filter));
      expect(certificate, filter).toMatchObject({ complete: false, entries: 0, bookmark: null });
    }
  });

  it('is sent no password where `ca` is another authority, over StartTLS and LDAPS', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dirpost-ldap-'));
    const { host, port, ldapsPort, admin, ca } = server();
    try {
      const other = await makeAuthority(folder, 'other');
      for (const tls of ['starttls', 'ldaps'] as const) {
        const wire = await Wire.to(tls === 'ldaps' ? ldapsPort : port, host);
        const servers = [{ host: '127.0.0.1', port: wire.port, tls }];
        for (const wrong of [{ ca: other.ca }, {}]) {
          const { ca: _, ...options } = optionsFor(server(), { ...site.options(), servers });
          const opening = new LdapServers({ ...options, ...wrong }).open(new AbortController().signal);
          await expect(opening).rejects.toMatchObject({
            code: 'directory-failed',
            retry: 'operator',
            message: expect.stringContaining('an authority that is not known here') as string,
            hint: expect.stringContaining('`ca`') as string,
          });
        }
        expect(wire.says(admin.password)).toBe(false);
        await wire.close();
        const right = optionsFor(server(), {
          ...site.options(),
          ca,
          servers: [{ host, port: tls === 'ldaps' ? ldapsPort : port, tls }],
        });
        (await new LdapServers(right).open(new AbortController().signal)).close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is everybody once, where all were made anew with other keys', async () => {
    const records = ['anna', 'bo', 'cy'].map((name) => person(name, 'anew'));
    await server().modify(ldif([unit('anew'), ...records]));
    const { anchor } = site.options();
    const mirror = new Mirror(openDirectory(server(), { ...site.options(), bases: below('anew') }), anchor!);
    await mirror.read();
    const before = mirror.keys;
    await site.remake(`ou=anew,${suffix}`, records);
    const { certificate, given } = await mirror.read();
    expect(certificate).toMatchObject({ complete: true, remarks: [] });
    expect([mirror.names, given]).toEqual([
      ['anna', 'bo', 'cy'],
      ['anna', 'bo', 'cy'],
    ]);
    expect(mirror.keys.filter((key) => before.includes(key))).toEqual([]);
  });

  const keyIn = (attributes: ReadonlyMap<string, Uint8Array[]>) =>
    Buffer.from(attributes.get(site.options().anchor!)![0]!).toString('hex');
}
