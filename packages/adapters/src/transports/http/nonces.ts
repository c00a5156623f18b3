/**
 * Nonces that the server gives and takes back once. Nothing is kept of those that are given: a nonce carries its expiry
 * and a MAC with a secret of this run of the server. Only used ones are remembered, for as long as they would be valid.
 * Time is the server's own monotonic clock, so no clock of anybody has to be right.
 *
 *   expiry, milliseconds since the start (6 octets) · random (10) · HMAC-SHA-256 of both, cut to 16; base64url
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const FRONT_BYTES = 16;
const MAC_BYTES = 16;
const NONCE = /^[A-Za-z0-9_-]{43}$/;

export type NonceUse = 'fresh' | 'used' | 'too-many';

export interface NonceOptions {
  validMs: number;
  /** Requests of one postoffice within the validity of a nonce. */
  maxUsed?: number;
  /** Monotonic, from zero. */
  nowMs?: () => number;
}

export class Nonces {
  readonly #secret = randomBytes(32);
  readonly #validMs: number;
  readonly #maxUsed: number;
  readonly #nowMs: () => number;
  // Two generations, each as long as a nonce is valid: what is in neither was never used, or is too old anyway.
  #used = new Map<string, Set<string>>();
  #usedBefore = new Map<string, Set<string>>();
  #turnedMs = 0;

  constructor({ validMs, maxUsed = 10_000, nowMs = () => performance.now() }: NonceOptions) {
    this.#validMs = validMs;
    this.#maxUsed = maxUsed;
    this.#nowMs = nowMs;
  }

  give(): string {
    const front = Buffer.alloc(FRONT_BYTES);
    front.writeUIntBE(Math.floor(this.#nowMs() + this.#validMs), 0, 6);
    randomBytes(FRONT_BYTES - 6).copy(front, 6);
    return Buffer.concat([front, this.#mac(front)]).toString('base64url');
  }

  /** Given by this run of the server and not too old; says nothing of use. */
  isValid(nonce: string): boolean {
    if (!NONCE.test(nonce)) return false;
    const octets = Buffer.from(nonce, 'base64url');
    // base64url has spare bits: another spelling of the same nonce must not pass as another one.
    if (octets.toString('base64url') !== nonce) return false;
    const front = octets.subarray(0, FRONT_BYTES);
    return timingSafeEqual(octets.subarray(FRONT_BYTES), this.#mac(front)) && front.readUIntBE(0, 6) > this.#nowMs();
  }

  /** Call only once the signature was checked, so that strangers cannot fill the memory. */
  use(postoffice: string, nonce: string): NonceUse {
    this.#turn();
    if (this.#used.get(postoffice)?.has(nonce) || this.#usedBefore.get(postoffice)?.has(nonce)) return 'used';
    const used = this.#used.get(postoffice) ?? new Set();
    if (used.size >= this.#maxUsed) return 'too-many';
    this.#used.set(postoffice, used.add(nonce));
    return 'fresh';
  }

  #turn(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#turnedMs < this.#validMs) return;
    this.#usedBefore = nowMs - this.#turnedMs < 2 * this.#validMs ? this.#used : new Map();
    this.#used = new Map();
    this.#turnedMs = nowMs;
  }

  #mac(front: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update(front).digest().subarray(0, MAC_BYTES);
  }
}
