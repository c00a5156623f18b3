/** Groups that lack members, in Active Directory as Samba does it. */
import { afterAll, beforeAll } from 'vitest';
import { describeSamba } from '../servers/ldap/presence.ts';
import { type Samba, startSamba } from '../servers/ldap/samba.ts';
import { container, openDirectory, targetIn, writeAll } from './ldap-directory.ts';
import type { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import type { LdapTarget } from '../../packages/adapters/src/directories/ldap/options.ts';
import { lackingMembers } from './ldap-members.ts';
import { membersIn } from './ldap-rings.ts';

describeSamba('a group in Samba AD', () => {
  let samba: Samba;
  const network = 'OU=network,DC=probe,DC=test';
  const directory = (policies: LdapTarget['policies'] = {}): LdapDirectory =>
    openDirectory(samba, {
      servers: [{ host: samba.host, port: samba.ldapsPort, tls: 'ldaps' }],
      ca: samba.ca,
      anchor: 'objectguid',
      profile: 'ad',
      bases: [],
      target: targetIn(network, { shape: 'ad-contact', policies }),
    });
  beforeAll(async () => {
    samba = await startSamba({});
    await writeAll(directory(), [container(network, 'network')]);
  }, 180_000);
  afterAll(() => samba?.stop());

  lackingMembers(() => ({
    directory,
    network,
    kind: 'contact',
    membersOf: async (cn) =>
      membersIn(await samba.search(`(&(objectClass=group)(cn=${cn}))`, ['member'], network))[cn] ?? [],
  }));
});
