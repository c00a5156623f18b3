/**
 * What was learnt about sizes, kept in <folder>/sizes.json: the SIZE of the own mail server (RFC 1870), and how large a
 * message file may be for a peer where a server on the way, or the one at its end, took less. What is learnt is forgotten
 * after 30 days, since servers are changed; only what limits is written down, nothing that could not be learnt again.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DirpostError } from '@dirpost/core';
import { errnoOf, fileError, makeFolder, writeDurably } from '../../durable-file.ts';

const FILE = 'sizes.json';
/** Parts are not made smaller than that: a server that takes less is not one for message files. */
export const MIN_MESSAGE_BYTES = 256 * 1024;
const FORGET_AFTER_MS = 30 * 24 * 3_600_000;
/** Bounces of several parts of one message come together, and say it once. */
const SETTLE_MS = 10 * 60_000;
const MAX_PEERS = 10_000;

interface Learnt {
  bytes: number;
  /** Milliseconds since 1970. */
  timeMs: number;
}

interface Sizes {
  /** Of a mail, octets, as the server `name` (host:port) announced. */
  server: (Learnt & { name: string }) | null;
  /** Of a message file, octets. */
  peers: Record<string, Learnt>;
}

export interface SizeLimitsOptions {
  folder: string;
  /** host:port of the own mail server: the SIZE of another is of no use. */
  server: string;
  now(): number;
  onProblem(problem: DirpostError): void;
}

export class SizeLimits {
  readonly #options: SizeLimitsOptions;
  readonly #peers: Map<string, Learnt>;
  #server: Learnt | null;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: SizeLimitsOptions) {
    this.#options = options;
    const { server, peers } = read(options);
    this.#server = server !== null && server.name === options.server ? server : null;
    this.#peers = new Map(Object.entries(peers));
  }

  /** Of a mail, octets; null: none is known. */
  get maxMailBytes(): number | null {
    return this.#isFresh(this.#server) ? this.#server.bytes : null;
  }

  /** Of a message file to that peer, octets; null: nothing was learnt. */
  maxMessageBytesTo(peer: string): number | null {
    const learnt = this.#peers.get(peer);
    return this.#isFresh(learnt) ? learnt.bytes : null;
  }

  /** At each connection. `bytes`: null where the server names no SIZE. */
  announced(bytes: number | null): void {
    const known = this.maxMailBytes;
    const timeMs = this.#options.now();
    const isOld = this.#server !== null && !this.#isYoung(this.#server);
    this.#server = bytes === null ? null : { bytes, timeMs: known === bytes && !isOld ? this.#server!.timeMs : timeMs };
    if (known !== bytes || isOld) this.#save();
  }

  /**
   * A message file to that peer was too large. `fileBytes`: its octets; null: not known, then `presentBytes`, what was
   * allowed until now, is what it had. Halved, but not below MIN_MESSAGE_BYTES, and never raised. false: what comes next is
   * not smaller than that file.
   */
  tooLarge(peer: string, fileBytes: number | null, presentBytes: number): boolean {
    const learnt = this.#peers.get(peer);
    const timeMs = this.#options.now();
    if (fileBytes === null && this.#isFresh(learnt) && Math.abs(timeMs - learnt.timeMs) < SETTLE_MS) return true;
    const bytes = Math.min(presentBytes, Math.max(MIN_MESSAGE_BYTES, Math.floor((fileBytes ?? presentBytes) / 2)));
    const isSmaller = bytes < (fileBytes ?? presentBytes);
    // Its time stays, so that what comes back of several parts does not settle anew each time.
    if (!isSmaller && this.#isFresh(learnt) && learnt.bytes === bytes && this.#isYoung(learnt)) return false;
    this.#peers.delete(peer);
    this.#peers.set(peer, { bytes, timeMs });
    if (this.#peers.size > MAX_PEERS) this.#peers.delete(this.#peers.keys().next().value!);
    this.#save();
    return isSmaller;
  }

  /** What was learnt until now is on the disk, or a problem was told. */
  saved(): Promise<void> {
    return this.#saving;
  }

  #isFresh(learnt: Learnt | null | undefined): learnt is Learnt {
    // A time that lies ahead was written before the clock went back.
    return learnt != null && Math.abs(this.#options.now() - learnt.timeMs) <= FORGET_AFTER_MS;
  }

  /** It need not be written anew. */
  #isYoung({ timeMs }: Learnt): boolean {
    return this.#options.now() - timeMs <= FORGET_AFTER_MS / 2;
  }

  #save(): void {
    this.#saving = this.#saving.then(() => this.#write());
  }

  async #write(): Promise<void> {
    const { folder, server, onProblem } = this.#options;
    const peers = Object.fromEntries([...this.#peers].filter(([, learnt]) => this.#isFresh(learnt)));
    const sizes: Sizes = { server: this.#server && { ...this.#server, name: server }, peers };
    try {
      await makeFolder(folder, 0o700);
      await writeDurably(folder, FILE, Buffer.from(`${JSON.stringify(sizes, null, 2)}\n`), { mode: 0o600 });
    } catch (error) {
      // It is learnt again with the next mail that is too large.
      onProblem(fileError(error, `write ${join(folder, FILE)}`));
    }
  }
}

function read({ folder, onProblem }: SizeLimitsOptions): Sizes {
  const path = join(folder, FILE);
  try {
    const sizes: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (isSizes(sizes)) return sizes;
    throw new Error('it is not in the form that dirpost writes; it is made anew');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') onProblem(fileError(error, `read ${path}`));
    return { server: null, peers: {} };
  }
}

function isSizes(value: unknown): value is Sizes {
  if (typeof value !== 'object' || value === null) return false;
  const { server, peers } = value as Record<string, unknown>;
  const isServer = server === null || (isLearnt(server) && typeof (server as { name?: unknown }).name === 'string');
  return isServer && typeof peers === 'object' && peers !== null && Object.values(peers).every(isLearnt);
}

function isLearnt(value: unknown): value is Learnt {
  if (typeof value !== 'object' || value === null) return false;
  const { bytes, timeMs } = value as Record<string, unknown>;
  return Number.isSafeInteger(bytes) && (bytes as number) > 0 && Number.isFinite(timeMs);
}
