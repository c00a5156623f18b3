import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDirpostError } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock } from './lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Another process that takes the lock, keeps nothing of it, and has it until it is killed. */
async function holder() {
  const lock = new URL('../../../dist/stores/sqlite/lock.js', import.meta.url);
  const program = `import { acquireLock } from ${JSON.stringify(lock.href)};
    acquireLock(${JSON.stringify(folder)});
    globalThis.gc();
    setImmediate(() => process.stdout.write('held'));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

describe('the lock of a data folder', () => {
  it('is held by one at a time, and can be taken again once released', () => {
    const lock = acquireLock(folder);
    expect(() => acquireLock(folder)).toThrow(`The process ${process.pid} is using the data folder`);
    lock.release();
    lock.release();
    const again = acquireLock(folder);
    again.release();
    expect(existsSync(join(folder, 'lock.pid'))).toBe(false);
  });

  it('names the process that holds it, and is free as soon as that process is killed', async () => {
    const child = await holder();
    try {
      const refusal = (() => {
        try {
          return acquireLock(folder);
        } catch (error) {
          return error;
        }
      })();
      expect(refusal).toSatisfy((error) => isDirpostError(error, 'locked'));
      expect(refusal).toMatchObject({ retry: 'later', context: { pid: child.pid, folder } });
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    acquireLock(folder).release();
  });

  it.each([
    ['a process that is over', `${spawnSync(process.execPath, ['--version']).pid}\n`],
    ['no process', ''],
  ])('that cannot be had while lock.pid names %s is not said to be held, but why it may be so', async (_, pid) => {
    const child = await holder();
    try {
      // As on a file system that refuses locks: SQLite says of both that somebody has it.
      writeFileSync(join(folder, 'lock.pid'), pid);
      expect(() => acquireLock(folder)).toThrow(
        expect.objectContaining({
          code: 'locked',
          message: expect.stringMatching(/^The data folder .* cannot be locked/),
          hint: expect.stringMatching(/network file system .* local disk/),
          context: expect.objectContaining({ isHeldHere: false }),
        }),
      );
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  it('a folder that does not exist is not taken for a locked one', () => {
    expect(() => acquireLock(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'file-missing' }));
  });
});
