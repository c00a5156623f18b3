/**
 * The spool: message files at rest on this side of the transports. What a transport collects is durable here before it
 * is removed remotely (T1, T3); what was processed stays a while in `done` for an administrator to look at.
 *
 *   transport ─▶ incoming ─▶ done             processed
 *                    └─────▶ corrupt          cannot be opened; with a note beside it, and never deleted (design rule 6)
 *      agent ─▶ transport, or else outgoing   what no transport took: the next try sends the same octets
 *
 * The outgoing queue can be lost: everything in it is composed again from the store.
 */
import { strict as assert } from 'node:assert';
import { readdirSync, renameSync, rmSync, type Stats } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  errnoOf,
  fileError,
  readBounded,
  readLocalFile,
  statLocalFile,
  syncFolder,
  writeDurably,
  writeLocalFile,
} from '@dirpost/adapters';
import { defaultLimits } from '@dirpost/core';

export type SpoolQueue = 'incoming' | 'outgoing' | 'corrupt' | 'done';

export const spoolQueues: readonly SpoolQueue[] = ['incoming', 'outgoing', 'corrupt', 'done'];

export interface SpooledFile {
  name: string;
  bytes: number;
  /** When it came into the spool; moving does not change it. */
  modifiedMs: number;
}

/** Why a file is in `corrupt`. */
export interface SpoolNote {
  atMs: number;
  /** Name of the transport that it came by. */
  transport: string;
  /** Of the DirpostError that opening it gave. */
  code: string;
  reason: string;
}

/** Names end in `.dpm` and hold letters, digits, `.`, `_` and `-` only. All methods throw DirpostError (`disk-full`, `file-…`). */
export interface Spool {
  /** Durable when it resolves; there whole or not at all. A file of that name is replaced. */
  put(queue: SpoolQueue, name: string, bytes: Uint8Array): Promise<void>;
  /** Oldest first. */
  list(queue: SpoolQueue): Promise<SpooledFile[]>;
  /** Throws `file-missing`; `limit-exceeded` before reading what is over the limit. */
  read(queue: SpoolQueue, name: string): Promise<Uint8Array>;
  /**
   * Moving to `corrupt` is durable when it resolves, needs a note, and never replaces a file: the name that it got there
   * is the result. After a crash a file may be back where it was before another move: it is processed once more.
   */
  move(from: SpoolQueue, name: string, to: SpoolQueue, note?: SpoolNote): Promise<string>;
  /** Content with a file that is gone already. Not for `corrupt`. */
  remove(queue: SpoolQueue, name: string): Promise<void>;
  /** Of a file in `corrupt`. */
  note(name: string): Promise<SpoolNote | undefined>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.dpm$/;
const MAX_NOTE_BYTES = 64 * 1024;
/** Looked at one by one beside other work: `done` may hold thousands. */
const MANY_FILES = 100;

/** Removes from `done` what is older than `maxAgeMs`, and the oldest above `maxFiles`; how many. */
export async function pruneDone(
  spool: Spool,
  nowMs: number,
  keep: { maxAgeMs: number; maxFiles: number },
): Promise<number> {
  const files = await spool.list('done');
  const tooMany = files.length - keep.maxFiles;
  const old = files.filter((file, i) => i < tooMany || file.modifiedMs < nowMs - keep.maxAgeMs);
  for (const { name } of old) await spool.remove('done', name);
  return old.length;
}

/** The spool as folders of files: `<folder>/<queue>/<name>`, and `<folder>/corrupt/<name>.json` for the notes. */
export class FileSpool implements Spool {
  readonly #folder: string;
  readonly #maxMessageBytes: number;

  constructor(folder: string, maxMessageBytes: number = defaultLimits.maxMessageBytes) {
    this.#folder = folder;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Makes the folders and clears what a crash left half-written. Once, by the agent that holds the lock. */
  async prepare(): Promise<void> {
    for (const queue of spoolQueues) {
      const folder = join(this.#folder, queue);
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        for (const name of await readdir(folder)) {
          if (name.startsWith('.') && name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
        }
      } catch (error) {
        throw fileError(error, `prepare ${folder}`);
      }
    }
  }

  async put(queue: SpoolQueue, name: string, bytes: Uint8Array): Promise<void> {
    this.#path(queue, name);
    assert(queue !== 'corrupt', 'a file comes to corrupt by a move, with a note');
    await writeLocalFile(join(this.#folder, queue), name, bytes, 0o600);
  }

  async list(queue: SpoolQueue): Promise<SpooledFile[]> {
    const found: SpooledFile[] = [];
    const names = this.#names(queue);
    for (const name of names) {
      const path = join(this.#folder, queue, name);
      const file = names.length > MANY_FILES ? await statOrGone(path) : statLocalFile(path);
      if (file?.isFile()) found.push({ name, bytes: file.size, modifiedMs: file.mtimeMs });
    }
    return found.sort((a, b) => a.modifiedMs - b.modifiedMs || (a.name < b.name ? -1 : 1));
  }

  async read(queue: SpoolQueue, name: string): Promise<Uint8Array> {
    return readLocalFile(this.#path(queue, name), this.#maxMessageBytes);
  }

  async move(from: SpoolQueue, name: string, to: SpoolQueue, note?: SpoolNote): Promise<string> {
    const source = this.#path(from, name);
    assert(from !== to && (to === 'corrupt') === (note !== undefined), 'a note goes with a move to corrupt');
    const target = to === 'corrupt' ? await this.#freeName(name) : name;
    try {
      // The note first: a note without a file does no harm, a corrupt file without a note is a riddle.
      if (note !== undefined && statLocalFile(source) !== undefined) await this.#writeNote(target, note);
      renameSync(source, this.#path(to, target));
      if (to !== 'corrupt') return target;
      await syncFolder(join(this.#folder, to));
      await syncFolder(join(this.#folder, from));
    } catch (error) {
      throw fileError(error, `move ${source} to ${to}`);
    }
    return target;
  }

  async remove(queue: SpoolQueue, name: string): Promise<void> {
    assert(queue !== 'corrupt', 'what is corrupt is never deleted by dirpost');
    const path = this.#path(queue, name);
    try {
      rmSync(path, { force: true });
    } catch (error) {
      throw fileError(error, `remove ${path}`);
    }
  }

  async note(name: string): Promise<SpoolNote | undefined> {
    const path = `${this.#path('corrupt', name)}.json`;
    if ((await statOrGone(path)) === undefined) return undefined;
    const { at, transport, code, reason } = JSON.parse((await readBounded(path, MAX_NOTE_BYTES)).toString());
    return { atMs: Date.parse(String(at)), transport: String(transport), code: String(code), reason: String(reason) };
  }

  async #writeNote(name: string, { atMs, transport, code, reason }: SpoolNote): Promise<void> {
    const text = JSON.stringify({ at: new Date(atMs).toISOString(), transport, code, reason }, null, 2);
    await writeDurably(join(this.#folder, 'corrupt'), `${name}.json`, Buffer.from(`${text}\n`), { mode: 0o600 });
  }

  #names(queue: SpoolQueue): string[] {
    const folder = join(this.#folder, queue);
    try {
      return readdirSync(folder).filter((name) => NAME.test(name));
    } catch (error) {
      // A command that only looks may come before the first start of the agent.
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, `read ${folder}`);
    }
  }

  async #freeName(name: string): Promise<string> {
    let free = name;
    for (let copy = 2; (await statOrGone(this.#path('corrupt', free))) !== undefined; copy++) {
      free = name.replace(/\.dpm$/, `_${copy}.dpm`);
    }
    return free;
  }

  #path(queue: SpoolQueue, name: string): string {
    assert(NAME.test(name), `${JSON.stringify(name)} is not a name in the spool`);
    return join(this.#folder, queue, name);
  }
}

async function statOrGone(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `read ${path}`);
  }
}
