/**
 * What a restore puts in the place of what is there. Until its last step all of it can be undone: what was there is kept in
 * `<data>/replaced-…`, and comes back from there.
 *
 *   setAside ─▶ place, place, … ─▶ done
 *        └──────── an error ─────▶ undo: all is as before
 */
import { lstat, mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, syncFolder, writeDurably } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';

const ASIDE_PREFIX = 'replaced-';

/** Paths of what restores have kept, newest first; empty where the folder cannot be read. */
export async function keptAsideIn(dataFolder: string): Promise<string[]> {
  const names = (await readdir(dataFolder).catch(() => [])).filter((name) => name.startsWith(ASIDE_PREFIX));
  return names
    .sort()
    .reverse()
    .map((name) => join(dataFolder, name));
}

/** Whether there is anything, be it a link that leads nowhere. */
export async function isTaken(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

export class Replacement {
  readonly #dataFolder: string;
  #aside: string | null = null;
  readonly #moved: string[] = [];
  readonly #made: string[] = [];

  constructor(dataFolder: string) {
    this.#dataFolder = dataFolder;
  }

  /** Those of `names` that are there, in this order. Where they are now; null: none was there. */
  async setAside(names: string[]): Promise<string | null> {
    const there: string[] = [];
    for (const name of names) if (await isTaken(join(this.#dataFolder, name))) there.push(name);
    if (there.length === 0) return null;
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '');
    const aside = join(this.#dataFolder, ASIDE_PREFIX + stamp);
    await mkdir(aside, { mode: 0o700 });
    this.#aside = aside;
    for (const name of there) {
      await rename(join(this.#dataFolder, name), join(aside, name));
      this.#moved.push(name);
    }
    await syncFolder(aside);
    return aside;
  }

  /** A file or folder comes to where nothing is; only a file may come from another disk. Durable when it resolves. */
  async place(from: string, to: string): Promise<void> {
    const folder = dirname(to);
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    this.#made.push(made ?? to);
    try {
      await rename(from, to);
    } catch (error) {
      if (errnoOf(error) !== 'EXDEV') throw error;
      await writeDurably(folder, basename(to), await readFile(from), { mode: 0o600 });
    }
    await syncFolder(folder);
  }

  /** What to tell in place of `error`: whether all is as before, or where it is. */
  async undo(error: DirpostError): Promise<DirpostError> {
    let now = 'Nothing was changed here.';
    try {
      for (const path of this.#made.toReversed()) await rm(path, { recursive: true, force: true });
      for (const name of this.#moved.toReversed()) {
        await rename(join(this.#aside!, name), join(this.#dataFolder, name));
      }
      if (this.#aside !== null) await rmdir(this.#aside);
    } catch {
      now = `What was here before is in ${this.#aside}: move all of it back into ${this.#dataFolder}, or restore again.`;
    }
    const { code, message, retry, hint, context } = error;
    return new DirpostError(code, message, {
      retry,
      hint: hint === undefined ? now : `${hint} ${now}`,
      context,
      cause: error,
    });
  }
}
