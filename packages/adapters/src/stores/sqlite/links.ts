/** Entries that a directory had before dirpost wrote them (T3, core's match-targets.ts). */
import type { Link, LinkState } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const COLUMNS = 'id, anchor, dn, state, found_by';

export function linkOperations(db: Connection) {
  return {
    links(directory, ids) {
      const number = db.directories.find(directory);
      const all = db.query(`SELECT ${COLUMNS} FROM link WHERE directory = ? AND id = ? ORDER BY anchor`);
      return ids.map((id) => all.all(number, id).map(link));
    },

    putLinks(directory, links) {
      const number = db.directories.intern(directory);
      const put = db.statement(
        `INSERT INTO link (directory, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (directory, id, anchor) DO UPDATE SET dn = excluded.dn, state = excluded.state, found_by = excluded.found_by`,
      );
      for (const { id, anchor, dn, state, by } of links) put.run(number, id, anchor, dn, state, by);
    },

    removeLinks(directory, links) {
      const number = db.directories.find(directory);
      const remove = db.statement('DELETE FROM link WHERE directory = ? AND id = ? AND anchor = ?');
      for (const { id, anchor } of links) remove.run(number, id, anchor);
    },

    linksInState(directory, state, after, limit) {
      return db
        .query(
          `SELECT ${COLUMNS} FROM link WHERE directory = ? AND state = ? AND (id, anchor) > (?, ?)
           ORDER BY id, anchor LIMIT ?`,
        )
        .all(db.directories.find(directory), state, after?.id ?? Buffer.alloc(0), after?.anchor ?? '', limit)
        .map(link);
    },

    clearLinks(directory) {
      db.statement('DELETE FROM link WHERE directory = ?').run(db.directories.find(directory));
    },

    countLinks(directory, state) {
      const number = db.directories.find(directory);
      const row = db.query('SELECT count(*) FROM link WHERE directory = ? AND state = ?').get(number, state);
      return Number(row?.[0] ?? 0);
    },
  } satisfies Partial<Operations>;
}

function link(row: RawRow): Link {
  const [id, anchor, dn, state, by] = row;
  return {
    id: id as Buffer,
    anchor: anchor as string,
    dn: dn as string,
    state: state as LinkState,
    by: by as string,
  };
}
