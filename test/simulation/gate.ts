/**
 * Where a postoffice can be killed: every store, spool, transport and directory operation of one life passes the gate,
 * before and after it takes effect. After the crash nothing that the dead life still tries has an effect.
 */

/** No DirpostError, so that nothing in the code under test can take it for an expected failure. */
export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash';
}

export class Gate {
  dead = false;
  /** Operations that are still let through; null: no crash is planned. */
  #left: number | null = null;

  /** The `operations`-th operation from now on is the last. */
  arm(operations: number | null): void {
    this.#left = operations;
  }

  get armed(): boolean {
    return this.#left !== null;
  }

  pass(what: string): void {
    if (this.dead) throw new SimulatedCrash(`${what} after the crash`);
    if (this.#left === null || this.#left-- > 0) return;
    this.dead = true;
    throw new SimulatedCrash(what);
  }
}
