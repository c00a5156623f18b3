/**
 * Values ⇄ cells. Spreadsheets and those who write for them have habits that change a value: an apostrophe or ="…"
 * before digits whose zeros shall stay, spaces that nobody sees. What we write ourselves is read back exactly.
 *
 *   'REST            REST as it stands, where an apostrophe has a reason: digits, = + - @, spaces, another apostrophe
 *   ="00123"         00123
 *   base64:OCTETS    octets, where a value is no text or cannot stand in a cell
 *   anything else    without the spaces at its ends, also non-breaking ones
 */
import { isUtf8 } from 'node:buffer';

const BASE64 = 'base64:';
/** A cell that begins so can be a formula, which runs on the machine of whoever opens the file. */
const formula = /^[=+\-@\t\r\n]/;
/** Names such as 's-Gravenhage and 't Hooft keep theirs. */
const protectedByApostrophe = /^['=+\-@\s\d]|^base64:|\s$/;
const asFormulaText = /^="((?:[^"]|"")*)"$/;
const notForCells = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/;
/** 4.79123E+10, as a spreadsheet shows a number that it thinks too long. */
const shortened = /^\d[.,]?\d*E\+\d+$/i;

/** The values of a cell; none for an empty one. `separator`: undefined where the cell is one value. */
export function readCell(cell: string, separator: string | undefined): Uint8Array[] {
  if (cell === '') return [];
  const parts = separator === undefined || !cell.includes(separator) ? [cell] : cell.split(separator);
  const values: Uint8Array[] = [];
  for (const part of parts) {
    const value = understand(part);
    if (typeof value !== 'string') values.push(value);
    else if (value !== '') values.push(Buffer.from(value));
  }
  return values;
}

function understand(text: string): string | Uint8Array {
  const first = text.charCodeAt(0);
  const start = first > 0x20 && first < 0x80 ? text : text.trimStart();
  if (start.startsWith("'") && protectedByApostrophe.test(start.slice(1))) return start.slice(1);
  const value = start.trimEnd();
  if (value.startsWith('="')) return asFormulaText.exec(value)?.[1]?.replaceAll('""', '"') ?? value;
  if (value.startsWith(BASE64)) return decodeBase64(value.slice(BASE64.length)) ?? value;
  return value;
}

function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

export function looksShortened(cell: string): boolean {
  return shortened.test(cell);
}

export interface CellStyle {
  separator: string;
  /** Whether values that look like formulas stand as they are. */
  keepFormulas: boolean;
}

export function writeCell(values: Uint8Array[], style: CellStyle): string {
  return values.map((value, i) => writeValue(value, i === 0, style)).join(style.separator);
}

function writeValue(value: Uint8Array, first: boolean, { separator, keepFormulas }: CellStyle): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const inBase64 = BASE64 + bytes.toString('base64');
  if (bytes.length === 0 || !isUtf8(bytes)) return inBase64;
  const text = bytes.toString('utf8');
  if (notForCells.test(text) || text.includes(separator)) return inBase64;
  const inert = !first || keepFormulas || !formula.test(text);
  if (inert && understand(text) === text) return text;
  return understand(`'${text}`) === text ? `'${text}` : inBase64;
}
