/** Lengths of time as people say them, for screens: "40 s", "14 min", "3 h", "12 days". */

const UNITS: [name: string, ms: number][] = [
  ['days', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** The largest unit of which there are at least two, or seconds; clocks that disagree give no negative time. */
export function elapsed(ms: number): string {
  const [name, unit] = UNITS.find(([, unitMs]) => ms >= 2 * unitMs) ?? UNITS.at(-1)!;
  return `${Math.max(0, Math.floor(ms / unit))} ${name}`;
}

export function ago(ms: number | null, nowMs: number): string {
  return ms === null || ms === 0 ? 'never' : `${elapsed(nowMs - ms)} ago`;
}
