import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_SMALL_BYTES, openLocalFile, readLocalFile, statLocalFile, writeLocalFile } from './local-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-local-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each([
  ['small', 10],
  ['large', MAX_SMALL_BYTES + 1],
])('a %s file', (_, length) => {
  it('is replaced in one step, has its mode, and no temporary stays', async () => {
    await writeLocalFile(folder, 'a', Buffer.alloc(length, 'one'), 0o600);
    const two = Buffer.alloc(length, 'two');
    await writeLocalFile(folder, 'a', two, 0o600);
    expect((await readFile(join(folder, 'a'))).equals(two)).toBe(true);
    expect(await readdir(folder)).toEqual(['a']);
    if (process.platform !== 'win32') expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o600);
  });

  it('comes back as it was written, up to the limit', async () => {
    const bytes = Buffer.alloc(length, 'changes');
    await writeLocalFile(folder, 'a', bytes, 0o600);
    expect((await readLocalFile(join(folder, 'a'), length)).equals(bytes)).toBe(true);
    await expect(readLocalFile(join(folder, 'a'), length - 1)).rejects.toMatchObject({ code: 'limit-exceeded' });
  });

  it('is not written where the folder is missing, and is left alone where writing fails', async () => {
    const missing = writeLocalFile(join(folder, 'b'), 'a', Buffer.alloc(length), 0o600);
    await expect(missing).rejects.toMatchObject({ code: 'file-missing' });
    await mkdir(join(folder, 'a'));
    await expect(writeLocalFile(folder, 'a', Buffer.alloc(length), 0o600)).rejects.toMatchObject({
      code: 'file-failed',
    });
    expect(await readdir(folder)).toEqual(['a']);
  });
});

it('a temporary that a crash left does not stand in the way, and is not followed where it is a link', async () => {
  await writeFile(join(folder, '.a.tmp'), 'half');
  await writeLocalFile(folder, 'a', Buffer.from('whole'), 0o600);
  await writeFile(join(folder, 'other'), 'of somebody else');
  await symlink(join(folder, 'other'), join(folder, '.a.tmp'));
  await writeLocalFile(folder, 'a', Buffer.from('again'), 0o600);
  expect(await readFile(join(folder, 'other'), 'utf8')).toBe('of somebody else');
  expect((await readLocalFile(join(folder, 'a'), 10)).toString()).toBe('again');
  expect((await readdir(folder)).toSorted()).toEqual(['a', 'other']);
});

it('links, folders and what is not there are not read', async () => {
  await writeFile(join(folder, 'a'), 'x');
  await symlink(join(folder, 'a'), join(folder, 'link'));
  await expect(readLocalFile(join(folder, 'link'), 10)).rejects.toMatchObject({ code: 'file-failed' });
  await expect(readLocalFile(folder, 10)).rejects.toMatchObject({ code: 'file-failed' });
  await expect(readLocalFile(join(folder, 'b'), 10)).rejects.toMatchObject({ code: 'file-missing' });
  expect(() => openLocalFile(join(folder, 'b'))).toThrow(expect.objectContaining({ code: 'file-missing' }) as Error);
  expect(statLocalFile(join(folder, 'b'))).toBeUndefined();
  expect(statLocalFile(join(folder, 'a'))?.size).toBe(1);
});

it('an empty file is read as empty', async () => {
  await writeLocalFile(folder, 'a', Buffer.alloc(0), 0o600);
  expect((await readLocalFile(join(folder, 'a'), 10)).length).toBe(0);
});
