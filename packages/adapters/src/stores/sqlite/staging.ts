/** What was read from a directory and waits for the read certificate, and which entry of a directory is which. */
import type { Association, StagedEntry } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import { inChunks } from './in-chunks.ts';
import type { Operations } from './operations.ts';

/**
 * The key of a staged entry is directory × SPAN + position: the table alone keeps both, in order, and no index has to
 * be written beside it. Directories are few, so that keys stay safe integers.
 */
const SPAN = 2 ** 40;

const ASSOCIATION_COLUMNS = 'id, dn, normalized_dn';

export function stagingOperations(db: Connection) {
  return {
    stageEntries(directory, entries) {
      const base = db.directories.intern(directory) * SPAN;
      const last = db.query('SELECT max(key) FROM staged WHERE key > ? AND key < ?').get(base, base + SPAN)?.[0];
      let key = (last as number | null) ?? base;
      const insert = db.statement(
        'INSERT INTO staged (key, id, hash, dn, member_dns, bytes) VALUES (?, ?, ?, ?, ?, ?)',
      );
      for (const { id, hash, dn, memberDns, bytes } of entries) {
        insert.run(++key, id, hash, dn, memberDns.length === 0 ? null : JSON.stringify(memberDns), bytes);
      }
    },

    stagedEntries(directory, after, limit) {
      const base = db.directories.find(directory) * SPAN;
      const query = db.query(
        'SELECT key, id, hash, dn, member_dns, bytes FROM staged WHERE key > ? AND key < ? ORDER BY key LIMIT ?',
      );
      const fetch = (above: number, most: number) => query.all(above, base + SPAN, most);
      return inChunks(base + after, limit, { key: 0, bytes: 5 }, fetch).map((row) => stagedEntry(row, base));
    },

    replaceStaged(directory, entries) {
      const base = db.directories.find(directory) * SPAN;
      const update = db.statement('UPDATE staged SET id = ?, hash = ?, bytes = ? WHERE key = ?');
      for (const { position, id, hash, bytes } of entries) update.run(id, hash, bytes, base + position);
    },

    clearStaged(directory) {
      const base = db.directories.find(directory) * SPAN;
      db.statement('DELETE FROM staged WHERE key > ? AND key < ?').run(base, base + SPAN);
    },

    associationsById(directory, ids) {
      const number = db.directories.find(directory);
      const get = db.query(`SELECT ${ASSOCIATION_COLUMNS} FROM association WHERE directory = ? AND id = ?`);
      return ids.map((id) => foundAssociation(get.get(number, id)));
    },

    associationsByDn(directory, normalizedDns) {
      const number = db.directories.find(directory);
      const get = db.query(`SELECT ${ASSOCIATION_COLUMNS} FROM association WHERE directory = ? AND normalized_dn = ?`);
      return normalizedDns.map((dn) => foundAssociation(get.get(number, dn)));
    },

    putAssociations(directory, associations) {
      const number = db.directories.intern(directory);
      const old = db.query('SELECT dn, normalized_dn FROM association WHERE directory = ? AND id = ?');
      const free = db.statement('DELETE FROM association WHERE directory = ? AND normalized_dn = ?');
      const insert = db.statement('INSERT INTO association (directory, id, dn, normalized_dn) VALUES (?, ?, ?, ?)');
      const respell = db.statement('UPDATE association SET dn = ? WHERE directory = ? AND id = ?');
      const move = db.statement('UPDATE association SET dn = ?, normalized_dn = ? WHERE directory = ? AND id = ?');
      for (const { id, dn, normalizedDn } of associations) {
        const before = old.get(number, id);
        if (before?.[1] === normalizedDn) {
          if (before[0] !== dn) respell.run(dn, number, id);
          continue;
        }
        free.run(number, normalizedDn);
        if (before === undefined) insert.run(number, id, dn, normalizedDn);
        else move.run(dn, normalizedDn, number, id);
      }
    },

    removeAssociations(directory, ids) {
      const number = db.directories.find(directory);
      const remove = db.statement('DELETE FROM association WHERE directory = ? AND id = ?');
      for (const id of ids) remove.run(number, id);
    },

    scanAssociations(directory, afterNormalizedDn, limit) {
      return db
        .query(
          `SELECT ${ASSOCIATION_COLUMNS} FROM association INDEXED BY association_dn
           WHERE directory = ? AND normalized_dn > ? ORDER BY normalized_dn LIMIT ?`,
        )
        .all(db.directories.find(directory), afterNormalizedDn, limit)
        .map(association);
    },

    clearAssociations(directory) {
      db.statement('DELETE FROM association WHERE directory = ?').run(db.directories.find(directory));
    },
  } satisfies Partial<Operations>;
}

function stagedEntry(row: RawRow, base: number): StagedEntry & { position: number } {
  return {
    position: (row[0] as number) - base,
    id: row[1] as Buffer,
    hash: row[2] as Buffer,
    dn: row[3] as string,
    memberDns: row[4] === null ? [] : JSON.parse(row[4] as string),
    bytes: row[5] as Buffer,
  };
}

function foundAssociation(row: RawRow | undefined): Association | undefined {
  return row === undefined ? undefined : association(row);
}

function association(row: RawRow): Association {
  return { id: row[0] as Buffer, dn: row[1] as string, normalizedDn: row[2] as string };
}
