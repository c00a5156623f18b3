/** What stands in directories that are written entry by entry. */
import type { Placed } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const COLUMNS = 'id, dn, anchor, hash, refused_code, refused_reason, refused_tries, refused_due, lacks_members';

export function placedOperations(db: Connection) {
  return {
    placedById(directory, ids) {
      const number = db.directories.find(directory);
      const get = db.query(`SELECT ${COLUMNS} FROM placed WHERE directory = ? AND id = ?`);
      return ids.map((id) => {
        const row = get.get(number, id);
        return row === undefined ? undefined : placed(row);
      });
    },

    putPlaced(directory, rows) {
      const number = db.directories.intern(directory);
      const put = db.statement(
        `INSERT INTO placed (directory, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (directory, id) DO UPDATE SET dn = excluded.dn, anchor = excluded.anchor, hash = excluded.hash,
           refused_code = excluded.refused_code, refused_reason = excluded.refused_reason,
           refused_tries = excluded.refused_tries, refused_due = excluded.refused_due,
           lacks_members = excluded.lacks_members`,
      );
      for (const { id, place, hash, refused, lacksMembers } of rows) {
        const { dn, anchor } = place ?? { dn: null, anchor: null };
        const { code = null, reason = null, tries = null, dueMs = null } = refused ?? {};
        put.run(number, id, dn, anchor, hash, code, reason, tries, dueMs, lacksMembers ? 1 : null);
      }
    },

    removePlaced(directory, ids) {
      const number = db.directories.find(directory);
      const remove = db.statement('DELETE FROM placed WHERE directory = ? AND id = ?');
      for (const id of ids) remove.run(number, id);
    },

    scanPlaced(directory, after, limit) {
      return db
        .query(`SELECT ${COLUMNS} FROM placed WHERE directory = ? AND id > ? ORDER BY id LIMIT ?`)
        .all(db.directories.find(directory), after ?? Buffer.alloc(0), limit)
        .map(placed);
    },

    refusedPlaced(directory, limit) {
      return db
        .query(
          `SELECT ${COLUMNS} FROM placed INDEXED BY placed_refused
           WHERE directory = ? AND refused_code IS NOT NULL ORDER BY id LIMIT ?`,
        )
        .all(db.directories.find(directory), limit)
        .map(placed);
    },

    placedByAnchor(directory, anchors) {
      const number = db.directories.find(directory);
      const get = db.query(
        `SELECT ${COLUMNS} FROM placed INDEXED BY placed_anchor WHERE anchor = ? AND anchor <> '' AND directory = ?`,
      );
      return anchors.map((anchor) => {
        const row = get.get(anchor, number);
        return row === undefined ? undefined : placed(row);
      });
    },

    countPlaced(directory) {
      const number = db.directories.find(directory);
      const all = db.query('SELECT count(*) FROM placed WHERE directory = ? AND dn IS NOT NULL').get(number);
      const refused = db
        .query('SELECT count(*) FROM placed WHERE directory = ? AND refused_code IS NOT NULL')
        .get(number);
      return { placed: Number(all?.[0] ?? 0), refused: Number(refused?.[0] ?? 0) };
    },

    refusedDueMs(directory) {
      const first = db
        .query(
          `SELECT min(refused_due) FROM placed INDEXED BY placed_due
           WHERE directory = ? AND refused_code IS NOT NULL AND refused_due IS NOT NULL`,
        )
        .get(db.directories.find(directory));
      return first?.[0] == null ? null : Number(first[0]);
    },

    clearPlaced(directory) {
      db.statement('DELETE FROM placed WHERE directory = ?').run(db.directories.find(directory));
    },
  } satisfies Partial<Operations>;
}

function placed(row: RawRow): Placed {
  const [id, dn, anchor, hash, code, reason, tries, dueMs, lacksMembers] = row;
  return {
    id: id as Buffer,
    place: dn === null ? null : { dn: dn as string, anchor: (anchor as string | null) ?? '' },
    hash: hash as Buffer | null,
    refused:
      code === null
        ? null
        : {
            code: code as string,
            reason: (reason as string | null) ?? '',
            ...(tries !== null && { tries: Number(tries) }),
            ...(dueMs !== null && { dueMs: Number(dueMs) }),
          },
    ...(lacksMembers !== null && { lacksMembers: true }),
  };
}
