/**
 * Transports that could not be asked for what has arrived: kept in the store, so that `dirpost status` shows it beside a
 * running agent, and written only when it changes.
 *
 *   receive ─▶ failed, worked ─▶ store: uncollected ─▶ status
 */
import type { Clock, DirpostError, Store, StoreTx } from '@dirpost/core';

const DOCUMENT = 'uncollected';

export interface CollectFailure {
  /** Since when every attempt failed. */
  sinceMs: number;
  problem: string;
  /** What helps, where the transport knows. */
  hint: string | null;
  code: DirpostError['code'];
}

/** By name of the transport. */
export type Uncollected = Record<string, CollectFailure>;

export class CollectFailures {
  readonly #store: Store;
  readonly #clock: Clock;
  /** As in the store. */
  #known: Uncollected | null = null;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async failed(transport: string, error: DirpostError): Promise<void> {
    const { message: problem, code } = error;
    const hint = error.hint ?? null;
    const known = await this.#load();
    const before = known[transport];
    if (before?.problem === problem && before.hint === hint && before.code === code) return;
    const sinceMs = before?.sinceMs ?? this.#clock.now();
    await this.#save({ ...known, [transport]: { sinceMs, problem, hint, code } });
  }

  async worked(transport: string): Promise<void> {
    const { [transport]: before, ...others } = await this.#load();
    if (before !== undefined) await this.#save(others);
  }

  async #load(): Promise<Uncollected> {
    this.#known ??= await this.#store.read(loadUncollected);
    return this.#known;
  }

  async #save(failures: Uncollected): Promise<void> {
    await this.#store.transaction((tx) =>
      Object.keys(failures).length === 0 ? tx.removeDocument(DOCUMENT) : tx.putDocument(DOCUMENT, failures),
    );
    this.#known = failures;
  }
}

/** Also beside a running agent. */
export async function loadUncollected(tx: StoreTx): Promise<Uncollected> {
  return (await tx.getDocument<Uncollected>(DOCUMENT)) ?? {};
}
