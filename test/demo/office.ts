/**
 * An office with its postoffice, as files and processes: the built program, started without a shell, in folders of its
 * own. For the demo, and for the tests of the command line.
 *
 *   <root>/<office>/                  data folder: configuration, keys, store, spool
 *   <root>/directories/<office>/      people.ldif (what it publishes), network.ldif (the people of the others)
 *   <root>/exchange/                  the exchange folder that all share
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Status } from './contents.ts';
import { formatStaff, type Staff } from './people.ts';

export const BINARY = fileURLToPath(new URL('../../packages/agent/bin/dirpost.js', import.meta.url));
export const CONTAINER = 'ou=network,dc=example,dc=org';

/** How a command ended; `code` is null when it was killed. */
export interface Ran {
  command: string;
  code: number | null;
  out: string;
  err: string;
}

export type Runner = (args: string[]) => Promise<Ran>;

export function start(args: string[]): ChildProcess {
  return spawn(process.execPath, [BINARY, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

export const runBinary: Runner = (args) => ended(start(args), args);

export function ended(child: ChildProcess, args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    let [out, err] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ command: `dirpost ${args.join(' ')}`, code, out, err }));
  });
}

export class Office {
  readonly data: string;
  readonly config: string;
  readonly people: string;
  readonly network: string;
  readonly exchange: string;
  /** Where the others lay what is for this office. */
  readonly inbox: string;

  constructor(
    readonly root: string,
    readonly name: string,
    readonly runner: Runner = runBinary,
  ) {
    this.data = join(root, name);
    this.config = join(this.data, 'dirpost.yaml');
    this.people = join(root, 'directories', name, 'people.ldif');
    this.network = join(root, 'directories', name, 'network.ldif');
    this.exchange = join(root, 'exchange');
    this.inbox = join(this.exchange, name);
  }

  run(...args: string[]): Promise<Ran> {
    return this.runner(['--config', this.config, ...args]);
  }

  /** Throws, with everything that the command said, unless it ended with exit code 0. */
  async must(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.code !== 0) throw new CommandFailed(this.name, ran);
    return ran;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.must('--json', ...args)).out) as T;
  }

  status(): Promise<Status> {
    return this.json<Status>('status');
  }

  /** As a directory's nightly export does it: a new file in place of the old one. */
  async writePeople(staff: Staff): Promise<void> {
    await writeFile(`${this.people}.new`, formatStaff(staff));
    await rename(`${this.people}.new`, this.people);
  }

  /** Message files that wait for this office in the exchange folder, oldest first. */
  async waiting(): Promise<string[]> {
    const names = await readdir(this.inbox).catch(() => []);
    const found = names.filter((name) => name.endsWith('.dpm')).map((name) => join(this.inbox, name));
    const times = new Map<string, number>();
    for (const path of found) times.set(path, (await stat(path)).mtimeMs);
    return found.sort((a, b) => times.get(a)! - times.get(b)!);
  }
}

export class CommandFailed extends Error {
  constructor(office: string, { command, code, out, err }: Ran) {
    super(`${office}: ${command} ended with exit code ${code}\n${out}${err}`);
  }
}

/** `names`, the first of them the server: made with `dirpost init`, and trusting each other as administrators would. */
export async function makeOffices(root: string, names: string[], runner: Runner = runBinary): Promise<Office[]> {
  const offices = names.map((name) => new Office(root, name, runner));
  const [server, ...branches] = offices as [Office, ...Office[]];
  await mkdir(server.exchange, { recursive: true });
  for (const office of offices) {
    await mkdir(join(root, 'directories', office.name), { recursive: true });
    const role = office === server ? ['--role', 'server'] : ['--role', 'requestor', '--server', server.name];
    const files = [
      '--publish',
      `../directories/${office.name}/people.ldif`,
      '--subscribe',
      `../directories/${office.name}/network.ldif`,
    ];
    await office.must('init', office.name, ...role, ...files, '--container', CONTAINER, '--folder', '../exchange');
  }
  for (const branch of branches) {
    await introduce(branch, server);
    await introduce(server, branch);
  }
  return offices;
}

/** `to` trusts `from` after its fingerprint was read out. */
async function introduce(from: Office, to: Office): Promise<void> {
  const file = join(from.root, `${from.name}.json`);
  await from.must('peer', 'export', '--out', file);
  const { fingerprint } = JSON.parse(await readFile(file, 'utf8')) as { fingerprint: string };
  await to.must('peer', 'add', file, '--fingerprint', fingerprint);
}

/** One cycle: the branches collect and send (T0, T1), the server processes (T2), the branches dispatch (T3), verifications. */
export async function cycle([server, ...branches]: Office[]): Promise<Ran[]> {
  const ran = await Promise.all(branches.map((branch) => branch.must('sync', '--wait', '0')));
  ran.push(await server!.must('sync'));
  ran.push(...(await Promise.all(branches.map((branch) => branch.must('dispatch')))));
  ran.push(await server!.must('dispatch'));
  return ran;
}
