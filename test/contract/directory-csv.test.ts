import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CsvDirectory, type CsvDirectoryOptions } from '@dirpost/adapters';
import { defaultLimits, type DirectoryChange } from '@dirpost/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attributesOf, content, directoryContract, person, put, readAll, writeAll } from './directory.ts';

const columns = (...names: string[]) => names.map((name) => ({ attribute: name, title: name }));
const all = ['dn', 'objectClass', 'uid', 'cn', 'sn', 'mail', 'telephoneNumber', 'jpegPhoto', 'description;lang-no'];

directoryContract('CSV file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-csv-'));
  const path = join(folder, 'people.csv');
  const options = { name: 'people', path, key: 'uid', dn: 'dn', separator: '|', columns: columns(...all) };
  return {
    directory: new CsvDirectory(options),
    base: 'ou=people,dc=example,dc=com',
    close: () => rm(folder, { recursive: true, force: true }),
  };
});

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-csv-'));
  path = join(folder, 'people.csv');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const directory = (more: Partial<CsvDirectoryOptions> = {}) =>
  new CsvDirectory({ name: 'people', path, key: 'Nr', ...more });
const read = async (text: string | Uint8Array, more: Partial<CsvDirectoryOptions> = {}) => {
  await writeFile(path, text);
  return await readAll(directory(more));
};
/** Of each entry, without the object class. */
const rows = async (text: string | Uint8Array, more: Partial<CsvDirectoryOptions> = {}) => {
  const { entries, certificate } = await read(text, more);
  expect(certificate).toMatchObject({ complete: true, remarks: [] });
  return Object.values(content(entries)).map(({ objectclass: _, ...values }) => values);
};

describe('a CSV file that is read', () => {
  test('gives an entry per row: its DN made of the key, an object class, attributes called as the columns', async () => {
    const { entries } = await read('Nr,mail,First Name\n7,ann@x,Ann\n', { suffix: 'dc=x' });
    expect(entries.map(({ dn }) => dn)).toEqual(['uid=7,dc=x']);
    const attributes = { nr: ['7'], mail: ['ann@x'], 'first name': ['Ann'], objectclass: ['inetOrgPerson'] };
    expect(entries[0]!.attributes).toEqual(attributesOf(attributes));
  });

  test.each<[string, string | Buffer]>([
    ['commas', 'Nr,mail\n7,ann@x\n'],
    ['semicolons and CRLF', 'Nr;mail\r\n7;ann@x\r\n'],
    ['tabs', 'Nr\tmail\n7\tann@x\n'],
    ['bars', 'Nr|mail\n7|ann@x\n'],
    ['a byte order mark', '\uFEFFNr,mail\n7,ann@x\n'],
    ['a byte order mark before a quoted header', '\uFEFF"Nr","mail"\n"7","ann@x"\n'],
    ['UTF-16 with its mark', Buffer.from('\uFEFFNr\tmail\r\n7\tann@x\r\n', 'utf16le')],
    ['what Excel says of its delimiter', 'sep=;\r\nNr;mail\r\n7;ann@x\r\n'],
    ['what Excel says, of one that is not expected', 'sep=^\nNr^mail\n7^ann@x\n'],
    ['line ends of an old Macintosh', 'Nr,mail\r7,ann@x\r'],
    ['trailing empty columns and rows', 'Nr;mail;;\n7;ann@x;;\n;;;\n\n  ;;;\n'],
    ['spaces that nobody sees', ' Nr ,mail\u00a0\n7\u00a0, \u00a0ann@x \n'],
    ['the other case in the header', 'NR,MAIL\n7,ann@x\n'],
    ['everything quoted', '"Nr";"mail"\n"7";"ann@x"\n'],
  ])('is understood with %s', async (_what, text) => {
    expect(await rows(text)).toEqual([{ nr: ['7'], mail: ['ann@x'] }]);
  });

  test('keeps newlines, doubled quotation marks and delimiters in quoted cells', async () => {
    expect(await rows('Nr,description\r\n7,"one\r\ntwo ""three"", four"\r\n')).toEqual([
      { nr: ['7'], description: ['one\r\ntwo "three", four'] },
    ]);
  });

  test.each([
    ['="00123"', '00123'],
    ['"=""00123"""', '00123'],
    ["'00123", '00123'],
    ["'+47 1", '+47 1'],
    ["'t Hooft", "'t Hooft"],
    ["'s-Gravenhage", "'s-Gravenhage"],
    ['+47 1', '+47 1'],
    ['base64:no base64', 'base64:no base64'],
  ])('understands the cell %s', async (cell, value) => {
    expect(await rows(`Nr,sn\n7,${cell}\n`)).toEqual([{ nr: ['7'], sn: [value] }]);
  });

  test('is windows-1252 where it is not UTF-8, and what it is said to be where that is said', async () => {
    const latin = (byte: number[]) => Buffer.concat([Buffer.from('Nr;sn\n7;'), Buffer.from(byte), Buffer.from('\n')]);
    const sn = (value: string) => [{ nr: ['7'], sn: [Buffer.from(value).toString('latin1')] }];
    expect(await rows('Nr;sn\n7;Bjørn “€”\n')).toEqual(sn('Bjørn “€”'));
    expect(await rows(latin([0x80, 0xe5]))).toEqual(sn('€å'));
    expect(await rows(latin([0xb3]), { encoding: 'iso-8859-2' })).toEqual(sn('ł'));
    expect(await rows(latin([0x84]), { encoding: 'cp850' })).toEqual(sn('ä'));
    await expect(rows(latin([0xe5]), { encoding: 'utf-8' })).rejects.toMatchObject({
      code: 'directory-failed',
      message: expect.stringContaining('is not in UTF-8') as string,
      hint: expect.stringContaining('windows-1252') as string,
    });
  });

  test('splits cells where a separator is given, and only in the columns that are named', async () => {
    const text = 'Nr,mail,cn\n7,a@x | b@x|,Ann|Berg\n';
    const ann = { nr: ['7'], mail: ['a@x', 'b@x'] };
    expect(await rows(text, { separator: '|' })).toEqual([{ ...ann, cn: ['Ann', 'Berg'] }]);
    expect(await rows(text, { separator: '|', multiple: ['Mail'] })).toEqual([{ ...ann, cn: ['Ann|Berg'] }]);
    expect(await rows(text)).toEqual([{ nr: ['7'], mail: ['a@x | b@x|'], cn: ['Ann|Berg'] }]);
  });

  test('has groups, whose members are keys of other rows, or DNs', async () => {
    const text = 'Nr;objectClass;Members\n7;;\ng;groupOfNames;"7|uid=9,dc=y"\n';
    const { entries } = await read(text, { members: 'Members', suffix: 'dc=x' });
    expect(content(entries)['uid=g,dc=x']).toMatchObject({ member: ['uid=7,dc=x', 'uid=9,dc=y'] });
  });

  test('has DNs in a column where one is named', async () => {
    const { entries } = await read('DN,Nr\n"cn=Ann,dc=x",7\nnothing,8\n', { dn: 'DN' });
    expect(entries.map(({ dn }) => dn)).toEqual(['cn=Ann,dc=x', 'cn=line 3: no DN']);
  });
});

describe('the header of a CSV file', () => {
  test.each<[string, string, Partial<CsvDirectoryOptions>, RegExp, RegExp]>([
    ['without the key', 'Number,mail\n', {}, /no column "Nr", which is the key\. .*"Number", "mail"/, /first line/],
    ['with a slip', 'N.r,mail\n', {}, /no column "Nr"/, /Did you mean "N\.r"\?/],
    [
      'without a column of the mapping',
      'Nr,E-Mial\n',
      { wanted: [{ title: 'E-mail', use: 'made mail of' }] },
      /"E-mail", which is made mail of/,
      /"E-Mial"/,
    ],
    ['with a column twice', 'Nr,mail,MAIL\n', {}, /"MAIL" twice: as column 2 and as column 3/, /Rename/],
    ['that is not there', '7,ann@x\n', {}, /no column "Nr"/, /must be the header/],
    ['with another delimiter', 'Nr;mail\n', { delimiter: ',' }, /no column "Nr"/, /only one column/],
    ['with more columns than any table', `${'x,'.repeat(1_001)}Nr\n`, {}, /more than 1000 columns/, /^$/],
  ])('%s is an error that says what stands there', async (_what, text, more, message, hint) => {
    const error: unknown = await read(text, more).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'directory-failed', retry: 'operator' });
    expect((error as Error).message).toMatch(message);
    expect((error as { hint?: string }).hint ?? '').toMatch(hint);
  });

  test('a column without a header is not read, and that is said', async () => {
    const { entries, certificate } = await read('Nr,,mail\n7,x,ann@x\n');
    expect(content(entries)['uid=7']).toEqual({ nr: ['7'], mail: ['ann@x'], objectclass: ['inetOrgPerson'] });
    expect(certificate).toMatchObject({
      complete: true,
      remarks: ['Column 2 has no header; its values are not read.'],
    });
  });
});

describe('the read certificate of a CSV file', () => {
  test.each<[string, string, string]>([
    ['an empty file', '', 'The file is empty.'],
    ['only a header', 'Nr,mail\n', 'no row below the header'],
    ['a last row without its end', 'Nr,mail\n7,a@x\n8,b@exam', 'does not end with a newline'],
    ['a quotation that never ends', 'Nr,mail\n7,a@x\n8,"b@x\n', 'row that begins in line 3 opens quotation marks'],
    ['a last row that is too short', 'Nr,mail,sn\n7,a@x,A\nTotal\n', 'The last row, line 3, has 1 cells'],
    ['a last row that is too long', 'Nr,mail\n7,a@x\n8,b@x,x,\n', 'The last row, line 3, has 4 cells'],
    ['two keys with one DN', 'Nr,mail\na,a@x\nA,b@x\n', 'lines 2 and 3 have the same DN'],
  ])('%s is not complete', async (_what, text, remark) => {
    const { certificate, entries } = await read(text);
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks.join()).toContain(remark);
    expect(entries.map(({ dn }) => dn)).not.toContain('uid=8');
  });

  test('a row with too many cells is refused with its line, and the others are read', async () => {
    const { entries, certificate } = await read('Nr,mail\n7,a@x\n\n8,"b\n@x",more\n9,c@x\n');
    expect(certificate.complete).toBe(true);
    expect(certificate.remarks).toEqual([expect.stringContaining('Line 4 has 3 cells, and the header has 2')]);
    expect(entries.map(({ dn }) => dn)).toEqual(['uid=7', 'cn=line 4: 3 cells\\, and the header has 2', 'uid=9']);
    expect(entries[1]!.attributes.has('nr')).toBe(false);
    // It may be anybody's: removals wait while there is such a row.
    expect(entries.map(({ unclear }) => unclear ?? false)).toEqual([false, true, false]);
  });

  test('empty cells that a spreadsheet left out at the ends of rows are empty', async () => {
    const { entries, certificate } = await read('Nr,mail,fax\n7,a@x,1\n8,b@x\n9,c@x\n');
    expect(certificate.complete).toBe(true);
    expect(certificate.remarks).toEqual([expect.stringContaining('2 rows, the first in line 3, have fewer cells')]);
    expect(entries.map(({ dn }) => dn)).toEqual(['uid=7', 'uid=8', 'uid=9']);
  });

  test('an empty key is left to be refused, the same key twice too', async () => {
    const { entries, certificate } = await read('Nr,mail\n,a@x\n7,b@x\n7,c@x\n');
    expect(certificate.complete).toBe(true);
    expect(entries.map(({ dn }) => dn)).toEqual(['cn=line 2: no Nr', 'uid=7', 'uid=7']);
  });

  test('a number that a spreadsheet shortened is told', async () => {
    const { certificate } = await read('Nr;Phone\n7;4,79123E+10\n8;4.79E+10\n');
    expect(certificate.remarks).toEqual([expect.stringMatching(/Line 2: "4,79123E\+10" under "Phone"/)]);
  });

  test('a file that is replaced meanwhile is not complete', async () => {
    await writeFile(path, `Nr,mail\n${Array.from({ length: 9_000 }, (_, i) => `${i},a@x\n`).join('')}`);
    let certificate;
    for await (const batch of directory().read(null, new AbortController().signal)) {
      if (certificate === undefined) await writeFile(path, 'Nr,mail\n1,a@x\n');
      certificate = batch.certificate;
    }
    expect(certificate).toMatchObject({ complete: false });
    expect(certificate!.remarks).toContain('The file was changed while it was read.');
  });

  test.each<[string, string | Buffer, Partial<CsvDirectoryOptions>, object]>([
    ['damaged by NULs', 'Nr,mail\n7,a@x\n\0\0\0\n', {}, { code: 'directory-failed', hint: /damaged/ }],
    [
      'UTF-16 without a mark',
      Buffer.from('Nr\tmail\r\n', 'utf16le'),
      {},
      { code: 'directory-failed', hint: /utf-16le/ },
    ],
    [
      'with a huge row',
      `Nr,mail\n7,"${'x\n'.repeat(9_000)}`,
      { limits: { ...defaultLimits, maxEntryBytes: 9_000 } },
      { code: 'limit-exceeded', hint: /not closed/ },
    ],
  ])('a file that is %s is an error with a hint', async (_what, text, more, { hint, ...expected }: any) => {
    await expect(read(text, more)).rejects.toMatchObject({ ...expected, hint: expect.stringMatching(hint) as string });
  });

  test('a file that is not there is an error', async () => {
    await expect(readAll(directory())).rejects.toMatchObject({ code: 'file-missing' });
    await expect(directory().columnTitles(new AbortController().signal)).rejects.toMatchObject({
      code: 'file-missing',
    });
  });

  test('octets that are no table never do worse than an error of ours', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const outcome = await read(Buffer.concat([Buffer.from('Nr,mail\n7,a@x\n'), bytes])).then(
          () => 'read',
          (error: unknown) => (error as Error).name,
        );
        expect(['read', 'DirpostError']).toContain(outcome);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a CSV file that is written', () => {
  const base = 'ou=oslo,o=network';
  const write = async (changes: DirectoryChange[], more: Partial<CsvDirectoryOptions> = {}) => {
    const outcomes = await writeAll(directory({ columns: columns('cn', 'mail'), ...more }), changes);
    return { outcomes, bytes: await readFile(path) };
  };

  test('has the columns in their order with their titles, the owner and the id; containers are no rows', async () => {
    const titled = [{ attribute: 'mail', title: 'E-mail' }, ...columns('postoffice', 'id', 'dn')];
    const container = put(base, { objectclass: ['organizationalUnit'], ou: ['oslo'] });
    const ann = person(base, 'ann', { mail: ['ann@x', 'a@x'] });
    const { outcomes, bytes } = await write([container, ann], { columns: titled, container: 'o=network' });
    expect(outcomes.map(({ result }) => result)).toEqual(['written', 'written']);
    const id = Buffer.from(ann.id).toString('hex');
    expect(bytes.toString()).toBe(
      `\uFEFFE-mail,postoffice,id,dn\r\nann@x|a@x,oslo,${id},"uid=ann,ou=oslo,o=network"\r\n`,
    );
  });

  test('does not run as formulas, unless that is wanted', async () => {
    const evil = person(base, 'ann', { cn: ['=HYPERLINK("x")'], mail: ['+47 1', '-1', '@x'] });
    const { bytes } = await write([evil]);
    expect(bytes.toString()).toContain(`"'=HYPERLINK(""x"")",'+47 1|-1|@x\r\n`);
    const kept = await write([evil], { keepFormulas: true });
    expect(kept.bytes.toString()).toContain(`"=HYPERLINK(""x"")",+47 1|-1|@x\r\n`);
  });

  test('refuses what its encoding does not have, and writes the others', async () => {
    const people = [person(base, 'ann', { cn: ['Bjørn €'] }), person(base, 'bo', { cn: ['Łukasz'] })];
    const { outcomes, bytes } = await write(people, { encoding: 'windows-1252', delimiter: ';' });
    expect(outcomes.map(({ result }) => result)).toEqual(['written', 'refused']);
    expect(outcomes[1]!.reason).toBe('windows-1252 has no "Ł", which stands in cn of uid=bo,ou=oslo,o=network.');
    expect(bytes.toString('latin1')).toBe('cn;mail\r\nBj\xf8rn \x80;\r\n');
  });

  test('refuses an entry that would be an empty row', async () => {
    const { outcomes } = await write([put(`uid=a,${base}`, { uid: ['a'] })]);
    expect(outcomes).toMatchObject([
      { result: 'refused', reason: expect.stringContaining('none of the columns') as string },
    ]);
  });

  test('the same content gives the same octets, leaves the file alone, and leaves nothing beside it', async () => {
    const people = [person(base, 'ann'), person(base, 'bo')];
    const { bytes } = await write(people);
    const { mtimeNs } = await stat(path, { bigint: true });
    expect((await write(people)).bytes).toEqual(bytes);
    expect((await stat(path, { bigint: true })).mtimeNs).toBe(mtimeNs);
    expect(await readdir(folder)).toEqual(['people.csv']);
  });

  test('is read again as what was written, whatever the values and the encoding', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: fc.constantFrom(...'\'=+-@|;,"\\\t\r\n aå0\u00a0\uFEFF'.split('')), maxLength: 8 }),
      fc.string().map((string) => `base64:${Buffer.from(string).toString('base64')}`),
    );
    const value = fc.oneof(
      text.map((string) => Buffer.from(string)),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    );
    const values = fc.uniqueArray(value, { minLength: 1, maxLength: 3, comparator: (a, b) => a.equals(b) });
    const style = fc.record({
      encoding: fc.constantFrom('utf-8' as const, 'utf-16le' as const),
      delimiter: fc.constantFrom(',', ';', '\t'),
      keepFormulas: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(values, values, style, async (cn, mail, how) => {
        const written = columns('objectClass', 'uid', 'cn', 'mail');
        const both = directory({ ...how, columns: written, key: 'uid', separator: '|', suffix: base });
        const ann = put(`uid=ann,${base}`, { objectclass: ['x'], uid: ['ann'], cn, mail });
        expect(await writeAll(both, [ann])).toMatchObject([{ result: 'written' }]);
        const { entries, certificate } = await readAll(both);
        expect(certificate).toMatchObject({ complete: true });
        expect(content(entries)).toEqual(content([ann]));
      }),
      { numRuns: 80 },
    );
  });
});
