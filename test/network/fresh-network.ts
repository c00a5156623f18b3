/** A small network for a file of tests: in step before each of them, gone after the last. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { Status } from '../demo/contents.ts';
import type { Office } from '../demo/office.ts';
import type { LogLine } from './agent-process.ts';
import { Network } from './network.ts';
import { countFaults } from './remains.ts';

export const PATIENCE_MS = 40_000;

export class TestNetwork extends Network {
  #before: Status[] = [];

  async standStill(): Promise<void> {
    await this.inStep(PATIENCE_MS);
    this.#before = await this.statuses();
  }

  async expectNoResync(): Promise<void> {
    await this.inStep(PATIENCE_MS);
    expect(countFaults(this.#before, await this.statuses())).toEqual([]);
    expect(this.surprises).toEqual([]);
  }

  /** What was told from the line `from` on. */
  linesOf(office: Office, pattern: RegExp, from = 0): LogLine[] {
    return this.told
      .get(office)!
      .slice(from)
      .filter(({ msg }) => pattern.test(msg));
  }

  /** Until it does, after the line `from`. */
  async says(office: Office, pattern: RegExp, from: number): Promise<void> {
    const isSaid = () => Promise.resolve(this.linesOf(office, pattern, from).length > 0);
    await this.until(`${office.name} says ${pattern}`, isSaid, PATIENCE_MS);
  }
}

/** For all tests of a file; complete once they run. */
export function freshNetwork(seed: string, branches: number): () => TestNetwork {
  let network: TestNetwork;
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'dirpost-network-'));
    network = new TestNetwork({ root, branches, seed, every: '1s' });
    await network.make();
  });
  beforeEach(() => network.standStill());
  afterAll(async () => {
    await network.close();
    await rm(root, { recursive: true, force: true });
  });
  return () => network;
}
