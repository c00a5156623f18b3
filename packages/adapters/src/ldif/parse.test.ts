import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defaultLimits, isDirpostError } from '@dirpost/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { folderUrlReader } from './file-urls.ts';
import { type LdifParseOptions, LdifParser } from './parse.ts';
import type { LdifRecord } from './records.ts';

function parse(text: string | Uint8Array, options: LdifParseOptions = {}): LdifRecord[] {
  const parser = new LdifParser(options);
  return [...parser.push(typeof text === 'string' ? Buffer.from(text) : text), ...parser.end()];
}

/** Attributes as plain text. */
function plain(record: LdifRecord | undefined): Record<string, string[]> {
  if (record === undefined || !('attributes' in record)) throw new Error('no attributes');
  return Object.fromEntries(
    [...record.attributes].map(([name, values]) => [name, values.map((value) => Buffer.from(value).toString('utf8'))]),
  );
}

describe('the examples of RFC 2849', () => {
  test('1: two entries', () => {
    const records = parse(`version: 1
dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Barbara Jensen
cn: Barbara J Jensen
cn: Babs Jensen
sn: Jensen
uid: bjensen
telephonenumber: +1 408 555 1212
description: A big sailing fan.

dn: cn=Bjorn Jensen, ou=Accounting, dc=airius, dc=com
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Bjorn Jensen
sn: Jensen
telephonenumber: +1 408 555 1212
`);
    expect(records.map((record) => [record.kind, record.line])).toEqual([
      ['content', 2],
      ['content', 14],
    ]);
    expect(records[0]).toMatchObject({ dn: 'cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com' });
    expect(plain(records[0])['cn']).toEqual(['Barbara Jensen', 'Barbara J Jensen', 'Babs Jensen']);
    expect(plain(records[1])['telephonenumber']).toEqual(['+1 408 555 1212']);
  });

  test('2: a folded value', () => {
    const [record] = parse(`version: 1
dn:cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
objectclass:top
uid:bjensen
description:Babs is a big sailing fan, and travels extensively in sea
 rch of perfect sailing conditions.
title:Product Manager, Rod and Reel Division
`);
    expect(plain(record)['description']).toEqual([
      'Babs is a big sailing fan, and travels extensively in search of perfect sailing conditions.',
    ]);
    expect(plain(record)['title']).toEqual(['Product Manager, Rod and Reel Division']);
  });

  test('3: a value in base64', () => {
    const [record] = parse(`version: 1
dn: cn=Gern Jensen, ou=Product Testing, dc=airius, dc=com
description:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUhICBUaGlzIHZhbHVl
 IGlzIGJhc2UtNjQtZW5jb2RlZCBiZWNhdXNlIGl0IGhhcyBhIGNvbnRyb2wgY2hhcmFjdGVyIG
 luIGl0IChhIENSKS4NICBCeSB0aGUgd2F5LCB5b3Ugc2hvdWxkIHJlYWxseSBnZXQgb3V0IG1vc
 mUu
`);
    expect(plain(record)['description']?.[0]).toMatch(/^What a careful reader you are!.*\(a CR\)\.\r {2}By the way/);
  });

  test('4: DNs in base64, options, and comments between', () => {
    const [record] = parse(`version: 1
dn:: b3U95Za25qWt6YOoLG89QWlyaXVz
# dn:: ou=<JapaneseOU>,o=Airius
objectclass: organizationalUnit
ou:: 5Za25qWt6YOo
ou;lang-ja:: 5Za25qWt6YOo
# ou;lang-ja:: <JapaneseOU>,
#  folded
 comment
ou;lang-en: Sales
`);
    expect(record).toMatchObject({ dn: 'ou=営業部,o=Airius' });
    expect(plain(record)).toEqual({
      objectclass: ['organizationalUnit'],
      ou: ['営業部'],
      'ou;lang-ja': ['営業部'],
      'ou;lang-en': ['Sales'],
    });
  });

  test('6 and 7: change records', () => {
    const records = parse(`version: 1
# Add a new entry
dn: cn=Fiona Jensen, ou=Marketing, dc=airius, dc=com
changetype: add
objectclass: person
cn: Fiona Jensen

# Delete an existing entry
dn: cn=Robert Jensen, ou=Marketing, dc=airius, dc=com
changetype: delete

# Modify an entry's relative distinguished name
dn: cn=Paul Jensen, ou=Product Development, dc=airius, dc=com
changetype: modrdn
newrdn: cn=Paula Jensen
deleteoldrdn: 1

# Rename an entry and move all of its children
dn: ou=PD Accountants, ou=Product Development, dc=airius, dc=com
changetype: modrdn
newrdn: ou=Product Development Accountants
deleteoldrdn: 0
newsuperior: ou=Accounting, dc=airius, dc=com

# Modify an entry
dn: cn=Paula Jensen, ou=Product Development, dc=airius, dc=com
changetype: modify
add: postaladdress
postaladdress: 123 Anystreet $ Sunnyvale, CA $ 94086
-
delete: description
-
replace: telephonenumber
telephonenumber: +1 408 555 1234
telephonenumber: +1 408 555 5678
-
delete: facsimiletelephonenumber
facsimiletelephonenumber: +1 408 555 9876
-

# Delete an entry, with a control
dn: ou=Product Development, dc=airius, dc=com
control: 1.2.840.113556.1.4.805 true
control: 1.2.3 false: value
control: 1.2.4:: AAE=
control: 1.2.5
changetype: delete
`);
    expect(records.map(({ kind }) => kind)).toEqual(['add', 'delete', 'rename', 'rename', 'modify', 'delete']);
    expect(records[2]).toMatchObject({ newRdn: 'cn=Paula Jensen', deleteOldRdn: true });
    expect(records[3]).toMatchObject({ deleteOldRdn: false, newSuperior: 'ou=Accounting, dc=airius, dc=com' });
    expect(records[4]).toMatchObject({
      modifications: [
        { operation: 'add', attribute: 'postaladdress' },
        { operation: 'delete', attribute: 'description', values: [] },
        { operation: 'replace', attribute: 'telephonenumber', values: [{}, {}] },
        { operation: 'delete', attribute: 'facsimiletelephonenumber' },
      ],
    });
    expect(records[5]).toMatchObject({
      controls: [
        { oid: '1.2.840.113556.1.4.805', critical: true },
        { oid: '1.2.3', critical: false, value: Buffer.from('value') },
        { oid: '1.2.4', critical: false, value: Buffer.from([0, 1]) },
        { oid: '1.2.5', critical: false },
      ],
    });
  });
});

describe('milder than the RFC', () => {
  test('CRLF, a byte order mark, UTF-8 as it is, no version, an empty value', () => {
    const [record] = parse('\ufeffdn: cn=Åse\r\ncn: Åse\r\nsn:\r\ndescription: a\r\n b\r\n\r\n');
    expect(record).toMatchObject({ dn: 'cn=Åse' });
    expect(plain(record)).toEqual({ cn: ['Åse'], sn: [''], description: ['ab'] });
  });

  test('increment, and a modify without its last "-"', () => {
    const [record] = parse('dn: cn=a\nchangetype: modify\nincrement: uidNumber\nuidNumber: 1');
    expect(record).toMatchObject({
      modifications: [{ operation: 'increment', attribute: 'uidnumber', values: [Buffer.from('1')] }],
    });
  });

  test('what ldapsearch appends', () => {
    const records = parse(
      'dn: cn=a\ncn: a\n\n# search reference\nref: ldap://b/c\n\nsearch: 2\nresult: 4 Size limit exceeded\n',
    );
    expect(records.slice(1)).toEqual([
      { kind: 'search-reference', urls: ['ldap://b/c'], line: 5 },
      { kind: 'search-result', code: 4, text: '4 Size limit exceeded', line: 7 },
    ]);
  });

  test('files joined with their version lines', () => {
    expect(parse('version: 1\n\ndn: cn=a\ncn: a\n\n\nversion: 1\ndn: cn=b\ncn: b\n').length).toBe(2);
  });
});

describe('broken files', () => {
  const tooLong = 'x'.repeat(200);
  const small = { ...defaultLimits, maxValueBytes: 100, maxEntryBytes: 250, maxAttributes: 3, maxValues: 4 };

  test.each<[string, number, string, string?]>([
    ['dn: cn=a\ncn: a\nsn:: $$$=\n', 3, 'a value in base64 is not valid: "$" at character 1'],
    ['dn: cn=a\ncn:: YQ\n', 2, 'a value in base64 is not valid: it has 2 characters'],
    ['dn: cn=a\ncn:: YR==\n', 2, 'its last character cannot be the last'],
    ['dn: cn=a\ncn:: Y=Q=\n', 2, 'at character 2'],
    ['dn: cn=a\ncn:: YWJj\n  ZGVm\n', 2, '" " at character 5'],
    ['dn: cn=a\ncn a\n', 2, 'there is no colon in "cn a"'],
    ['dn: cn=a\n: a\n', 2, 'no attribute name before the colon'],
    ['dn: cn=a\nc_n!: a\n', 2, 'no attribute name before the colon'],
    [' dn: cn=a\n', 1, 'begins with a space'],
    ['dn: cn=a\ncn: a\n\n cn: b\n', 4, 'begins with a space'],
    ['dn: cn=a\ncn: a\ndn: cn=b\ncn: b\n', 3, 'no blank line before it'],
    ['dn: cn=a\n\n', 1, 'no attributes and no changetype'],
    ['dn: cn=a\ncn: a\n\ncn: b\n', 4, 'begin here with its dn, not with "cn"'],
    ['version: 2\n', 1, 'only version 1'],
    ['dn:: /w==\ncn: a\n', 1, 'the dn is not UTF-8'],
    ['dn: cn=a\nchangetype: replace\n', 2, 'the changetype is "replace"'],
    ['dn: cn=a\nchangetype: delete\ncn: a\n', 3, 'nothing may follow changetype: delete'],
    ['dn: cn=a\nchangetype: add\n\n', 1, 'has no attributes'],
    ['dn: cn=a\nchangetype: modify\ncn: a\n', 3, 'one of add:, delete:, replace:, increment:'],
    ['dn: cn=a\nchangetype: modify\nadd: cn\nsn: a\n', 4, '"sn" stands here, while values of cn are listed'],
    ['dn: cn=a\nchangetype: modify\nadd: cn\ncn: a\ndelete: sn\n', 5, 'a line with only "-" is missing'],
    ['dn: cn=a\nchangetype: modify\nadd: c n\n', 3, '"c n" is not an attribute name'],
    ['dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\n\n', 4, 'the rename has no deleteoldrdn'],
    ['dn: cn=a\nchangetype: modrdn\ndeleteoldrdn: 2\n', 3, 'not 0 or 1'],
    ['dn: cn=a\nchangetype: modrdn\ncn: 2\n', 3, 'no meaning in a rename'],
    ['dn: cn=a\ncontrol: x\nchangetype: delete\n', 2, 'is not a control'],
    ['dn: cn=a\ncontrol: 1.2.3 true\ncn: a\n', 1, 'a control without a changetype'],
    ['dn: cn=a\ncn: a\0b\n', 2, 'NUL'],
    ['\xff\xfed\0n\0', 1, 'UTF-16'],
    ['dn: cn=a\ncn:< file:///etc/passwd\n', 2, 'which is not allowed', 'ldif-url'],
    [`dn: cn=a\ncn: ${tooLong}\n`, 2, 'larger than 100 bytes', 'limit-exceeded'],
    [`dn: cn=a\n${`cn: ${'x'.repeat(90)}\n`.repeat(3)}`, 4, 'the entry is larger', 'limit-exceeded'],
    ['dn: cn=a\na: 1\nb: 1\nc: 1\nd: 1\n', 5, 'more than 3 attributes', 'limit-exceeded'],
    [`dn: cn=a\n${'a: 1\n'.repeat(5)}`, 6, 'more than 4 values', 'limit-exceeded'],
    [`dn: cn=a\ncn: ${'x'.repeat(70_000)}`, 2, 'the line is longer', 'limit-exceeded'],
  ])('%j: line %i, %s', (text, line, reason, code = 'ldif-syntax') => {
    const parser = new LdifParser({ limits: small, source: 'people.ldif', minScanBytes: 1 });
    let caught: unknown;
    try {
      parser.push(Buffer.from(text, text.startsWith('\xff') ? 'latin1' : 'utf8'));
      parser.end();
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code, context: { line, source: 'people.ldif' } });
    expect((caught as Error).message).toMatch(`people.ldif, line ${line}: `);
    expect((caught as Error).message).toContain(reason);
  });

  test('line numbers count folded lines and comments', () => {
    expect(() => parse('version: 1\n\n# a\n  b\n\ndn: cn=a\ncn: a\n b\n  c\nbroken\n')).toThrow(
      /line 10: there is no colon/,
    );
  });

  test('whatever is thrown at it, it gives records or a DirpostError', () => {
    for (let seed = 1; seed < 400; seed++) {
      let state = seed;
      const bytes = Buffer.from('dn: cn=a\nchangetype: modify\nadd: cn\ncn:: YQ==\n-\n\ndn: cn=b\ncn: b\n c\n');
      for (let i = 0; i < 3; i++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        bytes[state % bytes.length] = (state >>> 8) & 0xff;
      }
      try {
        parse(bytes);
      } catch (error) {
        expect(isDirpostError(error)).toBe(true);
      }
    }
  });
});

describe('values in files', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dirpost-ldif-'));
    await mkdir(join(folder, 'photos'));
    await writeFile(join(folder, 'photos', 'ann.jpg'), Buffer.from([1, 2, 3]));
    await writeFile(join(folder, 'secret'), 'secret');
    if (process.platform !== 'win32') await symlink(join(folder, 'secret'), join(folder, 'photos', 'link.jpg'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const read = (name: string) =>
    parse(`dn: cn=a\njpegPhoto:< ${name.includes(':') ? name : pathToFileURL(join(folder, name)).href}\n`, {
      readUrl: folderUrlReader(join(folder, 'photos')),
    });

  test('are read inside the folder that is allowed', () => {
    expect(read('photos/ann.jpg')).toMatchObject([{ kind: 'content' }]);
    expect(
      read('photos/ann.jpg').flatMap((record) => ('attributes' in record ? [...record.attributes.values()] : [])),
    ).toEqual([[Buffer.from([1, 2, 3])]]);
  });

  test.each(['secret', 'photos/../secret', 'photos/link.jpg', 'photos', 'photos/none', 'http://a/b', 'file:'])(
    '%s is refused',
    (name) => {
      expect(() => read(name)).toThrow(
        expect.objectContaining({ code: 'ldif-url', context: expect.objectContaining({ line: 2 }) }),
      );
    },
  );
});
