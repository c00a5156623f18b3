/**
 * When something is meant to happen: by a cron expression, or once in a period at a time that a name gives. Both look
 * at a clock on the wall of a zone, and come out right when that clock is set forward or back.
 *
 * node-cron reads and checks the expressions and says which days match. Its own next runs are not used: they always
 * start from the system's clock, which a test cannot drive, and a time that falls into the gap of spring is left out
 * for that day, where ours comes right after the gap.
 */
import { createHash } from 'node:crypto';
import cron from 'node-cron';
import { DAY_MS, HOUR_MS, MINUTE_MS, modulo, SECOND_MS, type Zone } from './zone.ts';

export interface Occurrences {
  /** The first one after that moment; null: there is none in this age. */
  next(afterMs: number): number | null;
}

/** 29 February on a given weekday comes every 28 years, but for the turn of some centuries. */
const MAX_DAYS = 366 * 41;
const HOURS_OF_DAY = 24;

/** Throws Error for an expression that node-cron refuses. */
export function cronOccurrences(expression: string, zone: Zone): Occurrences {
  const walls = cronWalls(expression);
  const { hour } = cron.parse(expression);
  // What runs in every hour runs by the time that passes: also in both of the hours that have one name.
  return hour.length === HOURS_OF_DAY ? hourly(walls, zone) : daily(walls, zone);
}

/**
 * At an offset that the name gives. Whole days count from midnight of the wall, others from 1970-01-01T00:00Z: a
 * time every 6 hours then does not move when clocks are set. `span` (ms of a day, from `start`): only there.
 */
export function periodicOccurrences(
  periodMs: number,
  name: string,
  zone: Zone,
  span = { startMs: 0, lengthMs: DAY_MS },
): Occurrences {
  const spread = createHash('sha256').update(name).digest().readUIntBE(0, 6);
  if (periodMs % DAY_MS !== 0) {
    const offsetMs = spread % periodMs;
    return { next: (afterMs) => afterMs + periodMs - modulo(afterMs - offsetMs, periodMs) };
  }
  const timeOfDayMs = (span.startMs + (spread % span.lengthMs)) % DAY_MS;
  const firstMs = (Math.floor(spread / DAY_MS) % (periodMs / DAY_MS)) * DAY_MS + wholeSecond(timeOfDayMs);
  return daily({ next: (afterMs) => afterMs + periodMs - modulo(afterMs - firstMs, periodMs) }, zone);
}

function wholeSecond(timeMs: number): number {
  return timeMs - (timeMs % SECOND_MS);
}

/** Each time of the wall once, whatever is done to the clock; those of a gap together, right after it. */
function daily(walls: Occurrences, zone: Zone): Occurrences {
  return {
    next(afterMs) {
      // Moments never go back where times of the wall go forward, so the first later one is the next.
      for (let wallMs = walls.next(zone.wallAt(afterMs)); wallMs !== null; wallMs = walls.next(wallMs)) {
        const atMs = zone.momentOf(wallMs);
        if (atMs > afterMs) return atMs;
      }
      return null;
    },
  };
}

/** By the time that passes: what falls into a gap does not come, what has two times comes twice. */
function hourly(walls: Occurrences, zone: Zone): Occurrences {
  return {
    next(afterMs) {
      let offsetMs = zone.wallAt(afterMs) - afterMs;
      let fromMs = afterMs;
      for (;;) {
        const wallMs = walls.next(fromMs + offsetMs);
        if (wallMs === null) return null;
        const atMs = wallMs - offsetMs;
        if (zone.wallAt(atMs) === wallMs) return atMs;
        fromMs = lastBeforeChange(zone, fromMs, atMs, offsetMs);
        offsetMs = zone.wallAt(fromMs + 1) - (fromMs + 1);
      }
    },
  };
}

/** The last moment with that offset; `high` has another. */
function lastBeforeChange(zone: Zone, low: number, high: number, offsetMs: number): number {
  let [before, after] = [low, high];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (zone.wallAt(middle) - middle === offsetMs) before = middle;
    else after = middle;
  }
  return before;
}

/** The times of the wall that an expression names, as if clocks were never set. */
function cronWalls(expression: string): Occurrences {
  const { hour, minute, second } = cron.parse(expression);
  const timesMs = { hour: ascending(hour), minute: ascending(minute), second: ascending(second) };
  const firstMs = timesMs.hour[0]! * HOUR_MS + timesMs.minute[0]! * MINUTE_MS + timesMs.second[0]! * SECOND_MS;
  const task = cron.createTask(expression, () => {}, { timezone: 'UTC' });
  return {
    next(afterMs) {
      let dayMs = afterMs - modulo(afterMs, DAY_MS);
      for (let days = 0; days < MAX_DAYS; days++, dayMs += DAY_MS) {
        if (!task.match(new Date(dayMs + firstMs))) continue;
        const timeMs = firstTime(timesMs, afterMs - dayMs);
        if (timeMs !== null) return dayMs + timeMs;
      }
      return null;
    },
  };
}

/** Of a day; later than `afterMs`. */
function firstTime(times: Record<'hour' | 'minute' | 'second', number[]>, afterMs: number): number | null {
  for (const hour of times.hour) {
    if ((hour + 1) * HOUR_MS <= afterMs) continue;
    for (const minute of times.minute) {
      const minuteMs = hour * HOUR_MS + minute * MINUTE_MS;
      if (minuteMs + MINUTE_MS <= afterMs) continue;
      const second = times.second.find((one) => minuteMs + one * SECOND_MS > afterMs);
      if (second !== undefined) return minuteMs + second * SECOND_MS;
    }
  }
  return null;
}

function ascending(numbers: number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}
