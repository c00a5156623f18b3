/** ber.ts, requests.ts and responses.ts: against the BER of ldapts, and against anything at all. */
import fc from 'fast-check';
import { BerReader, BerWriter } from 'ldapts';
import { describe, expect, it } from 'vitest';
import { BerError, elementAt, elementsIn, integerIn, octetsIn, peekElement, textIn } from './ber.ts';
import {
  encodeAbandon,
  encodeOperation,
  encodeSearch,
  encodeUnbind,
  type LdapControl,
  type Operation,
} from './requests.ts';
import {
  controlsOf,
  entryOf,
  intermediateOf,
  notificationName,
  referenceOf,
  responseIn,
  resultOf,
} from './responses.ts';
import { BIND, disconnection, DONE, entry, EXTENDED, intermediate, reference, result } from './scripted-server.ts';

const whole = (octets: Buffer) => elementAt(octets, 0, octets.length);

describe('BER', () => {
  it('integers, texts and octets are read as ldapts writes them', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array({ maxLength: 300 }),
        (number, text, octets) => {
          const writer = new BerWriter();
          writer.startSequence();
          writer.writeInt(number);
          writer.writeString(text);
          writer.writeBuffer(Buffer.from(octets), 0x04);
          writer.endSequence();
          const written = writer.buffer;
          const [a, b, c] = [...elementsIn(written, whole(written))];
          expect(integerIn(written, a!)).toBe(number);
          expect(textIn(written, b!)).toBe(text);
          expect(octetsIn(written, c!)).toEqual(Buffer.from(octets));
        },
      ),
    );
  });

  it.each([
    ['one octet', '30', null],
    ['a length that is not there yet', '3082ff', null],
    ['an indefinite length', '3080', BerError],
    ['a length of five octets', '30850000000001', BerError],
    ['a tag of several octets', '1f8101', BerError],
  ])('%s', (_, hex, outcome) => {
    const octets = Buffer.from(hex, 'hex');
    if (outcome === null) expect(peekElement(octets, 0)).toBeNull();
    else expect(() => peekElement(octets, 0)).toThrow(outcome);
  });

  it.each(['', '00000000000000'])('an integer of %s is none', (hex) => {
    const octets = Buffer.from(hex, 'hex');
    expect(() => integerIn(octets, { tag: 2, start: 0, end: octets.length })).toThrow(BerError);
  });

  it('no element reaches beyond the one around it', () => {
    const octets = Buffer.from('3003040500', 'hex');
    expect(() => [...elementsIn(octets, whole(octets))]).toThrow(BerError);
  });
});

describe('requests', () => {
  const controls: LdapControl[] = [{ type: '1.2.3', critical: true, value: Buffer.from([0, 255]) }, { type: '1.2.4' }];
  const value = new Uint8Array([0xff, 0x00, 0x80]);

  function readOf(octets: Buffer): BerReader {
    const reader = new BerReader(octets);
    reader.readSequence();
    expect(reader.length).toBe(octets.length - (octets.length - reader.remain));
    return reader;
  }

  it('begin with their id, and carry their controls last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (id) => {
        const reader = readOf(encodeOperation(id, { type: 'delete', dn: 'cn=ø,dc=x' }, controls));
        expect(reader.readInt()).toBe(id);
        expect(reader.readString(0x4a)).toBe('cn=ø,dc=x');
        expect(reader.readSequence(0xa0)).toBe(0xa0);
        reader.readSequence();
        expect([reader.readString(), reader.readBoolean(), reader.readString(0x04, true)]).toEqual([
          '1.2.3',
          true,
          Buffer.from([0, 255]),
        ]);
        reader.readSequence();
        expect(reader.readString()).toBe('1.2.4');
        expect(reader.remain).toBe(0);
      }),
    );
  });

  it('values go as they are, also those that are a part of a larger buffer', () => {
    const part = Buffer.from('..\x00\xff..', 'latin1').subarray(2, 4);
    const changes = [{ kind: 'replace' as const, attribute: 'photo', values: [part, value, new Uint8Array()] }];
    const reader = readOf(encodeOperation(1, { type: 'modify', dn: 'dc=x', changes }));
    reader.readInt();
    reader.readSequence(0x66);
    expect(reader.readString()).toBe('dc=x');
    reader.readSequence();
    reader.readSequence();
    expect(reader.readEnumeration()).toBe(2);
    reader.readSequence();
    expect(reader.readString()).toBe('photo');
    reader.readSequence(0x31);
    const values = [1, 2, 3].map(() => reader.readString(0x04, true));
    expect(values).toEqual([Buffer.from(part), Buffer.from(value), Buffer.alloc(0)]);
  });

  it.each<[Operation, string]>([
    [{ type: 'simple-bind', dn: 'cn=a', password: 'ü' }, '3012020101600d0201030404636e3d618002c3bc'],
    [
      { type: 'sasl-bind', mechanism: 'EXTERNAL', credentials: null },
      '301602010160110201030400a30a040845585445524e414c',
    ],
    [
      { type: 'rename', dn: 'cn=a', rdn: 'cn=b', keepOldRdn: false, superior: 'dc=x' },
      '301a0201016c150404636e3d610404636e3d620101ff800464633d78',
    ],
    [
      { type: 'rename', dn: 'cn=a', rdn: 'cn=b', keepOldRdn: true, superior: null },
      '30140201016c0f0404636e3d610404636e3d62010100',
    ],
    [
      { type: 'add', dn: 'cn=a', attributes: [['cn', [Buffer.from('a')]]] },
      '301802010168130404636e3d61300b30090402636e3103040161',
    ],
    [
      { type: 'compare', dn: 'cn=a', attribute: 'cn', value: Buffer.from('a') },
      '30140201016e0f0404636e3d6130070402636e040161',
    ],
    [{ type: 'extended', name: '1.2', value: Buffer.from('x') }, '300d02010177088003312e32810178'],
  ])('%j', (operation, hex) => {
    expect(encodeOperation(1, operation).toString('hex')).toBe(hex);
  });

  it('abandon and unbind', () => {
    expect(encodeAbandon(3, 2).toString('hex')).toBe('3006020103500102');
    expect(encodeUnbind(3).toString('hex')).toBe('30050201034200');
  });

  it('octets in filters stay what they are', () => {
    const octets = encodeSearch(1, {
      base: '',
      scope: 'base',
      filter: '(objectGUID=\\ff\\00\\80)',
      attributes: ['1.1'],
    });
    expect(octets.toString('hex')).toContain('040a6f626a656374475549440403ff0080');
  });
});

describe('responses', () => {
  const entryOctets = entry(
    5,
    'cn=ø,dc=x',
    { 'userCertificate;BINARY': [Buffer.from([0xff])], empty: [], cn: ['ø', ''] },
    [{ type: '1.2.3', critical: true, value: Buffer.from('v') }],
  );

  it('an entry has its names in lower case, and its values as octets', () => {
    const response = responseIn(entryOctets, whole(entryOctets));
    expect(response.id).toBe(5);
    expect(entryOf(entryOctets, response)).toEqual({
      type: 'entry',
      dn: 'cn=ø,dc=x',
      attributes: new Map([
        ['usercertificate;binary', [Buffer.from([0xff])]],
        ['empty', []],
        ['cn', [Buffer.from('ø'), Buffer.alloc(0)]],
      ]),
      controls: [{ type: '1.2.3', value: Buffer.from('v') }],
    });
  });

  it('names are in lower case also where there are more of them than are remembered', () => {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5_000; i++) {
        const octets = entry(1, 'cn=a', { [`Attribute-${i}`]: ['x'], [`${'Long'.repeat(40)}${i}`]: [] });
        const { attributes } = entryOf(octets, responseIn(octets, whole(octets)));
        expect([...attributes.keys()].join()).toBe(`attribute-${i},${'long'.repeat(40)}${i}`);
      }
    }
  });

  it('a result has all that the server said', () => {
    const answer = { code: 4096, matchedDn: 'dc=x', message: 'über', referrals: ['ldap://a/', 'ldap://b/'] };
    const octets = result(2 ** 31 - 1, BIND, { ...answer, value: Buffer.from([1, 2]), controls: [{ type: '1.2.4' }] });
    const response = responseIn(octets, whole(octets));
    expect(response.id).toBe(2 ** 31 - 1);
    expect(resultOf(octets, response)).toEqual({
      ...answer,
      value: Buffer.from([1, 2]),
      controls: [{ type: '1.2.4' }],
    });
  });

  const samples = [
    entryOctets,
    result(2, DONE, {
      code: 32,
      message: 'none',
      referrals: ['ldap://a/'],
      controls: [{ type: '1.2', value: Buffer.from('c') }],
    }),
    result(3, EXTENDED, { value: Buffer.from('x') }),
    reference(4, 'ldap://a/', 'ldap://b/'),
    intermediate(5, '1.2.3', Buffer.from([0x80, 0])),
    disconnection('bye'),
  ];
  const readers = [entryOf, resultOf, referenceOf, intermediateOf, notificationName, controlsOf];

  /** Reads it in every way; throws what is not a BerError. */
  function readAll(octets: Buffer): void {
    for (const read of readers) {
      try {
        const message = peekElement(octets, 0);
        if (message === null || message.end > octets.length) continue;
        read(octets, responseIn(octets, message));
      } catch (error) {
        if (!(error instanceof BerError)) throw error;
      }
    }
  }

  it('every truncation and every bit that flips is read within its bounds, or refused', () => {
    for (const sample of samples) {
      for (let length = 0; length < sample.length; length++) {
        const cut = Buffer.from(sample.subarray(0, length));
        readAll(cut);
        // The same with a length that says that it is whole.
        if (length > 2) readAll(Buffer.concat([Buffer.from([0x30, length - 2]), cut.subarray(2)]));
      }
      for (let bit = 0; bit < sample.length * 8; bit++) {
        const flipped = Buffer.from(sample);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        readAll(flipped);
      }
    }
  });

  it('anything at all is read within its bounds, or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (octets) => readAll(Buffer.from([0x30, octets.length, ...octets]))),
      {
        numRuns: 2_000,
      },
    );
  });

  it('is refused where it lies around more than there is', () => {
    const octets = Buffer.from(entryOctets);
    // Of the value of the control, which is last.
    octets[octets.length - 2] = 0x7f;
    expect(() => controlsOf(octets, responseIn(octets, whole(octets)))).toThrow(BerError);
  });
});
