/** What the steps of the cycle tell: one event each time something happened that a log or a screen should show. */

/** The four times of a cycle: collect, send, process, dispatch. */
export type CycleTime = 'T0' | 'T1' | 'T2' | 'T3';

export interface CycleEvent {
  time: CycleTime;
  /** `warning`: an administrator should look when there is time. `error`: something does not work. */
  level: 'info' | 'warning' | 'error';
  /** A sentence without personal values. */
  text: string;
  /** It quotes what carries message files, never entries: an administrator needs its addresses, and the log keeps them. */
  quotesNoEntry?: boolean;
  details?: Record<string, unknown>;
}

/** "1 change", "2 changes", "3 entries": for the texts of events. */
export function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}

/** Long work, in passing. */
export interface Progress {
  what: string;
  done: number;
}
