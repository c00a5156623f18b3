/**
 * One entry among 100,000 differs in a requestor's replica (a flipped bit, a lost page, a bug): what finding and mending it costs
 * on the wire. The next change does not add up, buckets are compared, and only those that differ are replaced.
 */
import {
  decodeEntry,
  DigestSum,
  encodeEntry,
  entryHash,
  findRequestor,
  loadOwn,
  saveOwn,
  type StoreTx,
} from '@dirpost/core';
import { type BenchNetwork, type BenchNode, cycle, inStep, openNetwork, post, publish, submit } from '../nodes.ts';
import { ANCHOR, organisation, OWNER, type Person, toCanonical } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';

const ENTRIES = 100_000;
const MOST_CYCLES = 4;

const bench: BenchCase = {
  name: 'repair',
  describe: `one differing entry among ${ENTRIES.toLocaleString('en')}: what agreeing again costs on the wire`,
  async run(entries = ENTRIES): Promise<Figure[]> {
    const network = await openNetwork([OWNER, 'lima'], [ANCHOR]);
    try {
      const people = [...organisation(entries, 1)];
      await publish(network.node(OWNER), canonical(people));
      await cycle(network, OWNER, true);
      await cycle(network, 'lima', true);
      await cycle(network, 'lima', true);
      if (!(await inStep(network, 'lima', entries))) throw new Error('The replica is not in step.');
      await network.node('lima').store.transaction((tx) => spoilOne(tx, entries));
      return await mend(network, entries);
    } finally {
      await network.close();
    }
  },
};
export default bench;

function* canonical(people: Person[]) {
  for (const person of people) yield toCanonical(person);
}

/** Another value in one entry, and the sum with it: as if it had been applied so. */
async function spoilOne(tx: StoreTx, entries: number): Promise<void> {
  const [row] = await tx.scanEntries('replica', entries >> 1, 1);
  const entry = decodeEntry(row!.bytes!);
  entry.attributes.set('title', [Buffer.from('spoilt')]);
  const bytes = encodeEntry(entry);
  const own = await loadOwn(tx);
  const sum = DigestSum.from(own.replica.digest);
  sum.subtract(row!.hash);
  sum.add(entryHash(bytes));
  own.replica.digest = sum.digest();
  await tx.putEntries('replica', [{ ...row!, bytes, hash: entryHash(bytes) }]);
  await saveOwn(tx, own);
}

async function mend(network: BenchNetwork, entries: number): Promise<Figure[]> {
  const [lima, hq, owner] = [network.node('lima'), network.node('hq'), network.node(OWNER)];
  // A snapshot counts as one.
  const before = await repairsOf(hq);
  await publishOneMore(owner);
  await cycle(network, OWNER, false);
  let [up, down, cycles] = [0, 0, 0];
  const started = process.cpuUsage();
  do {
    await submit(lima, false);
    up += await post(lima, hq, false);
    down += await post(hq, lima, false);
    up += await post(lima, hq, false);
    cycles++;
  } while (cycles < MOST_CYCLES && !(await inStep(network, 'lima', entries + 1)));
  if (!(await inStep(network, 'lima', entries + 1))) throw new Error(`Not mended after ${MOST_CYCLES} cycles.`);
  await expectMended(lima);
  const { user, system } = process.cpuUsage(started);
  const kilobytes = (octets: number) => octets / 1_000;
  return [
    { what: 'on the wire, both ways', value: kilobytes(up + down), unit: 'kB', goal: { of: 'value', atMost: 40 } },
    { what: 'up', value: kilobytes(up), unit: 'kB' },
    { what: 'down', value: kilobytes(down), unit: 'kB' },
    { what: 'cycles', value: cycles, unit: '' },
    { what: 'repairs', value: (await repairsOf(hq)) - before, unit: '' },
    { what: 'CPU of both', value: (user + system) / 1_000, unit: 'ms' },
  ];
}

/** The rung of the ladder that replaces buckets, as the server has counted it for this requestor. */
async function repairsOf(hq: BenchNode): Promise<number> {
  return (await hq.store.read((tx) => findRequestor(tx, 'lima')))!.counts.repairs;
}

async function publishOneMore(owner: BenchNode): Promise<void> {
  const [person] = [...organisation(1, 7)];
  await publish(owner, [toCanonical(person!)]);
}

async function expectMended(lima: BenchNode): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await lima.store.read((tx) => tx.scanEntries('replica', after, 5_000));
    if (rows.length === 0) return;
    for (const { bytes } of rows)
      if (Buffer.from(bytes!).includes('spoilt')) throw new Error('The entry is still spoilt.');
    after = rows.at(-1)!.number;
  }
}
