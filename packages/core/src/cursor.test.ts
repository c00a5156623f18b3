import { describe, expect, it } from 'vitest';
import { createCookieJar, type Cursor } from './cursor.ts';

const cursor: Cursor = {
  incarnation: '3.9f86d081884c7d65',
  number: 42,
  list: '0123456789abcdef',
  seq: 5_000_000_000,
  digest: 'ffeeddccbbaa99887766554433221100',
  named: -1,
};

describe('a cookie', () => {
  const jar = createCookieJar(Buffer.from('secret'));

  it('comes back as it was sealed', () => {
    expect(jar.open(jar.seal(cursor, 'oslo'), 'oslo')).toEqual(cursor);
  });

  it('is the same for the same cursor, so that runs replay', () => {
    expect(jar.seal(cursor, 'oslo')).toEqual(jar.seal(cursor, 'oslo'));
    expect(jar.seal({ ...cursor, seq: 1 }, 'oslo')).not.toEqual(jar.seal(cursor, 'oslo'));
  });

  it('of somebody else, of another secret, or altered, is none', () => {
    const cookie = jar.seal(cursor, 'oslo');
    expect(jar.open(cookie, 'lima')).toBeNull();
    expect(createCookieJar(Buffer.from('other')).open(cookie, 'oslo')).toBeNull();
    for (let at = 0; at < cookie.length; at++) {
      const altered = Buffer.from(cookie);
      altered[at]! ^= 1;
      expect(jar.open(altered, 'oslo')).toBeNull();
      expect(jar.open(cookie.subarray(0, at), 'oslo')).toBeNull();
    }
  });
});
