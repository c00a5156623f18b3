import { DirpostError } from '@dirpost/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pack, scan, unpack } from './scan.ts';

const check = (bytes: Uint8Array) => scan(bytes, 8, 'message-header');

describe('msgpack', () => {
  test('that was packed here passes the scan and comes back', () => {
    const leaf = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array().map((b) => Buffer.from(b)),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', maxDepth: 6 },
        leaf,
        fc.array(tie('value')),
        fc.dictionary(fc.stringMatching(/^[a-z]+$/), tie('value')),
      ),
    }));
    fc.assert(
      fc.property(value, (one) => {
        expect(unpack(pack(one), 8, 'message-header')).toEqual(one);
      }),
    );
  });

  test.each([
    ['nesting beyond the limit', Buffer.concat([Buffer.alloc(9, 0x91), Buffer.from([0xc0])])],
    ['a count beyond the data', Buffer.from('ddffffffff', 'hex')],
    ['a map count beyond the data', Buffer.from('df7fffffff', 'hex')],
    ['text beyond the data', Buffer.from('dbffffffff61', 'hex')],
    ['bytes after the value', Buffer.from('c0c0', 'hex')],
    ['nothing', Buffer.alloc(0)],
    ['an extension', Buffer.from('d40100', 'hex')],
    ['the type that is never used', Buffer.from('c1', 'hex')],
    ['a key that is not text', Buffer.from('8101c0', 'hex')],
    ['text that is not UTF-8', Buffer.from('a1ff', 'hex')],
  ])('with %s is refused', (_, bytes) => {
    expect(() => check(bytes)).toThrow(expect.objectContaining({ code: 'message-header' }) as Error);
  });

  test('of random bytes is refused or decodes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          unpack(bytes, 8, 'message-header');
        } catch (error) {
          expect(error).toBeInstanceOf(DirpostError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
