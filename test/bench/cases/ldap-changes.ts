/**
 * How long changes take from one slapd to another: from the first modify until the last is seen in the target, by dirpost
 * (the agents run; oslo is woken by its slapd, and lima asks hq each time that hq has accepted changes) beside a second slapd
 * that follows the first by syncrepl. All are durable; they are filled without that, which is quicker.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Slapd, startSlapd } from '../../servers/ldap/slapd.ts';
import { contextCsn, fill, withConsumer } from '../ldap-fill.ts';
import { type LdapOffices, openLdapOffices } from '../ldap-offices.ts';
import { needSlapd, NETWORK, peopleBelowSuffix, peopleLdif } from '../ldap-people.ts';
import { type Random, seeded, telephone } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';
import { median } from '../statistics.ts';

const ENTRIES = 100_000;
const CHANGES = 1_000;
const ROUNDS = 3;
const POLL_MS = 20;
const TIMEOUT_MS = 120_000;

const bench: BenchCase = {
  name: 'ldap-changes',
  describe: `${CHANGES.toLocaleString('en')} single-attribute changes among ${ENTRIES.toLocaleString('en')} entries, from slapd to slapd`,
  run: (entries = ENTRIES) => measureChanges(entries),
};
export default bench;

export async function measureChanges(entries: number): Promise<Figure[]> {
  needSlapd();
  const source = await startSlapd({ overlays: ['syncprov'], writes: 'nosync', ldif: peopleLdif(entries) });
  const target = await startSlapd({ overlays: [], writes: 'nosync' });
  try {
    const changes = new Changes(entries);
    const syncrepl = await withConsumer(source, 'nosync', entries, async (consumer) => {
      await beDurable(source, consumer);
      return await rounds(() => followed(source, consumer, changes.next()));
    });
    const offices = await openLdapOffices(source, target, { onChange: '300ms' });
    const { oslo, lima } = offices;
    try {
      await fill(offices);
      await beDurable(source, target);
      await Promise.all([oslo.start(), lima.start()]);
      for (const office of [oslo, lima]) await office.ask('sync', '--wait', '60');
      const steps: Steps[] = [];
      await rounds(async () => {
        steps.push(await passedOn(offices, source, target, changes.next()));
        return 0;
      });
      return figuresOf(steps.slice(1), syncrepl);
    } finally {
      await offices.close();
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}

async function beDurable(...servers: Slapd[]): Promise<void> {
  for (const server of servers) await server.change({ writes: 'durable' });
}

/** The median; the first does not count. */
async function rounds(round: () => Promise<number>): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i <= ROUNDS; i++) seconds.push(await round());
  return median(seconds.slice(1));
}

async function followed(source: Slapd, consumer: Slapd, { ldif }: Change): Promise<number> {
  const startedMs = performance.now();
  await source.modify(ldif);
  const wanted = await contextCsn(source);
  while ((await contextCsn(consumer)) !== wanted) {
    if (performance.now() - startedMs > TIMEOUT_MS) throw new Error('syncrepl does not come to its end');
    await sleep(POLL_MS);
  }
  return (performance.now() - startedMs) / 1_000;
}

/** Seconds from the first modify. */
interface Steps {
  modified: number;
  exchange: number;
  seen: number;
}

async function passedOn({ hq, lima }: LdapOffices, source: Slapd, target: Slapd, change: Change): Promise<Steps> {
  const startedMs = performance.now();
  const since = (atMs: number) => (atMs - startedMs) / 1_000;
  const asked: Promise<void>[] = [];
  let exchange = 0;
  const end = hq.listen(({ text, atMs }) => {
    if (!/^exchange .*oslo: accepted/.test(text)) return;
    exchange = since(atMs);
    asked.push(lima.ask('sync', '--wait', '60'));
  });
  try {
    await source.modify(change.ldif);
    const modified = since(performance.now());
    while (!(await isSeen(target, change))) {
      if (performance.now() - startedMs > TIMEOUT_MS) throw new Error('The last change is not in the target.');
      await sleep(POLL_MS);
    }
    return { modified, exchange, seen: since(performance.now()) };
  } finally {
    end();
    await Promise.all(asked);
  }
}

async function isSeen(target: Slapd, { dn, last }: Change): Promise<boolean> {
  const there = `${dn.slice(0, dn.indexOf(','))},ou=oslo,${NETWORK}`;
  return (await target.search(`(telephoneNumber=${last})`, ['1.1'], there)).startsWith('dn:');
}

function figuresOf(steps: Steps[], syncrepl: number): Figure[] {
  const seconds = (pick: (one: Steps) => number) => median(steps.map(pick));
  const beside = { unit: 's', peer: 'syncrepl', peerValue: syncrepl };
  return [
    {
      what: 'first modify to last seen',
      value: seconds(({ seen }) => seen),
      ...beside,
      goal: { of: 'ratio', atMost: 1 },
    },
    { what: 'modified at the source', value: seconds(({ modified }) => modified), unit: 's' },
    { what: 'last exchange at the server', value: seconds(({ exchange }) => exchange), unit: 's' },
  ];
}

interface Change {
  ldif: string;
  /** Of the last that is changed. */
  dn: string;
  /** Telephone number of the last that is changed. */
  last: string;
}

/** New telephone numbers of random people. */
class Changes {
  readonly #dns: string[];
  readonly #random: Random = seeded(7);

  constructor(entries: number) {
    this.#dns = [...peopleBelowSuffix(entries)].map(({ dn }) => dn);
  }

  next(): Change {
    const dns = new Set<string>();
    while (dns.size < CHANGES) dns.add(this.#dns[Math.floor(this.#random() * this.#dns.length)]!);
    let last = '';
    const records = [...dns].map((dn) => {
      last = telephone(this.#random, '22');
      return `dn: ${dn}\nchangetype: modify\nreplace: telephoneNumber\ntelephoneNumber: ${last}\n\n`;
    });
    return { ldif: records.join(''), dn: [...dns].at(-1)!, last };
  }
}
