/** Copies of a store that is in use. */
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backUpStore } from './backup.ts';
import { openSqliteStore } from './store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-backup-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A store with a table of ours beside its own: `rows` rows of about 4,000 bytes. */
async function storeWith(rows: number): Promise<{ path: string; writer: Database.Database }> {
  const path = join(folder, 'store.db');
  await (await openSqliteStore({ path })).close();
  const writer = new Database(path);
  writer.exec('CREATE TABLE filling (number INTEGER PRIMARY KEY, octets BLOB)');
  const insert = writer.prepare('INSERT INTO filling (octets) VALUES (randomblob(4000))');
  writer.transaction(() => {
    for (let i = 0; i < rows; i++) insert.run();
  })();
  return { path, writer };
}

function rowsOf(path: string): unknown {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare('SELECT count(*) FROM filling').pluck().get();
  } finally {
    db.close();
  }
}

describe('a backup of a store', () => {
  it('is the store of the moment when it began, although others commit all the time', async () => {
    const { path, writer } = await storeWith(5_000);
    const target = join(folder, 'copy.db');
    const seen: number[] = [];
    await backUpStore(path, target, {
      progress(donePages) {
        seen.push(donePages);
        writer.prepare('DELETE FROM filling WHERE number IN (SELECT number FROM filling LIMIT 100)').run();
      },
    });
    expect(rowsOf(target)).toBe(5_000);
    expect(rowsOf(path)).toBeLessThan(5_000);
    // It goes on, and does not begin anew with each commit.
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect((await stat(target)).mode & 0o777).toBe(0o600);
    writer.close();
    await (await openSqliteStore({ path: target })).close();
  });

  it('ends with what its progress throws', async () => {
    const { path, writer } = await storeWith(5_000);
    writer.close();
    const stop = new Error('enough');
    const progress = () => {
      throw stop;
    };
    await expect(backUpStore(path, join(folder, 'copy.db'), { progress })).rejects.toBe(stop);
  });

  it('takes a store of any version: before an upgrade it is needed most', async () => {
    const { path, writer } = await storeWith(1);
    writer.pragma('user_version = 0');
    writer.close();
    await backUpStore(path, join(folder, 'copy.db'));
    expect(rowsOf(join(folder, 'copy.db'))).toBe(1);
  });

  it.each([
    ['no store at all', async () => {}, 'file-missing'],
    ['a file that is none', (path: string) => writeFile(path, 'no database '.repeat(1_000)), 'store-damaged'],
    [
      'a damaged store',
      async (path: string) => {
        const { writer } = await storeWith(50);
        writer.close();
        const file = await open(path, 'r+');
        for (let page = 1; page < 40; page++) await file.write(Buffer.alloc(64, 0xff), 0, 64, page * 4_096);
        await file.close();
      },
      'store-damaged',
    ],
  ])('%s is refused', async (_name, prepare, code) => {
    const path = join(folder, 'store.db');
    await prepare(path);
    await expect(backUpStore(path, join(folder, 'copy.db'))).rejects.toMatchObject({ code });
  });

  it('never writes over a file', async () => {
    const { path, writer } = await storeWith(1);
    writer.close();
    await writeFile(join(folder, 'copy.db'), 'mine');
    await expect(backUpStore(path, join(folder, 'copy.db'))).rejects.toMatchObject({ code: 'EEXIST' });
  });
});
