/**
 * What 1,000 changes cost in a network of 1,000,000 entries against one of 10,000: from recorded changes at one branch
 * (T1) over the server (T2) to the committed replica of another (T3), seals and digests included.
 */
import {
  changedAttributes,
  DigestSum,
  encodeAttributes,
  entryHash,
  loadOwn,
  patchEntry,
  saveOwn,
  type EntryRow,
} from '@dirpost/core';
import { type BenchNetwork, type BenchNode, cycle, inStep, openNetwork, post, publish, submit } from '../nodes.ts';
import { ANCHOR, organisation, OWNER, type Random, seeded, telephone, toCanonical } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';
import { median } from '../statistics.ts';

const CHANGES = 1_000;
const ROUNDS = 15;
const SIZES = [10_000, 1_000_000] as const;

const bench: BenchCase = {
  name: 'scale-exchange',
  describe: `${CHANGES.toLocaleString('en')} changes from branch to branch among ${SIZES.map((size) => size.toLocaleString('en')).join(' and ')} entries`,
  async run(): Promise<Figure[]> {
    const small = await measure(SIZES[0]);
    const large = await measure(SIZES[1]);
    const goal = { of: 'ratio', atMost: 1.3 } as const;
    return [
      {
        what: `at ${SIZES[1].toLocaleString('en')}`,
        value: large,
        unit: 's',
        peer: `at ${SIZES[0].toLocaleString('en')}`,
        peerValue: small,
        goal,
      },
    ];
  },
};
export default bench;

async function measure(entries: number): Promise<number> {
  const network = await openNetwork([OWNER, 'lima'], [ANCHOR]);
  try {
    const people = function* () {
      for (const person of organisation(entries, 1)) yield toCanonical(person);
    };
    await publish(network.node(OWNER), people());
    await cycle(network, OWNER, true);
    await cycle(network, 'lima', true);
    if (!(await inStep(network, 'lima', entries))) throw new Error('The replica is not in step.');
    const random = seeded(7);
    const times: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      await recordChanges(network.node(OWNER), entries, random);
      const seconds = await passOn(network);
      if (round > 0) times.push(seconds);
    }
    if (!(await inStep(network, 'lima', entries))) throw new Error('The replica is not in step.');
    return median(times);
  } finally {
    await network.close();
  }
}

/** As T0 records them: new telephone numbers of random people. */
async function recordChanges(node: BenchNode, entries: number, random: Random): Promise<void> {
  const numbers = new Set<number>();
  while (numbers.size < CHANGES) numbers.add(1 + Math.floor(random() * entries));
  await node.store.transaction(async (tx) => {
    const own = await loadOwn(tx);
    const sum = DigestSum.from(own.digest);
    const rows = (await tx.entriesByNumber('published', [...numbers])) as EntryRow[];
    const changed = rows.map((row): EntryRow => {
      const patch = encodeAttributes(new Map([['telephonenumber', [Buffer.from(telephone(random, '22'))]]]));
      const bytes = patchEntry(row.bytes!, patch);
      const seq = ++own.seq;
      const hash = entryHash(bytes);
      sum.subtract(row.hash).add(hash);
      return { ...row, bytes, hash, seq, changed: changedAttributes(row, bytes, seq) };
    });
    await tx.putEntries('published', changed);
    await saveOwn(tx, { ...own, digest: sum.digest() });
  });
}

async function passOn(network: BenchNetwork): Promise<number> {
  const [oslo, lima, hq] = [network.node(OWNER), network.node('lima'), network.node('hq')];
  const started = performance.now();
  await submit(oslo, false);
  await post(oslo, hq, false);
  await submit(lima, false);
  await post(lima, hq, false);
  await post(hq, lima, false);
  const seconds = (performance.now() - started) / 1000;
  await post(hq, oslo, false);
  await post(oslo, hq, false);
  await post(lima, hq, false);
  return seconds;
}
