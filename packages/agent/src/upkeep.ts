/**
 * After dispatches but not after each: forgetting what nobody needs any more (tombstones that every requestor has
 * acknowledged, design rule 4; processed message files in the spool; what came back by mail long ago; older keys), and counting
 * duplicates for the status.
 */
import { purge } from '@dirpost/core';
import { destroyOlderKeys } from './announcing.ts';
import { recountDuplicates } from './duplicates.ts';
import type { Postoffice } from './postoffice.ts';
import { pruneDone } from './spool.ts';

export interface UpkeepOptions {
  /** How much of what was processed stays in the spool. */
  maxAgeMs: number;
  maxFiles: number;
  /** It looks at every requestor and every file kept, so it waits so long in between. */
  everyMs: number;
  countsDuplicates: boolean;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #lastMs: number | null = null;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  async run(postoffice: Postoffice): Promise<void> {
    const { store, spool, clock, server, bounces } = postoffice;
    const { everyMs, countsDuplicates } = this.#options;
    const nowMs = clock.now();
    const sinceMs = nowMs - (this.#lastMs ?? nowMs - everyMs);
    // Below 0 the clock went back meanwhile.
    if (sinceMs >= 0 && sinceMs < everyMs) return;
    this.#lastMs = nowMs;
    if (server !== null) await store.transaction((tx) => purge(tx, server));
    await pruneDone(spool, nowMs, this.#options);
    await bounces?.forgetOld();
    await destroyOlderKeys(postoffice);
    if (countsDuplicates) await recountDuplicates(postoffice);
  }
}
