import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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

  it('a folder that does not exist is not taken for a locked one', () => {
    expect(() => acquireLock(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'file-missing' }));
  });
});
