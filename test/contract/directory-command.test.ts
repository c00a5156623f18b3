import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandDirectory, type CommandDirectoryOptions, LdifDirectory } from '@dirpost/adapters';
import type { Directory } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { directoryContract, readAll } from './directory.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-command-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function script(text: string): Promise<[string, string]> {
  const path = join(folder, 'export.mjs');
  await writeFile(path, text);
  return [process.execPath, path];
}

/** What an LDIF file holds, printed by a program; the file is what is written. */
directoryContract('command that prints an LDIF file', async () => {
  const place = await mkdtemp(join(tmpdir(), 'dirpost-command-'));
  const path = join(place, 'people.ldif');
  const printing = `process.stdout.write(require('node:fs').readFileSync(${JSON.stringify(path)}))`;
  const file = new LdifDirectory({ name: 'people', path });
  const command = new CommandDirectory({ name: 'people', command: [process.execPath, '-e', printing] });
  const directory: Directory = {
    name: 'people',
    writes: 'whole',
    read: (since, signal) => command.read(since, signal),
    write: (changes, signal) => file.write(changes, signal),
  };
  return { directory, base: 'dc=example,dc=com', close: () => rm(place, { recursive: true, force: true }) };
});

const entry = (name: string) => `dn: cn=${name},dc=x\nobjectClass: person\ncn: ${name}\n\n`;
const entries = (count: number) => Array.from({ length: count }, (_, i) => entry(`n${i}`)).join('');
const print = (text: string) => `process.stdout.write(${JSON.stringify(text)});`;
/** The numbers of the processes, for whoever looks whether they are gone. */
const tellPids = `
  import { spawn } from 'node:child_process';
  import { writeFileSync } from 'node:fs';
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
  writeFileSync(new URL('pids', import.meta.url), JSON.stringify([process.pid, other.pid]));
`;
const forEver = 'setInterval(() => {}, 1000);';

async function directory(text: string, more: Partial<CommandDirectoryOptions> = {}): Promise<CommandDirectory> {
  return new CommandDirectory({ name: 'hr', command: await script(text), ...more });
}

async function read(text: string, more: Partial<CommandDirectoryOptions> = {}) {
  return await readAll(await directory(text, more));
}

async function pids(): Promise<number[]> {
  return JSON.parse(await readFile(join(folder, 'pids'), 'utf8')) as number[];
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A grandchild that was killed stays visible until the system's first process has taken note of it. */
async function expectNothingRuns(): Promise<void> {
  const started = await pids();
  expect(started).toHaveLength(2);
  expect(runs(started[0]!)).toBe(false);
  if (process.platform === 'win32') return;
  await vi.waitFor(async () => {
    const state = await readFile(`/proc/${started[1]}/stat`, 'utf8').catch(() => '');
    expect(state === '' ? runs(started[1]!) : !/\) Z /.test(state)).toBe(false);
  });
}

describe('a command that ends with exit code 0', () => {
  test('is complete, and its certificate says what was run', async () => {
    const { entries: found, certificate } = await read(print(entry('a') + entry('b')));
    expect(found.map(({ dn }) => dn)).toEqual(['cn=a,dc=x', 'cn=b,dc=x']);
    expect(certificate).toMatchObject({ complete: true, remarks: [], entries: 2, bookmark: null });
    expect(certificate.source).toContain('exit code 0');
  });

  test.each([
    ['prints nothing', '', 'printed no entry'],
    ['prints only comments', print('# none\n'), 'printed no entry'],
    ['prints half an entry at the end', print(`${entry('a')}dn: cn=b,dc=x\ncn: b`), 'does not end with a newline'],
    ['says that its search failed', print(`${entry('a')}search: 2\nresult: 4 Size limit exceeded\n`), 'Size limit'],
  ])('but %s is not complete', async (_what, text, remark) => {
    const { certificate } = await read(text);
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks.join()).toContain(remark);
  });

  test('gets its arguments as they are, a folder, PATH, and only the variables that it shall', async () => {
    const said = `JSON.stringify([process.argv.slice(2), process.cwd(), Object.keys(process.env).sort()])`;
    process.env['DIRPOST_TEST_SECRET'] = 'x';
    try {
      const text = `process.stdout.write('dn: cn=a,dc=x\\ncn:: ' + Buffer.from(${said}).toString('base64') + '\\n');`;
      const [program, path] = await script(text);
      const command: [string, ...string[]] = [program, path, '$HOME; echo "x"', ''];
      const hr = new CommandDirectory({ name: 'hr', command, environment: { PGHOST: 'db' }, folder });
      const [found] = (await readAll(hr)).entries;
      const [args, cwd, names] = JSON.parse(Buffer.from(found!.attributes.get('cn')![0]!).toString()) as string[][];
      expect(args).toEqual(['$HOME; echo "x"', '']);
      expect(String(cwd)).toContain('dirpost-command-');
      expect(names).toContain('PGHOST');
      expect(names).toContain('PATH');
      expect(names).not.toContain('DIRPOST_TEST_SECRET');
    } finally {
      delete process.env['DIRPOST_TEST_SECRET'];
    }
  });

  test('is not asked anything: its input is at its end', async () => {
    const text = `process.stdin.on('data', () => {}).on('end', () => { ${print(entry('a'))} });`;
    expect((await read(text)).certificate.complete).toBe(true);
  });
});

describe('a command that fails', () => {
  test('after half of its output is not complete, and the last line of its errors is told', async () => {
    const text = `${print(entries(2_000))} console.error('first\\n\\u001b[31mno line to db\\n'); process.exitCode = 1;`;
    const { certificate } = await read(text);
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks).toEqual([
      expect.stringMatching(/ended with exit code 1, so .* not taken as complete\. It said: "\[31mno line to db"$/),
    ]);
  });

  test('with a flood of errors is not held up, and little of them is told', async () => {
    const text = `${print(entry('a'))} process.stderr.write('x'.repeat(3_000_000)); process.exitCode = 3;`;
    const [remark] = (await read(text)).certificate.remarks;
    expect(remark).toContain('exit code 3');
    expect(remark!.length).toBeLessThan(500);
  });

  test('by a signal is not complete', async () => {
    const text = `process.stdout.write(${JSON.stringify(entry('a'))}, () => process.kill(process.pid, 'SIGKILL'));`;
    expect((await read(text)).certificate.remarks.join()).toMatch(/signal SIGKILL|exit code/);
  });

  test('because it prints something else is an error with the line, and nothing is left running', async () => {
    const garbage = `${tellPids} ${print(`${entry('a')}<html>\n${'x'.repeat(70_000)}\n`)} ${forEver}`;
    await expect(read(garbage)).rejects.toMatchObject({ code: 'ldif-syntax', message: /line 5: there is no colon/ });
    await expectNothingRuns();
  });

  test('because it prints changes says what to print', async () => {
    await expect(read(print('dn: cn=a,dc=x\nchangetype: delete\n'))).rejects.toMatchObject({
      code: 'ldif-syntax',
      message: expect.stringContaining('a change record; a command prints entries') as string,
      hint: expect.stringContaining('every entry as it is now') as string,
    });
  });

  test('because it prints too much is ended and not complete', async () => {
    const flood = `${tellPids} const text = ${JSON.stringify(entries(1_000))};
      const more = () => process.stdout.write(text, () => setImmediate(more)); more();`;
    const { certificate } = await read(flood, { maxOutputBytes: 200_000 });
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks.join()).toContain('It printed more than 200000 bytes');
    await expectNothingRuns();
  });
});

describe('a command that hangs', () => {
  const hanging = `${tellPids} ${print(entries(2_000))} ${forEver}`;
  afterEach(() => {
    vi.useRealTimers();
  });

  /** The clock goes on when the program has printed something. */
  async function readThrough(text: string, passedMs: number) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let certificate;
    let entriesRead = 0;
    for await (const batch of (await directory(text)).read(null, new AbortController().signal)) {
      entriesRead += batch.entries.length;
      if (batch.certificate === undefined) vi.advanceTimersByTime(passedMs);
      certificate = batch.certificate;
    }
    vi.useRealTimers();
    return { certificate: certificate!, entriesRead };
  }

  test('is ended with all that it started, and not complete', async () => {
    const { certificate, entriesRead } = await readThrough(hanging, 300_000);
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks[0]).toMatch(/was ended\. It did not end within 5 min\.$/);
    expect(certificate.entries).toBe(entriesRead);
    await expectNothingRuns();
  });

  test('and does not listen is killed', async () => {
    const { certificate } = await readThrough(`process.on('SIGTERM', () => {}); ${hanging}`, 305_000);
    expect(certificate.complete).toBe(false);
    await expectNothingRuns();
  });

  test('is ended when the read is aborted', async () => {
    const abort = new AbortController();
    const reading = async () => {
      for await (const _ of (await directory(hanging)).read(null, abort.signal)) abort.abort(new Error('stopped here'));
    };
    await expect(reading()).rejects.toThrow('stopped here');
    await expectNothingRuns();
  });

  test('is ended when nobody reads on', async () => {
    // oxlint-disable-next-line no-unreachable-loop -- to leave it is what is tested
    for await (const _ of (await directory(hanging)).read(null, new AbortController().signal)) break;
    await expectNothingRuns();
  });
});

describe('a command that cannot be run', () => {
  const missing = (command: [string, ...string[]]) => readAll(new CommandDirectory({ name: 'hr', command }));

  test('because it is not there says so', async () => {
    await expect(missing([join(folder, 'nothing')])).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'operator',
      message: expect.stringMatching(/Cannot run .*nothing: there is no such program/) as string,
      hint: expect.stringContaining('whole path') as string,
    });
  });

  test.skipIf(process.platform === 'win32')('because it is not executable says so', async () => {
    const path = join(folder, 'export.sh');
    await writeFile(path, '#!/bin/sh\n');
    await chmod(path, 0o600);
    await expect(missing([path])).rejects.toMatchObject({ hint: expect.stringContaining('chmod +x') as string });
  });

  test('and a write is refused', async () => {
    const hr = await directory('');
    expect(() => hr.write((async function* () {})(), new AbortController().signal)).toThrow('only read');
  });
});
