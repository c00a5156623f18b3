/** Other keys take the place of those that are there: rolled over, replaced by the recovery key, post-quantum ones. */
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAX_STATEMENTS } from '@dirpost/message';
import type { Peer } from '../../packages/agent/src/peers.ts';
import { contentFaults } from '../demo/contents.ts';
import { cycle, Office } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { asks, expectInStep } from './branches.ts';
import { runHere, smallStaff } from './network.ts';
import { withRecoveryKey } from './with-recovery-key.ts';

interface Keys {
  own: { fingerprint: string; recovery: string | null; postQuantum: boolean; olderUntilMs: number | null };
  peers: { name: string; fingerprint: string; keyIds: string[]; knowsOurs: boolean }[];
}

const keysOf = (office: Office): Promise<Keys> => office.json<Keys>('keys');

async function knownAt(office: Office, name: string) {
  return (await keysOf(office)).peers.find((peer) => peer.name === name)!;
}

async function identitiesOf(office: Office): Promise<string[]> {
  const { identities } = JSON.parse(await readFile(join(office.data, 'keys.json'), 'utf8')) as { identities: string[] };
  return identities;
}

async function corruptCodes(office: Office): Promise<string[]> {
  const folder = join(office.data, 'spool', 'corrupt');
  const notes = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  return Promise.all(
    notes.map(async (name) => (JSON.parse(await readFile(join(folder, name), 'utf8')) as { code: string }).code),
  );
}

/** As cycle, where some message files cannot be opened. */
async function roughly(...offices: Office[]): Promise<void> {
  const [server, ...branches] = offices as [Office, ...Office[]];
  for (const branch of branches) await branch.run('sync', '--wait', '0');
  await server.run('sync');
  for (const branch of branches) await branch.run('dispatch');
  await server.run('dispatch');
}

/** As if its time had passed: at the server, and at a branch that has heard of it. */
async function overlapIsOver(server: Office, branch: Office): Promise<void> {
  const own = join(server.data, 'keys.json');
  const there = join(branch.data, 'peers', `${server.name}.json`);
  await replaceIn(own, /"untilMs": \d+/, '"untilMs": 1');
  await replaceIn(there, /"olderUntil": "[^"]*"/, '"olderUntil": "2001-01-01T00:00:00.000Z"');
}

async function replaceIn(path: string, pattern: RegExp, text: string): Promise<void> {
  const before = await readFile(path, 'utf8');
  expect(before).toMatch(pattern);
  await writeFile(path, before.replace(pattern, text));
}

describe('keys that are rolled over', () => {
  it('at the server: what is under way is opened, all follow by themselves, and the older ones are destroyed', async () => {
    const { hq, oslo, bergen } = await withRecoveryKey();
    const before = await keysOf(hq);
    const repairs = async () => (await hq.status()).server!.requestors.map(({ counts }) => counts?.repairs);
    const repaired = await repairs();
    const staff = smallStaff('oslo');
    staff.people.push(makePerson('oslo', 9_001));
    await oslo.writePeople(staff);
    // Sealed for the keys before, and under way.
    await oslo.run('sync', '--wait', '0');
    const rolled = await hq.json<{ fingerprint: string; unaware: string[] }>('keys', 'roll');
    expect(rolled.fingerprint).not.toBe(before.own.fingerprint);
    expect(rolled.unaware).toEqual(['bergen', 'oslo']);
    await hq.must('sync');
    expect(await corruptCodes(hq)).toEqual([]);
    await cycle([hq, oslo, bergen]);
    expect((await knownAt(oslo, 'hq')).fingerprint).toBe(rolled.fingerprint);
    expect(await knownAt(hq, 'oslo')).toMatchObject({ knowsOurs: true });
    await expectInStep(hq, oslo, bergen);
    expect(await identitiesOf(hq)).toHaveLength(2);
    await overlapIsOver(hq, oslo);
    await expectInStep(hq, oslo, bergen);
    expect(await identitiesOf(hq)).toHaveLength(1);
    expect((await keysOf(hq)).own.olderUntilMs).toBeNull();
    expect((await knownAt(oslo, 'hq')).keyIds).toHaveLength(1);
    expect(await corruptCodes(oslo)).toEqual([]);
    // Cursors are sealed with what stays.
    expect(await repairs()).toEqual(repaired);
  });

  it('at a branch: both are taken meanwhile, and a second time waits until the server knows', async () => {
    const { hq, oslo, bergen } = await withRecoveryKey();
    await hq.must('sync');
    // An update for the keys before waits for oslo.
    const { fingerprint } = await oslo.json<{ fingerprint: string }>('keys', 'roll');
    expect(await oslo.run('keys', 'roll')).toMatchObject({ code: 2, err: expect.stringContaining('has not said yet') });
    await expectInStep(hq, oslo, bergen);
    expect(await knownAt(hq, 'oslo')).toMatchObject({ fingerprint });
    expect((await knownAt(hq, 'oslo')).keyIds).toHaveLength(2);
    expect(await identitiesOf(oslo)).toHaveLength(2);
    await oslo.must('keys', 'roll');
    await expectInStep(hq, oslo, bergen);
    expect(await corruptCodes(hq)).toEqual([]);
  });

  it('while a branch is away, twice: it follows when it is back', async () => {
    const { hq, oslo, bergen } = await withRecoveryKey();
    await hq.must('keys', 'roll', '--overlap', '0s');
    await cycle([hq, oslo]);
    const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'roll', '--overlap', '0s');
    await cycle([hq, oslo]);
    // Nothing of what was sent to it arrives but what is sent from now on.
    for (const file of await bergen.waiting()) await rm(file);
    await roughly(hq, oslo, bergen);
    await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
    expect((await knownAt(bergen, 'hq')).fingerprint).toBe(fingerprint);
  });
});

it('a server that is restored from before a branch rolled its keys over is led to the new ones again', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await cp(hq.data, join(root, 'backup'), { recursive: true });
  const { fingerprint } = await oslo.json<{ fingerprint: string }>('keys', 'roll');
  await expectInStep(hq, oslo, bergen);
  expect(await knownAt(oslo, 'hq')).toMatchObject({ knowsOurs: true });
  await rm(hq.data, { recursive: true });
  await cp(join(root, 'backup'), hq.data, { recursive: true });
  for (let i = 0; i < 6; i++) await roughly(hq, oslo, bergen);
  expect(await knownAt(hq, 'oslo')).toMatchObject({ fingerprint });
  await expectInStep(hq, oslo, bergen);
});

it('a branch that is restored from before its server rolled its keys over is led to the new ones again', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await cp(oslo.data, join(root, 'backup'), { recursive: true });
  const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'roll');
  await expectInStep(hq, oslo, bergen);
  await rm(oslo.data, { recursive: true });
  await cp(join(root, 'backup'), oslo.data, { recursive: true });
  for (let i = 0; i < 6; i++) await roughly(hq, oslo, bergen);
  expect(await knownAt(oslo, 'hq')).toMatchObject({ fingerprint });
  await expectInStep(hq, oslo, bergen);
});

it('more roll-overs than a header proves are refused while a branch is away, unless it is to be lost', async () => {
  const { hq, oslo, bergen } = await withRecoveryKey();
  for (let i = 0; i < MAX_STATEMENTS; i++) {
    await hq.must('keys', 'roll');
    await roughly(hq, oslo);
  }
  const before = await readFile(join(hq.data, 'keys.json'));
  const refused = await hq.run('keys', 'roll');
  expect(refused).toMatchObject({ code: 2, err: expect.stringMatching(/could not follow[^:]*: bergen\./) });
  expect(await readFile(join(hq.data, 'keys.json'))).toEqual(before);
  for (let i = 0; i < 3; i++) await roughly(hq, oslo, bergen);
  const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'roll');
  for (let i = 0; i < 2; i++) await roughly(hq, oslo, bergen);
  expect((await knownAt(bergen, 'hq')).fingerprint).toBe(fingerprint);
  for (let i = 0; i < MAX_STATEMENTS; i++) await hq.must('keys', 'roll', '--force');
});

it('an announcement of more than a day ahead is not taken', async () => {
  const { hq, oslo } = await withRecoveryKey();
  await hq.must('keys', 'roll');
  await replaceIn(join(hq.data, 'keys.json'), /"serial": \d+/, `"serial": ${Date.now() + 10 * 86_400_000}`);
  const before = await knownAt(oslo, 'hq');
  for (const file of await oslo.waiting()) await rm(file);
  await hq.run('dispatch');
  expect(await oslo.run('dispatch')).toMatchObject({ code: 1 });
  expect(await corruptCodes(oslo)).toContain('message-payload');
  expect((await knownAt(oslo, 'hq')).fingerprint).toBe(before.fingerprint);
});

it('an announcement that comes late, or once more, changes nothing', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await hq.must('keys', 'roll');
  const [first] = await oslo.waiting();
  await cp(first!, join(root, 'first.dpm'));
  await cycle([hq, oslo, bergen]);
  const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'roll');
  await cycle([hq, oslo, bergen]);
  const before = await knownAt(oslo, 'hq');
  expect(before).toMatchObject({ fingerprint });
  await cp(join(root, 'first.dpm'), first!);
  await oslo.must('dispatch');
  expect(await oslo.waiting()).toEqual([]);
  expect(await knownAt(oslo, 'hq')).toEqual(before);
  await expectInStep(hq, oslo, bergen);
});

describe('keys of a server that were stolen', () => {
  it('are replaced by the recovery key: no branch believes the thief any more, and none is visited', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    await cp(hq.data, join(root, 'thief'), { recursive: true });
    const thief = new Office(root, 'thief', runHere);
    const replaced = await hq.json<{ fingerprint: string }>('keys', 'replace', '--recovery-key-file', paper);
    await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
    for (const branch of [oslo, bergen]) {
      expect((await knownAt(branch, 'hq')).fingerprint).toBe(replaced.fingerprint);
      expect((await knownAt(branch, 'hq')).keyIds).toHaveLength(1);
    }

    // The thief answers an exchange of oslo in place of the server: everybody in hq is gone, and others are there.
    const standing = (await oslo.status()).own;
    const staff = smallStaff('hq');
    staff.people.splice(0, staff.people.length, makePerson('hq', 6_666));
    await mkdir(join(root, 'directories', 'thief'), { recursive: true });
    const config = (await readFile(thief.config, 'utf8')).replaceAll('directories/hq', 'directories/thief');
    await writeFile(thief.config, config.replace('../exchange', '../dark'));
    await thief.writePeople(staff);
    await mkdir(join(root, 'dark'));
    await thief.must('keys', 'roll', '--overlap', '90d');
    await thief.run('sync');
    const forged = await readdir(join(root, 'dark', 'oslo'));
    expect(forged.length).toBeGreaterThan(0);
    for (const file of forged) await cp(join(root, 'dark', 'oslo', file), join(oslo.inbox, file));
    expect(await oslo.run('dispatch')).toMatchObject({ code: 1 });
    const codes = await corruptCodes(oslo);
    expect(codes).toHaveLength(forged.length);
    expect(new Set(codes)).toEqual(new Set(['message-sender']));
    expect((await oslo.status()).own.digest).toBe(standing.digest);
    expect((await knownAt(oslo, 'hq')).fingerprint).toBe(replaced.fingerprint);
    expect(await contentFaults(oslo, [hq, oslo, bergen])).toEqual([]);
  });

  it('count no more where the thief was believed before, even where he has rolled them over', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    await cp(hq.data, join(root, 'thief'), { recursive: true });
    const thief = new Office(root, 'thief', runHere);
    const { fingerprint: his } = await thief.json<{ fingerprint: string }>('keys', 'roll', '--overlap', '0s');
    await oslo.must('dispatch');
    expect((await knownAt(oslo, 'hq')).fingerprint).toBe(his);
    const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'replace', '--recovery-key-file', paper);
    await oslo.must('dispatch');
    expect((await knownAt(oslo, 'hq')).fingerprint).toBe(fingerprint);
    await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
  });

  it('let no address outlive them that the thief has announced', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    await cp(hq.data, join(root, 'thief'), { recursive: true });
    const thief = new Office(root, 'thief', runHere);
    await thief.must('move', '--mail', 'thief@example.org', '--http', 'https://thief.example.org');
    await oslo.must('dispatch');
    const known = async () => JSON.parse(await readFile(join(oslo.data, 'peers', 'hq.json'), 'utf8')) as Peer;
    expect((await known()).moved).toMatchObject({ mail: 'thief@example.org' });
    await hq.must('keys', 'replace', '--recovery-key-file', paper);
    await oslo.must('dispatch');
    expect((await known()).moved).toBeUndefined();
    await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
  });

  it('count no more from the first message on that proves it, whatever it is', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    const replaced = await hq.json<{ fingerprint: string }>('keys', 'replace', '--recovery-key-file', paper);
    for (const file of await oslo.waiting()) await rm(file);
    await oslo.run('sync', '--wait', '0');
    await hq.run('sync');
    const files = await oslo.waiting();
    expect(files.length).toBeGreaterThan(1);
    await mkdir(join(root, 'aside'));
    for (const file of files) await rename(file, join(root, 'aside', basename(file)));
    await cp(oslo.data, join(root, 'before'), { recursive: true });
    for (const file of files) {
      await rm(oslo.data, { recursive: true });
      await cp(join(root, 'before'), oslo.data, { recursive: true });
      await cp(join(root, 'aside', basename(file)), file);
      await oslo.run('dispatch');
      const known = JSON.parse(await readFile(join(oslo.data, 'peers', 'hq.json'), 'utf8')) as Peer;
      expect(known.recoveredSerial, basename(file)).toBeGreaterThan(0);
      expect((await knownAt(oslo, 'hq')).keyIds).toHaveLength(1);
    }
    for (let i = 0; i < 4; i++) await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
    expect((await knownAt(oslo, 'hq')).fingerprint).toBe(replaced.fingerprint);
  });

  it('that are lost are replaced too; a branch that hears of it after a later roll-over follows both', async () => {
    const { hq, oslo, bergen, paper } = await withRecoveryKey();
    await rm(join(hq.data, 'keys.json'));
    expect(await hq.run('sync')).toMatchObject({ code: 2 });
    await hq.must('keys', 'replace', '--recovery-key-file', paper);
    await roughly(hq, oslo);
    const { fingerprint } = await hq.json<{ fingerprint: string }>('keys', 'roll', '--overlap', '0s');
    await roughly(hq, oslo);
    for (const file of await bergen.waiting()) await rm(file);
    // Sealed for keys that nobody has: it is asked again by itself.
    for (let round = 0; round < 3; round++) await roughly(hq, oslo, bergen);
    await expectInStep(hq, oslo, bergen);
    expect((await knownAt(bergen, 'hq')).fingerprint).toBe(fingerprint);
  });

  it('are not replaced by another recovery key, at a branch, or where nobody types it', async () => {
    const { root, hq, oslo, paper } = await withRecoveryKey();
    const before = await readFile(join(hq.data, 'keys.json'));
    const other = new Office(root, 'other', runHere);
    const { recoveryKey } = await other.json<{ recoveryKey: string }>('init', 'other', '--role', 'server');
    await writeFile(join(root, 'paper2'), recoveryKey);
    const wrong = await hq.run('keys', 'replace', '--recovery-key-file', join(root, 'paper2'));
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('not the recovery key of hq') });
    expect(await hq.run('keys', 'replace')).toMatchObject({ code: 2, err: expect.stringContaining('Nobody is here') });
    const branch = await oslo.run('keys', 'replace', '--recovery-key-file', paper);
    expect(branch).toMatchObject({
      code: 2,
      err: expect.stringMatching(/Only a directory server[^]*dirpost invite oslo/),
    });
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(before);
  });
});

it('stolen keys of a branch that was removed, and then joined anew, let nobody in, whatever they sign for', async () => {
  const { root, hq, oslo, bergen } = await withRecoveryKey();
  await cp(oslo.data, join(root, 'thief'), { recursive: true });
  const thief = new Office(root, 'thief', runHere);
  await cp(join(root, 'directories', 'oslo'), join(root, 'directories', 'thief'), { recursive: true });
  await hq.must('requestor', 'remove', 'oslo', '--keep-entries');
  await thief.must('keys', 'roll');
  await thief.run('sync', '--wait', '0');
  expect(await hq.run('dispatch')).toMatchObject({ code: 1 });
  const refused = (await corruptCodes(hq)).length;
  expect(new Set(await corruptCodes(hq))).toEqual(new Set(['message-sender']));

  const { invitation } = await hq.json<{ invitation: string }>('invite', 'oslo');
  await rm(oslo.data, { recursive: true });
  await mkdir(oslo.data);
  expect(await asks(oslo, invitation)).toMatchObject({ code: 0 });
  await hq.run('dispatch');
  await oslo.must('dispatch');
  await expectInStep(hq, oslo, bergen);
  const { fingerprint } = await knownAt(hq, 'oslo');
  await thief.run('sync', '--wait', '0');
  expect(await hq.run('dispatch')).toMatchObject({ code: 1 });
  expect((await corruptCodes(hq)).length).toBeGreaterThan(refused);
  expect(new Set(await corruptCodes(hq))).toEqual(new Set(['message-sender']));
  expect((await knownAt(hq, 'oslo')).fingerprint).toBe(fingerprint);
  await expectInStep(hq, oslo, bergen);
});

it('a network is switched to post-quantum keys at the server, and works while only some have them', async () => {
  const { hq, oslo, bergen } = await withRecoveryKey();
  await appendFile(hq.config, '\npostQuantum: true\n');
  await cycle([hq, oslo]);
  await cycle([hq, oslo]);
  expect((await keysOf(oslo)).own.postQuantum).toBe(true);
  expect((await keysOf(bergen)).own.postQuantum).toBe(false);
  const staff = smallStaff('oslo');
  staff.people.push(makePerson('oslo', 9_001));
  await oslo.writePeople(staff);
  await expectInStep(hq, oslo, bergen);
  await expectInStep(hq, oslo, bergen);
  expect((await keysOf(bergen)).own.postQuantum).toBe(true);
  const { identities } = JSON.parse(await readFile(join(bergen.data, 'keys.json'), 'utf8')) as { identities: string[] };
  expect(identities[0]).toMatch(/^AGE-SECRET-KEY-PQ-1/);
  for (const office of [oslo, bergen]) expect(await corruptCodes(office)).toEqual([]);
  expect(await corruptCodes(hq)).toEqual([]);
});
