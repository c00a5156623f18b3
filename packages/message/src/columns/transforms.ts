/**
 * How one attribute's value appears in another's: in lower case, without accents, escaped for a DN (format.md,
 * "Transforms"). Defined on octets and by tables of its own, so that no version of Unicode can change what a message says.
 */
import type { Octets } from './octets.ts';

export const SAME = 0;
export const LOWER = 1;
export const FOLD = 2;
export const FOLD_NATIONAL = 3;
export const FOLD_LETTERS = 4;
export const NATIONAL_LETTERS = 5;
export const FOLD_DOTS = 6;
export const FOLD_HYPHENS = 7;
export const FIRST_WORD = 8;
export const LAST_WORD = 9;
export const DN_ESCAPED = 10;
export const TRANSFORM_COUNT = 11;

/** What the letters U+00C0 … U+017F become without accents. */
const folded = (
  'a a a a a a ae c e e e e i i i i d n o o o o o x o u u u u y th ss ' +
  'a a a a a a ae c e e e e i i i i d n o o o o o - o u u u u y th y ' +
  'a a a a a a c c c c c c c c d d d d e e e e e e e e e e g g g g g g g g h h h h i i i i i i i i i i ij ij j j k k k ' +
  'l l l l l l l l l l n n n n n n n n n o o o o o o oe oe r r r r r r s s s s s s s s t t t t t t u u u u u u u u u u u u ' +
  'w w y y y z z z z z z s'
).split(' ');

const nationalForms: Record<number, string> = {
  0xc4: 'ae',
  0xc5: 'aa',
  0xd6: 'oe',
  0xd8: 'oe',
  0xdc: 'ue',
  0xe4: 'ae',
  0xe5: 'aa',
  0xf6: 'oe',
  0xf8: 'oe',
  0xfc: 'ue',
};

/** The same letters as German and the Nordic languages write them out. */
const national = folded.map((plain, i) => nationalForms[0xc0 + i] ?? plain);

/** `"` `+` `,` `;` `<` `>` `\\` */
const DN_SPECIAL = new Set([0x22, 0x2b, 0x2c, 0x3b, 0x3c, 0x3e, 0x5c]);

/** Appends at most `take` octets of the transformed value (all with 0). */
export function appendTransformed(
  out: Octets,
  bytes: Uint8Array,
  start: number,
  end: number,
  transform: number,
  take: number,
): void {
  const from = out.length;
  switch (transform) {
    case SAME:
      out.raw(bytes, start, end);
      break;
    case LOWER:
      appendLower(out, bytes, start, end);
      break;
    case DN_ESCAPED:
      appendDnEscaped(out, bytes, start, end);
      break;
    case FIRST_WORD:
      appendFolded(out, bytes, start, firstWordEnd(bytes, start, end), FOLD);
      break;
    case LAST_WORD:
      appendFolded(out, bytes, lastWordStart(bytes, start, end), end, FOLD);
      break;
    default:
      appendFolded(out, bytes, start, end, transform);
  }
  if (take > 0 && out.length > from + take) out.length = from + take;
}

function appendFolded(out: Octets, bytes: Uint8Array, start: number, end: number, transform: number): void {
  const lettersOnly = transform === FOLD_LETTERS || transform === NATIONAL_LETTERS;
  const table = transform === FOLD_NATIONAL || transform === NATIONAL_LETTERS ? national : folded;
  const space = transform === FOLD_DOTS ? 0x2e : transform === FOLD_HYPHENS ? 0x2d : 0x20;
  for (let at = start; at < end; at++) {
    let octet = bytes[at]!;
    const next = at + 1 < end ? bytes[at + 1]! : 0;
    if (octet >= 0xc3 && octet <= 0xc5 && next >> 6 === 2) {
      const plain = table[((octet & 0x1f) << 6) + (next & 0x3f) - 0xc0]!;
      for (let i = 0; i < plain.length; i++) out.octet(plain.charCodeAt(i));
      at++;
      continue;
    }
    if (octet >= 0x41 && octet <= 0x5a) octet += 0x20;
    if (octet === 0x20) octet = space;
    if (!lettersOnly || (octet >= 0x61 && octet <= 0x7a) || (octet >= 0x30 && octet <= 0x39)) out.octet(octet);
  }
}

/** Lower case of ASCII and of the two-octet Latin, Greek and Cyrillic letters whose lower case has two octets too. */
function appendLower(out: Octets, bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    const octet = bytes[at]!;
    const next = at + 1 < end ? bytes[at + 1]! : 0;
    if (octet >= 0xc3 && octet <= 0xd0 && next >> 6 === 2) {
      const lower = lowerLetter(((octet & 0x1f) << 6) | (next & 0x3f));
      out.octet(0xc0 | (lower >> 6));
      out.octet(0x80 | (lower & 0x3f));
      at++;
    } else {
      out.octet(octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet);
    }
  }
}

function lowerLetter(letter: number): number {
  if (letter >= 0xc0 && letter <= 0xde && letter !== 0xd7) return letter + 0x20;
  if (letter === 0x130 || letter === 0x131 || letter === 0x138 || letter === 0x149 || letter === 0x17f) return letter;
  if (letter === 0x178) return 0xff;
  if ((letter >= 0x139 && letter <= 0x148) || (letter >= 0x179 && letter <= 0x17e)) return letter + (letter & 1);
  if (letter >= 0x100 && letter <= 0x177) return letter | 1;
  if ((letter >= 0x391 && letter <= 0x3a9 && letter !== 0x3a2) || (letter >= 0x410 && letter <= 0x42f))
    return letter + 0x20;
  if (letter >= 0x400 && letter <= 0x40f) return letter + 0x50;
  return letter;
}

/** RFC 4514 §2.4. */
function appendDnEscaped(out: Octets, bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    const octet = bytes[at]!;
    const atEdge = (octet === 0x20 && (at === start || at === end - 1)) || (octet === 0x23 && at === start);
    if (octet === 0) {
      out.octet(0x5c);
      out.octet(0x30);
      out.octet(0x30);
      continue;
    }
    if (atEdge || DN_SPECIAL.has(octet)) out.octet(0x5c);
    out.octet(octet);
  }
}

function firstWordEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && !isWordBreak(bytes[at]!)) at++;
  return at;
}

function lastWordStart(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && !isWordBreak(bytes[at - 1]!)) at--;
  return at;
}

function isWordBreak(octet: number): boolean {
  return octet === 0x20 || octet === 0x2d;
}
