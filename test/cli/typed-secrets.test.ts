/**
 * Secrets that are typed, at a real terminal (a pseudo terminal of script(1)): nothing of them is shown, stands in the list of
 * processes, or in what is written; and who gives up is told so.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished, type TestContext, vi } from 'vitest';
import { BINARY, Office } from '../demo/office.ts';
import { freshNetwork, runHere, temporaryFolder } from './network.ts';

vi.setConfig({ testTimeout: 60_000 });

const PROMPT = /it is not shown: |\[y\/N\] /;
const SECRET = 'correct horse battery';

function noTerminal(context: TestContext): boolean {
  const found = spawnSync('script', ['--version'], { encoding: 'utf8' });
  if (found.stdout?.includes('util-linux') === true) return false;
  console.warn('SKIPPED: secrets that are typed: script(1) of util-linux makes the terminal, and is not here');
  context.skip('no script(1)');
  return true;
}

/** What the terminal showed, as one text, and how the command ended. `typed`: an answer for each prompt, or a key. */
async function atTerminal(
  office: Office,
  args: string[],
  typed: string[],
  atPrompt: (child: ChildProcess) => Promise<void> = async () => {},
): Promise<{ code: number | null; shown: string }> {
  const command = [process.execPath, BINARY, '--config', office.config, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  // Of a test that ran out of its time.
  onTestFinished(() => void child.kill());
  const rest = [...typed];
  let [shown, answered] = ['', 0];
  const over = new Promise<number | null>((resolve) => child.once('close', resolve));
  for await (const piece of child.stdout.setEncoding('utf8')) {
    shown += String(piece);
    while (shown.split(PROMPT).length - 1 > answered && rest.length > 0) {
      answered++;
      child.stdin.write(rest.shift()!);
      await atPrompt(child);
    }
  }
  return { code: await over, shown };
}

/** Command lines and environments of all processes that may be looked at. */
async function allCommandLines(): Promise<string> {
  const texts: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    for (const file of ['cmdline', 'environ'])
      texts.push(await readFile(join('/proc', pid, file), 'utf8').catch(() => ''));
  }
  return texts.join('\n');
}

it('a passphrase is asked for twice, and shown nowhere; what it seals it opens', async (context) => {
  if (noTerminal(context)) return;
  const { root, oslo } = await freshNetwork();
  const file = join(root, 'oslo.backup');
  const seen: string[] = [];
  const look = async () => void seen.push(await allCommandLines());
  const made = await atTerminal(oslo, ['backup', '--passphrase', file], [`${SECRET}\r`, `${SECRET}\r`], look);
  expect(made).toMatchObject({ code: 0, shown: expect.stringMatching(/of the backup again/) as string });
  expect(made.shown).not.toMatch(/correct|horse|battery/);
  expect(seen).toHaveLength(2);
  for (const lines of seen) {
    expect(lines).toContain('oslo.backup');
    expect(lines).not.toContain(SECRET);
  }
  const copy = new Office(join(root, 'elsewhere'), 'oslo', runHere);
  const restored = await atTerminal(copy, ['restore', file], [`${SECRET}\r`]);
  expect(restored).toMatchObject({ code: 0 });
  expect(restored.shown).not.toMatch(/correct|horse|battery/);
});

it('two that differ seal nothing, and Ctrl-C and Ctrl-D end the command in words', async (context) => {
  if (noTerminal(context)) return;
  const { root, oslo } = await freshNetwork();
  const args = ['backup', '--passphrase', join(root, 'oslo.backup')];
  const differing = await atTerminal(oslo, args, [`${SECRET}\r`, 'another one here\r']);
  expect(differing).toMatchObject({ code: 2, shown: expect.stringContaining('not the same') as string });
  for (const key of ['\x03', '\x04', `${SECRET}\x03`]) {
    const { code, shown } = await atTerminal(oslo, args, [key]);
    expect({ code, shown }).toEqual({
      code: 1,
      shown: expect.stringContaining('Interrupted: nothing was typed') as string,
    });
    expect(shown).not.toMatch(/correct|fault of the program/);
  }
  expect(await readdir(root)).not.toContain('oslo.backup');
});

it('the recovery key is typed as it stands on paper, and a letter that is wrong changes nothing', async (context) => {
  if (noTerminal(context)) return;
  const hq = new Office(await temporaryFolder(), 'hq', runHere);
  const { recoveryKey } = await hq.json<{ recoveryKey: string }>('init', 'hq', '--role', 'server');
  const keys = await readFile(join(hq.data, 'keys.json'), 'utf8');
  const mistyped = recoveryKey.replace(/^./, (letter) => (letter === 'a' ? 'b' : 'a'));
  const refused = await atTerminal(hq, ['keys', 'replace'], [`${mistyped}\r`]);
  expect(refused).toMatchObject({ code: 2, shown: expect.stringContaining('a letter of it is wrong') as string });
  expect(await readFile(join(hq.data, 'keys.json'), 'utf8')).toBe(keys);
  const replaced = await atTerminal(hq, ['keys', 'replace'], [`${recoveryKey}\r`]);
  expect(replaced).toMatchObject({ code: 0 });
  for (const { shown } of [refused, replaced])
    for (const group of recoveryKey.split(/[\s-]+/)) expect(shown).not.toContain(group);
  expect(await readFile(join(hq.data, 'keys.json'), 'utf8')).not.toBe(keys);
});

it('a fingerprint that nobody confirms adds nobody; what is typed there is shown', async (context) => {
  if (noTerminal(context)) return;
  const { root, hq, oslo } = await freshNetwork();
  const file = join(root, 'lima.json');
  const lima = new Office(root, 'lima', runHere);
  await lima.must('init', 'lima', '--role', 'requestor', '--server', 'hq');
  await lima.must('peer', 'export', '--out', file);
  const no = await atTerminal(hq, ['peer', 'add', file], ['n\r']);
  expect(no).toMatchObject({ code: 2, shown: expect.stringContaining('lima was not added') as string });
  const gaveUp = await atTerminal(hq, ['peer', 'add', file], ['\x03']);
  expect(gaveUp).toMatchObject({ code: 1, shown: expect.stringContaining('Interrupted: nothing was typed') as string });
  expect(await hq.json<{ name: string }[]>('peer', 'list')).toMatchObject([{ name: oslo.name }]);
  expect(await atTerminal(hq, ['peer', 'add', file], ['y\r'])).toMatchObject({ code: 0 });
  expect(await hq.json<object[]>('peer', 'list')).toHaveLength(2);
});

it('without a terminal nothing is asked, and it is said what to give', async () => {
  const { root, oslo } = await freshNetwork();
  const ran = await oslo.run('backup', '--passphrase', join(root, 'b'));
  expect(ran).toMatchObject({
    code: 2,
    err: expect.stringContaining('Nobody is here to type the passphrase of the backup') as string,
  });
  await writeFile(join(root, 'taken'), '');
  const out = join(root, 'taken', 'oslo.json');
  expect(await oslo.run('peer', 'export', '--out', out)).toMatchObject({
    code: 1,
    err: expect.stringContaining(`Cannot write ${out}`) as string,
  });
});
