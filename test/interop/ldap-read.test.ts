/** T0 from slapd, page by page: all that is there, octet by octet; and nothing that could pass for "they are gone". */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { defaultLimits } from '@dirpost/core';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import type { LdapBase, LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import {
  entryNamed,
  ldif,
  openDirectory,
  PEOPLE,
  people,
  personLdif,
  range,
  readAll,
  simple,
  SUFFIX,
  valuesOf,
} from './ldap-directory.ts';

const PERSONS = 250;
const MEMBERS = 5_000;
const OTHERS = `ou=others,${SUFFIX}`;
const EMPTY = `ou=empty,${SUFFIX}`;
const HIDDEN = `ou=hidden,${SUFFIX}`;
const unit = (dn: string) => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${dn.split(/[=,]/)[1]!}`;
const names = range(PERSONS).map((i) => `p${i}`);

/** All octets, and none of them UTF-8 as a whole. */
const photo = Buffer.concat([
  Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0]),
  randomBytes(60_000),
  Buffer.from([0, 0xff, 0xd9]),
]);
/** A text that begins with the mark that decoders swallow. */
const marked = Buffer.from('\uFEFFBOM and ünïcode');

const content = ldif([
  people,
  unit(OTHERS),
  unit(EMPTY),
  unit(HIDDEN),
  ...names.map((name, i) => personLdif(name, `title: t${i}`)),
  personLdif(
    'photographed',
    `jpegPhoto:: ${photo.toString('base64')}\ndescription:: ${marked.toString('base64')}`,
    OTHERS,
  ),
  personLdif('hidden', '', HIDDEN),
  `dn: cn=all,${OTHERS}\nobjectClass: groupOfNames\ncn: all\n${range(MEMBERS)
    .map((i) => `member: cn=m${i},${OTHERS}`)
    .join('\n')}`,
]);

const whole = (...bases: LdapBase[]): Partial<LdapOptions> => ({ method: 'whole', ...(bases.length > 0 && { bases }) });
const below = (dn: string, filter = '(objectClass=person)'): LdapBase => ({ dn, scope: 'sub', filter });

describeSlapd('a directory that is read from slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    const access = [`access to dn.subtree="${HIDDEN}" by * none`];
    slapd = await startSlapd({ ldif: content, writes: 'nosync', access, overlays: ['syncprov'] });
  });
  afterAll(() => slapd?.stop());

  it('is read whole, page by page, and the certificate says so', async () => {
    const read = await readAll(openDirectory(slapd, whole()));
    expect(valuesOf(read)).toEqual(names.toSorted());
    expect(read.certificate).toMatchObject({ complete: true, entries: PERSONS, remarks: [], extent: 'whole' });
    expect(read.certificate.source).toBe(`127.0.0.1:${slapd.port}`);
    // 250 in pages of 100, and the certificate.
    expect(read.batches).toBeGreaterThanOrEqual(4);
    const [first] = read.entries;
    expect([...first!.attributes.keys()].toSorted()).toEqual(['cn', 'entryuuid', 'mail', 'objectclass', 'sn', 'title']);
  });

  it('whose last page is full is complete, with pages of any size', async () => {
    for (const pageSize of [1, PERSONS, PERSONS + 1, PERSONS / 2]) {
      const read = await readAll(openDirectory(slapd, { ...whole(), pageSize }));
      expect([read.entries.length, read.certificate.complete]).toEqual([PERSONS, true]);
    }
  });

  it('gives octets as they are: pictures, and texts with a byte order mark', async () => {
    const options = { ...whole(below(OTHERS)), attributes: ['cn', 'jpegphoto', 'description'] };
    for (const method of ['whole', 'syncrepl'] as const) {
      const { attributes } = entryNamed(await readAll(openDirectory(slapd, { ...options, method })), 'photographed');
      expect(Buffer.compare(attributes.get('jpegphoto')![0]!, photo)).toBe(0);
      expect(Buffer.compare(attributes.get('description')![0]!, marked)).toBe(0);
    }
  });

  it('gives a group with all its members', async () => {
    const read = await readAll(openDirectory(slapd, whole(below(OTHERS, '(objectClass=groupOfNames)'))));
    const members = read.entries[0]!.attributes.get('member')!.map(String);
    expect(new Set(members)).toEqual(new Set(range(MEMBERS).map((i) => `cn=m${i},${OTHERS}`)));
  });

  it('counts entries of overlapping bases once', async () => {
    for (const method of ['whole', 'syncrepl'] as const) {
      const bases = [below(PEOPLE), below(SUFFIX, '(cn=p1*)')];
      const read = await readAll(openDirectory(slapd, { bases, method }));
      expect([valuesOf(read), read.certificate.entries]).toEqual([names.toSorted(), PERSONS]);
      // Nor is one of them taken for empty.
      expect(read.certificate.remarks).toEqual([]);
    }
  });

  it('is not complete where nothing was found, and where the base is not there', async () => {
    const empty = await readAll(openDirectory(slapd, whole(below(EMPTY))));
    expect(empty.certificate).toMatchObject({ complete: false, entries: 0, bookmark: null });
    expect(empty.certificate.remarks.join()).toMatch(/Nothing at all was found/);
    const bases = [below(PEOPLE), below(`ou=nowhere,${SUFFIX}`)];
    for (const method of ['whole', 'syncrepl'] as const) {
      const missing = await readAll(openDirectory(slapd, { bases, method }));
      expect(missing.certificate).toMatchObject({ complete: false, entries: PERSONS, bookmark: null });
      expect(missing.certificate.remarks.join()).toMatch(
        /ou=nowhere.*noSuchObject \(32\).*Is the base written rightly/,
      );
    }
  });

  it('is not complete for an account that may not see it', async () => {
    const bind = simple(slapd.reader);
    const hidden = await readAll(openDirectory(slapd, { ...whole(below(HIDDEN)), bind }));
    expect(hidden.certificate).toMatchObject({ complete: false, entries: 0, bookmark: null });
    const anonymous = await readAll(openDirectory(slapd, { ...whole(), bind: { method: 'anonymous' } }));
    expect(anonymous.certificate).toMatchObject({ complete: false, entries: 0, bookmark: null });
    const wrong = { ...slapd.reader, password: 'wrong' };
    await expect(readAll(openDirectory(slapd, { bind: simple(wrong) }))).rejects.toMatchObject({
      code: 'directory-failed',
      retry: 'operator',
      message: expect.stringMatching(/does not let cn=reader.* in: invalidCredentials \(49\)/) as string,
    });
    const none = { ...slapd.reader, password: '' };
    await expect(readAll(openDirectory(slapd, { bind: simple(none) }))).rejects.toMatchObject({
      code: 'config-invalid',
    });
  });

  it('that is killed in the middle of its pages fails, and is read anew when it is back', async () => {
    const directory = openDirectory(slapd, { ...whole(), pageSize: 50 });
    const reading = readAll(directory, null, async () => slapd.kill());
    await expect(reading).rejects.toMatchObject({ code: 'directory-failed', retry: 'later' });
    await expect(readAll(directory)).rejects.toMatchObject({
      code: 'directory-failed',
      message: expect.stringMatching(/nothing listens there/) as string,
    });
    await slapd.start();
    expect((await readAll(directory)).certificate).toMatchObject({ complete: true, entries: PERSONS });
  });
});

describeSlapd('a directory whose server has limits', () => {
  let slapd: Slapd;
  const big = Buffer.alloc(100_000, 'x').toString();
  beforeAll(async () => {
    const records = names.map((name) => personLdif(name, `description: ${big}`));
    slapd = await startSlapd({ ldif: ldif([people, ...records]), writes: 'nosync', overlays: ['syncprov'] });
  });
  afterAll(() => slapd?.stop());

  it('on entries is not complete, whichever way it is read', async () => {
    await slapd.change({ sizeLimit: 120 });
    const bind = simple(slapd.reader);
    for (const method of ['whole', 'syncrepl'] as const) {
      for (const pageSize of [100, 1_000]) {
        const { certificate } = await readAll(openDirectory(slapd, { method, pageSize, bind }));
        expect(certificate).toMatchObject({ complete: false, bookmark: null });
        expect(certificate.entries).toBeLessThanOrEqual(120);
        expect(certificate.remarks.join()).toMatch(/(size|admin)LimitExceeded.*raise it for this account/);
      }
    }
  });

  it('is read to its end by who takes longer for a batch than the server may for an answer', async () => {
    await slapd.change({ sizeLimit: PERSONS + 1 });
    const times = { connectMs: 5_000, operationMs: 300, keepAliveMs: 30_000 };
    const options = { times, attributes: ['cn', 'description'], pageSize: 1_000 };
    let slept = 0;
    const read = await readAll(openDirectory(slapd, { ...options, method: 'syncrepl' }), null, async () => {
      if (slept++ < 2) await new Promise((resolve) => setTimeout(resolve, 500));
    });
    expect(read.certificate).toMatchObject({ complete: true, entries: PERSONS });
  });

  it('whose entry is larger than is taken says so, and what helps', async () => {
    await slapd.change({ sizeLimit: PERSONS + 1 });
    const huge = Buffer.alloc(6_000_000, 'x').toString();
    await slapd.modify(`dn: ${PEOPLE}\nchangetype: modify\nreplace: description\ndescription: ${huge}\n`);
    const limits = { ...defaultLimits, maxEntryBytes: 1_000_000 };
    for (const method of ['whole', 'syncrepl'] as const) {
      const bases = [{ dn: PEOPLE, scope: 'base', filter: '(objectClass=*)' } as const];
      const options = { bases, method, attributes: ['ou', 'description'] };
      await expect(readAll(openDirectory(slapd, { ...options, limits }))).rejects.toMatchObject({
        code: 'directory-failed',
        message: expect.stringMatching(/an entry that is too large.*: a message of 60\d+ octets/) as string,
        hint: expect.stringMatching(/`ask`.*maxEntryBytes/) as string,
      });
      expect((await readAll(openDirectory(slapd, options))).certificate).toMatchObject({ complete: true, entries: 1 });
      const without = await readAll(openDirectory(slapd, { ...options, attributes: ['ou'], limits }));
      expect(without.certificate).toMatchObject({ complete: true, entries: 1 });
    }
  });

  it('on time is not complete', async () => {
    await slapd.change({ sizeLimit: PERSONS + 1, timeLimitSeconds: 1 });
    const options = { bind: simple(slapd.reader), attributes: ['cn', 'description'], pageSize: 1_000 };
    const began = performance.now();
    // 25 MB do not fit between server and reader: it has to wait for us.
    const reading = readAll(openDirectory(slapd, { ...options, method: 'syncrepl' }), null, async () => {
      while (performance.now() - began < 2_200) await new Promise((resolve) => setTimeout(resolve, 50));
    });
    const { certificate } = await reading;
    expect(certificate).toMatchObject({ complete: false, bookmark: null });
    expect(certificate.remarks.join()).toMatch(/timeLimitExceeded \(3\)/);
  });
});
