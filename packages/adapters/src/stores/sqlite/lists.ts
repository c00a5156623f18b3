/** Address lists: what each releases of the collected entries, and their tombstones. */
import type { ListedEntry, ListRow } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import { BYTES_AT, ENTRY_COLUMNS, entryRow } from './entries.ts';
import { inChunks } from './in-chunks.ts';
import type { Operations } from './operations.ts';

const ROW_COLUMNS = 'number owner seq has_left first_seq entered_seq introduced hash'.split(' ');
const ROW_LIST = ROW_COLUMNS.join(', ');
const LISTED_LIST = [...ROW_COLUMNS.map((name) => `l.${name}`), ...ENTRY_COLUMNS.map((name) => `e.${name}`)].join(', ');

// CROSS JOIN keeps SQLite from changing the order of the loops: it has no statistics to know better.
const JOINED = 'list_row l CROSS JOIN collected e ON e.number = l.number';

export function listOperations(db: Connection) {
  return {
    listRows(list, numbers) {
      const listNumber = db.lists.find(list);
      const get = db.query(`SELECT ${ROW_LIST} FROM list_row WHERE list = ? AND number = ?`);
      return numbers.map((number) => {
        const row = get.get(listNumber, number);
        return row === undefined ? undefined : listRow(db, row);
      });
    },

    putListRows(list, rows) {
      const listNumber = db.lists.intern(list);
      const old = db.query('SELECT seq, has_left FROM list_row WHERE list = ? AND number = ?');
      const places = ROW_COLUMNS.map(() => '?').join(', ');
      const insert = db.statement(`INSERT INTO list_row (${ROW_LIST}, list) VALUES (${places}, ?)`);
      const update = db.statement(updateText(ROW_COLUMNS));
      // Naming the columns of an index in SET writes it anew, even with their old values.
      const updateInPlace = db.statement(
        updateText(ROW_COLUMNS.filter((column) => column !== 'seq' && column !== 'has_left')),
      );
      for (const row of rows) {
        const { number, seq } = row;
        const owner = db.owners.intern(row.owner);
        const left = row.left ? 1 : 0;
        const rest = [row.first, row.entered, row.introduced, row.hash];
        const before = old.get(listNumber, number);
        if (before === undefined) insert.run(number, owner, seq, left, ...rest, listNumber);
        else if (before[0] === seq && before[1] === left) updateInPlace.run(owner, ...rest, listNumber, number);
        else update.run(owner, seq, left, ...rest, listNumber, number);
      }
    },

    listSince(list, seq, exceptOwner, limit) {
      return db
        .query(
          `SELECT ${LISTED_LIST} FROM ${JOINED} WHERE l.list = ? AND l.seq > ? AND l.owner <> ? ORDER BY l.seq LIMIT ?`,
        )
        .all(db.lists.find(list), seq, db.owners.find(exceptOwner), limit)
        .map((row) => listedEntry(db, row));
    },

    scanList(list, after, exceptOwner, limit) {
      const at = { key: 0, bytes: ROW_COLUMNS.length + BYTES_AT };
      const rows = inChunks(after, limit, at, (above, most) => scan(db, LISTED_LIST, list, above, exceptOwner, most));
      return rows.map((row) => listedEntry(db, row));
    },

    scanListHashes(list, after, exceptOwner, limit) {
      return scan(db, 'l.number, e.id, l.owner, l.hash', list, after, exceptOwner, limit).map((row) => ({
        number: row[0] as number,
        id: row[1] as Buffer,
        owner: db.owners.nameOf(row[2] as number),
        hash: row[3] as Buffer,
      }));
    },

    purgeList(list, seq) {
      const purge = db.statement(
        'DELETE FROM list_row INDEXED BY list_row_left WHERE list = ? AND seq <= ? AND has_left = 1',
      );
      return purge.run(db.lists.find(list), seq).changes;
    },

    purgeCollected() {
      // By way of `list`, so that the primary key (list, number) answers.
      const purge = db.statement(
        `DELETE FROM collected INDEXED BY collected_deleted WHERE deleted = 1 AND held IS NULL AND NOT EXISTS (
           SELECT 1 FROM list CROSS JOIN list_row l ON l.list = list.number AND l.number = collected.number)`,
      );
      return purge.run().changes;
    },

    removeList(list) {
      db.statement('DELETE FROM list_row WHERE list = ?').run(db.lists.find(list));
    },

    clearListIntroduced() {
      db.statement('UPDATE list_row SET introduced = 0 WHERE introduced <> 0').run();
    },
  } satisfies Partial<Operations>;
}

function updateText(columns: string[]): string {
  const set = columns.filter((column) => column !== 'number').map((column) => `${column} = ?`);
  return `UPDATE list_row SET ${set.join(', ')} WHERE list = ? AND number = ?`;
}

function scan(
  db: Connection,
  columns: string,
  list: string,
  after: number,
  exceptOwner: string | null,
  limit: number,
): RawRow[] {
  return db
    .query(
      `SELECT ${columns} FROM ${JOINED}
       WHERE l.list = ? AND l.number > ? AND l.has_left = 0 AND l.owner <> ? ORDER BY l.number LIMIT ?`,
    )
    .all(db.lists.find(list), after, exceptOwner === null ? 0 : db.owners.find(exceptOwner), limit);
}

function listRow(db: Connection, row: RawRow): ListRow {
  return {
    number: row[0] as number,
    owner: db.owners.nameOf(row[1] as number),
    seq: row[2] as number,
    left: row[3] === 1,
    first: row[4] as number,
    entered: row[5] as number,
    introduced: row[6] as number,
    hash: row[7] as Buffer,
  };
}

function listedEntry(db: Connection, row: RawRow): ListedEntry {
  return { row: listRow(db, row), entry: entryRow(db, row, ROW_COLUMNS.length) };
}
