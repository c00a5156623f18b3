/** What the server keeps of a requestor that was removed: the stamp that its next submission would replace, and what it published as removals. */
import { appendFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { Bounces } from '../../packages/agent/src/bounces.ts';
import { noteGoneBack } from '../../packages/agent/src/older-keys.ts';
import { loadPeer } from '../../packages/agent/src/peers.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { Routes } from '../../packages/agent/src/routes.ts';
import { noteUnreadable } from '../../packages/agent/src/unreadable.ts';
import { cycle, type Office } from '../demo/office.ts';
import { joined, makeServer } from './branches.ts';

const MINUTE = 60_000;
const retry = { exchangeAfterMs: MINUTE, exchangeAtMostMs: MINUTE, deliverAfterMs: MINUTE, deliverAtMostMs: MINUTE };

/** All that is noted of a branch when things go wrong, by those who note it. */
async function noteTroubles(office: Office, of: string): Promise<void> {
  const store = await openSqliteStore({ path: join(office.data, 'store.db') });
  const [clock, tell] = [{ now: () => Date.now() }, () => {}];
  const postoffice = { store, clock, tell } as unknown as Postoffice;
  await noteUnreadable(postoffice, of);
  await noteGoneBack(postoffice, await loadPeer(office.data, of));
  const bounce = { messageId: null, number: 12, recipient: `dirpost@${of}.example.org`, diagnostic: 'User unknown' };
  await new Bounces({ store, clock, retry, isServer: true, tell }).note({
    ...bounce,
    isAuthentic: true,
    peer: of,
    action: 'failed',
    status: '5.1.1',
    isTooLarge: false,
  });
  const ways = [{ name: 'http' }, { name: 'mail' }] as never;
  await new Routes(store, () => ways).arrived(of, 'mail');
  await store.close();
}

/** Rows of the store, and names of files in the data folder, that bear the name. */
async function tracesOf(office: Office, name: string): Promise<string[]> {
  const traces = (await readdir(office.data, { recursive: true })).filter((path) => path.includes(name));
  const database = new Database(join(office.data, 'store.db'), { readonly: true });
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[];
  for (const table of tables) {
    for (const row of database.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[]) {
      const texts = Object.values(row).filter((value) => typeof value === 'string');
      if (texts.some((text) => text.includes(name))) traces.push(`${table}: ${texts[0]!}`);
    }
  }
  database.close();
  return traces.sort();
}

it('is gone from the data folder and the store, but for what lets it join again', async () => {
  const hq = await makeServer();
  await appendFile(hq.config, '\nholds: { removals: { percent: 100 } }\n');
  await cycle([hq]);
  expect(await tracesOf(hq, 'oslo')).toEqual([]);
  const oslo = await joined(hq, 'oslo');
  await cycle([hq, oslo]);
  await noteTroubles(hq, 'oslo');
  expect(await tracesOf(hq, 'oslo')).toEqual(
    expect.arrayContaining(['unreadable', 'older-keys', 'bounces'].map((what) => `document: ${what}/oslo`)),
  );
  await hq.must('requestor', 'remove', 'oslo', '--withdraw-entries');
  await hq.must('sync');
  expect(await tracesOf(hq, 'oslo')).toEqual(['document: server/requestor/oslo', 'owner: oslo']);
});
