/**
 * A small network of real processes, killed and cut at random moments. `npm run chaos` does the same at length (chaos.ts).
 */
import { describe, expect, it } from 'vitest';
import { freshNetwork, PATIENCE_MS } from './fresh-network.ts';
import { remainsOf, waitingIn } from './remains.ts';
import { resentFaults } from './resent.ts';
import { Chaos } from './troubles.ts';

const SEED = 'network 1';

const networkOf = freshNetwork(SEED, 3);

describe('a network', () => {
  it('survives kills and cut connections: all agree, nothing is left, nothing verified was sent again', async () => {
    const network = networkOf();
    const troubles = { kills: 10, cuts: 10, terms: 1, shuts: 1, killEachMs: 300, shutForMs: 500 };
    const chaos = new Chaos(network, troubles, SEED);
    await chaos.run();
    expect(chaos.happened).toMatchObject({ kills: 10, terms: 1, shuts: 1 });
    expect(chaos.happened.cuts).toBeGreaterThanOrEqual(10);
    await network.expectNoResync();
    await network.until('nothing waits any more', () => waitingIn(network), PATIENCE_MS);
    expect((await remainsOf(network)).faults.filter((fault) => fault.includes('grown'))).toEqual([]);
    const watched = await resentFaults(network);
    expect(watched.faults).toEqual([]);
    expect(watched.updates).toBeGreaterThan(0);

    // The watch sees: had the server known at once what it knows now, all of it would have been sent again.
    const told = network.told.get(network.hq)!;
    const last = network.linesOf(network.hq, /^verification from b1: applied/).at(-1)!;
    const forged = await resentFaults(network, new Map([...network.told, [network.hq, [last, ...told]]]));
    expect(forged.faults.join('\n')).toMatch(/is a repair|begins at seq/);
    expect(forged.faults.join('\n')).toMatch(/carries entry [0-9a-f]{32} unchanged/);
  });
});
