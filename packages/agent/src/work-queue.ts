/** The one queue of work of an agent: steps of the cycle and commands never overlap, and come in the order of the calls. */

interface Waiting {
  result: Promise<unknown>;
  /** Of who came first. */
  signal: AbortSignal;
}

export class WorkQueue {
  #last: Promise<unknown> = Promise.resolve();
  readonly #signal: AbortSignal;
  /** Work that is not begun, by its name. */
  readonly #named = new Map<string, Waiting>();

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

  /**
   * As add, for work that does the same as all other of its name: what comes while such work waits is done together with it, once.
   * Where he who came first has gone, the next one's is done.
   */
  async addOnce<T>(name: string, work: () => Promise<T>, signal: AbortSignal = this.#signal): Promise<T> {
    for (;;) {
      const waiting = this.#named.get(name);
      if (waiting === undefined || waiting.signal.aborted) break;
      try {
        return (await waiting.result) as T;
      } catch (error) {
        if (!waiting.signal.aborted || this.#signal.aborted) throw error;
        signal.throwIfAborted();
      }
    }
    const begun = (): void => {
      if (this.#named.get(name) === own) this.#named.delete(name);
    };
    const result = this.add(() => {
      begun();
      return work();
    }, signal);
    const own: Waiting = { result, signal };
    this.#named.set(name, own);
    // One that was given up never begins.
    result.then(begun, begun);
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
