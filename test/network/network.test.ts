/**
 * A small network of real processes over http and an exchange folder: killed, cut, shut off from http, and stopped in
 * the middle of a transfer. `npm run chaos` does the same at length (chaos.ts).
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Status } from '../demo/contents.ts';
import type { Office } from '../demo/office.ts';
import type { LogLine } from './agent-process.ts';
import { Dice, Network } from './network.ts';
import { countFaults, remainsOf, waitingIn } from './remains.ts';
import { resentFaults } from './resent.ts';
import { Chaos } from './troubles.ts';

const SEED = 'network 1';
const PATIENCE_MS = 40_000;
const STOP_WITHIN_MS = 10_000;

let root: string;
let network: Network;
let before: Status[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'dirpost-network-'));
  network = new Network({ root, branches: 3, seed: SEED, every: '1s' });
  await network.make();
});

beforeEach(async () => {
  await network.inStep(PATIENCE_MS);
  before = await network.statuses();
});

afterAll(async () => {
  await network.close();
  await rm(root, { recursive: true, force: true });
});

async function expectNoResync(): Promise<void> {
  await network.inStep(PATIENCE_MS);
  expect(countFaults(before, await network.statuses())).toEqual([]);
  expect(network.surprises).toEqual([]);
}

/** Until a line is told that was not told before `from`. */
async function says(office: Office, pattern: RegExp, from: number): Promise<void> {
  const told = () => network.told.get(office)!.slice(from);
  await network.until(
    `${office.name} says ${pattern}`,
    async () => told().some(({ msg }) => pattern.test(msg)),
    30_000,
  );
}

const linesOf = (office: Office, pattern: RegExp, from = 0): LogLine[] =>
  network.told
    .get(office)!
    .slice(from)
    .filter(({ msg }) => pattern.test(msg));

describe('a network', () => {
  it('survives kills and cut connections: all agree, nothing is left, nothing verified was sent again', async () => {
    const troubles = { kills: 10, cuts: 10, terms: 1, shuts: 1, killEachMs: 500, shutForMs: 1_000 };
    const chaos = new Chaos(network, troubles, SEED);
    await chaos.run();
    expect(chaos.happened).toMatchObject({ kills: 10, terms: 1, shuts: 1 });
    expect(chaos.happened.cuts).toBeGreaterThanOrEqual(10);
    await expectNoResync();
    await network.until('nothing waits any more', () => waitingIn(network), PATIENCE_MS);
    expect((await remainsOf(network)).faults.filter((fault) => fault.includes('grown'))).toEqual([]);
    const watched = await resentFaults(network);
    expect(watched.faults).toEqual([]);
    expect(watched.updates).toBeGreaterThan(0);

    // The watch sees: had the server known at once what it knows now, all of it would have been sent again.
    const told = network.told.get(network.hq)!;
    const last = linesOf(network.hq, /^verification from b1: applied/).at(-1)!;
    const forged = await resentFaults(network, new Map([...network.told, [network.hq, [last, ...told]]]));
    expect(forged.faults.join('\n')).toMatch(/is a repair|begins at seq/);
    expect(forged.faults.join('\n')).toMatch(/carries entry [0-9a-f]{32} unchanged/);
  });

  it('goes by the folder while http is shut, says so once, and is back on http without a resync', async () => {
    const branch = network.branches[1]!;
    const line = network.lines.get(branch)!;
    const dice = new Dice(`${SEED} folder`);
    const from = network.told.get(branch)!.length;
    line.shut();
    await network.change(branch, dice);
    await says(branch, /^message files to hq go by folder instead of http/, from);
    await network.change(network.hq, dice);
    await network.inStep(PATIENCE_MS);
    const processed = await readdir(join(network.hq.data, 'spool', 'done'));
    expect(processed.some((name) => name.endsWith('_folder.dpm'))).toBe(true);

    line.restore();
    await says(branch, /^message files to hq go by http instead of folder/, from);
    await network.change(branch, dice);
    await expectNoResync();
    expect(linesOf(branch, /^message files to hq go by/, from)).toHaveLength(2);
  });

  it.each(['branches', 'the server'])(
    'SIGTERM in the middle of transfers ends %s in order and in time',
    async (whom) => {
      const { hq, branches } = network;
      const [posts, collects] = branches as [Office, Office];
      const lines = [posts, collects].map((branch) => network.lines.get(branch)!);
      const stalled = [lines[0]!.stallNext('posted', 0.5), lines[1]!.stallNext('collected', 0.5)];
      await network.change(hq, new Dice(`${SEED} ${whom}`));
      await Promise.all(stalled);
      const stopped = whom === 'branches' ? [posts, collects] : [hq];
      for (const { code, ms, err } of await Promise.all(stopped.map((office) => network.stop(office, 'SIGTERM')))) {
        expect({ code, err }).toEqual({ code: 0, err: '' });
        expect(ms).toBeLessThan(STOP_WITHIN_MS);
      }
      for (const line of lines) {
        line.shut();
        line.restore();
      }
      for (const office of stopped) network.start(office);
      await expectNoResync();
    },
  );
});
