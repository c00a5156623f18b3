/**
 * What is known of the mailbox from before: up to which mail each folder was examined, which mails are to be looked at
 * again, and what the administrator was told already. It is a shortcut, never a proof: without it everything is examined
 * anew, and the spool knows what was taken. Kept in `seen.json` below the folder of the transport.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isDirpostError } from '@dirpost/core';
import { makeFolder, readBounded, writeDurably } from '../../durable-file.ts';

const FILE = 'seen.json';
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_TOLD = 10_000;
const MAX_AGAIN = 1_000;
const MAX_FOLDERS = 20;
const WHOLE_EVERY_MS = 24 * 3_600_000;

export interface FolderMark {
  /** As decimal digits. */
  uidValidity: string;
  /** Mails below it were examined. */
  uidNext: number;
  /** When the folder was last examined from its beginning. */
  wholeAtMs: number;
  /** Mails that are not done with; by UID. */
  again: Again[];
}

export interface Again {
  uid: number;
  /** `taken`: spooled, but could not be moved. `left`: for another incarnation, or not readable then. */
  why: 'taken' | 'left';
  /** Not before. */
  atMs: number;
}

interface Content {
  version: 1;
  folders: Record<string, FolderMark>;
  /** Hashes, oldest first. */
  told: string[];
  upkeepAtMs: number;
}

export class Seen {
  readonly #folder: string;
  readonly #folders: Map<string, FolderMark>;
  readonly #told: Set<string>;
  #upkeepAtMs: number;
  #isChanged = false;

  private constructor(folder: string, { folders, told, upkeepAtMs }: Omit<Content, 'version'>) {
    this.#folder = folder;
    this.#folders = new Map(Object.entries(folders));
    this.#told = new Set(told);
    this.#upkeepAtMs = upkeepAtMs;
  }

  /** A file that is missing or damaged is as if nothing had been seen. */
  static async open(folder: string): Promise<Seen> {
    await makeFolder(folder, 0o700);
    return new Seen(folder, (await readContent(folder)) ?? { folders: {}, told: [], upkeepAtMs: 0 });
  }

  /** What was examined of a folder; null: all of it is to be examined (anew). */
  mark(path: string, now: { uidValidity: string; uidNext: number; atMs: number }): FolderMark | null {
    const mark = this.#folders.get(path);
    if (mark === undefined || mark.uidValidity !== now.uidValidity || mark.uidNext > now.uidNext) return null;
    // A clock that went back counts as a day.
    return Math.abs(now.atMs - mark.wholeAtMs) < WHOLE_EVERY_MS ? mark : null;
  }

  /** `matters`: something was left there that would have to be examined again without it. */
  examined(path: string, mark: FolderMark, matters: boolean): void {
    const before = this.#folders.get(path);
    this.#folders.delete(path);
    this.#folders.set(path, { ...mark, again: mark.again.slice(-MAX_AGAIN) });
    if (this.#folders.size > MAX_FOLDERS) this.#folders.delete(this.#folders.keys().next().value!);
    const hasAgain = mark.again.length > 0 || (before?.again.length ?? 0) > 0;
    if (matters || hasAgain || before?.uidValidity !== mark.uidValidity || before.wholeAtMs !== mark.wholeAtMs)
      this.#isChanged = true;
  }

  /** What is left for another incarnation is offered again at once: after a start, and when the connection is new. */
  offerAgain(): void {
    for (const { again } of this.#folders.values()) for (const one of again) one.atMs = 0;
  }

  /** true: it was not told before, and is to be told now. */
  tell(what: string): boolean {
    const hash = createHash('sha256').update(what).digest('base64url').slice(0, 16);
    const isNew = !this.#told.delete(hash);
    // Also one that comes back stays known: the oldest that nobody asked for go.
    this.#told.add(hash);
    if (this.#told.size > MAX_TOLD) this.#told.delete(this.#told.values().next().value!);
    if (isNew) this.#isChanged = true;
    return isNew;
  }

  get upkeepAtMs(): number {
    return this.#upkeepAtMs;
  }

  set upkeepAtMs(value: number) {
    this.#upkeepAtMs = value;
    this.#isChanged = true;
  }

  /** Durable when it resolves. Writes only what is new. */
  async save(): Promise<void> {
    if (!this.#isChanged) return;
    const content: Content = {
      version: 1,
      folders: Object.fromEntries(this.#folders),
      told: [...this.#told],
      upkeepAtMs: this.#upkeepAtMs,
    };
    await writeDurably(this.#folder, FILE, Buffer.from(JSON.stringify(content)), { mode: 0o600 });
    this.#isChanged = false;
  }
}

async function readContent(folder: string): Promise<Content | null> {
  let text;
  try {
    text = (await readBounded(join(folder, FILE), MAX_FILE_BYTES)).toString('utf8');
  } catch (error) {
    if (isDirpostError(error, 'file-missing') || isDirpostError(error, 'limit-exceeded')) return null;
    throw error;
  }
  try {
    const content: unknown = JSON.parse(text);
    return isContent(content) ? content : null;
  } catch {
    return null;
  }
}

function isContent(value: unknown): value is Content {
  if (!isMap(value) || value['version'] !== 1 || !Number.isFinite(value['upkeepAtMs'])) return false;
  const { folders, told } = value;
  if (!Array.isArray(told) || told.length > MAX_TOLD || !told.every((hash) => typeof hash === 'string')) return false;
  return isMap(folders) && Object.values(folders).every(isMark);
}

function isMark(value: unknown): boolean {
  if (!isMap(value) || typeof value['uidValidity'] !== 'string' || !Array.isArray(value['again'])) return false;
  return Number.isSafeInteger(value['uidNext']) && Number.isFinite(value['wholeAtMs']) && value['again'].every(isAgain);
}

function isAgain(value: unknown): boolean {
  if (!isMap(value) || !Number.isSafeInteger(value['uid']) || !Number.isFinite(value['atMs'])) return false;
  return value['why'] === 'taken' || value['why'] === 'left';
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
