/** `dirpost duplicates`, and what status, check and preview say of duplicates. */
import { readFile, writeFile } from 'node:fs/promises';
import { acquireLock } from '@dirpost/adapters';
import { beforeEach, expect, it } from 'vitest';
import type { CountedDuplicates, Duplicate, DuplicateCount } from '../../packages/agent/src/duplicates.ts';
import { cycle, type Office } from '../demo/office.ts';
import { freshNetwork, type Network } from './network.ts';

interface Found {
  postoffice: string;
  counts: DuplicateCount[];
  duplicates: Duplicate[];
}

const found = async (office: Office, ...more: string[]): Promise<Found> =>
  JSON.parse((await office.run('--json', 'duplicates', ...more)).out) as Found;

let network: Network;
let shared: string;
let here: string;

const mailOf = (office: 'hq' | 'oslo', person: number) =>
  `${network.staff[office].people[person]!.uid}@${office}.example.org`;

async function changeMail(office: Office, from: string, to: string): Promise<void> {
  const text = await readFile(office.people, 'utf8');
  await writeFile(office.people, text.replace(`mail: ${from}\n`, `mail: ${to}\n`));
}

/** A person of hq has the mail of one of oslo, in capitals; and two people of oslo share another. */
beforeEach(async () => {
  network = await freshNetwork();
  [shared, here] = [mailOf('oslo', 0), mailOf('oslo', 1)];
  await changeMail(network.hq, mailOf('hq', 0), shared.toUpperCase());
  await changeMail(network.oslo, mailOf('oslo', 2), here);
  await cycle(network.offices);
  await cycle(network.offices);
});

it('names the entries, here and across the network, and which the lists show without the value', async () => {
  const { hq, oslo } = network;
  const atOslo = await found(oslo);
  expect(atOslo.counts).toContainEqual({ attribute: 'mail', here: 1, network: 0 });
  expect(atOslo.duplicates.filter(({ attribute }) => attribute === 'mail')).toMatchObject([
    { value: here, where: 'here', count: 2, entries: [{ owner: 'oslo' }, { owner: 'oslo' }] },
  ]);
  const atHq = await found(hq, '--attribute', 'mail');
  expect(atHq.counts).toEqual([{ attribute: 'mail', here: 0, network: 1 }]);
  const clash = atHq.duplicates.find(({ where }) => where === 'network')!;
  expect(clash.value).toBe(shared);
  expect(Object.fromEntries(clash.entries.map(({ owner, withheld }) => [owner, withheld]))).toEqual({
    hq: true,
    oslo: false,
  });
  expect(atHq.duplicates.find(({ where }) => where === 'elsewhere')).toMatchObject({ value: here, count: 2 });
  const table = (await hq.run('duplicates', '--attribute', 'mail')).out;
  expect(table).toContain('without this mail');
  expect(table).toContain('is on the lists of the owner who had it first');
});

it('works while an agent has the data folder', async () => {
  const lock = acquireLock(network.oslo.data);
  try {
    expect((await found(network.oslo)).postoffice).toBe('oslo');
  } finally {
    lock.release();
  }
});

it('is shown in status, check and preview, with the command to look', async () => {
  const { hq, oslo } = network;
  const status = JSON.parse((await hq.run('--json', 'status')).out) as {
    duplicates: CountedDuplicates;
    own: { clashes: { left: number; kept: number } };
    attention: string[];
    server: { requestors: { name: string; clashes: { left: number; kept: number }; attention: string[] }[] };
  };
  expect(status.duplicates.counts).toContainEqual({ attribute: 'mail', here: 0, network: 1 });
  expect(status.own.clashes).toMatchObject({ left: 1, kept: 0 });
  expect(status.attention).toContain('duplicates');
  expect(status.server.requestors.find(({ name }) => name === 'oslo')).toMatchObject({
    clashes: { left: 0, kept: 1 },
    attention: ['duplicates'],
  });
  const shown = (await oslo.run('status')).out;
  expect(shown).toMatch(/must be unique, on the lists: 1 that others want, too, are shown. Which: dirpost duplicates/);
  expect(shown).toMatch(/Duplicates, as of .*: here 1 of mail/);
  expect(shown).toContain(`mail ${shared}: hq has it, too`);
  expect((await oslo.run('check')).out).toMatch(
    /duplicates +warning +values that several entries here have: 1 of mail/,
  );
  expect((await oslo.run('preview')).out).toMatch(/Warning: values that several entries here have: 1 of mail/);
});

it('an attribute that is no name is refused', async () => {
  const ran = await network.oslo.run('duplicates', '--attribute', '(mail=*)');
  expect(ran.code).toBe(2);
});
