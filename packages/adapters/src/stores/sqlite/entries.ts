/**
 * The tables `published`, `replica` and `collected`. An update touches only the indexes whose columns changed, so that
 * 1,000 changes cost the same in a small table and in a large one.
 */
import assert from 'node:assert';
import { type EntryRow, type EntryTable, targetOf } from '@dirpost/core';
import type { Connection, RawRow, RawStatement, Statement } from './connection.ts';
import { inChunks } from './in-chunks.ts';
import type { Operations } from './operations.ts';

const PLAIN_COLUMNS = 'id owner seq deleted hash peer_number introduced changed note bytes'.split(' ');
const HELD_COLUMNS = ['held', 'held_members', 'held_since', 'held_approved', 'shown'];
/** NULL in almost all rows. */
const RARE_COLUMNS = [...HELD_COLUMNS, 'withheld', 'target'];

export const ENTRY_COLUMNS = [...PLAIN_COLUMNS, ...RARE_COLUMNS, 'number'];

const COLUMN_LIST = ENTRY_COLUMNS.join(', ');
const NOTHING_HELD = HELD_COLUMNS.map(() => null);
/** Position of `held` in ENTRY_COLUMNS. */
const HELD_AT = PLAIN_COLUMNS.length;
const SEQ_AT = ENTRY_COLUMNS.indexOf('seq');
const NUMBER_AT = ENTRY_COLUMNS.indexOf('number');
export const BYTES_AT = ENTRY_COLUMNS.indexOf('bytes');
const SHORT_COLUMN_LIST = 'number, id, owner, hash, deleted';

/** Those that have an index and are not rare: see updater. */
const watchedColumns: Record<EntryTable, readonly string[]> = {
  published: ['id', 'owner', 'seq'],
  replica: ['id', 'owner', 'peer_number'],
  collected: ['id', 'owner', 'seq', 'peer_number'],
};
/** One that stands for each group of rare columns that come together. */
const RARE_WATCHED = ['held', 'withheld', 'target'];

/** Of an owner with fewer rows the index is read and sorted for each batch; of others the table is passed over. */
const FEW_ROWS = 20_000;

export function entryOperations(db: Connection) {
  return {
    entriesById(table, ids) {
      const get = db.query(`SELECT ${COLUMN_LIST} FROM ${table} WHERE id = ?`);
      return ids.map((id) => found(db, get.get(id)));
    },

    entriesByNumber(table, numbers) {
      const get = db.query(`SELECT ${COLUMN_LIST} FROM ${table} WHERE number = ?`);
      return numbers.map((number) => found(db, get.get(number)));
    },

    entriesByPeerNumber(table, owner, peerNumbers) {
      assert(table !== 'published', 'published entries have no peer numbers');
      if (table === 'replica') {
        // The server's own numbers: one space for all owners.
        const get = db.query(`SELECT ${COLUMN_LIST} FROM replica WHERE peer_number = ?`);
        const rows = peerNumbers.map((peerNumber) => found(db, get.get(peerNumber)));
        return rows.map((row) => (owner === null || row?.owner === owner ? row : undefined));
      }
      assert(owner !== null, 'peer numbers of collected entries belong to an owner');
      const ownerNumber = db.owners.find(owner);
      const get = db.query(`SELECT ${COLUMN_LIST} FROM collected WHERE owner = ? AND peer_number = ?`);
      return peerNumbers.map((peerNumber) => found(db, get.get(ownerNumber, peerNumber)));
    },

    putEntries(table, rows) {
      const insert = insertStatement(db, table, PLAIN_COLUMNS);
      const insertRare = insertStatement(db, table, [...PLAIN_COLUMNS, ...RARE_COLUMNS]);
      const update = updater(db, table);
      return rows.map((row) => {
        if (row.number !== 0) return update(row);
        const target = targetIn(row);
        const inserted = isRare(row, target)
          ? insertRare.run(...values(db, row), ...rareValues(row, target))
          : insert.run(...values(db, row));
        return inserted.lastInsertRowid as number;
      });
    },

    removeEntries(table, numbers) {
      const remove = db.statement(`DELETE FROM ${table} WHERE number = ?`);
      for (const number of numbers) remove.run(number);
    },

    entriesSince(table, seq, limit) {
      assert(table !== 'replica', 'the replica has no seqs');
      const query = db.query(`SELECT ${COLUMN_LIST} FROM ${table} WHERE seq > ? ORDER BY seq LIMIT ?`);
      const at = { key: SEQ_AT, bytes: BYTES_AT };
      return inChunks(seq, limit, at, (after, most) => query.all(after, most)).map((row) => entryRow(db, row));
    },

    scanEntries(table, after, limit, owner) {
      // Of one owner each query may sort all that he has.
      if (owner !== undefined) return scan(db, COLUMN_LIST, table, after, limit, owner).map((row) => entryRow(db, row));
      const at = { key: NUMBER_AT, bytes: BYTES_AT };
      const rows = inChunks(after, limit, at, (above, most) => scan(db, COLUMN_LIST, table, above, most, undefined));
      return rows.map((row) => entryRow(db, row));
    },

    scanHashes(table, after, limit, owner) {
      return scan(db, SHORT_COLUMN_LIST, table, after, limit, owner).map((row) => ({
        number: row[0] as number,
        id: row[1] as Buffer,
        owner: db.owners.nameOf(row[2] as number),
        hash: row[3] as Buffer,
        deleted: row[4] === 1,
      }));
    },

    editsOf(table, targets) {
      const any = db.query(`SELECT 1 FROM ${table} INDEXED BY ${table}_target WHERE target IS NOT NULL LIMIT 1`);
      if (any.get() === undefined) return targets.map(() => []);
      const all = db.query(
        `SELECT ${COLUMN_LIST} FROM ${table} INDEXED BY ${table}_target WHERE target = ? AND target <> x'' ORDER BY id`,
      );
      return targets.map((target) => all.all(target).map((row) => entryRow(db, row)));
    },

    scanEdits(table, after, limit) {
      return db
        .query(
          `SELECT ${COLUMN_LIST} FROM ${table} INDEXED BY ${table}_edit
           WHERE target IS NOT NULL AND number > ? ORDER BY number LIMIT ?`,
        )
        .all(after, limit)
        .map((row) => entryRow(db, row));
    },

    countEdits(table, owner) {
      const condition = owner === undefined ? '' : 'AND owner = ?';
      const args = owner === undefined ? [] : [db.owners.find(owner)];
      const query = `SELECT count(*) FROM ${table} INDEXED BY ${table}_edit WHERE target IS NOT NULL ${condition}`;
      return Number(db.query(query).get(...args)?.[0]);
    },

    countEntries(table, owner) {
      const condition = owner === undefined ? '' : 'owner = ?';
      const args = owner === undefined ? [] : [db.owners.find(owner)];
      const count = (where: string) => db.query(`SELECT count(*) FROM ${table} ${where}`).get(...args)?.[0] as number;
      const all = count(condition === '' ? '' : `WHERE ${condition}`);
      const deleted = count(`WHERE deleted = 1 ${condition === '' ? '' : `AND ${condition}`}`);
      return { live: all - deleted, deleted };
    },

    clearPeerNumbers(table, owner) {
      const clear = `UPDATE ${table} SET peer_number = NULL WHERE peer_number IS NOT NULL`;
      if (owner === null) db.statement(clear).run();
      else db.statement(`${clear} AND owner = ?`).run(db.owners.find(owner));
    },

    clearEntries(table) {
      db.statement(`DELETE FROM ${table}`).run();
    },

    heldEntries(table, effects, after, limit, owner) {
      const of = owner === undefined ? `${table}_held` : `${table}_held_owner`;
      const condition = owner === undefined ? '' : 'AND owner = ?';
      const args = owner === undefined ? [] : [db.owners.find(owner)];
      return db
        .query(
          `SELECT ${COLUMN_LIST} FROM ${table} INDEXED BY ${of}
           WHERE held = ? ${condition} AND number > ? ORDER BY number LIMIT ?`,
        )
        .all(effects, ...args, after, limit)
        .map((row) => entryRow(db, row));
    },

    purgePublished(seq) {
      const purge = db.statement('DELETE FROM published INDEXED BY published_deleted WHERE deleted = 1 AND seq < ?');
      return purge.run(seq).changes;
    },
  } satisfies Partial<Operations>;
}

function insertStatement(db: Connection, table: EntryTable, columns: string[]): Statement {
  const places = columns.map(() => '?').join(', ');
  return db.statement(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`);
}

/**
 * Updates one row. SQLite writes an index anew whenever one of its columns is named in SET, even with its old value;
 * so the old values of the indexed columns are read first and only those that differ are named. The rare columns are
 * named together, or not at all where all of them were NULL and are.
 */
function updater(db: Connection, table: EntryTable): (row: EntryRow) => number {
  const watched = watchedColumns[table];
  const watchedAt = watched.map((column) => ENTRY_COLUMNS.indexOf(column));
  const rareBit = watched.length;
  const old = db.query(`SELECT ${[...watched, ...RARE_WATCHED].join(', ')} FROM ${table} WHERE number = ?`);
  const variants: (UpdateVariant | undefined)[] = [];
  return (row) => {
    const before = old.get(row.number);
    assert(before !== undefined, `entry ${row.number} to be replaced is not in ${table}`);
    const after = values(db, row);
    let same = 0;
    for (let bit = 0; bit < rareBit; bit++) {
      if (equal(before[bit], after[watchedAt[bit]!])) same |= 1 << bit;
    }
    const target = targetIn(row);
    const wasRare = RARE_WATCHED.some((_, at) => before[rareBit + at] !== null);
    if (!wasRare && !isRare(row, target)) same |= 1 << rareBit;
    else after.push(...rareValues(row, target));
    const { written, statement } = (variants[same] ??= updateVariant(db, table, same));
    statement.run(...written.map((at) => after[at]), row.number);
    return row.number;
  };
}

interface UpdateVariant {
  /** Positions in ENTRY_COLUMNS. */
  written: number[];
  statement: Statement;
}

/** `same`: one bit for each watched column that keeps its value; one for all rare columns together. */
function updateVariant(db: Connection, table: EntryTable, same: number): UpdateVariant {
  const watched = watchedColumns[table];
  const kept = watched.filter((_, bit) => (same & (1 << bit)) !== 0);
  if ((same & (1 << watched.length)) !== 0) kept.push(...RARE_COLUMNS);
  const columns = ENTRY_COLUMNS.filter((column) => column !== 'number' && !kept.includes(column));
  const set = columns.map((column) => `${column} = ?`).join(', ');
  return {
    written: columns.map((column) => ENTRY_COLUMNS.indexOf(column)),
    statement: db.statement(`UPDATE ${table} SET ${set} WHERE number = ?`),
  };
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || (Buffer.isBuffer(a) && b instanceof Uint8Array && a.equals(b));
}

/** In the order of PLAIN_COLUMNS. */
function values(db: Connection, row: EntryRow): unknown[] {
  return [
    row.id,
    db.owners.intern(row.owner),
    row.seq,
    row.deleted ? 1 : 0,
    row.hash,
    row.peerNumber,
    row.introduced,
    row.changed === null ? null : JSON.stringify(row.changed),
    row.note,
    row.bytes,
  ];
}

/** Of an edit; else null. */
function targetIn({ bytes }: EntryRow): Uint8Array | null {
  return bytes === null ? null : targetOf(bytes);
}

function isRare({ held, withheld }: EntryRow, target: Uint8Array | null): boolean {
  return Boolean(held ?? withheld ?? target);
}

/** In the order of RARE_COLUMNS. */
function rareValues({ held, withheld }: EntryRow, target: Uint8Array | null): unknown[] {
  const ofHeld =
    held === null ? NOTHING_HELD : [held.effects, held.lostMembers, held.sinceMs, held.approved ? 1 : 0, held.shown];
  return [...ofHeld, withheld, target];
}

function scan(
  db: Connection,
  columns: string,
  table: EntryTable,
  after: number,
  limit: number,
  owner: string | undefined,
): RawRow[] {
  const text = (from: string, where: string) =>
    db.query(`SELECT ${columns} FROM ${from} WHERE ${where} number > ? ORDER BY number LIMIT ?`);
  if (owner === undefined) return text(table, '').all(after, limit);
  const ownerNumber = db.owners.find(owner);
  return scanPlan(db, table, ownerNumber, text).all(ownerNumber, after, limit);
}

function scanPlan(
  db: Connection,
  table: EntryTable,
  owner: number,
  text: (from: string, where: string) => RawStatement,
): RawStatement {
  if (table === 'collected') {
    const rows = db
      .query('SELECT count(*) FROM (SELECT 1 FROM collected WHERE owner = ? LIMIT ?)')
      .get(owner, FEW_ROWS);
    if ((rows?.[0] as number) < FEW_ROWS) return text('collected INDEXED BY collected_peer', 'owner = ? AND');
  }
  return text(`${table} NOT INDEXED`, 'owner = ? AND');
}

function found(db: Connection, row: RawRow | undefined): EntryRow | undefined {
  return row === undefined ? undefined : entryRow(db, row);
}

/** `row` holds ENTRY_COLUMNS from position `at`. */
export function entryRow(db: Connection, row: RawRow, at = 0): EntryRow {
  const changed = row[at + 7] as string | null;
  const effects = row[at + HELD_AT] as number | null;
  return {
    number: row[at + HELD_AT + RARE_COLUMNS.length] as number,
    id: row[at] as Buffer,
    owner: db.owners.nameOf(row[at + 1] as number),
    seq: row[at + 2] as number,
    deleted: row[at + 3] === 1,
    hash: row[at + 4] as Buffer,
    bytes: row[at + 9] as Buffer | null,
    peerNumber: row[at + 5] as number | null,
    introduced: row[at + 6] as number,
    changed: changed === null ? null : JSON.parse(changed),
    note: row[at + 8] as string | null,
    held: effects === null ? null : held(row, at + HELD_AT, effects),
    withheld: row[at + HELD_AT + HELD_COLUMNS.length] as Buffer | null,
  };
}

function held(row: RawRow, at: number, effects: number): EntryRow['held'] {
  return {
    effects,
    lostMembers: row[at + 1] as number,
    sinceMs: row[at + 2] as number,
    approved: row[at + 3] === 1,
    shown: row[at + 4] as Buffer | null,
  };
}
