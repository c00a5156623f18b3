/**
 * A backup: what a postoffice cannot get back from the others, consistent while an agent runs. Sealed in one file, or
 * plain in a folder of its own.
 *
 *   store.db                 as of one moment                    peers/         public keys of the others
 *   keys.json                the private keys                    invitations/   those that are open
 *   dirpost.yaml             the configuration                   files/         what it names beside itself: certificates,
 *                                                                               secrets (in a sealed one only)
 *
 * Message files are left out: what the store says is due is composed anew. restore.ts takes a sealed one back.
 */
import { lstat, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
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
import { type AgeLock, sealAge } from '@dirpost/message';
import {
  isArchiveName,
  type Manifest,
  MAX_SMALL_FILE_BYTES,
  requireReadable,
  sha256Of,
  STORE_NAME,
  writeArchive,
} from './backup-archive.ts';
import { CONFIGURATION_FILE_NAME } from './config/file-name.ts';
import type { Configuration } from './config/load.ts';
import { VERSION } from './version.ts';

/** Beside the store, where they are there. Copied after it: newer keys open older messages too, not the other way. */
const KEY_FILE_NAME = 'keys.json';
const SMALL_FOLDERS = ['peers', 'invitations'];

/** In the data folder while a sealed backup is made: only there plain copies of the keys may lie. With a process number. */
const WORK_FOLDER = /^\.backup-(\d+)\.tmp$/;

export interface BackupSource {
  configuration: Pick<Configuration, 'postoffice' | 'role' | 'dataFolder' | 'transports' | 'directories'>;
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

/** `leftOut`: paths of what is not in it: named outside the folder of the configuration, or no file of ours. */
export interface SealedBackup {
  files: BackedUpFile[];
  /** Of the sealed file. */
  bytes: number;
  leftOut: string[];
}

export interface PlainBackup {
  files: BackedUpFile[];
  leftOut: string[];
}

/**
 * Makes the file `target` (0600), there whole or not at all, sealed for `lock`. Throws as backUpPlainly. The plain copy that
 * it is made from lies in the data folder meanwhile, where the keys are plain anyway.
 */
export async function backUpSealed(
  { configuration, configFile }: BackupSource,
  target: string,
  lock: AgeLock,
  options: BackupOptions,
): Promise<SealedBackup> {
  const { dataFolder, postoffice, role } = configuration;
  await requireNew(target);
  await removeInterrupted(dataFolder);
  const work = join(dataFolder, `.backup-${process.pid}.tmp`);
  const temporary = join(dirname(target), temporaryName(basename(target)));
  let writingTo = dataFolder;
  try {
    await mkdir(work, { mode: 0o700 });
    const leftOut = await copyAll({ configuration, configFile }, work, options);
    const named = filesNamedIn(configuration, dirname(configFile));
    leftOut.push(...(await copyNamed(named, dirname(configFile), work)));
    const manifest = await manifestOf(work, { postoffice, role });
    requireReadable(manifest);
    writingTo = dirname(target);
    const bytes = await writeSealed(temporary, sealAge(writeArchive(manifest, work), lock), options.signal);
    await rename(temporary, target);
    await syncFolder(dirname(target));
    return { files: manifest.files.map(({ name, bytes }) => ({ name, bytes })), bytes, leftOut };
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw backupError(error, target, { folder: writingTo, bytes: await bytesNeeded(dataFolder) });
  } finally {
    await rm(work, { recursive: true, force: true }).catch(() => {});
  }
}

/** What backups left that were killed. */
async function removeInterrupted(dataFolder: string): Promise<void> {
  for (const name of await readdir(dataFolder).catch(() => [])) {
    const pid = WORK_FOLDER.exec(name)?.[1];
    if (pid === undefined || (Number(pid) !== process.pid && isAlive(Number(pid)))) continue;
    await rm(join(dataFolder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}

async function writeSealed(path: string, sealed: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o600);
  let bytes = 0;
  try {
    for await (const piece of sealed) {
      signal.throwIfAborted();
      await file.writeFile(piece);
      bytes += piece.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return bytes;
}

/** The store last: whoever restores knows everything else by then. */
async function manifestOf(folder: string, of: Pick<Manifest, 'postoffice' | 'role'>): Promise<Manifest> {
  const found = await filesBelow(folder);
  const ordered = [
    ...found.filter(({ name }) => name !== STORE_NAME),
    ...found.filter(({ name }) => name === STORE_NAME),
  ];
  const files: Manifest['files'] = [];
  for (const { name, bytes } of ordered) files.push({ name, bytes, sha256: await sha256Of(join(folder, name)) });
  return { dirpost: 'backup', version: 1, ...of, madeMs: Date.now(), program: VERSION, files };
}

/** Settings whose value is a file that a postoffice cannot work without. */
const FILE_SETTINGS = new Set(['ca', 'certificate', 'key', 'file', 'keyFile', 'keytab', 'proxyLogin']);

function filesNamedIn({ transports, directories }: BackupSource['configuration'], folder: string): string[] {
  const found = new Set<string>();
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, inside] of Object.entries(value)) {
      if (typeof inside === 'string' && FILE_SETTINGS.has(name) && isAbsolute(inside)) found.add(inside);
      look(inside);
    }
  };
  look([transports, directories]);
  return [...found].sort((a, b) => relative(folder, a).localeCompare(relative(folder, b)));
}

/** Those that lie in the folder of the configuration; the others, by their paths. */
async function copyNamed(paths: string[], from: string, to: string): Promise<string[]> {
  const leftOut: string[] = [];
  for (const path of paths) {
    const inside = relative(from, path).split(sep).join('/');
    const name = `files/${inside}`;
    // Certificates are often links that a program for renewing them turns over.
    const real = await realpath(path).catch(() => path);
    const found = await stat(real).catch(() => undefined);
    if (isAbsolute(inside) || !isArchiveName(name) || found?.isFile() !== true || found.size > MAX_SMALL_FILE_BYTES) {
      leftOut.push(path);
      continue;
    }
    await mkdir(dirname(join(to, name)), { recursive: true, mode: 0o700 });
    await copyFile(real, dirname(join(to, name)), basename(path));
  }
  return leftOut;
}

/**
 * Makes the folder `target` (0700; files 0600), there whole or not at all. Throws DirpostError `wrong-use` where it is
 * there already, `disk-full`, `file-missing`, `file-denied`, `store-damaged`; then nothing is left of it.
 */
export async function backUpPlainly(
  source: BackupSource,
  target: string,
  options: BackupOptions,
): Promise<PlainBackup> {
  await requireNew(target);
  const temporary = join(dirname(target), temporaryName(basename(target)));
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { mode: 0o700 });
    const leftOut = await copyAll(source, temporary, options);
    const files = await filesBelow(temporary);
    await syncFolder(temporary);
    await rename(temporary, target);
    await syncFolder(dirname(target));
    return { files, leftOut };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    const bytes = await bytesNeeded(source.configuration.dataFolder);
    throw backupError(error, target, { folder: dirname(target), bytes });
  }
}

/** What was left out. */
async function copyAll(
  { configuration: { dataFolder }, configFile }: BackupSource,
  folder: string,
  options: BackupOptions,
): Promise<string[]> {
  await copyStore(dataFolder, folder, options);
  if (await isThere(join(dataFolder, KEY_FILE_NAME))) {
    await copyFile(join(dataFolder, KEY_FILE_NAME), folder, KEY_FILE_NAME);
  }
  const leftOut: string[] = [];
  for (const name of SMALL_FOLDERS) leftOut.push(...(await copyFolder(dataFolder, folder, name)));
  await copyFile(configFile, folder, CONFIGURATION_FILE_NAME);
  options.signal.throwIfAborted();
  return leftOut;
}

async function requireNew(target: string): Promise<void> {
  try {
    await lstat(target);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw fileError(error, `back up to ${target}`);
  }
  throw new DirpostError('wrong-use', `${target} is there already; a backup is made under a new name.`, {
    retry: 'operator',
    hint: 'Give another name, such as one with the date in it.',
  });
}

async function copyStore(dataFolder: string, folder: string, { signal, progress }: BackupOptions): Promise<void> {
  const target = join(folder, STORE_NAME);
  await backUpStore(join(dataFolder, STORE_NAME), target, {
    progress(donePages) {
      signal.throwIfAborted();
      progress?.(donePages * 4_096);
    },
  });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw fileError(error, `read ${path}`);
  }
}

/** The files of a folder that are ours; nothing where there is none. What else lies there, such as copies of an editor. */
async function copyFolder(from: string, to: string, folder: string): Promise<string[]> {
  const path = join(from, folder);
  if (!(await isThere(path))) return [];
  await mkdir(join(to, folder), { mode: 0o700 });
  const leftOut: string[] = [];
  for (const name of (await readdir(path)).sort()) {
    // What begins with a dot is being written.
    if (name.startsWith('.')) continue;
    const found = await lstat(join(path, name)).catch(() => undefined);
    const isOurs = isArchiveName(`${folder}/${name}`) && found?.isFile() === true;
    if (isOurs && found.size <= MAX_SMALL_FILE_BYTES) await copyFile(join(path, name), join(to, folder), name);
    else leftOut.push(join(path, name));
  }
  return leftOut;
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

/** About as much as the store takes: of its plain copy, and of the sealed file. */
async function bytesNeeded(dataFolder: string): Promise<number> {
  const sizes = [STORE_NAME, `${STORE_NAME}-wal`].map((name) =>
    stat(join(dataFolder, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Names the backup, where what failed names only the store or a file under a temporary name. `folder`: written to. */
function backupError(error: unknown, target: string, { folder, bytes }: { folder: string; bytes: number }): unknown {
  const cause = error instanceof DirpostError ? error : fileError(error, `back up to ${target}`);
  if (cause.code === 'disk-full') {
    const copied = folder === dirname(target) ? '' : ' A plain copy of the store lies there while a backup is sealed.';
    const room = `${Math.ceil(bytes / 1_000_000)} MB`;
    return new DirpostError('disk-full', `Cannot back up to ${target}: the disk is full that holds ${folder}.`, {
      retry: 'later',
      hint: `Nothing is left of the backup.${copied} It takes about ${room} there: make that room.`,
      cause,
    });
  }
  if (cause.code === 'file-denied' && folder !== dirname(target)) {
    return new DirpostError(
      'file-denied',
      `${cause.message} A plain copy of the store lies there while a backup is sealed.`,
      {
        retry: 'operator',
        hint: `${cause.hint ?? ''} Nothing is left of the backup. Where ${folder} will not be written any more copy all of it as it is: what starts from that copy takes a new incarnation.`.trimStart(),
        cause,
      },
    );
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
