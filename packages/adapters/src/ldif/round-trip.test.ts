import { PassThrough, Writable } from 'node:stream';
import { type DirectoryEntry, escapeDnValue } from '@dirpost/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differences } from './difference.ts';
import { DnTable } from '../dn-table.ts';
import { LdifParser, parseLdif } from './parse.ts';
import type { ChangeRecord, ContentRecord, Control, LdifRecord } from './records.ts';
import { formatLdif, writeLdif } from './write.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom(...' ,+"\\<>;#=:aÅ\n\r\t'.split('')), maxLength: 8 }),
  fc.string({ minLength: 60, maxLength: 400 }),
);
const value = fc.oneof(
  text.map((string) => Buffer.from(string)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
const name = fc.constantFrom(
  'cn',
  'sn',
  'objectclass',
  'telephonenumber;lang-no',
  'x-own_attribute',
  'usercertificate;binary',
);
const dn = fc
  .array(text, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.map((part) => `cn=${escapeDnValue(part)}`).join(','));
const values = fc.array(value, { minLength: 1, maxLength: 4 });
const attributes = fc.dictionary(name, values, { minKeys: 1 }).map((entries) => new Map(Object.entries(entries)));
const base = { controls: fc.constant<Control[]>([]), line: fc.constant(0) };
const content: fc.Arbitrary<ContentRecord> = fc.record({
  kind: fc.constant('content'),
  dn,
  attributes,
  line: fc.constant(0),
});
const change: fc.Arbitrary<ChangeRecord> = fc.oneof(
  fc.record({ kind: fc.constant('add'), dn, attributes, ...base }),
  fc.record({
    kind: fc.constant('delete'),
    dn,
    line: fc.constant(0),
    controls: fc.array(fc.record({ oid: fc.constant('1.2.3'), critical: fc.boolean(), value }), { maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant('modify'),
    dn,
    modifications: fc.array(
      fc.record({ operation: fc.constantFrom('add', 'delete', 'replace', 'increment'), attribute: name, values }),
      { maxLength: 3 },
    ),
    ...base,
  }),
  fc.record({ kind: fc.constant('rename'), dn, newRdn: text, deleteOldRdn: fc.boolean(), newSuperior: dn, ...base }),
);
const record = fc.oneof(content, change);

/** Without line numbers, attributes as sorted pairs. */
function comparable(records: LdifRecord[]): unknown[] {
  return records.map((one) => ({
    ...one,
    line: 0,
    ...('attributes' in one ? { attributes: [...one.attributes].sort(([a], [b]) => (a < b ? -1 : 1)) } : {}),
  }));
}

function parseIn(chunks: Buffer[], minScanBytes = 1): LdifRecord[] {
  const parser = new LdifParser({ minScanBytes });
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
}

describe('what is written', () => {
  test('is read again as the same, in lines of at most 76 ASCII characters', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 5 }), (records) => {
        const written = formatLdif(records);
        expect(written.split('\n').every((line) => line.length <= 76)).toBe(true);
        expect(Buffer.from(written).every((octet) => octet > 0 && octet < 128)).toBe(true);
        expect(comparable(parseIn([Buffer.from(written)]))).toEqual(comparable(records));
      }),
    );
  });

  test('does not depend on where the chunks end, nor on CRLF', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(400)),
        fc.boolean(),
        (records, cuts, crlf) => {
          const written = formatLdif(records);
          const bytes = Buffer.from(crlf ? written.replaceAll('\n', '\r\n') : written);
          const chunks: Buffer[] = [];
          let at = 0;
          for (const cut of cuts) chunks.push(Buffer.from(bytes.subarray(at, (at += cut))));
          chunks.push(Buffer.from(bytes.subarray(at)));
          expect(comparable(parseIn(chunks))).toEqual(comparable(records));
        },
      ),
    );
  });

  test('is the same octet by octet', () => {
    const bytes = Buffer.from(
      `\ufeff${formatLdif([{ dn: 'cn=Ann', attributes: new Map([['cn', [Buffer.alloc(300, 97)]]]) }])}`,
    );
    expect(comparable(parseIn(Array.from(bytes, (octet) => Buffer.of(octet))))).toEqual(comparable(parseIn([bytes])));
    expect(
      comparable(
        parseIn(
          Array.from(bytes, (octet) => Buffer.of(octet)),
          65_536,
        ),
      ),
    ).toEqual(comparable(parseIn([bytes])));
  });

  test('reads well', () => {
    const entry: DirectoryEntry = {
      dn: 'cn=Åse,dc=example',
      attributes: new Map([
        ['telephonenumber', [Buffer.from('+47 1')]],
        ['givenname;lang-no', [Buffer.from('Åse')]],
        ['objectclass', [Buffer.from('top'), Buffer.from('person')]],
        [
          'description',
          [Buffer.from('x'.repeat(100)), Buffer.from(' a'), Buffer.from('a '), Buffer.from(''), Buffer.from(':b')],
        ],
      ]),
    };
    expect(formatLdif([entry], { comments: ['two\nlines'] })).toBe(`# two lines
version: 1

dn:: Y249w4VzZSxkYz1leGFtcGxl
objectClass: top
objectClass: person
description: ${'x'.repeat(63)}
 ${'x'.repeat(37)}
description:: IGE=
description:: YSA=
description:
description:: OmI=
givenName;lang-no:: w4VzZQ==
telephoneNumber: +47 1

`);
  });

  test('waits for the stream, and fails with it', async () => {
    const entry = { dn: 'cn=a', attributes: new Map([['cn', [Buffer.alloc(1000, 97)]]]) };
    let waiting = 0;
    let most = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write(_chunk, _encoding, done) {
        most = Math.max(most, ++waiting);
        setImmediate(() => {
          waiting--;
          done();
        });
      },
    });
    expect(
      await writeLdif(
        Array.from({ length: 2000 }, () => entry),
        slow,
      ),
    ).toBe(2000);
    expect(most).toBe(1);
    const broken = new Writable({ write: (_chunk, _encoding, done) => done(new Error('gone')) });
    broken.on('error', () => {});
    await expect(writeLdif([entry], broken)).rejects.toThrow('gone');
  });

  test('goes through a stream', async () => {
    const stream = new PassThrough();
    const records = Array.from({ length: 500 }, (_, i) => ({
      dn: `cn=${i}`,
      attributes: new Map([['cn', [Buffer.from(`${i}`)]]]),
    }));
    const writing = writeLdif(records, stream).then(() => stream.end());
    const read: string[] = [];
    for await (const one of parseLdif(stream)) read.push('dn' in one ? one.dn : '');
    await writing;
    expect(read).toEqual(records.map((one) => one.dn));
  });
});

describe('differences', () => {
  const entry = (name: string, cn: string[], more: Record<string, string[]> = {}): DirectoryEntry => ({
    dn: name,
    attributes: new Map(Object.entries({ cn, ...more }).map(([key, list]) => [key, list.map((v) => Buffer.from(v))])),
  });

  test('are additions, replaced attributes, and deletions from the leaves up', async () => {
    const existing = [
      entry('dc=x', ['x']),
      entry('ou=old,dc=x', ['old']),
      entry('cn=a,ou=old,dc=x', ['a']),
      entry('CN=Same,dc=x', ['1', '2']),
      entry('cn=changed,dc=x', ['1'], { sn: ['s'], mail: ['m'] }),
    ];
    const planned = [
      entry('dc=x', ['x']),
      entry('cn=same,dc=X', ['2', '1']),
      entry('cn=changed,dc=x', ['2'], { mail: ['m'], title: ['t'] }),
      entry('cn=new,dc=x', ['new']),
    ];
    const found: ChangeRecord[] = [];
    for await (const one of differences(existing, planned)) found.push(one);
    expect(found).toEqual([
      {
        kind: 'modify',
        dn: 'cn=changed,dc=x',
        line: 0,
        controls: [],
        modifications: [
          { operation: 'replace', attribute: 'cn', values: [Buffer.from('2')] },
          { operation: 'replace', attribute: 'sn', values: [] },
          { operation: 'replace', attribute: 'title', values: [Buffer.from('t')] },
        ],
      },
      { kind: 'add', dn: 'cn=new,dc=x', line: 0, controls: [], attributes: planned[3]?.attributes },
      { kind: 'delete', dn: 'cn=a,ou=old,dc=x', line: 0, controls: [] },
      { kind: 'delete', dn: 'ou=old,dc=x', line: 0, controls: [] },
    ]);
  });

  test('a table of DNs keeps every DN apart while it grows', () => {
    const table = new DnTable();
    for (let i = 0; i < 20_000; i++) expect(table.add(`cn=${i},dc=x`, i)).toBe(undefined);
    for (let i = 0; i < 20_000; i += 7) expect(table.add(`cn=${i},dc=x`, 1)).toBe(i);
    expect(table.get('cn=20000,dc=x')).toBe(undefined);
    expect(table.size).toBe(20_000);
  });
});
