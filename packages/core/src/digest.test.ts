import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKET_COUNT, BucketSums, bucketOf, digestOfBuckets, DigestSum, EMPTY_DIGEST } from './digest.ts';

const hash = fc.uint8Array({ minLength: 16, maxLength: 16 });
const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const MODULUS = 1n << 128n;
const text = (value: bigint) => (((value % MODULUS) + MODULUS) % MODULUS).toString(16).padStart(32, '0');

describe('a digest', () => {
  it('is the sum modulo 2^128 of what was added less what was taken away', () => {
    fc.assert(
      fc.property(fc.array(hash), fc.array(hash), (added, taken) => {
        const sum = new DigestSum();
        for (const one of added) sum.add(one);
        for (const one of taken) sum.subtract(one);
        const expected =
          added.reduce((total, one) => total + number(one), 0n) - taken.reduce((total, one) => total + number(one), 0n);
        expect(sum.digest()).toBe(text(expected));
      }),
    );
  });

  it('goes on from where it was', () => {
    fc.assert(
      fc.property(hash, hash, (one, other) => {
        const first = new DigestSum().add(one).digest();
        expect(DigestSum.from(first).add(other).subtractDigest(first).digest()).toBe(
          new DigestSum().add(other).digest(),
        );
      }),
    );
  });

  it('carries through a million of the largest numbers', () => {
    const largest = new Uint8Array(16).fill(0xff);
    const sum = new DigestSum();
    for (let i = 0; i < 1_100_000; i++) sum.add(largest);
    expect(sum.digest()).toBe(text((MODULUS - 1n) * 1_100_000n));
  });
});

describe('bucket sums', () => {
  it('add up to the digest of the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hash, hash), { maxLength: 50 }), (entries) => {
        const sums = new BucketSums();
        const sum = new DigestSum();
        for (const [id, one] of entries) {
          sums.add(id, one);
          sum.add(one);
        }
        expect(digestOfBuckets(sums.bytes())).toBe(sum.digest());
        expect(sums.bytes()).toHaveLength(BUCKET_COUNT * 16);
      }),
      { numRuns: 20 },
    );
  });

  it('are zero for nothing', () => {
    expect(digestOfBuckets(new BucketSums().bytes())).toBe(EMPTY_DIGEST);
  });

  it('go by the first ten bits of the id', () => {
    expect(bucketOf(Uint8Array.of(0, 0))).toBe(0);
    expect(bucketOf(Uint8Array.of(0, 0x40))).toBe(1);
    expect(bucketOf(Uint8Array.of(0xff, 0xff))).toBe(1023);
  });
});
