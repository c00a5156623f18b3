/** `dirpost backup --plain`, and restoring by hand what it made. Sealed ones: sealed-backup.test.ts. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { BINARY, cycle, ended, Office } from '../demo/office.ts';
import { makePerson } from '../demo/people.ts';
import { freshNetwork } from './network.ts';

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return files.map((path) => path.slice(folder.length + 1)).sort();
}

describe('a plain backup', () => {
  it('holds what cannot be had back from the others, for its owner alone, and says so', async () => {
    const { root, hq } = await freshNetwork();
    const folder = join(root, 'backup');
    const { out } = await hq.must('backup', '--plain', folder);
    expect(out).toMatch(/^hq is backed up in .*backup: 4 files, /);
    expect(out).toContain('It holds private keys');
    expect(await filesBelow(folder)).toEqual(['dirpost.yaml', 'keys.json', 'peers/oslo.json', 'store.db']);
    for (const name of ['keys.json', 'dirpost.yaml', 'peers/oslo.json']) {
      expect(await readFile(join(folder, name))).toEqual(await readFile(join(hq.data, name)));
    }
    const modeOf = async (name: string) => (await stat(join(folder, name))).mode & 0o777;
    for (const name of ['.', 'peers']) expect(await modeOf(name)).toBe(0o700);
    for (const name of await filesBelow(folder)) expect(await modeOf(name)).toBe(0o600);
    expect(await readdir(root)).not.toContain('.backup.tmp');
  });

  it('tells programs its folder, files and sizes', async () => {
    const { root, hq } = await freshNetwork();
    const told = await hq.json<{ postoffice: string; folder: string; bytes: number; files: { bytes: number }[] }>(
      'backup',
      '--plain',
      join(root, 'backup'),
    );
    expect(told).toMatchObject({ postoffice: 'hq', folder: join(root, 'backup') });
    expect(told.files).toHaveLength(4);
    expect(told.bytes).toBe(told.files.reduce((total, { bytes }) => total + bytes, 0));
  });

  it('can be backed up itself: its configuration leads to its own store', async () => {
    const { root, hq } = await freshNetwork();
    await hq.must('backup', '--plain', join(root, 'one'));
    await rm(hq.data, { recursive: true });
    const copy = new Office(root, 'one', hq.runner);
    await copy.must('backup', '--plain', join(root, 'two'));
    expect(await filesBelow(join(root, 'two'))).toEqual(['dirpost.yaml', 'keys.json', 'peers/oslo.json', 'store.db']);
    expect((await new Office(root, 'two', hq.runner).status()).own).toEqual((await copy.status()).own);
  });

  it('takes the place of what an interrupted one left', async () => {
    const { root, hq } = await freshNetwork();
    await mkdir(join(root, '.backup.tmp'));
    await writeFile(join(root, '.backup.tmp', 'store.db'), 'half');
    await hq.must('backup', '--plain', join(root, 'backup'));
    expect(await filesBelow(join(root, 'backup'))).toHaveLength(4);
    expect(existsSync(join(root, '.backup.tmp'))).toBe(false);
  });

  it.each([
    ['a folder', (path: string) => mkdir(path)],
    ['a file', (path: string) => writeFile(path, 'mine')],
  ])('into %s that is there already is refused, and that stays as it is', async (_name, make) => {
    const { root, hq } = await freshNetwork();
    const target = join(root, 'backup');
    await make(target);
    const before = await stat(target);
    const { code, err } = await hq.run('backup', '--plain', target);
    expect(code).toBe(2);
    expect(err).toMatch(/backup is there already.*\n.*another name/);
    expect((await stat(target)).mtimeMs).toBe(before.mtimeMs);
  });

  it('into a folder that is not there says which', async () => {
    const { root, hq } = await freshNetwork();
    const { code, err } = await hq.run('backup', '--plain', join(root, 'nowhere', 'backup'));
    expect(code).toBe(1);
    expect(err).toMatch(/has to be there: .*nowhere/);
  });

  it('where it cannot be written: fails, says where, and leaves nothing', async () => {
    const { root, hq } = await freshNetwork();
    await writeFile(join(root, 'file'), '');
    const { code, err } = await hq.run('backup', '--plain', join(root, 'file', 'backup'));
    expect(code).toBe(1);
    expect(err).toMatch(/file.backup/);
  });

  it('that finds no room fails and leaves nothing', async () => {
    const { root, hq } = await freshNetwork();
    const target = join(root, 'backup');
    // No file may grow beyond 20 blocks of 512 bytes (or of 1,024): for the program that is a disk without room.
    const command = 'ulimit -f 20; exec "$0" "$@"';
    const args = [process.execPath, BINARY, '--config', hq.config, 'backup', '--plain', target];
    const ran = await ended(spawn('sh', ['-c', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }), args);
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/disk/);
    expect((await readdir(root)).filter((name) => name.includes('backup'))).toEqual([]);
  });

  it('without a store is none', async () => {
    const { root, hq } = await freshNetwork();
    await rm(join(hq.data, 'store.db'));
    const { code, err } = await hq.run('backup', '--plain', join(root, 'backup'));
    expect(code).toBe(1);
    expect(err).toMatch(/store\.db does not exist/);
    expect(existsSync(join(root, 'backup'))).toBe(false);
  });
});

describe('restoring', () => {
  it('a server from a backup made while it worked: two cycles later all agree, and nothing is lost', async () => {
    const { root, offices, staff } = await freshNetwork();
    const [hq, oslo] = [new Office(root, 'hq'), new Office(root, 'oslo')];
    const programs = [hq, oslo];

    // Beside a sync that processes changes: the backup waits for nobody, and nobody for it.
    for (const person of staff.oslo.people) person.title = 'Before the backup';
    await oslo.writePeople(staff.oslo);
    const backup = join(root, 'backup');
    const [, made] = await Promise.all([cycle(offices), hq.run('backup', '--plain', backup)]);
    expect(made).toMatchObject({ code: 0, err: '' });

    staff.oslo.people.splice(0, 3);
    staff.oslo.people.push(makePerson('oslo', 9_001));
    staff.hq.people.push(makePerson('hq', 9_002));
    for (const office of offices) await office.writePeople(staff[office.name as 'hq' | 'oslo']);
    await cycle(offices);
    const lost = await hq.status();

    await rm(hq.data, { recursive: true });
    await cp(backup, hq.data, { recursive: true });
    expect((await hq.status()).server!.seq).toBeLessThan(lost.server!.seq);
    await cycle(programs);
    await cycle(programs);

    const after = await hq.status();
    expect(after.server!.incarnation).not.toBe(lost.server!.incarnation);
    expect(digestFaults([after, await oslo.status()])).toEqual([]);
    for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
  });
});
