/** Deltas, limits and waking with 389-DS, by the id that every entry of it has. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389 } from '../servers/ldap/presence.ts';
import { ldif, openDirectory, PEOPLE, people, personLdif, range, simple, SUFFIX } from './ldap-directory.ts';
import { Mirror, untilWoken, Watcher, withDelta } from './ldap-mirror.ts';

const OTHERS = `ou=others,${SUFFIX}`;
const SALES = `ou=sales,${PEOPLE}`;
const never = new AbortController().signal;
const unit = (dn: string) => `dn: ${dn}\nobjectClass: organizationalUnit`;
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

describe389('deltas of 389-DS', () => {
  let server: Ds389;
  const open = (options: Partial<LdapOptions> = {}) =>
    openDirectory(server, {
      profile: '389ds',
      anchor: 'nsuniqueid',
      bases: [{ dn: PEOPLE, scope: 'sub', filter: '(&(objectClass=person)(!(title=hidden)))' }],
      bind: simple(server.reader),
      ...options,
    });

  beforeAll(async () => {
    server = await startDs389({ ldif: content });
  });
  afterAll(() => server?.stop());

  it('are read by times, also where content synchronization is configured', async () => {
    expect(await open().facts(never)).toMatchObject({ method: 'modify-timestamp', wakeUp: 'persistent search' });
    const { certificate } = await new Mirror(open({ method: 'syncrepl' }), 'nsuniqueid').read();
    expect(certificate).toMatchObject({ complete: true, extent: 'whole' });
    expect(certificate.remarks.join()).toMatch(/modify-timestamp is used, not syncrepl .* does not tell who left/);
  });

  it('tell who came, changed, was deleted, left the filter or the base, and a container that was moved', async () => {
    const mirror = new Mirror(open(), 'nsuniqueid');
    await mirror.read();
    expect(mirror.names).toEqual(['anna', 'bert', 'carl', 'dora', 'fay']);
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
      await server.modify(change);
      expect((await mirror.read()).certificate).toMatchObject({ complete: true, extent: 'whole', remarks: [] });
      expect(mirror.names).toEqual(names);
    }
  });

  it('give whole only who changed since, by the clock of the server', async () => {
    const entries = await server.search('(objectClass=*)', ['*', 'aci']);
    const old = '20200101000000Z';
    await server.reload(entries.replaceAll(/^dn:.*$/gm, `$&\ncreateTimestamp: ${old}\nmodifyTimestamp: ${old}`));
    const mirror = new Mirror(open(), 'nsuniqueid');
    await mirror.read();
    const known = mirror.names;
    // All that was there is older than what is read again to be sure.
    const read = await mirror.read();
    expect(read.given).toEqual([]);
    expect(read.certificate).toMatchObject({ complete: true, extent: 'whole', entries: known.length });
    expect(mirror.names).toEqual(known);
    await server.modify(replace(`cn=anna,${PEOPLE}`, 'title', 'changed'));
    expect((await mirror.read()).given).toEqual(['anna']);
  });

  it('are read whole where the clock of the server went back', async () => {
    const mirror = new Mirror(open(), 'nsuniqueid');
    await mirror.read();
    mirror.bookmark = withDelta(mirror.bookmark, { time: '20991231000000Z' });
    expect((await mirror.read()).given).toEqual(mirror.names);
  });

  it('wake whoever waits for changes', async () => {
    const watcher = new Watcher(open());
    await untilWoken(watcher, (i) => server.modify(replace(`cn=anna,${PEOPLE}`, 'title', `t${i}`)));
    await watcher.stop();
  });

  it('are read by an account that saw nothing, once the lines of `check` are pasted', async () => {
    const weak = { dn: `uid=weak,ou=accounts,${SUFFIX}`, password: 'weak-secret' };
    await server.modify(
      `dn: ${weak.dn}\nobjectClass: inetOrgPerson\nuid: weak\ncn: weak\nsn: account\nuserPassword: ${weak.password}\n`,
    );
    const directory = open({ bind: simple(weak) });
    const before = await directory.facts(never);
    expect(before.method).toBe('whole');
    expect((await new Mirror(directory, 'nsuniqueid').read()).certificate.complete).toBe(false);
    const lines = before.lacks.at(-1)!.mend[0]!.lines;
    await server.modify(`${lines.join('\n')}\n`);
    expect(await directory.facts(never)).toMatchObject({ method: 'modify-timestamp', lacks: [] });
    const mirror = new Mirror(directory, 'nsuniqueid');
    expect((await mirror.read()).certificate).toMatchObject({ complete: true, remarks: [] });
    expect(mirror.names).toContain('anna');
  });

  it('say which limit cuts them, and what lifts it', async () => {
    await server.modify(ldif(range(30).map((i) => personLdif(`more${i}`))));
    await server.modify(replace('cn=config', 'nsslapd-sizelimit', '20'));
    const bases = [{ dn: PEOPLE, scope: 'sub', filter: '(objectClass=person)' }] as const;
    const before = await open({ bases: [...bases] }).facts(never);
    expect(before).toMatchObject({ sizeLimit: 20, account: server.reader.dn });
    const lifts = before.lacks.find(({ what }) => what.includes('cuts answers'))!.mend[0]!.lines;
    await server.modify(`${lifts.join('\n')}\n`);
    expect(await open({ bases: [...bases] }).facts(never)).toMatchObject({ sizeLimit: null, lacks: [] });
  });
});
