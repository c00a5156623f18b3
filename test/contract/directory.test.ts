import {
  appendFile,
  chmod,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LdifDirectory, type LdifDirectoryOptions } from '@dirpost/adapters';
import type { Directory } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { content, directoryContract, person, readAll, writeAll } from './directory.ts';

directoryContract('LDIF file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-directory-'));
  return {
    directory: new LdifDirectory({ name: 'people', path: join(folder, 'people.ldif') }),
    base: 'ou=people,dc=example,dc=com',
    close: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('an LDIF file', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dirpost-directory-'));
    path = join(folder, 'people.ldif');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const directory = (more: Partial<LdifDirectoryOptions> = {}) => new LdifDirectory({ name: 'people', path, ...more });
  const read = async (text: string | Uint8Array) => {
    await writeFile(path, text);
    return await readAll(directory());
  };
  const entry = (name: string, more = '') => `dn: cn=${name},dc=x\nobjectClass: person\ncn: ${name}\n${more}\n`;
  const dns = (entries: { dn: string }[]) => entries.map(({ dn }) => dn);

  describe('its read certificate', () => {
    test('names the file, its size and its time', async () => {
      const { certificate } = await read(entry('a'));
      expect(certificate).toMatchObject({ complete: true, remarks: [], entries: 1, bookmark: null });
      expect(certificate.source).toMatch(/people\.ldif \(\d+ bytes, 20.*Z\)$/);
    });

    test.each<[string, string, string]>([
      ['an empty file', '', 'The file is empty.'],
      ['only comments', '# nothing\n', 'There is no entry in the file.'],
      ['only a version', 'version: 1\n\n', 'There is no entry in the file.'],
      [
        'a search that failed',
        `${entry('a')}\nsearch: 2\nresult: 4 Size limit exceeded\n`,
        'ended with "4 Size limit exceeded"',
      ],
      ['a reference', `${entry('a')}\nref: ldap://other/dc=y\n`, 'elsewhere ("ldap://other/dc=y")'],
      ['a DN that is none', `${entry('a')}\ndn: nothing\ncn: b\n`, 'Line 6: "nothing" is not a DN'],
      ['one DN twice', `${entry('a')}\n${entry('A')}`, 'is there twice, in lines 1 and 6'],
    ])('%s is not complete', async (_what, text, remark) => {
      const { certificate } = await read(text);
      expect(certificate.complete).toBe(false);
      expect(certificate.remarks.join()).toContain(remark);
    });

    test('a result of 0 is complete', async () => {
      expect((await read(`${entry('a')}\nsearch: 2\nresult: 0 Success\n`)).certificate.complete).toBe(true);
    });

    test.each([
      'dn: cn=b,dc=x\ncn: b\nmail: ann@exam',
      'dn: cn=b,dc=x\ncn: b\nmai',
      'dn: cn=b,dc=x\ncn:: Yg=',
      'dn: cn=',
    ])('a file that ends in the middle (%j) is not complete, and its last entry is left out', async (end) => {
      const { entries, certificate } = await read(`${entry('a')}\n${end}`);
      expect(dns(entries)).toEqual(['cn=a,dc=x']);
      expect(certificate.complete).toBe(false);
      expect(certificate.remarks[0]).toContain('does not end with a newline');
    });

    const changes: [string, () => Promise<void>][] = [
      ['grew', () => appendFile(path, entry('late'))],
      ['was cut', () => truncate(path, 150_000)],
      ['was touched', () => utimes(path, 1, 1)],
      [
        'was replaced',
        async () => {
          const { atime, mtime } = await stat(path);
          await writeFile(`${path}.new`, await readFile(path));
          await utimes(`${path}.new`, atime, mtime);
          await rename(`${path}.new`, path);
        },
      ],
      ['was removed', () => rm(path)],
    ];
    // Windows does not let others replace or remove a file that is open.
    test.each(process.platform === 'win32' ? changes.slice(0, 1) : changes)(
      'a file that %s meanwhile is not complete',
      async (_what, change) => {
        await writeFile(path, Array.from({ length: 5_000 }, (_, i) => entry(`n${i}`)).join('\n'));
        const remarks: string[] = [];
        let complete: boolean | undefined;
        for await (const batch of directory().read(null, new AbortController().signal)) {
          if (complete === undefined && batch.certificate === undefined) await change();
          complete = batch.certificate?.complete ?? false;
          remarks.push(...(batch.certificate?.remarks ?? []));
        }
        expect(complete).toBe(false);
        expect(remarks).toContain('The file was changed while it was read.');
      },
    );

    test('a file that is not there, or no file, is an error with a hint', async () => {
      await expect(readAll(directory())).rejects.toMatchObject({
        code: 'file-missing',
        hint: expect.stringMatching(/Export/) as string,
      });
      await expect(readAll(new LdifDirectory({ name: 'x', path: folder }))).rejects.toMatchObject({
        code: 'file-failed',
      });
    });

    test('a file that is no LDIF is an error that names file and line', async () => {
      await expect(read(`${entry('a')}\nhello\n`)).rejects.toMatchObject({
        code: 'ldif-syntax',
        message: `${path}, line 6: there is no colon in "hello".`,
      });
    });
  });

  describe('with change records', () => {
    const people = entry('ann', 'mail: ann@x\nmail: a@x\nuidNumber: 7\n') + entry('bo') + entry('cy');

    test('adds are entries', async () => {
      const { entries, certificate } = await read('dn: cn=a,dc=x\nchangetype: add\ncn: a\n');
      expect(content(entries)).toEqual({ 'cn=a,dc=x': { cn: ['a'] } });
      expect(certificate.complete).toBe(true);
    });

    test('they are applied in their order, as ldapmodify would', async () => {
      const { entries, certificate } = await read(`${people}
dn: CN=Ann, dc=x
changetype: modify
delete: mail
mail: A@X
-
add: title
title: Boss
-
replace: cn
cn: ann
cn: Anne
-
increment: uidNumber
uidNumber: 3
-

dn: cn=bo,dc=x
changetype: delete

dn: cn=bo,dc=x
changetype: add
cn: bo
description: another

dn: cn=ann,dc=x
changetype: modrdn
newrdn: cn=Anne
deleteoldrdn: 1

dn: cn=anne,dc=x
changetype: modify
add: title
title: Chief
-
`);
      expect(certificate).toMatchObject({ complete: true, remarks: [], entries: 3 });
      expect(content(entries)).toEqual({
        'cn=anne,dc=x': {
          cn: ['Anne'],
          mail: ['ann@x'],
          objectclass: ['person'],
          title: ['Boss', 'Chief'],
          uidnumber: ['10'],
        },
        'cn=bo,dc=x': { cn: ['bo'], description: ['another'] },
        'cn=cy,dc=x': { cn: ['cy'], objectclass: ['person'] },
      });
    });

    test('a rename takes along what stands below', async () => {
      const { entries, certificate } = await read(`dn: ou=old,dc=x
ou: old

dn: cn=a\\, b,ou=Old , dc=x
cn: a, b

dn: ou=old,dc=x
changetype: moddn
newrdn: ou=new
deleteoldrdn: 0
newsuperior: o=y

dn: cn=a\\, b,ou=new,o=y
changetype: modify
add: sn
sn: s
`);
      expect(certificate).toMatchObject({ complete: true, remarks: [] });
      expect(dns(entries)).toEqual(['ou=new,o=y', 'cn=a\\, b,ou=new,o=y']);
      expect(content(entries)).toMatchObject({
        'ou=new,o=y': { ou: ['new', 'old'] },
        'cn=a\\2c b,ou=new,o=y': { sn: ['s'] },
      });
    });

    test.each<[string, string]>([
      ['dn: cn=none,dc=x\nchangetype: delete\n', 'there is no entry cn=none,dc=x that it could delete'],
      ['dn: cn=ann,dc=x\nchangetype: modify\nadd: title\ntitle: t\n-\ndelete: sn\n-\n', 'it has no sn'],
      [
        'dn: cn=ann,dc=x\nchangetype: modify\nadd: title\ntitle: t\n-\nadd: mail\nmail: A@x\n-\n',
        'that value of mail already',
      ],
      ['dn: cn=ann,dc=x\nchangetype: modify\nreplace: mail\n-\ndelete: cn\ncn: zz\n-\n', 'no such value of cn'],
      ['dn: cn=ann,dc=x\nchangetype: modify\nincrement: mail\nmail: 1\n-\n', 'cannot be incremented'],
      ['dn: cn=ann,dc=x\nchangetype: modrdn\nnewrdn: x,y\ndeleteoldrdn: 0\n', 'is not a DN'],
      ['dn: cn=ann,dc=x\nchangetype: modrdn\nnewrdn: cn=bo\ndeleteoldrdn: 0\n', 'is there twice'],
    ])('one that cannot be applied (%j) leaves the entry and is remarked', async (change, remark) => {
      const { entries, certificate } = await read(`${people}\n${change}`);
      expect(certificate.complete).toBe(false);
      expect(certificate.remarks.join()).toContain(remark);
      if (!change.includes('modrdn')) {
        const before = (await read(people)).entries;
        expect(content(entries)).toEqual(content(before));
      }
    });

    test('there is a limit on them', async () => {
      await writeFile(path, `${people}dn: cn=ann,dc=x\nchangetype: modify\nadd: sn\nsn: x\n-\n`);
      await expect(readAll(directory({ maxChangeBytes: 100 }))).rejects.toMatchObject({ code: 'limit-exceeded' });
    });

    test('an unusual spelling is not overlooked', async () => {
      await expect(read(`${people}dn: cn=ann,dc=x\ncHangetype: delete\n`)).rejects.toMatchObject({
        code: 'ldif-syntax',
        hint: expect.stringMatching(/small letters/) as string,
      });
    });
  });

  describe('written', () => {
    const write = (people: string[], target: Directory = directory()) =>
      writeAll(
        target,
        people.map((uid) => person('dc=x', uid)),
      );

    test('with the same content it stays untouched', async () => {
      await write(['a', 'b']);
      await utimes(path, 1_000, 1_000);
      await write(['a', 'b']);
      expect((await stat(path)).mtimeMs).toBe(1_000_000);
      await write(['a', 'c']);
      expect((await stat(path)).mtimeMs).toBeGreaterThan(1_000_000);
    });

    test('nothing is left beside it, not even by a process that was killed', async () => {
      await writeFile(join(folder, '.people.ldif.dirpost-0123'), 'half');
      await writeFile(join(folder, '.other.ldif.dirpost-0123'), 'not ours');
      await write(['a']);
      expect(await readdir(folder)).toEqual(['.other.ldif.dirpost-0123', 'people.ldif']);
      const failing = async function* () {
        yield person('dc=x', 'b');
        throw new Error('source failed');
      };
      await expect(writeAll(directory(), failing())).rejects.toThrow('source failed');
      expect(await readdir(folder)).toEqual(['.other.ldif.dirpost-0123', 'people.ldif']);
    });

    test.skipIf(process.platform === 'win32')(
      'only its owner can read it, unless it was otherwise before',
      async () => {
        await write(['a']);
        expect((await stat(path)).mode & 0o777).toBe(0o600);
        await chmod(path, 0o644);
        await write(['b']);
        expect((await stat(path)).mode & 0o777).toBe(0o644);
      },
    );

    test.skipIf(process.platform === 'win32')('a link stays a link', async () => {
      const link = join(folder, 'link.ldif');
      await symlink(path, link);
      await write(['a']);
      await write(['b'], new LdifDirectory({ name: 'x', path: link }));
      expect(await readFile(path, 'utf8')).toContain('uid=b');
      expect((await stat(path)).ino).toBe((await stat(link)).ino);
    });

    test('a folder that is not there is an error', async () => {
      const nowhere = new LdifDirectory({ name: 'x', path: join(folder, 'none', 'people.ldif') });
      await expect(write(['a'], nowhere)).rejects.toMatchObject({ code: 'file-missing' });
    });

    test('what such a file cannot hold is refused', async () => {
      const outcomes = await writeAll(directory(), [
        person('dc=x', 'a'),
        person('DC=x', 'A'),
        { ...person('dc=x', 'b'), attributes: new Map() },
        person('dc=x', 'c', { 'not a name': ['x'] }),
        person('dc=x', 'd', { changetype: ['delete'] }),
        person('dc=x', 'e', { photo: [Buffer.alloc(3 * 1024 * 1024)] }),
      ]);
      expect(outcomes.map(({ code }) => code)).toEqual([
        undefined,
        'entryAlreadyExists',
        'objectClassViolation',
        'objectClassViolation',
        'objectClassViolation',
        'objectClassViolation',
      ]);
    });
  });
});
