/** A branch with 389-DS, by an account with the rights that docs/ldap.md gives and no others. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readLdif } from '../demo/contents.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389 } from '../servers/ldap/presence.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, SUFFIX } from './ldap-directory.ts';
import {
  ownCycle,
  type OwnOffices,
  ownOffices,
  type OwnServer,
  publishedAtHq,
  staffWith,
  takenOf,
} from './ldap-own-offices.ts';

const ANCHOR = 'nsuniqueid';
const SERVICES = `ou=services,${SUFFIX}`;
const login = { dn: `cn=dirpost,${SERVICES}`, password: 'service-secret' };

interface Written {
  directories: { write: { refusedCount: number } | null }[];
}

const aci = (dn: string, name: string, rights: string) =>
  `dn: ${dn}\nchangetype: modify\nadd: aci\naci: (targetattr="*")(version 3.0; acl "${name}"; allow (${rights}) userdn="ldap:///${login.dn}";)\n`;

const content = ldif([
  people,
  ...['lucia', 'mateo', 'nuno'].map((name) => personLdif(name)),
  `dn: cn=compras,${PEOPLE}\nobjectClass: groupOfUniqueNames\ncn: compras\nuniqueMember: cn=lucia,${PEOPLE}\nuniqueMember: cn=mateo,${PEOPLE}\n`,
  `dn: ${SERVICES}\nobjectClass: organizationalUnit\nou: services\n`,
  `dn: ${login.dn}\nobjectClass: person\ncn: dirpost\nsn: dirpost\nuserPassword: ${login.password}\n`,
  `dn: ${NETWORK}\nobjectClass: organizationalUnit\nou: network\n`,
  aci(PEOPLE, 'dirpost reads', 'read,search,compare'),
  aci(NETWORK, 'dirpost writes', 'all'),
]);

describe389('a branch with 389-DS', () => {
  let server: Ds389;
  let offices: OwnOffices;
  beforeAll(async () => {
    server = await startDs389({ ldif: content });
    offices = await ownOffices(site());
  }, 60_000);
  afterAll(() => server?.stop());

  const site = (): OwnServer => ({
    profile: '389ds',
    url: `ldaps://localhost:${server.ldapsPort}`,
    ca: server.ca,
    login,
    base: PEOPLE,
    container: NETWORK,
  });

  const search = (filter: string, ...attributes: string[]) => server.search(filter, attributes, NETWORK);

  it('is written after an approval only, and gives and takes what is new, changed, renamed and gone', async () => {
    const { hq, branch } = offices;
    await ownCycle(offices);
    expect((await branch.run('held')).code).toBe(3);
    expect(await search('(objectClass=person)', '1.1')).toBe('');
    await branch.must('approve', 'network');
    await ownCycle(offices);
    expect((await search('(objectClass=inetOrgPerson)', '1.1')).match(/^dn:/gm)).toHaveLength(3);
    expect(await search('(objectClass=groupOfNames)', 'member')).toMatch(/\nmember:.*\nmember:/);
    const first = await readLdif(hq.network);
    expect(first.get(`cn=compras,ou=oslo,ou=network,dc=example,dc=org`)?.get('member')).toHaveLength(2);

    await server.modify(`dn: cn=lucia,${PEOPLE}
changetype: modify
replace: title
title: Jefa

dn: cn=mateo,${PEOPLE}
changetype: modrdn
newrdn: cn=mateo rey
deleteoldrdn: 1

dn: cn=compras,${PEOPLE}
changetype: modify
delete: uniqueMember
uniqueMember: cn=mateo,${PEOPLE}
-
add: uniqueMember
uniqueMember: cn=mateo rey,${PEOPLE}

dn: cn=nuno,${PEOPLE}
changetype: delete
`);
    await ownCycle(offices);
    const after = await readLdif(hq.network);
    const cns = [...after.values()].flatMap((entry) => entry.get('cn') ?? []).toSorted();
    expect(cns).toEqual(['compras', 'lucia', 'mateo rey']);
    const members = after.get('cn=compras,ou=oslo,ou=network,dc=example,dc=org')!.get('member')!;
    expect(members).toContain('cn=mateo rey,ou=oslo,ou=network,dc=example,dc=org');
  }, 60_000);

  it('has made again what somebody removed by hand, the containers too', async () => {
    const { hq, branch } = offices;
    const dns = (await search('(objectClass=*)', '1.1'))
      .match(/^dn::? .*/gm)!
      .filter((line) => line !== `dn: ${NETWORK}`);
    await server.modify(
      dns
        .toReversed()
        .map((line) => `${line}\nchangetype: delete\n`)
        .join('\n'),
    );
    expect(await search('(ou=hq)', '1.1')).toBe('');
    await hq.writePeople(staffWith({ title: 'Boss' }));
    await ownCycle(offices);
    await branch.run('dispatch', '--again');
    expect((await search('(title=Boss)', '1.1')).match(/^dn:/gm)).toHaveLength(3);
  }, 60_000);

  it('loaded anew from LDIF is the same to all, with other ids: what is published and what was written', async () => {
    const { hq, branch } = offices;
    await ownCycle(offices);
    const before = await publishedAtHq(hq, ANCHOR);
    const ids = async () => (await server.search('(cn=*)', [ANCHOR])).match(/^nsuniqueid: .*$/gim)!;
    const idsBefore = await ids();
    await server.reload(await server.search('(objectClass=*)', ['*', 'aci']));
    expect((await ids()).filter((id) => idsBefore.includes(id))).toEqual([]);
    await hq.writePeople(staffWith({ title: 'Chief' }));
    await ownCycle(offices);
    expect(await takenOf(branch)).toMatchObject({ added: 0, removed: 0, recognised: before.size });
    expect(await publishedAtHq(hq, ANCHOR)).toEqual(before);
    expect((await search('(title=Chief)', '1.1')).match(/^dn:/gm)).toHaveLength(3);
    expect((await search('(objectClass=inetOrgPerson)', '1.1')).match(/^dn:/gm)).toHaveLength(3);
    const [, ...others] = staffWith({ title: 'Chief' }).people;
    await hq.writePeople({ ...staffWith({}), people: others, groups: [] });
    await ownCycle(offices);
    expect((await search('(|(cn=*)(ou=hq))', '1.1')).match(/^dn:/gm)).toHaveLength(3);
  }, 60_000);

  it('says that its container is not there, and refuses no entry because of it', async () => {
    const others = await ownOffices({ ...site(), container: `ou=nowhere,${SUFFIX}`, firstWrite: 'allowed' });
    await ownCycle(others);
    const ran = await others.branch.run('dispatch');
    expect(ran.code).toBe(1);
    expect(ran.out + ran.err).toContain(`ou=nowhere,${SUFFIX} is not there, or this account may not see it`);
    const { directories } = (await others.branch.status()) as unknown as Written;
    expect(directories.at(-1)!.write).toMatchObject({ refusedCount: 0 });
    expect((await others.branch.run('preview')).code).toBe(1);
  }, 60_000);
});
