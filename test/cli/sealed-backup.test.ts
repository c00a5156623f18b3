/** `dirpost backup FILE` and `dirpost restore FILE`: sealed, checked, and a new life at once. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkStoreFile } from '../../packages/adapters/src/stores/sqlite/backup.ts';
import { BINARY, cycle, ended, Office } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { expectInStep } from './branches.ts';
import { runHere, smallStaff } from './network.ts';
import { startAgent } from './running-agent.ts';
import { withRecoveryKey } from './with-recovery-key.ts';

const passphraseFile = async (root: string, text = 'five words are hard to guess'): Promise<string> => {
  await writeFile(join(root, 'passphrase'), `${text}\n`);
  return join(root, 'passphrase');
};

/** Persons in what an office writes of the others. */
async function writtenIn(office: Office): Promise<number> {
  return ((await readFile(office.network, 'utf8')).match(/^objectClass: inetOrgPerson$/gim) ?? []).length;
}

describe('a sealed backup', () => {
  it('is one file for its owner alone, in which no key can be read, and leaves nothing beside it', async () => {
    const { root, hq } = await withRecoveryKey();
    const told = await hq.json<{ sealedFor: string; files: { name: string }[]; bytes: number }>(
      'backup',
      join(root, 'hq.backup'),
    );
    const names = told.files.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['dirpost.yaml', 'keys.json', 'peers/oslo.json', 'invitations/oslo.json']),
    );
    expect(names.at(-1)).toBe('store.db');
    const { own } = await hq.json<{ own: { recovery: string } }>('keys');
    expect(told.sealedFor).toBe(own.recovery);
    const file = await readFile(join(root, 'hq.backup'));
    expect(file).toHaveLength(told.bytes);
    expect(file.subarray(0, 21).toString()).toBe('age-encryption.org/v1');
    expect(file.includes('AGE-SECRET-KEY')).toBe(false);
    expect((await stat(join(root, 'hq.backup'))).mode & 0o777).toBe(0o600);
    expect((await readdir(hq.data)).filter((name) => name.includes('backup'))).toEqual([]);
    expect(await readdir(root)).not.toContain('.hq.backup.tmp');
  });

  it('of a branch is sealed for the recovery key that joining has pinned', async () => {
    const { root, oslo, hq } = await withRecoveryKey();
    const { sealedFor } = await oslo.json<{ sealedFor: string }>('backup', join(root, 'oslo.backup'));
    expect(sealedFor).toBe((await hq.json<{ own: { recovery: string } }>('keys')).own.recovery);
  });

  it('takes a passphrase from a file, a program or the environment, but no short one', async () => {
    const { root, hq } = await withRecoveryKey();
    const file = await passphraseFile(root);
    await hq.must('backup', join(root, 'a'), '--passphrase-file', file);
    await hq.must('backup', join(root, 'b'), '--passphrase-command', `cat ${file}`);
    const place = join(root, 'elsewhere', 'dirpost.yaml');
    for (const one of ['a', 'b']) {
      await runHere(['--config', place, 'restore', join(root, one), '--passphrase-file', file, '--replace']);
      expect(existsSync(join(root, 'elsewhere', 'keys.json'))).toBe(true);
    }
    const short = await hq.run('backup', join(root, 'c'), '--passphrase-file', await passphraseFile(root, 'short'));
    expect(short).toMatchObject({ code: 2, err: expect.stringContaining('shorter than 10') });
    expect(existsSync(join(root, 'c'))).toBe(false);
  });

  it('that finds no room fails and leaves nothing', async () => {
    const { root, hq } = await withRecoveryKey();
    const before = await readdir(hq.data);
    const command = 'ulimit -f 20; exec "$0" "$@"';
    const args = [process.execPath, BINARY, '--config', hq.config, 'backup', join(root, 'full')];
    const ran = await ended(spawn('sh', ['-c', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }), args);
    expect(ran).toMatchObject({ code: 1, err: expect.stringMatching(/disk is full/) });
    expect(existsSync(join(root, 'full'))).toBe(false);
    expect(await readdir(hq.data)).toEqual(before);
  });

  it('says which disk is full, and how much room that needs', async () => {
    const { root, hq } = await withRecoveryKey();
    const command = 'ulimit -f 20; exec "$0" "$@"';
    const args = [process.execPath, BINARY, '--config', hq.config, 'backup', join(root, 'full')];
    const { err } = await ended(spawn('sh', ['-c', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }), args);
    expect(err).toContain(`the disk is full that holds ${hq.data}.`);
    expect(err).toMatch(/plain copy of the store lies there .*takes about \d+ MB there/s);
  });

  it('leaves out what is no file of dirpost, says so, and can be restored', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    const strange = ['peers/oslo.json~', 'peers/notes.txt', 'peers/a\u001b[2J.json', 'invitations/old.bak'];
    for (const name of strange) await writeFile(join(hq.data, name), '{}');
    await mkdir(join(hq.data, 'peers', 'old.json'));
    await writeFile(join(hq.data, 'peers', 'old.json', 'oslo.json'), '{}');
    const { leftOut, files } = await hq.json<{ leftOut: string[]; files: { name: string }[] }>(
      'backup',
      join(root, 'hq.backup'),
    );
    expect(leftOut.sort()).toEqual([...strange, 'peers/old.json'].map((name) => join(hq.data, name)).sort());
    expect(files.map(({ name }) => name).filter((name) => name.startsWith('peers/'))).toEqual([
      'peers/bergen.json',
      'peers/oslo.json',
    ]);
    await hq.must('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect((await readdir(join(hq.data, 'peers'))).sort()).toEqual(['bergen.json', 'oslo.json']);
  });

  it('that nobody could restore is not made', async () => {
    const { root, hq } = await withRecoveryKey();
    await rm(join(hq.data, 'keys.json'));
    const ran = await hq.run('backup', join(root, 'a'), '--passphrase-file', await passphraseFile(root));
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('keys.json is not among its files') });
    expect(existsSync(join(root, 'a'))).toBe(false);
  });

  it('holds what a link leads to that the configuration names', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await writeFile(join(root, 'renewed.key'), 'a key');
    await symlink(join(root, 'renewed.key'), join(hq.data, 'hq.key'));
    await writeFile(join(hq.data, 'hq.crt'), 'a certificate');
    const text = await readFile(hq.config, 'utf8');
    const http = 'transports:\n  http: { listen: "127.0.0.1:0", tls: { certificate: hq.crt, key: hq.key } }\n';
    await writeFile(hq.config, text.replace(/^transports:\n/m, http));
    await hq.must('backup', join(root, 'hq.backup'));
    const place = join(root, 'new', 'dirpost.yaml');
    await runHere(['-c', place, 'restore', join(root, 'hq.backup'), '--recovery-key-file', paper]);
    expect(await readFile(join(root, 'new', 'hq.key'), 'utf8')).toBe('a key');
  });

  it('holds the files that the configuration names in its own folder, and tells of others', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await writeFile(join(hq.data, 'hq.key'), 'a key');
    await writeFile(join(root, 'far.crt'), 'a certificate');
    const text = await readFile(hq.config, 'utf8');
    const http = 'transports:\n  http: { listen: "127.0.0.1:0", tls: { certificate: ../far.crt, key: hq.key } }\n';
    await writeFile(hq.config, text.replace(/^transports:\n/m, http));
    const { leftOut } = await hq.json<{ leftOut: string[] }>('backup', join(root, 'hq.backup'));
    expect(leftOut).toEqual([join(root, 'far.crt')]);
    const place = join(root, 'new', 'dirpost.yaml');
    const ran = await runHere(['-c', place, 'restore', join(root, 'hq.backup'), '--recovery-key-file', paper]);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(await readFile(join(root, 'new', 'hq.key'), 'utf8')).toBe('a key');
  });
});

describe('restoring a sealed backup', () => {
  it('of a server while its agent works: by itself all agree again, and meanwhile nobody is removed', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    const agent = await startAgent(hq);
    try {
      await hq.must('backup', join(root, 'hq.backup'));
    } finally {
      await agent.stop();
    }
    const staff = { oslo: smallStaff('oslo'), hq: smallStaff('hq') };
    staff.oslo.people.push(makePerson('oslo', 9_001), makePerson('oslo', 9_002));
    staff.hq.people.push(makePerson('hq', 9_003));
    await oslo.writePeople(staff.oslo);
    await hq.writePeople(staff.hq);
    await expectInStep(hq, oslo, bergen);
    const lost = await hq.status();
    const before = await writtenIn(bergen);

    await rm(hq.data, { recursive: true });
    const told = await hq.json<{ incarnation: string; serverIncarnation: string; aside: null }>(
      'restore',
      join(root, 'hq.backup'),
      '--recovery-key-file',
      paper,
    );
    expect(told.aside).toBeNull();
    const fresh = await hq.status();
    expect(fresh.server!.incarnation).toBe(told.serverIncarnation);
    expect(Number.parseInt(fresh.server!.incarnation, 10)).toBe(Number.parseInt(lost.server!.incarnation, 10) + 1);
    expect(checkStoreFile(join(hq.data, 'store.db'))).toEqual([]);

    // bergen asks first, when the server does not know of the two in oslo yet.
    await cycle([hq, bergen]);
    expect(await writtenIn(bergen)).toBe(before);
    await cycle([hq, oslo, bergen]);
    expect(await writtenIn(bergen)).toBe(before);
    await expectInStep(hq, oslo, bergen);
  });

  it('of a branch: it submits everything once, and what it lacks comes back', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    await oslo.must('backup', join(root, 'oslo.backup'));
    const staff = smallStaff('oslo');
    staff.people.push(makePerson('oslo', 9_001));
    await oslo.writePeople(staff);
    await expectInStep(hq, oslo, bergen);
    const { aside } = await oslo.json<{ aside: string }>(
      'restore',
      join(root, 'oslo.backup'),
      '--recovery-key-file',
      paper,
      '--replace',
    );
    expect(await readdir(aside)).toEqual(expect.arrayContaining(['keys.json', 'peers', 'store.db']));
    await expectInStep(hq, oslo, bergen);
  });

  it('of a branch a second time from the same backup needs no other command', async () => {
    const { root, hq, oslo, bergen, paper } = await withRecoveryKey();
    await oslo.must('backup', join(root, 'oslo.backup'));
    for (let time = 0; time < 2; time++) {
      await oslo.must('restore', join(root, 'oslo.backup'), '--recovery-key-file', paper, '--replace');
      await cycle([hq, oslo, bergen]);
      await expectInStep(hq, oslo, bergen);
      // Folders of what was kept aside are named by the second.
      for (const name of await readdir(oslo.data))
        if (name.startsWith('replaced-')) await rm(join(oslo.data, name), { recursive: true });
    }
  });

  it('by a wrong passphrase or recovery key changes nothing', async () => {
    const { root, hq } = await withRecoveryKey();
    await hq.must('backup', join(root, 'a'), '--passphrase-file', await passphraseFile(root));
    await hq.must('backup', join(root, 'b'));
    const keys = await readFile(join(hq.data, 'keys.json'));
    const wrong = await passphraseFile(root, 'five words that nobody chose');
    const byPassphrase = await hq.run('restore', join(root, 'a'), '--passphrase-file', wrong, '--replace');
    expect(byPassphrase).toMatchObject({ code: 2, err: expect.stringContaining('not opened by this passphrase') });
    const { recoveryKey } = await new Office(root, 'other', runHere).json<{ recoveryKey: string }>(
      'init',
      'other',
      '--role',
      'server',
    );
    await writeFile(join(root, 'paper2'), recoveryKey);
    const byKey = await hq.run('restore', join(root, 'b'), '--recovery-key-file', join(root, 'paper2'), '--replace');
    expect(byKey).toMatchObject({ code: 2, err: expect.stringContaining('not opened by this key') });
    await writeFile(
      join(root, 'paper3'),
      recoveryKey.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a')),
    );
    const mistyped = await hq.run('restore', join(root, 'b'), '--recovery-key-file', join(root, 'paper3'), '--replace');
    expect(mistyped).toMatchObject({ code: 2, err: expect.stringContaining('a letter of it is wrong') });
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(keys);
    expect(await readdir(hq.data)).not.toContain('.restore.tmp');
  });

  it('that was cut, altered, or is something else changes nothing', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    const whole = join(root, 'whole');
    await hq.must('backup', whole);
    const octets = await readFile(whole);
    const keys = await readFile(join(hq.data, 'keys.json'));
    const damaged: [string, (path: string) => Promise<unknown>][] = [
      ['cut in a chunk', (path) => truncate(path, octets.length - 1_000)],
      ['without its last chunk', (path) => truncate(path, octets.length - (octets.length % 65_552))],
      ['altered', (path) => writeFile(path, Buffer.from(octets).fill(7, octets.length / 2, octets.length / 2 + 3))],
      ['with little more than its header', (path) => truncate(path, 20_000)],
      ['an LDIF file', (path) => writeFile(path, 'dn: o=x\n')],
      ['empty', (path) => writeFile(path, '')],
    ];
    for (const [name, harm] of damaged) {
      const path = join(root, name);
      await cp(whole, path);
      await harm(path);
      const ran = await hq.run('restore', path, '--recovery-key-file', paper, '--replace');
      expect(ran, name).toMatchObject({ code: 1, err: expect.stringContaining('The backup is damaged, or is none') });
    }
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(keys);
    expect((await hq.status()).own).toBeDefined();
  });

  it('into the place of a postoffice needs --replace, of another one never goes, and none beside a running agent', async () => {
    const { root, hq, oslo, paper } = await withRecoveryKey();
    await hq.must('backup', join(root, 'hq.backup'));
    const there = await hq.run('restore', join(root, 'hq.backup'), '--recovery-key-file', paper);
    expect(there).toMatchObject({ code: 2, err: expect.stringContaining('--replace') });
    const other = await oslo.run('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect(other).toMatchObject({ code: 2, err: expect.stringContaining('The backup is that of hq') });
    const agent = await startAgent(hq);
    try {
      const beside = await hq.run('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
      expect(beside).toMatchObject({ code: 1, err: expect.stringContaining('is using the data folder') });
    } finally {
      await agent.stop();
    }
  });

  it('that finds no room leaves what was there', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await hq.must('backup', join(root, 'hq.backup'));
    const before = (await readdir(hq.data)).sort();
    const command = 'ulimit -f 20; exec "$0" "$@"';
    const restoring = ['restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace'];
    const args = [process.execPath, BINARY, '--config', hq.config, ...restoring];
    const ran = await ended(spawn('sh', ['-c', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }), args);
    expect(ran).toMatchObject({ code: 1, err: expect.stringMatching(/too large|disk is full/) });
    expect((await readdir(hq.data)).filter((name) => !name.startsWith('lock.')).sort()).toEqual(
      before.filter((name) => !name.startsWith('lock.')),
    );
    expect((await hq.status()).server).toBeDefined();
  });

  it('that finds a file in its way puts everything back', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    await mkdir(join(hq.data, 'sec'));
    await writeFile(join(hq.data, 'sec', 'hq.key'), 'a key');
    const text = await readFile(hq.config, 'utf8');
    const http = 'transports:\n  http: { listen: "127.0.0.1:0", tls: { certificate: sec/hq.key, key: sec/hq.key } }\n';
    await writeFile(hq.config, text.replace(/^transports:\n/m, http));
    await hq.must('backup', join(root, 'hq.backup'));
    await rm(join(hq.data, 'sec'), { recursive: true });
    await writeFile(join(hq.data, 'sec'), 'a plain file');
    const before = (await readdir(hq.data)).sort();
    const keys = await readFile(join(hq.data, 'keys.json'));
    const ran = await hq.run('restore', join(root, 'hq.backup'), '--recovery-key-file', paper, '--replace');
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('Nothing was changed here.') });
    expect((await readdir(hq.data)).sort()).toEqual(before);
    expect(await readFile(join(hq.data, 'keys.json'))).toEqual(keys);
    expect((await hq.status()).server).toBeDefined();
  });

  it('for a key of the other sort, and a folder, are told apart from a wrong key', async () => {
    const { root, hq, paper } = await withRecoveryKey();
    const passphrase = await passphraseFile(root);
    await hq.must('backup', join(root, 'a'), '--passphrase-file', passphrase);
    await hq.must('backup', join(root, 'b'));
    const byKey = await hq.run('restore', join(root, 'a'), '--recovery-key-file', paper, '--replace');
    expect(byKey).toMatchObject({
      code: 2,
      err: expect.stringContaining('is sealed by a passphrase; no recovery key'),
    });
    const byPassphrase = await hq.run('restore', join(root, 'b'), '--passphrase-file', passphrase, '--replace');
    expect(byPassphrase).toMatchObject({ code: 2, err: expect.stringContaining('no passphrase opens it') });
    const folder = await hq.run('restore', root, '--passphrase-file', passphrase, '--replace');
    expect(folder).toMatchObject({ code: 2, err: expect.stringMatching(/is a folder.*\n.*by hand/) });
  });

  it('asks nobody where nobody is', async () => {
    const { root, hq } = await withRecoveryKey();
    await hq.must('backup', join(root, 'hq.backup'));
    const ran = await hq.run('restore', join(root, 'hq.backup'), '--replace');
    expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(/Nobody is here.*\n.*on paper/) });
  });
});
