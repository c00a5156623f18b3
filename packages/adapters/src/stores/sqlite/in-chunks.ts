/**
 * Rows of entries for a scan: entries with photographs are a thousand times as large as others, so that a number of rows
 * bounds no memory.
 */
import type { RawRow } from './connection.ts';

/** Of the first query; each further one takes twice as many. */
const FIRST_ROWS = 64;
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * At most `limit` rows, but no more queries once they are larger than 4 MiB in all; none only where there are none. `fetch`:
 * at most so many, ascending by what stands at `key`, above that. `bytes`: where the entry stands.
 */
export function inChunks(
  after: number,
  limit: number,
  { key, bytes }: { key: number; bytes: number },
  fetch: (after: number, limit: number) => RawRow[],
): RawRow[] {
  const rows: RawRow[] = [];
  let octets = 0;
  let above = after;
  for (let most = FIRST_ROWS; ; most *= 2) {
    const wanted = Math.min(most, limit - rows.length);
    const chunk = fetch(above, wanted);
    for (const row of chunk) {
      rows.push(row);
      octets += (row[bytes] as Uint8Array | null)?.length ?? 0;
    }
    if (chunk.length < wanted || rows.length >= limit || octets > MOST_BYTES) return rows;
    above = chunk.at(-1)![key] as number;
  }
}
