/** What slapd refuses, from the directory that does not take it to the screen of the owner, until it is mended. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { DirectoryState } from '../../packages/agent/src/directory-state.ts';
import type { Explanation } from '../../packages/agent/src/explain.ts';
import type { Status } from '../../packages/agent/src/status.ts';
import type { Office } from '../demo/office.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, range, SUFFIX } from './ldap-directory.ts';
import { ldapCycle, type LdapOffices, ldapOffices } from './ldap-offices.ts';

const PERSONS = 6;
const HERE = `ou=oslo,${NETWORK}`;
const WRITER = `uid=writer,ou=accounts,${SUFFIX}`;
const MINUTE_MS = 60_000;

const mayWrite = (...before: string[]): string[] => [
  ...before,
  `access to dn.subtree="${NETWORK}" by dn.exact="${WRITER}" write by * read`,
  `access to dn.base="${SUFFIX}" attrs=children by dn.exact="${WRITER}" write by * read`,
];
const NOT_TITLE = `access to dn.subtree="${NETWORK}" attrs=title by * read`;
const NOT_HERE = `access to dn.base="${HERE}" attrs=entry by * read`;
const NOT_P3 = `access to dn.base="cn=p3,${HERE}" by * read`;

const statusOf = async (office: Office) => (await office.json('status')) as Status;
const writeOf = async (office: Office) => (await statusOf(office)).directories[0]!.write!;
const explained = async (office: Office, who: string): Promise<Explanation> => office.json('explain', who);

describeSlapd('what slapd refuses', () => {
  let source: Slapd;
  let target: Slapd;
  let offices: LdapOffices;

  beforeEach(async () => {
    const all = [people, ...range(PERSONS).map((i) => personLdif(`p${i}`))];
    [source, target] = await Promise.all([
      startSlapd({ writes: 'nosync', ldif: ldif(all) }),
      startSlapd({ writes: 'nosync', accounts: [{ name: 'writer', password: 'w' }], access: mayWrite(NOT_P3) }),
    ]);
    const bind = { method: 'simple', dn: WRITER, password: { file: 'writer' } };
    offices = await ldapOffices(source, target, { subscribe: { bind } });
    await writeFile(join(offices.hq.data, 'writer'), 'w\n', { mode: 0o600 });
    await ldapCycle(offices);
  });

  afterEach(async () => {
    await Promise.all([source.stop(), target.stop()]);
  });

  const written = async (filter: string, ...attributes: string[]) =>
    (await target.search(filter, attributes, NETWORK)).split(/\n\n+/).filter(Boolean);

  it('is seen by the owner of the entry, in status and in explain, and gone from there when it is mended', async () => {
    const { hq, oslo } = offices;
    const because = { code: 'insufficientAccessRights' };
    expect(await writeOf(hq)).toMatchObject({ entries: PERSONS - 1, refusedCount: 1, refused: [because] });
    const there = await explained(hq, 'p3');
    expect(there.receiver!.directories).toMatchObject([
      { state: 'refused', againMs: expect.any(Number) as number, mayPass: false, ...because },
    ]);
    expect((await hq.must('explain', 'p3')).out).toMatch(
      /REFUSED \(insufficientAccessRights\).*It is asked again \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, or at once by: dirpost dispatch --again \(which right is lacking: dirpost check\)/,
    );

    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    await oslo.must('dispatch');
    const reason = expect.stringContaining('a directory of hq does not take it') as string;
    const { own, attention } = await statusOf(oslo);
    expect(own.refusedElsewhere).toMatchObject([{ id: there.matches[0]!.id, ...because, reason }]);
    expect(attention).toEqual(['refused']);
    expect((await oslo.must('status')).out).toMatch(
      /others +[0-9a-f]{32} +insufficientAccessRights +a directory of hq/,
    );
    expect((await explained(oslo, 'p3')).owner!.refusedElsewhere).toMatchObject([{ ...because, reason }]);
    expect((await explained(oslo, 'p2')).owner!.refusedElsewhere).toEqual([]);
    expect((await oslo.must('explain', 'p3')).out).toMatch(/REFUSED \(insufficientAccessRights\): a directory of hq/);

    await target.change({ access: mayWrite() });
    await hq.must('dispatch', '--again');
    expect(await writeOf(hq)).toMatchObject({ entries: PERSONS, refusedCount: 0 });
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    await oslo.must('dispatch');
    expect(await statusOf(oslo)).toMatchObject({ own: { refusedElsewhere: [] }, attention: [] });
  });

  it('since a right is lacking is asked again after 5 minutes, then after 10, and the next try is shown', async () => {
    const { hq } = offices;
    const nextTry = async () => {
      const { againMs, refused } = await writeOf(hq);
      expect(refused[0]!.againMs).toBe(againMs);
      return againMs!;
    };
    expect(Math.round(((await nextTry()) - Date.now()) / MINUTE_MS)).toBe(5);
    expect((await hq.must('status')).out).toMatch(/because +next try\n(.*\n)*write of network .* \d\d:\d\d:\d\d\n/);
    await agedBy(hq, 6 * MINUTE_MS);
    await hq.must('dispatch');
    expect(await written('(cn=p3)')).toEqual([]);
    expect(Math.round(((await nextTry()) - Date.now()) / MINUTE_MS)).toBe(10);
    await target.change({ access: mayWrite() });
    await agedBy(hq, 8 * MINUTE_MS);
    await hq.must('dispatch');
    expect(await written('(cn=p3)')).toEqual([]);
    await agedBy(hq, 3 * MINUTE_MS);
    await hq.must('dispatch');
    expect(await written('(cn=p3)', 'cn')).toEqual([`dn: cn=p3,${HERE}\ncn: p3`]);
    expect(await writeOf(hq)).toMatchObject({ entries: PERSONS, refusedCount: 0 });
  });

  it('of an entry that stands there leaves it standing, and it is counted', async () => {
    await target.change({ access: mayWrite(NOT_TITLE) });
    await source.modify(`dn: cn=p1,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: Boss\n`);
    await ldapCycle(offices);
    expect(await written('(objectClass=inetOrgPerson)', 'dn')).toHaveLength(PERSONS - 1);
    // p3 does not stand there, p1 does.
    expect(await writeOf(offices.hq)).toMatchObject({ entries: PERSONS - 1, refusedCount: 2 });
  });

  it('of a container is told with each try, and until the next one nobody asks for what belongs in it', async () => {
    const { hq, oslo } = offices;
    const said = async (cn: string, title: string) => {
      await source.modify(`dn: cn=${cn},${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: ${title}\n`);
      await oslo.must('sync', '--wait', '0');
      return (await hq.run('sync')).out;
    };
    const gone = [...[0, 1, 2, 4, 5].map((i) => `cn=p${i},${HERE}`), HERE];
    await target.modify(gone.map((dn) => `dn: ${dn}\nchangetype: delete\n`).join('\n'));
    await target.change({ access: mayWrite(NOT_HERE) });
    // Only now it is known that the container is not there.
    await said('p1', 'one');
    const refused = /network: ou=oslo,.* could not be made \(insufficientAccessRights.*waits until it is/;
    expect(await said('p2', 'two')).toMatch(refused);
    const triedMs = async () => (await writeOf(hq)).refused.map(({ againMs }) => againMs).toSorted();
    const before = await triedMs();
    expect(before).toHaveLength(4);
    expect(await said('p2', 'three')).not.toMatch(refused);
    expect((await triedMs()).filter((ms) => !before.includes(ms))).toHaveLength(1);
    await target.change({ access: mayWrite() });
    await hq.must('dispatch', '--again');
    expect((await written('(title=*)', '1.1')).toSorted()).toEqual(['p1', 'p2'].map((cn) => `dn: cn=${cn},${HERE}`));
    expect(await writeOf(hq)).toMatchObject({ refusedCount: 0 });
  });

  it('two entries that change their names with each other have those of each other, each with what is its own', async () => {
    await target.change({ access: mayWrite() });
    const uuids = async () => {
      const found = await written('(|(cn=p1)(cn=p2))', 'entryUUID', 'mail');
      return Object.fromEntries(
        found.map((one) => [
          /^mail: (.*)@/m.exec(one)![1]!,
          { dn: one.split('\n')[0], uuid: /UUID: (.*)/.exec(one)![1] },
        ]),
      );
    };
    const before = await uuids();
    const rename = (from: string, to: string) =>
      `dn: cn=${from},${PEOPLE}\nchangetype: modrdn\nnewrdn: cn=${to}\ndeleteoldrdn: 1\n`;
    await source.modify([rename('p1', 'aside'), rename('p2', 'p1'), rename('aside', 'p2')].join('\n'));
    await ldapCycle(offices);
    expect(await uuids()).toEqual({
      p1: { dn: before['p2']!.dn, uuid: before['p1']!.uuid },
      p2: { dn: before['p1']!.dn, uuid: before['p2']!.uuid },
    });
    await ldapCycle(offices);
    expect((await writeOf(offices.hq)).refusedCount).toBe(1);
  });
});

/** As if so much time had passed. */
async function agedBy(office: Office, ms: number): Promise<void> {
  const store = await openSqliteStore({ path: join(office.data, 'store.db') });
  try {
    await store.transaction(async (tx) => {
      const state = (await tx.getDocument<DirectoryState>('directory/network'))!;
      const { againMs, allTriedMs = 0 } = state.write!;
      const write = { ...state.write!, againMs: againMs! - ms, allTriedMs: allTriedMs - ms };
      await tx.putDocument('directory/network', { ...state, write });
      const rows = await tx.refusedPlaced('network', 100);
      const aged = rows.map((row) => ({ ...row, refused: { ...row.refused!, dueMs: row.refused!.dueMs! - ms } }));
      await tx.putPlaced('network', aged);
    });
  } finally {
    await store.close();
  }
}
