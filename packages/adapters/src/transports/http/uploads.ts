/**
 * Message files that arrive in slices, until they are complete: one per postoffice, a newer one takes the place of an
 * older. Each slice is synced before it is acknowledged, so that a cut line, or a server that was started again, goes on
 * where it stood.
 *
 *   uploads/<postoffice>/<message id>-<total octets>.part
 */
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPostofficeName } from '@dirpost/core';
import { errnoOf, fileError, readBounded } from '../../durable-file.ts';
import { isMessageId, type Slice } from './wire.ts';

const PART = /^([0-9a-f]{32})-(\d{1,12})\.part$/;

/** What is there of one upload. */
export interface Upload {
  id: string;
  total: number;
  /** Octets that are durably here. */
  offset: number;
}

export class Uploads {
  readonly #folder: string;
  /** The last work on each postoffice's upload: slices are taken one after another. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(postoffice: string, id: string): Promise<Upload | undefined> {
    return (await this.#all(postoffice)).find((upload) => upload.id === id);
  }

  /** Appends if the slice begins where the upload stands. Resolves to how far it is now. */
  append(postoffice: string, id: string, slice: Slice, bytes: Uint8Array): Promise<Upload | undefined> {
    return this.#inTurn(postoffice, async () => {
      const all = await this.#all(postoffice);
      const found = all.find((upload) => upload.id === id && upload.total === slice.total);
      if (slice.start !== (found?.offset ?? 0)) return found;
      if (found === undefined) for (const other of all) await rm(this.#path(postoffice, other), { force: true });
      const path = this.#path(postoffice, { id, total: slice.total });
      try {
        await mkdir(join(this.#folder, postoffice), { recursive: true, mode: 0o700 });
        await write(path, slice.start, bytes);
      } catch (error) {
        throw fileError(error, `write ${path}`);
      }
      return { id, total: slice.total, offset: slice.end };
    });
  }

  /** The whole of a complete upload. */
  read(postoffice: string, upload: Upload): Promise<Buffer> {
    return readBounded(this.#path(postoffice, upload), upload.total);
  }

  remove(postoffice: string, upload: Pick<Upload, 'id' | 'total'>): Promise<void> {
    return this.#inTurn(postoffice, async () => rm(this.#path(postoffice, upload), { force: true }));
  }

  /** Nothing of a postoffice that is no more stays. */
  clear(postoffice: string): Promise<void> {
    const folder = join(this.#folder, checkPostofficeName(postoffice));
    return this.#inTurn(postoffice, () => rm(folder, { recursive: true, force: true }));
  }

  /** Uploads that nobody went on with. `before`: milliseconds since 1970. */
  async removeOlder(before: number): Promise<void> {
    for (const postoffice of await names(this.#folder)) {
      for (const name of await names(join(this.#folder, postoffice))) {
        const path = join(this.#folder, postoffice, name);
        const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
        if (PART.test(name) && mtimeMs < before) await rm(path, { force: true });
      }
    }
  }

  async #all(postoffice: string): Promise<Upload[]> {
    const found: Upload[] = [];
    for (const name of await names(join(this.#folder, checkPostofficeName(postoffice)))) {
      const [, id, total] = PART.exec(name) ?? [];
      if (id === undefined) continue;
      const upload = { id, total: Number(total) };
      const { size } = await stat(this.#path(postoffice, upload));
      // Never more than it says: what is above was left by a crash in the middle of something.
      found.push({ ...upload, offset: Math.min(size, upload.total) });
    }
    return found;
  }

  #path(postoffice: string, { id, total }: Pick<Upload, 'id' | 'total'>): string {
    if (!isMessageId(id)) throw new Error(`not a message id: ${JSON.stringify(id)}`);
    return join(this.#folder, checkPostofficeName(postoffice), `${id}-${total}.part`);
  }

  async #inTurn<T>(postoffice: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(postoffice) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(postoffice, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(postoffice) === mine) this.#queues.delete(postoffice);
    }
  }
}

async function write(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, offset === 0 ? 'w' : 'r+', 0o600);
  try {
    // A write without a position may be a short one; this goes on until all is written.
    let written = 0;
    while (written < bytes.length) {
      written += (await file.write(bytes, written, bytes.length - written, offset + written)).bytesWritten;
    }
    await file.truncate(offset + bytes.length);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw fileError(error, `read ${folder}`);
  }
}
