/**
 * Forgetting what nobody needs any more, after dispatches but not after each: tombstones that every requestor has
 * acknowledged (design rule 4), processed message files in the spool, and what came back by mail long ago.
 */
import { purge } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';
import { pruneDone } from './spool.ts';

export interface UpkeepOptions {
  /** How much of what was processed stays in the spool. */
  maxAgeMs: number;
  maxFiles: number;
  /** It looks at every requestor and every file kept, so it waits so long in between. */
  everyMs: number;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #lastMs: number | null = null;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  async run({ store, spool, clock, server, bounces }: Postoffice): Promise<void> {
    const { everyMs } = this.#options;
    const nowMs = clock.now();
    const sinceMs = nowMs - (this.#lastMs ?? nowMs - everyMs);
    // Below 0 the clock went back meanwhile.
    if (sinceMs >= 0 && sinceMs < everyMs) return;
    this.#lastMs = nowMs;
    if (server !== null) await store.transaction((tx) => purge(tx, server));
    await pruneDone(spool, nowMs, this.#options);
    await bounces?.forgetOld();
  }
}
