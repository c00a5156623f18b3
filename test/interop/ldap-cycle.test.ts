/** From one LDAP server to another, through two postoffices: what is published there stands here, and stays in step. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { setTimeout as wait } from 'node:timers/promises';
import type { Status } from '../demo/contents.ts';
import { ended, start } from '../demo/office.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices, setDirectories } from './ldap-offices.ts';

const HERE = `ou=oslo,${NETWORK}`;

const groupLdif = (name: string, members: string[]) =>
  `dn: cn=${name},${PEOPLE}\nobjectClass: groupOfNames\ncn: ${name}\n${members.map((one) => `member: cn=${one},${PEOPLE}\n`).join('')}`;

interface DirectoryStatus {
  name: string;
  read: { certificate: { extent?: string; entries: number }; removed: number; changed: number } | null;
  readProblem: string | null;
  write: { entries: number; refusedCount: number; refused: { code: string }[]; problem: string | null } | null;
}

async function directoryOf(office: LdapOffices['hq']): Promise<DirectoryStatus> {
  const { directories } = (await office.status()) as Status & { directories: DirectoryStatus[] };
  return directories[0]!;
}

const PATIENCE_MS = 45_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  const sinceMs = Date.now();
  while (!(await holds())) {
    if (Date.now() - sinceMs > PATIENCE_MS) throw new Error('what was waited for did not come');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describeSlapd('a cycle from slapd to slapd', () => {
  let source: Slapd;
  let target: Slapd;

  beforeEach(async () => {
    const names = range(20).map((i) => `p${i}`);
    const all = [people, ...names.map((name) => personLdif(name)), groupLdif('all', names.slice(0, 5))];
    [source, target] = await Promise.all([
      startSlapd({ writes: 'nosync', ldif: ldif(all) }),
      startSlapd({ writes: 'nosync' }),
    ]);
  });

  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  const written = async (filter: string, ...attributes: string[]) => {
    const text = await target.search(filter, attributes, NETWORK);
    return text.split(/\n\n+/).filter(Boolean);
  };

  const members = async (group: string) => {
    const [found = ''] = await written(`(cn=${group})`, 'member');
    return found
      .split('\n')
      .slice(1)
      .map((line) => line.replace('member: cn=', '').replace(`,${HERE}`, ''))
      .toSorted();
  };

  it('brings what is new, changed, renamed and gone, and reads only that', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(20);
    expect(await members('all')).toEqual(['p0', 'p1', 'p2', 'p3', 'p4']);
    await source.modify(`dn: cn=p1,${PEOPLE}
changetype: modify
replace: title
title: Boss

dn: cn=p15,${PEOPLE}
changetype: modrdn
newrdn: cn=renamed
deleteoldrdn: 1

dn: cn=p10,${PEOPLE}
changetype: delete
`);
    await source.modify(personLdif('new'));
    await ldapCycle(offices);
    const { read } = await directoryOf(offices.oslo);
    expect(read).toMatchObject({ certificate: { extent: 'delta' }, removed: 1 });
    expect(await written('(title=Boss)', 'cn')).toEqual([`dn: cn=p1,${HERE}\ncn: p1`]);
    expect(await written('(cn=p10)')).toEqual([]);
    expect(await written('(cn=p15)')).toEqual([]);
    expect(await written('(cn=renamed)', 'cn')).toEqual([`dn: cn=renamed,${HERE}\ncn: renamed`]);
    expect(await written('(cn=new)', 'mail')).toEqual([`dn: cn=new,${HERE}\nmail: new@example.com`]);
    await ldapCycle(offices);
    expect((await directoryOf(offices.oslo)).read).toMatchObject({ certificate: { extent: 'delta' }, changed: 0 });
    await offices.oslo.must('sync', '--wait', '0', '--whole');
    expect((await directoryOf(offices.oslo)).read).toMatchObject({ certificate: { extent: 'whole' }, changed: 0 });
  });

  it('keeps a member of a group who gets another DN, although the server rewrites the group without a word', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await source.modify(`dn: cn=p2,${PEOPLE}\nchangetype: modrdn\nnewrdn: cn=renamed\ndeleteoldrdn: 1\n`);
    await until(async () => (await source.search('(cn=all)', ['member'])).includes('cn=renamed'));
    await source.modify(`dn: cn=p3,${PEOPLE}\nchangetype: delete\n`);
    await ldapCycle(offices);
    expect(await members('all')).toEqual(['p0', 'p1', 'p4', 'renamed']);
  });

  it('finds an entry again that an administrator moved, and undoes what he changed when its owner changes it', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await target.modify(`dn: ou=aside,${NETWORK}
objectClass: organizationalUnit
ou: aside

dn: cn=p1,${HERE}
changetype: modrdn
newrdn: cn=p1
deleteoldrdn: 1
newsuperior: ou=aside,${NETWORK}
`);
    await source.modify(`dn: cn=p1,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: Boss\n`);
    await ldapCycle(offices);
    expect(await written('(cn=p1)', 'title')).toEqual([`dn: cn=p1,${HERE}\ntitle: Boss`]);
  });

  it('goes on while the directory that it reads is away, and says since when', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await source.halt();
    expect((await offices.oslo.run('sync', '--wait', '0')).code).toBe(1);
    const away = await directoryOf(offices.oslo);
    expect(away.readProblem).toMatch(/127\.0\.0\.1/);
    expect((await offices.oslo.run('status')).out).toMatch(/since .*; what was read before stays in use/);
    await offices.hq.must('sync');
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(20);
    await source.start();
    await source.modify(`dn: cn=p1,${PEOPLE}\nchangetype: delete\n`);
    await ldapCycle(offices);
    expect((await directoryOf(offices.oslo)).read).toMatchObject({ certificate: { extent: 'delta' }, removed: 1 });
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(19);
  });

  it('writes later into a directory that is away', async () => {
    const offices = await ldapOffices(source, target);
    await target.halt();
    await offices.oslo.must('sync', '--wait', '0');
    const ran = await offices.hq.run('sync');
    expect(ran.code).toBe(1);
    expect(ran.out + ran.err).toMatch(/network could not be written, and will be tried again/);
    expect((await directoryOf(offices.hq)).write).toMatchObject({ entries: 0 });
    await target.start();
    await ldapCycle(offices);
    expect((await directoryOf(offices.hq)).write).toMatchObject({ entries: 21, problem: null });
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(20);
  });

  it('goes on where it was when the directory that it writes dies in the middle', async () => {
    await source.load(ldif(range(3_000).map((i) => personLdif(`more${i}`))));
    const offices = await ldapOffices(source, target);
    await offices.oslo.must('sync', '--wait', '0');
    const syncing = offices.hq.run('sync');
    const count = async () => (await written('(objectClass=inetOrgPerson)', 'dn').catch(() => [])).length;
    await until(async () => (await count()) > 300);
    await target.kill();
    expect((await syncing).code).toBe(1);
    expect((await directoryOf(offices.hq)).write?.problem).toMatch(/127\.0\.0\.1/);
    await target.start();
    const left = 3_020 - (await count());
    expect(left).toBeGreaterThan(0);
    await offices.hq.must('dispatch');
    expect(await count()).toBe(3_020);
    expect((await directoryOf(offices.hq)).write).toMatchObject({ entries: 3_021, refusedCount: 0, problem: null });
  });

  it('stops at no entry that is refused, says which and why, and asks again when it is told to', async () => {
    await target.change({
      globalLines: ['moduleload unique'],
      databaseLines: ['overlay unique', 'unique_uri ldap:///?mail?sub'],
    });
    await target.modify(
      `dn: cn=taken,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: taken\nsn: x\nmail: p7@example.com\n`,
    );
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const { write } = await directoryOf(offices.hq);
    expect(write).toMatchObject({ entries: 20, refusedCount: 1, refused: [{ code: 'constraintViolation' }] });
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(19);
    await target.modify(`dn: cn=taken,dc=example,dc=com\nchangetype: delete\n`);
    await offices.hq.must('dispatch');
    expect((await directoryOf(offices.hq)).write).toMatchObject({ refusedCount: 1 });
    await offices.hq.must('dispatch', '--again');
    expect((await directoryOf(offices.hq)).write).toMatchObject({ entries: 21, refusedCount: 0 });
    expect(await written('(cn=p7)', 'mail')).toEqual([`dn: cn=p7,${HERE}\nmail: p7@example.com`]);
  });

  it('sends what changed when the server says so, where agents run', async () => {
    const offices = await ldapOffices(source, target, { publish: { onChange: '1s' } });
    await ldapCycle(offices);
    const agents = [offices.oslo, offices.hq].map(({ config }) => start(['--config', config, 'run']));
    const ends = agents.map((agent) => ended(agent, ['run']));
    try {
      let count = 0;
      // The first may still be taken by what agents do at their start.
      for (const title of ['Boss', 'Chief', 'Director']) {
        await until(async () => {
          const isThere = (await written(`(title=${title})`, 'dn')).length > 0;
          if (isThere) return true;
          // Until the watch has begun a change wakes nobody.
          await source.modify(
            `dn: cn=p1,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: ${title}\n-\nreplace: description\ndescription: ${count++}\n`,
          );
          await wait(200);
          return false;
        });
      }
    } finally {
      for (const agent of agents) agent.kill('SIGTERM');
      await Promise.all(ends);
    }
  });

  it('writes nothing before an approval', async () => {
    const offices = await ldapOffices(source, target, { subscribe: { firstWrite: 'held' } });
    await offices.oslo.must('sync', '--wait', '0');
    expect((await offices.hq.run('sync')).code).toBe(3);
    await expect(written('(objectClass=*)', 'dn')).rejects.toThrow(/No such object/);
    await offices.hq.must('approve', 'network');
    await offices.hq.must('sync');
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(20);
  });

  it('leaves what it wrote when the directory is no longer named', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await setDirectories(offices.hq, []);
    await ldapCycle(offices);
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(20);
  });
});
