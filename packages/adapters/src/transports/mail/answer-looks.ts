/**
 * Who has just sent what is answered at once looks for the answer himself for a moment: a mail server may keep what it
 * tells in IDLE for a while (Dovecot half a second). What comes later is told by IDLE.
 *
 *   expect() ── 0.1 s ─▶ look ── 0.13 s ─▶ look ── 0.17 s ─▶ … look, after 2 s for the last time
 */
import { setTimeout as pause } from 'node:timers/promises';

const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 500;
const FACTOR = 1.3;

export class AnswerLooks {
  readonly #look: () => Promise<void>;
  readonly #signal: AbortSignal;
  #isLooking = false;

  /** Where `look` fails nobody looks any more, until the next time. `signal` ends it. */
  constructor(look: () => Promise<void>, signal: AbortSignal) {
    this.#look = look;
    this.#signal = signal;
  }

  /** Looks that have begun are not begun anew, so that one who sends all the time does not look all the time. */
  expect(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#run()
      // IDLE tells it, or the watch says why not.
      .catch(() => {})
      .finally(() => (this.#isLooking = false));
  }

  async #run(): Promise<void> {
    for (let waitMs = FIRST_WAIT_MS; waitMs <= LAST_WAIT_MS; waitMs *= FACTOR) {
      await pause(waitMs, undefined, { signal: this.#signal, ref: false });
      await this.#look();
    }
  }
}
