/** A data folder that cannot be written: every command says so, names the folder and what next, and changes nothing. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, expect, it, type TestContext, vi } from 'vitest';
import { BINARY, ended, type Office, type Ran } from '../demo/office.ts';
import { serverAccount } from '../servers/process.ts';
import { asks, expectInStep, lineFor, makeBranch } from './branches.ts';
import { freshNetwork } from './network.ts';
import { startAgent } from './running-agent.ts';

vi.setConfig({ testTimeout: 60_000 });

const mounts: string[] = [];
afterAll(() => {
  for (const folder of mounts) spawnSync('umount', [folder]);
});

/** Makes `folder` one of a file system that is mounted read-only; what takes that back, or why it cannot be done. */
function mountReadOnly(folder: string): { undo: () => void } | { missing: string } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { missing: 'mounting needs root on Linux' };
  for (const args of [
    ['--bind', folder, folder],
    ['-o', 'remount,ro,bind', folder],
  ]) {
    const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status !== 0) return { missing: stderr ?? String(error) };
    if (args[0] === '--bind') mounts.push(folder);
  }
  const undo = (): void => {
    if (spawnSync('umount', [folder]).status === 0) mounts.splice(mounts.indexOf(folder), 1);
  };
  return { undo };
}

function skipped(context: TestContext, why: string): void {
  console.warn(`SKIPPED: a data folder that is read-only: ${why}`);
  context.skip(why);
}

/** Everything below, by name and content. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name);
    if (!(await stat(path)).isFile()) continue;
    found[name] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return found;
}

const WORKING = ['keys', 'peer list', 'peer export', 'message show FILE --header', 'preview --help'];
const REFUSED = `run|preview|sync --wait 0|dispatch|status|queue|held|entries|duplicates|conflicts|explain uid=x|export|approve
  |backup NEW --recipient RECIPIENT|restore BACKUP --replace --identity IDENTITY|repair|repair --new-store|link network uid=x
  |unlink network uid=x|directory remove people --keep|recover --only-copy|keys roll`;
const REFUSED_AT_SERVER = `keys protect --passphrase-file SECRET|invite peru|requestor list|requestor suspend oslo|requestor mail oslo a@example.org
  |requestor remove oslo --keep-entries|list show all|move|move --http https://hq2.example.org:8943`;

it('read-only: each command names it and what to do; nothing is changed, and all goes on when it can be written', async (context) => {
  const { root, hq, oslo } = await freshNetwork();
  const secret = join(root, 'secret');
  await writeFile(secret, 'five words are hard to guess\n');
  // No passphrase: making it slow to guess makes the test slow.
  const own = await generateX25519Identity();
  const [recipient, identity] = [await identityToRecipient(own), join(root, 'identity')];
  await writeFile(identity, `${own}\n`);
  const lima = await makeBranch(hq, 'lima');
  const line = await lineFor(hq, 'lima');
  await mkdir(lima.data);
  for (const one of [hq, oslo]) await one.must('backup', join(root, `${one.name}.backup`), '--recipient', recipient);
  await hq.must('sync');
  await oslo.must('sync', '--wait', '0');
  const [message] = await hq.waiting();
  const places = [hq.data, oslo.data, lima.data];
  const mounted = places.map(mountReadOnly);
  for (const one of mounted) if ('missing' in one) return skipped(context, one.missing);
  const before = await Promise.all(places.map(contentOf));
  const argsOf = (office: Office, command: string): string[] => {
    const words: Record<string, string> = { SECRET: secret, RECIPIENT: recipient, IDENTITY: identity };
    const files = { BACKUP: join(root, `${office.name}.backup`), NEW: join(root, 'new'), FILE: message! };
    return command.split(' ').map((word) => ({ ...words, ...files })[word] ?? word);
  };
  for (const command of WORKING) await hq.must(...argsOf(hq, command));
  for (const office of [oslo, hq]) {
    const commands = (office === hq ? `${REFUSED}|${REFUSED_AT_SERVER}` : REFUSED).split(/\s*\|/);
    for (const command of commands) {
      const { code, err } = await office.run('--json', ...argsOf(office, command));
      const { error } = JSON.parse(err.trimEnd().split('\n').at(-1) ?? '') as { error: Record<string, string> };
      expect({ command, exit: code, ...error }).toMatchObject({
        command,
        exit: 1,
        code: 'file-denied',
        message: expect.stringContaining(office.data) as string,
        hint: expect.stringMatching(/log of the system/) as string,
      });
      expect(`${error['message']} ${error['hint']}`, command).toMatch(/read-only/);
    }
  }
  const asked = await asks(lima, line);
  expect(asked).toMatchObject({ code: 1, err: expect.stringMatching(/read-only/) as string });
  expect(asked.err).toContain(lima.data);
  expect(await Promise.all(places.map(contentOf))).toEqual(before);
  for (const one of mounted) if ('undo' in one) one.undo();
  await expectInStep(hq, oslo);
});

it('read-only while an agent runs: it says so, stays, and goes on by itself', async (context) => {
  const { hq, oslo } = await freshNetwork();
  // It asks again so often, in place of each minute.
  await appendFile(oslo.config, '\nschedule: { poll: 1s }\n');
  const agent = await startAgent(oslo);
  try {
    const spool = mountReadOnly(join(oslo.data, 'spool'));
    if ('missing' in spool) return skipped(context, spool.missing);
    await hq.must('sync');
    const refused = await oslo.run('dispatch');
    expect(refused.out).toContain(join(oslo.data, 'spool'));
    expect(refused.out).toMatch(/read-only file system/);
    expect((await oslo.must('status')).out).toMatch(/nothing could be collected since .*read-only/);
    expect(await oslo.waiting()).not.toEqual([]);
    spool.undo();
    await vi.waitUntil(async () => (await oslo.waiting()).length === 0, { timeout: 50_000, interval: 100 });
    expect((await oslo.must('status')).out).not.toMatch(/nothing could be collected/);
  } finally {
    await agent.stop();
  }
  await expectInStep(hq, oslo);
});

it('read-only with a store that can still be read: check finds it', async (context) => {
  const { oslo } = await freshNetwork();
  // What was killed leaves the log and the shared memory of the store, without which it cannot be read there.
  await (await startAgent(oslo)).stop();
  const data = mountReadOnly(oslo.data);
  if ('missing' in data) return skipped(context, data.missing);
  await oslo.must('status');
  const checked = await oslo.run('check');
  expect(checked).toMatchObject({ code: 1, out: expect.stringMatching(/fault: data folder: .*mounted read-only/) });
  data.undo();
  expect((await oslo.run('check')).out).not.toContain('data folder');
});

/** As the account of servers in tests, which is not that of the files; whether it can run the program is found out first. */
function runAs(uid: number, gid: number, args: string[]): Promise<Ran> {
  return ended(spawn(process.execPath, [BINARY, ...args], { stdio: ['ignore', 'pipe', 'pipe'], uid, gid }), args);
}

it('files of another account: the one is named that may not be used, and no second agent gets past the lock', async (context) => {
  if (process.getuid?.() !== 0) return skipped(context, 'giving files away needs root');
  const { uid, gid } = serverAccount();
  const { root, oslo } = await freshNetwork();
  const run = (...args: string[]) => runAs(uid, gid, ['--config', oslo.config, ...args]);
  for (const name of ['', ...(await readdir(root, { recursive: true }))]) await chown(join(root, name), uid, gid);
  const first = await run('sync', '--wait', '0');
  if (first.code !== 0) return skipped(context, `an unprivileged account cannot run the program: ${first.err}`);
  // As after a command that was typed by root.
  for (const file of ['store.db', 'lock.db']) {
    const path = join(oslo.data, file);
    await chown(path, 0, 0);
    await chmod(path, file === 'lock.db' ? 0o644 : 0o600);
    const { code, err } = await run('sync', '--wait', '0');
    expect({ file, code, err }).toEqual({
      file,
      code: 1,
      err: expect.stringContaining(`${path} may not be read and written by this account`) as string,
    });
    expect(err).toMatch(/chown/);
    await chown(path, uid, gid);
  }
  await chmod(oslo.data, 0o500);
  const closed = await run('status');
  expect(closed.err).toContain(`${oslo.data} may not be read and written by this account`);
  await chmod(oslo.data, 0o700);
  expect(await run('sync', '--wait', '0')).toMatchObject({ code: 0 });
});
