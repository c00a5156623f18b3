/** Runs one piece of work after another, in the order of the calls; one that fails does not stop the next. */
export class Queue {
  #tail: Promise<unknown> = Promise.resolve();

  add<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all that was added before has ended. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}
