/**
 * Secrets of the mail transport, read from a file, the environment or a program each time that they are needed. A secret
 * is one line of UTF-8; the line break at its end, and a byte order mark before it, are not part of it.
 */
import { realpath } from 'node:fs/promises';
import { fileError, readBounded } from '../../durable-file.ts';
import { loginFailed } from './login-failures.ts';
import type { LoginOptions, Secret } from './options.ts';
import { type CommandLimits, defaultCommandLimits, outputOf } from './secret-command.ts';

/**
 * `what`: as in "the password of oslo@example.org". Throws DirpostError `transport-failed`, `operator` where only a person
 * can help; never with the secret in it.
 */
export async function readSecret(
  secret: Secret,
  what: string,
  limits: CommandLimits = defaultCommandLimits,
): Promise<string> {
  if ('command' in secret) {
    const printed = await outputOf(secret.command, what, limits);
    return lineOf(printed, `What ${secret.command[0] ?? 'the command'} prints`, what);
  }
  if ('file' in secret) return lineOf(await readKept(secret.file, what, limits.maxBytes), secret.file, what);
  const value = process.env[secret.env];
  if (value !== undefined) return lineOf(Buffer.from(value), `The environment variable ${secret.env}`, what);
  throw loginFailed(`The environment variable ${secret.env}, which holds ${what}, is not set.`, {
    hint: 'Set it for the service that runs dirpost; a shell of yours is another environment.',
    context: { env: secret.env },
  });
}

/**
 * A file with a secret or a key, whole. Links are followed, unlike elsewhere: container platforms put links where their
 * secrets are. Throws DirpostError `transport-failed`.
 */
export async function readKept(path: string, what: string, maxBytes: number): Promise<Buffer> {
  try {
    return await readBounded(await realpath(path), maxBytes);
  } catch (error) {
    const { message, retry, hint = `It holds ${what}.` } = fileError(error, `read ${path}`);
    // Too large or not a file: nobody but a person changes that.
    throw loginFailed(message, {
      retry: retry === 'later' ? 'later' : 'operator',
      hint,
      context: { path },
      cause: error,
    });
  }
}

/** Files of a login that nobody else should be able to read. */
export function secretFilesOf(login: LoginOptions): string[] {
  switch (login.method) {
    case 'password':
      return 'file' in login.password ? [login.password.file] : [];
    case 'client-credentials':
      if ('key' in login.proof) return [login.proof.key];
      return 'file' in login.proof.secret ? [login.proof.secret.file] : [];
    case 'service-account':
      return [login.keyFile];
    case 'token-command':
      return [];
  }
}

function lineOf(bytes: Uint8Array, source: string, what: string): string {
  const fault = (why: string, hint: string) => loginFailed(`${source} is not ${what}: ${why}.`, { hint });
  let text: string;
  try {
    // Takes a byte order mark away. Its error is not handed on.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw fault('it is not UTF-8', 'Save it as UTF-8 text; some editors and shells write UTF-16.');
  }
  const line = text.replace(/\r?\n$/, '');
  if (line === '') throw fault('it is empty', 'It has to be one line.');
  if (/[\r\n]/.test(line)) throw fault('it has more than one line', 'Leave only the line with the secret.');
  if (/[^\P{Cc}\t]/u.test(line)) throw fault('it has control characters', 'Save it as UTF-8 text, in one line.');
  return line;
}
