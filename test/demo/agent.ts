/** `dirpost run` of one office in the demo: a process that is started, killed and stopped, and whose log is read. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type Office, start } from './office.ts';

export class Agent {
  /** Lines of the log, without the time; of all its processes. */
  readonly log: string[] = [];
  starts = 0;
  /** Address where it listens, of a server that does. */
  address: string | null = null;
  #child: ChildProcess | null = null;
  #closed: Promise<unknown> = Promise.resolve();
  #rest = '';
  #isReady = false;
  #err = '';

  constructor(
    readonly office: Office,
    private readonly onAddress: (address: string | null) => void = () => {},
  ) {}

  start(): void {
    this.starts++;
    this.#isReady = false;
    this.#rest = '';
    const child = start(['--config', this.office.config, 'run']);
    child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
    this.#child = child;
    this.#closed = once(child, 'close');
  }

  /** It takes commands, and requests. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** What is wrong with it, if it ended without being asked. */
  get faults(): string[] {
    const child = this.#child;
    if (child === null || (child.exitCode === null && child.signalCode === null)) return [];
    return [`the agent of ${this.office.name} ended by itself: ${this.#err}`];
  }

  async kill(): Promise<void> {
    await this.#signal('SIGKILL');
  }

  /** Its exit code. */
  async stop(): Promise<number | null> {
    return this.#signal('SIGTERM');
  }

  async #signal(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null) return null;
    this.#child = null;
    this.onAddress(null);
    child.kill(signal);
    await this.#closed;
    return child.exitCode;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const said = line.replace(/^\S+ \S+Z /, '');
      this.log.push(said);
      const ready = /ready(?:; listening on (\S+))?$/.exec(said);
      if (ready === null) continue;
      this.#isReady = true;
      this.address = ready[1] ?? null;
      this.onAddress(this.address);
    }
  }
}
