/** `dirpost check` and `dirpost preview` with LDAP directories: they say what is and what would be, and change nothing. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range, SUFFIX } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices, publishing, setDirectories, subscribing } from './ldap-offices.ts';

const HERE = `ou=oslo,${NETWORK}`;

interface Found {
  findings: { what: string; result: string; text: string; mend?: string }[];
}

interface Previewed {
  publish: { summary: { added: number; changed: number; removed: number } }[];
  write: { directory: string; add: number; modify: number; delete: number; rename: number; refused: number }[];
}

describeSlapd('looking at LDAP directories', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;

  beforeEach(async () => {
    const all = [people, ...range(5).map((i) => personLdif(`p${i}`))];
    const started = [startSlapd({ writes: 'nosync', ldif: ldif(all) }), startSlapd({ writes: 'nosync' })];
    [source, target] = (await Promise.all(started)) as [Slapd, Slapd];
    offices = await ldapOffices(source, target, { subscribe: { firstWrite: 'held' } });
  });

  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  const found = async (office: LdapOffices['hq'], name: string) => {
    const ran = await office.run('--json', 'check');
    return (JSON.parse(ran.out) as Found).findings.filter(({ what }) => what === name);
  };

  it('check says what the server is, as whom, how changes are found, and what would be published', async () => {
    const texts = (await found(offices.oslo, 'people')).map(({ text }) => text).join('\n');
    expect(texts).toMatch(/OpenLDAP.* at 127\.0\.0\.1:\d+ \(not encrypted\), as .*cn=admin/);
    expect(texts).toMatch(/changes are found by syncrepl: /);
    expect(texts).toMatch(
      /says at once that something changed \(content synchronization\); `onChange` would make use of it/,
    );
    expect(texts).toMatch(/5 entries to publish, 0 left out, 0 refused/);
    await chmod(join(offices.hq.data, 'ldap-password'), 0o644);
    const written = (await found(offices.hq, 'network')).map(({ text }) => text).join('\n');
    expect(written).toMatch(/entries are written below ou=network,dc=example,dc=com/);
    expect(written).toMatch(/cn=admin,.* may write there \(asked by an add that is not carried out\)/);
    expect(written).toMatch(/ldap-password holds a secret, and every account of this machine can read or replace it/);
  });

  it('check says what is lacking, with lines to paste', async () => {
    await source.change({ overlays: [] });
    const lacks = (await found(offices.oslo, 'people')).filter(({ result }) => result === 'warning');
    expect(lacks.map(({ mend }) => mend).join('\n')).toMatch(/overlay syncprov/);
  });

  it('check does not take an overlay for missing of which the account may not see anything', async () => {
    await source.change({ access: [`access to dn.base="${SUFFIX}" attrs=contextCSN by * none`] });
    const bind = { method: 'simple', dn: source.reader.dn, password: { file: 'reader-password' } };
    await writeFile(join(offices.oslo.data, 'reader-password'), source.reader.password, { mode: 0o600 });
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { bind })]);
    const texts = (await found(offices.oslo, 'people')).map(({ text }) => text).join('\n');
    expect(texts).toMatch(/it may not read it, or the overlay syncprov is not there/);
    expect(texts).not.toMatch(/does not do content synchronization/);
  });

  it('check says that the profile is of another sort of server, and shows no rights that this one does not know', async () => {
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { profile: 'ad' })]);
    const warnings = (await found(offices.oslo, 'people')).filter(({ result }) => result === 'warning');
    expect(warnings.map(({ text, mend }) => `${text} ${mend}`).join('\n')).toMatch(
      /This is OpenLDAP, and `profile` is ad: .*\n +profile: openldap/,
    );
    expect(warnings.map(({ text }) => text).join('\n')).not.toMatch(/may not read objectguid/);
  });

  it('check says that a base is not on this server', async () => {
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { base: 'dc=nowhere' })]);
    const texts = (await found(offices.oslo, 'people')).map(({ text }) => text).join('\n');
    expect(texts).toMatch(/dc=nowhere is not on this server, which has dc=example,dc=com\./);
    expect(texts).toMatch(/offers content synchronization\.$/m);
  });

  it('check says that the account may not write, that nothing wakes, and which attribute is written wrongly', async () => {
    const bind = { method: 'simple', dn: target.reader.dn, password: { file: 'reader-password' } };
    await writeFile(join(offices.hq.data, 'reader-password'), target.reader.password, { mode: 0o600 });
    await setDirectories(offices.hq, [await subscribing(offices.hq, target, { bind })]);
    const faults = (await found(offices.hq, 'network')).filter(({ result }) => result === 'fault');
    expect(faults).toMatchObject([
      { text: expect.stringMatching(/may not make ou=network,.* below dc=example,dc=com/) },
    ]);
    expect(faults[0]!.mend).toMatch(/access to dn\.subtree="ou=network,.*" by dn\.exact=".*" write by \* break/);
    await source.change({ overlays: [] });
    const more = { onChange: '1m', attributes: { title: 'titel' } };
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, more)]);
    const warnings = (await found(offices.oslo, 'people')).filter(({ result }) => result === 'warning');
    expect(warnings.map(({ text }) => text).join('\n')).toMatch(/does not say that something changed/);
    expect(warnings.map(({ text }) => text).join('\n')).toMatch(/the schema of the server does not know titel/);
  });

  it('check says which rights are lacking in own people, and in those that may be adopted', async () => {
    await target.modify(`${people}\n${personLdif('p9')}`);
    const bind = { method: 'simple', dn: target.reader.dn, password: { file: 'reader-password' } };
    await writeFile(join(offices.hq.data, 'reader-password'), target.reader.password, { mode: 0o600 });
    const both = { direction: 'both', name: 'network', base: PEOPLE, edits: ['telephoneNumber'], bind };
    await setDirectories(offices.hq, [await subscribing(offices.hq, target, both)]);
    const warnings = async () => (await found(offices.hq, 'network')).filter(({ result }) => result === 'warning');
    const lines = (attributes: string) =>
      `access to dn.subtree="${PEOPLE}" attrs=${attributes} by dn.exact="${target.reader.dn}"`;
    const [own] = await warnings();
    expect(own!.text).toMatch(/may not change telephonenumber of entries below ou=people.*own people, into whom edits/);
    expect(own!.mend).toContain(lines('telephonenumber'));
    const adopt = { by: ['mail'], base: PEOPLE };
    await setDirectories(offices.hq, [await subscribing(offices.hq, target, { adopt, bind })]);
    const [theirs] = await warnings();
    expect(theirs!.text).toMatch(/may not change .*title.* of entries below ou=people.*that were there before/);
    expect(theirs!.mend).toContain('telephonenumber');
    await setDirectories(offices.hq, [await subscribing(offices.hq, target, { adopt })]);
    expect(await warnings()).toEqual([]);
    expect((await found(offices.hq, 'network')).map(({ text }) => text).join('\n')).toMatch(
      /may change entries that were there before \(`adopt`\), below ou=people/,
    );
  });

  it('check says whether the container is there, is made, or has to be made by somebody', async () => {
    const said = async (more: object) => {
      await setDirectories(offices.hq, [await subscribing(offices.hq, target, more)]);
      const [one] = (await found(offices.hq, 'network')).filter(({ text }) => text.includes('ou=nowhere'));
      return one;
    };
    const container = `ou=nowhere,${SUFFIX}`;
    expect(await said({ container })).toMatchObject({ result: 'ok', text: expect.stringContaining('first write') });
    expect(await said({ container, makeContainer: false })).toMatchObject({
      result: 'fault',
      text: expect.stringContaining('is not there'),
    });
    expect(await said({ container: `ou=deep,${container}` })).toMatchObject({ result: 'fault' });
  });

  it('check names a base once where nothing is seen, with lines to paste', async () => {
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { base: `ou=nowhere,${SUFFIX}` })]);
    const bad = (await found(offices.oslo, 'people')).filter(({ result }) => result === 'warning');
    expect(bad).toMatchObject([{ text: expect.stringContaining(`sees nothing below ou=nowhere,${SUFFIX}`) }]);
    expect(bad[0]!.mend).toContain('access to');
  });

  it('check says that nobody is let in, or nobody answers', async () => {
    const bind = { method: 'simple', dn: 'cn=nobody,dc=example,dc=com', password: { file: 'ldap-password' } };
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { bind })]);
    expect(await found(offices.oslo, 'people')).toMatchObject([
      { result: 'fault', text: expect.stringMatching(/does not let cn=nobody.* in: invalidCredentials/) },
    ]);
    await source.halt();
    expect(await found(offices.oslo, 'people')).toMatchObject([{ result: 'fault' }]);
    await source.start();
  });

  it('check and preview name attributes that the target has no place for, and of how many entries', async () => {
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { attributes: { company: 'sn' } })]);
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    expect(await offices.hq.json<Previewed>('preview')).toMatchObject({
      write: [{ leftOut: [{ attribute: 'company', entries: 5 }] }],
    });
    expect((await offices.hq.must('preview')).out).toMatch(/has no place for +entries\n.*network +company +5/s);
    expect((await offices.hq.must('preview', '--ldif')).out).toContain(
      '# left out, since network has no place for it: company (5)\n',
    );
    await offices.hq.must('approve', 'network');
    await ldapCycle(offices);
    // Also once everything is written.
    const texts = (await found(offices.hq, 'network')).map(({ text }) => text);
    expect(texts).toContain('no place there, and left out of so many entries: company (5)');
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source)]);
    await ldapCycle(offices);
    expect((await found(offices.hq, 'network')).map(({ text }) => text).join()).not.toContain('no place');
  });

  it('preview foretells in table, LDIF and JSON what the server refuses, and the write says the same', async () => {
    await source.modify(`dn: cn=p3,${PEOPLE}\nchangetype: modify\nadd: title\ntitle: 12*34\n`);
    await source.modify(
      `dn: cn=ä,${PEOPLE}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: ä\nsn: x\nmail: a@example.com\ntitle: 12*34\n`,
    );
    await setDirectories(offices.oslo, [await publishing(offices.oslo, source, { attributes: { mobile: 'title' } })]);
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    const refused = { action: 'refused', code: 'invalidAttributeSyntax' };
    const before = await target.search();
    const { write } = await offices.hq.json<{ write: { add: number; refused: number; changes: object[] }[] }>(
      'preview',
    );
    expect(write).toMatchObject([{ add: 6, refused: 2 }]);
    expect(write[0]!.changes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...refused,
          dn: `cn=p3,${HERE}`,
          reason: expect.stringContaining('mobile') as string,
        }),
      ]),
    );
    expect((await offices.hq.must('preview')).out).toMatch(
      /would be refused +code +because\n(.*\n)*cn=p3,ou=oslo,\S+ +invalidAttributeSyntax +a value of mobile/,
    );
    const { out } = await offices.hq.must('preview', '--ldif');
    expect(out).toContain(`# would be refused (invalidAttributeSyntax): cn=p3,${HERE}: a value of mobile`);
    expect(out).toMatch(/^[\x20-\x7e\n]*$/);
    expect(out).not.toContain(`dn: cn=p3,${HERE}`);
    expect(await target.search()).toEqual(before);
    await offices.hq.must('approve', 'network');
    await ldapCycle(offices);
    const { directories } = await offices.hq.json<Status>('status');
    expect(directories[0]!.write).toMatchObject({
      refusedCount: 2,
      refused: [{ code: refused.code }, { code: refused.code }],
    });
  });

  it('preview shows the first write, and each later one against what stands there', async () => {
    expect(await offices.oslo.json<Previewed>('preview')).toMatchObject({ publish: [{ summary: { added: 5 } }] });
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    expect(await offices.hq.json<Previewed>('preview')).toMatchObject({
      write: [{ directory: 'network', add: 7, modify: 0, delete: 0, rename: 0, refused: 0 }],
    });
    await expect(target.search('(objectClass=*)', ['dn'], NETWORK)).rejects.toThrow(/No such object/);
    await offices.hq.must('approve', 'network');
    await ldapCycle(offices);
    expect(await offices.hq.json<Previewed>('preview')).toMatchObject({ write: [{ add: 0, modify: 0, delete: 0 }] });

    await target.modify(`dn: cn=p0,${HERE}\nchangetype: modify\nreplace: title\ntitle: By hand\n`);
    await source.modify(`dn: cn=p0,${PEOPLE}
changetype: modify
replace: title
title: Boss

dn: cn=p1,${PEOPLE}
changetype: modrdn
newrdn: cn=renamed
deleteoldrdn: 1

dn: cn=p2,${PEOPLE}
changetype: delete
`);
    await target.halt();
    expect(await offices.oslo.json<Previewed>('preview')).toMatchObject({
      publish: [{ summary: { changed: 2, removed: 1, certificate: { extent: 'delta' } } }],
    });
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    const ran = await offices.hq.run('--json', 'preview');
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({
      write: [{ problem: expect.stringContaining('could not be reached') }],
    });
    await target.start();
    const before = await target.search();
    expect(await offices.hq.json<Previewed>('preview')).toMatchObject({
      write: [{ add: 0, modify: 1, rename: 1, delete: 1, refused: 0 }],
    });
    const { out } = await offices.hq.must('preview', '--ldif');
    expect(out.split('version: 1\n\n')).toHaveLength(2);
    expect(out).toContain(`dn: cn=p0,${HERE}\nchangetype: modify\nreplace: title\ntitle: Boss\n-`);
    expect(out).toContain(`dn: cn=p1,${HERE}\nchangetype: modrdn\nnewrdn: cn=renamed\ndeleteoldrdn: 1`);
    expect(out).toContain(`dn: cn=p2,${HERE}\nchangetype: delete`);
    expect(await target.search()).toEqual(before);
    await offices.hq.must('dispatch');
    expect(await offices.hq.json<Previewed>('preview')).toMatchObject({ write: [{ modify: 0, rename: 0, delete: 0 }] });
  });
});
