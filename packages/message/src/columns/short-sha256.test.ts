import { createHash } from 'node:crypto';
import { deriveEntryId } from '@dirpost/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdDeriver } from './ids.ts';
import { ShortSha256 } from './short-sha256.ts';

test('short messages have the same SHA-256 as from the system, one after another', () => {
  const sha256 = new ShortSha256(300);
  for (let length = 0; length <= 300; length++) {
    for (let i = 0; i < length; i++) sha256.bytes[i] = (i * 31 + length) & 0xff;
    const message = Buffer.from(sha256.bytes.subarray(0, length));
    expect(Buffer.from(sha256.hash(length))).toEqual(createHash('sha256').update(message).digest());
  }
});

test('ids are derived as core derives them', () => {
  const deriver = new IdDeriver('tromsø', 'entryuuid');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (anchor) => {
      const derived = Buffer.from(deriver.derive(anchor, 0, anchor.length)!.subarray(0, 16));
      expect(derived).toEqual(deriveEntryId('tromsø', 'entryuuid', anchor));
    }),
  );
});
