/** How many mails a minute and how many connections at once a mail server gets from us. First come, first served. */
import { submissionFailed } from './smtp-failures.ts';

const MINUTE_MS = 60_000;

export interface PaceClock {
  /** Milliseconds, of any beginning, never going back. */
  now(): number;
  /** Throws the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** No minute, whenever it begins, has more than that many mails. */
export class Pace {
  readonly #perMinute: number | null;
  readonly #longestWaitMs: number;
  readonly #server: string;
  readonly #clock: PaceClock;
  /** Times of mails, the newest last; those ahead are waited for. */
  readonly #times: number[] = [];

  constructor(perMinute: number | null, longestWaitMs: number, server: string, clock: PaceClock) {
    this.#perMinute = perMinute;
    this.#longestWaitMs = longestWaitMs;
    this.#server = server;
    this.#clock = clock;
  }

  /** Resolves when a mail may go. Throws `transport-failed` at once where that is too far ahead. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const perMinute = this.#perMinute;
    if (perMinute === null) return;
    const now = this.#clock.now();
    while (this.#times.length > 0 && this.#times[0]! <= now - MINUTE_MS) this.#times.shift();
    const before = this.#times.at(-perMinute);
    const waitMs = this.#times.length < perMinute || before === undefined ? 0 : before + MINUTE_MS - now;
    if (waitMs > this.#longestWaitMs) throw this.#tooMany(perMinute, waitMs);
    const time = now + waitMs;
    this.#times.push(time);
    try {
      if (waitMs > 0) await this.#clock.sleep(waitMs, signal);
    } catch (error) {
      const at = this.#times.lastIndexOf(time);
      if (at >= 0) this.#times.splice(at, 1);
      throw error;
    }
  }

  #tooMany(perMinute: number, waitMs: number) {
    const retryAfterS = Math.ceil(waitMs / 1000);
    const message = `The mail server ${this.#server} gets ${perMinute} mails a minute, and as many are waiting already.`;
    const hint = `It is this mail's turn in about ${retryAfterS} seconds.`;
    return submissionFailed(message, 'later', hint, { server: this.#server, retryAfterS });
  }
}

/** So many at once, the others wait in turn. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves to what gives the slot back; it may be called once. Throws the signal's reason when it aborts. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(turn);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}
