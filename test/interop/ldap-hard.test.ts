/** slapd: what is hard about any directory server. */
import { afterAll, beforeAll } from 'vitest';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, SUFFIX } from './ldap-directory.ts';
import { hardCases, type HardSite } from './ldap-hard-cases.ts';
import { largeGroup } from './ldap-large-group.ts';

describeSlapd('what is hard, with slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ writes: 'nosync', globalLines: ['sockbuf_max_incoming_auth 2097151'] });
  });
  afterAll(() => slapd?.stop());

  const site: HardSite = {
    suffix: SUFFIX,
    options: () => ({ profile: 'openldap', anchor: 'entryuuid' }),
    shape: 'inetorgperson',
    objectClass: 'inetOrgPerson',
    photo: 'jpegphoto',
    names: ['nul\u0000x'],
    cutsAt: 2 * 1_024 * 1_024,
    refused: { invalidAttributeSyntax: { mail: 'not–ascii@example.com' } },
    remake: async (dn, records) => {
      const unit = `dn: ${dn}\nobjectClass: organizationalUnit\n`;
      await slapd.reload(ldif([unit, ...records]));
    },
  };
  hardCases(() => slapd, site);
  largeGroup(() => slapd, site);
});
