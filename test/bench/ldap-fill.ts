/**
 * Filling an empty slapd with all people of another: by dirpost (oslo reads, hq passes on, lima writes, and says so to hq),
 * beside a second slapd that follows the first by syncrepl. Both of the same configuration, one after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { runCommand } from '../servers/ldap/commands.ts';
import { SUFFIX } from '../servers/ldap/slapd-configuration.ts';
import { type LdapOffices, openLdapOffices } from './ldap-offices.ts';
import { needSlapd, NETWORK, peopleLdif } from './ldap-people.ts';
import type { Figure } from './run.ts';

const TIMEOUT_MS = 1_800_000;
const POLL_MS = 50;

export interface Fill {
  entries: number;
  writes: 'durable' | 'nosync';
  /** Of what syncrepl takes. */
  atMost: number;
}

export async function measureFill({ entries, writes, atMost }: Fill): Promise<Figure[]> {
  needSlapd();
  const source = await startSlapd({ overlays: ['syncprov'], writes, ldif: peopleLdif(entries) });
  try {
    const syncrepl = await withConsumer(source, writes, entries, async (_, seconds) => seconds);
    const target = await startSlapd({ overlays: [], writes });
    try {
      const offices = await openLdapOffices(source, target);
      try {
        const steps = await fill(offices);
        await expectPeople(target, NETWORK, entries);
        return figuresOf(steps, syncrepl, atMost);
      } finally {
        await offices.close();
      }
    } finally {
      await target.stop();
    }
  } finally {
    await source.stop();
  }
}

/** Seconds from the start. */
interface Steps {
  exchange: number;
  update: number;
  verified: number;
}

/** From `dirpost sync` at oslo until hq has the word of lima that all is written. */
export async function fill({ hq, oslo, lima }: LdapOffices): Promise<Steps> {
  const startedMs = performance.now();
  const since = ({ atMs }: { atMs: number }) => (atMs - startedMs) / 1_000;
  const exchanged = hq.says('the exchange of oslo', ({ text }) => /^exchange .*oslo: accepted/.test(text), TIMEOUT_MS);
  const update = hq.says('the exchange of lima', ({ text }) => /^exchange .*lima: /.test(text), TIMEOUT_MS);
  const verified = hq.says(
    'the verification of lima',
    ({ text }) => /^verification from lima.*up to seq [1-9]/.test(text),
    TIMEOUT_MS,
  );
  const first = oslo.commandBeside('sync', '--wait', '600');
  const exchange = await exchanged;
  const second = lima.commandBeside('sync', '--wait', '600');
  const steps = { exchange: since(exchange), update: since(await update), verified: since(await verified) };
  await Promise.all([first, second]);
  return steps;
}

function figuresOf({ exchange, update, verified }: Steps, syncrepl: number, atMost: number): Figure[] {
  return [
    {
      what: 'filled and verified',
      value: verified,
      unit: 's',
      peer: 'syncrepl',
      peerValue: syncrepl,
      goal: { of: 'ratio', atMost },
    },
    { what: 'exchange at the server', value: exchange, unit: 's' },
    { what: 'update made', value: update - exchange, unit: 's' },
    { what: 'replica, directory, verification', value: verified - update, unit: 's' },
  ];
}

/** A second slapd that follows `source`; `work` gets it when it has all, and the seconds that this took. */
export async function withConsumer<T>(
  source: Slapd,
  writes: Fill['writes'],
  entries: number,
  work: (consumer: Slapd, seconds: number) => Promise<T>,
): Promise<T> {
  const { dn, password } = source.admin;
  const login = `bindmethod=simple binddn="${dn}" credentials=${password}`;
  const follow = `syncrepl rid=001 provider=${source.url} type=refreshAndPersist retry="1 +" searchbase="${SUFFIX}" ${login}`;
  const consumer = await startSlapd({ overlays: [], writes, empty: true, databaseLines: [follow] });
  const startedMs = performance.now();
  try {
    // Written at the end of the refresh.
    const wanted = await contextCsn(source);
    while ((await contextCsn(consumer)) !== wanted) {
      if (performance.now() - startedMs > TIMEOUT_MS) throw new Error('syncrepl does not come to its end');
      await sleep(POLL_MS);
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    await expectPeople(consumer, SUFFIX, entries);
    return await work(consumer, seconds);
  } finally {
    await consumer.stop();
  }
}

/** Of the newest change that it has; '' while it has none. */
export async function contextCsn({ url, admin }: Slapd): Promise<string> {
  const login = ['-x', '-LLL', '-H', url, '-D', admin.dn, '-w', admin.password];
  const found = runCommand('ldapsearch', [...login, '-s', 'base', '-b', SUFFIX, 'contextCSN']);
  return /^contextCSN: (.*)$/m.exec(await found.catch(() => ''))?.[1] ?? '';
}

async function expectPeople(server: Slapd, base: string, entries: number): Promise<void> {
  const found = (await server.search('(objectClass=inetOrgPerson)', ['1.1'], base)).match(/^dn:/gm)?.length ?? 0;
  if (found !== entries) throw new Error(`${found} people below ${base}, and not ${entries}`);
}
