import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirpostError } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadKeys } from './keys.ts';
import { isTaken, Replacement } from './replacement.ts';

let data: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'dirpost-replacement-'));
  await mkdir(join(data, 'peers'));
  await writeFile(join(data, 'peers', 'oslo.json'), 'before');
  await writeFile(join(data, 'keys.json'), 'keys before');
  await mkdir(join(data, 'new'));
  await writeFile(join(data, 'new', 'one'), 'after');
});
afterEach(() => rm(data, { recursive: true, force: true }));

const failure = new DirpostError('disk-full', 'Full.', { retry: 'later', hint: 'Make room.' });

describe('what is put in the place of another', () => {
  it('is undone with all that was made for it, and what was there is there again', async () => {
    const replacement = new Replacement(data);
    const aside = await replacement.setAside(['keys.json', 'peers', 'spool']);
    expect(await readdir(aside!)).toEqual(['keys.json', 'peers']);
    await replacement.place(join(data, 'new', 'one'), join(data, 'deep', 'er', 'one'));
    await mkdir(join(data, 'new', 'peers'));
    await replacement.place(join(data, 'new', 'peers'), join(data, 'peers'));
    const told = await replacement.undo(failure);
    expect(told).toMatchObject({ code: 'disk-full', retry: 'later', hint: 'Make room. Nothing was changed here.' });
    expect((await readdir(data)).sort()).toEqual(['keys.json', 'new', 'peers']);
    expect(await readFile(join(data, 'peers', 'oslo.json'), 'utf8')).toBe('before');
  });

  it('and cannot be undone says where that is, and so does whoever misses the keys', async () => {
    const replacement = new Replacement(data);
    const aside = (await replacement.setAside(['keys.json', 'peers']))!;
    await mkdir(join(data, 'peers'));
    await writeFile(join(data, 'peers', 'of-somebody'), '');
    expect((await replacement.undo(failure)).hint).toContain(`is in ${aside}`);
    await expect(loadKeys(data)).rejects.toMatchObject({
      code: 'not-initialized',
      hint: expect.stringContaining(aside),
    });
  });

  it('takes no place where a link leads nowhere', async () => {
    await symlink(join(data, 'nowhere'), join(data, 'link'));
    expect(await isTaken(join(data, 'link'))).toBe(true);
  });
});
