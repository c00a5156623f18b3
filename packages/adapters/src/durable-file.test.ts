import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fileError, readBounded, writeDurably } from './durable-file.ts';
import { FolderTransport } from './transports/folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-file-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const systemError = (code: string) => Object.assign(new Error(`${code}: simulated`), { code });

it('a file is replaced in one step and no temporary stays', async () => {
  await writeDurably(folder, 'a', Buffer.from('one'));
  await writeDurably(folder, 'a', Buffer.from('two'));
  expect(await readFile(join(folder, 'a'), 'utf8')).toBe('two');
  expect(await readdir(folder)).toEqual(['a']);
});

it('a temporary that a crash left does not stand in the way', async () => {
  await writeFile(join(folder, '.a.tmp'), 'half');
  await writeDurably(folder, 'a', Buffer.from('whole'));
  expect(await readdir(folder)).toEqual(['a']);
});

it.skipIf(process.platform === 'win32')('the mode is what was asked for', async () => {
  await writeDurably(folder, 'a', Buffer.from('x'), { mode: 0o600 });
  expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o600);
});

it('a file over the limit is refused before it is read', async () => {
  await writeFile(join(folder, 'a'), 'four');
  expect((await readBounded(join(folder, 'a'), 4)).toString()).toBe('four');
  await expect(readBounded(join(folder, 'a'), 3)).rejects.toMatchObject({ code: 'limit-exceeded' });
  await expect(readBounded(folder, 100)).rejects.toMatchObject({ code: 'file-failed' });
  await expect(readBounded(join(folder, 'b'), 3)).rejects.toMatchObject({ code: 'file-missing' });
});

it.each([
  ['ENOSPC', 'disk-full', 'later'],
  ['EDQUOT', 'disk-full', 'later'],
  ['ENOENT', 'file-missing', 'operator'],
  ['EACCES', 'file-denied', 'operator'],
  ['EUNHEARD', 'file-failed', 'later'],
])('%s becomes %s, retry %s', (errno, code, retry) => {
  expect(fileError(systemError(errno), 'write x')).toMatchObject({ code, retry });
});

/** A real file system of 64 KiB, where this account may mount one. */
function mountSmallDisk(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

it('a full disk leaves the old file and no temporary', async ({ skip }) => {
  if (!mountSmallDisk()) skip('this account may not mount a small file system');
  try {
    await writeDurably(folder, 'a', Buffer.from('old'));
    await expect(writeDurably(folder, 'a', Buffer.alloc(200_000))).rejects.toMatchObject({
      code: 'disk-full',
      retry: 'later',
    });
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a']);
    const message = { id: '0'.repeat(32), from: 'oslo', to: 'hq', bytes: Buffer.alloc(200_000) };
    const transport = new FolderTransport({ root: folder, postoffice: 'oslo' });
    await expect(transport.deliver(message, new AbortController().signal)).rejects.toMatchObject({ code: 'disk-full' });
  } finally {
    execFileSync('umount', [folder]);
  }
});

it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)('a folder without rights says so', async () => {
  await chmod(folder, 0o500);
  await expect(writeDurably(folder, 'a', Buffer.from('x'))).rejects.toMatchObject({ code: 'file-denied' });
});
