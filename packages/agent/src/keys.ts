/**
 * The private keys of this postoffice on disk: `<data>/keys.json`, for the own account only. They are made once, by
 * `dirpost init`, and never leave this folder; a backup of it is a backup of the postoffice's identity.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, readBounded, writeDurably } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { formatPrivateKeys, generateKeys, parsePrivateKeys, type PrivateKeys } from '@dirpost/message';

const KEY_FILE_NAME = 'keys.json';
const MAX_KEY_FILE_BYTES = 64 * 1024;

export function keyFilePath(dataFolder: string): string {
  return join(dataFolder, KEY_FILE_NAME);
}

/**
 * Makes and keeps them, durably. The data folder is there. `recovery`: of a server, the public half of its recovery key.
 * Throws DirpostError `already-initialized`: keys are never replaced.
 */
export async function createKeys(dataFolder: string, recovery?: string): Promise<PrivateKeys> {
  const path = keyFilePath(dataFolder);
  if ((await modeOf(path)) !== undefined) {
    throw new DirpostError('already-initialized', `There are keys in ${path} already.`, {
      retry: 'operator',
      hint: 'Use another data folder, or go on with this one: keys are never replaced, the others know them.',
    });
  }
  const keys: PrivateKeys = { ...(await generateKeys()), ...(recovery === undefined ? {} : { recovery }) };
  await writeDurably(dataFolder, KEY_FILE_NAME, Buffer.from(formatPrivateKeys(keys)), { mode: 0o600 });
  return keys;
}

/** Throws DirpostError `not-initialized`, `file-denied` where others could read them, `config-invalid` where they are damaged. */
export async function loadKeys(dataFolder: string): Promise<PrivateKeys> {
  const path = keyFilePath(dataFolder);
  const mode = await modeOf(path);
  if (mode === undefined) {
    throw new DirpostError('not-initialized', `There are no keys in ${path}.`, {
      retry: 'operator',
      hint: 'Make them with `dirpost init`; or is `data` in the configuration another folder?',
    });
  }
  // Windows keeps rights elsewhere, and reports 0666 for every file.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new DirpostError('file-denied', `${path} can be used by others (mode ${(mode & 0o777).toString(8)}).`, {
      retry: 'operator',
      hint: `chmod 600 ${path}; if others may have read it, this postoffice needs new keys.`,
    });
  }
  return parsePrivateKeys((await readBounded(path, MAX_KEY_FILE_BYTES)).toString('utf8'));
}

export async function haveKeys(dataFolder: string): Promise<boolean> {
  return (await modeOf(keyFilePath(dataFolder))) !== undefined;
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `read ${path}`);
  }
}
