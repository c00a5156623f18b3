/** How a CSV file separates its cells, found in its beginning. */

/** In the order of preference where several fit: a comma stands in texts more often than a semicolon. */
const candidates = ['\t', ';', ',', '|'];
const LOOKED_AT_RECORDS = 20;

export interface Dialect {
  delimiter: string;
  /** Octets of the line "sep=;" that Excel understands, with its line end; 0 where there is none. */
  skipBytes: number;
}

/** `head`: the beginning of the file. `wanted`: what the configuration says. `separator`: stands inside cells. */
export function findDialect(head: string, wanted: string | undefined, separator: string | undefined): Dialect {
  const said = /^"?sep=([^\r\n"])"?(?:\r\n|\n|\r)/i.exec(head);
  if (said !== null) return { delimiter: said[1]!, skipBytes: Buffer.byteLength(said[0]) };
  return { delimiter: wanted ?? likelyDelimiter(head, separator), skipBytes: 0 };
}

function likelyDelimiter(head: string, separator: string | undefined): string {
  const records = countInRecords(head);
  let best = { delimiter: ',', fitting: 0, columns: 0 };
  for (const [i, delimiter] of candidates.entries()) {
    const columns = records[0]?.[i] ?? 0;
    if (columns === 0 || delimiter === separator) continue;
    const fitting = records.filter((counts) => counts[i] === columns).length;
    if (fitting > best.fitting || (fitting === best.fitting && columns > best.columns)) {
      best = { delimiter, fitting, columns };
    }
  }
  return best.delimiter;
}

/** How often each candidate stands outside of quotes, in the first records. */
function countInRecords(head: string): number[][] {
  const records: number[][] = [];
  let counts = candidates.map(() => 0);
  let inQuotes = false;
  for (const char of head) {
    if (char === '"') inQuotes = !inQuotes;
    else if (inQuotes) continue;
    else if (char === '\n' || char === '\r') {
      // The second half of CRLF, and empty lines.
      if (counts.some((count) => count > 0)) records.push(counts);
      if (records.length === LOOKED_AT_RECORDS) return records;
      counts = candidates.map(() => 0);
    } else {
      const i = candidates.indexOf(char);
      if (i >= 0) counts[i]!++;
    }
  }
  if (records.length === 0) records.push(counts);
  return records;
}
