import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Attributes, encodeEntry } from './entry.ts';
import { isDirpostError } from './errors.ts';
import { type Filter, parseFilter, writeFilter } from './filter-syntax.ts';
import { attributesLookup, compileFilter, entryLookup } from './filter.ts';

const attributesOf = (values: Record<string, (string | Uint8Array)[]>): Attributes =>
  new Map(Object.entries(values).map(([name, list]) => [name, list.map((value) => Buffer.from(value as string))]));

const ann = attributesOf({
  entrydn: ['cn=Ann Lee,ou=Sales,dc=example,dc=com'],
  objectclass: ['top', 'person', 'inetOrgPerson'],
  cn: ['Ann  LEE', 'Annie'],
  'cn;lang-no': ['Åse Li'],
  mail: ['ann@example.com'],
  uidnumber: ['1000'],
  useraccountcontrol: ['514'],
  homedirectory: ['/home/Ann'],
  telephonenumber: ['+47 22-33 44'],
  manager: ['CN=Boss\\, Big , DC=Example'],
  jpegphoto: [Buffer.from([0xff, 0xd8, 0x41])],
  modifytimestamp: ['20240229120000Z'],
  description: ['foo  bar'],
});

/** Of ann, through both lookups. */
function evaluate(text: string): boolean | undefined {
  const filter = compileFilter(text);
  const result = filter.matches(attributesLookup(ann));
  const bytes = encodeEntry({ id: Buffer.alloc(16), owner: 'oslo', kind: 'person', attributes: ann });
  expect(filter.matches(entryLookup(bytes))).toBe(result);
  return result;
}

describe('syntax', () => {
  // RFC 4515 §4
  test.each([
    '(cn=Babs Jensen)',
    '(!(cn=Tim Howes))',
    '(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))',
    '(o=univ*of*mich*)',
    '(seeAlso=)',
    '(cn:caseExactMatch:=Fred Flintstone)',
    '(cn:=Betty Rubble)',
    '(sn:dn:2.4.6.8.10:=Barney Rubble)',
    '(o:dn:=Ace Industry)',
    '(:1.2.3:=Wilma Flintstone)',
    '(:dn:2.4.6.8.10:=Dino)',
    '(o=Parens R Us \\28for all your parenthetical needs\\29)',
    '(cn=*\\2a*)',
    '(filename=C:\\5cMyFile)',
    '(sn=Lučić)',
    '(1.3.6.1.4.1.1466.0=\\04\\02Hi)',
    '(&)',
    '(|)',
  ])('%s is written as it was read', (text) => {
    expect(writeFilter(parseFilter(text))).toBe(text);
  });

  test('octets can be written as hexadecimal pairs', () => {
    expect(parseFilter('(bin=\\00\\00\\00\\04)')).toMatchObject({ value: Buffer.from([0, 0, 0, 4]) });
    expect(parseFilter('(sn=Lu\\c4\\8di\\c4\\87)')).toMatchObject({ value: Buffer.from('Lučić') });
  });

  test('white space and line ends between filters mean nothing', () => {
    expect(writeFilter(parseFilter(' ( &\n  (a=b)\n  ( ! (c=d) )\n) '))).toBe('(&(a=b)(!(c=d)))');
  });

  const value = fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
  );
  const filled = value.filter((bytes) => bytes.length > 0);
  const attribute = fc.constantFrom('cn', 'sn;lang-no', '2.5.4.3', 'x-own');
  const { filter: anyFilter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 4 },
      fc.record({
        kind: fc.constantFrom('equality', 'approx', 'greater-or-equal', 'less-or-equal'),
        attribute,
        value,
      }),
      fc.record({ kind: fc.constant('present'), attribute }),
      fc.tuple(attribute, filled, fc.array(filled, { maxLength: 3 }), fc.boolean()).map(
        ([name, bytes, any, first]): Filter => ({
          kind: 'substrings',
          attribute: name,
          ...(first ? { initial: bytes } : { final: bytes }),
          any,
        }),
      ),
      fc.tuple(attribute, value, fc.boolean()).map(
        ([name, bytes, dnAttributes]): Filter => ({
          kind: 'extensible',
          attribute: name,
          rule: 'caseExactMatch',
          dnAttributes,
          value: bytes,
        }),
      ),
      fc.record({ kind: fc.constantFrom('and', 'or'), filters: fc.array(tie('filter'), { maxLength: 4 }) }),
      fc.record({ kind: fc.constant('not'), filter: tie('filter') }),
    ) as fc.Arbitrary<Filter>,
  }));

  test('whatever is written is read again as the same', () => {
    fc.assert(
      fc.property(anyFilter, (filter) => {
        expect(parseFilter(writeFilter(filter))).toEqual(filter);
      }),
    );
  });

  test.each([
    ['cn=x', 0, 'opening parenthesis'],
    ['', 0, 'opening parenthesis'],
    ['(cn=x', 5, 'closing parenthesis is missing'],
    ['(cn=x))', 6, 'more after'],
    ['(cn)', 3, 'one of ='],
    ['(=x)', 1, 'attribute name'],
    ['(cn=a**b)', 1, 'two *'],
    ['(cn>=a*)', 1, '\\2a'],
    ['(cn=a\\2)', 5, 'two hexadecimal digits'],
    ['(cn=a(b)', 5, '\\28'],
    ['(!(a=b)(c=d))', 7, 'closing parenthesis'],
    ['(cn:bad rule:=x)', 3, 'matching rule'],
    ['(:=x)', 3, 'missing'],
    ['(&(a=b)x)', 7, 'closing parenthesis'],
    [`${'(!'.repeat(60)}(a=b)${')'.repeat(60)}`, 100, 'nested deeper'],
    [`(cn=${'x'.repeat(70_000)})`, 0, 'longer than'],
  ])('%.30s is refused at position %i', (text, position, reason) => {
    let caught: unknown;
    try {
      parseFilter(text);
    } catch (error) {
      caught = error;
    }
    expect(isDirpostError(caught, 'filter-syntax')).toBe(true);
    expect(caught).toMatchObject({ context: { position, reason: expect.stringContaining(reason) as string } });
  });
});

describe('meaning', () => {
  test.each<[string, boolean | undefined]>([
    ['(cn=ann lee)', true],
    ['(cn=  ANN    lee )', true],
    ['(CN=annie)', true],
    ['(cn=annielee)', false],
    ['(2.5.4.3=annie)', true],
    ['(cn=åse li)', true],
    ['(cn;lang-no=Åse Li)', true],
    ['(cn;lang-no=Annie)', false],
    ['(cn~=ANNIE)', true],
    ['(sn=*)', false],
    ['(mail=*)', true],
    ['(!(sn=x))', true],
    ['(cn=ann*)', true],
    ['(cn=a*l*e)', true],
    ['(cn=*lee)', true],
    ['(cn=*xlee)', false],
    ['(description=foo *)', true],
    ['(description=fo *)', false],
    ['(description=foo b*)', true],
    ['(description=*o*o*bar)', true],
    ['(description=*bar*bar)', false],
    ['(description=foo bar*bar)', false],
    ['(homeDirectory=/home/Ann)', true],
    ['(homeDirectory=/home/ann)', false],
    ['(telephoneNumber=+4722 3344)', true],
    ['(uidNumber=01000)', true],
    ['(uidNumber>=999)', true],
    ['(uidNumber<=999)', false],
    ['(uidNumber>=10000)', false],
    ['(uidNumber=many)', undefined],
    ['(!(uidNumber=many))', undefined],
    ['(mail>=ann)', true],
    ['(mail<=ann)', false],
    ['(modifyTimestamp>=20240229110000Z)', true],
    ['(modifyTimestamp=20240229130000+0100)', true],
    ['(modifyTimestamp<=20240229115959.9Z)', false],
    ['(manager=cn=boss\\5c2c big,dc=EXAMPLE)', true],
    ['(manager=nobody)', undefined],
    ['(jpegPhoto=\\ff\\d8A)', true],
    ['(jpegPhoto=\\ff\\d8a)', false],
    ['(userAccountControl:1.2.840.113556.1.4.803:=2)', true],
    ['(userAccountControl:1.2.840.113556.1.4.803:=3)', false],
    ['(userAccountControl:1.2.840.113556.1.4.804:=3)', true],
    ['(cn:caseExactMatch:=Annie)', true],
    ['(cn:caseExactMatch:=annie)', false],
    ['(homeDirectory:caseIgnoreMatch:=/HOME/ANN)', true],
    ['(mail:octetStringMatch:=ANN@example.com)', false],
    ['(cn:1.2.3.4:=x)', undefined],
    ['(ou:dn:=sales)', true],
    ['(ou:=sales)', false],
    ['(:dn:caseIgnoreMatch:=sales)', true],
    ['(:caseExactMatch:=Annie)', true],
    ['(&)', true],
    ['(|)', false],
    // Three values: RFC 4511 §4.5.1.7.
    ['(&(cn:1.2.3:=x)(sn=x))', false],
    ['(&(cn:1.2.3:=x)(cn=annie))', undefined],
    ['(|(cn:1.2.3:=x)(cn=annie))', true],
    ['(|(cn:1.2.3:=x)(sn=x))', undefined],
  ])('%s is %s', (text, expected) => {
    expect(evaluate(text)).toBe(expected);
  });

  test('it says what it asks for, and what can never be true', () => {
    const filter = compileFilter('(&(postoffice=oslo)(CN=x)(ou:dn:=y)(cn:9.9:=z)(2.5.4.4=q))');
    expect(filter.attributes).toEqual(['postoffice', 'cn', 'ou', 'entrydn', 'sn']);
    expect(filter.remarks).toEqual([expect.stringContaining('the matching rule 9.9 is not known')]);
    expect(filter.matches((name) => (name === 'postoffice' ? [Buffer.from('bergen')] : []))).toBe(false);
    expect(compileFilter('(&)').matchesAll).toBe(true);
    expect(filter.matchesAll).toBe(false);
  });

  test('a prefix of a value finds it, whatever the value', () => {
    const words = fc.array(fc.stringMatching(/^[a-zA-ZåÅ]{1,4}$/), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(words, fc.nat(20), (list, cut) => {
        const value = list.join(' ');
        const lookup = () => [Buffer.from(value)];
        const head = Buffer.from(value.slice(0, Math.max(1, cut)).trimEnd() || 'x');
        const tail = Buffer.from(value.slice(cut).trimStart());
        expect(compileFilter({ kind: 'substrings', attribute: 'cn', initial: head, any: [] }).matches(lookup)).toBe(
          true,
        );
        if (tail.length === 0) return;
        expect(compileFilter({ kind: 'substrings', attribute: 'cn', any: [], final: tail }).matches(lookup)).toBe(true);
        expect(compileFilter({ kind: 'substrings', attribute: 'cn', any: [tail] }).matches(lookup)).toBe(true);
      }),
    );
  });
});
