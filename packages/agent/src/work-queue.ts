/** The one queue of work of an agent: steps of the cycle and commands never overlap, and come in the order of the calls. */

export class WorkQueue {
  #last: Promise<unknown> = Promise.resolve();
  readonly #signal: AbortSignal;

  /** After `signal` nothing more is begun: what waits is rejected with its reason. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** `signal`: gives the place in the queue up. */
  async add<T>(work: () => Promise<T>, signal: AbortSignal = this.#signal): Promise<T> {
    const before = this.#last;
    const result = before.then(async () => {
      this.#signal.throwIfAborted();
      signal.throwIfAborted();
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  /** Resolves when nothing is being done and nothing waits. */
  async idle(): Promise<void> {
    for (let last; last !== this.#last; ) {
      last = this.#last;
      await last;
    }
  }
}
