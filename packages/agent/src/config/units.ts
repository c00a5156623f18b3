/** Durations and sizes as people write them: `15m`, `90d`, `8 MiB`. */

const durationUnits: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

export const DURATION_PATTERN = /^(\d{1,9}) ?(ms|s|m|h|d)$/;
export const SIZE_PATTERN = /^(\d{1,12}) ?(B|KiB|MiB|GiB)$/;

/** Milliseconds; undefined where it is none. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(DURATION_PATTERN, durationUnits, text);
}

/** Bytes; undefined where it is none. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(SIZE_PATTERN, sizeUnits, text);
}

function parseQuantity(pattern: RegExp, units: Record<string, number>, text: string): number | undefined {
  const found = pattern.exec(text);
  return found === null ? undefined : Number(found[1]) * units[found[2]!]!;
}
