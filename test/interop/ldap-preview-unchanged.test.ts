/** `dirpost preview` with LDAP directories looks, and leaves everything as it was: the store, how far was read, and the servers. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Office } from '../demo/office.ts';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, people, PEOPLE, personLdif, range, SUFFIX } from './ldap-directory.ts';
import { ldapCycle, ldapOffices } from './ldap-offices.ts';

/** Table → what stands in it. */
function contentOf({ data }: Office): Record<string, string> {
  const store = new Database(join(data, 'store.db'), { readonly: true });
  try {
    const tables = store.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).pluck().all() as string[];
    const sumOf = (name: string) => {
      const rows = store.prepare(`SELECT * FROM ${name}`).raw().all();
      return createHash('sha256').update(JSON.stringify(rows)).digest('hex');
    };
    return Object.fromEntries(tables.map((name) => [name, sumOf(name)]));
  } finally {
    store.close();
  }
}

describeSlapd('preview with slapd', () => {
  let servers: [Slapd, Slapd];
  beforeEach(async () => {
    servers = await Promise.all([
      startSlapd({
        writes: 'nosync',
        overlays: ['syncprov'],
        ldif: ldif([people, ...range(5).map((i) => personLdif(`p${i}`))]),
      }),
      startSlapd({ writes: 'nosync' }),
    ]);
  });
  afterEach(() => Promise.all(servers.map((one) => one.stop())));

  const standing = () => Promise.all(servers.map((one) => one.search('(objectClass=*)', ['*', '+'], SUFFIX)));

  it('changes neither store nor servers; the next sync tells what it told', async () => {
    const offices = await ldapOffices(...servers);
    const { hq, oslo } = offices;
    await ldapCycle(offices);
    await servers[0].modify(
      `dn: cn=p1,${PEOPLE}\nchangetype: modify\nreplace: title\ntitle: Boss\n\ndn: cn=p2,${PEOPLE}\nchangetype: delete\n`,
    );
    const before = { stores: [contentOf(hq), contentOf(oslo)], standing: await standing() };
    for (let i = 0; i < 2; i++) {
      const { out } = await oslo.must('--json', 'preview');
      expect(JSON.parse(out)).toMatchObject({ publish: [{ summary: { added: 0, changed: 1, removed: 1 } }] });
      await oslo.must('preview', '--ldif');
    }
    expect([contentOf(hq), contentOf(oslo)]).toEqual(before.stores);
    expect((await oslo.must('sync', '--wait', '0')).out).toMatch(/0 new, 1 changed, 1 removed/);
    expect(contentOf(oslo)).not.toEqual(before.stores[1]);
    // The server of the network writes: what would be written is not, either.
    const target = contentOf(hq);
    await hq.must('preview');
    await hq.must('preview', '--ldif');
    expect(contentOf(hq)).toEqual(target);
    expect((await standing())[1]).toEqual(before.standing[1]);
    await hq.must('sync');
    expect((await standing())[1]).not.toEqual(before.standing[1]);
  });
});
