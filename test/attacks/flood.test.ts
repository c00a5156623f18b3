/**
 * A peer that never stops sending. At the HTTP server: test/contract/http-refusals.test.ts ("one sender may have only so many
 * files in hand", "what all have posted is bounded together", "all strangers together may enrol only so often") and, for what
 * is handed out, test/contract/http-ways.test.ts. Here: what a postoffice does with what has arrived.
 */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transport } from '@dirpost/core';
import { dispatch, loadConfiguration, openAgent } from 'dirpost';
import { describe, expect, it } from 'vitest';
import { essence, freshNetwork, smallStaff, type Network } from '../cli/network.ts';

/** An exchange of oslo, taken from its way to hq. */
async function exchange({ hq, oslo, root }: Network): Promise<string> {
  const staff = smallStaff('oslo');
  staff.people[0]!.title = 'Harbour pilot';
  await oslo.writePeople(staff);
  await oslo.must('sync', '--wait', '0');
  const [file] = await hq.waiting();
  await copyFile(file!, join(root, 'taken.dpm'));
  await hq.must('dispatch');
  return join(root, 'taken.dpm');
}

describe('a peer that never stops sending', () => {
  it('does not keep a dispatch from its end', async () => {
    const network = await freshNetwork();
    const bytes = await readFile(await exchange(network));
    const agent = await openAgent(await loadConfiguration(network.hq.config));
    let sent = 0;
    const flood: Transport = {
      name: 'flood',
      maxMessageBytes: 2 ** 24,
      deliver: async () => {},
      async collect(spool) {
        sent++;
        await spool(bytes);
        return 1;
      },
    };
    try {
      const postoffice = { ...agent.postoffice, inbound: [flood, ...agent.postoffice.inbound] };
      await dispatch(postoffice, { signal: new AbortController().signal });
    } finally {
      await agent.close();
    }
    expect(sent).toBeGreaterThan(10);
    expect(sent).toBeLessThanOrEqual(50);
  });

  it('by 300 copies of one exchange gets a receipt for each at most, and another is served in the same dispatch', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const file = await exchange(network);
    const before = essence(await hq.status());
    for (let i = 0; i < 300; i++) await copyFile(file, join(hq.inbox, `${i.toString(16).padStart(32, '0')}.dpm`));
    const staff = smallStaff('hq');
    staff.people[0]!.title = 'Harbour master';
    await hq.writePeople(staff);
    await oslo.must('sync', '--wait', '0');
    await hq.must('sync');
    expect((await hq.waiting()).length).toBe(0);
    expect((await oslo.waiting()).length).toBeLessThanOrEqual(301);
    expect(essence(await hq.status())).not.toEqual(before);
    await oslo.must('dispatch');
    expect((await oslo.json<object[]>('entries', '(title=Harbour master)')).length).toBeGreaterThan(0);
  });
});

describe('somebody who knows the name of a peer', () => {
  it('by 300 files with false signatures of it keeps nothing from it, is never answered, and fills no log', async () => {
    const network = await freshNetwork();
    const { hq, oslo } = network;
    const genuine = await readFile(await exchange(network));
    for (let i = 0; i < 300; i++) {
      const forged = Buffer.from(genuine);
      forged.writeUInt32BE(i, forged.length - 8);
      await writeFile(join(hq.inbox, `${i.toString(16).padStart(32, '0')}.dpm`), forged);
    }
    const staff = smallStaff('oslo');
    staff.people[0]!.title = 'Harbour master';
    await oslo.writePeople(staff);
    await oslo.must('sync', '--wait', '0');
    const { out } = await hq.run('dispatch');
    expect(out.match(/was not taken/g)).toHaveLength(20);
    expect(out).toMatch(/280 more message files were not taken/);
    expect((await hq.status()).corrupt).toBe(300);
    expect(await oslo.waiting()).toHaveLength(1);
    expect((await hq.json<object[]>('entries', '(title=Harbour master)')).length).toBeGreaterThan(0);
  });
});
