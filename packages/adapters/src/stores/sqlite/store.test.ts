/** What the contract suite does not reach: versions, damage, a full disk, the worker thread, plans of queries. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { EntryRow, Store } from '@dirpost/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openConnection } from './connection.ts';
import { createMemoryStore } from './memory.ts';
import { APPLICATION_ID, migrate, migrations } from './migrations.ts';
import { openSqliteStore, type SqliteStoreOptions } from './store.ts';

let folder: string;
let path: string;
const opened: Store[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-store-'));
  path = join(folder, 'store.db');
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(options: Partial<SqliteStoreOptions> = {}): Promise<Store> {
  const store = await openSqliteStore({ path, ...options });
  opened.push(store);
  return store;
}

async function closed(store: Store): Promise<void> {
  await store.close();
}

function row(bytes: number): EntryRow {
  return {
    number: 0,
    id: randomBytes(16),
    owner: 'oslo',
    seq: 0,
    deleted: false,
    hash: randomBytes(16),
    bytes: randomBytes(bytes),
    peerNumber: null,
    introduced: 0,
    changed: null,
    note: null,
    held: null,
    withheld: null,
  };
}

const rows = (count: number, bytes = 400) => Array.from({ length: count }, () => row(bytes));

it.skipIf(process.platform === 'win32')('nobody else can read it, nor the log beside it', async () => {
  const modes = () => [path, `${path}-wal`, `${path}-shm`].map((file) => statSync(file).mode & 0o777);
  const store = await open();
  await store.transaction((tx) => tx.putDocument('state', 1));
  expect(modes()).toEqual([0o600, 0o600, 0o600]);
  await closed(store);
  chmodSync(path, 0o644);
  await open();
  expect(modes()).toEqual([0o600, 0o600, 0o600]);
});

describe('opening', () => {
  it('a store of a newer program is refused and left as it is', async () => {
    await closed(await open());
    const db = new Database(path);
    db.pragma(`user_version = ${migrations.length + 1}`);
    db.close();
    await expect(open()).rejects.toMatchObject({ code: 'store-newer', retry: 'operator' });
    await expect(open({ readOnly: true })).rejects.toMatchObject({ code: 'store-newer' });
  });

  it('an SQLite file of another program is refused and left as it is', async () => {
    const db = new Database(path);
    db.exec('CREATE TABLE theirs (a)');
    db.close();
    const before = readFileSync(path);
    await expect(open()).rejects.toMatchObject({ code: 'store-failed', retry: 'operator' });
    expect(readFileSync(path)).toEqual(before);
  });

  it('what is no SQLite file is damaged, and left as it is', async () => {
    writeFileSync(path, 'x'.repeat(5000));
    await expect(open()).rejects.toMatchObject({ code: 'store-damaged', retry: 'operator' });
    expect(readFileSync(path, 'utf8')).toBe('x'.repeat(5000));
  });

  it('pages that were overwritten are found to be damaged when they are read', async () => {
    const store = await open();
    await store.transaction((tx) => tx.putEntries('replica', rows(500)));
    await closed(store);
    const bytes = readFileSync(path);
    // The first pages stay: they hold the schema, without which the store does not open.
    bytes.fill(0xa5, 4096 * 60);
    writeFileSync(path, bytes);
    const damaged = await open();
    const damage = { code: 'store-damaged', retry: 'operator' };
    await expect(damaged.read((tx) => tx.scanEntries('replica', 0, 500))).rejects.toMatchObject(damage);
    await expect(damaged.transaction((tx) => tx.scanEntries('replica', 0, 500), { large: true })).rejects.toMatchObject(
      damage,
    );
  });

  it('a folder that is missing is said to be missing', async () => {
    await expect(open({ path: join(folder, 'none', 'store.db') })).rejects.toMatchObject({ code: 'file-missing' });
    await expect(open({ readOnly: true })).rejects.toMatchObject({ code: 'file-missing', retry: 'operator' });
  });

  it('for reading: looks on while another writes, and refuses transactions', async () => {
    const writer = await open();
    const reader = await open({ readOnly: true });
    await writer.transaction((tx) => tx.putDocument('state', 1));
    expect(await reader.read((tx) => tx.getDocument('state'))).toBe(1);
    await expect(reader.transaction((tx) => tx.putDocument('state', 2))).rejects.toMatchObject({ code: 'wrong-use' });
  });

  it('what is committed survives a power cut: synchronous is FULL, in both threads', async () => {
    const connection = openConnection(path);
    expect(connection.db.pragma('synchronous', { simple: true })).toBe(2);
    expect(connection.db.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(connection.db.pragma('foreign_keys', { simple: true })).toBe(1);
    connection.close();
  });
});

describe('migrations', () => {
  const step = 'CREATE TABLE added (a); INSERT INTO added VALUES (1);';

  it('an older store gets the steps that it lacks, once, and keeps its data', async () => {
    const store = await open();
    await store.transaction((tx) => tx.putDocument('state', 'kept'));
    await closed(store);
    const db = new Database(path);
    for (let round = 0; round < 2; round++) migrate(db, [...migrations, step]);
    expect(db.prepare('SELECT a FROM added').all()).toHaveLength(1);
    expect(db.prepare('SELECT value FROM document').pluck().get()).toBe('"kept"');
    expect(db.pragma('user_version', { simple: true })).toBe(migrations.length + 1);
    db.close();
  });

  it('a step that fails leaves the store at its old version', () => {
    const db = new Database(path);
    migrate(db);
    expect(() => migrate(db, [...migrations, `${step} SELECT nonsense;`])).toThrow('nonsense');
    expect(db.pragma('user_version', { simple: true })).toBe(migrations.length);
    expect(db.pragma('application_id', { simple: true })).toBe(APPLICATION_ID);
    expect(db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'added'").get()).toBeUndefined();
    db.close();
  });

  it('an older store cannot be opened for reading only', async () => {
    const db = new Database(path);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.close();
    await expect(open({ readOnly: true })).rejects.toMatchObject({ code: 'store-failed', retry: 'operator' });
  });
});

describe.each([{ large: false }, { large: true }])('a full disk, %o', (options) => {
  it('takes the transaction back, says so, and the store goes on when there is room', async () => {
    const store = await open({ maxPages: 200 });
    await store.transaction((tx) => tx.putEntries('replica', rows(10)), options);
    const filling = store.transaction((tx) => tx.putEntries('replica', rows(5000)), options);
    await expect(filling).rejects.toMatchObject({
      code: 'disk-full',
      retry: 'later',
      hint: expect.stringContaining('Make room'),
    });
    expect(await store.read((tx) => tx.countEntries('replica'))).toEqual({ live: 10, deleted: 0 });
    expect(await store.transaction((tx) => tx.putEntries('replica', rows(1)), options)).toEqual([11]);
  });
});

describe('large transactions', () => {
  it('leave the main thread free', async () => {
    const store = await open();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const bytes = rows(5000, 2000);
    turns = 0;
    await store.transaction((tx) => tx.putEntries('replica', bytes), { large: true });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
  });

  it('the octets that the caller gave stay his', async () => {
    const store = await open();
    const [one] = rows(1);
    const copy = Buffer.from(one!.bytes!);
    await store.transaction((tx) => tx.putEntries('replica', [one!]), { large: true });
    expect(one!.bytes).toEqual(copy);
  });

  it('a failure to open the file is the failure of the transaction', async () => {
    const store = await open();
    const db = new Database(path);
    db.pragma(`user_version = ${migrations.length + 1}`);
    db.close();
    const refused = () => store.transaction((tx) => tx.putDocument('a', 1), { large: true });
    await expect(refused()).rejects.toMatchObject({ code: 'store-newer' });
    await expect(refused()).rejects.toMatchObject({ code: 'store-newer' });
  });

  it('closing folds the log into the file and leaves nothing beside it', async () => {
    const store = await open();
    await store.transaction((tx) => tx.putEntries('replica', rows(100)), { large: true });
    await store.read((tx) => tx.countEntries('replica'));
    await closed(store);
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect(existsSync(`${path}-shm`)).toBe(false);
  });
});

describe('the log', () => {
  it('is folded into the file after commits, in the background', async () => {
    const store = await open();
    await store.transaction((tx) => tx.putEntries('replica', rows(15_000)));
    const onlooker = openConnection(path, { readOnly: true });
    await expect.poll(() => onlooker.pendingLogPages(), { timeout: 20_000 }).toBe(0);
    onlooker.close();
  });

  it('that was not folded is read when the store is opened again', async () => {
    const store = await open();
    await store.transaction((tx) => tx.putEntries('replica', rows(100)));
    // As a process that was killed leaves them.
    const copy = join(folder, 'copy.db');
    for (const end of ['', '-wal']) writeFileSync(`${copy}${end}`, readFileSync(`${path}${end}`));
    const again = await open({ path: copy });
    expect(await again.read((tx) => tx.countEntries('replica'))).toEqual({ live: 100, deleted: 0 });
  });
});

describe('stores in memory', () => {
  it('a copy is independent of what it was copied from', async () => {
    const first = createMemoryStore();
    await first.transaction((tx) => tx.putDocument('state', 1));
    const image = first.serialize();
    const second = createMemoryStore(image);
    await second.transaction((tx) => tx.putDocument('state', 2));
    await second.transaction((tx) => tx.putEntries('replica', rows(500)));
    const third = createMemoryStore(image);
    expect(await third.read((tx) => tx.getDocument('state'))).toBe(1);
    expect(await first.read((tx) => tx.getDocument('state'))).toBe(1);
    expect(await second.read((tx) => tx.getDocument('state'))).toBe(2);
  });

  it('the same transactions give the same bytes', async () => {
    const batch = rows(50);
    const image = async () => {
      const store = createMemoryStore();
      await store.transaction((tx) =>
        tx.putEntries(
          'collected',
          batch.map((one, seq) => ({ ...one, seq })),
        ),
      );
      return Buffer.from(store.serialize());
    };
    expect((await image()).equals(await image())).toBe(true);
  });

  it('":memory:" opens one too', async () => {
    const store = await open({ path: ':memory:' });
    await store.transaction((tx) => tx.putDocument('state', 1), { large: true });
    expect(await store.read((tx) => tx.getDocument('state'))).toBe(1);
  });

  it('bytes that are no store are refused', () => {
    expect(() => createMemoryStore(randomBytes(4096))).toThrow(expect.objectContaining({ code: 'store-damaged' }));
  });
});
