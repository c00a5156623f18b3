/** The spool contract against the file spool, and what only files can show. */
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { FileSpool } from '../../packages/agent/src/spool.ts';
import { spoolContract } from './spool.ts';

const folder = mkdtempSync(join(tmpdir(), 'dirpost-spool-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let opened = 0;
const next = () => join(folder, `spool-${++opened}`);

async function open(path = next()): Promise<FileSpool> {
  const spool = new FileSpool(path, 1000);
  await spool.prepare();
  return spool;
}

spoolContract('files', () => open());

it('a spool that was never prepared is empty', async () => {
  expect(await new FileSpool(next()).list('incoming')).toEqual([]);
});

it('what a crash left half-written is neither listed nor kept', async () => {
  const path = next();
  const spool = await open(path);
  await writeFile(join(path, 'incoming', '.a.dpm.tmp'), 'half');
  expect(await spool.list('incoming')).toEqual([]);
  await open(path);
  expect(await readdir(join(path, 'incoming'))).toEqual([]);
});

it('a file over the limit is not read', async () => {
  const path = next();
  const spool = await open(path);
  await writeFile(join(path, 'incoming', 'a.dpm'), Buffer.alloc(1001));
  await expect(spool.read('incoming', 'a.dpm')).rejects.toMatchObject({ code: 'limit-exceeded' });
});

it('the note beside a corrupt file is readable by people', async () => {
  const path = next();
  const spool = await open(path);
  await spool.put('incoming', 'a.dpm', Buffer.from('x'));
  const name = await spool.move('incoming', 'a.dpm', 'corrupt', {
    atMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    transport: 'folder',
    code: 'message-foreign',
    reason: 'It does not begin with DIRPOST1.',
  });
  const text = await readFile(join(path, 'corrupt', `${name}.json`), 'utf8');
  expect(text).toContain('"at": "2026-01-02T03:04:05.000Z"');
  expect(text).toContain('"code": "message-foreign"');
});

it.skipIf(process.platform === 'win32')('only the own account can read the spool', async () => {
  const path = next();
  const spool = await open(path);
  await spool.put('incoming', 'a.dpm', Buffer.from('x'));
  expect((await stat(join(path, 'incoming'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(path, 'incoming', 'a.dpm'))).mode & 0o777).toBe(0o600);
});
