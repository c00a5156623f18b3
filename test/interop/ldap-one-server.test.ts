/** A write goes to one server, over however many lines: on others may not be yet what was just written. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LdapServers } from '../../packages/adapters/src/directories/ldap/servers.ts';
import { writeChanges } from '../../packages/adapters/src/directories/ldap/write.ts';
import type { DirectoryChange, WriteOutcome } from '@dirpost/core';
import { describeSlapd } from '../servers/ldap/presence.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { container, counted, NETWORK, optionsFor, person, range, targetIn } from './ldap-directory.ts';

describeSlapd('a write where several servers are named by DNS', () => {
  let all: Slapd[] = [];
  beforeAll(async () => {
    all = await Promise.all(range(2).map(() => startSlapd({ writes: 'nosync' })));
  });
  afterAll(() => Promise.all(all.map((one) => one.stop())));

  it('goes to one of them, also in transactions and with what is large', async () => {
    const servers = { domain: 'example.org', tls: 'none' } as const;
    const options = optionsFor(all[0]!, { servers, target: targetIn(NETWORK, { transactions: 'always' }) });
    let asked = 0;
    const dns = new LdapServers(options, {
      now: () => Date.now(),
      random: () => 0,
      // The other one each time.
      resolveSrv: async () => [{ name: '127.0.0.1', port: all[asked++ % 2]!.port, priority: 0, weight: 0 }],
    });
    const changes = [container(NETWORK, 'network'), ...range(200).map((i) => person(`p${i}`))];
    changes[100] = person('large', { jpegphoto: 'x'.repeat(600_000) });
    const given = (async function* (): AsyncGenerator<DirectoryChange> {
      yield* changes;
    })();
    const outcomes: WriteOutcome[] = [];
    const signal = new AbortController().signal;
    for await (const one of writeChanges(options, dns, given, { transactionsFailed: false }, signal))
      outcomes.push(one);
    expect(counted(outcomes)).toEqual({ written: 201 });
    const found = await Promise.all(all.map((one) => one.search('(objectClass=person)', ['dn'])));
    expect(found.map((text) => text.match(/^dn: .*ou=network/gm)?.length ?? 0)).toEqual([200, 0]);
  });
});
