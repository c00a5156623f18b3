/** Joining over the exchange folder, by the commands that administrators type at both ends; and everything wrong with it. */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { allowFirstWrite, CONTAINER, Office } from '../demo/office.ts';
import { asks, expectInStep, freshBranches, lineFor, makeBranch, makeServer, rosterOf, settings } from './branches.ts';
import { forged } from './forged-invitation.ts';
import { essence, runHere, standing } from './network.ts';

const YEAR_MS = 365 * 86_400_000;

afterEach(() => vi.useRealTimers());

describe('joining', () => {
  it('takes one line, and then both are in step', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const invited = await hq.must('invite', 'oslo');
    const line = /^dirpost-join-1\.\S+$/m.exec(invited.out)![0];
    expect(invited.out).toMatch(/it will follow {2}all$/m);
    expect(invited.out).toMatch(/It is a secret/);
    // No --folder: the line says where.
    const asked = await oslo.must('join', line, ...settings('oslo'), '--wait', '0');
    expect(asked.out).toMatch(/hq answers when it dispatches/);
    const answering = await hq.must('dispatch');
    expect(answering.out).toMatch(/^T2 {2}oslo has joined: fingerprint [a-z0-9-]{39}$/m);
    await allowFirstWrite(oslo);
    const answered = await oslo.must('dispatch');
    expect(answered.out).toMatch(/^T3 {2}joined: hq knows this postoffice now; it follows the list all$/m);
    await expectInStep(hq, oslo);
    expect((await rosterOf(hq)).requestors).toMatchObject([{ name: 'oslo', state: 'active' }]);
    const { own } = await hq.json<{ own: { fingerprint: string; recovery: string } }>('keys');
    expect((await oslo.json<{ peers: object[] }>('keys')).peers).toMatchObject([
      { name: 'hq', fingerprint: own.fingerprint, recovery: own.recovery },
    ]);
  });

  it('is told at once where the server answers at once', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const asking = oslo.run('join', await lineFor(hq, 'oslo'), ...settings('oslo'), '--wait', '20');
    while ((await hq.waiting()).length === 0) await new Promise((resolve) => setImmediate(resolve));
    await hq.must('dispatch');
    const ran = await asking;
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.out).toMatch(/oslo has joined hq/);
    expect(ran.out).toMatch(/address list {2}all/);
  });

  it('leaves no secret behind: files are for the own account, and hold none', async () => {
    const hq = await makeServer();
    const file = join(hq.root, 'line');
    await hq.must('invite', 'oslo', '--out', file);
    const kept = join(hq.data, 'invitations', 'oslo.json');
    for (const path of [file, kept]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    const again = await hq.run('invite', 'oslo', '--out', file);
    expect(again).toMatchObject({ code: 2, err: expect.stringMatching(/is there already/) });
    const oslo = await makeBranch(hq, 'oslo');
    await oslo.must('join', '--file', file, ...settings('oslo'), '--wait', '0');
    await hq.must('dispatch');
    await oslo.must('dispatch');
    expect((await oslo.status()).own.incarnation).toMatch(/^0\./);
  });

  it('until the answer has come no exchange is sent, and it is said why', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    await asks(oslo, await lineFor(hq, 'oslo'));
    const ran = await oslo.must('sync', '--wait', '0');
    expect(ran.out).toMatch(/T1 {2}warning: Joining: hq has not answered the invitation yet/);
    expect(ran.out).not.toMatch(/exchange \d/);
    expect((await oslo.status()).own).toMatchObject({ number: 0 });
    expect(await hq.waiting()).toHaveLength(1);
  });

  it('an enrolment that was lost is repeated, and one that arrives twice is answered twice', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    await asks(oslo, await lineFor(hq, 'oslo'));
    for (const file of await hq.waiting()) await rm(file);
    await oslo.must('sync', '--wait', '0');
    await hq.must('dispatch');
    for (const file of await oslo.waiting()) await rm(file);
    await oslo.must('sync', '--wait', '0');
    expect((await hq.must('dispatch')).out).toMatch(/enrolment of oslo: a repeat; answered again/);
    await oslo.must('dispatch');
    await expectInStep(hq, oslo);
  });

  it('again under the same name, after everything was lost, brings the same people back', async () => {
    const { root, hq, oslo, bergen } = await freshBranches();
    const [before, of] = [(await oslo.status()).own, (await bergen.status()).own.replica];
    await rename(oslo.data, join(root, 'lost'));
    await rm(oslo.network);
    await asks(oslo, await lineFor(hq, 'oslo'));
    const answering = await hq.must('dispatch');
    expect(answering.out).toMatch(/T2 {2}warning: oslo has joined anew, with other keys: fingerprint \S+, before \S+/);
    expect((await oslo.must('dispatch')).out).toMatch(/an earlier life of it is known there/);
    await expectInStep(hq, oslo, bergen);
    const after = (await oslo.status()).own;
    expect(after.digest).toBe(before.digest);
    expect(after.incarnation).toMatch(/^1\./);
    expect((await bergen.status()).own.replica).toEqual(of);
    // The old copy is nobody any more.
    const old = new Office(root, 'lost', runHere);
    await old.run('sync', '--wait', '0');
    expect((await hq.run('dispatch')).out).toMatch(/a key that oslo has not announced/);
    await expectInStep(hq, oslo, bergen);
  });

  it('a whole table of branches gets bundles that join by themselves', async () => {
    const hq = await makeServer();
    const table = join(hq.root, 'branches.csv');
    const rows = ['oslo,person group,oslo.example.org,50', 'bergen,,,'].map((row) => {
      const name = row.split(',')[0]!;
      return `${row},${join(hq.root, 'directories', name, 'people.ldif')},${join(hq.root, 'directories', name, 'network.ldif')},"${CONTAINER}"`;
    });
    const header = 'name,kinds,mail_domains,max_entries,publish,subscribe,container';
    await writeFile(table, `${[header, ...rows].join('\n')}\n`);
    const { invited } = await hq.json<{ invited: { name: string; publish: object }[] }>('invite', '--from', table);
    expect(invited).toMatchObject([
      { name: 'oslo', publish: { kinds: ['person', 'group'], mailDomains: ['oslo.example.org'], maxEntries: 50 } },
      { name: 'bergen', publish: {} },
    ]);
    const offices = [hq];
    for (const name of ['oslo', 'bergen']) {
      const branch = await makeBranch(hq, name);
      await rename(join(hq.data, 'bundles', name), branch.data);
      expect((await readdir(branch.data)).sort()).toEqual(['README.txt', 'dirpost.yaml', 'invitation']);
      expect((await stat(join(branch.data, 'invitation'))).mode & 0o777).toBe(0o600);
      await branch.must('join', '--file', join(branch.data, 'invitation'), '--wait', '0');
      offices.push(branch);
    }
    await hq.must('dispatch');
    for (const branch of offices.slice(1)) await branch.must('dispatch');
    await expectInStep(...offices);
  });

  it('a table with faults invites nobody, and names all of them', async () => {
    const hq = await makeServer();
    const table = join(hq.root, 'branches.csv');
    await writeFile(table, 'name,kinds,colour\noslo,person,red\nOslo!,person,\noslo,people,\n');
    const ran = await hq.run('invite', '--from', table);
    expect(ran.code).toBe(2);
    for (const fault of [
      /"colour"/,
      /line 3: "Oslo!" is not a name/,
      /line 4: oslo stands there twice/,
      /line 4: "people" is not a kind/,
    ]) {
      expect(ran.err).toMatch(fault);
    }
    expect((await rosterOf(hq)).requestors).toEqual([]);
  });
});

describe('an invitation that is wrong', () => {
  it('cut or changed is said before anything is made', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const line = await lineFor(hq, 'oslo');
    for (const wrong of [
      line.slice(0, 200),
      line.slice(0, 60) + (line[60] === 'A' ? 'B' : 'A') + line.slice(61),
      'hello',
      '',
    ]) {
      const ran = await asks(oslo, wrong);
      expect({ code: ran.code, err: ran.err }).toEqual({
        code: 2,
        err: expect.stringMatching(/not a whole invitation/),
      });
      expect(ran.err).not.toContain(line.slice(20, 60));
    }
    expect(await readdir(hq.root)).not.toContain('oslo');
    expect(await asks(oslo, line.replace(/(.{70})/g, '$1\n  '))).toMatchObject({ code: 0 });
  });

  it('guessed is counted, never answered, and void after ten times', async () => {
    const hq = await makeServer();
    const line = await lineFor(hq, 'oslo');
    const kept = join(hq.data, 'invitations', 'oslo.json');
    for (let i = 1; i <= 3; i++) {
      const eve = new Office(join(hq.root, `eve-${i}`), 'oslo', runHere);
      await mkdir(eve.root);
      await eve.run('join', forged(line), '--folder', hq.exchange, '--wait', '0');
      expect((await hq.run('dispatch')).out).toMatch(/does not prove that it has the secret/);
      expect(await readdir(join(hq.exchange, 'oslo')).catch(() => [])).toEqual([]);
      expect((await rosterOf(hq)).refused).toMatchObject([{ name: 'oslo', count: i }]);
      // Seven more.
      if (i === 2)
        await writeFile(kept, (await readFile(kept, 'utf8')).replace('"wrongProofs": 2', '"wrongProofs": 9'));
    }
    const { requestors } = await rosterOf(hq);
    expect(requestors).toMatchObject([{ name: 'oslo', state: 'invited', invitation: { state: 'void' } }]);
    const oslo = await makeBranch(hq, 'oslo');
    await asks(oslo, line);
    expect((await hq.run('dispatch')).out).toMatch(/not given here, or that is void/);
    expect(await oslo.waiting()).toEqual([]);
  });

  it('used by somebody else is refused with the reason, and another one heals it in the same folder', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const line = await lineFor(hq, 'oslo');
    const thief = new Office(join(hq.root, 'thief'), 'oslo', runHere);
    await mkdir(thief.root);
    await thief.run('join', line, '--folder', hq.exchange, '--wait', '0');
    await hq.must('dispatch');
    await thief.must('dispatch');
    await asks(oslo, line);
    expect((await hq.must('dispatch')).out).toMatch(
      /warning: oslo wanted to join .*its invitation was used before, by others/,
    );
    const told = await oslo.run('dispatch');
    expect(told.out).toMatch(
      /error: Not joined: hq refused the invitation: somebody else has used it, with other keys/,
    );
    const { joining, attention } = await oslo.status();
    expect(joining).toMatch(/Not joined: .* somebody else has used it/);
    expect(attention).toContain('not-joined');
    expect((await oslo.must('status')).out).toContain('Not joined');
    const again = await oslo.run('sync', '--wait', '0');
    expect(again).toMatchObject({ code: 1, out: expect.not.stringContaining('No answer') });
    expect((await rosterOf(hq)).refused).toMatchObject([{ name: 'oslo', why: expect.stringContaining('used before') }]);
    expect(await asks(oslo, await lineFor(hq, 'oslo'))).toMatchObject({ code: 0 });
    await hq.must('dispatch');
    // What the server had answered the thief is for other keys, and stays as corrupt.
    expect((await oslo.run('dispatch')).out).toMatch(/joined: hq knows this postoffice now/);
    await expectInStep(hq, oslo);
    expect((await oslo.status()).joining).toBeNull();
    await thief.run('sync', '--wait', '0');
    expect((await hq.run('dispatch')).out).toMatch(/a key that oslo has not announced/);
  });

  it('made anew voids the earlier one, and says so', async () => {
    const hq = await makeServer();
    const earlier = await lineFor(hq, 'oslo');
    expect((await hq.must('invite', 'oslo')).out).toMatch(/earlier invitation of oslo is void/);
    const oslo = await makeBranch(hq, 'oslo');
    await asks(oslo, earlier);
    expect(await hq.run('dispatch')).toMatchObject({
      code: 1,
      out: expect.stringMatching(/not given here, or that is void/),
    });
    expect(await oslo.waiting()).toEqual([]);
  });

  it('for another name, in the folder of another postoffice, or of one that has joined, changes nothing', async () => {
    const { hq, oslo } = await freshBranches();
    const before = [await standing(oslo), await readFile(join(oslo.data, 'keys.json'), 'utf8')];
    const vardo = await lineFor(hq, 'vardo');
    expect(await asks(oslo, vardo)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/the invitation is for vardo/),
    });
    const again = await asks(oslo, await lineFor(hq, 'oslo'));
    expect(again).toMatchObject({ code: 2, err: expect.stringMatching(/is the postoffice oslo already/) });
    const stranger = await makeBranch(hq, 'lima');
    const misnamed = await stranger.run('join', vardo, '--name', 'lima');
    expect(misnamed).toMatchObject({ code: 2, err: expect.stringMatching(/is for vardo, not for lima/) });
    expect(await hq.run('join', vardo)).toMatchObject({ code: 2, err: expect.stringMatching(/directory server hq/) });
    expect([await standing(oslo), await readFile(join(oslo.data, 'keys.json'), 'utf8')]).toEqual(before);
  });

  it('wanted with wrong words is refused before it is made', async () => {
    const hq = await makeServer();
    const wrong: [string[], RegExp][] = [
      [['oslo', '--valid', 'soon'], /not a time/],
      [['oslo', '--kinds', 'people'], /not a kind of entry/],
      [['oslo', '--mail-domain', 'a@b'], /mail domain/],
      [['oslo', '--max-entries', 'many'], /number/],
      [['Oslo'], /not a name/],
      [['hq'], /this server itself/],
      [[], /Name the postoffice/],
    ];
    for (const [args, why] of wrong) {
      expect(await hq.run('invite', ...args)).toMatchObject({ code: 2, err: expect.stringMatching(why) });
    }
    expect((await rosterOf(hq)).requestors).toEqual([]);
  });
});

describe('clocks', () => {
  const setClock = (offsetMs: number) => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + offsetMs });
  };

  it.each([
    ['ahead', YEAR_MS],
    ['behind', -YEAR_MS],
  ])('a branch whose clock is a year %s joins', async (_, offsetMs) => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const line = await lineFor(hq, 'oslo');
    setClock(offsetMs);
    expect(await asks(oslo, line)).toMatchObject({ code: 0 });
    vi.useRealTimers();
    await hq.must('dispatch');
    setClock(offsetMs);
    expect((await oslo.must('dispatch')).out).toMatch(/joined: hq knows/);
    vi.useRealTimers();
    await expectInStep(hq, oslo);
  });

  it('an invitation that came too late is refused with the times, and not forgotten', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    const line = await lineFor(hq, 'oslo', '--valid', '1h');
    await asks(oslo, line);
    // The same as a server whose clock has run a year ahead meanwhile.
    setClock(YEAR_MS);
    expect((await hq.must('dispatch')).out).toMatch(/warning: oslo wanted to join .*its invitation has ended/);
    vi.useRealTimers();
    const told = await oslo.run('dispatch');
    expect(told.out).toMatch(/it came too late: it ended at \S+ \S+ UTC, and the clock of the server showed \d{4}-/);
    expect((await oslo.status()).own).toMatchObject({ number: 0 });
    expect((await rosterOf(hq)).requestors).toMatchObject([{ name: 'oslo', state: 'invited' }]);
    await asks(oslo, await lineFor(hq, 'oslo'));
    await hq.must('dispatch');
    await oslo.must('dispatch');
    await expectInStep(hq, oslo);
  });

  it('a server whose clock has gone back a year takes an invitation of its own', async () => {
    const hq = await makeServer();
    const oslo = await makeBranch(hq, 'oslo');
    await asks(oslo, await lineFor(hq, 'oslo'));
    setClock(-YEAR_MS);
    expect((await hq.must('dispatch')).out).toMatch(/oslo has joined/);
    vi.useRealTimers();
    await oslo.must('dispatch');
    await expectInStep(hq, oslo);
  });
});

describe('a stranger', () => {
  it('moves nothing at the server, is never answered, and is counted', async () => {
    const hq = await makeServer();
    const stranger = await makeBranch(hq, 'zara');
    await stranger.must(
      'init',
      'zara',
      '--role',
      'requestor',
      '--server',
      'hq',
      ...settings('zara'),
      '--folder',
      '../exchange',
    );
    const file = join(hq.root, 'hq.json');
    await hq.must('peer', 'export', '--out', file);
    await stranger.must('peer', 'add', file, '--yes');
    await hq.must('dispatch');
    const before = essence(await hq.status());
    for (let i = 1; i <= 2; i++) {
      await stranger.run('sync', '--wait', '0');
      expect((await hq.run('dispatch')).out).toMatch(/The sender zara is not known here/);
      expect((await rosterOf(hq)).refused).toMatchObject([{ name: 'zara', count: i }]);
    }
    expect(essence(await hq.status())).toEqual(before);
    expect(await stranger.waiting()).toEqual([]);
  });
});
