/**
 * One run of a program: started without a shell, watched, and ended with all that it started.
 *
 *   running ──exits──▶ ended
 *      │ time, output limit, abort, stop()
 *      ▼
 *   asked to end (SIGTERM to its process group) ──some seconds──▶ killed (SIGKILL) ──▶ ended
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { DirpostError } from '@dirpost/core';
import { errnoOf } from '../../durable-file.ts';

export interface ProgramOptions {
  command: [string, ...string[]];
  environment: Record<string, string>;
  folder?: string | undefined;
  timeoutMs: number;
  maxOutputBytes: number;
  killAfterMs: number;
}

export interface ProgramEnd {
  /** Why what it printed is not everything; a sentence. */
  problem?: string;
  exitCode: number | null;
  bytes: number;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

const STDERR_BYTES = 4_096;
const SHOWN_CHARACTERS = 200;
/** Windows has no process groups: there the program alone is ended. */
const hasGroups = process.platform !== 'win32';
/** What a program gets of our environment. Windows programs do not start without some more. */
const HANDED_ON = hasGroups
  ? ['PATH', 'LANG', 'HOME']
  : ['PATH', 'LANG', 'HOME', 'SYSTEMROOT', 'SYSTEMDRIVE', 'PATHEXT', 'TEMP', 'TMP', 'USERPROFILE', 'WINDIR'];

export class Program {
  readonly #closed: Promise<void>;
  #bytes = 0;
  #errors = Buffer.alloc(0);
  /** Why we ended it. */
  #cause: string | undefined;
  #killer: NodeJS.Timeout | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = () => this.#interrupt('It was interrupted.');

  /** Resolves when the program runs. Throws DirpostError where it cannot be started. */
  static async start(options: ProgramOptions, signal: AbortSignal): Promise<Program> {
    const [program, ...args] = options.command;
    const child = spawn(program, args, {
      shell: false,
      detached: hasGroups,
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
      env: { ...handedOn(), ...options.environment },
      ...(options.folder === undefined ? {} : { cwd: options.folder }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(startError(program, cause)));
    });
    return new Program(child, options, signal);
  }

  private constructor(
    readonly child: Child,
    readonly options: ProgramOptions,
    readonly signal: AbortSignal,
  ) {
    // Also fires when a signal cannot be sent; the end of the program is told by 'close'.
    child.on('error', () => {});
    this.#closed = new Promise((resolve) => child.once('close', () => resolve()));
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = Buffer.from(Buffer.concat([this.#errors, chunk]).subarray(-STDERR_BYTES));
    });
    this.#timer = setTimeout(
      () => this.#interrupt(`It did not end within ${seconds(options.timeoutMs)}`),
      options.timeoutMs,
    );
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  /** What it prints, until it closes its output or is ended. */
  async *output(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.child.stdout as AsyncIterable<Buffer>) {
        this.signal.throwIfAborted();
        this.#bytes += chunk.length;
        if (this.#bytes > this.options.maxOutputBytes) {
          this.#interrupt(`It printed more than ${this.options.maxOutputBytes} bytes`);
          return;
        }
        // What comes after the end of its time is not waited for.
        if (this.#cause !== undefined) return;
        yield chunk;
      }
    } catch (error) {
      // A pipe that breaks because we ended the program is no news.
      if (this.#cause === undefined || this.signal.aborted) throw error;
    }
  }

  /** Waits for its end. */
  async end(): Promise<ProgramEnd> {
    await this.#closed;
    const { exitCode, signalCode } = this.child;
    const base = { exitCode, bytes: this.#bytes };
    const [program] = this.options.command;
    const said = this.#lastError();
    if (this.#cause !== undefined) return { ...base, problem: `${program} was ended. ${this.#cause}.${said}` };
    if (exitCode === 0) return base;
    const how = exitCode === null ? `was ended by the signal ${signalCode}` : `ended with exit code ${exitCode}`;
    return { ...base, problem: `${program} ${how}, so what it printed is not taken as complete.${said}` };
  }

  /** Ends it if it still runs. When this resolves nothing of its process group runs. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.signal.removeEventListener('abort', this.#onAbort);
    if (this.child.exitCode === null && this.child.signalCode === null) this.#interrupt('It is not needed any more');
    // Nobody reads on: a full pipe must not keep it alive, nor us waiting.
    this.child.stdout.destroy();
    this.child.stderr.destroy();
    await this.#closed;
    clearTimeout(this.#killer);
    // What it left behind in its group has lost its reader.
    this.#signal('SIGKILL');
  }

  #interrupt(cause: string): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    this.#signal('SIGTERM');
    this.#killer = setTimeout(() => {
      this.#signal('SIGKILL');
      // What left its group may still hold the pipe.
      this.child.stdout.destroy();
      this.child.stderr.destroy();
    }, this.options.killAfterMs);
  }

  #signal(name: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      if (hasGroups) process.kill(-pid, name);
      else this.child.kill(name);
    } catch {
      // It is gone already.
    }
  }

  /** The last line that it wrote on standard error, which is where programs say why. */
  #lastError(): string {
    const printable = this.#errors.toString('utf8').replaceAll(/[^\P{C}\n]/gu, ' ');
    const line = printable.trimEnd().split('\n').at(-1)?.trim() ?? '';
    if (line === '') return '';
    // In quotation marks: it may name people, and what is quoted does not stand in the log.
    return ` It said: ${JSON.stringify(line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line)}`;
  }
}

function handedOn(): Record<string, string> {
  const names = Object.keys(process.env).filter((name) => HANDED_ON.includes(hasGroups ? name : name.toUpperCase()));
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? '']));
}

function startError(program: string, cause: Error): DirpostError {
  const reasons: Record<string, [string, string]> = {
    ENOENT: [
      'there is no such program, or what its first line (#!) names is not there',
      'Give the whole path. A shell is not used: arguments are items of the list, and pipes belong into a script.',
    ],
    EACCES: ['it may not be run', 'Make it executable (chmod +x) for the account that runs dirpost.'],
    ENOEXEC: ['it is no program', 'A script needs a first line such as #!/bin/sh.'],
  };
  const [reason, hint] = reasons[errnoOf(cause) ?? ''] ?? [cause.message, 'Run it by hand as the account of dirpost.'];
  return new DirpostError('directory-failed', `Cannot run ${program}: ${reason}.`, {
    retry: 'operator',
    hint,
    context: { program, errno: errnoOf(cause) ?? null },
    cause,
  });
}

function seconds(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1_000} s`;
}
