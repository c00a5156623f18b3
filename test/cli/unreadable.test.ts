/** What the server cannot read of a known requestor, sealed for keys that are gone: it is answered by an announcement. */
import { expect, it, vi } from 'vitest';
import { openAgent } from '../../packages/agent/src/agent.ts';
import { answerUnreadable } from '../../packages/agent/src/announcing.ts';
import { loadConfiguration } from '../../packages/agent/src/config/load.ts';
import { type Office } from '../demo/office.ts';
import { freshNetwork } from './network.ts';

vi.setConfig({ testTimeout: 60_000 });

const HOUR_MS = 3_600_000;

/** In a process of its own, as `dirpost sync` by cron is, after it was told that oslo knows everything: announcements to oslo. */
async function answered(hq: Office, laterMs: number): Promise<number> {
  const agent = await openAgent(await loadConfiguration(hq.config));
  try {
    const { postoffice } = agent;
    const { joining, store } = postoffice;
    const { serial } = joining!.keys.announced!;
    await joining!.peers.save({ ...joining!.peers.get('oslo')!, heard: serial });
    const waiting = () => store.read((tx) => tx.outgoing({ to: 'oslo', kind: 'announcement' }));
    const ids = (await waiting()).map(({ id }) => id);
    await store.transaction((tx) => tx.removeOutgoing(ids));
    await answerUnreadable({ ...postoffice, clock: { now: () => Date.now() + laterMs } }, 'oslo');
    return (await waiting()).length;
  } finally {
    await agent.close();
  }
}

it('at most hourly, also where each look is by a process of its own', async () => {
  const { hq } = await freshNetwork();
  await hq.must('keys', 'roll');
  expect(await answered(hq, 0)).toBe(1);
  expect(await answered(hq, HOUR_MS / 2)).toBe(0);
  expect(await answered(hq, HOUR_MS + 60_000)).toBe(1);
  // A clock that goes back silences nobody.
  expect(await answered(hq, -2 * HOUR_MS)).toBe(1);
});
