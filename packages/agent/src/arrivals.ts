/**
 * Arrivals while the agent runs: what the transports have becomes durable in the spool, beside all other work. A
 * sender who waits for our word (http) has it as soon as his message file is here, however long a dispatch takes.
 *
 *   watch (folder, long poll) ─┐
 *   every `pollMs` ────────────┴─▶ receive ─▶ spool/incoming ─▶ onArrival: the loop dispatches
 */
import { DirpostError, isDirpostError, type Transport } from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';
import { receive } from './receive.ts';
import { pause, type Timers } from './timers.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

export interface ArrivalOptions {
  timers: Timers;
  pollMs: number;
  /** Called each time that message files may wait in the spool. */
  onArrival(): void;
  /** What nobody expected: the agent ends. */
  onFault(error: unknown): void;
}

export class Arrivals {
  readonly #postoffice: Postoffice;
  readonly #options: ArrivalOptions;
  readonly #signal: AbortSignal;
  /** A transport that does not notice the end of the signal holds nobody up. */
  readonly #stopped: Promise<void>;
  #receiving: Promise<void> | null = null;
  #again = false;

  constructor(postoffice: Postoffice, options: ArrivalOptions, signal: AbortSignal) {
    this.#postoffice = postoffice;
    this.#options = options;
    this.#signal = signal;
    this.#stopped = new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }

  /** Until the signal aborts. */
  async watch(): Promise<void> {
    const watching = this.#postoffice.inbound.map((transport) => this.#keepWatching(transport));
    await Promise.all([this.#poll(), ...watching]);
    await this.#receiving;
  }

  /** Asks the transports, and once more where this comes while they are asked. */
  wake(): void {
    this.#again = true;
    this.#receiving ??= this.#receive().finally(() => {
      this.#receiving = null;
      // Between the last look at the sign and here.
      if (this.#again && !this.#signal.aborted) this.wake();
    });
  }

  async #receive(): Promise<void> {
    const { onArrival, onFault } = this.#options;
    try {
      while (this.#again && !this.#signal.aborted) {
        this.#again = false;
        const taken = await receive(this.#postoffice, this.#signal);
        // Also what a dispatch had to leave: the spool is asked, not only the transports.
        if (taken > 0 || (await this.#postoffice.spool.list('incoming')).length > 0) onArrival();
      }
    } catch (error) {
      if (this.#signal.aborted) return;
      if (!(error instanceof DirpostError)) return onFault(error);
      this.#tell('error', `message files could not be taken into the spool: ${error.message}`, { code: error.code });
    }
  }

  async #poll(): Promise<void> {
    while (!this.#signal.aborted) {
      await pause(this.#options.timers, this.#options.pollMs, this.#signal);
      if (!this.#signal.aborted) this.wake();
    }
  }

  /** A watch that ends or fails is begun again, later and later; told once for each way in which it fails. */
  async #keepWatching(transport: Transport): Promise<void> {
    if (transport.watch === undefined) return;
    const { timers } = this.#options;
    let told: string | null = null;
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#signal.aborted) {
      const sinceMs = timers.now();
      let problem: string | null = null;
      try {
        await Promise.race([transport.watch(() => this.wake(), this.#signal), this.#stopped]);
      } catch (error) {
        if (this.#signal.aborted) return;
        if (!(error instanceof DirpostError)) return this.#options.onFault(error);
        problem = error.message;
      }
      if (this.#signal.aborted) return;
      if (timers.now() - sinceMs > LONGEST_PAUSE_MS) {
        pauseMs = FIRST_PAUSE_MS;
        told = null;
      }
      if (problem !== null && problem !== told) {
        const text = `${transport.name}: arrivals cannot be watched, and are asked for from time to time: ${problem}`;
        this.#tell('warning', text, { transport: transport.name });
        told = problem;
      }
      await pause(timers, pauseMs, this.#signal);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      // What came while nobody watched.
      this.wake();
    }
  }

  #tell(level: 'warning' | 'error', text: string, details: Record<string, unknown>): void {
    this.#postoffice.tell({ time: 'T3', level, text, quotesNoEntry: true, details });
  }
}

interface Failure {
  error: unknown;
  untilMs: number;
  waitMs: number;
}

export interface CollectedInTurn extends Transport {
  /** A person wants it: however often it failed. */
  askAtOnce(): void;
}

/**
 * The transports as the agent uses them: one collects at a time, so that no message file is taken twice by an arrival
 * and a dispatch. One that cannot be reached is left alone for a while, longer and longer, and holds up nothing that
 * comes by the others, unless it delivers or announces something, or a person asks; one that works again after it failed says so.
 */
export function collectingInTurn(
  transport: Transport,
  timers: Timers,
  tellRecovered: (transport: string) => void,
): CollectedInTurn {
  let last: Promise<unknown> = Promise.resolve();
  let failure: Failure | null = null;
  const collect: Transport['collect'] = (spool, signal) => {
    const result = last.then(async () => {
      signal.throwIfAborted();
      if (failure !== null && hasToWait(failure, timers.now())) throw failure.error;
      try {
        const taken = await transport.collect(spool, signal);
        if (failure !== null) tellRecovered(transport.name);
        failure = null;
        return taken;
      } catch (error) {
        const longerMs = Math.min((failure?.waitMs ?? 0) * 2 || FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        const waitMs = isDirpostError(error, 'transport-failed') ? longerMs : 0;
        failure = { error, untilMs: timers.now() + waitMs, waitMs };
        throw error;
      }
    });
    last = result.catch(() => {});
    return result;
  };
  const waitNoLonger = (): void => {
    if (failure !== null) failure.waitMs = 0;
  };
  const watch: Transport['watch'] = transport.watch && ((wake, signal) => transport.watch!(announced(wake), signal));
  const announced = (wake: () => void) => () => {
    waitNoLonger();
    wake();
  };
  return {
    name: transport.name,
    // It may become smaller.
    get maxMessageBytes() {
      return transport.maxMessageBytes;
    },
    ...(transport.maxMessageBytesTo && { maxMessageBytesTo: (to: string) => transport.maxMessageBytesTo!(to) }),
    async deliver(file, signal) {
      await transport.deliver(file, signal);
      waitNoLonger();
    },
    collect,
    askAtOnce: waitNoLonger,
    ...(watch && { watch }),
  };
}

/** A wait that is longer than it was thought to be was so before the clock went back. */
function hasToWait({ untilMs, waitMs }: Failure, nowMs: number): boolean {
  return untilMs > nowMs && untilMs - nowMs <= waitMs;
}
