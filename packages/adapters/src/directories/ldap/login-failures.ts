/**
 * How many passwords were wrong of late, for each user (authenticate.ts). An attempt counts as soon as it begins, so that
 * many at once are no way around. Bounded: of users that exist, and, apart from them, of names that nobody has.
 */
export interface LoginLimit {
  /** So many wrong passwords of one user within the window; fewer than the directory allows. */
  failures: number;
  windowMs: number;
}

export interface LoginAttempt {
  /** Above 0: this attempt is one too many, until then. It is not counted. */
  retryAfterMs: number;
  /** It was no failure, nor a success. */
  takeBack(): void;
  /** All earlier failures are forgotten. */
  succeeded(): void;
}

const MAX_USERS = 10_000;
const MAX_STRANGERS = 2_000;

/** Key → times of failures, ascending. In the order of the last failure. */
type Times = Map<string, number[]>;

export class LoginFailures {
  readonly #limit: LoginLimit;
  readonly #nowMs: () => number;
  readonly #users: Times = new Map();
  /** Forgotten first: behind them there is nothing that could be locked. */
  readonly #strangers: Times = new Map();

  constructor(limit: LoginLimit, nowMs: () => number) {
    this.#limit = limit;
    this.#nowMs = nowMs;
  }

  /** How many users and names are remembered. */
  get size(): number {
    return this.#users.size + this.#strangers.size;
  }

  /** `entry`: by which one entry is known however its user spells his name; null: there is none, and `name` counts. */
  begin(entry: string | null, name: string): LoginAttempt {
    const all = entry === null ? this.#strangers : this.#users;
    const key = entry ?? name.normalize('NFKC').trim().toLowerCase();
    const { failures, windowMs } = this.#limit;
    const nowMs = this.#nowMs();
    const times = (all.get(key) ?? []).filter((time) => nowMs - time < windowMs);
    if (times.length >= failures) {
      return { retryAfterMs: times[0]! + windowMs - nowMs, takeBack: () => {}, succeeded: () => {} };
    }
    this.#put(all, key, [...times, nowMs], nowMs);
    return {
      retryAfterMs: 0,
      takeBack: () => this.#takeBack(all, key, nowMs),
      succeeded: () => void all.delete(key),
    };
  }

  #put(all: Times, key: string, times: number[], nowMs: number): void {
    all.delete(key);
    all.set(key, times);
    const most = all === this.#users ? MAX_USERS : MAX_STRANGERS;
    for (const [oldest, last] of all) {
      if (all.size <= most && nowMs - last.at(-1)! < this.#limit.windowMs) return;
      all.delete(oldest);
    }
  }

  #takeBack(all: Times, key: string, time: number): void {
    const times = all.get(key);
    const at = times?.indexOf(time) ?? -1;
    if (times === undefined || at < 0) return;
    times.splice(at, 1);
    if (times.length === 0) all.delete(key);
  }
}
