/** Documents, sums and checkpoints: the small tables behind what server and requestor know of each other. */
import assert from 'node:assert';
import type { OwnerSum } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const SUM_COLUMNS = 'o.name, hex(s.digest), s.live';

export function documentOperations(db: Connection) {
  return {
    getDocument(name) {
      const row = db.query('SELECT value FROM document WHERE name = ?').get(name);
      return row === undefined ? undefined : JSON.parse(row[0] as string);
    },

    putDocument(name, value) {
      const text = JSON.stringify(value);
      assert(text !== undefined, `the document ${name} is not a JSON value`);
      db.statement('INSERT INTO document VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value').run(
        name,
        text,
      );
    },

    removeDocument(name) {
      db.statement('DELETE FROM document WHERE name = ?').run(name);
    },

    documentNames(prefix) {
      // A range, so that the index is used; U+10FFFF is the last code point, and the order is that of UTF-8.
      const rows = db
        .query('SELECT name FROM document WHERE name >= ? AND name < ? ORDER BY name')
        .all(prefix, `${prefix}\u{10FFFF}`);
      return rows.map((row) => row[0] as string);
    },

    sums(scope) {
      return db
        .query(
          `SELECT ${SUM_COLUMNS} FROM owner_sum s JOIN owner o ON o.number = s.owner WHERE s.scope = ? ORDER BY o.name`,
        )
        .all(scope)
        .map(ownerSum);
    },

    sum(scope, owner) {
      const row = db
        .query(
          `SELECT ${SUM_COLUMNS} FROM owner_sum s JOIN owner o ON o.number = s.owner WHERE s.scope = ? AND s.owner = ?`,
        )
        .get(scope, db.owners.find(owner));
      return row === undefined ? undefined : ownerSum(row);
    },

    putSums(scope, sums) {
      const put = db.statement(
        `INSERT INTO owner_sum VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET digest = excluded.digest, live = excluded.live`,
      );
      for (const { owner, digest, count } of sums) put.run(scope, db.owners.intern(owner), octets(digest), count);
    },

    removeSums(scope) {
      db.statement('DELETE FROM owner_sum WHERE scope = ?').run(scope);
    },

    checkpoint(scope, seq) {
      const row = db.query('SELECT hex(digest) FROM checkpoint WHERE scope = ? AND seq = ?').get(scope, seq);
      return row === undefined ? undefined : digestOf(row[0]);
    },

    putCheckpoint(scope, seq, digest) {
      db.statement('INSERT INTO checkpoint VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest').run(
        scope,
        seq,
        octets(digest),
      );
    },

    dropCheckpoints(scope, below) {
      db.statement('DELETE FROM checkpoint WHERE scope = ? AND seq < ?').run(scope, below);
    },

    keepCheckpoints(scope, count) {
      const lowest = db.query(
        'SELECT min(seq) FROM (SELECT seq FROM checkpoint WHERE scope = ? ORDER BY seq DESC LIMIT ?)',
      );
      const kept = lowest.get(scope, count)?.[0] as number | null;
      db.statement('DELETE FROM checkpoint WHERE scope = ? AND seq < ?').run(scope, kept ?? Number.MAX_SAFE_INTEGER);
      return kept ?? 0;
    },

    clearCheckpoints(scope) {
      db.statement('DELETE FROM checkpoint WHERE scope = ?').run(scope);
    },
  } satisfies Partial<Operations>;
}

function ownerSum(row: RawRow): OwnerSum {
  return { owner: row[0] as string, digest: digestOf(row[1]), count: row[2] as number };
}

function octets(digest: string): Buffer {
  return Buffer.from(digest, 'hex');
}

function digestOf(hex: unknown): string {
  return (hex as string).toLowerCase();
}
