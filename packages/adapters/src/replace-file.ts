/**
 * Replaces a file as a whole (T3): everything is written to a temporary file beside it, made durable, and renamed over
 * it. Whatever goes wrong before that, the old file stands as it was. For every adapter whose directory is a file.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, fileError, syncFolder } from './durable-file.ts';

const COMPARE_BYTES = 1 << 18;
/** Temporary files of writes that are under way in this process: not leftovers. */
const underWay = new Set<string>();

/**
 * `write` appends the content and yields what its caller gets. The file is replaced when it ends without an error, and
 * left untouched where it already has the same octets: whoever watches its time is not told of a change.
 */
export async function* replaceFile<T>(
  path: string,
  signal: AbortSignal,
  write: (append: (bytes: Uint8Array) => Promise<void>) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  signal.throwIfAborted();
  // A link stays a link: what it points to is replaced.
  const target = await realpath(path).catch(() => path);
  const doing = `write ${path}`;
  await removeLeftovers(target);
  const temporary = join(dirname(target), `${temporaryPrefix(target)}${randomBytes(6).toString('hex')}`);
  underWay.add(temporary);
  let file: FileHandle | undefined;
  try {
    const opened = await attempt(doing, open(temporary, 'wx', 0o600));
    file = opened;
    yield* write((bytes) => attempt(doing, opened.appendFile(bytes)));
    signal.throwIfAborted();
    await attempt(doing, keepRights(opened, target));
    await attempt(doing, opened.sync());
    file = undefined;
    await attempt(doing, opened.close());
    if (!(await attempt(doing, sameContent(temporary, target)))) await attempt(doing, replace(temporary, target));
  } finally {
    await file?.close();
    await rm(temporary, { force: true }).catch(() => {});
    underWay.delete(temporary);
  }
}

async function attempt<T>(doing: string, work: Promise<T>): Promise<T> {
  return await work.catch((cause: unknown) => {
    throw fileError(cause, doing);
  });
}

function temporaryPrefix(target: string): string {
  return `.${basename(target)}.dirpost-`;
}

/** Of a process that was killed. */
async function removeLeftovers(target: string): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const left = join(folder, name);
    if (name.startsWith(temporaryPrefix(target)) && !underWay.has(left))
      await rm(left, { force: true }).catch(() => {});
  }
}

/** A file that is replaced keeps its mode and, where we may, its owner. */
async function keepRights(file: FileHandle, target: string): Promise<void> {
  const old = await stat(target).catch(() => undefined);
  if (old === undefined || process.platform === 'win32') return;
  const own = await file.stat();
  if (own.uid !== old.uid || own.gid !== old.gid) await file.chown(old.uid, old.gid).catch(() => {});
  await file.chmod(old.mode & 0o7777);
}

async function sameContent(a: string, b: string): Promise<boolean> {
  const files: FileHandle[] = [];
  try {
    for (const path of [a, b]) files.push(await open(path, 'r'));
    const [one, other] = files;
    const [sizeA, sizeB] = await Promise.all([one!.stat(), other!.stat()]);
    if (sizeA.size !== sizeB.size) return false;
    const buffers = [Buffer.allocUnsafe(COMPARE_BYTES), Buffer.allocUnsafe(COMPARE_BYTES)];
    for (let at = 0; at < sizeA.size; ) {
      const [left, right] = await Promise.all(files.map((file, i) => file.read(buffers[i]!, 0, COMPARE_BYTES, at)));
      const count = Math.min(left!.bytesRead, right!.bytesRead);
      if (count === 0 || !buffers[0]!.subarray(0, count).equals(buffers[1]!.subarray(0, count))) return false;
      at += count;
    }
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  } finally {
    for (const file of files) await file.close();
  }
}

async function replace(temporary: string, target: string): Promise<void> {
  await rename(temporary, target);
  await syncFolder(dirname(target));
}
