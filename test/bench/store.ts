/**
 * The store against raw better-sqlite3 on the same tables: `tsc -b && node test/bench/store.ts` by way of tsx. Each
 * figure is the best of several rounds, taken in turns, because other programs share the machine.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore, openSqliteStore } from '@dirpost/adapters';
import type { EntryRow, EntryTable, Store } from '@dirpost/core';
import Database from 'better-sqlite3';

const ROWS = 100_000;
const BATCH = 2_000;
const ROUNDS = 3;

const folder = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
let files = 0;
const newPath = () => join(folder, `${++files}.db`);
const best: Record<string, number> = {};

async function timed(name: string, work: () => Promise<void> | void): Promise<void> {
  const start = performance.now();
  await work();
  best[name] = Math.min(best[name] ?? Number.POSITIVE_INFINITY, performance.now() - start);
}

function row(seed: number, fields: Partial<EntryRow> = {}): EntryRow {
  const hash = createHash('sha256').update(String(seed)).digest();
  return {
    number: 0,
    id: hash.subarray(0, 16),
    owner: `office-${seed % 50}`,
    seq: seed,
    deleted: false,
    hash: hash.subarray(16),
    bytes: Buffer.alloc(400, hash),
    peerNumber: seed,
    introduced: 0,
    changed: null,
    note: null,
    held: null,
    withheld: null,
    ...fields,
  };
}

function batches<T>(rows: T[]): T[][] {
  return Array.from({ length: Math.ceil(rows.length / BATCH) }, (_, at) => rows.slice(at * BATCH, (at + 1) * BATCH));
}

/** The tables of the store, filled by one prepared statement. */
async function rawInserts(rows: EntryRow[]): Promise<void> {
  const path = newPath();
  await (await openSqliteStore({ path })).close();
  const db = new Database(path);
  db.pragma('synchronous = FULL');
  const insert = db.prepare(
    `INSERT INTO replica (id, owner, seq, deleted, hash, peer_number, introduced, bytes) VALUES (?, 1, 0, 0, ?, ?, 0, ?)`,
  );
  await timed('raw inserts', () => {
    db.exec('BEGIN IMMEDIATE');
    for (const { id, hash, peerNumber, bytes } of rows) insert.run(id, hash, peerNumber, bytes);
    db.exec('COMMIT');
  });
  db.close();
}

async function put(store: Store, table: EntryTable, rows: EntryRow[], large: boolean): Promise<void> {
  await store.transaction(
    async (tx) => {
      for (const batch of batches(rows)) await tx.putEntries(table, batch);
    },
    { large },
  );
}

async function storeInserts(name: string, rows: EntryRow[], large: boolean): Promise<void> {
  const store = await openSqliteStore({ path: newPath() });
  // The thread starts once in the life of an agent.
  await store.transaction((tx) => tx.putDocument('warm', 1), { large });
  await timed(name, () => put(store, 'replica', rows, large));
  await timed(`${name}: ${BATCH} lookups by id`, async () => {
    const ids = rows.filter((_, at) => at % (ROWS / BATCH) === 7).map((one) => one.id);
    await store.transaction((tx) => tx.entriesById('replica', ids), { large });
  });
  await timed(`${name}: hashes of all`, () =>
    store.read(async (tx) => {
      let after = 0;
      for (;;) {
        const found = await tx.scanHashes('replica', after, BATCH);
        if (found.length === 0) return;
        after = found.at(-1)!.number;
      }
    }),
  );
  await store.close();
}

/** 1,000 changes in a server's tables of `size` entries: entries, list rows, sums of what they touch. */
async function changes(size: number): Promise<void> {
  const store = await openSqliteStore({ path: newPath() });
  for (let from = 1; from <= size; from += ROWS) {
    const count = Math.min(ROWS, size - from + 1);
    const rows = Array.from({ length: count }, (_, at) => row(from + at));
    await put(store, 'collected', rows, true);
    await store.transaction(
      async (tx) => {
        for (const batch of batches(rows))
          await tx.putListRows(
            'all',
            batch.map((one) => listRow(one.seq, one.seq)),
          );
      },
      { large: true },
    );
  }
  for (let round = 0; round < 5; round++) {
    const numbers = Array.from({ length: 1000 }, (_, at) => 1 + ((at * 7919 + round * 104_729) % size));
    await timed(`1,000 changes in ${size}`, () =>
      store.transaction(async (tx) => {
        const found = await tx.entriesByNumber('collected', numbers);
        const seq = size + 1 + round * 1000;
        await tx.putEntries(
          'collected',
          found.map((one, at) => ({ ...one!, seq: seq + at })),
        );
        await tx.putListRows(
          'all',
          numbers.map((number, at) => listRow(number, seq + at)),
        );
        await tx.listSince('all', seq - 1, 'office-1', 1000);
        await tx.purgeList('all', seq);
        await tx.purgeCollected();
      }),
    );
  }
  await store.close();
}

function listRow(number: number, seq: number) {
  return {
    number,
    owner: `office-${number % 50}`,
    seq,
    left: false,
    first: 1,
    entered: 1,
    introduced: 0,
    hash: Buffer.alloc(16, number),
  };
}

async function memoryStores(): Promise<void> {
  const count = 200;
  await timed(`${count} stores in memory: open, write, copy, close`, async () => {
    for (let at = 0; at < count; at++) {
      const store = createMemoryStore();
      await store.transaction((tx) => tx.putEntries('published', [row(1)]));
      const copy = createMemoryStore(store.serialize());
      await store.close();
      await copy.close();
    }
  });
}

try {
  const rows = Array.from({ length: ROWS }, (_, at) => row(at + 1, { seq: 0 }));
  for (let round = 0; round < ROUNDS; round++) {
    await rawInserts(rows);
    await storeInserts('store', rows, false);
    await storeInserts('store, large', rows, true);
    await memoryStores();
  }
  for (const size of [10_000, 1_000_000]) if (!process.argv.includes('--short')) await changes(size);
  for (const [name, ms] of Object.entries(best)) {
    const ratio =
      name.startsWith('store') && !name.includes(':') ? `  ${(ms / best['raw inserts']!).toFixed(2)} × raw` : '';
    process.stdout.write(`${ms.toFixed(1).padStart(9)} ms  ${name}${ratio}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
