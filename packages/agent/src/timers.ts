/** Time for what runs by itself: the clock and the waiting, so that tests can drive both. */

export interface Timers {
  now(): number;
  /** Calls `fn` once, that many ms from now, unless it is cancelled. */
  setTimer(ms: number, fn: () => void): () => void;
}

/** setTimeout takes no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemTimers: Timers = {
  now: () => Date.now(),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, Math.min(Math.max(0, ms), MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after that time, or as soon as the signal aborts. */
export function pause(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = timers.setTimer(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
