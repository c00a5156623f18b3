/** What dirpost wrote into slapd is removed from it again, when the directory is to leave the configuration. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range, SUFFIX } from './ldap-directory.ts';
import { ldapCycle, ldapOffices, setDirectories } from './ldap-offices.ts';

const PERSONS = 40;
const HERE = `ou=oslo,${NETWORK}`;

describeSlapd('a directory on slapd that leaves the configuration', () => {
  let source: Slapd;
  let target: Slapd;

  beforeEach(async () => {
    const group = `dn: cn=all,${PEOPLE}\nobjectClass: groupOfNames\ncn: all\nmember: cn=p1,${PEOPLE}\n`;
    const content = ldif([people, ...range(PERSONS).map((i) => personLdif(`p${i}`)), group]);
    [source, target] = await Promise.all([
      startSlapd({ writes: 'nosync', ldif: content }),
      startSlapd({ writes: 'nosync' }),
    ]);
  });

  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  const standing = async (base = NETWORK): Promise<string[]> =>
    (await target.search('(objectClass=*)', ['1.1'], base))
      .split('\n')
      .filter((line) => line.startsWith('dn: '))
      .map((line) => line.slice('dn: '.length));

  it('is emptied but for what others put there, and what goes only when they do; and is not filled again', async () => {
    const offices = await ldapOffices(source, target);
    const { hq } = offices;
    await ldapCycle(offices);
    expect(await standing()).toHaveLength(PERSONS + 3);
    // By hand: a stranger, an entry that was moved, and one that has something below it.
    await target.modify(`dn: ou=aside,${NETWORK}
objectClass: organizationalUnit
ou: aside

dn: cn=stranger,${HERE}
objectClass: inetOrgPerson
cn: stranger
sn: x

dn: cn=below,cn=p2,${HERE}
objectClass: inetOrgPerson
cn: below
sn: x

dn: cn=p1,${HERE}
changetype: modrdn
newrdn: cn=p1
deleteoldrdn: 1
newsuperior: ou=aside,${NETWORK}
`);
    const first = await hq.run('--json', 'directory', 'remove', 'network', '--withdraw');
    expect(first.code).toBe(1);
    expect(JSON.parse(first.out)).toMatchObject({
      removed: PERSONS,
      refusedCount: 1,
      refused: [{ code: 'notAllowedOnNonLeaf' }],
    });
    const strangers = [`ou=aside,${NETWORK}`, `cn=stranger,${HERE}`];
    expect((await standing()).toSorted()).toEqual(
      [NETWORK, HERE, `cn=p2,${HERE}`, `cn=below,cn=p2,${HERE}`, ...strangers].toSorted(),
    );
    await target.modify(`dn: cn=below,cn=p2,${HERE}\nchangetype: delete\n`);
    const second = await hq.must('directory', 'remove', 'network', '--withdraw');
    expect(second.out).toMatch(/^1 entry of the network was removed from network\.$/m);
    expect((await standing()).toSorted()).toEqual([NETWORK, HERE, ...strangers].toSorted());
    await source.modify(personLdif('new'));
    await offices.oslo.must('sync', '--wait', '0');
    expect((await hq.run('sync')).out).toMatch(/network: what was written there was removed/);
    expect(await standing()).toHaveLength(4);
    await hq.must('approve', 'network');
    expect(await standing()).toHaveLength(PERSONS + 6);
    await hq.must('sync');
  });

  it('moves those who are gone where its configuration says, and its containers go', async () => {
    const leavers = `ou=leavers,${SUFFIX}`;
    await target.modify(`dn: ${leavers}\nobjectClass: organizationalUnit\nou: leavers\n`);
    const offices = await ldapOffices(source, target, { subscribe: { removal: { moveTo: leavers } } });
    await ldapCycle(offices);
    await offices.hq.must('directory', 'remove', 'network', '--withdraw');
    expect(await standing()).toEqual([NETWORK]);
    expect(await standing(leavers)).toHaveLength(PERSONS + 2);
    await setDirectories(offices.hq, []);
    await offices.hq.must('directory', 'remove', 'network', '--keep');
    expect((await offices.hq.json<Status>('status')).removedDirectories).toEqual([]);
  });

  it('is emptied after it was reloaded, so that its entries have other keys', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const text = await target.search('(objectClass=*)', [], NETWORK);
    await target.reload(ldif(text.split(/\n\n+/).filter((one) => one.startsWith('dn: '))));
    const { out } = await offices.hq.must('directory', 'remove', 'network', '--withdraw');
    expect(out).toMatch(new RegExp(`^${PERSONS + 1} entries of the network were removed from network\\.$`, 'm'));
    expect(await standing()).toEqual([NETWORK]);
  });

  it('leaves those who stood there before dirpost came', async () => {
    const staff = `ou=staff,${SUFFIX}`;
    const anna = `dn: cn=Anna,${staff}\nobjectClass: inetOrgPerson\ncn: Anna\nsn: x\nmail: p0@example.com\n`;
    await target.modify(ldif([`dn: ${staff}\nobjectClass: organizationalUnit\nou: staff\n`, anna]));
    const offices = await ldapOffices(source, target, { subscribe: { adopt: { by: ['mail'], base: staff } } });
    await ldapCycle(offices).catch(() => {});
    await offices.hq.must('approve', 'network');
    expect((await standing()).filter((dn) => dn.startsWith('cn=p0,'))).toEqual([]);
    await offices.hq.must('directory', 'remove', 'network', '--withdraw');
    expect(await standing()).toEqual([NETWORK]);
    expect(await standing(staff)).toEqual([staff, `cn=Anna,${staff}`]);
  });

  it('that dies on the way goes on with the next call, and nothing is written meanwhile', async () => {
    const offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await target.halt();
    expect((await offices.hq.run('directory', 'remove', 'network', '--withdraw')).code).toBe(1);
    await target.start();
    await source.modify(personLdif('new'));
    await ldapCycle(offices).catch(() => {});
    expect(await standing()).toHaveLength(PERSONS + 3);
    await offices.hq.must('directory', 'remove', 'network', '--withdraw');
    expect(await standing()).toEqual([NETWORK]);
  });
});
