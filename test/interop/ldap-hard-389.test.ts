/** 389-DS: what is hard about any directory server, its limit on time, and entries that a restored LDIF file gave new ids. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LdapBase, LdapOptions } from '../../packages/adapters/src/directories/ldap/options.ts';
import { type Ds389, startDs389 } from '../servers/ldap/ds389.ts';
import { describe389 } from '../servers/ldap/presence.ts';
import { hardCases, type HardSite } from './ldap-hard-cases.ts';
import { largeGroup } from './ldap-large-group.ts';
import { ldif, openDirectory, PEOPLE, people, personLdif, range, readAll, simple, SUFFIX } from './ldap-directory.ts';

const PERSONS = 60;
const PARTS = 200;
const LARGE = Buffer.alloc(100_000, 'q').toString();

describe389('what is hard, with 389-DS', () => {
  let server: Ds389;
  beforeAll(async () => {
    server = await startDs389({ ldif: people });
  });
  afterAll(() => server?.stop());

  const options = (): Partial<LdapOptions> => ({ profile: '389ds', anchor: 'nsuniqueid' });

  const site: HardSite = {
    suffix: SUFFIX,
    options,
    shape: 'inetorgperson',
    objectClass: 'inetOrgPerson',
    photo: 'jpegphoto',
    cutsAt: 2 * 1_024 * 1_024,
    refused: { invalidAttributeSyntax: { mail: 'not–ascii@example.com' } },
    remake: async () => {
      const text = await server.search('(objectClass=*)', ['*', 'aci']);
      await server.reload(text);
    },
  };
  hardCases(() => server, site);
  largeGroup(() => server, site);

  it('that has too little time for an answer is not complete, and is when it has', async () => {
    await server.modify(ldif(range(PERSONS).map((i) => personLdif(`p${i}`, `description: ${LARGE}`))));
    const limit = (seconds: number) =>
      server.modify(`dn: cn=config\nchangetype: modify\nreplace: nsslapd-timelimit\nnsslapd-timelimit: ${seconds}\n`);
    const read = (filter: string) => {
      const bases: LdapBase[] = [{ dn: PEOPLE, scope: 'one', filter }];
      return readAll(openDirectory(server, { ...options(), bind: simple(server.reader), method: 'whole', bases }));
    };
    await limit(1);
    // No index helps: all octets of each description are looked at for each of these.
    const parts = range(PARTS).map((i) => `(description=*qqqqqqqqx${i}*)`);
    const { certificate } = await read(`(&(cn=p*)(!(|${parts.join('')})))`);
    expect(certificate).toMatchObject({ complete: false, bookmark: null });
    expect(certificate.remarks.join()).toMatch(/timeLimitExceeded \(3\).*an index for .* may be missing/);
    expect(certificate.remarks.join().length).toBeLessThan(1_000);
    expect((await read('(cn=p*)')).certificate).toMatchObject({ complete: true, entries: PERSONS });
    await limit(-1);
  });
});
