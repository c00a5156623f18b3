/** Short things that decide much: invitations, public files of postoffices, keys, cookies, bookmarks, canonical entries. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import {
  attributesStart,
  checkCanonicalAttributes,
  createCookieJar,
  decodeEntry,
  defaultLimits,
  encodeEntry,
  isMailAddress,
  isPostofficeName,
  patchEntry,
} from '@dirpost/core';
import { pack, parsePrivateKeys, parsePublicKeys, parseRecoveryKey, unpack } from '@dirpost/message';
import { parsePeer } from 'dirpost';
import { readBookmark, writeBookmark } from '../../../packages/adapters/src/directories/ldap/bookmark.ts';
import { optionsFor } from '../../../packages/adapters/src/directories/ldap/scripted-server.ts';
import { parseContentRange, formatContentRange } from '../../../packages/adapters/src/transports/http/wire.ts';
import { formatInvitation, parseInvitation } from '../../../packages/agent/src/joining/invitation.ts';
import { octets, ownWork, type Target, text, tolerated } from '../target.ts';

const PUBLIC = {
  signing: 'ebVWLo/mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=',
  recipient: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
};

const INVITATION = formatInvitation({
  id: 'c0c1c2c3c4c5c6c7c8c9cacbcccdcecf',
  secret: Buffer.alloc(20, 5),
  expiresMs: 1_790_000_000_000,
  server: 'hq',
  name: 'oslo',
  keys: PUBLIC,
  recoveryKey: PUBLIC.signing,
  addresses: { http: 'https://hq.example/', pin: 'ab'.repeat(32), folder: '/srv/exchange', mail: 'hq@x.example' },
});

const invitation: Target = {
  name: 'invitation',
  about: 'an invitation as somebody pasted it, and one with any content and a right checksum',
  seeds: () => [
    Buffer.from(INVITATION),
    Buffer.from(`Hello!\n> ${INVITATION.replace(/.{60}/g, '$&=\n> ')}\n-- \nfooter`),
    Buffer.from(INVITATION.split('.')[1]!, 'base64url'),
  ],
  words: ['dirpost-join-1.', 'dirpost-join-2.', '.', '=\n', '\u200b'],
  run(input) {
    const body = `dirpost-join-1.${Buffer.from(input).toString('base64url')}`;
    const checksum = createHash('sha256').update(body).digest('hex').slice(0, 8);
    for (const given of [text(input), `${body}.${checksum}`]) {
      tolerated(() => {
        const found = parseInvitation(given);
        assert.deepEqual(
          ownWork(() => parseInvitation(formatInvitation(found))),
          found,
        );
      });
    }
  },
};

const PEER = JSON.stringify({
  dirpost: 1,
  name: 'oslo',
  role: 'requestor',
  keys: [PUBLIC],
  fingerprint: 'x',
  madeAt: '2026-01-01T00:00:00.000Z',
});

const keyFiles: Target = {
  name: 'keys',
  about: 'public files of postoffices, key files, recovery keys as they were typed in',
  seeds: () =>
    octets(
      PEER,
      JSON.stringify(PUBLIC),
      JSON.stringify({ signing: PUBLIC.signing, identities: ['AGE-SECRET-KEY-1'] }),
      'abcd-efgh '.repeat(14),
    ),
  words: [
    '"keys":[',
    '"signing":"',
    '"recipient":"age1',
    'age1pq1',
    '"__proto__":',
    'AGE-SECRET-KEY-1',
    'AGE-SECRET-KEY-PQ-1',
  ],
  run(input) {
    const given = text(input);
    tolerated(() => void parsePeer(given, 'fuzz'));
    tolerated(() => void parsePublicKeys(given));
    tolerated(() => void parsePrivateKeys(given));
    tolerated(() => void parseRecoveryKey(given));
  },
};

const jar = createCookieJar(Buffer.alloc(32, 3));
const COOKIE = jar.seal(
  { incarnation: '3.9f86d081884c7d65', number: 7, list: 'ab'.repeat(8), seq: 200, digest: '01'.repeat(16), named: -1 },
  'oslo',
);
const ldapOptions = optionsFor([]);
const BOOKMARK = writeBookmark(ldapOptions, { wholeMs: 5, delta: { method: 'syncrepl', cookies: ['cmlkPTAwMA=='] } });

const cookies: Target = {
  name: 'cookies',
  about: 'cursors that come back, bookmarks, names, mail addresses, ranges',
  seeds: () => [COOKIE, Buffer.alloc(28), ...octets(BOOKMARK, 'oslo', 'a@b.example', 'bytes 0-99/1000', 'bytes */5')],
  words: ['null', '[]', '"delta":', '"version":1', '@', '..', '/'],
  run(input) {
    const opened = jar.open(input, 'oslo');
    if (opened !== null) assert.equal(Buffer.from(COOKIE).equals(input), true);
    assert.equal(jar.open(input, 'bergen'), null);
    const given = text(input);
    readBookmark(ldapOptions, given);
    if (isPostofficeName(given)) assert.match(given, /^[a-z0-9-]{1,63}$/);
    if (isMailAddress(given)) assert.doesNotMatch(given, /[\s\u0000-\u001f<>]/);
    const slice = parseContentRange(given);
    if (slice !== undefined) assert.deepEqual(parseContentRange(formatContentRange(slice)), slice);
  },
};

const ENTRY = encodeEntry({
  id: Buffer.alloc(16, 1),
  owner: 'oslo',
  kind: 'person',
  attributes: new Map([
    ['cn', [Buffer.from('Ann'), Buffer.from('Anna')]],
    ['mail', [Buffer.from('a@x')]],
  ]),
});

const entries: Target = {
  name: 'entry',
  about: 'entries and patches in canonical octets: what passes the check is read, and is written the same',
  seeds: () => [ENTRY, ENTRY.subarray(attributesStart(ENTRY))],
  run(input) {
    tolerated(() => {
      checkCanonicalAttributes(input, 0, defaultLimits);
      const patched = patchEntry(ENTRY, input);
      checkCanonicalAttributes(patched, attributesStart(patched), defaultLimits);
    });
    // What stands before the attributes is made by the reader of columns, never taken from outside.
    const attributes = input.subarray(Math.min(input.length, 64));
    const whole = Buffer.concat([ENTRY.subarray(0, attributesStart(ENTRY)), attributes]);
    checkCanonicalAttributes(whole, attributesStart(ENTRY), defaultLimits);
    assert.equal(ownWork(() => encodeEntry(decodeEntry(whole))).equals(whole), true);
  },
};

const packed: Target = {
  name: 'msgpack',
  about: 'msgpack as headers and heads use it',
  seeds: () => [
    pack({ a: [1, -1, 2 ** 40, 1.5, null, true], b: Buffer.from([1, 2]), c: 'é' }),
    Buffer.from('c1', 'hex'),
  ],
  run(input) {
    const value = unpack(input, defaultLimits.maxNesting, 'message-header');
    // By octets: -0 is packed as 0, which is the same to all who read it.
    const once = Buffer.from(ownWork(() => pack(value)));
    const again = ownWork(() => pack(unpack(once, defaultLimits.maxNesting, 'message-header')));
    assert.equal(once.equals(again), true);
  },
};

export const nameTargets = [invitation, keyFiles, cookies, entries, packed];
