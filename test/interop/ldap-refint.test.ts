/** slapd with refint, which changes groups without a word of it: what becomes of members who were not published until then. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices } from './ldap-offices.ts';

const groupLdif = (name: string, ...members: string[]) =>
  `dn: cn=${name},${PEOPLE}\nobjectClass: groupOfNames\ncn: ${name}\n${members.map((one) => `member: cn=${one},${PEOPLE}`).join('\n')}`;

describeSlapd('a group whose members refint renames', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;
  beforeEach(async () => {
    const content = [
      people,
      personLdif('anna'),
      personLdif('bo', 'employeeType: hidden\n'),
      groupLdif('all', 'anna', 'bo'),
    ];
    [source, target] = await Promise.all([
      startSlapd({ writes: 'nosync', ldif: ldif(content) }),
      startSlapd({ writes: 'nosync' }),
    ]);
    const exclude = [{ attribute: 'employeeType', prefix: 'hidden' }];
    offices = await ldapOffices(source, target, { publish: { exclude } });
    await ldapCycle(offices);
  });
  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  it('gets who was left out and is let in with another name, with the read of changes that tells of him', async () => {
    const members = async () => (await target.search('(cn=all)', ['member'], NETWORK)).match(/^member: .*$/gm);
    expect(await members()).toEqual([`member: cn=anna,ou=oslo,${NETWORK}`]);
    await source.modify(`dn: cn=bo,${PEOPLE}
changetype: modrdn
newrdn: cn=bodil
deleteoldrdn: 1

dn: cn=bodil,${PEOPLE}
changetype: modify
delete: employeeType
`);
    // refint does it a moment later.
    await expect.poll(() => source.search(`(member=cn=bodil,${PEOPLE})`, ['cn'])).toContain('cn: all');
    await ldapCycle(offices);
    expect((await members())!.toSorted()).toEqual(
      ['anna', 'bodil'].map((name) => `member: cn=${name},ou=oslo,${NETWORK}`),
    );
  });
});
