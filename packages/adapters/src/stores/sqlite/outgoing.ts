/** Messages that wait to be delivered or acknowledged, and parts of arrived messages that wait for others. */
import type { Outgoing, OutgoingSummary, StagedPart } from '@dirpost/core';
import type { Connection, RawRow } from './connection.ts';
import type { Operations } from './operations.ts';

const MESSAGE_COLUMNS = [
  'id',
  'receiver',
  'kind',
  'for_incarnation',
  'incarnation',
  'number',
  'part',
  'parts',
  'created_ms',
  'delivered_ms',
  'attempts',
  'next_attempt_ms',
  'last_error',
];

const changeable = {
  deliveredMs: 'delivered_ms',
  attempts: 'attempts',
  nextAttemptMs: 'next_attempt_ms',
  lastError: 'last_error',
} as const;

export function outgoingOperations(db: Connection) {
  return {
    putOutgoing(message) {
      const set = MESSAGE_COLUMNS.slice(1).map((column) => `${column} = excluded.${column}`);
      const position = db
        .query(
          `INSERT INTO outgoing (${MESSAGE_COLUMNS.join(', ')}) VALUES (${MESSAGE_COLUMNS.map(() => '?').join(', ')})
           ON CONFLICT (id) DO UPDATE SET ${set.join(', ')} RETURNING position`,
        )
        .get(...messageValues(message))?.[0];
      db.statement(
        'INSERT INTO outgoing_payload VALUES (?, ?) ON CONFLICT DO UPDATE SET payload = excluded.payload',
      ).run(position, message.payload);
    },

    outgoing(filter = {}) {
      const { to, kind, undelivered = false } = filter;
      const conditions = ['true'];
      if (to !== undefined) conditions.push('receiver = ?');
      if (kind !== undefined) conditions.push('kind = ?');
      if (undelivered) conditions.push('delivered_ms IS NULL');
      return db
        .query(
          `SELECT ${MESSAGE_COLUMNS.join(', ')}, length(payload) FROM outgoing JOIN outgoing_payload USING (position)
           WHERE ${conditions.join(' AND ')} ORDER BY position`,
        )
        .all(...[to, kind].filter((value) => value !== undefined))
        .map(summary);
    },

    outgoingPayload(id) {
      const row = db.query('SELECT payload FROM outgoing JOIN outgoing_payload USING (position) WHERE id = ?').get(id);
      return row?.[0] as Buffer | undefined;
    },

    updateOutgoing(id, changes) {
      const named = (Object.keys(changeable) as (keyof typeof changeable)[]).filter(
        (key) => changes[key] !== undefined,
      );
      if (named.length === 0) return;
      const set = named.map((key) => `${changeable[key]} = ?`).join(', ');
      db.statement(`UPDATE outgoing SET ${set} WHERE id = ?`).run(...named.map((key) => changes[key]), id);
    },

    removeOutgoing(ids) {
      const remove = db.statement('DELETE FROM outgoing WHERE id = ?');
      for (const id of ids) remove.run(id);
    },

    putPart(part) {
      db.statement('INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING').run(
        part.from,
        part.kind,
        part.incarnation,
        part.number,
        part.part,
        part.parts,
        part.payload,
      );
    },

    parts(from, kind) {
      return db
        .query(
          `SELECT incarnation, number, part, parts FROM part
           WHERE sender = ? AND kind = ? ORDER BY number, part, incarnation`,
        )
        .all(from, kind)
        .map(
          (row): Omit<StagedPart, 'payload'> => ({
            from,
            kind,
            incarnation: row[0] as string,
            number: row[1] as number,
            part: row[2] as number,
            parts: row[3] as number,
          }),
        );
    },

    partPayload(from, kind, incarnation, number, part) {
      const row = db
        .query('SELECT payload FROM part WHERE sender = ? AND kind = ? AND incarnation = ? AND number = ? AND part = ?')
        .get(from, kind, incarnation, number, part);
      return row?.[0] as Buffer | undefined;
    },

    removeParts(from, kind, below) {
      if (below === undefined) db.statement('DELETE FROM part WHERE sender = ? AND kind = ?').run(from, kind);
      else db.statement('DELETE FROM part WHERE sender = ? AND kind = ? AND number < ?').run(from, kind, below);
    },
  } satisfies Partial<Operations>;
}

/** In the order of MESSAGE_COLUMNS. */
function messageValues(message: Outgoing): unknown[] {
  return [
    message.id,
    message.to,
    message.kind,
    message.forIncarnation,
    message.incarnation,
    message.number,
    message.part,
    message.parts,
    message.createdMs,
    message.deliveredMs,
    message.attempts,
    message.nextAttemptMs,
    message.lastError,
  ];
}

function summary(row: RawRow): OutgoingSummary {
  return {
    id: row[0] as string,
    to: row[1] as string,
    kind: row[2] as Outgoing['kind'],
    forIncarnation: row[3] as string | null,
    incarnation: row[4] as string,
    number: row[5] as number,
    part: row[6] as number,
    parts: row[7] as number,
    createdMs: row[8] as number,
    deliveredMs: row[9] as number | null,
    attempts: row[10] as number,
    nextAttemptMs: row[11] as number,
    lastError: row[12] as string | null,
    payloadBytes: row[13] as number,
  };
}
