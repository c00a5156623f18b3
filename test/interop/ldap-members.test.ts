/** Groups that lack members, in slapd that takes no group with a member who is not there. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { container, NETWORK, openDirectory, person, simple, SUFFIX, targetIn, writeAll } from './ldap-directory.ts';
import { group } from './ldap-foretold.ts';
import { lackingMembers } from './ldap-members.ts';
import { membersIn, strict } from './ldap-rings.ts';

describeSlapd('a group in slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({
      ...strict,
      globalLines: [...strict.globalLines!, 'referral ldap://elsewhere.example.com'],
    });
    await writeAll(openDirectory(slapd, { target: targetIn(NETWORK) }), [container(NETWORK, 'network')]);
  });
  afterAll(() => slapd?.stop());
  const membersOf = async (cn: string) =>
    membersIn(await slapd.search(`(&(objectClass=groupOfNames)(cn=${cn}))`, ['member'], NETWORK))[cn] ?? [];

  lackingMembers(() => ({
    directory: (policies = {}) => openDirectory(slapd, { target: targetIn(NETWORK, { policies }) }),
    network: NETWORK,
    kind: 'person',
    membersOf,
  }));

  it('has a member of whom the server does not tell this account, while others are missing', async () => {
    await writeAll(openDirectory(slapd, { target: targetIn(NETWORK) }), [person('hidden')]);
    const { dn } = slapd.reader;
    const disclosed = `access to dn.base="cn=hidden,${NETWORK}" by dn.exact="${dn}" disclose by * read`;
    const free = `access to dn.subtree="${SUFFIX}" by dn.exact="${dn}" write by * read`;
    await slapd.change({ access: [disclosed, free] });
    const directory = openDirectory(slapd, { target: targetIn(NETWORK), bind: simple(slapd.reader) });
    const change = group('secret', [`cn=hidden,${NETWORK}`, `cn=nobody,${NETWORK}`], NETWORK);
    expect(await writeAll(directory, [change])).toMatchObject([{ code: 'membersMissing' }]);
    await slapd.change({ access: [] });
    expect(await membersOf('secret')).toEqual(['hidden']);
  });
});
