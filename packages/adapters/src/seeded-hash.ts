/**
 * A fast 64-bit hash for tables that live as long as one pass over a directory. Not cryptographic: its seed is new
 * every time, so that what collides once does not do so again.
 */
import { randomBytes } from 'node:crypto';

export class SeededHash {
  readonly #seed = randomBytes(8);
  readonly #seedA = this.#seed.readInt32LE(0);
  readonly #seedB = this.#seed.readInt32LE(4);
  /** The hash of what was given last: two times 32 bits. */
  a = 0;
  b = 0;

  text(text: string): void {
    let a = this.#seedA;
    let b = this.#seedB;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(((a << 5) | (a >>> 27)) ^ unit, 0x9e3779b1);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ unit, 0x85ebca6b);
    }
    this.#mix(a, b, text.length);
  }

  octets(bytes: Uint8Array): void {
    let a = this.#seedA;
    let b = this.#seedB;
    for (let i = 0; i < bytes.length; i++) {
      const octet = bytes[i]!;
      a = Math.imul(((a << 5) | (a >>> 27)) ^ octet, 0x9e3779b1);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ octet, 0x85ebca6b);
    }
    this.#mix(a, b, bytes.length);
  }

  /** Every bit of either half comes to depend on both. */
  #mix(a: number, b: number, length: number): void {
    a ^= length;
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
    b = Math.imul(b ^ (b >>> 16), 0x9e3779b1) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    this.a = (a ^ (a >>> 16)) >>> 0;
    this.b = (b ^ (b >>> 16)) >>> 0;
  }
}
