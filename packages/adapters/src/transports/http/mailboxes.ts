/**
 * What waits at the server for requestors: one folder per postoffice, written durably, bounded. The mailbox is the next
 * hop of whatever the server sends, because requestors are not on line. Everything is read from disk each time
 * (local-file.ts), so that a restart changes nothing; only who is waiting for a file is in memory.
 *
 *   mailboxes/<postoffice>/<message id>.dpm
 */
import { closeSync, lstatSync, readdirSync, rmSync, type Stats, unlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPostofficeName, DirpostError, isDirpostError, isPostofficeName, type MessageFile } from '@dirpost/core';
import { errnoOf, fileError, makeFolder } from '../../durable-file.ts';
import { openLocalFile, writeLocalFile } from '../../local-file.ts';
import { isMessageId } from './wire.ts';

const SUFFIX = '.dpm';
/** Waiting requests of one postoffice; one more ends the oldest. */
const MAX_POLLS = 4;

export interface WaitingFile {
  id: string;
  bytes: number;
}

/** One request that waits. */
export interface Poll {
  /** Resolves when something came, the time is over, or it was ended. */
  woken: Promise<void>;
  /** The caller calls it in any case; more than once does no harm. */
  end(): void;
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
    const names = this.#names(file.to);
    if (names.length >= this.#maxWaitingFiles && !names.includes(file.id)) throw full(file.to, names.length);
    const name = `${file.id}${SUFFIX}`;
    try {
      await writeLocalFile(mailbox, name, file.bytes, 0o600);
    } catch (error) {
      if (!isDirpostError(error, 'file-missing')) throw error;
      await this.#make(mailbox);
      await writeLocalFile(mailbox, name, file.bytes, 0o600);
    }
    this.#wake(file.to);
  }

  async #make(mailbox: string): Promise<void> {
    for (const folder of [join(this.#folder, '..'), this.#folder, mailbox]) {
      await makeFolder(folder, 0o700).catch((error: unknown) => {
        throw fileError(error, `make ${folder}`);
      });
    }
  }

  /** Oldest first, without those in `leave`. */
  list(postoffice: string, leave: ReadonlySet<string>, max: number): WaitingFile[] {
    const found: (WaitingFile & { modifiedMs: number })[] = [];
    for (const id of this.#names(postoffice)) {
      if (leave.has(id)) continue;
      const stat = this.#stat(postoffice, id);
      if (stat?.isFile()) found.push({ id, bytes: stat.size, modifiedMs: stat.mtimeMs });
    }
    found.sort((a, b) => a.modifiedMs - b.modifiedMs || (a.id < b.id ? -1 : 1));
    return found.slice(0, max).map(({ id, bytes }) => ({ id, bytes }));
  }

  /** A descriptor that the caller closes; undefined: it does not wait here (any more). */
  open(postoffice: string, id: string): { file: number; bytes: number } | undefined {
    if (!isMessageId(id)) return undefined;
    try {
      const { file, stat } = openLocalFile(join(this.#of(postoffice), `${id}${SUFFIX}`));
      if (stat.isFile()) return { file, bytes: stat.size };
      closeSync(file);
      return undefined;
    } catch (error) {
      if (isDirpostError(error, 'file-missing')) return undefined;
      throw error;
    }
  }

  /** Those that are not there are passed over. After a power cut they may come back: a repeat does no harm. */
  remove(postoffice: string, ids: readonly string[]): void {
    const mailbox = this.#of(postoffice);
    for (const id of ids) {
      try {
        unlinkSync(join(mailbox, `${id}${SUFFIX}`));
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw fileError(error, `remove collected files in ${mailbox}`);
      }
    }
  }

  clear(postoffice: string): void {
    rmSync(this.#of(postoffice), { recursive: true, force: true });
  }

  /** Files that were put before that time, of all postoffices. */
  async removeOlder(beforeMs: number): Promise<void> {
    for (const postoffice of await readdir(this.#folder).catch(() => [])) {
      if (!isPostofficeName(postoffice)) continue;
      const old = this.#names(postoffice).filter((id) => (this.#stat(postoffice, id)?.mtimeMs ?? Infinity) < beforeMs);
      this.remove(postoffice, old);
    }
  }

  /** Waits for something to come for that postoffice. */
  poll(postoffice: string, waitMs: number): Poll {
    if (this.#isClosed) return { woken: Promise.resolve(), end: () => {} };
    const polls = this.#polls.get(postoffice) ?? new Set();
    this.#polls.set(postoffice, polls);
    if (polls.size >= MAX_POLLS) [...polls][0]?.();
    let resolve = () => {};
    const woken = new Promise<void>((resolved) => (resolve = resolved));
    const end = () => {
      clearTimeout(timer);
      polls.delete(end);
      if (polls.size === 0 && this.#polls.get(postoffice) === polls) this.#polls.delete(postoffice);
      resolve();
    };
    const timer = setTimeout(end, waitMs);
    polls.add(end);
    return { woken, end };
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

  #stat(postoffice: string, id: string): Stats | undefined {
    return lstatSync(join(this.#of(postoffice), `${id}${SUFFIX}`), { throwIfNoEntry: false });
  }

  /** Ids, in no order. */
  #names(postoffice: string): string[] {
    const mailbox = this.#of(postoffice);
    try {
      return readdirSync(mailbox)
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => name.slice(0, -SUFFIX.length))
        .filter(isMessageId);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, `read ${mailbox}`);
    }
  }
}

function full(postoffice: string, files: number): DirpostError {
  return new DirpostError('transport-failed', `${files} message files wait already for ${postoffice}.`, {
    retry: 'later',
    hint: `Look whether ${postoffice} still collects its messages; nothing is lost, what is left out is composed again.`,
    context: { postoffice, files },
  });
}
