/**
 * Transport `folder`: a shared folder, a stick, a diode. Below the root each postoffice has a folder of its name, in
 * which the others lay its message files:
 *
 *   <root>/<receiver>/<message id>.dpm       written under a temporary name, synced, renamed
 *
 * The root itself is never made here: when the stick is not plugged in, that is noticed and said. (So put the exchange
 * folder one level below the mount point, which is there also without the stick.)
 */
import { watch as watchFolder } from 'node:fs';
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPostofficeName, defaultLimits, DirpostError, type MessageFile, type Transport } from '@dirpost/core';
import { errnoOf, fileError, makeFolder, readBounded, syncFolder, writeDurably } from '../durable-file.ts';

const MESSAGE_FILE_NAME = /^[0-9a-f]{32}\.dpm$/;
const TEMPORARY_NAME = /^\.[0-9a-f]{32}\.dpm\.tmp$/;
const TEMPORARY_AGE_MS = 86_400_000;

/** Magic, length of the header (2) and of the body (4); and behind the body the signature (format.md, "Message file"). */
const MAGIC = Buffer.from('DIRPOST1');
const PREFIX_BYTES = 14;
const SIGNATURE_BYTES = 64;
/** A file that ends early, and has not grown for so long here or is so old, was cut; else somebody may be copying it. */
const STILL_MS = 60_000;
const OLD_MS = 3_600_000;

export interface FolderTransportOptions {
  /** Absolute path of the exchange folder. */
  root: string;
  /** The own postoffice: its folder is collected from. */
  postoffice: string;
  maxMessageBytes?: number;
  /** Told of files that are left where they lie; each time again. */
  onProblem?: (problem: DirpostError) => void;
}

export class FolderTransport implements Transport {
  readonly name = 'folder';
  readonly maxMessageBytes: number;
  readonly #root: string;
  readonly #inbox: string;
  readonly #onProblem: (problem: DirpostError) => void;
  /** Files that ended early: how long they were, and since when. */
  #growing = new Map<string, { bytes: number; sinceMs: number }>();
  /** Files that were taken and cannot be removed: what they were then. */
  #unremoved = new Map<string, string>();

  constructor(options: FolderTransportOptions) {
    this.maxMessageBytes = options.maxMessageBytes ?? defaultLimits.maxMessageBytes;
    this.#root = options.root;
    this.#inbox = join(options.root, checkPostofficeName(options.postoffice));
    this.#onProblem = options.onProblem ?? (() => {});
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    const folder = join(this.#root, checkPostofficeName(file.to));
    const name = `${file.id}.dpm`;
    if (!MESSAGE_FILE_NAME.test(name)) throw new DirpostError('wrong-use', `${name} is not a name of a message file.`);
    if (file.bytes.length > this.maxMessageBytes) throw tooLarge(name, file.bytes.length, this.maxMessageBytes);
    signal.throwIfAborted();
    try {
      await makeFolder(folder);
      await writeDurably(folder, name, file.bytes);
    } catch (error) {
      throw await this.#explain(error, `write ${join(folder, name)}`);
    }
  }

  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    let collected = 0;
    const before = { growing: this.#growing, unremoved: this.#unremoved };
    this.#growing = new Map();
    this.#unremoved = new Map();
    for (const { name, modifiedMs } of await this.#waiting()) {
      signal.throwIfAborted();
      const bytes = await this.#read(name);
      if (bytes === undefined) continue;
      const what = `${bytes.length} ${modifiedMs}`;
      if (before.unremoved.get(name) === what) {
        this.#unremoved.set(name, what);
        continue;
      }
      if (endsEarly(bytes) && this.#mayGrow(name, bytes.length, modifiedMs, before.growing.get(name))) continue;
      if (!(await spool(bytes))) continue;
      collected++;
      if (!(await this.#remove(name))) this.#unremoved.set(name, what);
    }
    // Without this a file may be back after a power cut, which is a repeat, and repeats are expected.
    if (collected > 0) await syncFolder(this.#inbox).catch(() => {});
    return collected;
  }

  /** Sees what this machine's system reports: on network shares often nothing, so polling has to go on beside it. */
  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      await makeFolder(this.#inbox);
      await new Promise<void>((resolve, reject) => {
        const watcher = watchFolder(this.#inbox, { persistent: false }, (_event, name) => {
          if (name === null || MESSAGE_FILE_NAME.test(name)) wake();
        });
        watcher.once('error', reject);
        watcher.once('close', resolve);
        signal.addEventListener('abort', () => watcher.close(), { once: true });
        // It may have come while the folder was made.
        if (signal.aborted) watcher.close();
      });
    } catch (error) {
      throw await this.#explain(error, `watch ${this.#inbox}`);
    }
  }

  /** People copy files here by hand, under their final names: what is not whole yet must not be taken from under their hands. */
  #mayGrow(name: string, bytes: number, modifiedMs: number, seen?: { bytes: number; sinceMs: number }): boolean {
    const nowMs = performance.now();
    const sinceMs = seen?.bytes === bytes ? seen.sinceMs : nowMs;
    if (nowMs - sinceMs >= STILL_MS || Date.now() - modifiedMs >= OLD_MS) return false;
    this.#growing.set(name, { bytes, sinceMs });
    return true;
  }

  /** Message files in the own folder, oldest first. What is not ours is not seen. */
  async #waiting(): Promise<{ name: string; modifiedMs: number }[]> {
    let names;
    try {
      names = await readdir(this.#inbox);
    } catch (error) {
      // Nobody has written to us yet; but only if the root is there.
      if (errnoOf(error) === 'ENOENT' && (await exists(this.#root))) return [];
      throw await this.#explain(error, `read ${this.#inbox}`);
    }
    const found: { name: string; modifiedMs: number }[] = [];
    for (const name of names) {
      if (TEMPORARY_NAME.test(name)) await this.#removeAbandoned(name);
      if (!MESSAGE_FILE_NAME.test(name)) continue;
      const { mtimeMs } = await lstat(join(this.#inbox, name)).catch(() => ({ mtimeMs: 0 }));
      found.push({ name, modifiedMs: mtimeMs });
    }
    return found.sort((a, b) => a.modifiedMs - b.modifiedMs || (a.name < b.name ? -1 : 1));
  }

  /** Undefined: gone meanwhile, or left where it is and reported. A file that cannot be read never stops the others. */
  async #read(name: string): Promise<Uint8Array | undefined> {
    try {
      return await readBounded(join(this.#inbox, name), this.maxMessageBytes);
    } catch (error) {
      const problem = fileError(error, `read ${join(this.#inbox, name)}`);
      if (problem.code === 'file-missing') return undefined;
      const bytes = problem.context['bytes'];
      this.#onProblem(
        problem.code === 'limit-exceeded' ? tooLarge(name, Number(bytes), this.maxMessageBytes, this.#inbox) : problem,
      );
      return undefined;
    }
  }

  /** What a sender left half-written when it was killed; a day old, so that nobody can be writing it. */
  async #removeAbandoned(name: string): Promise<void> {
    const path = join(this.#inbox, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isFile() && found.mtimeMs < Date.now() - TEMPORARY_AGE_MS)
      await rm(path, { force: true }).catch(() => {});
  }

  /** False: it stays, and is reported. It holds up no other, and is not taken again and again. */
  async #remove(name: string): Promise<boolean> {
    try {
      await rm(join(this.#inbox, name), { force: true });
      return true;
    } catch (error) {
      const problem = await this.#explain(error, `remove ${join(this.#inbox, name)}`);
      if (!(await exists(this.#root))) throw problem;
      this.#onProblem(problem);
      return false;
    }
  }

  async #explain(error: unknown, doing: string): Promise<DirpostError> {
    const reported = fileError(error, doing);
    if (reported.code === 'disk-full') return reported;
    const context = { root: this.#root, ...reported.context };
    if (await exists(this.#root)) {
      const { retry, hint, message } = reported;
      return new DirpostError('transport-failed', message, { retry, ...(hint && { hint }), context, cause: error });
    }
    return new DirpostError('transport-failed', `The exchange folder ${this.#root} is not there.`, {
      retry: 'later',
      hint: 'Plug in the stick or mount the share; if the folder is new, make it: dirpost never makes it by itself.',
      context,
      cause: error,
    });
  }
}

/** By its own lengths; what is no message file never does. */
function endsEarly(bytes: Uint8Array): boolean {
  const start = bytes.subarray(0, MAGIC.length);
  if (!MAGIC.subarray(0, start.length).equals(start)) return false;
  if (bytes.length < PREFIX_BYTES) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length < PREFIX_BYTES + view.getUint16(8) + view.getUint32(10) + SIGNATURE_BYTES;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function tooLarge(name: string, bytes: number, maxBytes: number, left?: string): DirpostError {
  const what = `Message file ${name} has ${bytes} bytes; this transport takes at most ${maxBytes}.`;
  return new DirpostError('message-too-large', left === undefined ? what : `${what} It is left in ${left}.`, {
    retry: 'operator',
    hint: 'Look whether it is a message file at all; if so, raise limits.maxMessageBytes on this side.',
    context: { name, bytes, maxBytes },
  });
}
