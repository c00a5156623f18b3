/**
 * Wall clocks: what a clock on the wall of an IANA zone shows, as milliseconds since 1970-01-01T00:00 of that clock, and
 * back. Where clocks are set forward some times of the wall never come; where they are set back some come twice.
 */

export interface Zone {
  readonly name: string;
  wallAt(atMs: number): number;
  /** The first moment at which the wall shows this time or a later one: of two the first, of none the end of the gap. */
  momentOf(wallMs: number): number;
}

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** Throws RangeError for a name that is no zone. Without one: the zone of the machine. */
export function openZone(name: string = new Intl.DateTimeFormat().resolvedOptions().timeZone): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const wallAt = (atMs: number): number => {
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(atMs)) parts[type] = Number(value);
    const wallMs = Date.UTC(parts['year']!, parts['month']! - 1, parts['day'], parts['hour'], parts['minute']);
    return wallMs + parts['second']! * SECOND_MS + modulo(atMs, SECOND_MS);
  };
  const momentOf = (wallMs: number): number => {
    // No zone is set forward or back twice within two days.
    const before = wallMs - (wallAt(wallMs - DAY_MS) - (wallMs - DAY_MS));
    const after = wallMs - (wallAt(wallMs + DAY_MS) - (wallMs + DAY_MS));
    const fitting = [before, after].filter((atMs) => wallAt(atMs) === wallMs);
    return fitting.length > 0 ? Math.min(...fitting) : endOfGap(wallAt, wallMs, after, before);
  };
  return { name, wallAt, momentOf };
}

/** The wall shows less than `wallMs` at `low` and more at `high`. */
function endOfGap(wallAt: (atMs: number) => number, wallMs: number, low: number, high: number): number {
  let [below, above] = [low, high];
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2);
    if (wallAt(middle) >= wallMs) above = middle;
    else below = middle;
  }
  return above;
}

/** Never negative, unlike %. */
export function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
