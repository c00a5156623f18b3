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
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
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

type Main = (argv: string[], streams: Record<'out' | 'err', { write(text: string): void }>) => Promise<number>;

/** What the binary calls, without a process of its own. */
export const runHere: Runner = async (args) => {
  const { main } = (await import(new URL('../dist/cli/program.js', pathToFileURL(BINARY)).href)) as { main: Main };
  return runMain(main, args);
};

export async function runMain(main: Main, args: string[]): Promise<Ran> {
  let [out, err] = ['', ''];
  const streams = {
    out: { write: (text: string) => void (out += text) },
    err: { write: (text: string) => void (err += text) },
  };
  const code = await main([process.execPath, BINARY, ...args], streams);
  return { command: `dirpost ${args.join(' ')}`, code, out, err };
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

  /** With --json; by the same built program, but within this process, because it is asked often. */
  async json<T>(...args: string[]): Promise<T> {
    const runner = this.runner === runBinary ? runHere : this.runner;
    const ran = await runner(['--config', this.config, '--json', ...args]);
    // 3: something is held, which is no failure of the question.
    if (ran.code !== 0 && ran.code !== 3) throw new CommandFailed(this.name, ran);
    return JSON.parse(ran.out) as T;
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
    // One that is just being collected is gone.
    for (const path of found) {
      const file = await stat(path).catch(() => null);
      if (file !== null) times.set(path, file.mtimeMs);
    }
    return [...times.keys()].sort((a, b) => times.get(a)! - times.get(b)!);
  }
}

export class CommandFailed extends Error {
  constructor(office: string, { command, code, out, err }: Ran) {
    super(`${office}: ${command} ended with exit code ${code}\n${out}${err}`);
  }
}

/** `names`, the first of them the server: made with `dirpost init`, and trusting each other as administrators would. */
export async function makeOffices(
  root: string,
  names: string[],
  runner: Runner,
  firstWrite: 'held' | 'allowed' = 'allowed',
): Promise<Office[]> {
  const offices = names.map((name) => new Office(root, name, runner));
  const [server, ...branches] = offices as [Office, ...Office[]];
  await mkdir(server.exchange, { recursive: true });
  await Promise.all(offices.map((office) => makeOne(office, server)));
  if (firstWrite === 'allowed') await Promise.all(offices.map(allowFirstWrite));
  // A postoffice at a time: each takes several files of the others.
  const files = new Map(await Promise.all(offices.map(async (office) => [office, await exportKeys(office)] as const)));
  await Promise.all(branches.map((branch) => trust(branch, files.get(server)!)));
  for (const branch of branches) await trust(server, files.get(branch)!);
  return offices;
}

async function makeOne(office: Office, server: Office): Promise<void> {
  const { root, name } = office;
  await mkdir(join(root, 'directories', name), { recursive: true });
  const role = office === server ? ['--role', 'server'] : ['--role', 'requestor', '--server', server.name];
  const publish = ['--publish', `../directories/${name}/people.ldif`];
  const subscribe = ['--subscribe', `../directories/${name}/network.ldif`, '--container', CONTAINER];
  await office.must('init', name, ...role, ...publish, ...subscribe, '--folder', '../exchange');
}

/** As for a branch that is set up with nobody there: its first write waits for no approval. */
export async function allowFirstWrite({ config }: Office): Promise<void> {
  const text = await readFile(config, 'utf8');
  if (/^ +firstWrite: allowed/m.test(text)) return;
  await writeFile(
    config,
    text.replace('    direction: subscribe\n', (line) => `${line}    firstWrite: allowed\n`),
  );
}

async function exportKeys(office: Office): Promise<string> {
  const file = join(office.root, `${office.name}.json`);
  await office.must('peer', 'export', '--out', file);
  return file;
}

/** After its fingerprint was read out. */
async function trust(office: Office, file: string): Promise<void> {
  const { fingerprint } = JSON.parse(await readFile(file, 'utf8')) as { fingerprint: string };
  await office.must('peer', 'add', file, '--fingerprint', fingerprint);
}

export interface CycleOptions {
  waitSeconds?: number;
  /** Exit code 3 is no surprise: something is held. */
  held?: boolean;
  between?: () => Promise<void>;
}

/**
 * One cycle. The branches collect, send (T0, T1) and wait; the server processes (T2); the branches dispatch (T3); the
 * server takes the verifications. What each said, the server's two words last. `between` is called when message files
 * lie in the exchange folder. A branch waits no longer than `waitSeconds`: its answer may be among what was lost.
 */
export async function cycle(offices: Office[], options: CycleOptions = {}): Promise<Ran[]> {
  const { waitSeconds = 8, held = false, between } = options;
  const must = async (office: Office, ...args: string[]): Promise<Ran> => {
    const ran = await office.run(...args);
    if (ran.code === 0 || (held && ran.code === 3)) return ran;
    throw new CommandFailed(office.name, ran);
  };
  const [server, ...branches] = offices as [Office, ...Office[]];
  const before = new Set(await server.waiting());
  const synced = branches.map((branch) => must(branch, 'sync', '--wait', String(waitSeconds)));
  const over = new Set<Promise<Ran>>();
  // Errors are told below, where all are waited for.
  for (const one of synced) one.catch(() => {}).finally(() => over.add(one));
  const haveSent = async () => (await server.waiting()).filter((file) => !before.has(file)).length >= branches.length;
  while (over.size < synced.length && !(await haveSent())) await wait(20);
  await between?.();
  const processed = await must(server, 'sync');
  await between?.();
  const ran = await Promise.all(synced);
  await between?.();
  return [...ran, processed, await must(server, 'dispatch')];
}
