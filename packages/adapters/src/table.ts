/** A small table in CSV that an administrator wrote (RFC 4180, also with Excel's semicolons and mark), whole in memory. */
import { DirpostError } from '@dirpost/core';

/** Rows by the titles of their columns; cells are trimmed, empty lines left out. Throws DirpostError `wrong-use`. */
export async function parseCsv(text: string): Promise<Record<string, string>[]> {
  const { parse } = await import('csv-parse/sync');
  try {
    return parse(text, { bom: true, columns: true, delimiter: [',', ';', '\t'], skip_empty_lines: true, trim: true });
  } catch (cause) {
    throw new DirpostError('wrong-use', `It is not a table in CSV: ${(cause as Error).message}.`, { cause });
  }
}
