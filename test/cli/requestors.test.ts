/** The server's word over its requestors: suspended, back again, parted from with or without their entries. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentFaults, readLdif } from '../demo/contents.ts';
import type { Status as FullStatus } from '../../packages/agent/src/status.ts';
import { cycle, type Office } from '../demo/office.ts';
import { asks, expectInStep, freshBranches, joined, lineFor, makeBranch, makeServer, rosterOf } from './branches.ts';
import { smallStaff } from './network.ts';

/** What is to be seen at once is not held (design section 7). */
async function withoutHolds(...offices: Office[]): Promise<void> {
  for (const { config } of offices) {
    await writeFile(config, `${await readFile(config, 'utf8')}\nholds: { removals: { percent: 100 } }\n`);
  }
}

/** Names of the others' people that an office sees. */
async function seenBy(office: Office): Promise<string[]> {
  const entries = await office.json<{ owner: string }[]>('entries', '--limit', '1000');
  return [...new Set(entries.map(({ owner }) => owner))].sort();
}

const stateOf = async (hq: Office, name: string) =>
  (await rosterOf(hq)).requestors.find((one) => one.name === name)?.state;

describe('a suspended requestor', () => {
  it('is not heard and gets nothing, keeps its entries, and catches up when it may come back', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    expect((await hq.must('requestor', 'suspend', 'oslo')).out).toMatch(/oslo is suspended: nothing of it is taken/);
    expect((await hq.must('requestor', 'suspend', 'oslo')).out).toMatch(/was suspended already/);
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Harbour pilot';
    await oslo.writePeople(staff);
    for (let i = 1; i <= 2; i++) {
      await oslo.run('sync', '--wait', '0');
      expect((await hq.run('dispatch')).out).toMatch(/message file was not taken.*oslo is suspended here/);
      expect((await rosterOf(hq)).refused).toMatchObject([{ name: 'oslo', count: i, why: 'oslo is suspended here.' }]);
    }
    expect(await oslo.waiting()).toEqual([]);
    await cycle([hq, bergen]);
    expect(await seenBy(bergen)).toContain('oslo');
    expect(await readFile(bergen.network, 'utf8')).not.toContain('Harbour pilot');
    expect(await stateOf(hq, 'oslo')).toBe('suspended');
    const invited = await hq.run('invite', 'oslo');
    expect(invited).toMatchObject({ code: 2, err: expect.stringMatching(/requestor resume oslo/) });

    await hq.must('requestor', 'resume', 'oslo');
    expect((await hq.must('requestor', 'resume', 'oslo')).out).toMatch(/was not suspended/);
    await cycle([hq, oslo, bergen]);
    await expectInStep(hq, oslo, bergen);
    expect(await readFile(bergen.network, 'utf8')).toContain('Harbour pilot');
  });

  it('stays so when its public file is added anew', async () => {
    const { hq, oslo } = await freshBranches();
    const file = join(hq.root, 'oslo.json');
    await oslo.must('peer', 'export', '--out', file);
    await hq.must('requestor', 'suspend', 'oslo');
    await hq.must('peer', 'add', file, '--yes');
    expect(await stateOf(hq, 'oslo')).toBe('suspended');
    await writeFile(file, (await readFile(file, 'utf8')).replace('{', '{ "state": "active", '));
    expect(await hq.run('peer', 'add', file, '--yes')).toMatchObject({ code: 2, err: expect.stringMatching(/state/) });
  });
});

describe('a requestor that is removed', () => {
  it('has to be removed with a word about its entries', async () => {
    const { hq } = await freshBranches();
    for (const words of [[], ['--keep-entries', '--withdraw-entries']]) {
      const ran = await hq.run('requestor', 'remove', 'oslo', ...words);
      expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(/--keep-entries .*--withdraw-entries/) });
    }
    for (const who of ['lima', 'hq', '../keys']) {
      const ran = await hq.run('requestor', 'remove', who, '--keep-entries');
      expect({ who, code: ran.code }).toEqual({ who, code: 2 });
    }
    expect(await stateOf(hq, 'oslo')).toBe('active');
  });

  it('leaves its entries where they are, if so chosen, and is a stranger', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    const before = (await bergen.status()).own.replica;
    expect((await hq.must('requestor', 'remove', 'oslo', '--keep-entries')).out).toMatch(/14 entries of it stay/);
    await cycle([hq, bergen]);
    expect((await bergen.status()).own.replica).toEqual(before);
    await oslo.run('sync', '--wait', '0');
    expect((await hq.run('dispatch')).out).toMatch(/The sender oslo is not known here/);
    expect(await oslo.waiting()).toEqual([]);
    expect((await rosterOf(hq)).requestors).toMatchObject([
      { name: 'bergen' },
      { name: 'oslo', state: 'gone', entries: 14 },
    ]);
    expect((await hq.must('requestor', 'list')).out).toMatch(/oslo {4}gone, its entries are kept/);
    // It is shown with its entries, and nobody waits for it.
    expect((await hq.status()).server!.requestors).toMatchObject([
      { name: 'bergen' },
      { name: 'hq' },
      { name: 'oslo', attention: [], removed: true },
    ]);
    expect((await hq.must('status')).out).toMatch(/oslo +removed +14/);
  });

  it('takes its entries from everybody, if so chosen, and can join again', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    await withoutHolds(hq, bergen);
    const digest = (await oslo.status()).own.digest;
    expect((await hq.must('requestor', 'remove', 'oslo', '--withdraw-entries')).out).toMatch(
      /14 entries of it leave the lists/,
    );
    await cycle([hq, bergen]);
    expect(await seenBy(bergen)).toEqual(['hq']);
    await expectInStep(hq, bergen);
    expect((await hq.status()).server!.requestors.map(({ name }) => name)).toEqual(['bergen', 'hq']);
    expect(await contentFaults(bergen, [hq, bergen])).toEqual([]);
    expect([...(await readLdif(bergen.network)).keys()].filter((dn) => dn.includes('ou=oslo'))).toEqual([]);

    await rm(oslo.data, { recursive: true });
    await rm(oslo.inbox, { recursive: true, force: true });
    await asks(await makeBranch(hq, 'oslo'), await lineFor(hq, 'oslo'));
    await hq.must('dispatch');
    await oslo.must('dispatch');
    await cycle([hq, oslo, bergen]);
    await expectInStep(hq, oslo, bergen);
    expect((await oslo.status()).own.digest).toBe(digest);
  });

  it('and comes back by its public file with the store that it has, submits everything', async () => {
    const { hq, oslo, bergen } = await freshBranches();
    const file = join(hq.root, 'oslo.json');
    await withoutHolds(hq, bergen);
    await oslo.must('peer', 'export', '--out', file);
    const { incarnation } = (await hq.json<FullStatus>('status')).server!;
    await hq.must('requestor', 'remove', 'oslo', '--withdraw-entries');
    await hq.must('peer', 'add', file, '--yes');
    await cycle([hq, oslo, bergen]);
    await cycle([hq, oslo, bergen]);
    await expectInStep(hq, oslo, bergen);
    // What it knows of the lists, and the server has forgotten, is no sign of a server that was restored.
    expect((await hq.json<FullStatus>('status')).server).toMatchObject({ incarnation });
    expect(await seenBy(bergen)).toEqual(['hq', 'oslo']);
  });
});

describe('what a requestor may publish', () => {
  it('is set with its invitation, and what goes beyond is kept from the lists', async () => {
    const hq = await makeServer();
    const bergen = await joined(
      hq,
      'bergen',
      '--kinds',
      'person',
      '--mail-domain',
      'bergen.example.org',
      '--max-entries',
      '5',
    );
    expect((await rosterOf(hq)).requestors).toMatchObject([
      { name: 'bergen', publish: { kinds: ['person'], mailDomains: ['bergen.example.org'], maxEntries: 5 } },
    ]);
    expect((await hq.must('requestor', 'list')).out).toMatch(
      /only person; mail in bergen\.example\.org; at most 5 entries/,
    );
    const told = await bergen.must('status');
    expect(told.out).toMatch(/kind-not-allowed/);
    expect(told.out).toMatch(/too-many-entries|mail-domain-not-allowed/);
  });

  it('is what dirpost.yaml says, where it says something', async () => {
    const { hq } = await freshBranches();
    const rule = 'requestors:\n  oslo: { publish: { kinds: [person, group] } }\n';
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\n${rule}`);
    expect((await rosterOf(hq)).requestors).toMatchObject([
      { name: 'bergen', publish: {} },
      { name: 'oslo', publish: { kinds: ['person', 'group'] }, publishFrom: 'dirpost.yaml' },
    ]);
    expect((await hq.must('requestor', 'list')).out).toMatch(/only person, group; .*\(dirpost\.yaml\)/);
  });
});
