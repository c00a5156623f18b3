import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isOpenToOthers } from './secret-rights.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-secret-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.skipIf(process.platform === 'win32')(
  'a secret that others can read or replace is noticed; its group may',
  async () => {
    const path = join(folder, 'secret');
    await writeFile(path, 'secret\n');
    const open = [];
    for (const mode of [0o600, 0o660, 0o661, 0o604, 0o602, 0o644]) {
      await chmod(path, mode);
      open.push(await isOpenToOthers(path));
    }
    expect(open).toEqual([false, false, false, true, true, true]);
    await expect(isOpenToOthers(join(folder, 'none'))).rejects.toMatchObject({ code: 'file-missing' });
  },
);
