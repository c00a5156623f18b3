/** `dirpost check` knows whether an account may write, on each kind of server, and changes nothing to know it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapFacts } from '../../packages/adapters/src/directories/ldap/facts.ts';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389, describeSamba, describeSlapd } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { container, counted, ldif, openDirectory, simple, SUFFIX, targetIn, writeAll } from './ldap-directory.ts';

const signal = new AbortController().signal;

describeSlapd('the right to write into slapd', () => {
  let slapd: Slapd;
  const account = { dn: `uid=writer,ou=accounts,${SUFFIX}`, password: 'w' };
  const free = `ou=free,${SUFFIX}`;
  const shut = `ou=shut,${SUFFIX}`;

  beforeAll(async () => {
    const units = ['free', 'shut'].map(
      (name) => `dn: ou=${name},${SUFFIX}\nobjectClass: organizationalUnit\nou: ${name}`,
    );
    slapd = await startSlapd({ writes: 'nosync', ldif: ldif(units), accounts: [{ name: 'writer', password: 'w' }] });
  });
  afterAll(() => slapd?.stop());

  const open = (within: string, more: Partial<LdapOptions> = {}) =>
    openDirectory(slapd, { bases: [], bind: simple(account), target: targetIn(within), ...more });
  const everything = async () => (await slapd.search('(objectClass=*)', ['*', '+'])).split('\n').toSorted();

  it('is seen without writing, and what is lacking can be pasted as it is', async () => {
    const before = await everything();
    const facts = await open(shut).facts(signal);
    expect(facts.writing).toMatchObject({
      may: 'no',
      lack: { what: expect.stringContaining(`may not write below ${shut}`) as string },
    });
    const made = await open(`ou=new,${SUFFIX}`).facts(signal);
    expect(made).toMatchObject({ container: 'to be made', writing: { may: 'no' } });
    for (const { writing } of [facts, made]) {
      expect(writing!.lack!.mend.map(({ lines }) => lines.join('\n')).join('\n')).toContain(account.dn);
    }
    const asAdmin = await open(free, { bind: simple(slapd.admin) }).facts(signal);
    expect(asAdmin.writing).toMatchObject({ may: 'yes', lack: null });
    expect(await everything()).toEqual(before);
    expect(counted(await writeAll(open(shut), [container(`ou=oslo,${shut}`, 'oslo')]))).toEqual({
      insufficientAccessRights: 1,
    });
    const lines = made.writing!.lack!.mend[0]!.lines.concat(facts.writing!.lack!.mend[0]!.lines);
    await slapd.change({ access: lines });
    expect((await open(shut).facts(signal)).writing).toMatchObject({ may: 'yes' });
    expect((await open(`ou=new,${SUFFIX}`).facts(signal)).writing).toMatchObject({ may: 'yes' });
    const wrote = await writeAll(open(`ou=new,${SUFFIX}`), [container(`ou=new,${SUFFIX}`, 'new')]);
    expect(counted(wrote)).toEqual({ written: 1 });
  });

  it('into entries that are there already is asked of one of them, attribute by attribute', async () => {
    const anna = `dn: cn=anna,${free}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: anna\nsn: x\ntitle: Clerk\n`;
    await slapd.modify(anna);
    const before = await everything();
    const attributes = ['title', 'telephonenumber', 'cn', 'userpassword', 'member'];
    const question = (filter: string) => ({ base: { dn: free, scope: 'sub' as const, filter }, attributes });
    const rights = async (filter = '(cn=*)') => (await open(free).facts(signal, [question(filter)])).entries;
    const [lacking] = await rights();
    expect(lacking).toMatchObject({
      may: 'no',
      how: `tried with cn=anna,${free}`,
      lack: { what: `${account.dn} may not change title, telephonenumber of entries below ${free}.` },
    });
    expect(await rights('(cn=nobody)')).toEqual([]);
    expect(await everything()).toEqual(before);
    // Only one of the two.
    const [line] = lacking!.lack!.mend[0]!.lines;
    await slapd.change({ access: [line!.replace('title,', '')] });
    expect(await rights()).toMatchObject([
      { may: 'no', lack: { what: expect.stringMatching(/change title of/) as string } },
    ]);
    await slapd.change({ access: [line!] });
    expect(await rights()).toMatchObject([{ may: 'yes', lack: null }]);
    expect(await everything()).toEqual(before);
    await slapd.change({ access: [] });
  });

  it('is not asked where the container cannot be made; leavers have to have a place', async () => {
    const nowhere = await open(`ou=deep,ou=nowhere,${SUFFIX}`).facts(signal);
    expect(nowhere).toMatchObject({ container: 'missing', writing: null, leavers: null });
    const target = (moveTo: string) => targetIn(free, { removal: { moveTo } });
    expect((await open(free, { target: target(`ou=gone,${SUFFIX}`) }).facts(signal)).leavers).toBe('missing');
    expect((await open(free, { target: target(shut) }).facts(signal)).leavers).toBe('there');
  });
});

describe389('the right to write into 389-DS', () => {
  let ds389: Ds389;
  const shut = `ou=shut,${SUFFIX}`;
  beforeAll(async () => {
    ds389 = await startDs389({ ldif: `dn: ${shut}\nobjectClass: organizationalUnit\nou: shut\n` });
  });
  afterAll(() => ds389?.stop());

  const attributes = ['cn', 'sn', 'mail', 'title', 'member'];
  const facts = (within: string): Promise<LdapFacts> =>
    openDirectory(ds389, {
      bases: [],
      bind: simple(ds389.reader),
      attributes,
      anchor: 'nsuniqueid',
      target: targetIn(within),
    }).facts(signal);

  it('is told by the server: for entries that do not exist, and attribute by attribute', async () => {
    const { writing } = await facts(shut);
    expect(writing).toMatchObject({
      may: 'no',
      lack: { what: expect.stringContaining('may not write below') as string },
    });
    expect((await facts(`ou=new,${SUFFIX}`)).writing).toMatchObject({ may: 'no' });
    const aci = (allowed: string) =>
      `dn: ${shut}\nchangetype: modify\nreplace: aci\naci: (targetattr="${allowed}")(version 3.0; acl "x"; allow (all) userdn="ldap:///${ds389.reader.dn}";)\n`;
    await ds389.modify(aci('objectClass || ou || cn || sn || mail || member'));
    expect(await facts(shut)).toMatchObject({
      writing: { may: 'no', how: expect.stringContaining('title') as string },
    });
    await ds389.modify(`${writing!.lack!.mend[0]!.lines.join('\n')}\n`);
    expect((await facts(shut)).writing).toMatchObject({ may: 'yes', lack: null });
  });

  it('into entries that are there already is told attribute by attribute, and given by what can be pasted', async () => {
    const people = `ou=staff,${SUFFIX}`;
    await ds389.modify(
      `dn: ${people}\nchangetype: add\nobjectClass: organizationalUnit\nou: staff\n\ndn: cn=anna,${people}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: anna\nsn: x\n`,
    );
    const rights = async () => {
      const base = { dn: people, scope: 'sub' as const, filter: '(cn=anna)' };
      const options = { bases: [], bind: simple(ds389.reader), anchor: 'nsuniqueid', target: targetIn(shut) };
      const question = { base, attributes: ['title', 'telephonenumber'] };
      return (await openDirectory(ds389, options).facts(signal, [question])).entries;
    };
    const [lacking] = await rights();
    expect(lacking).toMatchObject({
      may: 'no',
      lack: { what: expect.stringContaining('title, telephonenumber') as string },
    });
    await ds389.modify(`${lacking!.lack!.mend[0]!.lines.join('\n')}\n`);
    expect(await rights()).toMatchObject([{ may: 'yes' }]);
  });

  it('of a container that is still to be made is given by what can be pasted', async () => {
    const { writing } = await facts(`ou=new,${SUFFIX}`);
    await ds389.modify(`${writing!.lack!.mend[0]!.lines.join('\n')}\n`);
    expect(await facts(`ou=new,${SUFFIX}`)).toMatchObject({ container: 'there', writing: { may: 'yes', lack: null } });
    const there = openDirectory(ds389, {
      bases: [],
      bind: simple(ds389.reader),
      anchor: 'nsuniqueid',
      target: targetIn(`ou=new,${SUFFIX}`),
    });
    expect(counted(await writeAll(there, [container(`ou=new,${SUFFIX}`, 'new')]))).toEqual({ written: 1 });
    expect((await facts(`ou=new,${SUFFIX}`)).writing).toMatchObject({ may: 'yes' });
  });
});

describeSamba('the right to write into Samba AD', () => {
  let samba: Samba;
  const suffix = 'DC=probe,DC=test';
  const account = { dn: 'dirpost@probe.test', password: 'Passw0rd!dirpost' };
  beforeAll(async () => {
    samba = await startSamba({ ldif: `dn: OU=shut,${suffix}\nobjectClass: organizationalUnit\n` });
    await samba.tool('user', 'create', 'dirpost', account.password);
  }, 180_000);
  afterAll(() => samba?.stop());

  const facts = (within: string): Promise<LdapFacts> =>
    openDirectory(samba, {
      servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
      ca: samba.ca,
      bind: simple(account),
      bases: [],
      anchor: 'objectguid',
      profile: 'ad',
      target: targetIn(within, { shape: 'ad-contact' }),
    }).facts(signal);

  it('is told by the server, and given by the commands that are shown', async () => {
    const { writing } = await facts(`OU=shut,${suffix}`);
    expect(writing).toMatchObject({ may: 'no', how: expect.stringContaining('contact') as string });
    expect((await facts(`OU=new,${suffix}`)).writing).toMatchObject({ may: 'no' });
    const [show, set] = writing!.lack!.mend[0]!.lines.map((line) => line.replace(/^samba-tool /, ''));
    const sid = /objectSid: (\S+)/.exec(await samba.tool(...show!.split(' ')))![1]!;
    const words = [...set!.matchAll(/(--\w+=)"([^"]*)"|\S+/g)].map(([all, option, value]) =>
      option === undefined ? all : `${option}${value!.replace('SID', sid)}`,
    );
    await samba.tool(...words);
    expect((await facts(`OU=shut,${suffix}`)).writing).toMatchObject({ may: 'yes', lack: null });
  });

  it('into entries that are there already is told too, and given to these attributes alone', async () => {
    const staff = `OU=staff,${suffix}`;
    await samba.modify(
      `dn: ${staff}\nchangetype: add\nobjectClass: organizationalUnit\n\ndn: CN=anna,${staff}\nchangetype: add\nobjectClass: contact\n`,
    );
    const ask = async (attributes: string[]) => {
      const base = { dn: staff, scope: 'sub' as const, filter: '(objectClass=contact)' };
      const options = {
        servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' as const }],
        ca: samba.ca,
        bind: simple(account),
        bases: [],
        anchor: 'objectguid',
        profile: 'ad' as const,
        target: targetIn(`OU=shut,${suffix}`, { shape: 'ad-contact' }),
      };
      return (await openDirectory(samba, options).facts(signal, [{ base, attributes }])).entries;
    };
    const [lacking] = await ask(['title', 'telephonenumber']);
    expect(lacking).toMatchObject({
      may: 'no',
      lack: { what: expect.stringContaining('title, telephonenumber') as string },
    });
    const [show, set] = lacking!.lack!.mend[0]!.lines.map((line) => line.replace(/^samba-tool /, ''));
    const sid = /objectSid: (\S+)/.exec(await samba.tool(...show!.split(' ')))![1]!;
    const [objectdn, sddl] = [...set!.matchAll(/"([^"]*)"/g)].map(([, value]) => value!);
    await samba.tool('dsacl', 'set', `--objectdn=${objectdn}`, `--sddl=${sddl!.replaceAll('SID', sid)}`);
    expect(await ask(['title', 'telephonenumber'])).toMatchObject([{ may: 'yes', lack: null }]);
    expect(await ask(['title', 'mail'])).toMatchObject([
      { may: 'no', lack: { what: expect.stringMatching(/change mail of/) as string } },
    ]);
  });
});
