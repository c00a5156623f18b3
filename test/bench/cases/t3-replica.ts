/**
 * T3 of 100,000 entries: from sealed message files to the committed replica (open, authenticate, decode, check the
 * digest, store), against raw inserts of the same rows into the same tables in one SQLite transaction.
 */
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import Database from 'better-sqlite3';
import {
  type BenchNetwork,
  cycle,
  inStep,
  openNetwork,
  openNode,
  post,
  publish,
  sealed,
  submit,
  take,
} from '../nodes.ts';
import { ANCHOR, organisation, OWNER, toCanonical } from '../organisation.ts';
import type { BenchCase, Figure } from '../run.ts';
import { median } from '../statistics.ts';

const ENTRIES = 100_000;
const ROUNDS = 5;

const bench: BenchCase = {
  name: 't3-replica',
  describe: `${ENTRIES.toLocaleString('en')} entries from message files into the replica, digests checked`,
  async run(): Promise<Figure[]> {
    const network = await openNetwork([OWNER, 'lima'], [ANCHOR]);
    try {
      const files = await prepare(network);
      const ours: number[] = [];
      const raw: number[] = [];
      // The first round warms up and is not counted.
      for (let round = 0; round <= ROUNDS; round++) {
        const t3 = await dispatchAll(network, files);
        const inserts = await rawInserts(network);
        if (round === 0) continue;
        ours.push(t3);
        raw.push(inserts);
      }
      const value = median(ours);
      const peerValue = median(raw);
      const goal = { of: 'ratio', atMost: 3 } as const;
      const rate = Math.round(ENTRIES / value);
      return [{ what: `T3 (${rate.toLocaleString('en')}/s)`, value, unit: 's', peer: 'raw inserts', peerValue, goal }];
    } finally {
      await network.close();
    }
  },
};
export default bench;

/** The snapshot for lima as files, and lima's store as it was before they arrived. */
async function prepare(network: BenchNetwork): Promise<Uint8Array[]> {
  const people = function* () {
    for (const person of organisation(ENTRIES, 1)) yield toCanonical(person);
  };
  await publish(network.node(OWNER), people());
  await cycle(network, OWNER, true);
  await submit(network.node('lima'), false);
  await post(network.node('lima'), network.node('hq'), true);
  const files: Uint8Array[] = [];
  for await (const { bytes } of sealed(network.node('hq'), network.node('lima'))) files.push(bytes);
  await network.node('lima').store.close();
  copyFileSync(join(network.folder, 'lima.db'), join(network.folder, 'lima.before'));
  return files;
}

async function dispatchAll(network: BenchNetwork, files: Uint8Array[]): Promise<number> {
  const path = join(network.folder, 'lima.db');
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  copyFileSync(join(network.folder, 'lima.before'), path);
  const lima = await openNode(network.folder, 'lima');
  network.nodes.set('lima', lima);
  // The writing thread starts once in the life of an agent.
  await lima.store.transaction((tx) => tx.documentNames(''), { large: true });
  const started = performance.now();
  for (const bytes of files) await take(lima, bytes, true);
  const seconds = (performance.now() - started) / 1000;
  if (!(await inStep(network, 'lima', ENTRIES))) throw new Error('The replica is not in step.');
  await lima.store.close();
  return seconds;
}

async function rawInserts(network: BenchNetwork): Promise<number> {
  const source = new Database(join(network.folder, 'lima.db'), { readonly: true });
  const rows = source
    .prepare('SELECT id, owner, hash, peer_number, bytes FROM replica ORDER BY number')
    .raw()
    .all() as unknown[][];
  source.close();
  const path = join(network.folder, 'raw.db');
  await (await openSqliteStore({ path })).close();
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  const insert = db.prepare(
    'INSERT INTO replica (id, owner, hash, peer_number, bytes, seq, deleted, introduced) VALUES (?, ?, ?, ?, ?, 0, 0, 0)',
  );
  const started = performance.now();
  db.exec('BEGIN IMMEDIATE');
  for (const row of rows) insert.run(...row);
  db.exec('COMMIT');
  const seconds = (performance.now() - started) / 1000;
  db.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  return seconds;
}
