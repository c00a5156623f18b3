/**
 * How fast a directory is read as a whole: by the LDAP directory of dirpost (T0's first step, entries as the mapping takes
 * them) beside ldapsearch, both page by page, with the same attributes and from the same slapd, in turns.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { LdapDirectory } from '@dirpost/adapters';
import { defaultLimits } from '@dirpost/core';
import { type Slapd, startSlapd } from '../../servers/ldap/slapd.ts';
import { programOf } from '../../servers/programs.ts';
import { needSlapd, PEOPLE, peopleLdif } from '../ldap-people.ts';
import type { BenchCase, Figure } from '../run.ts';
import { median } from '../statistics.ts';

const ENTRIES = 100_000;
const ROUNDS = 7;
const PAGE_SIZE = 1_000;
const FILTER = '(objectClass=inetOrgPerson)';
/** All that the people have. */
const ATTRIBUTES =
  'objectclass cn sn givenname uid mail telephonenumber mobile title departmentnumber employeenumber l street postalcode roomnumber entryuuid'.split(
    ' ',
  );

const bench: BenchCase = {
  name: 'ldap-read',
  describe: `${ENTRIES.toLocaleString('en')} entries out of a slapd on loopback, page by page`,
  async run(entries = ENTRIES): Promise<Figure[]> {
    needSlapd();
    const server = await startSlapd({ overlays: ['syncprov'], writes: 'nosync', ldif: peopleLdif(entries) });
    try {
      // Into the page cache.
      await searchSeconds(server);
      const first = await readSeconds(server, entries);
      const [ours, theirs]: [number[], number[]] = [[], []];
      for (let round = 0; round < ROUNDS; round++) {
        theirs.push(await searchSeconds(server));
        ours.push(await readSeconds(server, entries));
      }
      const beside = { unit: 's', peer: 'ldapsearch', peerValue: median(theirs) };
      return [
        { what: 'read', value: median(ours), ...beside, goal: { of: 'ratio', atMost: 1.2 } },
        { what: 'the first read of a process', value: first, ...beside },
      ];
    } finally {
      await server.stop();
    }
  },
};
export default bench;

async function readSeconds(server: Slapd, wanted: number): Promise<number> {
  const directory = new LdapDirectory({
    name: 'people',
    servers: [{ host: server.host, port: server.port, tls: 'none' }],
    bind: { method: 'simple', dn: server.admin.dn, password: async () => server.admin.password },
    profile: 'openldap',
    bases: [{ dn: PEOPLE, scope: 'sub', filter: FILTER }],
    attributes: ATTRIBUTES,
    anchor: 'entryuuid',
    method: 'whole',
    wholeReadEveryMs: 86_400_000,
    referrals: 'count',
    pageSize: PAGE_SIZE,
    times: { connectMs: 5_000, operationMs: 60_000, keepAliveMs: 30_000 },
    limits: defaultLimits,
  });
  const startedMs = performance.now();
  let entries = 0;
  let complete = false;
  for await (const batch of directory.read(null, AbortSignal.timeout(600_000))) {
    entries += batch.entries.length;
    complete = batch.certificate?.complete ?? false;
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  if (entries !== wanted || !complete) throw new Error(`${entries} entries were read, complete: ${complete}`);
  return seconds;
}

async function searchSeconds({ url, admin }: Slapd): Promise<number> {
  const login = ['-x', '-H', url, '-D', admin.dn, '-w', admin.password];
  const args = [...login, '-LLL', '-E', `pr=${PAGE_SIZE}/noprompt`, '-b', PEOPLE, FILTER, ...ATTRIBUTES];
  const startedMs = performance.now();
  const child = spawn(programOf('ldapsearch'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`ldapsearch ended with ${code}`);
  return (performance.now() - startedMs) / 1_000;
}
