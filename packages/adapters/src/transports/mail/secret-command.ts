/**
 * A program that prints a secret or a token: started without a shell, ended with all that it started when it takes too
 * long or prints too much. Nothing that it printed, and none of its arguments, stands in an error: both may be secret.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { errnoOf } from '../../durable-file.ts';
import { loginFailed } from './login-failures.ts';

export interface CommandLimits {
  timeoutMs: number;
  maxBytes: number;
}

export const defaultCommandLimits: CommandLimits = { timeoutMs: 30_000, maxBytes: 64 * 1024 };

type Child = ChildProcessByStdio<null, Readable, null>;

/** Windows has no process groups: there the program alone is ended. */
const hasGroups = process.platform !== 'win32';

/**
 * What it printed until it ended with exit code 0. `what`: what is wanted of it, as in "the password of oslo@example.org".
 * Throws DirpostError `transport-failed`: `later` where it took too long, `operator` for all else.
 */
export async function outputOf(
  command: readonly string[],
  what: string,
  limits: CommandLimits = defaultCommandLimits,
): Promise<Buffer> {
  const [program = '', ...args] = command;
  let child: Child;
  try {
    // The whole environment: programs that keep secrets are told by it where, and it is trusted with the secret anyway.
    // Standard error is not read: it may show what must not be shown.
    child = spawn(program, args, {
      shell: false,
      detached: hasGroups,
      stdio: ['ignore', 'pipe', 'ignore'],
      windowsHide: true,
    });
  } catch (error) {
    throw notStarted(program, what, error);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  let tooMuch = false;
  let tooLong = false;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= limits.maxBytes) chunks.push(chunk);
    else if (!tooMuch) {
      tooMuch = true;
      end(child);
    }
  });
  // A pipe that breaks because the program was ended is no news.
  child.stdout.on('error', () => {});
  const timer = setTimeout(() => {
    tooLong = true;
    end(child);
  }, limits.timeoutMs);
  try {
    await closed(child, program, what);
  } finally {
    clearTimeout(timer);
  }
  const problem = problemOf(child, { tooMuch, tooLong }, limits);
  if (problem === undefined) return Buffer.concat(chunks);
  throw loginFailed(`${program}, which prints ${what}, ${problem}.`, {
    retry: tooLong ? 'later' : 'operator',
    hint: 'Run it by hand, as the account that runs dirpost and without a terminal, to see what it says.',
    context: { program, exitCode: child.exitCode },
  });
}

function problemOf(
  child: Child,
  { tooMuch, tooLong }: { tooMuch: boolean; tooLong: boolean },
  { timeoutMs, maxBytes }: CommandLimits,
): string | undefined {
  if (tooMuch) return `was ended: it printed more than ${maxBytes} bytes`;
  if (tooLong) return `was ended: it did not end within ${timeoutMs / 1000} s`;
  if (child.exitCode === 0) return undefined;
  return child.exitCode === null ? `was ended by ${child.signalCode}` : `ended with exit code ${child.exitCode}`;
}

function closed(child: Child, program: string, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('close', () => resolve());
    // Later ones tell that a signal could not be sent, which changes nothing here.
    child.on('error', (error) => {
      if (child.pid === undefined) reject(notStarted(program, what, error));
    });
  });
}

function end(child: Child): void {
  try {
    if (hasGroups && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // It is gone already.
  }
  // What left its group may still hold the pipe.
  child.stdout.destroy();
}

/** Node's own error repeats the arguments, so it is not handed on. */
function notStarted(program: string, what: string, error: unknown) {
  const reason = errnoOf(error) ?? 'unknown';
  const why: Record<string, string> = {
    ENOENT: 'there is no such program',
    EACCES: 'it may not be run',
    EPERM: 'it may not be run',
  };
  return loginFailed(`${program}, which prints ${what}, could not be started: ${why[reason] ?? reason}.`, {
    retry: ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE'].includes(reason) ? 'later' : 'operator',
    hint: 'Give the whole path. A shell is not used: arguments are items of the list, and pipes belong into a script.',
    context: { program, reason },
  });
}
