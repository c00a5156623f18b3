import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Dn,
  escapeDnValue,
  firstRdn,
  isDn,
  isWithin,
  normalizeDn,
  parentDn,
  parseDn,
  rdnOf,
  writeDn,
} from './dn.ts';
import { isDirpostError } from './errors.ts';

const text = (dn: string) => parseDn(dn).map((rdn) => rdn.map((p) => [p.type, Buffer.from(p.value).toString('utf8')]));

const nastyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...' ,+"\\<>;#=aAbÅå\n\0ſßΣ'.split('')) }),
);
const octets = fc.oneof(
  nastyText.map((value) => Buffer.from(value)),
  fc.uint8Array({ maxLength: 12 }).map((value) => Buffer.from(value)),
);
const part = fc.record({
  type: fc.constantFrom('cn', 'OU', 'commonName', '2.5.4.3', 'x-own'),
  value: octets,
  ber: fc.constant(false),
});
const anyDn: fc.Arbitrary<Dn> = fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { maxLength: 4 });

describe('parse and write', () => {
  test.each([
    ['UID=jsmith,DC=example,DC=net', [[['UID', 'jsmith']], [['DC', 'example']], [['DC', 'net']]]],
    [
      'OU=Sales+CN=J.  Smith,DC=example,DC=net',
      [
        [
          ['OU', 'Sales'],
          ['CN', 'J.  Smith'],
        ],
        [['DC', 'example']],
        [['DC', 'net']],
      ],
    ],
    [
      'CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net',
      [[['CN', 'James "Jim" Smith, III']], [['DC', 'example']], [['DC', 'net']]],
    ],
    ['CN=Before\\0dAfter,DC=example,DC=net', [[['CN', 'Before\rAfter']], [['DC', 'example']], [['DC', 'net']]]],
    ['CN=Lu\\C4\\8Di\\C4\\87', [[['CN', 'Lučić']]]],
    // RFC 2253 §4 and §5: spaces, semicolons, quotation marks.
    ['CN=Steve Kille , O=Isode Limited ; C = GB', [[['CN', 'Steve Kille']], [['O', 'Isode Limited']], [['C', 'GB']]]],
    ['O="Sue, Grabbit and \\"Runn\\"" , C=GB', [[['O', 'Sue, Grabbit and "Runn"']], [['C', 'GB']]]],
    ['OID.2.5.4.3=x', [[['2.5.4.3', 'x']]]],
    ['cn=a\\ , dc=b', [[['cn', 'a ']], [['dc', 'b']]]],
    ['cn=,dc=b', [[['cn', '']], [['dc', 'b']]]],
    ['cn=a=b', [[['cn', 'a=b']]]],
    ['', []],
  ])('%s', (dn, expected) => {
    expect(text(dn)).toEqual(expected);
    expect(text(writeDn(parseDn(dn)))).toEqual(expected);
  });

  test('a value in hexadecimal digits is kept as BER', () => {
    const dn = '1.3.6.1.4.1.1466.0=#04024869,DC=example,DC=com';
    expect(parseDn(dn)[0]?.[0]).toEqual({
      type: '1.3.6.1.4.1.1466.0',
      value: Buffer.from('04024869', 'hex'),
      ber: true,
    });
    expect(writeDn(parseDn(dn))).toBe(dn);
  });

  test('whatever is written is read again as the same, and is one printable line', () => {
    fc.assert(
      fc.property(anyDn, (dn) => {
        const written = writeDn(dn);
        expect(parseDn(written)).toEqual(dn);
        expect(/\p{Cc}/u.test(written.replace(/[\u0080-\u009f]/g, ''))).toBe(false);
      }),
    );
  });

  test.each([
    ['cn=a,', 5],
    ['cn=a,,dc=b', 5],
    ['cn', 2],
    ['=a', 0],
    ['cn=a\\', 4],
    ['cn=a\\x', 4],
    ['cn=a\\4', 4],
    ['cn="a', 5],
    ['cn="a"b', 6],
    ['cn=#1', 5],
    ['cn=#zz', 4],
    ['cn=a<b', 4],
    ['cn=a"b', 4],
    ['c n=a', 2],
  ])('%j is refused at position %i', (dn, position) => {
    let caught: unknown;
    try {
      parseDn(dn);
    } catch (error) {
      caught = error;
    }
    expect(isDirpostError(caught, 'dn-syntax')).toBe(true);
    expect(caught).toMatchObject({ context: { position } });
  });

  test('a value is escaped so that it stands as one value', () => {
    expect(escapeDnValue('Smith, Jim')).toBe('Smith\\, Jim');
    expect(escapeDnValue(' #a ')).toBe('\\ #a\\ ');
    expect(escapeDnValue('#a')).toBe('\\#a');
    expect(escapeDnValue('a\nb')).toBe('a\\0ab');
    expect(escapeDnValue(Buffer.from([0x61, 0xff]))).toBe('a\\ff');
    expect(escapeDnValue('Lučić')).toBe('Lučić');
  });
});

describe('comparing', () => {
  test.each([
    ['CN=Ann Lee,DC=Example', 'cn=ann lee,dc=example'],
    ['cn=Ann   Lee , dc=example', 'cn=ann lee,dc=example'],
    ['cn=\\41nn Lee,dc=example', 'cn=ann lee,dc=example'],
    ['cn=Ann\\20Lee,dc=example', 'cn=ann lee,dc=example'],
    ['cn=#0c07416e6e204c6565,dc=example', 'cn=ann lee,dc=example'],
    ['OID.2.5.4.3=Ann Lee,0.9.2342.19200300.100.1.25=example', 'cn=ann lee,dc=example'],
    ['commonName=Ann Lee,domainComponent=example', 'cn=ann lee,dc=example'],
    ['ou=x+cn=y,dc=z', 'cn=y+ou=x,dc=z'],
    ['cn=Lee\\, Ann', 'cn=lee\\2c ann'],
    ['cn="Lee, Ann"', 'cn=lee\\2c ann'],
    ['cn=LU\\C4\\8CI\\C4\\86', 'cn=lučić'],
    ['cn=Luc\u030cić', 'cn=lučić'],
    ['cn=\\20', 'cn='],
    // Octets that are not UTF-8 stay apart from each other and from text.
    ['cn=A\\C1\\80\\80', 'cn=a\\c1\\80\\80'],
    ['', ''],
  ])('%s is %s', (dn, normal) => {
    expect(normalizeDn(dn)).toBe(normal);
  });

  test('what is normal stays so, and writing a DN differently does not change what it is', () => {
    fc.assert(
      fc.property(anyDn, (dn) => {
        const normal = normalizeDn(writeDn(dn));
        expect(normalizeDn(normal)).toBe(normal);
        const reversed = dn.map((rdn) => rdn.toReversed());
        expect(normalizeDn(writeDn(reversed))).toBe(normal);
        expect(normal.split(',').length).toBe(Math.max(1, dn.length));
      }),
    );
  });

  test('the short way for plain DNs gives what the long way gives', () => {
    const plain = fc.string({ unit: fc.constantFrom(...'aZ09 .@_-=/:()#,+é'.split('')), maxLength: 12 });
    fc.assert(
      fc.property(fc.array(plain, { minLength: 1, maxLength: 4 }), (values) => {
        const dn = values.map((value) => `CN=${escapeDnValue(value)}`).join(',');
        // An unusual spelling of the type keeps it off the short way.
        expect(normalizeDn(dn)).toBe(normalizeDn(dn.replace(/^CN=/, 'OID.2.5.4.3=')));
      }),
    );
  });

  test('plain DNs are parsed as those that only begin with a space', () => {
    const unit = fc.constantFrom('cn', 'OU', 'x', '=', '=', ',', ',', '+', ' ', 'a', 'Z', '#', '"', '\\', 'é', '<');
    const text = fc.string({ unit, minLength: 1, maxLength: 14 }).map((rest) => `cn=${rest}`);
    const outcome = (read: () => unknown) => {
      try {
        return read();
      } catch {
        return 'no DN';
      }
    };
    fc.assert(
      fc.property(text, (dn) => {
        const long = outcome(() => parseDn(` ${dn}`));
        expect(outcome(() => parseDn(dn))).toEqual(long);
        expect(outcome(() => firstRdn(dn))).toEqual(outcome(() => parseDn(` ${dn}`)[0]));
        expect(isDn(dn)).toBe(long !== 'no DN');
      }),
    );
    expect(firstRdn('')).toEqual([]);
    expect(isDn('')).toBe(false);
  });

  test('parent and RDN', () => {
    expect(parentDn('cn=a\\, b , ou=c,dc=d')).toBe('ou=c,dc=d');
    expect(rdnOf('cn=a\\, b , ou=c,dc=d')).toBe('cn=a\\, b');
    expect(rdnOf('cn=a\\ , dc=d')).toBe('cn=a\\ ');
    expect(rdnOf('cn="a,b",dc=d')).toBe('cn="a,b"');
    expect(parentDn('dc=d')).toBe('');
    expect(parentDn('')).toBe(null);
  });

  test('within a base', () => {
    expect(isWithin('CN=a,OU=b,DC=c', 'ou=B, dc=c')).toBe(true);
    expect(isWithin('ou=b,dc=c', 'ou=b,dc=c')).toBe(true);
    expect(isWithin('ou=xb,dc=c', 'ou=b,dc=c')).toBe(false);
    expect(isWithin('cn=a\\,dc=c', 'dc=c')).toBe(false);
    expect(isWithin('cn=a\\\\,dc=c', 'dc=c')).toBe(true);
    expect(isWithin('dc=c', '')).toBe(true);
  });
});
