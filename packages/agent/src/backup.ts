/**
 * A backup: what a postoffice cannot get back from the others, in a folder of its own, consistent while an agent runs.
 *
 *   store.db                 as of one moment                    peers/         public keys of the others
 *   keys.json                the private keys                    invitations/   those that are open
 *   dirpost.yaml             the configuration
 *
 * Message files are left out: what the store says is due is composed anew. docs/operating.md says how to restore.
 */
import { lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  backUpStore,
  errnoOf,
  fileError,
  readBounded,
  syncFolder,
  temporaryName,
  writeDurably,
} from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { CONFIGURATION_FILE_NAME } from './config/file-name.ts';

const STORE_FILE_NAME = 'store.db';
/** Beside the store, where they are there. Copied after it: newer keys open older messages too, not the other way. */
const SMALL_FILES = ['keys.json', 'peers', 'invitations'];
const MAX_SMALL_FILE_BYTES = 16 * 1024 * 1024;

export interface BackupSource {
  dataFolder: string;
  configFile: string;
}

export interface BackupOptions {
  signal: AbortSignal;
  progress?: (doneBytes: number) => void;
}

export interface BackedUpFile {
  /** Path in the backup, with `/`. */
  name: string;
  bytes: number;
}

/**
 * Makes the folder `target` (0700; files 0600), there whole or not at all. Throws DirpostError `wrong-use` where it is
 * there already, `disk-full`, `file-missing`, `file-denied`, `store-damaged`; then nothing is left of it.
 */
export async function backUp(
  { dataFolder, configFile }: BackupSource,
  target: string,
  options: BackupOptions,
): Promise<BackedUpFile[]> {
  await requireNew(target);
  const temporary = join(dirname(target), temporaryName(basename(target)));
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { mode: 0o700 });
    await copyStore(dataFolder, temporary, options);
    for (const name of SMALL_FILES) await copyBelow(dataFolder, temporary, name);
    await copyFile(configFile, temporary, CONFIGURATION_FILE_NAME);
    options.signal.throwIfAborted();
    const files = await filesBelow(temporary);
    await syncFolder(temporary);
    await rename(temporary, target);
    await syncFolder(dirname(target));
    return files;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw backupError(error, target);
  }
}

async function requireNew(target: string): Promise<void> {
  try {
    await lstat(target);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw fileError(error, `back up to ${target}`);
  }
  throw new DirpostError('wrong-use', `${target} is there already; a backup is made into a new folder.`, {
    retry: 'operator',
    hint: 'Give another name, such as one with the date in it.',
  });
}

async function copyStore(dataFolder: string, folder: string, { signal, progress }: BackupOptions): Promise<void> {
  const target = join(folder, STORE_FILE_NAME);
  await backUpStore(join(dataFolder, STORE_FILE_NAME), target, {
    progress(donePages) {
      signal.throwIfAborted();
      progress?.(donePages * 4_096);
    },
  });
}

/** A file, or the files of a folder; nothing where there is none. */
async function copyBelow(from: string, to: string, name: string): Promise<void> {
  const path = join(from, name);
  const found = await stat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `read ${path}`);
  });
  if (found === undefined) return;
  if (!found.isDirectory()) return copyFile(path, to, name);
  await mkdir(join(to, name), { mode: 0o700 });
  // What begins with a dot is being written.
  for (const inside of await readdir(path)) if (!inside.startsWith('.')) await copyBelow(path, join(to, name), inside);
}

async function copyFile(path: string, folder: string, name: string): Promise<void> {
  await writeDurably(folder, name, await readBounded(path, MAX_SMALL_FILE_BYTES), { mode: 0o600 });
}

async function filesBelow(folder: string): Promise<BackedUpFile[]> {
  const found = await readdir(folder, { recursive: true });
  const files: BackedUpFile[] = [];
  for (const name of found.sort()) {
    const { size, isFile } = await sizeOf(join(folder, name));
    if (isFile) files.push({ name: name.replaceAll('\\', '/'), bytes: size });
  }
  return files;
}

async function sizeOf(path: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(path);
  return { size: found.size, isFile: found.isFile() };
}

/** Names the backup, where what failed names only the store or a file under a temporary name. */
function backupError(error: unknown, target: string): unknown {
  const cause = error instanceof DirpostError ? error : fileError(error, `back up to ${target}`);
  if (cause.code === 'disk-full') {
    return new DirpostError('disk-full', `Cannot back up to ${target}: the disk is full.`, {
      retry: 'later',
      hint: 'Nothing is left of the backup. Make room there, or choose another disk.',
      cause,
    });
  }
  if (cause.code === 'file-missing' && errnoOf(cause.cause) === 'ENOENT') {
    return new DirpostError('file-missing', cause.message, {
      retry: 'operator',
      hint: `The folder that the backup is made in has to be there: ${dirname(target)}`,
      cause,
    });
  }
  return cause;
}
