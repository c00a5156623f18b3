/** Values that must be unique on the network: which entries have them, and who had them first. */
import type { Claim, Claimant } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const COLUMNS = 'value, owner, number, seq, holder, unsettled';

/** `unsettled`: NULL for what is settled. */
const GONE = 1;
const NEW = 2;

export function claimOperations(db: Connection) {
  return {
    putClaims(claims) {
      const first = db.query('SELECT 1 FROM claim WHERE value = ? LIMIT 1');
      const insert = db.statement('INSERT INTO claim (value, owner, number, seq, unsettled) VALUES (?, ?, ?, ?, ?)');
      for (const { value, owner, number, seq } of claims) {
        const ownerNumber = db.owners.intern(owner);
        // Of most values nobody else knows.
        if (first.get(value) === undefined) insert.run(value, ownerNumber, number, seq, null);
        else putBesideOthers(db, value, ownerNumber, number, seq);
      }
    },

    dropClaims(claims) {
      const drop = db.statement(`UPDATE claim SET unsettled = ${GONE} WHERE value = ? AND owner = ? AND number = ?`);
      for (const { value, owner, number } of claims) drop.run(value, db.owners.find(owner), number);
    },

    dropAllClaims() {
      db.statement(`UPDATE claim SET unsettled = ${GONE}`).run();
    },

    unsettledClaims(limit) {
      return db
        .query(
          `SELECT ${COLUMNS} FROM claim INDEXED BY claim_unsettled
           WHERE unsettled IS NOT NULL ORDER BY unsettled, value LIMIT ?`,
        )
        .all(limit)
        .map((row) => claim(db, row));
    },

    claimants(values) {
      // From owner to owner: one may have a value in many entries.
      const next = db.query('SELECT owner, seq FROM claim WHERE value = ? AND owner > ? ORDER BY owner LIMIT 1');
      return values.map((value) => {
        const found: Claimant[] = [];
        for (let row = next.get(value, 0); row !== undefined; row = next.get(value, row[0])) {
          found.push({ owner: db.owners.nameOf(row[0] as number), seq: row[1] as number });
        }
        return found.sort((a, b) => a.seq - b.seq);
      });
    },

    claimsOf(value, owner, after, limit) {
      return db
        .query(`SELECT ${COLUMNS} FROM claim WHERE value = ? AND owner = ? AND number > ? ORDER BY number LIMIT ?`)
        .all(value, db.owners.find(owner), after, limit)
        .map((row) => claim(db, row));
    },

    settleClaims(claims) {
      const settle = db.statement(
        `UPDATE claim SET holder = ?, unsettled = nullif(unsettled, ${NEW}) WHERE value = ? AND owner = ? AND number = ?`,
      );
      for (const { value, owner, number, holder } of claims) {
        settle.run(holder === null ? null : db.owners.intern(holder), value, db.owners.find(owner), number);
      }
    },

    removeClaims(claims) {
      const remove = db.statement('DELETE FROM claim WHERE value = ? AND owner = ? AND number = ?');
      for (const { value, owner, number } of claims) remove.run(value, db.owners.find(owner), number);
    },

    waitingClaims(of, limit) {
      const { where, args } = waiting(db, of);
      return db
        .query(`SELECT ${COLUMNS} FROM claim ${where} LIMIT ?`)
        .all(...args, limit)
        .map((row) => claim(db, row));
    },

    countWaitingClaims(of) {
      const { where, args } = waiting(db, of);
      return Number(db.query(`SELECT count(*) FROM claim ${where}`).get(...args)?.[0] ?? 0);
    },
  } satisfies Partial<Operations>;
}

function putBesideOthers(db: Connection, value: Uint8Array, owner: number, number: number, seq: number): void {
  const probe = (than: '<' | '>') =>
    db.query(`SELECT 1 FROM claim WHERE value = ? AND owner ${than} ? LIMIT 1`).get(value, owner) !== undefined;
  const own = db.query('SELECT seq FROM claim WHERE value = ? AND owner = ? LIMIT 1').get(value, owner);
  db.statement(
    `INSERT INTO claim (value, owner, number, seq, unsettled) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET unsettled = excluded.unsettled`,
  ).run(value, owner, number, own?.[0] ?? seq, probe('<') || probe('>') ? NEW : null);
}

function waiting(db: Connection, { owner, holder }: { owner?: string; holder?: string }) {
  const [name, column] = owner === undefined ? [holder, 'holder'] : [owner, 'owner'];
  // Ascending by what the index says, so that nothing is sorted.
  if (name === undefined) return { where: 'INDEXED BY claim_holder WHERE holder IS NOT NULL', args: [] };
  const number = db.owners.find(name);
  return { where: `INDEXED BY claim_${column} WHERE ${column} = ? AND holder IS NOT NULL`, args: [number] };
}

function claim(db: Connection, row: RawRow): Claim {
  const [value, owner, number, seq, holder, unsettled] = row;
  return {
    value: value as Buffer,
    owner: db.owners.nameOf(owner as number),
    number: number as number,
    seq: seq as number,
    holder: holder === null ? null : db.owners.nameOf(holder as number),
    state: unsettled === null ? 'settled' : unsettled === GONE ? 'gone' : 'new',
  };
}
