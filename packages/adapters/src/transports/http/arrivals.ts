/**
 * Message files that were posted and wait, in memory, for `collect` to spool them; who posted one gets his answer only
 * then. Bounded in octets, in files per sender and in time, and drained in turn by sender, so that one postoffice which
 * posts much does not hold up the others.
 */

/**
 * `taken`: durably spooled here. `left`: for another incarnation of this postoffice, not taken. `late`: nobody collected
 * it in time. `closed`: this server stops.
 */
export type Fate = 'taken' | 'left' | 'late' | 'closed';

interface Arrival {
  bytes: Uint8Array;
  /** Grows; tells what was there when a drain began. */
  number: number;
  isInHand: boolean;
  settle: (fate: Fate) => void;
}

export class Arrivals {
  readonly #waitMs: number;
  // A Map keeps the order in which senders were added: the first is the next.
  readonly #bySender = new Map<string, Arrival[]>();
  readonly #wakers = new Set<() => void>();
  #number = 0;
  #isClosed = false;

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Message files that wait. */
  get waiting(): number {
    let count = 0;
    for (const arrivals of this.#bySender.values()) count += arrivals.length;
    return count;
  }

  /** `signal`: whoever waits for the answer is gone. The bytes must not change until this resolves. */
  async add(sender: string, bytes: Uint8Array, signal: AbortSignal): Promise<Fate> {
    if (this.#isClosed || signal.aborted) return 'closed';
    return await new Promise<Fate>((resolve) => {
      const gone = () => arrival.settle('closed');
      const timer = setTimeout(() => arrival.settle('late'), this.#waitMs);
      const settle = (fate: Fate) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', gone);
        this.#remove(sender, arrival);
        resolve(fate);
      };
      const arrival: Arrival = { bytes, number: ++this.#number, isInHand: false, settle };
      signal.addEventListener('abort', gone, { once: true });
      this.#bySender.set(sender, [...(this.#bySender.get(sender) ?? []), arrival]);
      for (const wake of this.#wakers) wake();
    });
  }

  /** What came before the call, in turn by sender. What arrives meanwhile waits for the next call, so that it ends. */
  async drain(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    const last = this.#number;
    let taken = 0;
    for (;;) {
      signal.throwIfAborted();
      const next = this.#next(last);
      if (next === undefined) return taken;
      next.isInHand = true;
      let isTaken;
      try {
        isTaken = await spool(next.bytes);
      } finally {
        // A spool that fails leaves it to the next call.
        next.isInHand = false;
      }
      next.settle(isTaken ? 'taken' : 'left');
      if (isTaken) taken++;
    }
  }

  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#wakers.add(wake);
    if (this.waiting > 0) wake();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.#wakers.delete(wake);
  }

  close(): void {
    this.#isClosed = true;
    // Settling replaces the array and does not change it.
    for (const arrivals of this.#bySender.values()) for (const { settle } of arrivals) settle('closed');
  }

  #next(last: number): Arrival | undefined {
    for (const [sender, arrivals] of this.#bySender) {
      const found = arrivals.find(({ isInHand, number }) => !isInHand && number <= last);
      if (found === undefined) continue;
      this.#bySender.delete(sender);
      this.#bySender.set(sender, arrivals);
      return found;
    }
    return undefined;
  }

  #remove(sender: string, arrival: Arrival): void {
    const rest = (this.#bySender.get(sender) ?? []).filter((one) => one !== arrival);
    // Setting what is there keeps the sender's turn.
    if (rest.length > 0) this.#bySender.set(sender, rest);
    else this.#bySender.delete(sender);
  }
}
