/**
 * Secrets that a command asks for: a passphrase, or the recovery key. From a file, a program, the environment, or typed
 * where a person is; never from an option, which other accounts of the machine may see.
 */
import { resolve } from 'node:path';
import { readSecret } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import type { Invocation } from './command.ts';
import { secretAnswerTo } from './prompt.ts';

export interface SecretSource {
  file?: string | undefined;
  /** Program and arguments, separated by spaces; no shell. */
  command?: string | undefined;
  env: string;
}

/** `what`: as in "the passphrase of the backup". Throws DirpostError `wrong-use` where nobody is there to type it. */
export async function secretFor(call: Invocation, what: string, source: SecretSource, hint: string): Promise<string> {
  const given = await givenSecret(call, what, source);
  if (given !== undefined) return given;
  if (process.stdin.isTTY !== true || call.screen.json || call.running !== null) {
    throw new DirpostError('wrong-use', `Nobody is here to type ${what}.`, { hint });
  }
  return secretAnswerTo(call, `Type ${what}; it is not shown: `);
}

/** undefined: none of the three was given. */
export async function givenSecret(call: Invocation, what: string, source: SecretSource): Promise<string | undefined> {
  const { file, command, env } = source;
  if (file !== undefined && command !== undefined) {
    throw new DirpostError('wrong-use', `Give ${what} by a file or by a command, not by both.`);
  }
  if (file !== undefined) return readSecret({ file: resolve(call.cwd, file) }, what);
  if (command !== undefined) return readSecret({ command: command.trim().split(/\s+/) }, what);
  return process.env[env] === undefined ? undefined : readSecret({ env }, what);
}
