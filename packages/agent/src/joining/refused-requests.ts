/**
 * Requests that a listening transport turned away before it read them: unknown, suspended, or without the right key. Anybody
 * can make thousands of them in a second, so they are gathered in memory and counted in the store together, now and then.
 */
import { DirpostError, type Store } from '@dirpost/core';
import type { CycleEvent } from '../events.ts';
import type { Peers } from '../peers.ts';
import { countRefused } from './refused-senders.ts';

const WRITE_AFTER_MS = 10_000;
const MAX_NAMES = 1_000;

/** The other reasons say nothing of who somebody is. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['unknown-sender', 'not known here, suspended, or without the key of that name'],
  ['bad-signature', 'a signature does not hold'],
  ['wrong-sender', 'a message file of somebody else'],
  ['replayed', 'a request came twice'],
  ['not-a-message', 'what it posted is no message file'],
]);

interface Counted {
  count: number;
  why: string;
  firstMs: number;
  lastMs: number;
}

export interface RefusedRequestsOptions {
  store: Pick<Store, 'transaction'>;
  peers: Pick<Peers, 'get'>;
  tell: (event: CycleEvent) => void;
  now?: () => number;
}

export class RefusedRequests {
  readonly #options: RefusedRequestsOptions;
  readonly #now: () => number;
  #counted = new Map<string, Counted>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RefusedRequestsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => Date.now());
  }

  /** `name`: as stated, believed of nobody. */
  note(name: string | null, reason: string): void {
    const why = WORDS.get(reason);
    if (name === null || why === undefined) return;
    const before = this.#counted.get(name);
    if (before === undefined && this.#counted.size >= MAX_NAMES) return;
    const nowMs = this.#now();
    const { count, firstMs } = before ?? { count: 0, firstMs: nowMs };
    this.#counted.set(name, { count: count + 1, why, firstMs, lastMs: nowMs });
    this.#timer ??= setTimeout(() => void this.write(), WRITE_AFTER_MS).unref();
  }

  /** Never throws: a store that fails is told by the work that needs it. */
  async write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { store, tell } = this.#options;
    const counted = [...this.#counted].filter(([name, { firstMs }]) => !this.#joinedMeanwhile(name, firstMs));
    this.#counted = new Map();
    if (counted.length === 0) return;
    try {
      await store.transaction(async (tx) => {
        for (const [name, { count, why, lastMs }] of counted) await countRefused(tx, name, why, lastMs, count);
      });
    } catch (error) {
      if (!(error instanceof DirpostError)) throw error;
      const text = `refused requests could not be counted: ${error.message}`;
      return tell({ time: 'T2', level: 'warning', text, details: { code: error.code } });
    }
    // The same words each time, so that the log has them once an hour, however many there are.
    const text = 'http: requests were refused; who, how often and why: dirpost requestor list';
    tell({ time: 'T2', level: 'warning', text, details: { names: counted.length } });
  }

  /** Whoever joins asks for his answer before he is known. */
  #joinedMeanwhile(name: string, firstMs: number): boolean {
    const { joinedAtMs, suspended } = this.#options.peers.get(name) ?? {};
    return suspended !== true && joinedAtMs !== undefined && joinedAtMs >= firstMs;
  }
}
