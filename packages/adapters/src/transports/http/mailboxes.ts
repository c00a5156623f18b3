/**
 * What waits at the server for requestors: one folder per postoffice, written durably, bounded. The mailbox is the next
 * hop of whatever the server sends, because requestors are not on line. Everything is read from disk each time, so that
 * a restart changes nothing; only who is waiting for a file is in memory.
 *
 *   mailboxes/<postoffice>/<message id>.dpm
 */
import { type FileHandle, lstat, open, readdir, unlink } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { checkPostofficeName, DirpostError, isPostofficeName, type MessageFile } from '@dirpost/core';
import { errnoOf, fileError, makeFolder, syncFolder, writeDurably } from '../../durable-file.ts';
import { isMessageId } from './wire.ts';

const SUFFIX = '.dpm';
/** Waiting requests of one postoffice; one more ends the oldest. */
const MAX_POLLS = 4;

export interface WaitingFile {
  id: string;
  bytes: number;
}

export class Mailboxes {
  readonly #folder: string;
  readonly #maxWaitingFiles: number;
  readonly #polls = new Map<string, Set<() => void>>();
  #isClosed = false;

  constructor(folder: string, maxWaitingFiles: number) {
    this.#folder = folder;
    this.#maxWaitingFiles = maxWaitingFiles;
  }

  /** Requests that wait. */
  get polls(): number {
    let count = 0;
    for (const polls of this.#polls.values()) count += polls.size;
    return count;
  }

  /** Resolved: durable. */
  async put(file: MessageFile): Promise<void> {
    if (!isMessageId(file.id))
      throw new DirpostError('wrong-use', `${JSON.stringify(file.id)} is not an id of a message file.`);
    const mailbox = this.#of(file.to);
    const names = await this.#names(file.to);
    if (names.length >= this.#maxWaitingFiles && !names.includes(file.id)) throw full(file.to, names.length);
    for (const folder of [join(this.#folder, '..'), this.#folder, mailbox]) {
      await makeFolder(folder, 0o700).catch((error: unknown) => {
        throw fileError(error, `make ${folder}`);
      });
    }
    await writeDurably(mailbox, `${file.id}${SUFFIX}`, file.bytes, { mode: 0o600 });
    this.#wake(file.to);
  }

  /** Oldest first, without those in `leave`. */
  async list(postoffice: string, leave: ReadonlySet<string>, max: number): Promise<WaitingFile[]> {
    const found: (WaitingFile & { modifiedMs: number })[] = [];
    for (const id of await this.#names(postoffice)) {
      if (leave.has(id)) continue;
      const stat = await lstat(join(this.#of(postoffice), `${id}${SUFFIX}`)).catch(() => undefined);
      if (stat?.isFile()) found.push({ id, bytes: stat.size, modifiedMs: stat.mtimeMs });
    }
    found.sort((a, b) => a.modifiedMs - b.modifiedMs || (a.id < b.id ? -1 : 1));
    return found.slice(0, max).map(({ id, bytes }) => ({ id, bytes }));
  }

  /** Undefined: it does not wait here (any more). The caller closes it. */
  async open(postoffice: string, id: string): Promise<{ file: FileHandle; bytes: number } | undefined> {
    if (!isMessageId(id)) return undefined;
    const path = join(this.#of(postoffice), `${id}${SUFFIX}`);
    let file;
    try {
      // O_NOFOLLOW is not there on Windows.
      file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
      return { file, bytes: (await file.stat()).size };
    } catch (error) {
      await file?.close();
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw fileError(error, `read ${path}`);
    }
  }

  /** Those that are not there are passed over. Resolved: they do not come back. */
  async remove(postoffice: string, ids: readonly string[]): Promise<void> {
    const mailbox = this.#of(postoffice);
    let removed = 0;
    try {
      for (const id of ids) if (await isRemoved(join(mailbox, `${id}${SUFFIX}`))) removed++;
      if (removed > 0) await syncFolder(mailbox);
    } catch (error) {
      throw fileError(error, `remove collected files in ${mailbox}`);
    }
  }

  async clear(postoffice: string): Promise<void> {
    await this.remove(postoffice, await this.#names(postoffice));
  }

  /** Files that were put before that time, of all postoffices. */
  async removeOlder(beforeMs: number): Promise<void> {
    for (const postoffice of await readdir(this.#folder).catch(() => [])) {
      if (!isPostofficeName(postoffice)) continue;
      const old: string[] = [];
      for (const id of await this.#names(postoffice)) {
        const stat = await lstat(join(this.#of(postoffice), `${id}${SUFFIX}`)).catch(() => undefined);
        if (stat !== undefined && stat.mtimeMs < beforeMs) old.push(id);
      }
      await this.remove(postoffice, old);
    }
  }

  /** Resolves when something came for that postoffice, the time is over, or nobody waits for the answer any more. */
  async waitFor(postoffice: string, waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.#isClosed || signal.aborted) return;
    const polls = this.#polls.get(postoffice) ?? new Set();
    this.#polls.set(postoffice, polls);
    if (polls.size >= MAX_POLLS) [...polls][0]?.();
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        polls.delete(end);
        if (polls.size === 0 && this.#polls.get(postoffice) === polls) this.#polls.delete(postoffice);
        resolve();
      };
      const timer = setTimeout(end, waitMs);
      signal.addEventListener('abort', end, { once: true });
      polls.add(end);
    });
  }

  /** Ends all waiting, now and later. */
  close(): void {
    this.#isClosed = true;
    for (const postoffice of this.#polls.keys()) this.#wake(postoffice);
  }

  #wake(postoffice: string): void {
    for (const end of this.#polls.get(postoffice) ?? []) end();
  }

  #of(postoffice: string): string {
    return join(this.#folder, checkPostofficeName(postoffice));
  }

  /** Ids, in no order. */
  async #names(postoffice: string): Promise<string[]> {
    const mailbox = this.#of(postoffice);
    try {
      const names = await readdir(mailbox);
      return names
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => name.slice(0, -SUFFIX.length))
        .filter(isMessageId);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, `read ${mailbox}`);
    }
  }
}

/** False: it was not there. */
async function isRemoved(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function full(postoffice: string, files: number): DirpostError {
  return new DirpostError('transport-failed', `${files} message files wait already for ${postoffice}.`, {
    retry: 'later',
    hint: `Look whether ${postoffice} still collects its messages; nothing is lost, what is left out is composed again.`,
    context: { postoffice, files },
  });
}
