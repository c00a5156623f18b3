/** Undoes the transfer encoding of a part of a mail (RFC 2045 §6). What is broken is told, never guessed. */

/** Values of hexadecimal digits, by octet; 16: none. */
const HEX = Buffer.alloc(256, 16);
for (let value = 0; value < 16; value++) {
  for (const digit of [value.toString(16), value.toString(16).toUpperCase()]) HEX[digit.charCodeAt(0)] = value;
}
/** White space that is looked at for the end of a line. */
const MAX_SPACE = 78;

/**
 * `encoding` as BODYSTRUCTURE names it. null: broken base64, or an encoding that nobody knows. `isStart`: only the first
 * octets of a part are there, so that it may end anywhere.
 */
export function decodeTransfer(encoded: Uint8Array, encoding: string, isStart = false): Buffer | null {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  switch (encoding.toLowerCase()) {
    case 'base64':
      return decodeBase64(bytes, isStart);
    case 'quoted-printable':
      return decodeQuotedPrintable(bytes);
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
      return bytes;
    default:
      return null;
  }
}

function decodeBase64(bytes: Buffer, isStart: boolean): Buffer | null {
  const text = bytes.toString('latin1').replace(/[\r\n\t ]+/g, '');
  if (isStart) {
    const whole = /^[A-Za-z0-9+/]*/.exec(text)![0];
    return Buffer.from(whole.slice(0, whole.length - (whole.length % 4)), 'base64');
  }
  // Some programs leave the padding out; what stands after it is a defect.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const digits = text.replace(/=+$/, '').length;
  return digits % 4 === 1 || (text.length !== digits && text.length % 4 !== 0) ? null : Buffer.from(text, 'base64');
}

function decodeQuotedPrintable(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const octet = bytes[at]!;
    if (octet !== 0x3d) {
      out[length++] = octet;
      continue;
    }
    const next = softBreakEnd(bytes, at + 1);
    const [high, low] = [HEX[bytes[at + 1] ?? 0]!, HEX[bytes[at + 2] ?? 0]!];
    if (next > at) at = next - 1;
    else if (high < 16 && low < 16) {
      out[length++] = high * 16 + low;
      at += 2;
    } else out[length++] = octet;
  }
  return out.subarray(0, length);
}

/** Where the next line begins, if nothing but white space stands before it (RFC 2045 §6.7 (5): it may have come there); else 0. */
function softBreakEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && at - from < MAX_SPACE && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  if (at === bytes.length) return at;
  if (bytes[at] === 0x0a) return at + 1;
  return bytes[at] === 0x0d && bytes[at + 1] === 0x0a ? at + 2 : 0;
}
