import { defaultLimits } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { type Announced, announcement, MAX_OVERLAP_MS, readAnnouncement } from './announcement.ts';
import { generateKeys, publicKeys } from './keys.ts';
import { createCodec } from './payload.ts';

const codec = createCodec(defaultLimits);
const keys = await publicKeys(await generateKeys());
const said: Announced = { serial: 7, heard: 3, asks: true, ...keys, overlapMs: 1_000, hybrid: false };

function read(fields: Record<string, unknown>): Announced {
  const head = codec.head(codec.encode({ kind: 'announcement', incarnation: '0.e1e2e3e4e5e6e7e8', fields }, []));
  if (head.kind !== 'announcement') throw new Error('another kind');
  return readAnnouncement(head);
}

const fieldsOf = (announced: Announced) => announcement('0.e1e2e3e4e5e6e7e8', announced).fields;

describe('an announcement', () => {
  it('comes back as it was, with addresses and without', () => {
    expect(read(fieldsOf(said))).toEqual(said);
    const addresses = { http: 'https://hq.example.org:8943', certificate: Buffer.from('DER'), mail: 'hq@example.org' };
    expect(read(fieldsOf({ ...said, addresses }))).toEqual({ ...said, addresses });
  });

  it('with post-quantum keys fits, and may have fields that nobody knows yet', async () => {
    const hybrid = await publicKeys(await generateKeys({ hybrid: true }));
    expect(read({ ...fieldsOf({ ...said, ...hybrid }), later: [1, 2] })).toEqual({ ...said, ...hybrid });
  });

  it('keeps older keys for no longer than there is', () => {
    expect(read({ ...fieldsOf(said), overlapMs: 2 ** 53 - 1 }).overlapMs).toBe(MAX_OVERLAP_MS);
  });

  it.each<[string, Record<string, unknown>]>([
    ['no serial', { serial: undefined }],
    ['a serial below 0', { serial: -1 }],
    ['a serial that is no whole number', { serial: 1.5 }],
    ['a word in place of a number', { heard: '3' }],
    ['a number in place of yes or no', { asks: 1 }],
    ['a key of 31 octets', { signing: Buffer.alloc(31) }],
    ['a recipient that is none', { recipient: 'age1' }],
    ['a recipient that is far too long', { recipient: `age1${'q'.repeat(5_000)}` }],
    ['another protocol', { http: 'file:///etc/passwd' }],
    ['a login in the address', { http: 'https://a:b@hq.example.org' }],
    ['a line break in the address', { http: 'https://hq.example.org/\r\nX: y' }],
    ['an address without end', { http: `https://hq.example.org/${'a'.repeat(2_048)}` }],
    ['a mail address that is none', { mail: 'hq@example.org\nBcc: eve@example.org' }],
    ['a certificate that is text', { http: 'https://hq.example.org', certificate: 'PEM' }],
    ['a certificate without end', { http: 'https://hq.example.org', certificate: Buffer.alloc(16_385) }],
  ])('with %s is refused', (_name, fields) => {
    const all = Object.entries({ ...fieldsOf(said), ...fields }).filter(([, value]) => value !== undefined);
    expect(() => read(Object.fromEntries(all))).toThrow(expect.objectContaining({ code: 'message-payload' }));
  });
});
