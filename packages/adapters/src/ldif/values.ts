/** The value part of a line (RFC 2849 `value-spec`): `: text`, `:: base64`, `:< URL`. */
import { isUtf8 } from 'node:buffer';
import { type LdifPlace, ldifError, shown } from './records.ts';

const SPACE = 32;
const COLON = 58;
const LESS_THAN = 60;
const EQUALS = 61;

/** Reads what a URL names; throws DirpostError `ldif-url` where that is not allowed. */
export type UrlReader = (url: string, place: LdifPlace) => Uint8Array;

/** 0–63 for the characters of base64, 64 for everything else. */
const base64Digits = new Uint8Array(256).fill(64);
Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/').forEach((char, i) => {
  base64Digits[char] = i;
});

/** `colon`: where the first colon of the line stands. */
export function readValue(
  buffer: Buffer,
  colon: number,
  end: number,
  place: LdifPlace,
  readUrl: UrlReader | undefined,
): Uint8Array {
  const kind = colon + 1 < end ? buffer[colon + 1] : SPACE;
  let start = kind === COLON || kind === LESS_THAN ? colon + 2 : colon + 1;
  while (start < end && buffer[start] === SPACE) start++;
  if (kind === COLON) return decodeBase64(buffer, start, end, place);
  if (kind !== LESS_THAN) return buffer.subarray(start, end);
  const url = buffer.toString('utf8', start, end);
  if (readUrl === undefined) {
    throw ldifError(place, `the value is to be read from ${shown(buffer.subarray(start, end))}, which is not allowed`, {
      code: 'ldif-url',
      hint: 'Export the values themselves (base64), or allow a folder from which values may be read.',
    });
  }
  return readUrl(url, place);
}

/** Strict: RFC 4648 §3 without anything that it leaves open. A file that was damaged on its way shall be noticed. */
function decodeBase64(buffer: Buffer, start: number, end: number, place: LdifPlace): Uint8Array {
  const fault = (reason: string) => ldifError(place, `a value in base64 is not valid: ${reason}`);
  const length = end - start;
  let digits = end;
  if (length > 0 && buffer[digits - 1] === EQUALS) digits--;
  if (length > 1 && buffer[digits - 1] === EQUALS) digits--;
  for (let at = start; at < digits; at++) {
    if (base64Digits[buffer[at]!] === 64) {
      throw fault(`${shown(buffer.subarray(at, at + 1))} at character ${at - start + 1} of it does not belong there`);
    }
  }
  if (length % 4 !== 0) throw fault(`it has ${length} characters, which is no multiple of 4`);
  // What the last digit has beyond the last octet is 0: 4 bits before ==, 2 bits before =.
  const spare = end - digits === 2 ? 15 : end - digits === 1 ? 3 : 0;
  if ((base64Digits[buffer[digits - 1]!]! & spare) !== 0 && spare > 0)
    throw fault('its last character cannot be the last');
  return Buffer.from(buffer.toString('latin1', start, end), 'base64');
}

/** A value that is text: a DN, say. */
export function textOf(value: Uint8Array, place: LdifPlace, what: string): string {
  if (!isUtf8(value)) {
    throw ldifError(place, `the ${what} is not UTF-8`, {
      hint: 'LDIF is UTF-8. Export it again, or convert the file.',
    });
  }
  const buffer = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.length);
  return buffer.toString('utf8');
}
