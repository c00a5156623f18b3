/** Two ways between postoffices, switched in mid-sequence; and agents that are stopped in the middle of a transfer. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Office } from '../demo/office.ts';
import { freshNetwork, PATIENCE_MS } from './fresh-network.ts';
import { Dice } from './network.ts';

const SEED = 'ways 1';
const STOP_WITHIN_MS = 10_000;

const networkOf = freshNetwork(SEED, 2);

describe('a network', () => {
  it('goes by the folder while http is shut, says so once, and is back on http without a resync', async () => {
    const network = networkOf();
    const branch = network.branches[1]!;
    const line = network.lines.get(branch)!;
    const dice = new Dice(`${SEED} folder`);
    const from = network.told.get(branch)!.length;
    line.shut();
    await network.change(branch, dice);
    await network.says(branch, /^message files to hq go by folder instead of http/, from);
    await network.change(network.hq, dice);
    await network.inStep(PATIENCE_MS);
    const processed = await readdir(join(network.hq.data, 'spool', 'done'));
    expect(processed.some((name) => name.endsWith('_folder.dpm'))).toBe(true);

    line.restore();
    await network.says(branch, /^message files to hq go by http instead of folder/, from);
    await network.change(branch, dice);
    await network.expectNoResync();
    expect(network.linesOf(branch, /^message files to hq go by/, from)).toHaveLength(2);
  });

  it.each(['branches', 'the server'])(
    'SIGTERM in the middle of transfers ends %s in order and in time',
    async (whom) => {
      const network = networkOf();
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
      await network.expectNoResync();
    },
  );
});
