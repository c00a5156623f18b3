/**
 * Files that are there whole or not at all, also after a power cut, and the table from the system's errors to ours.
 * For every adapter that keeps files, and for the agent's spool and keys.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DirpostError, type ErrorCode, type Retry } from '@dirpost/core';

/**
 * Writes `<folder>/<name>` through a temporary name in the same folder: written, synced, renamed over what was there,
 * folder synced. When it resolves the file is durable. Throws DirpostError (see fileError); then the old file stands.
 */
export async function writeDurably(
  folder: string,
  name: string,
  bytes: Uint8Array,
  options: { mode?: number } = {},
): Promise<void> {
  // The same temporary name every time, so that crashes do not heap them up.
  const temporary = join(folder, temporaryName(name));
  try {
    const file = await openNew(temporary, options.mode ?? 0o666);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(folder, name));
    await syncFolder(folder);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(cause, `write ${join(folder, name)}`);
  }
}

/** Exclusive: a link that somebody put there is removed and not followed. */
async function openNew(path: string, mode: number): Promise<FileHandle> {
  try {
    return await open(path, 'wx', mode);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    await rm(path, { force: true });
    return open(path, 'wx', mode);
  }
}

export function temporaryName(name: string): string {
  return `.${name}.tmp`;
}

/** Makes names in a folder durable. Does nothing where the system has no such thing (Windows, some network shares). */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!isSyncRefused(error)) throw error;
  } finally {
    await handle.close();
  }
}

/** The system has no such thing for folders. */
export function isSyncRefused(error: unknown): boolean {
  return ['EINVAL', 'ENOTSUP', 'EISDIR', 'EBADF'].includes(errnoOf(error) ?? '');
}

/** Makes one folder, not its parents; content with one that is there. */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/**
 * The whole of a regular file of at most `maxBytes`. Throws DirpostError `limit-exceeded` before reading a larger one,
 * `file-failed` for links and devices, and as fileError says.
 */
export async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  let file;
  try {
    // O_NOFOLLOW is not there on Windows; O_NONBLOCK so that a pipe does not hold us up.
    file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const { size } = await regularFile(file.stat(), path);
    if (size > maxBytes) {
      throw new DirpostError('limit-exceeded', `${path} has ${size} bytes; at most ${maxBytes} are read.`, {
        context: { path, bytes: size, maxBytes },
      });
    }
    return await readExactly(file, size);
  } catch (cause) {
    throw fileError(cause, `read ${path}`);
  } finally {
    await file?.close();
  }
}

async function regularFile(stat: Promise<import('node:fs').Stats>, path: string): Promise<import('node:fs').Stats> {
  const found = await stat;
  if (found.isFile()) return found;
  throw new DirpostError('file-failed', `${path} is not a regular file.`, { context: { path } });
}

/** A file that grows meanwhile is cut at the size that was checked; one that shrinks gives what is there. */
async function readExactly(file: import('node:fs/promises').FileHandle, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(buffer, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

const table: Record<string, [ErrorCode, Retry, string?]> = {
  ENOSPC: ['disk-full', 'later', 'Make room on that disk; dirpost goes on by itself.'],
  EDQUOT: ['disk-full', 'later', 'The quota of the account is used up; dirpost goes on when there is room.'],
  ENOENT: ['file-missing', 'operator'],
  ENOTDIR: ['file-missing', 'operator'],
  EACCES: ['file-denied', 'operator', 'Give the account that runs dirpost the right to do that.'],
  EPERM: ['file-denied', 'operator', 'Give the account that runs dirpost the right to do that.'],
  EROFS: [
    'file-denied',
    'operator',
    'Its file system is mounted read-only: look into the log of the system why, and mount it for writing.',
  ],
  ELOOP: ['file-failed', 'operator', 'It is a symbolic link; dirpost does not follow links here.'],
  EISDIR: ['file-failed', 'operator'],
  EBUSY: ['file-failed', 'later'],
  EMFILE: ['file-failed', 'later'],
  ENFILE: ['file-failed', 'later'],
  EIO: ['file-failed', 'later', 'The disk or the line to it reports a fault.'],
};

/** What the system reported as a DirpostError; one that is a DirpostError already passes. `doing`: "read /a/b". */
export function fileError(cause: unknown, doing: string): DirpostError {
  if (cause instanceof DirpostError) return cause;
  const errno = errnoOf(cause);
  const [code, retry, hint] = table[errno ?? ''] ?? ['file-failed', 'later'];
  const reason =
    code === 'disk-full'
      ? 'the disk is full'
      : cause instanceof Error
        ? withoutPath(cause.message, doing)
        : String(cause);
  return new DirpostError(code, `Cannot ${doing}: ${reason}.`, {
    retry,
    ...(hint === undefined ? {} : { hint }),
    context: { errno: errno ?? null },
    cause,
  });
}

/** `…, open '/a/b'` of Node, where it is said already. */
function withoutPath(message: string, doing: string): string {
  const [tail, path] = /, \w+ '([^']*)'$/.exec(message) ?? [];
  return tail !== undefined && doing.includes(path!) ? message.slice(0, -tail.length) : message;
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
