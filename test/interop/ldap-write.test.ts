/** T3 into slapd: what was asked for stands there and nothing else, whatever was there before and whatever went wrong. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DirectoryChange, Place, WriteOutcome } from '@dirpost/core';
import type { LdapOptions, LdapTarget } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import {
  attributesOf,
  container,
  counted,
  entryNamed,
  idOf,
  ldif,
  NETWORK,
  octets,
  openDirectory,
  person,
  range,
  readAll,
  removal,
  simple,
  SUFFIX,
  targetIn,
  type Texts,
  textOf,
  valuesOf,
  writeAll,
} from './ldap-directory.ts';
import { Wire } from './ldap-wire.ts';

const OSLO = `ou=oslo,${NETWORK}`;
const LEAVERS = `ou=leavers,${SUFFIX}`;
const base = [container(NETWORK, 'network'), container(OSLO, 'oslo')];
const leavers = `dn: ${LEAVERS}\nobjectClass: organizationalUnit\nou: leavers\n`;
/** Active Directory's mark of those who may everything. */
const adminCount = `attributetype ( 1.2.840.113556.1.4.150 NAME 'adminCount' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )`;

const ATTRIBUTES = [
  'cn',
  'sn',
  'mail',
  'title',
  'member',
  'description',
  'userpassword',
  'uidnumber',
  'admincount',
  'entrycsn',
];

describeSlapd('a directory that is written on slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ writes: 'nosync', globalLines: [adminCount] });
  });
  afterAll(() => slapd?.stop());
  beforeEach(() => slapd.reload(leavers));

  const target = (more: Partial<LdapTarget> = {}) => targetIn(NETWORK, more);
  const open = (more: Partial<LdapTarget> = {}, options: Partial<LdapOptions> = {}) =>
    openDirectory(slapd, { target: target(more), ...options });
  const stands = (within = NETWORK) =>
    readAll(
      openDirectory(slapd, {
        method: 'whole',
        attributes: ATTRIBUTES,
        bases: [{ dn: within, scope: 'sub', filter: '(!(objectClass=organizationalUnit))' }],
      }),
    );
  const placeOf = (outcomes: WriteOutcome[], at: number): Place => outcomes[at]!.place!;
  const all = (count: number): Record<string, number> => ({ written: count });

  it('gets what it was to get, and its places with what each entry keeps for life', async () => {
    const changes = [...base, ...range(200).map((i) => person(`p${i}`, { title: `t${i}` }, OSLO))];
    const outcomes = await writeAll(open(), changes);
    expect(counted(outcomes)).toEqual(all(202));
    expect(outcomes.map(({ id }) => id)).toEqual(changes.map(({ id }) => id));
    const read = await stands();
    expect(valuesOf(read)).toEqual(
      range(200)
        .map((i) => `p${i}`)
        .toSorted(),
    );
    const p7 = entryNamed(read, 'p7');
    expect([textOf(p7, 'title'), textOf(p7, 'mail'), p7.dn]).toEqual(['t7', 'p7@example.com', `cn=p7,${OSLO}`]);
    const anchor = Buffer.from(textOf(p7, 'entryuuid')).toString('hex');
    expect(placeOf(outcomes, 9)).toEqual({ dn: p7.dn, anchor });
  });

  it('gets many in transactions, of which one is brought while another takes effect', async () => {
    const outcomes = await writeAll(open(), [base[0]!, ...range(1_500).map((i) => person(`p${i}`))]);
    expect(counted(outcomes)).toEqual(all(1_501));
    // In a transaction the server says nothing of what an entry keeps for life; the first and the last few are made without one.
    const alone = outcomes.slice(40).filter(({ place }) => place?.anchor !== '');
    expect(alone.length).toBeLessThan(16);
    expect((await stands()).entries).toHaveLength(1_500);
  });

  it('is not touched where nothing differs, and changed only in what does', async () => {
    const directory = open();
    const changes = range(20).map((i) => person(`p${i}`, { title: 'first', mail: [`a${i}@x.test`, `b${i}@x.test`] }));
    const first = await writeAll(directory, [base[0]!, ...changes]);
    const before = await stands();
    const again = changes.map((change, i) => ({ ...change, place: placeOf(first, i + 1) }));
    // Another order of values is no difference.
    for (const { attributes } of again) attributes.set('mail', attributes.get('mail')!.toReversed());
    again[3]!.attributes.set('title', octets('second'));
    const second = await writeAll(directory, again);
    expect(counted(second)).toEqual(all(20));
    const after = await stands();
    const csn = (name: string, read = after) => textOf(entryNamed(read, name), 'entrycsn');
    expect(textOf(entryNamed(after, 'p3'), 'title')).toBe('second');
    expect(csn('p3')).not.toBe(csn('p3', before));
    for (const i of range(20)) if (i !== 3) expect(csn(`p${i}`)).toBe(csn(`p${i}`, before));
  });

  it('is told once, and not for each entry, that it takes no changes and which server does', async () => {
    const provider = 'ldap://127.0.0.1:9';
    const replicated = `syncrepl rid=1 provider=${provider} searchbase="${SUFFIX}" type=refreshOnly interval=01:00:00:00`;
    const replica = await startSlapd({ writes: 'nosync', databaseLines: [replicated, `updateref ${provider}`] });
    try {
      const writing = writeAll(openDirectory(replica, { target: target() }), [base[0]!, person('anna')]);
      await expect(writing).rejects.toMatchObject({
        code: 'directory-failed',
        retry: 'operator',
        message: expect.stringContaining(provider) as string,
      });
    } finally {
      await replica.stop();
    }
  });

  it('says where an entry stands of which a new name was taken and a new value was not: it is removed there', async () => {
    const directory = open();
    await writeAll(directory, [base[0]!, person('anna')]);
    // As after a transaction: what it keeps for life is not known yet.
    const renamed = { ...person('anna marie', { mail: 'not–ascii@example.com' }), id: idOf('anna') };
    const place = { dn: `cn=anna,${NETWORK}`, anchor: '' };
    const [refused] = await writeAll(directory, [{ ...renamed, place }]);
    expect(refused).toMatchObject({ result: 'refused', code: 'invalidAttributeSyntax', place: { dn: renamed.dn } });
    const [gone] = await writeAll(directory, [removal(renamed, refused!.place!)]);
    expect(gone).toMatchObject({ result: 'written' });
    expect((await stands()).entries).toEqual([]);
  });

  it('is renamed and moved, not made anew, also together with other changes', async () => {
    const directory = open();
    const changes = [person('anna', { title: 'first' }), person('bo'), person('cy')];
    const first = await writeAll(directory, [...base, ...changes]);
    const uuids = new Map((await stands()).entries.map((entry) => [textOf(entry, 'cn'), textOf(entry, 'entryuuid')]));
    const place = (i: number) => placeOf(first, i + 2);
    const second = await writeAll(directory, [
      { ...person('anna marie', { title: 'second' }), id: idOf('anna'), place: place(0) },
      { ...person('bo', {}, OSLO), place: place(1) },
      { ...person('cyrus', {}, OSLO), id: idOf('cy'), place: place(2) },
    ]);
    expect(counted(second)).toEqual(all(3));
    const read = await stands();
    expect(read.entries.map(({ dn }) => dn).toSorted()).toEqual([
      `cn=anna marie,${NETWORK}`,
      `cn=bo,${OSLO}`,
      `cn=cyrus,${OSLO}`,
    ]);
    const anna = entryNamed(read, 'anna marie');
    expect([textOf(anna, 'title'), textOf(anna, 'entryuuid')]).toEqual(['second', uuids.get('anna')]);
    expect(anna.attributes.get('cn')!.map(String)).toEqual(['anna marie']);
    expect(textOf(entryNamed(read, 'cyrus'), 'entryuuid')).toBe(uuids.get('cy'));
    expect(second[0]!.place).toEqual({ dn: anna.dn, anchor: place(0).anchor });
  });

  it('takes two who change their names with each other', async () => {
    const directory = open();
    const [anna, bo] = [person('anna'), person('bo')];
    const first = await writeAll(directory, [base[0]!, anna, bo]);
    const swapped = [
      { ...anna, dn: bo.dn, attributes: attributesOf({ cn: 'bo', sn: 'was anna' }), place: placeOf(first, 1) },
      { ...bo, dn: anna.dn, attributes: attributesOf({ cn: 'anna', sn: 'was bo' }), place: placeOf(first, 2) },
    ];
    const second = await writeAll(directory, swapped);
    expect(counted(second)).toEqual(all(2));
    const read = await stands();
    const anchors = ['bo', 'anna'].map((cn) => textOf(entryNamed(read, cn), 'entryuuid'));
    expect(anchors.map((anchor) => Buffer.from(anchor).toString('hex'))).toEqual(
      [1, 2].map((i) => placeOf(first, i).anchor),
    );
    expect(['bo', 'anna'].map((cn) => textOf(entryNamed(read, cn), 'sn'))).toEqual(['was anna', 'was bo']);
    expect(second.map(({ place }) => place)).toEqual([
      { dn: bo.dn, anchor: placeOf(first, 1).anchor },
      { dn: anna.dn, anchor: placeOf(first, 2).anchor },
    ]);
  });

  it('takes a ring and a row of names in any order, and refuses what a stranger has', async () => {
    const directory = open();
    const names = ['r0', 'r1', 'r2', 'a', 'b', 'c', 'x'];
    const stranger = person('stranger');
    const first = await writeAll(directory, [base[0]!, ...names.map((name) => person(name)), stranger]);
    const wanted = { r0: 'r1', r1: 'r2', r2: 'r0', a: 'b', b: 'c', c: 'd', x: 'stranger' };
    const renames = Object.entries(wanted).map(([name, to]) => ({
      ...person(to),
      id: person(name).id,
      place: placeOf(first, 1 + names.indexOf(name)),
    }));
    const second = await writeAll(directory, renames);
    expect(counted(second)).toEqual({ written: 6, entryAlreadyExists: 1 });
    const read = await stands();
    for (const [name, to] of Object.entries({ ...wanted, x: 'x' })) {
      const anchor = Buffer.from(textOf(entryNamed(read, to), 'entryuuid')).toString('hex');
      expect([to, anchor]).toEqual([to, placeOf(first, 1 + names.indexOf(name)).anchor]);
    }
  });

  it('loses who is removed, by deletion or by a move to those who left', async () => {
    const changes = [person('anna'), person('bo')];
    const first = await writeAll(open(), [base[0]!, ...changes]);
    const [anna, bo] = changes.map((change, i) => removal(change, placeOf(first, i + 1))) as [
      DirectoryChange,
      DirectoryChange,
    ];
    expect(await writeAll(open(), [anna])).toEqual([{ id: anna.id, result: 'written' }]);
    expect(await writeAll(open({ removal: { moveTo: LEAVERS } }), [bo])).toEqual([{ id: bo.id, result: 'written' }]);
    expect((await stands()).entries).toEqual([]);
    expect(valuesOf(await stands(LEAVERS))).toEqual(['bo']);
    // Once more, as after a lost answer.
    expect(counted(await writeAll(open(), [anna]))).toEqual(all(1));
  });

  it('moves who goes beside one of his name, under his name and the beginning of his entry id, and he keeps his cn', async () => {
    await slapd.modify(`dn: cn=bo,${LEAVERS}\nobjectClass: inetOrgPerson\ncn: bo\nsn: earlier\n`);
    const directory = open({ removal: { moveTo: LEAVERS } });
    const [bo, cy] = [person('bo'), person('cy')];
    const first = await writeAll(directory, [base[0]!, bo, cy]);
    const takes = { ...person('bo'), id: idOf('cy'), place: placeOf(first, 2) };
    expect(counted(await writeAll(directory, [removal(bo, placeOf(first, 1)), takes]))).toEqual(all(2));
    const left = await stands(LEAVERS);
    const begin = Buffer.from(bo.id).toString('hex').slice(0, 8);
    expect(left.entries.map(({ dn }) => dn).toSorted()).toEqual([`cn=bo ${begin},${LEAVERS}`, `cn=bo,${LEAVERS}`]);
    const moved = left.entries.find(({ dn }) => dn.includes(begin))!;
    expect(moved.attributes.get('cn')!.map(String).toSorted()).toEqual(['bo', `bo ${begin}`]);
    const here = await stands();
    expect(here.entries.map(({ dn }) => dn)).toEqual([bo.dn]);
    expect(Buffer.from(textOf(here.entries[0]!, 'entryuuid')).toString('hex')).toBe(placeOf(first, 2).anchor);
    // Where that name is taken, too, he stays as he is, and it is said why.
    const again = await writeAll(directory, [removal(takes, placeOf(first, 2))]);
    expect(counted(again)).toEqual(all(1));
    const third = await writeAll(directory, [person('bo')]);
    const refused = await writeAll(directory, [removal(bo, placeOf(third, 0))]);
    expect(refused).toMatchObject([{ code: 'entryAlreadyExists', reason: 'another entry has that DN' }]);
    expect((await stands()).entries.map(({ dn, attributes }) => [dn, attributes.get('cn')!.map(String)])).toEqual([
      [bo.dn, ['bo']],
    ]);
  });

  it('takes nobody for removed whom the account does not see any more', async () => {
    const first = await writeAll(open(), [base[0]!, person('anna'), person('bo')]);
    await slapd.change({ access: [`access to dn.subtree="${NETWORK}" by * none`] });
    const blind = open({}, { bind: simple(slapd.reader) });
    const goes = removal(person('anna'), placeOf(first, 1));
    const lost = { code: 'directory-failed', retry: 'operator', hint: expect.stringContaining('rights') as string };
    await expect(writeAll(blind, [goes])).rejects.toMatchObject(lost);
    const renamed = { ...person('bob'), id: idOf('bo'), place: placeOf(first, 2) };
    await expect(writeAll(blind, [renamed])).rejects.toMatchObject(lost);
    // Perhaps never written.
    expect(counted(await writeAll(blind, [{ ...goes, place: { dn: goes.dn, anchor: '' } }]))).toEqual({
      noSuchObject: 1,
    });
    await slapd.change({ access: [] });
    expect((await stands()).entries).toHaveLength(2);
  });

  it('refuses what it must, with its LDAP code, and has all others', async () => {
    const changes: DirectoryChange[] = [base[0]!, ...range(300).map((i) => person(`p${i}`))];
    changes[50] = person('bad', { mail: 'not–ascii@example.com' });
    changes[100] = person('nowhere', {}, `ou=missing,${NETWORK}`);
    changes[150] = { ...person('outside'), dn: `cn=outside,ou=other,${SUFFIX}` };
    changes[200] = { ...person('broken'), dn: 'cn=broken,,' };
    const outcomes = await writeAll(open(), changes);
    expect(counted(outcomes)).toMatchObject({
      written: 297,
      invalidAttributeSyntax: 1,
      noSuchObject: 1,
      outsideContainer: 1,
    });
    expect(outcomes[50]).toMatchObject({
      id: idOf('bad'),
      result: 'refused',
      reason: expect.stringContaining('mail') as string,
    });
    expect([50, 100, 150, 200].map((at) => outcomes[at]!.result)).toEqual(Array(4).fill('refused'));
    expect((await stands()).entries.length).toBe(296);
  });

  it('refuses each entry by itself where the account has no rights, or the container is not there', async () => {
    const readOnly = open({}, { bind: simple(slapd.reader) });
    await writeAll(open(), base);
    const changes = range(10).map((i) => person(`p${i}`));
    expect(counted(await writeAll(readOnly, changes))).toEqual({ insufficientAccessRights: 10 });
    const nowhere = openDirectory(slapd, { target: targetIn(`ou=nowhere,${SUFFIX}`) });
    const there = range(10).map((i) => person(`p${i}`, {}, `ou=nowhere,${SUFFIX}`));
    expect(counted(await writeAll(nowhere, there))).toEqual({ noSuchObject: 10 });
  });

  it('is written in transactions, but for renames, of which slapd would die', async () => {
    const wire = await Wire.to(slapd.port);
    const over = open({ transactions: 'always' }, { servers: [{ host: '127.0.0.1', port: wire.port, tls: 'none' }] });
    const isTogether = () => wire.says('1.3.6.1.1.21.2');
    const first = await writeAll(over, base);
    expect(isTogether()).toBe(false);
    const made = await writeAll(
      over,
      range(40).map((i) => person(`p${i}`)),
    );
    expect([counted(first), counted(made), isTogether()]).toEqual([all(2), all(40), true]);
    wire.heard.length = 0;
    const moved = range(40).map((i) => ({ ...person(`p${i}`, { title: 'x' }, OSLO), place: placeOf(made, i) }));
    expect(counted(await writeAll(over, moved))).toEqual(all(40));
    expect(isTogether()).toBe(false);
    // In one go: removals, those who take the free names, moves, and others.
    const places = await writeAll(over, moved);
    const mixed = await writeAll(over, [
      ...range(10).map((i) => removal(moved[i]!, placeOf(places, i))),
      ...range(20).map((i) => ({ ...person(i < 10 ? `p${i}` : `s${i}`, {}, OSLO), id: idOf(`successor ${i}`) })),
      ...range(10).map((i) => ({ ...person(`p${i + 10}`, { title: 'y' }), place: placeOf(places, i + 10) })),
      ...range(10).map((i) => ({ ...person(`p${i + 20}`, { title: 'z' }, OSLO), place: placeOf(places, i + 20) })),
    ]);
    expect([counted(mixed), (await stands()).entries.length, isTogether()]).toEqual([all(50), 50, true]);
    await wire.close();
  });

  it('takes some hundred changes in one transaction over one line, when a write before has shown that it can', async () => {
    const wire = await Wire.to(slapd.port);
    const over = open({}, { servers: [{ host: '127.0.0.1', port: wire.port, tls: 'none' }] });
    const changes = (title: string) => range(600).map((i) => person(`p${i}`, { title }));
    const made = await writeAll(over, [base[0]!, ...changes('first')]);
    wire.heard.length = 0;
    const again = changes('second').slice(0, 200);
    const outcomes = await writeAll(
      over,
      again.map((change, i) => ({ ...change, place: placeOf(made, i + 1) })),
    );
    const times = (text: string) => Buffer.concat(wire.heard).toString('latin1').split(text).length - 1;
    expect([counted(outcomes), times(slapd.admin.dn), times('1.3.6.1.1.21.1')]).toEqual([all(200), 1, 1]);
    await wire.close();
  });

  it('takes everything once more after a crash in the middle, and has everybody once', async () => {
    const changes = [...base, ...range(3_000).map((i) => person(`p${i}`, { title: 'first' }))];
    const directory = open();
    let written = 0;
    const writing = writeAll(directory, changes, async () => {
      if (++written === 200) await slapd.kill();
    });
    await expect(writing).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await slapd.start();
    const { entries } = await stands();
    expect(entries.length).toBeGreaterThanOrEqual(198);
    expect(entries.length).toBeLessThan(3_000);
    // Nobody knows what took effect, and meanwhile some of it has changed.
    const again = changes.map((change, i) => (i < 2 ? change : person(`p${i - 2}`, { title: 'second' })));
    const outcomes = await writeAll(directory, again);
    expect(counted(outcomes)).toEqual(all(3_002));
    // Those that were written in a transaction are looked up in one search.
    const known = new Set<string>();
    for await (const { dn, anchor } of directory.places(null, new AbortController().signal))
      if (anchor !== '') known.add(dn);
    expect(outcomes.slice(2).filter(({ place }) => place!.anchor === '' && !known.has(place!.dn))).toEqual([]);
    const read = await stands();
    expect([read.entries.length, new Set(valuesOf(read, 'title'))]).toEqual([3_000, new Set(['second'])]);
  });

  it('has who was moved by an administrator changed where he is, and removed where he is', async () => {
    const directory = open();
    const [anna, bo] = [person('anna'), person('bo')];
    const first = await writeAll(directory, [...base, anna, bo]);
    const move = (name: string) =>
      `dn: cn=${name},${NETWORK}\nchangetype: modrdn\nnewrdn: cn=${name} moved\ndeleteoldrdn: 1\nnewsuperior: ${OSLO}\n`;
    await slapd.modify(ldif([move('anna'), move('bo')]));
    const second = await writeAll(directory, [
      { ...person('anna', { title: 'second' }), place: placeOf(first, 2) },
      removal(bo, placeOf(first, 3)),
    ]);
    expect(counted(second)).toEqual(all(2));
    const read = await stands();
    expect(read.entries.map(({ dn, attributes }) => [dn, String(attributes.get('title'))])).toEqual([
      [anna.dn, 'second'],
    ]);
    expect(second[0]!.place!.anchor).toBe(placeOf(first, 2).anchor);
  });

  it('has who was removed by hand again, and leaves another who has his name alone', async () => {
    const directory = open();
    const [anna, bo] = [person('anna'), person('bo')];
    const first = await writeAll(directory, [base[0]!, anna, bo]);
    await slapd.modify(ldif([anna, bo].map(({ dn }) => `dn: ${dn}\nchangetype: delete\n`)));
    await slapd.modify(`dn: ${bo.dn}\nobjectClass: inetOrgPerson\ncn: bo\nsn: another\n`);
    const outcomes = await writeAll(directory, [{ ...anna, place: placeOf(first, 1) }, removal(bo, placeOf(first, 2))]);
    expect(counted(outcomes)).toEqual({ written: 1, otherKey: 1 });
    const read = await stands();
    expect(valuesOf(read)).toEqual(['anna', 'bo']);
    expect(textOf(entryNamed(read, 'bo'), 'sn')).toBe('another');
    expect(outcomes[0]!.place!.anchor).not.toBe(placeOf(first, 1).anchor);
  });

  it('is never given passwords and rights, whatever the change says', async () => {
    const rights: Texts = {
      userpassword: 'secret',
      uidnumber: '0',
      gidnumber: '0',
      homedirectory: '/root',
      sshpublickey: 'ssh-ed25519 A',
      admincount: '1',
      memberof: `cn=admins,${SUFFIX}`,
      entryuuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
      krbprincipalname: 'root',
      nonsense: 'x',
    };
    const change = person('mallory', rights);
    expect(counted(await writeAll(open(), [base[0]!, change]))).toEqual(all(2));
    const found = await slapd.search('(cn=mallory)', ['*', 'entryUUID', 'memberOf']);
    expect(found).not.toMatch(/userPassword|uidNumber|gidNumber|homeDirectory|ssh|adminCount|memberOf|krb|6ba7b810/i);
  });

  it('does not touch entries that the system needs', async () => {
    const first = await writeAll(open(), [base[0]!, person('root'), person('boss'), person('chief')]);
    const marked = (name: string) =>
      `dn: cn=${name},${NETWORK}\nchangetype: modify\nadd: objectClass\nobjectClass: extensibleObject\n-\nadd: adminCount\nadminCount: 1\n`;
    await slapd.modify(ldif(['root', 'boss', 'chief'].map(marked)));
    const before = await slapd.search('(adminCount=1)', ['*', '+']);
    const outcomes = await writeAll(open(), [
      { ...person('root', { title: 'none' }), place: placeOf(first, 1) },
      removal(person('boss'), placeOf(first, 2)),
      // As if it had never been written: it must not be taken over either.
      person('chief', { title: 'none' }),
    ]);
    expect(counted(outcomes)).toEqual({ notAllowed: 3 });
    expect(await slapd.search('(adminCount=1)', ['*', '+'])).toBe(before);
  });

  it('is not created, changed, renamed or emptied where that is switched off', async () => {
    const changes = [person('anna'), person('bo'), person('cy')];
    const first = await writeAll(open(), [base[0]!, ...changes]);
    const off = { create: false, update: false, rename: false, delete: false };
    const outcomes = await writeAll(open({ allowed: off }), [
      person('new'),
      { ...person('anna', { title: 'x' }), place: placeOf(first, 1) },
      { ...person('bo new'), id: idOf('bo'), place: placeOf(first, 2) },
      removal(changes[2]!, placeOf(first, 3)),
      { ...person('anna'), place: placeOf(first, 1) },
    ]);
    expect(counted(outcomes)).toEqual({ notAllowed: 4, written: 1 });
    expect(valuesOf(await stands())).toEqual(['anna', 'bo', 'cy']);
  });

  it('keeps values of its own as the policy of each attribute says', async () => {
    const policies = { title: 'keep', description: 'merge', telephonenumber: 'default' } as const;
    const texts = { title: 'theirs', description: 'theirs', telephonenumber: '+47 1' };
    const first = await writeAll(open({ policies }), [base[0]!, person('anna', texts)]);
    await slapd.modify(
      `dn: cn=anna,${NETWORK}\nchangetype: modify\nreplace: title\ntitle: own\n-\nreplace: description\ndescription: own\n-\nreplace: telephoneNumber\ntelephoneNumber: +47 2\n-\nreplace: sn\nsn: own\n`,
    );
    const again = { ...person('anna', texts), place: placeOf(first, 1) };
    expect(counted(await writeAll(open({ policies }), [again]))).toEqual(all(1));
    const found = await slapd.search('(cn=anna)', ['title', 'description', 'telephoneNumber', 'sn']);
    expect(found.trim().split('\n').slice(1).toSorted()).toEqual([
      'description: own',
      'description: theirs',
      'sn: Person',
      'telephoneNumber: +47 2',
      'title: own',
    ]);
  });

  it('takes a group of 5,000, and later only the members that differ', async () => {
    const member = (i: number) => `cn=p${i},${NETWORK}`;
    const group = (members: number[]): DirectoryChange => ({
      id: idOf('group'),
      action: 'put',
      kind: 'group',
      dn: `cn=all,${NETWORK}`,
      attributes: attributesOf({ cn: 'all', member: members.map(member) }),
    });
    const first = await writeAll(open(), [base[0]!, group(range(5_000))]);
    expect(counted(first)).toEqual(all(2));
    const wire = await Wire.to(slapd.port);
    const over = open({}, { servers: [{ host: '127.0.0.1', port: wire.port, tls: 'none' }] });
    const members = range(5_003).slice(6);
    const second = await writeAll(over, [{ ...group(members), place: placeOf(first, 1) }]);
    expect(counted(second)).toEqual(all(1));
    expect(wire.length).toBeLessThan(3_000);
    await wire.close();
    const read = await stands();
    expect(new Set(entryNamed(read, 'all').attributes.get('member')!.map(String))).toEqual(
      new Set(members.map(member)),
    );
    const empty = await writeAll(open(), [{ ...group([]), place: placeOf(first, 1) }]);
    expect(counted(empty)).toEqual(all(1));
  });
});
