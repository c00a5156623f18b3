/** A clock that a test drives: timers fire when the test lets their time come, in their order. */
import type { Timers } from '../../packages/agent/src/timers.ts';

interface Waiting {
  atMs: number;
  fn: () => void;
}

export class DrivenTimers implements Timers {
  nowMs: number;
  readonly waiting = new Set<Waiting>();

  constructor(now: string) {
    this.nowMs = Date.parse(now);
  }

  now(): number {
    return this.nowMs;
  }

  setTimer(ms: number, fn: () => void): () => void {
    const one = { atMs: this.nowMs + ms, fn };
    this.waiting.add(one);
    return () => void this.waiting.delete(one);
  }

  /** To the next timer, at most to `untilMs`; false when there was none before. */
  step(untilMs: number): boolean {
    const [first] = [...this.waiting].sort((a, b) => a.atMs - b.atMs);
    if (first === undefined || first.atMs > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      return false;
    }
    this.waiting.delete(first);
    this.nowMs = Math.max(this.nowMs, first.atMs);
    first.fn();
    return true;
  }
}
