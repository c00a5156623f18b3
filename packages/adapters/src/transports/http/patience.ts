/** How often, and after which pause, a client tries again on a line that is cut. What made progress begins to count anew. */
import { setTimeout as pause } from 'node:timers/promises';
import { isPassing, MAX_PASSING_S } from './failures.ts';

const MAX_FAILURES = 4;

export class Patience {
  readonly #retryMs: number;
  readonly #signal: AbortSignal;
  #failures = 0;

  constructor(retryMs: number, signal: AbortSignal) {
    this.#retryMs = retryMs;
    this.#signal = signal;
  }

  progress(): void {
    this.#failures = 0;
  }

  /** Resolves when it is time for another attempt; throws the error where that is of no use. */
  async after(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    if (!isPassing(error) || ++this.#failures > MAX_FAILURES) throw error;
    const { retryAfterS } = error.context as { retryAfterS?: number };
    const askedMs = Math.min(retryAfterS ?? 0, MAX_PASSING_S) * 1000;
    await sleep(Math.max(askedMs, this.#retryMs * 2 ** (this.#failures - 1)), this.#signal);
  }
}

/** Throws the signal's reason when it aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await pause(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
