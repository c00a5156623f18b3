/** How changes are found with slapd, and why so; waking; and what lies on other servers. */
import { afterEach, expect, it } from 'vitest';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, type SlapdOptions, startSlapd } from '../servers/ldap/slapd.ts';
import {
  ldif,
  openDirectory,
  readAll,
  optionsFor,
  PEOPLE,
  people,
  personLdif,
  range,
  simple,
  SUFFIX,
  targetIn,
} from './ldap-directory.ts';
import { Mirror, untilWoken, Watcher, withDelta } from './ldap-mirror.ts';

const OTHERS = `ou=others,${SUFFIX}`;
const SALES = `ou=sales,${PEOPLE}`;
const never = new AbortController().signal;
const unit = (dn: string) => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${dn.split(/[=,]/)[1]!}`;
const replace = (dn: string, attribute: string, value: string) =>
  `dn: ${dn}\nchangetype: modify\nreplace: ${attribute}\n${attribute}: ${value}\n`;
const move = (dn: string, to: string) =>
  `dn: ${dn}\nchangetype: modrdn\nnewrdn: ${dn.split(',')[0]!}\ndeleteoldrdn: 1\nnewsuperior: ${to}\n`;

const content = ldif([
  people,
  unit(OTHERS),
  unit(SALES),
  ...['anna', 'bert', 'carl', 'dora'].map((name) => personLdif(name)),
  personLdif('fay', '', SALES),
  personLdif('gus', '', OTHERS),
]);
const NAMES = ['anna', 'bert', 'carl', 'dora', 'fay'];

const servers: Slapd[] = [];
async function start(options: SlapdOptions = {}): Promise<Slapd> {
  const slapd = await startSlapd({ ldif: content, writes: 'nosync', overlays: ['syncprov'], ...options });
  servers.push(slapd);
  return slapd;
}

const bases = (filter = '(&(objectClass=person)(!(title=hidden)))', dn = PEOPLE): LdapOptions['bases'] => [
  { dn, scope: 'sub', filter },
];
const open = (slapd: Slapd, options: Partial<LdapOptions> = {}) =>
  openDirectory(slapd, { bases: bases(), bind: simple(slapd.reader), ...options });

describeSlapd('changes in slapd', () => {
  afterEach(() => Promise.all(servers.splice(0).map((slapd) => slapd.stop())));

  for (const [overlays, method] of [
    [['syncprov'], 'syncrepl'],
    [[], 'modify-timestamp'],
  ] as const) {
    it(`are found by ${method}, also where a container takes people with it`, async () => {
      const slapd = await start({ overlays: [...overlays] });
      const directory = open(slapd);
      expect((await directory.facts(never)).method).toBe(method);
      const mirror = new Mirror(directory, 'entryuuid');
      await mirror.read();
      expect(mirror.names).toEqual(NAMES);
      const steps: [change: string, names: string[]][] = [
        [personLdif('hans'), ['anna', 'bert', 'carl', 'dora', 'fay', 'hans']],
        [`dn: cn=bert,${PEOPLE}\nchangetype: delete\n`, ['anna', 'carl', 'dora', 'fay', 'hans']],
        [replace(`cn=carl,${PEOPLE}`, 'title', 'hidden'), ['anna', 'dora', 'fay', 'hans']],
        [move(`cn=dora,${PEOPLE}`, OTHERS), ['anna', 'fay', 'hans']],
        [move(`cn=gus,${OTHERS}`, PEOPLE), ['anna', 'fay', 'gus', 'hans']],
        [move(SALES, OTHERS), ['anna', 'gus', 'hans']],
        [move(`ou=sales,${OTHERS}`, PEOPLE), ['anna', 'fay', 'gus', 'hans']],
      ];
      for (const [change, names] of steps) {
        await slapd.modify(change);
        expect((await mirror.read()).certificate).toMatchObject({ complete: true, remarks: [] });
        expect(mirror.names).toEqual(names);
      }
    });
  }

  it.each([
    ['syncrepl', ['syncprov']],
    ['modify-timestamp', []],
  ] as const)('take along whom a container of any class takes along, by %s', async (method, overlays) => {
    const slapd = await start({ overlays: [...overlays] });
    const kinds: [rdn: string, lines: string][] = [
      ['dc=branch', 'objectClass: domain\ndc: branch'],
      ['cn=crew', 'objectClass: applicationProcess\ncn: crew'],
      ['l=Oslo', 'objectClass: locality\nl: Oslo'],
    ];
    for (const [rdn, lines] of kinds) {
      await slapd.modify(`dn: ${rdn},${PEOPLE}\n${lines}\n`);
      await slapd.modify(personLdif(`in ${rdn}`.replace('=', ' '), '', `${rdn},${PEOPLE}`));
    }
    const directory = open(slapd);
    expect((await directory.facts(never)).method).toBe(method);
    const mirror = new Mirror(directory, 'entryuuid');
    await mirror.read();
    for (const [rdn] of kinds) {
      await slapd.modify(move(`${rdn},${PEOPLE}`, OTHERS));
      await mirror.read();
      expect(mirror.names).not.toContain(`in ${rdn}`.replace('=', ' '));
    }
    expect(mirror.names).toEqual(NAMES);
  });

  it.each([
    ['syncrepl', ['syncprov']],
    ['modify-timestamp', []],
  ] as const)('where what stands above the base gets another name remove nobody, by %s', async (_, overlays) => {
    const slapd = await start({ overlays: [...overlays] });
    const mirror = new Mirror(open(slapd, { bases: bases('(objectClass=person)', SALES) }), 'entryuuid');
    await mirror.read();
    expect(mirror.names).toEqual(['fay']);
    const { bookmark } = mirror;
    await slapd.modify(`dn: ${PEOPLE}\nchangetype: modrdn\nnewrdn: ou=staff\ndeleteoldrdn: 1\n`);
    const away = await mirror.read();
    expect(away.certificate.complete).toBe(false);
    expect(away.certificate.remarks.join()).toContain(SALES);
    mirror.bookmark = bookmark;
    await slapd.modify(`dn: ou=staff,${SUFFIX}\nchangetype: modrdn\nnewrdn: ou=people\ndeleteoldrdn: 1\n`);
    expect((await mirror.read()).certificate).toMatchObject({ complete: true });
    expect(mirror.names).toEqual(['fay']);
  });

  it('by times give whole only who changed, and begin anew with another server', async () => {
    const slapd = await start({ overlays: [] });
    const mirror = new Mirror(open(slapd), 'entryuuid');
    await mirror.read();
    mirror.bookmark = withDelta(mirror.bookmark, { time: '20991231000000Z' });
    const read = await mirror.read();
    expect([read.given, mirror.names]).toEqual([[], NAMES]);
    expect(read.certificate).toMatchObject({ complete: true, extent: 'whole', entries: NAMES.length });
    mirror.bookmark = withDelta(mirror.bookmark, { server: 'elsewhere:389' });
    expect((await mirror.read()).given).toEqual(NAMES);
  });

  it.each([
    ['a far one', 100 * 365 * 24],
    ['one of the same day', 2],
  ])('by times do not hide behind an entry of the future: %s', async (_, hours) => {
    const time = new Date(Date.now() + hours * 3_600_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
    const future = personLdif('late', `modifyTimestamp: ${time}\ncreateTimestamp: 20200101000000Z`);
    const slapd = await start({ overlays: [], ldif: `${content}\n${future}` });
    const mirror = new Mirror(open(slapd), 'entryuuid');
    await mirror.read();
    await slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', 'changed'));
    expect((await mirror.read()).given).toContain('anna');
  });

  for (const overlays of [['syncprov'], []] as const) {
    it(`are not lost where they come while it is read${overlays.length > 0 ? '' : ', by times'}`, async () => {
      const slapd = await start({ overlays: [...overlays] });
      const mirror = new Mirror(open(slapd, { pageSize: 5 }), 'entryuuid');
      await mirror.read();
      const state = { isChanging: true };
      const changing = (async () => {
        for (const i of range(12)) {
          const come = [`come${i}`, `gone${i}`, `hidden${i}`].map((name) => personLdif(name));
          const gone = i > 0 ? [`dn: cn=gone${i - 1},${PEOPLE}\nchangetype: delete`] : [];
          await slapd.modify(ldif([...come, ...gone, replace(`cn=hidden${i},${PEOPLE}`, 'title', 'hidden')]));
        }
      })().finally(() => (state.isChanging = false));
      while (state.isChanging) await mirror.read();
      await changing;
      expect((await mirror.read()).certificate).toMatchObject({ complete: true });
      expect(mirror.names).toEqual([...NAMES, ...range(12).map((i) => `come${i}`), 'gone11'].toSorted());
    });
  }

  it('are not found by content synchronization under an anchor that it does not name', async () => {
    const slapd = await start();
    const facts = await open(slapd, { anchor: 'uid', method: 'syncrepl' }).facts(never);
    expect(facts.method).not.toBe('syncrepl');
    expect(facts.why).toMatch(/names entries by entryUUID, and `anchor` is uid/);
  });

  it('are found by content synchronization once the lines of `check` are pasted', async () => {
    const access = [`to dn.base="${SUFFIX}" by dn.exact="cn=admin,${SUFFIX}" read by * none`];
    const slapd = await start({ access: access.map((line) => `access ${line}`), sizeLimit: 20 });
    await slapd.modify(ldif(range(30).map((i) => personLdif(`more${i}`))));
    const before = await open(slapd).facts(never);
    expect(before).toMatchObject({ sizeLimit: 20, account: slapd.reader.dn, tls: null, method: 'modify-timestamp' });
    const [contextCsn, , limits] = before.lacks.map(({ mend }) => mend[0]!.lines);
    await slapd.change({ access: [...contextCsn!, ...access.map((line) => `access ${line}`)], databaseLines: limits! });
    expect(await open(slapd).facts(never)).toMatchObject({ sizeLimit: null, method: 'syncrepl', lacks: [] });
  });

  it('are read by an account that could not, once the lines of `check` are pasted', async () => {
    for (const hidden of ['attrs=entryUUID', '*']) {
      const closed = `access to ${hidden} by dn.exact="cn=admin,${SUFFIX}" read by anonymous auth by * none`;
      const slapd = await start({ overlays: [], access: [closed] });
      const before = await open(slapd).facts(never);
      const lines = before.lacks.filter(({ what }) => what.includes('may not read')).at(-1)!.mend[0]!.lines;
      await slapd.change({ access: [...lines, closed] });
      expect((await open(slapd).facts(never)).lacks.filter(({ what }) => what.includes('may not read'))).toEqual([]);
      const mirror = new Mirror(open(slapd), 'entryuuid');
      expect((await mirror.read()).certificate).toMatchObject({ complete: true, remarks: [] });
      expect(mirror.names).toEqual(NAMES);
    }
  });

  it('are found by an index, if the account sees that there is none', async () => {
    const config = ['database config', `access to * by dn.exact="cn=reader,${SUFFIX}" read`];
    const slapd = await start({ overlays: [], globalLines: config });
    const facts = await open(slapd).facts(never);
    const lack = facts.lacks.find(({ what }) => what.includes('no index'))!;
    expect(lack.mend[1]!.lines).toContain('dn: olcDatabase={1}mdb,cn=config');
    await slapd.change({ databaseLines: lack.mend[0]!.lines });
    expect((await open(slapd).facts(never)).lacks.filter(({ what }) => what.includes('no index'))).toEqual([]);
  });

  it('come with what a target does not know, and with the state of the line', async () => {
    const slapd = await start();
    const attributes = ['cn', 'mail', 'msExchHideFromAddressLists'];
    const directory = openDirectory(slapd, {
      servers: [{ host: 'localhost', port: slapd.port, tls: 'starttls' }],
      ca: slapd.ca,
      attributes,
      target: targetIn(PEOPLE),
    });
    const facts = await directory.facts(never);
    expect(facts).toMatchObject({ tls: 'TLSv1.3', vendor: 'OpenLDAP', unknownAttributes: [attributes[2]] });
    expect(facts.wakeUp).toBe('content synchronization');
  });
});

describeSlapd('waiting for changes in slapd', () => {
  afterEach(() => Promise.all(servers.splice(0).map((slapd) => slapd.stop())));

  it('wakes for each kind of change, and not for what was there', async () => {
    const slapd = await start();
    const watcher = new Watcher(open(slapd));
    await untilWoken(watcher, (i) => slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    for (const change of [
      personLdif('hans'),
      `dn: cn=bert,${PEOPLE}\nchangetype: delete\n`,
      replace(`cn=carl,${PEOPLE}`, 'title', 'hidden'),
    ]) {
      const before = watcher.wakes;
      await slapd.modify(change);
      await expect.poll(() => watcher.wakes, { timeout: 5_000 }).toBe(before + 1);
    }
    await watcher.stop();
  });

  it('wakes for a container that is renamed, although nobody below it counts as changed, and then he is read', async () => {
    const slapd = await start();
    const team = `ou=team,${PEOPLE}`;
    await slapd.modify(
      `dn: ${team}\nchangetype: add\nobjectClass: organizationalUnit\nou: team\n\n${personLdif('within', '', team).replace('\n', '\nchangetype: add\n')}`,
    );
    const bases = [{ dn: PEOPLE, scope: 'sub' as const, filter: '(objectClass=inetOrgPerson)' }];
    const watcher = new Watcher(open(slapd, { bases }));
    await untilWoken(watcher, (i) => slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    const { certificate } = await readAll(open(slapd, { bases }));
    const before = watcher.wakes;
    await slapd.modify(`dn: ${team}\nchangetype: modrdn\nnewrdn: ou=crew\ndeleteoldrdn: 1\n`);
    await expect.poll(() => watcher.wakes, { timeout: 5_000 }).toBe(before + 1);
    const after = await readAll(open(slapd, { bases }), certificate.bookmark);
    expect(after.entries.map(({ dn }) => dn)).toContain(`cn=within,ou=crew,${PEOPLE}`);
    await watcher.stop();
  });

  it('wakes once for many changes', async () => {
    const slapd = await start();
    const watcher = new Watcher(open(slapd));
    await untilWoken(watcher, (i) => slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    const before = watcher.wakes;
    await slapd.modify(ldif(range(50).map((i) => personLdif(`more${i}`))));
    await expect.poll(() => watcher.wakes, { timeout: 5_000 }).toBeGreaterThan(before);
    expect(watcher.wakes).toBeLessThanOrEqual(before + 2);
    await watcher.stop();
  });

  it('wakes also where everybody is named first, by changes only', async () => {
    // The account does not see contextCSN, so that it has no cookie to begin with.
    const access = [`access to dn.base="${SUFFIX}" attrs=contextCSN by dn.exact="cn=admin,${SUFFIX}" read by * none`];
    const slapd = await start({ access });
    const watcher = new Watcher(open(slapd));
    await untilWoken(watcher, (i) => slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    await watcher.stop();
  });

  it('is not done where the server has nothing of the kind', async () => {
    const slapd = await start({ overlays: [] });
    expect(await new Watcher(open(slapd)).ended).toBe(false);
  });

  it('fails when the line breaks, and when it is dead and nobody says so', async () => {
    const slapd = await start();
    const { times } = optionsFor(slapd);
    const broken = new Watcher(open(slapd));
    const dead = new Watcher(open(slapd, { times: { ...times, operationMs: 300, keepAliveMs: 100 } }));
    await untilWoken(broken, (i) => slapd.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    await slapd.freeze();
    expect(await dead.ended).toMatchObject({ code: 'directory-failed', retry: 'later' });
    expect(String(await dead.ended)).toMatch(/did not answer within 0.3 s/);
    await slapd.kill();
    expect(await broken.ended).toMatchObject({ code: 'directory-failed', retry: 'later' });
  });
});

describeSlapd('referrals of slapd', () => {
  afterEach(() => Promise.all(servers.splice(0).map((slapd) => slapd.stop())));

  const referral = (cn: string, ...urls: string[]) =>
    [`dn: cn=${cn},${PEOPLE}`, 'objectClass: referral', 'objectClass: extensibleObject', `cn: ${cn}`]
      .concat(urls.map((url) => `ref: ${url}`))
      .join('\n');
  /** What the other server has below the same suffix. */
  const elsewhere = (slapd: Slapd) => `${slapd.url}/${OTHERS}`;

  it('are counted, and make the read incomplete', async () => {
    const other = await start();
    const slapd = await start({ ldif: `${content}\n${referral('branch', elsewhere(other))}\n` });
    for (const method of ['whole', 'syncrepl'] as const) {
      const { certificate } = await new Mirror(open(slapd, { method }), 'entryuuid').read();
      expect(certificate).toMatchObject({ complete: false, entries: NAMES.length, bookmark: null });
      expect(certificate.remarks.join()).toMatch(/1 referrals to other servers were not followed/);
    }
  });

  it('are followed, by the first server of several that answers', async () => {
    const other = await start();
    const [gone] = [await start()];
    await gone.halt();
    const slapd = await start({ ldif: `${content}\n${referral('branch', elsewhere(gone), elsewhere(other))}\n` });
    const directory = open(slapd, { referrals: 'follow' });
    const mirror = new Mirror(directory, 'entryuuid');
    expect((await mirror.read()).certificate).toMatchObject({ complete: true, extent: 'whole', remarks: [] });
    expect(mirror.names).toEqual([...NAMES, 'gus']);
    await other.modify(`dn: cn=gus,${OTHERS}\nchangetype: delete\n`);
    await mirror.read();
    expect(mirror.names).toEqual(NAMES);
    expect(await directory.facts(never)).toMatchObject({ method: 'whole' });
  });

  it('that cannot be followed, lead in a circle or on to others make the read incomplete', async () => {
    const slapd = await start();
    const further = await start({ ldif: `${content}\n${referral('further', elsewhere(slapd))}\n` });
    const wrong: [url: string, remark: RegExp][] = [
      ['ldap://127.0.0.1:1/', /could not be followed: .*nothing listens there/],
      [`${slapd.url}/${PEOPLE}`, /could not be followed: .* names itself/],
      ['http://127.0.0.1/', /could not be followed: it is no address/],
      [`${further.url}/${PEOPLE}`, /1 referrals to other servers were not followed/],
    ];
    for (const [i, [url, remark]] of wrong.entries()) {
      const added = referral(`wrong${i}`, url);
      await slapd.modify(`${added}\n`);
      const { certificate } = await new Mirror(open(slapd, { referrals: 'follow' }), 'entryuuid').read();
      expect(certificate, url).toMatchObject({ complete: false, bookmark: null });
      expect(certificate.remarks.join('\n'), url).toMatch(remark);
      // ManageDsaIT is not there for the tools of the test: the server starts anew.
      await slapd.reload(content);
    }
  });

  it('are not followed without TLS from a line that has it', async () => {
    const other = await start({ certificate: 'none' });
    const slapd = await start({ ldif: `${content}\n${referral('branch', elsewhere(other))}\n` });
    const directory = open(slapd, {
      servers: [{ host: 'localhost', port: slapd.ldapsPort, tls: 'ldaps' }],
      ca: slapd.ca,
      referrals: 'follow',
    });
    const { certificate } = await new Mirror(directory, 'entryuuid').read();
    expect(certificate.complete).toBe(false);
    expect(certificate.remarks.join()).toMatch(/could not be followed: .* does not begin TLS/);
  });
});
