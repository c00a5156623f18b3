/** Which entry is which, on slapd: directories that are reloaded with other keys, entries that were there before, own writes. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../demo/contents.ts';
import type { Office } from '../demo/office.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range, SUFFIX } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices, publishing, setDirectories, subscribing } from './ldap-offices.ts';

const HERE = `ou=oslo,${NETWORK}`;
const STAFF = `ou=staff,${SUFFIX}`;
const staff = `dn: ${STAFF}\nobjectClass: organizationalUnit\nou: staff\n`;
/** Active Directory's mark of those who may everything. */
const adminCount = `attributetype ( 1.2.840.113556.1.4.150 NAME 'adminCount' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )`;
const holder = `objectclass ( 1.3.6.1.4.1.99999.1 NAME 'adminHolder' SUP top AUXILIARY MAY adminCount )`;

const clerk = (cn: string, mail: string, more = '') =>
  `dn: cn=${cn},${STAFF}\nobjectClass: inetOrgPerson\ncn: ${cn}\nsn: ${cn}\nmail: ${mail}\nroomNumber: room of ${cn}\n${more}`;

const groupLdif = (name: string, members: string[]) =>
  `dn: cn=${name},${PEOPLE}\nobjectClass: groupOfNames\ncn: ${name}\n${members.map((one) => `member: cn=${one},${PEOPLE}\n`).join('')}`;

/** As a backup by LDIF has it: without what the server keeps for itself. */
async function reloaded(server: Slapd, change: (text: string) => string = (text) => text): Promise<void> {
  const text = await server.search('(objectClass=*)', [], SUFFIX);
  const entries = text
    .split(/\n\n+/)
    .filter((one) => /^dn: (?!dc=)/.test(one) && !/^dn: .*(ou=accounts|cn=reader),/.test(one));
  await server.reload(ldif(entries.map((one) => change(`${one.trim()}\n`))));
}

interface Reads {
  directories: { name: string; read: { added: number; removed: number; recognised: number; ambiguousCount: number } }[];
  matches: { found: number; ambiguous: number }[];
}
const statusOf = async (office: Office) => (await office.status()) as unknown as Status & Reads;
const readOf = async (office: Office) => (await statusOf(office)).directories[0]!.read;

describeSlapd('entries and who they are, on slapd', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;

  beforeEach(async () => {
    const all = [people, ...range(8).map((i) => personLdif(`p${i}`)), groupLdif('all', ['p0', 'p1', 'p2'])];
    [source, target] = await Promise.all([
      startSlapd({ writes: 'nosync', ldif: ldif(all) }),
      startSlapd({ writes: 'nosync', globalLines: [adminCount, holder], ldif: staff }),
    ]);
  });
  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  const found = async (filter: string, base: string, ...attributes: string[]) => {
    const text = await target.search(filter, attributes, base);
    return text
      .split(/\n\n+/)
      .map((one) => one.trim())
      .filter(Boolean)
      .toSorted();
  };
  const members = async () => (await found('(cn=all)', NETWORK, 'member'))[0]!.split('\n').slice(1).toSorted();
  const uuids = () => found('(objectClass=inetOrgPerson)', NETWORK, 'entryUUID');
  const setTarget = async (more: object) => setDirectories(offices.hq, [await subscribing(offices.hq, target, more)]);

  it('a published directory that was reloaded with other keys is the same: only what truly changed is sent', async () => {
    offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const before = await uuids();
    await reloaded(source, (text) => text.replace('cn: p3\n', 'cn: p3\ntitle: Boss\n'));
    await ldapCycle(offices);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 0, removed: 0, recognised: 9 });
    expect(await uuids()).toEqual(before);
    expect(await found('(title=Boss)', NETWORK, 'cn')).toEqual([`dn: cn=p3,${HERE}\ncn: p3`]);
    expect(await members()).toEqual(['p0', 'p1', 'p2'].map((one) => `member: cn=${one},${HERE}`));
    // From now on they are known under these keys.
    await source.modify(
      `dn: cn=p4,${PEOPLE}\nchangetype: delete\n\ndn: cn=p5,${PEOPLE}\nchangetype: modrdn\nnewrdn: cn=q5\ndeleteoldrdn: 1\n`,
    );
    await ldapCycle(offices);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 0, removed: 1, recognised: 0 });
    expect((await uuids()).length).toBe(7);
  });

  it('who was taken for another is himself by unlink, which says first that it is a removal and a new entry', async () => {
    offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const before = await uuids();
    const [dn, gone] = [`cn=p4,${PEOPLE}`, before.find((one) => one.includes('cn=p4,'))!];
    // Somebody else, who got the mail address of the one before him.
    await source.modify(`dn: ${dn}\nchangetype: delete\n`);
    await source.modify(ldif([personLdif('p4')]));
    await ldapCycle(offices);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 0, removed: 0, recognised: 1 });
    const own = await offices.oslo.run('unlink', 'people', `cn=p3,${PEOPLE}`);
    expect(own).toMatchObject({ code: 2, err: expect.stringMatching(/its own key makes it/) });
    const asked = await offices.oslo.run('unlink', 'people', dn);
    expect(asked).toMatchObject({ code: 2, err: expect.stringMatching(/leaves the network.*--as-new/s) });
    await ldapCycle(offices);
    expect(await uuids()).toEqual(before);
    await offices.oslo.must('unlink', 'people', dn, '--as-new');
    await offices.oslo.must('link', 'people', dn);
    await ldapCycle(offices);
    expect(await uuids()).toEqual(before);
    await offices.oslo.must('unlink', 'people', dn, '--as-new');
    await ldapCycle(offices);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 1, removed: 1, recognised: 0 });
    const after = await uuids();
    expect(after.filter((one) => before.includes(one))).toEqual(before.filter((one) => one !== gone));
    expect(after).toHaveLength(before.length);
    await ldapCycle(offices);
    expect(await uuids()).toEqual(after);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 0, removed: 0, recognised: 0 });
    const made = await offices.hq.run('unlink', 'network', `cn=p3,${HERE}`);
    expect(made).toMatchObject({ code: 2, err: expect.stringMatching(/what dirpost made/) });
  });

  it('that was reloaded and then gets another name in the configuration is the same, once that is said', async () => {
    offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const before = await uuids();
    await reloaded(source);
    await ldapCycle(offices);
    const { oslo } = offices;
    await setDirectories(oslo, [{ ...(await publishing(oslo, source)), name: 'staff' }]);
    const { out } = await oslo.run('sync', '--wait', '0');
    expect(out).toMatch(/staff: read 9 entries; 0 new, 0 changed, 0 removed, 9 refused/);
    expect(out).toMatch(/Was the directory only given another name/);
    await oslo.must('directory', 'remove', 'people', '--keep');
    expect((await oslo.must('sync', '--wait', '0')).out).toMatch(
      /staff: read 9 entries; 0 new, 0 changed, 0 removed, 0 r/,
    );
    await ldapCycle(offices);
    expect(await uuids()).toEqual(before);
    await source.modify(`dn: cn=p4,${PEOPLE}\nchangetype: delete\n`);
    await ldapCycle(offices);
    expect(await uuids()).toEqual(before.filter((one) => !one.includes('cn=p4,')));
  });

  it('that gets other keys and another name at once is the same, once that is said and approved; nobody is twice', async () => {
    offices = await ldapOffices(source, target);
    await source.modify(ldif(range(20).map((i) => personLdif(`more${i}`))));
    await ldapCycle(offices);
    const before = await uuids();
    expect(before).toHaveLength(28);
    await reloaded(source);
    const { oslo } = offices;
    await setDirectories(oslo, [{ ...(await publishing(oslo, source)), name: 'staff' }]);
    for (let i = 0; i < 2; i++) {
      const { out } = await oslo.run('sync', '--wait', '0');
      expect(out).toMatch(/staff: read 29 entries; 0 new, 0 changed, 0 removed, 29 refused/);
    }
    await oslo.must('directory', 'remove', 'people', '--keep');
    await oslo.run('sync', '--wait', '0');
    await oslo.must('approve', 'staff');
    await oslo.must('sync', '--wait', '0');
    await offices.hq.must('sync');
    expect(await uuids()).toEqual(before);
    expect(await readOf(oslo)).toMatchObject({ added: 0, removed: 0, refusedCount: 0 });
    expect(((await oslo.json('status')) as { keptDirectories: unknown[] }).keptDirectories).toEqual([]);
  });

  it('more of them than the limits wait for an approval, and one who may be two is told', async () => {
    offices = await ldapOffices(source, target);
    await source.modify(ldif(range(20).map((i) => personLdif(`more${i}`))));
    const both = (cn: string) => `dn: cn=${cn},${PEOPLE}\nchangetype: modify\nreplace: mail\nmail: both@example.com\n`;
    await source.modify(ldif([both('p6'), both('p7')]));
    await ldapCycle(offices);
    const others = async () => (await uuids()).filter((one) => !/cn=p[67],/.test(one));
    const before = await others();
    await reloaded(source);
    const { code, out } = await offices.oslo.run('sync', '--wait', '0');
    expect(code).not.toBe(0);
    expect(out).toMatch(/27 renames, 27 of them with another key than before/);
    expect(await readOf(offices.oslo)).toMatchObject({ added: 2, removed: 2, recognised: 0, ambiguousCount: 1 });
    await offices.hq.must('sync');
    expect(await others()).toEqual(before);
    await offices.oslo.must('approve', 'people');
    await offices.oslo.must('sync', '--wait', '0');
    expect(await readOf(offices.oslo)).toMatchObject({ added: 0, removed: 0, recognised: 27 });
    await offices.hq.must('sync');
    expect(await others()).toEqual(before);
    expect(await uuids()).toHaveLength(28);
  });

  it('a written directory that was reloaded is found again: nobody is there twice, who goes is removed', async () => {
    offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    await reloaded(target, (text) => text.replace('telephoneNumber', 'pager'));
    await source.modify(
      `dn: cn=p1,${PEOPLE}\nchangetype: delete\n\ndn: cn=p2,${PEOPLE}\nchangetype: modrdn\nnewrdn: cn=renamed\ndeleteoldrdn: 1\n`,
    );
    await ldapCycle(offices);
    const names = (await found('(objectClass=inetOrgPerson)', NETWORK, 'cn')).map((one) => one.split('cn: ')[1]);
    expect(names).toEqual(['p0', 'p3', 'p4', 'p5', 'p6', 'p7', 'renamed']);
  });

  it('by its stamp an entry is found again when the store was lost, and it has another name', async () => {
    offices = await ldapOffices(source, target, { subscribe: { stamp: 'labeledURI' } });
    await ldapCycle(offices);
    // The class of groups has no place for it.
    expect(await found('(labeledURI=*)', NETWORK, 'dn')).toHaveLength(8);
    await target.modify(`dn: cn=p1,${HERE}\nchangetype: modrdn\nnewrdn: cn=moved\ndeleteoldrdn: 1\n`);
    const before = (await uuids()).map((one) => one.split('entryUUID: ')[1]).toSorted();
    await setTarget({ stamp: 'labeledURI', name: 'anew' });
    await offices.hq.must('dispatch', '--again');
    expect((await uuids()).map((one) => one.split('entryUUID: ')[1]).toSorted()).toEqual(before);
    expect(await found('(cn=p1)', NETWORK, 'dn')).toEqual([`dn: cn=p1,${HERE}`]);
    expect(await found('(cn=moved)', NETWORK, 'dn')).toEqual([]);
  });

  it('who was there before is taken after an approval, changed where he stands, and stays when he leaves the network', async () => {
    await target.modify(
      ldif([
        clerk('Anna', 'p0@example.com'),
        clerk('Bo', 'p1@example.com'),
        clerk('Boss', 'p2@example.com', 'objectClass: adminHolder\nadminCount: 1\n'),
        clerk('Twin A', 'p3@example.com'),
        clerk('Twin B', 'p3@example.com'),
      ]),
    );
    const adopt = { by: ['employeeNumber', 'mail'], base: STAFF };
    offices = await ldapOffices(source, target, { subscribe: { adopt } });
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    // Neither changed nor doubled.
    expect(await found('(mail=p0@example.com)', SUFFIX, 'dn')).toEqual([`dn: cn=Anna,${STAFF}`]);
    expect(await found('(mail=p3@example.com)', SUFFIX, 'dn')).toHaveLength(2);
    expect(await found('(mail=p2@example.com)', SUFFIX, 'dn')).toEqual([`dn: cn=Boss,${STAFF}`, `dn: cn=p2,${HERE}`]);
    expect((await statusOf(offices.hq)).matches).toMatchObject([{ found: 2, ambiguous: 2 }]);
    const held = await offices.hq.run('held');
    expect(held.code).not.toBe(0);
    expect(held.out).toMatch(/p0 .*cn=Anna,ou=staff/);
    expect(held.out).toMatch(/p3 .*cn=Twin A,ou=staff.*ambiguous/);
    expect((await offices.hq.run('preview')).out).toMatch(/cn=Twin B/);
    // Bo is somebody else.
    await offices.hq.must('unlink', 'network', `cn=Bo,${STAFF}`);
    await offices.hq.must('approve', 'network');
    expect(await found('(cn=Anna)', SUFFIX, 'roomNumber', 'cn', 'sn')).toEqual([
      `dn: cn=Anna,${STAFF}\ncn: Anna\nroomNumber: room of Anna\nsn: Person`,
    ]);
    expect(await found('(mail=p1@example.com)', SUFFIX, 'dn')).toEqual([`dn: cn=Bo,${STAFF}`, `dn: cn=p1,${HERE}`]);
    expect(await members()).toEqual(
      [`cn=Anna,${STAFF}`, `cn=p1,${HERE}`, `cn=p2,${HERE}`].map((dn) => `member: ${dn}`),
    );
    await source.modify(`dn: cn=p0,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: Boss\n`);
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    expect(await found('(title=Boss)', SUFFIX, 'dn')).toEqual([`dn: cn=Anna,${STAFF}`]);
    await source.modify(`dn: cn=p0,${PEOPLE}\nchangetype: delete\n`);
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    expect(await found('(cn=Anna)', SUFFIX, 'dn')).toEqual([`dn: cn=Anna,${STAFF}`]);
    expect(await found('(adminCount=1)', SUFFIX, 'sn')).toEqual([`dn: cn=Boss,${STAFF}\nsn: Boss`]);
  });

  it('a group that was there before is taken only where the configuration says so', async () => {
    const guards = `cn=all,${STAFF}`;
    await target.modify(`dn: ${guards}\nobjectClass: groupOfNames\ncn: all\nmember: ${STAFF}\n`);
    const adopt = { by: ['cn'], base: STAFF };
    offices = await ldapOffices(source, target, { subscribe: { adopt } });
    const groups = () => found('(objectClass=groupOfNames)', SUFFIX, 'member');
    const alone = `dn: ${guards}\nmember: ${STAFF}`;
    await ldapCycle(offices);
    expect((await statusOf(offices.hq)).matches).toEqual([]);
    expect(await groups()).toEqual([expect.stringContaining(`dn: cn=all,${HERE}`), alone]);
    await setTarget({ adopt: { ...adopt, groups: true }, name: 'anew', container: `ou=anew,${SUFFIX}` });
    await offices.hq.run('sync');
    await offices.hq.must('approve', 'anew');
    expect(await groups()).not.toContain(alone);
    // It was adopted while that was allowed: from then on it is left as it is.
    const taken = await groups();
    await setTarget({ adopt, name: 'anew', container: `ou=anew,${SUFFIX}` });
    await source.modify(`dn: cn=all,${PEOPLE}\nchangetype: modify\nadd: member\nmember: cn=p5,${PEOPLE}\n`);
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    expect(await groups()).toEqual(taken);
    expect((await offices.hq.run('status')).out).toMatch(/notAllowed/);
  });

  it('an adopted entry that is unlinked stays as it is, and the network has one of its own', async () => {
    await target.modify(clerk('Anna', 'p0@example.com'));
    offices = await ldapOffices(source, target, { subscribe: { adopt: { by: ['mail'], base: STAFF } } });
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    await offices.hq.must('approve', 'network');
    await offices.hq.must('unlink', 'network', `cn=Anna,${STAFF}`);
    await offices.hq.must('dispatch', '--again');
    const both = [`dn: cn=Anna,${STAFF}`, `dn: cn=p0,${HERE}`];
    expect(await found('(mail=p0@example.com)', SUFFIX, 'dn')).toEqual(both);
    await offices.hq.must('dispatch', '--again');
    expect(await found('(mail=p0@example.com)', SUFFIX, 'dn')).toEqual(both);
  });

  it('the approval of the first write is one of who was there before, too; he gets his name and is deleted where that is said', async () => {
    await target.modify(clerk('Anna', 'p0@example.com', 'employeeType: clerk\n'));
    const adopt = { by: ['mail'], base: STAFF, filter: '(employeeType=clerk)', rename: true, delete: true };
    offices = await ldapOffices(source, target, { subscribe: { adopt, firstWrite: 'held' } });
    await offices.oslo.must('sync', '--wait', '0');
    await offices.hq.run('sync');
    const preview = await offices.hq.must('preview');
    expect(preview.out).toMatch(/p0 .*cn=Anna,ou=staff/);
    expect((await offices.hq.must('preview', '--ldif')).out).toMatch(/dn: cn=Anna,ou=staff.*\nchangetype: mod/);
    expect(await found('(objectClass=inetOrgPerson)', SUFFIX, 'dn')).toEqual([`dn: cn=Anna,${STAFF}`]);
    await offices.hq.must('approve', 'network');
    expect(await found('(mail=p0@example.com)', SUFFIX, 'employeeType')).toEqual([
      `dn: cn=p0,${STAFF}\nemployeeType: clerk`,
    ]);
    // Moved by hand and reloaded he is still the same.
    await target.modify(
      `dn: ou=old,${STAFF}\nobjectClass: organizationalUnit\nou: old\n\ndn: cn=p0,${STAFF}\nchangetype: modrdn\nnewrdn: cn=p0\ndeleteoldrdn: 1\nnewsuperior: ou=old,${STAFF}\n`,
    );
    const boss = (title: string) => `dn: cn=p0,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: ${title}\n`;
    await source.modify(boss('Boss'));
    await ldapCycle(offices);
    expect(await found('(title=Boss)', SUFFIX, 'dn')).toEqual([`dn: cn=p0,ou=old,${STAFF}`]);
    await reloaded(target);
    await source.modify(boss('Chief'));
    await ldapCycle(offices);
    expect(await found('(title=Chief)', SUFFIX, 'dn')).toEqual([`dn: cn=p0,ou=old,${STAFF}`]);
    await source.modify(`dn: cn=p0,${PEOPLE}\nchangetype: delete\n`);
    await ldapCycle(offices);
    expect(await found('(cn=p0)', SUFFIX, 'dn')).toEqual([]);
  });

  it('what was written is not published again by another name of the same server, also after a move or a reload', async () => {
    offices = await ldapOffices(source, target);
    await ldapCycle(offices);
    const servers = [target.url.replace('127.0.0.1', 'localhost')];
    const own = await publishing(offices.hq, target, { base: SUFFIX, servers, exclude: [{ dn: target.reader.dn }] });
    await setDirectories(offices.hq, [own, await subscribing(offices.hq, target)]);
    await offices.hq.must('sync');
    const published = async () => (await statusOf(offices.hq)).own.live;
    expect(await published()).toBe(0);
    await target.modify(
      `dn: cn=p1,${HERE}\nchangetype: modrdn\nnewrdn: cn=p1\ndeleteoldrdn: 1\nnewsuperior: ${STAFF}\n`,
    );
    await offices.hq.must('sync', '--whole');
    expect(await published()).toBe(0);
    await reloaded(target);
    await offices.hq.must('sync', '--whole');
    // Only who stands where dirpost never wrote.
    expect(await published()).toBe(1);
  });
});
