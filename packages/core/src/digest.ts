/**
 * Digests: how two postoffices know that they agree (design section 4). A digest is the sum of entry hashes modulo
 * 2^128; adding and taking away commute, so it is kept up to date in O(changes) whatever the order.
 */

/** 16 bytes of an entry hash, as hexadecimal text of 32 characters where it is kept in documents. */
export type Digest = string;

export const EMPTY_DIGEST: Digest = '0'.repeat(32);
export const BUCKET_COUNT = 1024;

const LANE = 0x1_0000_0000;

/**
 * A running sum modulo 2^128 in four 32-bit lanes held as doubles. Lanes are normalised lazily: 2^20 additions of
 * 32-bit numbers stay below 2^53.
 */
export class DigestSum {
  #lanes = [0, 0, 0, 0] as [number, number, number, number];
  #pending = 0;

  static from(digest: Digest): DigestSum {
    const sum = new DigestSum();
    for (let lane = 0; lane < 4; lane++) sum.#lanes[lane] = Number.parseInt(digest.slice(lane * 8, lane * 8 + 8), 16);
    return sum;
  }

  add(hash: Uint8Array, offset = 0): this {
    return this.#move(hash, offset, 1);
  }

  subtract(hash: Uint8Array, offset = 0): this {
    return this.#move(hash, offset, -1);
  }

  addDigest(other: Digest): this {
    return this.#move(Buffer.from(other, 'hex'), 0, 1);
  }

  subtractDigest(other: Digest): this {
    return this.#move(Buffer.from(other, 'hex'), 0, -1);
  }

  digest(): Digest {
    this.#normalise();
    return this.#lanes.map((lane) => lane.toString(16).padStart(8, '0')).join('');
  }

  #move(hash: Uint8Array, offset: number, sign: 1 | -1): this {
    for (let lane = 0, at = offset; lane < 4; lane++, at += 4) {
      const value = hash[at]! * 0x1000000 + ((hash[at + 1]! << 16) | (hash[at + 2]! << 8) | hash[at + 3]!);
      this.#lanes[lane]! += sign * value;
    }
    if (++this.#pending >= 1_000_000) this.#normalise();
    return this;
  }

  /** Carries from the least significant lane (the last) upwards; what leaves the first lane is dropped. */
  #normalise(): void {
    let carry = 0;
    for (let lane = 3; lane >= 0; lane--) {
      const value = this.#lanes[lane]! + carry;
      carry = Math.floor(value / LANE);
      this.#lanes[lane] = value - carry * LANE;
    }
    this.#pending = 0;
  }
}

/** The bucket of an entry: the first ten bits of its id. */
export function bucketOf(id: Uint8Array): number {
  return (id[0]! << 2) | (id[1]! >> 6);
}

/** One sum per bucket; `bytes()` is 1,024 times 16 bytes, the form in which an exchange carries them. */
export class BucketSums {
  readonly sums: DigestSum[] = Array.from({ length: BUCKET_COUNT }, () => new DigestSum());

  add(id: Uint8Array, hash: Uint8Array): void {
    this.sums[bucketOf(id)]!.add(hash);
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.sums.map((sum) => Buffer.from(sum.digest(), 'hex')));
  }

  /** The sum of all buckets: the digest of the whole set. */
  digest(): Digest {
    return digestOfBuckets(this.bytes());
  }
}

export function digestOfBuckets(bytes: Uint8Array): Digest {
  const sum = new DigestSum();
  for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) sum.add(bytes, bucket * 16);
  return sum.digest();
}
