/** Deltas, rights and waking with Samba as Active Directory. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { ldif, openDirectory, simple } from './ldap-directory.ts';
import { Mirror, untilWoken, Watcher, withDelta } from './ldap-mirror.ts';

const DOMAIN = 'DC=probe,DC=test';
const PEOPLE = `OU=people,${DOMAIN}`;
const OTHERS = `OU=others,${DOMAIN}`;
const never = new AbortController().signal;
const unit = (dn: string) => `dn: ${dn}\nobjectClass: organizationalUnit`;
const user = (name: string, within = PEOPLE) =>
  `dn: CN=${name},${within}\nobjectClass: user\nsn: Person\nsAMAccountName: ${name}`;
const add = (name: string, within = PEOPLE) => user(name, within).replace('\n', '\nchangetype: add\n');
const replace = (dn: string, attribute: string, value: string) =>
  `dn: ${dn}\nchangetype: modify\nreplace: ${attribute}\n${attribute}: ${value}`;
const remove = (dn: string) => `dn: ${dn}\nchangetype: delete`;
const move = (dn: string, to: string) =>
  `dn: ${dn}\nchangetype: modrdn\nnewrdn: ${dn.split(',')[0]!}\ndeleteoldrdn: 1\nnewsuperior: ${to}`;

const content = ldif([
  unit(PEOPLE),
  unit(OTHERS),
  unit(`OU=sales,${PEOPLE}`),
  ...['anna', 'bert', 'carl', 'dora', 'emil'].map((name) => user(name)),
  user('fay', `OU=sales,${PEOPLE}`),
  user('gus', OTHERS),
]);

/** Comes and goes in every way that there is, and back again. */
const steps: { what: string; change: string; given: string[]; gone: string[]; wholeGiven?: boolean }[] = [
  { what: 'comes', change: add('hans'), given: ['hans'], gone: [] },
  { what: 'changes', change: replace(`CN=anna,${PEOPLE}`, 'description', 'METHOD'), given: ['anna'], gone: [] },
  { what: 'is deleted', change: remove(`CN=bert,${PEOPLE}`), given: [], gone: ['bert'] },
  { what: 'leaves the filter', change: replace(`CN=carl,${PEOPLE}`, 'title', 'hidden'), given: [], gone: ['carl'] },
  { what: 'leaves the base', change: move(`CN=dora,${PEOPLE}`, OTHERS), given: [], gone: ['dora'] },
  { what: 'comes into the base', change: move(`CN=gus,${OTHERS}`, PEOPLE), given: ['gus'], gone: [] },
  {
    what: 'leaves with its container',
    change: move(`OU=sales,${PEOPLE}`, OTHERS),
    given: ['anna', 'emil', 'gus', 'hans'],
    gone: ['fay'],
    wholeGiven: true,
  },
];
const back = ldif([
  remove(`CN=hans,${PEOPLE}`),
  add('bert'),
  replace(`CN=carl,${PEOPLE}`, 'title', 'seen'),
  move(`CN=dora,${OTHERS}`, PEOPLE),
  move(`CN=gus,${PEOPLE}`, OTHERS),
  move(`OU=sales,${OTHERS}`, PEOPLE),
]);
const ALL = ['anna', 'bert', 'carl', 'dora', 'emil', 'fay'];

describeSamba('deltas of Active Directory', () => {
  let samba: Samba;
  const open = (options: Partial<LdapOptions> = {}) =>
    openDirectory(samba, {
      servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
      ca: samba.ca,
      profile: 'ad',
      anchor: 'objectguid',
      bases: [{ dn: PEOPLE, scope: 'sub', filter: '(&(objectClass=user)(!(title=hidden)))' }],
      attributes: ['cn', 'sn', 'title'],
      ...options,
    });
  const plain = { dn: 'plain@probe.test', password: 'Passw0rd!plain' };

  beforeAll(async () => {
    samba = await startSamba({ ldif: content });
    await samba.tool('user', 'create', 'plain', plain.password);
  });
  afterAll(() => samba?.stop());

  /** DS-Replication-Get-Changes. */
  async function mayReplicate(account: string): Promise<void> {
    const shown = await samba.tool('user', 'show', account, '--attributes=objectSid');
    const sid = /objectSid: (\S+)/.exec(shown)![1]!;
    const sddl = `(OA;;CR;1131f6aa-9c07-11d1-f79f-00c04fc2dcd2;;${sid})`;
    await samba.tool('dsacl', 'set', `--objectdn=${DOMAIN}`, `--sddl=${sddl}`);
  }

  for (const method of ['usn', 'dirsync', 'modify-timestamp'] as const) {
    it(`by ${method} tell who came, changed, was deleted, left the filter or the base, and a container that was moved`, async () => {
      const mirror = new Mirror(open({ method }), 'objectguid');
      const first = await mirror.read();
      expect(first.certificate).toMatchObject({ complete: true, extent: 'whole', remarks: [] });
      expect(mirror.names).toEqual(ALL);
      let expected = ALL;
      for (const { what, change, given, gone, wholeGiven = false } of steps) {
        await samba.modify(`${change.replace('METHOD', method)}\n`);
        const read = await mirror.read();
        expected = [...new Set([...expected.filter((name) => !gone.includes(name)), ...given])].toSorted();
        expect(mirror.names, what).toEqual(expected);
        expect(read.certificate, what).toMatchObject({ complete: true, remarks: [] });
        if (method === 'modify-timestamp') continue;
        expect(read.given, what).toEqual(given);
        expect(read.certificate.extent, what).toBe(wholeGiven ? 'whole' : 'delta');
      }
      await samba.modify(back);
      await mirror.read();
      expect(mirror.names).toEqual(ALL);
      if (method !== 'modify-timestamp') expect((await mirror.read()).given).toEqual([]);
    });
  }

  it('by usn of another server or of a restored one are whole reads, and of one that was put back none', async () => {
    const mirror = new Mirror(open({ method: 'usn' }), 'objectguid');
    await mirror.read();
    const good = mirror.bookmark;
    mirror.bookmark = withDelta(good, { server: '0'.repeat(32) });
    expect((await mirror.read()).certificate).toMatchObject({ complete: true, extent: 'whole' });
    mirror.bookmark = withDelta(good, { usn: 1_000_000 });
    const behind = await mirror.read();
    expect(behind.given).toEqual([]);
    expect(behind.certificate).toMatchObject({ complete: false, extent: 'delta', bookmark: null });
    expect(behind.certificate.remarks.join()).toMatch(/was at 1000000 when it was last read: it was put back/);
    expect(mirror.names).toEqual(ALL);
    // Where everything is read too, since it is time for it.
    for (const method of ['usn', 'dirsync'] as const) {
      const late = new Mirror(open({ method, wholeReadEveryMs: 0 }), 'objectguid');
      await late.read();
      late.bookmark = withDelta(late.bookmark, { usn: 1_000_000 });
      expect((await late.read()).certificate).toMatchObject({ complete: false, extent: 'whole', bookmark: null });
    }
  });

  it('with a cookie of DirSync that is none begin anew', async () => {
    const mirror = new Mirror(open({ method: 'dirsync' }), 'objectguid');
    await mirror.read();
    mirror.bookmark = withDelta(mirror.bookmark, { cookie: Buffer.from('nonsense').toString('base64') });
    expect((await mirror.read()).certificate).toMatchObject({ complete: true, extent: 'whole' });
    expect(mirror.names).toEqual(ALL);
  });

  it('are not read by an account that would not see deletions, even where DirSync gives it changes', async () => {
    const bind = simple(plain);
    for (const right of ['none', 'replication']) {
      if (right === 'replication') await mayReplicate('plain');
      const facts = await open({ bind }).facts(never);
      expect(facts.method).toBe('modify-timestamp');
      expect(facts.why).toMatch(/^usn cannot be used: .* deleted objects .*; dirsync cannot be used: /);
      // In Samba nobody can give these rights.
      expect(facts.lacks).toEqual([]);
      const mirror = new Mirror(open({ bind, method: 'dirsync' }), 'objectguid');
      const { remarks } = (await mirror.read()).certificate;
      expect(remarks.join()).toMatch(/modify-timestamp is used, not dirsync as configured/);
      await samba.modify(`${remove(`CN=emil,${PEOPLE}`)}\n`);
      await mirror.read();
      expect(mirror.names).toEqual(ALL.filter((name) => name !== 'emil'));
      await samba.modify(`${add('emil')}\n`);
    }
  });

  it('are described for `check`', async () => {
    const facts = await open().facts(never);
    expect(facts).toMatchObject({ method: 'usn', tls: 'TLSv1.3', sizeLimit: null, lacks: [], unknownAttributes: [] });
    expect(facts.wakeUp).toBe('change notification');
    expect(facts.vendor).toMatch(/Samba/);
    expect((await open({ anchor: 'employeeid' }).facts(never)).why).toMatch(
      /by objectGUID, and `anchor` is employeeid/,
    );
  });

  it('are not read of those who are in a group, for it is the group that changes', async () => {
    const group = `CN=staff,${OTHERS}`;
    await samba.modify(`dn: ${group}\nchangetype: add\nobjectClass: group\nmember: CN=anna,${PEOPLE}\n`);
    const directory = open({ bases: [{ dn: PEOPLE, scope: 'sub', filter: `(memberOf=${group})` }] });
    const mirror = new Mirror(directory, 'objectguid');
    await mirror.read();
    expect(mirror.names).toEqual(['anna']);
    await samba.modify(`dn: ${group}\nchangetype: modify\nadd: member\nmember: CN=bert,${PEOPLE}\n`);
    await mirror.read();
    expect(mirror.names).toEqual(['anna', 'bert']);
    expect((await directory.facts(never)).why).toMatch(/memberof comes from other entries/);
  });

  it('of the whole domain do not stumble over the contexts that hold no people', async () => {
    const bases = [{ dn: DOMAIN, scope: 'sub', filter: '(&(objectClass=user)(sn=Person)(!(title=hidden)))' }] as const;
    for (const referrals of ['count', 'follow'] as const) {
      const mirror = new Mirror(open({ bases: [...bases], referrals }), 'objectguid');
      expect((await mirror.read()).certificate).toMatchObject({ complete: true, remarks: [] });
      expect(mirror.names).toEqual([...ALL, 'gus']);
    }
  });

  it('wake whoever waits for changes, once for many, until he stops', async () => {
    const watcher = new Watcher(open());
    await untilWoken(watcher, (i) => samba.modify(`${replace(`CN=anna,${PEOPLE}`, 'title', `t${i}`)}\n`));
    await watcher.stop();
  });
});
