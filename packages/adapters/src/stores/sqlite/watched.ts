/** Directories of both ways: what was last written of attributes whose changes by hand are seen, and which of those stay. */
import type { Watched } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const COLUMNS = 'id, written, kept';

export function watchedOperations(db: Connection) {
  return {
    watchedById(directory, ids) {
      const number = db.directories.find(directory);
      const get = db.query(`SELECT ${COLUMNS} FROM watched WHERE directory = ? AND id = ?`);
      return ids.map((id) => {
        const row = get.get(number, id);
        return row === undefined ? undefined : watched(row);
      });
    },

    putWatched(directory, rows) {
      const number = db.directories.intern(directory);
      const put = db.statement(
        `INSERT INTO watched (directory, ${COLUMNS}) VALUES (?, ?, ?, ?)
         ON CONFLICT (directory, id) DO UPDATE SET written = excluded.written, kept = excluded.kept`,
      );
      for (const { id, written, kept } of rows) {
        const keeps = Object.keys(kept).length > 0;
        put.run(number, id, JSON.stringify(written), keeps ? JSON.stringify(kept) : null);
      }
    },

    removeWatched(directory, ids) {
      const number = db.directories.find(directory);
      const remove = db.statement('DELETE FROM watched WHERE directory = ? AND id = ?');
      for (const id of ids) remove.run(number, id);
    },

    clearWatched(directory) {
      db.statement('DELETE FROM watched WHERE directory = ?').run(db.directories.find(directory));
    },
  } satisfies Partial<Operations>;
}

function watched([id, written, kept]: RawRow): Watched {
  return {
    id: id as Buffer,
    written: JSON.parse(written as string) as Watched['written'],
    kept: kept === null ? {} : (JSON.parse(kept as string) as Watched['kept']),
  };
}
