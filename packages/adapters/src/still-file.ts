/**
 * Reading a file that somebody else writes, maybe right now (T0): in chunks, with signs whether it stood still from
 * before it was opened until after its last octet. For every adapter that reads a whole file as a directory.
 */
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { DirpostError } from '@dirpost/core';
import { errnoOf, fileError } from './durable-file.ts';

/** Small enough for the processor's cache: larger chunks are slower. */
export const CHUNK_BYTES = 1 << 16;

export async function openToRead(path: string): Promise<FileHandle> {
  return await open(path, 'r').catch((cause: unknown) => {
    throw fileError(cause, `read ${path}`);
  });
}

/** As a read certificate names a file. */
export function describeFile(path: string, found: BigIntStats): string {
  return `${path} (${found.size} bytes, ${found.mtime.toISOString()})`;
}

/** Throws DirpostError `file-missing` or `file-failed` where there is no regular file. */
export async function statFile(path: string): Promise<BigIntStats> {
  const found = await stat(path, { bigint: true }).catch((cause: unknown) => {
    if (errnoOf(cause) !== 'ENOENT') throw fileError(cause, `read ${path}`);
    throw new DirpostError('file-missing', `There is no file ${path}.`, {
      retry: 'operator',
      hint: 'Export the directory to that place, or correct the path in the configuration.',
      context: { path },
      cause,
    });
  });
  if (found.isFile()) return found;
  throw new DirpostError('file-failed', `${path} is not a regular file.`, { retry: 'operator', context: { path } });
}

/** Whether the file is to the last sign what it was when `before` was taken. */
export async function stoodStill(file: FileHandle, path: string, before: BigIntStats): Promise<boolean> {
  const same = (now: BigIntStats) =>
    now.size === before.size && now.mtimeNs === before.mtimeNs && now.ino === before.ino && now.dev === before.dev;
  // The open file, and what now stands under its name: it may have been replaced.
  if (!same(await file.stat({ bigint: true }))) return false;
  return await stat(path, { bigint: true }).then(same, () => false);
}

/**
 * From the start of the file; the next chunk is read while this one is worked on. `bufferFor` gives the memory for
 * chunk n: new each time where views of it are kept.
 */
export async function* chunksOf(
  file: FileHandle,
  path: string,
  signal: AbortSignal,
  bufferFor: (n: number) => Buffer = () => Buffer.allocUnsafeSlow(CHUNK_BYTES),
): AsyncGenerator<Buffer> {
  let position = 0;
  const readChunk = async (n: number) => {
    const buffer = bufferFor(n);
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    position += bytesRead;
    return buffer.subarray(0, bytesRead);
  };
  let next = readChunk(0);
  for (let n = 1; ; n++) {
    signal.throwIfAborted();
    const chunk = await next.catch((cause: unknown) => {
      throw fileError(cause, `read ${path}`);
    });
    if (chunk.length === 0) return;
    next = readChunk(n);
    // Its error is seen when it is awaited, if ever.
    next.catch(() => {});
    yield chunk;
  }
}
