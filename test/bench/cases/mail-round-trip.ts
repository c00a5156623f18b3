/**
 * How long one change takes by mail: from `dirpost sync` at the requestor until the server has its verification, that is
 * three mails one after the other (exchange, update, verification); beside it two plain mails, there and back, over the
 * same servers.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MailOffices, openMailOffices } from '../mail-offices.ts';
import { organisation, type Person, seeded, telephone } from '../organisation.ts';
import { PlainMailbox } from '../plain-mail.ts';
import type { BenchCase, Figure } from '../run.ts';
import { median } from '../statistics.ts';

const PEOPLE = 100;
const ROUNDS = 15;
const WARM_UPS = 2;
/** The server brings its own replica up to date after a verification, and mailboxes go back to IDLE: that is not measured. */
const QUIET_MS = 1_500;
/** About as large as the message files of one change. */
const PLAIN_BYTES = 1_500;
const USERS = ['there', 'back'].map((name) => ({ address: `${name}@plain.test`, password: `secret-of-${name}` }));

const bench: BenchCase = {
  name: 'mail-round-trip',
  describe: 'from `dirpost sync` with one change to its verification at the server, by Exim and Dovecot on loopback',
  async run(): Promise<Figure[]> {
    const offices = await openMailOffices(PEOPLE, USERS);
    const { mail, hq, oslo } = offices;
    const [there, back] = [await PlainMailbox.open(mail, USERS[0]!), await PlainMailbox.open(mail, USERS[1]!)];
    try {
      hq.command('sync');
      await Promise.all([hq.start(), oslo.start()]);
      await oslo.commandBeside('sync', '--wait', '60');
      const ours: Round[] = [];
      const plain: number[] = [];
      const change = changer(offices);
      for (let round = -WARM_UPS; round < ROUNDS; round++) {
        await sleep(QUIET_MS);
        const ms = await plainRound(there, back);
        await sleep(QUIET_MS);
        change();
        const one = await syncRound(offices);
        if (round < 0) continue;
        plain.push(ms);
        ours.push(one);
      }
      return figuresOf(ours, plain);
    } finally {
      await Promise.all([there.close(), back.close()]);
      await offices.close();
    }
  },
};
export default bench;

/** Milliseconds. */
interface Round {
  /** From the start of the process `dirpost sync` until the agent has its command. */
  command: number;
  /** From there until the server has taken the exchange, the requestor the update, and the server the verification. */
  exchange: number;
  update: number;
  verification: number;
}

async function syncRound({ hq, oslo }: MailOffices): Promise<Round> {
  const steps = Promise.all([
    oslo.says('the command has come', ({ text }) => text.startsWith('command: sync')),
    hq.says('the exchange has come', ({ text }) => text.startsWith('exchange') && text.includes('accepted 1 change')),
    oslo.says('the update has come', ({ text }) => text.startsWith('update')),
    hq.says('the verification has come', ({ text }) => text.startsWith('verification from oslo: applied')),
  ]);
  const startedMs = performance.now();
  const command = oslo.commandBeside('sync', '--wait', '60');
  const [begun, exchange, update, verification] = (await steps).map(({ atMs }) => atMs - startedMs);
  await command;
  return { command: begun!, exchange: exchange!, update: update!, verification: verification! };
}

async function plainRound(there: PlainMailbox, back: PlainMailbox): Promise<number> {
  // As the offices do, both wait before anything comes.
  const [arrived, answered] = [back.next(), there.next()];
  await sleep(200);
  const startedMs = performance.now();
  await there.send(back, randomBytes(PLAIN_BYTES));
  await arrived;
  await back.send(there, randomBytes(PLAIN_BYTES));
  await answered;
  return performance.now() - startedMs;
}

/** Writes people.ldif of the requestor, each time with another telephone number of one person. */
function changer({ oslo }: MailOffices): () => void {
  const people: Person[] = [...organisation(PEOPLE, 2)];
  const random = seeded(5);
  let number = 0;
  return () => {
    const pair = people[number++ % people.length]!.attributes.find(([name]) => name === 'telephoneNumber');
    pair![1] = telephone(random, '22');
    oslo.writePeople(people);
  };
}

function figuresOf(rounds: Round[], plain: number[]): Figure[] {
  const ms = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const beside = { unit: 'ms', peer: 'two plain mails', peerValue: median(plain) };
  return [
    {
      what: 'sync to verified, three mails',
      value: ms(({ verification }) => verification),
      ...beside,
      goal: { of: 'ratio', atMost: 1.5 },
    },
    {
      what: 'the same, once the agent has it',
      value: ms(({ verification, command }) => verification - command),
      ...beside,
    },
    { what: 'the command reaches the agent', value: ms(({ command }) => command), unit: 'ms' },
    { what: 'exchange at the server', value: ms(({ exchange, command }) => exchange - command), unit: 'ms' },
    { what: 'update at the requestor', value: ms(({ update, exchange }) => update - exchange), unit: 'ms' },
    { what: 'verification at the server', value: ms(({ verification, update }) => verification - update), unit: 'ms' },
  ];
}
