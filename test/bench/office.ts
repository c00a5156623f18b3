/** A postoffice of a bench: its data folder, `dirpost` in it as commands and as the agent that runs, whose log is read as it is written. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { program } from './agent-process.ts';

/** A line of an agent's log. */
export interface Heard {
  /** Of `performance.now()`. */
  atMs: number;
  text: string;
}

export class Office {
  readonly folder: string;
  readonly #root: string;
  readonly #waiting = new Set<(line: Heard) => void>();
  #child: ChildProcess | null = null;

  constructor(
    root: string,
    readonly name: string,
  ) {
    this.#root = root;
    this.folder = join(root, name);
    mkdirSync(this.folder, { mode: 0o700 });
  }

  get configFile(): string {
    return join(this.folder, 'dirpost.yaml');
  }

  command(...args: string[]): string {
    return execFileSync(process.execPath, [program, ...args], { cwd: this.folder, encoding: 'utf8' });
  }

  /** As `command`, while other things go on. */
  async commandBeside(...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [program, ...args], { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${this.name}: dirpost ${args.join(' ')} ended with ${code}\n${said}`);
  }

  /** The agent that runs does it, as `dirpost` asks it to; without the start of a process. */
  async ask(...argv: string[]): Promise<void> {
    // packages/agent/src/local-protocol.ts
    const socket = connect(join(this.folder, 'agent.sock'));
    socket.write(`${JSON.stringify({ v: 1, argv, cwd: this.folder })}\n`);
    const said: string[] = [];
    for await (const line of createInterface({ input: socket })) said.push(line);
    if (!said.includes('{"exit":0}')) throw new Error(`${this.name}: dirpost ${argv.join(' ')}\n${said.join('\n')}`);
  }

  /** JSON is YAML. Nothing is scheduled, and nothing is held. */
  writeConfiguration(settings: object): void {
    const never = { percent: 100 };
    const configuration = {
      postoffice: this.name,
      ...settings,
      schedule: { every: '1d' },
      holds: { removals: never, clearedValues: never, lostMembers: never, renames: never },
      log: { format: 'json', level: 'debug' },
    };
    writeFileSync(this.configFile, `${JSON.stringify(configuration)}\n`, { mode: 0o600 });
  }

  trust(other: Office): void {
    const file = join(this.#root, `${other.name}-for-${this.name}.json`);
    other.command('peer', 'export', '--out', file);
    const { fingerprint } = JSON.parse(readFileSync(file, 'utf8')) as { fingerprint: string };
    this.command('peer', 'add', file, '--fingerprint', fingerprint);
  }

  /** Calls `take` with each line of the log from now on; the function ends that. */
  listen(take: (line: Heard) => void): () => void {
    this.#waiting.add(take);
    return () => this.#waiting.delete(take);
  }

  /** Resolves when the agent is ready. */
  async start(): Promise<void> {
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
    const child = spawn(process.execPath, [program, 'run'], { cwd: this.folder, stdio });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg } = JSON.parse(line) as { msg: string };
      const heard = { atMs: performance.now(), text: msg };
      for (const take of this.#waiting) take(heard);
    });
    await this.says('the agent is ready', ({ text }) => text.startsWith('ready'));
  }

  /** Resolves to the next line of the log that is such. */
  async says(what: string, isIt: (line: Heard) => boolean, timeoutMs = 60_000): Promise<Heard> {
    const child = this.#child!;
    return await new Promise<Heard>((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(take);
        child.off('exit', fail);
      };
      const fail = (): void => {
        settle();
        reject(new Error(`not within ${timeoutMs / 1_000} s at ${this.name}: ${what}`));
      };
      const take = (line: Heard): void => {
        if (!isIt(line)) return;
        settle();
        resolve(line);
      };
      const timer = setTimeout(fail, timeoutMs);
      this.#waiting.add(take);
      child.once('exit', fail);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}
