/** Groups that name who is made after them, and groups in a ring: complete with one write, also where the server takes no such group. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../packages/agent/src/status.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { NETWORK } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices, setDirectories, subscribing } from './ldap-offices.ts';
import { membersIn, ringContent, rings, strict } from './ldap-rings.ts';

const statusOf = async ({ hq }: LdapOffices) => ((await hq.json('status')) as Status).directories[0]!.write!;

describeSlapd('groups in slapd that takes no group with a member who is not there', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;
  beforeEach(async () => {
    [source, target] = await Promise.all([startSlapd({ writes: 'nosync', ldif: ringContent }), startSlapd(strict)]);
    offices = await ldapOffices(source, target);
  });
  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });
  const stands = async () => membersIn(await target.search('(objectClass=groupOfNames)', ['member'], NETWORK));

  it('are complete after one cycle, and nothing of them is written again', async () => {
    await ldapCycle(offices);
    expect(await stands()).toEqual(rings);
    expect(await statusOf(offices)).toMatchObject({ refusedCount: 0, entries: 7 });
    const before = await target.search('(objectClass=*)', ['entryCSN']);
    await offices.hq.must('dispatch', '--again');
    expect(await target.search('(objectClass=*)', ['entryCSN'])).toBe(before);
  });

  it('stand there without whom the server refuses, and say so, and get him when he is there', async () => {
    const bind = { method: 'simple', dn: target.reader.dn, password: { file: 'reader' } };
    await writeFile(join(offices.hq.data, 'reader'), `${target.reader.password}\n`, { mode: 0o600 });
    const free = `access to dn.subtree="${NETWORK}" by dn.exact="${target.reader.dn}" write by * read`;
    const top = `access to dn.base="dc=example,dc=com" attrs=children by dn.exact="${target.reader.dn}" write by * read`;
    await target.change({ access: [`access to dn.base="cn=anna,ou=oslo,${NETWORK}" by * read`, free, top] });
    // Also where their members are left alone later.
    const policies = { member: 'default' };
    await setDirectories(offices.hq, [await subscribing(offices.hq, target, { bind, policies })]);
    await ldapCycle(offices);
    // A group of that class has a member: the container is nobody.
    expect(await stands()).toEqual({ ...rings, 'ring-a': ['ring-b'], last: [NETWORK] });
    const { refused } = await statusOf(offices);
    expect(refused.map(({ code }) => code).toSorted()).toEqual([
      'insufficientAccessRights',
      'membersMissing',
      'membersMissing',
    ]);
    expect(refused.find(({ code }) => code === 'membersMissing')!.reason).toContain('cn=anna,ou=oslo');
    await target.change({ access: [free, top] });
    await offices.hq.must('dispatch', '--again');
    expect(await stands()).toEqual(rings);
    expect(await statusOf(offices)).toMatchObject({ refusedCount: 0 });
  });
});
