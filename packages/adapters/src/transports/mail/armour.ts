/**
 * A message file as lines of text, for filters that let only text pass:
 *
 *   -----BEGIN DIRPOST MESSAGE-----
 *   RElSUE9TVDEAAAEB…            base64 (RFC 4648 §4), lines of 64 characters
 *   -----END DIRPOST MESSAGE-----
 *
 * What mail does to text is undone: other line ends, space at their ends, lines that were wrapped anew, a footer, a
 * quotation. Whether the octets are still right is told by the signature of the message file, not here.
 */
const BEGIN = '-----BEGIN DIRPOST MESSAGE-----';
const END = '-----END DIRPOST MESSAGE-----';
const LINE_BYTES = 48;

/** Octets of an armoured file, at most, for one octet of the file: 66 for 48. */
export const ARMOUR_FACTOR = 66 / LINE_BYTES;

/** ASCII with CRLF line ends. */
export function formatArmour(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return `${BEGIN}\r\n${text.replace(/.{64}(?!$)/g, '$&\r\n')}\r\n${END}\r\n`;
}

// A line may have been broken within a marker, and a quotation mark come to stand there.
const GAP = '[\\s>]+';
const marker = (word: string) => `-----${word}${GAP}DIRPOST${GAP}MESSAGE-----`;
const MARKERS = new RegExp(`${marker('BEGIN')}|${marker('END')}`, 'g');

/** The first armoured file in a text; null where there is none that is whole in form. */
export function parseArmour(bytes: Uint8Array): Uint8Array | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  let begin: number | null = null;
  for (const found of text.matchAll(MARKERS)) {
    if (found[0].startsWith('-----BEGIN')) begin = found.index + found[0].length;
    else if (begin !== null) {
      const octets = decode(text.slice(begin, found.index));
      if (octets !== null) return octets;
      begin = null;
    }
  }
  return null;
}

/** null: something else stands among the base64. */
function decode(quoted: string): Uint8Array | null {
  const text = quoted.replace(/[\s>]+/g, '');
  if (text === '' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, 'base64');
}
