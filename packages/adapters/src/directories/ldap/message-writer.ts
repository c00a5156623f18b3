/**
 * Writing BER as LDAP uses it (RFC 4511 §5.1), one message after another into the same memory: at each of a million requests
 * a buffer of its own would cost more than the writing.
 */
const FIRST_BYTES = 16 * 1024;
/** What one huge entry needed is not kept for all others. */
const MOST_KEPT_BYTES = 256 * 1024;
/** For so few a loop is faster than a call. */
const SHORT_BYTES = 48;
const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;

export class MessageWriter {
  #octets = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = 0;
  /** Where the content of each open sequence begins. */
  readonly #open: number[] = [];

  /** For the next message. */
  reset(): void {
    this.#at = 0;
    this.#open.length = 0;
    if (this.#octets.length > MOST_KEPT_BYTES) this.#octets = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** A copy of what was written since `reset`. */
  take(): Buffer {
    return Buffer.from(this.#octets.subarray(0, this.#at));
  }

  startSequence(tag = SEQUENCE): void {
    this.#reserve(2);
    this.#octets[this.#at++] = tag;
    // For the length: most need one octet, and what needs more moves its content.
    this.#open.push(++this.#at);
  }

  endSequence(): void {
    const start = this.#open.pop()!;
    const length = this.#at - start;
    const more = lengthOctets(length) - 1;
    if (more > 0) {
      this.#reserve(more);
      this.#octets.copyWithin(start + more, start, this.#at);
      this.#at += more;
    }
    this.#putLength(start - 1, length);
  }

  writeBuffer(value: Uint8Array, tag: number): void {
    const { length } = value;
    this.#begin(tag, length);
    if (length > SHORT_BYTES) this.#octets.set(value, this.#at);
    else for (let i = 0, at = this.#at; i < length; i++, at++) this.#octets[at] = value[i]!;
    this.#at += length;
  }

  writeString(value: string, tag = OCTET_STRING): void {
    if (value.length <= SHORT_BYTES && this.#writeAscii(value, tag)) return;
    const length = Buffer.byteLength(value);
    this.#begin(tag, length);
    this.#octets.write(value, this.#at, length);
    this.#at += length;
  }

  /** False, and nothing is written: there is more in it. */
  #writeAscii(value: string, tag: number): boolean {
    const { length } = value;
    const before = this.#at;
    this.#begin(tag, length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) {
        this.#at = before;
        return false;
      }
      this.#octets[this.#at++] = code;
    }
    return true;
  }

  /** Of 32 bits, in as few octets as hold it (X.690 §8.3.2). */
  writeInt(value: number, tag = 0x02): void {
    let length = 1;
    while (length < 4 && value >> (8 * length - 1) !== 0 && value >> (8 * length - 1) !== -1) length++;
    this.#begin(tag, length);
    for (let i = length - 1; i >= 0; i--) this.#octets[this.#at++] = (value >> (8 * i)) & 0xff;
  }

  writeEnumeration(value: number): void {
    this.writeInt(value, 0x0a);
  }

  writeBoolean(value: boolean, tag = 0x01): void {
    this.#begin(tag, 1);
    this.#octets[this.#at++] = value ? 0xff : 0;
  }

  #begin(tag: number, length: number): void {
    this.#reserve(6 + length);
    this.#octets[this.#at++] = tag;
    this.#at = this.#putLength(this.#at, length);
  }

  /** Where it ends. */
  #putLength(at: number, length: number): number {
    const count = lengthOctets(length) - 1;
    if (count === 0) {
      this.#octets[at] = length;
      return at + 1;
    }
    this.#octets[at] = 0x80 | count;
    return this.#octets.writeUIntBE(length, at + 1, count);
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#octets.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#octets.length * 2));
    this.#octets.copy(larger, 0, 0, this.#at);
    this.#octets = larger;
  }
}

function lengthOctets(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x100) return 2;
  if (length < 0x10000) return 3;
  return length < 0x1000000 ? 4 : 5;
}
