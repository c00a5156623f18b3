/**
 * How much of what is posted the server has in hand at once: requests per sender, octets over all; and how often
 * strangers may try to enrol in a minute, from one address and from all. Checked before a body is read.
 */
import type { Refusal } from './refusal.ts';

export interface LoadLimits {
  /** Posting requests of one sender. */
  maxInFlight: number;
  /** Octets of all that is being received or waits to be spooled. */
  maxBytes: number;
  enrolmentsPerMinute: number;
  enrolmentsPerMinuteAndAddress: number;
}

/** Call it when the octets are no longer held; more than once does no harm. */
export type Release = () => void;

export class Load {
  readonly #limits: LoadLimits;
  readonly #inFlight = new Map<string, number>();
  #bytes = 0;
  /** Address → tries in this minute. */
  readonly #enrolments = new Map<string, number>();
  #allEnrolments = 0;
  #minute = 0;

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /** For one request of a sender. */
  enter(sender: string, bytes: number): Release | Refusal {
    const inFlight = this.#inFlight.get(sender) ?? 0;
    if (inFlight >= this.#limits.maxInFlight) return { status: 429, why: 'too-many', retryAfterS: 1 };
    const release = this.reserve(bytes);
    if (typeof release !== 'function') return release;
    this.#inFlight.set(sender, inFlight + 1);
    return once(() => {
      release();
      const left = (this.#inFlight.get(sender) ?? 1) - 1;
      if (left > 0) this.#inFlight.set(sender, left);
      else this.#inFlight.delete(sender);
    });
  }

  reserve(bytes: number): Release | Refusal {
    if (this.#bytes + bytes > this.#limits.maxBytes) return { status: 503, why: 'busy', retryAfterS: 5 };
    this.#bytes += bytes;
    return once(() => {
      this.#bytes -= bytes;
    });
  }

  /** To guess an invitation is hopeless, and one address cannot keep the others from enrolling. */
  enrol(address: string, nowMs = performance.now()): Refusal | undefined {
    const minute = Math.floor(nowMs / 60_000);
    if (minute !== this.#minute) {
      this.#enrolments.clear();
      this.#allEnrolments = 0;
    }
    this.#minute = minute;
    const { enrolmentsPerMinute, enrolmentsPerMinuteAndAddress } = this.#limits;
    const tries = this.#enrolments.get(address) ?? 0;
    if (tries >= enrolmentsPerMinuteAndAddress || this.#allEnrolments >= enrolmentsPerMinute) {
      return { status: 429, why: 'too-many', retryAfterS: 60 };
    }
    this.#allEnrolments++;
    this.#enrolments.set(address, tries + 1);
    return undefined;
  }
}

function once(work: () => void): Release {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}
