/** Keys under which entries of a directory came back (T0, core's aliases.ts). */
import type { Alias } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

export function aliasOperations(db: Connection) {
  return {
    aliasesByKey(directory, keys) {
      const number = db.directories.find(directory);
      const get = db.query('SELECT key, id FROM alias WHERE directory = ? AND key = ?');
      return keys.map((key) => found(get.get(number, key)));
    },

    aliasesById(directory, ids) {
      const number = db.directories.find(directory);
      const get = db.query('SELECT key, id FROM alias WHERE directory = ? AND id = ?');
      return ids.map((id) => found(get.get(number, id)));
    },

    putAliases(directory, aliases) {
      const number = db.directories.intern(directory);
      const put = db.statement('INSERT OR REPLACE INTO alias (directory, key, id) VALUES (?, ?, ?)');
      for (const { key, id } of aliases) put.run(number, key, id);
    },

    removeAliases(directory, ids) {
      const number = db.directories.find(directory);
      const remove = db.statement('DELETE FROM alias WHERE directory = ? AND id = ?');
      for (const id of ids) remove.run(number, id);
    },

    clearAliases(directory) {
      db.statement('DELETE FROM alias WHERE directory = ?').run(db.directories.find(directory));
    },

    countAliases(directory) {
      const row = db.query('SELECT count(*) FROM alias WHERE directory = ?').get(db.directories.find(directory));
      return Number(row?.[0] ?? 0);
    },

    aliasDirectories() {
      const having = 'EXISTS (SELECT 1 FROM alias WHERE alias.directory = directory.number)';
      const rows = db.query(`SELECT name FROM directory WHERE ${having} ORDER BY name`).all();
      return rows.map(([name]) => name as string);
    },
  } satisfies Partial<Operations>;
}

function found(row: RawRow | undefined): Alias | undefined {
  return row === undefined ? undefined : { key: row[0] as Buffer, id: row[1] as Buffer };
}
