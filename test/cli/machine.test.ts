/** What the machine does to a postoffice: another process on its data folder, an interrupt, a full disk. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { cycle, ended, type Office, start } from '../demo/office.ts';
import { makeStaff } from '../demo/people.ts';
import { freshNetwork, holdNothing, temporaryFolder } from './network.ts';

/** A `sync` that waits for an answer which nobody gives; resolves when it holds the data folder. */
async function waitingSync(office: Office) {
  const args = ['--config', office.config, 'sync', '--wait', '600'];
  const child = start(args);
  const pidFile = join(office.data, 'lock.pid');
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') !== `${child.pid}\n`) await wait(5);
  while ((await readSent(office)) === 0) await wait(5);
  return { child, result: ended(child, args) };
}

async function readSent(office: Office): Promise<number> {
  return (await readdir(join(office.exchange, 'hq')).catch(() => [])).length;
}

describe('one agent per data folder', () => {
  it('a second one is refused, commands that look are not', async () => {
    const { oslo } = await freshNetwork();
    const { child, result } = await waitingSync(oslo);
    try {
      for (const args of [['sync'], ['dispatch'], ['preview'], ['recover', '--only-copy']]) {
        const ran = await oslo.run('--json', ...args);
        expect({ args, code: ran.code }).toEqual({ args, code: 1 });
        expect(JSON.parse(ran.err)).toMatchObject({
          error: { code: 'locked', message: expect.stringContaining(`${child.pid}`) },
        });
      }
      for (const args of [['status'], ['queue'], ['entries'], ['peer', 'list']]) await oslo.must(...args);
    } finally {
      child.kill('SIGINT');
    }
    const { code, err } = await result;
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/^dirpost: Interrupted\.\n.*next sync goes on/),
    });
    await oslo.must('sync', '--wait', '0');
  });
});

const mounts: string[] = [];
afterAll(() => {
  for (const folder of mounts) spawnSync('umount', [folder]);
});

/** A small disk of its own, or why there is none. */
async function smallDisk(mebibytes: number): Promise<{ folder: string } | { missing: string }> {
  const folder = join(await temporaryFolder(), 'disk');
  await mkdir(folder);
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { missing: 'mounting a small disk needs root on Linux' };
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder], {
    encoding: 'utf8',
  });
  if (mounted.status !== 0) return { missing: mounted.stderr ?? String(mounted.error) };
  mounts.push(folder);
  return { folder };
}

async function fillUp(folder: string, leaveBytes: number): Promise<string> {
  const { bavail, bsize } = await statfs(folder);
  const filler = join(folder, 'filler');
  await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
  return filler;
}

describe('a full disk', () => {
  it('fails the command with a clear word, and everything converges when there is room', async (context) => {
    const disk = await smallDisk(24);
    if ('missing' in disk) {
      console.warn(`SKIPPED: a full disk: ${disk.missing}`);
      return context.skip(disk.missing);
    }
    const { oslo, offices } = await freshNetwork(disk.folder);
    await Promise.all(offices.map(holdNothing));
    const staff = makeStaff('oslo', 1_500, 5);
    await oslo.writePeople(staff);
    let failures = 0;
    for (const leaveBytes of [0, 16_384, 65_536, 200_000, 400_000, 800_000, 1_600_000]) {
      const filler = await fillUp(disk.folder, leaveBytes);
      for (const office of offices) {
        for (const args of [['sync', '--wait', '0'], ['dispatch']]) {
          const { command, code, out, err } = await office.run(...args);
          expect({ command, fault: /fault of the program/.test(err) }).toEqual({ command, fault: false });
          if (code === 0) continue;
          failures++;
          expect({ command, said: out + err }).toEqual({
            command,
            said: expect.stringMatching(/disk is full|no room left|room on/i),
          });
        }
      }
      await rm(filler);
      for (const office of offices) await office.must('status');
    }
    expect(failures).toBeGreaterThan(4);
    for (let i = 0; i < 4; i++) await cycle(offices);
    expect(digestFaults(await Promise.all(offices.map((office) => office.status())))).toEqual([]);
    for (const office of offices) {
      expect(await contentFaults(office, offices)).toEqual([]);
      expect((await office.status()).corrupt).toBe(0);
    }
  });
});
