/**
 * Message files of the data folder (spool, mailboxes), where most are small and each is written, read and moved within
 * a second. The store beside them needs a local disk, and is read and written on the main thread: so are these, but for
 * the syncs, which wait for the disk. Handing each call to another thread costs several times what the call does.
 * Large files, and folders that may be on a share (durable-file.ts), are not held up for.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, fileError, isSyncRefused, readBounded, temporaryName, writeDurably } from './durable-file.ts';

/** Above this the calls are left to other threads. */
export const MAX_SMALL_BYTES = 256 * 1024;

const sync = promisify(fsync);

/** As writeDurably. */
export async function writeLocalFile(folder: string, name: string, bytes: Uint8Array, mode: number): Promise<void> {
  if (bytes.length > MAX_SMALL_BYTES) return writeDurably(folder, name, bytes, { mode });
  const temporary = join(folder, temporaryName(name));
  try {
    const file = openNew(temporary, mode);
    try {
      writeFileSync(file, bytes);
      await sync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(folder, name));
    await syncLocalFolder(folder);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw fileError(cause, `write ${join(folder, name)}`);
  }
}

/** As syncFolder. */
async function syncLocalFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const opened = openSync(folder, 'r');
  try {
    await sync(opened);
  } catch (error) {
    if (!isSyncRefused(error)) throw error;
  } finally {
    closeSync(opened);
  }
}

/** Exclusive: a link that somebody put there is removed and not followed. */
function openNew(path: string, mode: number): number {
  try {
    return openSync(path, 'wx', mode);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    rmSync(path, { force: true });
    return openSync(path, 'wx', mode);
  }
}

/** As readBounded. */
export async function readLocalFile(path: string, maxBytes: number): Promise<Buffer> {
  const { file, stat } = openLocalFile(path);
  try {
    if (stat.isFile() && stat.size <= Math.min(maxBytes, MAX_SMALL_BYTES)) return readFrom(file, 0, stat.size);
  } catch (cause) {
    throw fileError(cause, `read ${path}`);
  } finally {
    closeSync(file);
  }
  return readBounded(path, maxBytes);
}

/** A descriptor that the caller closes. No link is followed. Throws DirpostError as fileError says. */
export function openLocalFile(path: string): { file: number; stat: Stats } {
  // O_NOFOLLOW is not there on Windows; O_NONBLOCK so that a pipe does not hold us up.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  try {
    const file = openSync(path, flags);
    return { file, stat: fstatSync(file) };
  } catch (cause) {
    throw fileError(cause, `read ${path}`);
  }
}

/** From `start` up to `end`, or to where a file that shrank ends. */
export function readFrom(file: number, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafe(end - start);
  return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start));
}

/** Undefined: it is not there (any more). */
export function statLocalFile(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw fileError(cause, `read ${path}`);
  }
}
