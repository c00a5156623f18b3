/**
 * The header of a CSV file. Columns are called as they are called there; case, kinds of spaces and the two ways in which
 * Unicode writes an umlaut do not count.
 */
import { DirpostError } from '@dirpost/core';

const MAX_COLUMNS = 1_000;
const MAX_TOLD = 40;

/** A column's name as it is compared, and as core looks it up. */
export function foldColumn(title: string): string {
  return title.normalize('NFC').replaceAll(/\s+/gu, ' ').trim().toLowerCase();
}

/** A column that is needed, and what for: "the key". */
export interface WantedColumn {
  title: string;
  use: string;
}

export class Header {
  /** Folded; empty for a column without a header. */
  readonly names: string[];
  readonly titles: string[];

  /** Throws DirpostError where a column is there twice or one that is needed is not. */
  constructor(path: string, cells: string[], wanted: WantedColumn[]) {
    const last = cells.findLastIndex((cell) => cell.trim() !== '');
    this.titles = cells.slice(0, last + 1).map((cell) => cell.replaceAll(/\s+/gu, ' ').trim());
    this.names = this.titles.map(foldColumn);
    const fault = (text: string, hint?: string) =>
      new DirpostError('directory-failed', text, {
        retry: 'operator',
        context: { path },
        ...(hint === undefined ? {} : { hint }),
      });
    if (this.names.length > MAX_COLUMNS) throw fault(`${path} has more than ${MAX_COLUMNS} columns.`);
    for (const [i, name] of this.names.entries()) {
      const first = this.names.indexOf(name);
      if (name === '' || first === i) continue;
      const where = `as column ${first + 1} and as column ${i + 1}`;
      throw fault(
        `${path} has the column ${quoted(this.titles[i]!)} twice: ${where}.`,
        'Rename or delete one of them.',
      );
    }
    for (const { title, use } of wanted) {
      if (this.indexOf(title) >= 0) continue;
      throw fault(`${path} has no column ${quoted(title)}, which is ${use}. ${this.#told()}`, this.#hint(title));
    }
  }

  /** −1 where there is none. */
  indexOf(title: string): number {
    return this.names.indexOf(foldColumn(title));
  }

  #told(): string {
    const titles = this.titles.filter((title) => title !== '').map(quoted);
    const more = titles.length > MAX_TOLD ? ` and ${titles.length - MAX_TOLD} more` : '';
    if (titles.length === 0) return 'Its first line is empty.';
    return `In its first line stand ${titles.slice(0, MAX_TOLD).join(', ')}${more}.`;
  }

  #hint(title: string): string {
    const name = foldColumn(title);
    const ranked = this.names
      .map((other, i) => ({ title: this.titles[i]!, distance: distanceOf(other, name) }))
      .toSorted((a, b) => a.distance - b.distance);
    const [nearest] = ranked;
    if (nearest !== undefined && nearest.distance <= Math.max(1, name.length / 3)) {
      return `Did you mean ${quoted(nearest.title)}?`;
    }
    if (this.names.length === 1) return 'There is only one column: is `delimiter` right?';
    return 'The first line must be the header. Give the name of a column as it stands there.';
  }
}

function quoted(title: string): string {
  const shown = title.length > 60 ? `${title.slice(0, 60)}…` : title;
  return JSON.stringify(shown);
}

/** Letters to change to make one of the other (Levenshtein); what is no letter or digit does not count. */
function distanceOf(a: string, b: string): number {
  const [from, to] = [a, b].map((text) => [...text.replaceAll(/[^\p{L}\p{N}]/gu, '')].slice(0, 60));
  let row = Array.from({ length: to!.length + 1 }, (_, j) => j);
  for (const [i, char] of from!.entries()) {
    const next = [i + 1];
    for (const [j, other] of to!.entries()) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (char === other ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1)!;
}
