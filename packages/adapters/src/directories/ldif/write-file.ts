/**
 * Replaces an LDIF file as a whole (T3): everything is written to a temporary file beside it, made durable, and
 * renamed over it. Whatever goes wrong before that, the old file stands as it was.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type DirectoryChange, isDirpostError, type Limits, normalizeDn, type WriteOutcome } from '@dirpost/core';
import { errnoOf, fileError, syncFolder } from '../../durable-file.ts';
import { DnTable } from './dn-table.ts';
import { LdifEncoder } from './encoder.ts';
import { isAttributeName } from './names.ts';

const FLUSH_BYTES = 1 << 18;
/** Names that mean something else in LDIF. */
const reserved: ReadonlySet<string> = new Set(['dn', 'changetype', 'control', 'version']);
/** Temporary files of writes that are under way in this process: not leftovers. */
const underWay = new Set<string>();

export async function* writeLdifFile(
  path: string,
  limits: Limits,
  changes: AsyncIterable<DirectoryChange>,
  signal: AbortSignal,
): AsyncGenerator<WriteOutcome> {
  signal.throwIfAborted();
  // A link stays a link: what it points to is replaced.
  const target = await realpath(path).catch(() => path);
  const doing = `write ${path}`;
  await removeLeftovers(target);
  const temporary = join(dirname(target), `${temporaryPrefix(target)}${randomBytes(6).toString('hex')}`);
  underWay.add(temporary);
  let file: FileHandle | undefined;
  try {
    file = await attempt(doing, open(temporary, 'wx', 0o600));
    const encoder = new LdifEncoder();
    const seen = new DnTable();
    encoder.version();
    for await (const change of changes) {
      signal.throwIfAborted();
      const outcome = encode(change, encoder, seen, limits);
      if (encoder.length >= FLUSH_BYTES) await attempt(doing, flush(file, encoder));
      yield outcome;
    }
    signal.throwIfAborted();
    await attempt(doing, finish(file, encoder, target));
    file = undefined;
    // Untouched when nothing changed: whoever watches its time is not told of a change.
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

function encode(change: DirectoryChange, encoder: LdifEncoder, seen: DnTable, limits: Limits): WriteOutcome {
  const { id } = change;
  // The file is written anew: what shall be gone is simply not in it.
  if (change.action === 'remove') return { id, result: 'written' };
  const refused = (code: string, reason: string): WriteOutcome => ({ id, result: 'refused', code, reason });
  const fault = unfit(change, limits);
  if (fault !== undefined) return refused('objectClassViolation', fault);
  try {
    const earlier = seen.add(normalizeDn(change.dn), 0);
    if (earlier !== undefined) return refused('entryAlreadyExists', `Another entry has the DN ${change.dn}.`);
  } catch (error) {
    if (!isDirpostError(error, 'dn-syntax')) throw error;
    return refused('invalidDNSyntax', error.message);
  }
  encoder.entry(change);
  return { id, result: 'written' };
}

/** Why it could not be read back. */
function unfit({ dn, attributes }: DirectoryChange, limits: Limits): string | undefined {
  if (attributes.size === 0) return `The entry ${dn} has no attributes.`;
  if (attributes.size > limits.maxAttributes)
    return `The entry ${dn} has more than ${limits.maxAttributes} attributes.`;
  let values = 0;
  let bytes = dn.length * 3;
  for (const [name, list] of attributes) {
    if (!isAttributeName(name) || reserved.has(name)) return `"${name}" cannot be an attribute in an LDIF file.`;
    if (list.length > limits.maxValues) return `${name} has more than ${limits.maxValues} values.`;
    values += list.length;
    for (const value of list) {
      if (value.length > limits.maxValueBytes)
        return `A value of ${name} is larger than ${limits.maxValueBytes} bytes.`;
      bytes += value.length;
    }
  }
  if (bytes > limits.maxEntryBytes) return `The entry ${dn} is larger than ${limits.maxEntryBytes} bytes.`;
  return values === 0 ? `The entry ${dn} has no values.` : undefined;
}

async function flush(file: FileHandle, encoder: LdifEncoder): Promise<void> {
  await file.appendFile(encoder.bytes());
  encoder.reset();
}

async function finish(file: FileHandle, encoder: LdifEncoder, target: string): Promise<void> {
  try {
    await flush(file, encoder);
    await keepRights(file, target);
    await file.sync();
  } finally {
    await file.close();
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
    const buffers = [Buffer.allocUnsafe(FLUSH_BYTES), Buffer.allocUnsafe(FLUSH_BYTES)];
    for (let at = 0; at < sizeA.size; ) {
      const [left, right] = await Promise.all(files.map((file, i) => file.read(buffers[i]!, 0, FLUSH_BYTES, at)));
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
