/** Undoes the transfer encoding of a part of a mail (RFC 2045 §6). What is broken is told, never guessed. */

const HEX = /^[0-9A-F]{2}$/i;

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
    // RFC 2045 §6.7 (5): white space may have come between the sign and the end of the line.
    const soft = /^=[ \t]*(?:\r?\n|$)/.exec(bytes.toString('latin1', at, at + 80));
    const hex = bytes.toString('latin1', at + 1, at + 3);
    if (soft !== null) at += soft[0].length - 1;
    else if (HEX.test(hex)) {
      out[length++] = Number.parseInt(hex, 16);
      at += 2;
    } else out[length++] = octet;
  }
  return out.subarray(0, length);
}
