/** Many groups that are members of each other, in slapd that takes no member who is not there: with one write, in several batches. */
import { appendFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices } from './ldap-offices.ts';
import { groupLdif, membersIn, strict } from './ldap-rings.ts';

const COUNT = 40;
const later = (i: number) => (i + COUNT / 2) % COUNT;
const wanted = (letter: string) =>
  Object.fromEntries(range(COUNT).map((i) => [`${letter}${i}`, ['anna', `${letter}${later(i)}`]]));
const givenMember = (i: number) =>
  `dn: cn=h${i},${PEOPLE}\nchangetype: modify\nreplace: member\nmember: cn=h${later(i)},${PEOPLE}\nmember: cn=anna,${PEOPLE}\n`;

describeSlapd('groups of which there are many', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;
  beforeEach(async () => {
    const groups = range(COUNT).map((i) => groupLdif(`g${i}`, `g${later(i)}`, 'anna'));
    const content = ldif([people, personLdif('anna'), ...groups]);
    [source, target] = await Promise.all([startSlapd({ writes: 'nosync', ldif: content }), startSlapd(strict)]);
    offices = await ldapOffices(source, target);
    for (const { config } of [offices.hq, offices.oslo]) {
      const limit = '{ percent: 100 }';
      await appendFile(config, `holds: { renames: ${limit}, lostMembers: ${limit} }\n`);
    }
    await ldapCycle(offices);
    expect(await stands()).toEqual(wanted('g'));
  });
  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });
  const stands = async () => membersIn(await target.search('(objectClass=groupOfNames)', ['member'], NETWORK));
  const isAllWritten = async () => {
    const { directories } = (await offices.hq.json('status')) as Status;
    expect(directories[0]!.write).toMatchObject({ refusedCount: 0 });
  };

  const changing = (change: (i: number) => string) => source.modify(range(COUNT).map(change).join('\n'));

  it('are complete after one cycle in which all get other names', async () => {
    await changing((i) => `dn: cn=g${i},${PEOPLE}\nchangetype: modrdn\nnewrdn: cn=h${i}\ndeleteoldrdn: 1\n`);
    await changing(givenMember);
    await ldapCycle(offices);
    expect(await stands()).toEqual(wanted('h'));
    await isAllWritten();
  });

  it('are complete after one cycle in which one is made again that somebody removed by hand', async () => {
    const [dn] = /^dn: .*$/im.exec(await target.search('(cn=g20)', ['cn'], NETWORK))!;
    await target.modify(`${dn}\nchangetype: delete\n`);
    await changing((i) => `dn: cn=g${i},${PEOPLE}\nchangetype: modify\nreplace: description\ndescription: x\n`);
    await ldapCycle(offices);
    expect(await stands()).toEqual(wanted('g'));
    await isAllWritten();
  });
});
