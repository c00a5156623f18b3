/** The texts that directories really tell, with a name in every place where one may stand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CsvDirectory, LdifDirectory } from '@dirpost/adapters';
import { type Directory, DirpostError } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withoutPersonalValues } from './personal-values.ts';

const cleaned = (text: string) => withoutPersonalValues({ text, details: {} }).text;

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'dirpost-personal-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function told(directory: Directory): Promise<string> {
  const texts: string[] = [];
  try {
    for await (const { certificate } of directory.read(null, AbortSignal.timeout(10_000))) {
      texts.push(...(certificate?.remarks ?? []));
    }
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    texts.push(error.message, error.hint ?? '');
  }
  return texts.join(' ');
}

/** None of the names ends like this by itself. */
const CANARY = /canary/i;
const entry = (dn: string) => `dn: ${dn}\nobjectClass: person\ncn: Canary\n\n`;

describe('what an LDIF file makes the log say has no values of entries', () => {
  it.each([
    ['two entries with one DN', entry('cn=Canary\\, Kari,ou=Canary: x,dc=x').repeat(2), 'is there twice'],
    ['two entries with quotation marks', entry('cn=Kari \\"Canary\\; Canary,dc=x').repeat(2), 'is there twice'],
    ['a DN that is none', entry('Kari "the" Canary'), 'is not a DN'],
    ['a line without a colon', 'dn: cn=x\nKari "K" Canary\n', 'no colon'],
    ['a line that is part of a value', 'dn: cn=x\ncn: x\n\nCanary: x\n', 'should begin here'],
    ['a change that is none', 'dn: cn=x\nchangetype: modify\nCanary: x\n', 'should stand here'],
    ['a value of another change', 'dn: cn=x\nchangetype: modify\nadd: cn\nCanary: x\n', 'stands here'],
    ['a referral', `${entry('cn=x')}ref: ldap://other/ou=Kari%20Canary,dc=x\n\n`, ''],
    ['a photo that is not there', 'dn: cn=x\njpegPhoto:< file:///nowhere/Kari%20Canary.jpg\n', 'be read from'],
  ])('%s', async (_what, text, says) => {
    const path = join(folder, 'people.ldif');
    await writeFile(path, text);
    const log = cleaned(await told(new LdifDirectory({ name: 'people', path })));
    expect(log).toContain(says);
    expect(log).not.toMatch(CANARY);
  });
});

describe('what a CSV file makes the log say has no values of cells', () => {
  it.each([
    ['two keys with one DN', 'Nr,mail\n"Canary, Kari",a\n"CANARY, KARI",b\n', 'have the same DN'],
    ['a number that was shortened', 'Nr,mail\n4.79E+10,a\n8,"canary"\n', 'digits are lost'],
    ['too many cells', 'Nr,mail\n7,a,Kari Canary\n8,b\n', 'is refused'],
    ['quotation marks in a cell', 'Nr,mail\n7,a "Canary" b\n8,b\n', ''],
  ])('%s', async (_what, text, says) => {
    const path = join(folder, 'people.csv');
    await writeFile(path, text);
    const log = cleaned(await told(new CsvDirectory({ name: 'people', path, key: 'Nr' })));
    expect(log).toContain(says);
    expect(log).not.toMatch(CANARY);
  });

  it('a DN that is none', async () => {
    const path = join(folder, 'people.csv');
    await writeFile(path, 'Nr,DN\n7,Kari "the" Canary\n8,cn=b\n');
    const log = cleaned(await told(new CsvDirectory({ name: 'people', path, key: 'Nr', dn: 'DN' })));
    expect(log).toContain('is not a DN');
    expect(log).not.toMatch(CANARY);
  });
});

describe('a text without values stays as it is', () => {
  it.each([
    'exchange 12 to hq: 3 changes up to seq 40 in 2 parts',
    'people.csv, line 7: this row cannot be read.',
    'a message file was not taken, and is kept as corrupt/20261121T031407-oslo.dpm: The sender oslo is not known here.',
    'https://dir.example.org:8443 could not be reached: nothing listens there.',
    'people: read 1,000 entries; 3 new, 0 changed, 60 removed, 0 refused; held: 60 removals (6 % of 1,000; the limit is 10 and 5 %)',
    'Cannot write /srv/dirpost/oslo/people.ldif: the disk is full.',
  ])('%s', (text) => expect(cleaned(text)).toBe(text));

  it('around a DN that nobody quoted', () => {
    expect(cleaned('line 7: cn=A\\, B "C" d:e,ou=f g: no such entry; a+b')).toBe('line 7: (a DN): no such entry; a+b');
    expect(cleaned('2.5.4.3=x+sn=y; dc=z is refused')).toBe('(a DN)');
  });
});
