/** A server postoffice as a process of its own (`dirpost run` over HTTP), with what the system says of its CPU time and memory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The built program, seen from where this is compiled to. */
export const program = fileURLToPath(new URL('../../../../packages/agent/bin/dirpost.js', import.meta.url));

/** Ticks of /proc/PID/stat are hundredths of a second on Linux. */
const TICK_SECONDS = 0.01;

export class AgentProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
  url = '';
  #child: ChildProcess | null = null;

  /** Makes the postoffice hq, whose people are in people.ldif of the folder, and reads them. */
  init(): void {
    this.command('init', 'hq', '--role', 'server', '--publish', 'people.ldif', '--folder', '.');
    const settings = 'schedule: { every: 1d }\n';
    const file = join(this.folder, 'dirpost.yaml');
    const text = readFileSync(file, 'utf8').replace(
      /^transports:\n[\s\S]*?\n\n/m,
      'transports:\n  http: { listen: 127.0.0.1:0 }\n\n',
    );
    rmSync(file);
    appendFileSync(file, `${text}\n${settings}`, { mode: 0o600 });
  }

  command(...args: string[]): string {
    return execFileSync(process.execPath, [program, ...args], { cwd: this.folder, encoding: 'utf8' });
  }

  /** Resolves to the seconds until it was ready. */
  async start(): Promise<number> {
    const started = performance.now();
    const child = spawn(process.execPath, [program, 'run'], { cwd: this.folder, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    for await (const line of createInterface({ input: child.stdout! })) {
      const address = /(http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address === undefined) continue;
      this.url = address;
      child.stdout!.resume();
      return (performance.now() - started) / 1000;
    }
    throw new Error('dirpost run ended before it was ready.');
  }

  /** User and system time of all its threads, seconds. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child!.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS;
  }

  residentBytes(): number {
    const resident = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child!.pid}/status`, 'utf8'));
    return Number(resident![1]) * 1024;
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null) {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('exit', resolve));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
