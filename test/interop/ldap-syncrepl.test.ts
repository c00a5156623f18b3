/** T0 by content synchronization: what a reader knows after each delta is what slapd has, whatever became of the cookie. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { fold, type Known } from './ldap-fold.ts';
import {
  ldif,
  openDirectory,
  PEOPLE,
  people,
  personLdif,
  range,
  readAll,
  SUFFIX,
  valuesOf,
  type WholeRead,
} from './ldap-directory.ts';

const OTHERS = `ou=others,${SUFFIX}`;
const others = `dn: ${OTHERS}\nobjectClass: organizationalUnit\nou: others\n`;
const names = range(50).map((i) => `p${i}`);
const content = ldif([people, others, ...names.map((name) => personLdif(name, 'title: first'))]);

const sub = (dn: string) => ({ dn, scope: 'sub', filter: '(objectClass=person)' }) as const;
const dnOf = (name: string, within = PEOPLE) => `dn: cn=${name},${within}\n`;
const modified = (name: string, title: string) => `${dnOf(name)}changetype: modify\nreplace: title\ntitle: ${title}\n`;
const deleted = (name: string) => `${dnOf(name)}changetype: delete\n`;
const renamed = (from: string, to: string) => `${dnOf(from)}changetype: modrdn\nnewrdn: cn=${to}\ndeleteoldrdn: 1\n`;
const moved = (name: string, from: string, to: string) =>
  `${dnOf(name, from)}changetype: modrdn\nnewrdn: cn=${name}\ndeleteoldrdn: 0\nnewsuperior: ${to}\n`;

/** A bookmark whose cookie is another. */
function withCookie(bookmark: string, cookie: (old: string) => string | Buffer): string {
  const written = JSON.parse(bookmark) as { delta: { cookies: string[] } };
  written.delta.cookies = written.delta.cookies.map((old) =>
    Buffer.from(cookie(Buffer.from(old, 'base64').toString())).toString('base64'),
  );
  return JSON.stringify(written);
}

describeSlapd('changes in slapd', () => {
  let slapd: Slapd;
  /** A second server with other people, and as young. */
  let stranger: Slapd;
  let known: Known;
  let bookmark: string;
  const options: Partial<LdapOptions> = { bases: [sub(PEOPLE)] };

  beforeAll(async () => {
    const strangers = ldif([people, others, ...range(20).map((i) => personLdif(`stranger${i}`))]);
    [slapd, stranger] = await Promise.all([
      startSlapd({ ldif: content, writes: 'nosync', checkpointChanges: 1 }),
      startSlapd({ ldif: strangers, writes: 'nosync' }),
    ]);
  });
  afterAll(() => Promise.all([slapd?.stop(), stranger?.stop()]));

  beforeEach(async () => {
    await slapd.reload(content);
    await begin();
  });

  async function begin(more: Partial<LdapOptions> = {}): Promise<WholeRead> {
    const read = await readAll(openDirectory(slapd, { ...options, ...more }));
    known = fold(new Map(), read);
    bookmark = read.certificate.bookmark!;
    return read;
  }

  /** Reads since the bookmark, and holds the outcome against all that is there. */
  async function agree(more: Partial<LdapOptions> = {}, since: string | null = bookmark): Promise<WholeRead> {
    const read = await readAll(openDirectory(slapd, { ...options, ...more }), since);
    expect(read.certificate).toMatchObject({ complete: true, remarks: [] });
    known = fold(known, read);
    bookmark = read.certificate.bookmark!;
    const everything = await readAll(openDirectory(slapd, { ...options, ...more, method: 'whole' }));
    expect(known).toEqual(fold(new Map(), everything));
    return read;
  }

  it('are all that a delta has: added, changed, renamed, gone, gone elsewhere', async () => {
    expect(known.size).toBe(names.length);
    await slapd.modify(
      ldif([
        personLdif('new'),
        modified('p1', 'second'),
        renamed('p2', 'p2 renamed'),
        deleted('p3'),
        moved('p4', PEOPLE, OTHERS),
      ]),
    );
    const read = await agree();
    expect(read.certificate.extent).toBe('delta');
    expect(valuesOf(read)).toEqual(['new', 'p1', 'p2 renamed']);
    expect([read.present, read.gone.length]).toEqual([[], 2]);
  });

  it('that are none give an empty delta, again and again', async () => {
    for (let i = 0; i < 3; i++) {
      const read = await agree();
      expect([read.entries, read.present, read.gone, read.certificate.extent]).toEqual([[], [], [], 'delta']);
    }
  });

  it('are found after the server was restarted, and after it was killed', async () => {
    for (const [i, again] of [() => slapd.restart(), () => slapd.kill().then(() => slapd.start())].entries()) {
      await slapd.modify(ldif([personLdif(`restart${i}`), modified('p5', `restart ${i}`), deleted(`p${10 + i}`)]));
      await again();
      await slapd.modify(ldif([modified('p6', `restart ${i}`), deleted(`p${20 + i}`)]));
      expect(valuesOf(await agree())).toEqual(['p5', 'p6', `restart${i}`]);
      expect((await agree()).entries).toEqual([]);
    }
  });

  it('that slapd forgot because it was killed are found by the next whole read', async () => {
    await slapd.change({ checkpointChanges: 100 });
    await slapd.modify(ldif([modified('p5', 'told'), modified('p7', 'told')]));
    await agree();
    await slapd.modify(deleted('p3'));
    await slapd.kill();
    await slapd.start();
    await slapd.modify(modified('p6', 'after'));
    const delta = await readAll(openDirectory(slapd, options), bookmark);
    known = fold(known, delta);
    const names = () => [...known.values()].map(({ cn }) => cn);
    // Were it not so, dirpost would not have to read everything from time to time.
    expect([delta.certificate.extent, names().includes('p3')]).toEqual(['delta', true]);
    await agree({ wholeReadEveryMs: 0 }, delta.certificate.bookmark);
    expect(names()).not.toContain('p3');
    await slapd.change({ checkpointChanges: 1 });
  });

  it('are found with a cookie that was thrown away, and with one that is garbage', async () => {
    await slapd.modify(ldif([personLdif('new'), deleted('p3')]));
    const since = bookmark;
    for (const text of [null, '', '{}', 'rid=000', since.slice(0, -5)]) {
      expect((await agree({}, text)).certificate.extent).toBe('whole');
    }
    const cookies = ['', 'garbage', 'rid=000,csn=garbage', 'rid=000,csn=', Buffer.from([0, 255, 1]), 'x'.repeat(9_999)];
    for (const cookie of cookies) {
      await agree(
        {},
        withCookie(since, () => cookie),
      );
    }
  });

  it('are found where the scope is another than that of the cookie', async () => {
    const bases = [{ ...sub(PEOPLE), filter: '(&(objectClass=person)(cn=p1*))' }];
    known = new Map();
    expect((await agree({ bases })).certificate).toMatchObject({ extent: 'whole', entries: 11 });
  });

  it('are found by a whole read when the last one is too long ago, or in the future', async () => {
    for (const wholeMs of [0, Date.now() + 1_000_000]) {
      const old = JSON.stringify({ ...(JSON.parse(bookmark) as object), wholeMs });
      expect((await agree({}, old)).certificate).toMatchObject({ extent: 'whole', entries: names.length });
    }
  });

  it('are everybody, after the same people were loaded with new entryUUIDs', async () => {
    const before = [...known.keys()];
    await slapd.reload(content);
    const read = await agree();
    expect([read.certificate.extent, read.entries.length]).toEqual(['whole', names.length]);
    expect(before.filter((anchor) => known.has(anchor))).toEqual([]);
  });

  it('of entries that move from base to base are no removals', async () => {
    for (const bases of [
      [sub(PEOPLE), sub(OTHERS)],
      [sub(OTHERS), sub(PEOPLE)],
    ]) {
      await begin({ bases });
      await slapd.modify(moved('p7', PEOPLE, OTHERS));
      expect(await agree({ bases })).toMatchObject({ gone: [] });
      await slapd.modify(moved('p7', OTHERS, PEOPLE));
      expect(await agree({ bases })).toMatchObject({ gone: [] });
    }
  });

  it('of a filter are found too: who comes to match it, and who no longer does', async () => {
    const bases = [{ ...sub(PEOPLE), filter: '(&(objectClass=person)(title=first))' }];
    await begin({ bases });
    await slapd.modify(ldif([modified('p1', 'second'), personLdif('new', 'title: second')]));
    expect((await agree({ bases })).gone.length).toBe(1);
    await slapd.modify(ldif([modified('p1', 'first'), modified('new', 'first'), modified('p2', 'second')]));
    expect(valuesOf(await agree({ bases }))).toEqual(['new', 'p1']);
    await slapd.modify(modified('p2', 'third'));
    await slapd.restart();
    await slapd.modify(modified('p3', 'second'));
    await agree({ bases });
  });

  it('of whole branches are found: renamed, moved away, and come back', async () => {
    const unit = `ou=unit,${PEOPLE}`;
    const below = ldif([
      `dn: ${unit}\nobjectClass: organizationalUnit\nou: unit\n`,
      ...range(5).map((i) => personLdif(`u${i}`, '', unit)),
    ]);
    await slapd.modify(below);
    await agree();
    await slapd.modify(`dn: ${unit}\nchangetype: modrdn\nnewrdn: ou=renamed\ndeleteoldrdn: 1\n`);
    await agree();
    await slapd.modify(
      `dn: ou=renamed,${PEOPLE}\nchangetype: modrdn\nnewrdn: ou=unit\ndeleteoldrdn: 1\nnewsuperior: ${OTHERS}\n`,
    );
    await agree();
    await slapd.modify(
      `dn: ou=unit,${OTHERS}\nchangetype: modrdn\nnewrdn: ou=unit\ndeleteoldrdn: 0\nnewsuperior: ${PEOPLE}\n`,
    );
    await agree();
  });

  it('are never taken from a server that is not the one of the cookie', async () => {
    const read = await readAll(openDirectory(stranger, options), bookmark);
    // It knows of nothing, or names everybody whom it has: none of ours is "as it was".
    const after = fold(known, read);
    if (read.certificate.complete) expect([...after.values()].every(({ cn }) => cn.startsWith('stranger'))).toBe(true);
    else expect(after).toEqual(known);
  });

  it('are not complete from a server that is behind the cookie, and are when it is no longer', async () => {
    const ahead = withCookie(bookmark, (old) => old.replace(/csn=\d{4}/, 'csn=2199'));
    const read = await readAll(openDirectory(slapd, options), ahead);
    expect(read.certificate).toMatchObject({ complete: false });
    expect(read.certificate.remarks.join()).toMatch(/behind/);
    expect(fold(known, read)).toEqual(known);
    await agree();
  });

  it('are not complete from a server that is behind, where everything is read, but by hand', async () => {
    const ahead = withCookie(bookmark, (old) => old.replace(/csn=\d{4}/, 'csn=2199'));
    const late = openDirectory(slapd, { ...options, wholeReadEveryMs: 0 });
    const read = await readAll(late, ahead);
    expect(read.certificate).toMatchObject({ complete: false, bookmark: null, extent: 'whole' });
    expect(read.certificate.remarks.join()).toMatch(/behind .* dirpost sync --whole/);
    const elsewhere = withCookie(bookmark, (old) => old.replace(/csn=\d{4}/, 'csn=2199').replace('#000#', '#00f#'));
    expect((await readAll(late, elsewhere)).certificate.complete).toBe(true);
    expect((await readAll(late, bookmark)).certificate.complete).toBe(true);
    expect((await readAll(late, null)).certificate.complete).toBe(true);
  });

  it('are not complete from a replica that has not been filled yet, which does not say how new it is, but by hand', async () => {
    // As slapd is until its first refresh has ended.
    const half = ldif([people, others, ...names.slice(0, 48).map((name) => personLdif(name, 'title: first'))]);
    const replica = await startSlapd({ empty: true, writes: 'nosync', overlays: [] });
    try {
      const suffix = `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: example\n\n`;
      await replica.modify(suffix + half);
      for (const method of ['auto', 'whole'] as const) {
        const { certificate } = await readAll(openDirectory(replica, { ...options, method }), bookmark);
        expect(certificate).toMatchObject({ complete: false, bookmark: null, extent: 'whole' });
        expect(certificate.remarks.join()).toMatch(/contextCSN.* dirpost sync --whole/);
        const byHand = (await readAll(openDirectory(replica, { ...options, method }), null)).certificate;
        expect(byHand.complete).toBe(true);
        expect(
          (await readAll(openDirectory(replica, { ...options, method }), byHand.bookmark)).certificate.complete,
        ).toBe(true);
      }
    } finally {
      await replica.stop();
    }
    // What it knows is new enough, in whatever way it is read.
    expect((await readAll(openDirectory(slapd, { ...options, method: 'whole' }), bookmark)).certificate.complete).toBe(
      true,
    );
    const ahead = withCookie(bookmark, (old) => old.replace(/csn=\d{4}/, 'csn=2199'));
    expect((await readAll(openDirectory(slapd, { ...options, method: 'whole' }), ahead)).certificate.complete).toBe(
      false,
    );
  });

  it('are not complete where a base shows nothing that had entries before, but by hand', async () => {
    const bases = [sub(PEOPLE), sub(OTHERS)];
    for (const method of ['syncrepl', 'modify-timestamp', 'whole'] as const) {
      const late = openDirectory(slapd, { bases, method, wholeReadEveryMs: 0 });
      // One that was empty from the beginning blocks nothing.
      const empty = (await readAll(late)).certificate;
      expect(empty).toMatchObject({ complete: true, remarks: [`Nothing was found below "${OTHERS}".`] });
      await slapd.modify(moved('p7', PEOPLE, OTHERS));
      const filled = (await readAll(late, empty.bookmark)).certificate;
      expect(filled).toMatchObject({ complete: true, remarks: [] });
      await slapd.modify(moved('p7', OTHERS, PEOPLE));
      const emptied = (await readAll(late, filled.bookmark)).certificate;
      expect(emptied).toMatchObject({ complete: false, bookmark: null });
      expect(emptied.remarks.join()).toContain(`Nothing was found below "${OTHERS}", and there were entries before`);
      expect((await readAll(late, null)).certificate.complete).toBe(true);
    }
  });

  it('of a base that was filled later are known to the next whole read', async () => {
    const bases = [sub(PEOPLE), sub(OTHERS)];
    await begin({ bases });
    await slapd.modify(moved('p7', PEOPLE, OTHERS));
    expect((await agree({ bases })).certificate.extent).toBe('delta');
    await slapd.modify(moved('p7', OTHERS, PEOPLE));
    expect((await agree({ bases })).certificate.extent).toBe('delta');
    const { certificate } = await readAll(openDirectory(slapd, { bases, wholeReadEveryMs: 0 }), bookmark);
    expect(certificate.complete).toBe(false);
  });
});

describeSlapd('changes in a slapd that remembers no deletions', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    const databaseLines = ['overlay syncprov'];
    slapd = await startSlapd({
      ldif: content,
      writes: 'nosync',
      overlays: [],
      databaseLines,
      globalLines: ['moduleload syncprov'],
    });
  });
  afterAll(() => slapd?.stop());

  it('are found by its word of who is there', async () => {
    const options = { bases: [sub(PEOPLE)] };
    const first = await readAll(openDirectory(slapd, options));
    await slapd.modify(ldif([personLdif('new'), modified('p1', 'second'), deleted('p3')]));
    const read = await readAll(openDirectory(slapd, options), first.certificate.bookmark);
    expect(read.certificate).toMatchObject({ complete: true, extent: 'whole' });
    expect(valuesOf(read)).toEqual(['new', 'p1']);
    expect(read.present.length).toBeGreaterThanOrEqual(names.length - 2);
    const everything = await readAll(openDirectory(slapd, { ...options, method: 'whole' }));
    expect(fold(fold(new Map(), first), read)).toEqual(fold(new Map(), everything));
  });
});
