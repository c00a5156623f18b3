/** Design §11: directories that answer nothing or half, people who are renamed, lists that change. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { makePerson } from '../demo/people.ts';
import { copyAway, changeTitle, cycles, expectAgreed, freshOffices, putBack, standsAt } from './branches.ts';

// Whole networks, and machines that have other work to do.
vi.setConfig({ testTimeout: 180_000 });

describe('a directory that answers', () => {
  it.each([
    ['nothing', (_: string) => ''],
    ['half of an entry', (text: string) => text.slice(0, text.length >> 1)],
    ['its head alone', (_: string) => 'version: 1\n'],
  ])('%s deletes nobody, and it is said', async (_, cut) => {
    const { oslo, bergen, all } = await freshOffices();
    const whole = await readFile(oslo.people, 'utf8');
    const stood = await standsAt(bergen);
    await writeFile(oslo.people, cut(whole));
    const said = await oslo.run('sync', '--wait', '0');
    expect(`${said.out}${said.err}`).toMatch(/people/);
    expect(said.code).not.toBe(0);
    await all[0]!.must('sync');
    for (const office of [bergen]) await office.run('sync', '--wait', '0');
    expect(await standsAt(bergen)).toEqual(stood);
    expect(await oslo.json('status')).toMatchObject({ own: { live: 14 } });
    await writeFile(oslo.people, whole);
    await cycles(2, all);
    await expectAgreed(...all);
  });
});

it('a file that the others are written to, and that somebody removed, is written again with the next dispatch', async () => {
  const { bergen } = await freshOffices();
  const before = await readFile(bergen.network, 'utf8');
  await rm(bergen.network);
  expect((await bergen.must('dispatch')).out).toMatch(/network: wrote/);
  expect(await readFile(bergen.network, 'utf8')).toBe(before);
  expect((await bergen.must('dispatch')).out).not.toMatch(/network: wrote/);
});

describe('people', () => {
  it('who are renamed stay the same to all others', async () => {
    const { oslo, bergen, all, staff } = await freshOffices();
    const idOf = async (name: string) => {
      const found = await bergen.json<{ id: string }[]>('entries', `(title=${name})`);
      return found.map(({ id }) => id);
    };
    await changeTitle(oslo, staff.oslo, 0, 'Harbour pilot');
    await cycles(2, all);
    const before = await idOf('Harbour pilot');
    Object.assign(staff.oslo.people[0]!, { sn: 'Nysen', uid: 'nysen' });
    await oslo.writePeople(staff.oslo);
    await cycles(2, all);
    expect(before).toHaveLength(1);
    expect(await idOf('Harbour pilot')).toEqual(before);
    expect([...(await standsAt(bergen))].filter((dn) => dn.startsWith('uid=nysen,'))).toHaveLength(1);
    await expectAgreed(...all);
  });

  it('who were changed here before a repair survive it', async () => {
    const { oslo, all, staff } = await freshOffices();
    const backup = await copyAway(oslo, 'backup');
    await cycles(1, all);
    await putBack(oslo, backup);
    // Unsent when the repair comes.
    await changeTitle(oslo, staff.oslo, 0, 'Captain');
    await cycles(3, all);
    await expectAgreed(...all);
    expect(await readFile(all[2]!.network, 'utf8')).toContain('title: Captain');
  });
});

it('a full import leaves what was added here alone, before it is sent and after, and the own directory untouched', async () => {
  const { hq, bergen, all, staff } = await freshOffices();
  staff.bergen.people.push(makePerson('bergen', 700));
  await bergen.writePeople(staff.bergen);
  const own = await readFile(bergen.people);
  // The store is new: everything comes from the server, while the newcomer was sent to nobody.
  await bergen.must('repair', '--new-store');
  await hq.must('dispatch');
  await bergen.must('dispatch');
  expect(await readFile(bergen.people)).toEqual(own);
  await cycles(3, all);
  expect(await readFile(bergen.people)).toEqual(own);
  expect((await bergen.status()).own.live).toBe(15);
  await expectAgreed(...all);
});

describe('a list that is defined anew', () => {
  it('gives an old requestor what it lacked, and takes what it may not have any more', async () => {
    const { hq, bergen, all } = await freshOffices();
    const text = await readFile(hq.config, 'utf8');
    const define = async (filter: string) => {
      await writeFile(
        hq.config,
        `${text.replace(/^lists:[\s\S]*?(?=^\S|$(?![\s\S]))/m, '')}
lists:
  - { name: all, filter: "${filter}", attributes: ["*"], receivers: "*" }
`,
      );
      await cycles(2, all);
    };
    const before = await standsAt(bergen);
    await define('(&(objectClass=inetOrgPerson)(postoffice=hq))');
    const fewer = await standsAt(bergen);
    expect(fewer.size).toBeGreaterThan(0);
    expect(fewer.size).toBeLessThan(before.size);
    await define('(objectClass=*)');
    expect(await standsAt(bergen)).toEqual(before);
    await expectAgreed(...all);
  });
});

it('the server shows where every requestor stands as soon as it has heard of it', async () => {
  const { hq, oslo, bergen, staff } = await freshOffices();
  await changeTitle(oslo, staff.oslo, 0, 'Captain');
  await oslo.must('sync', '--wait', '0');
  await hq.must('sync');
  const { seq, requestors } = (await hq.status()).server!;
  const verified = new Map(requestors.map(({ name, verifiedSeq }) => [name, verifiedSeq]));
  expect(verified.get('bergen')).toBeLessThan(seq);
  await bergen.must('sync', '--wait', '0');
  await hq.must('dispatch');
  await bergen.must('dispatch');
  await hq.must('dispatch');
  const now = (await hq.status()).server!;
  expect(now.requestors.find(({ name }) => name === 'bergen')?.verifiedSeq).toBe(now.seq);
});
