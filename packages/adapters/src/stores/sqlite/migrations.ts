/**
 * The tables of the SQLite store, as numbered migrations. `user_version` of the file is the number of migrations that
 * it has been through; a migration that was released is never edited, a new one is appended.
 */
import type Database from 'better-sqlite3';
import { DirpostError } from '@dirpost/core';

/** "dpst": tells a dirpost store from any other SQLite file (SQLite file format §1.3.16). */
export const APPLICATION_ID = 0x64707374;

/**
 * `bytes` comes last, so that reading the other columns of a large entry does not walk its overflow pages.
 * AUTOINCREMENT: a number is never used again, not even after the table was cleared.
 */
const entryTable = (name: string) => `
  CREATE TABLE ${name} (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    owner INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    hash BLOB NOT NULL,
    peer_number INTEGER,
    introduced INTEGER NOT NULL,
    changed TEXT,
    note TEXT,
    bytes BLOB
  ) STRICT;
  CREATE UNIQUE INDEX ${name}_id ON ${name} (id);
  CREATE INDEX ${name}_deleted ON ${name} (owner) WHERE deleted = 1;`;

/** Names that stand in many rows are kept once; they are few and are never removed. */
const nameTable = (name: string) => `
  CREATE TABLE ${name} (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;`;

const first = `
  ${nameTable('owner')}
  ${nameTable('list')}
  ${nameTable('directory')}

  CREATE TABLE document (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  ${entryTable('published')}
  CREATE UNIQUE INDEX published_seq ON published (seq);
  ${entryTable('replica')}
  CREATE UNIQUE INDEX replica_peer ON replica (peer_number) WHERE peer_number IS NOT NULL;
  ${entryTable('collected')}
  CREATE UNIQUE INDEX collected_seq ON collected (seq);
  CREATE INDEX collected_peer ON collected (owner, peer_number);

  CREATE TABLE list_row (
    list INTEGER NOT NULL,
    number INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    has_left INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    entered_seq INTEGER NOT NULL,
    introduced INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (list, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX list_row_seq ON list_row (list, seq);
  -- A purge has to find the tombstones without passing over all live rows.
  CREATE INDEX list_row_left ON list_row (list, seq) WHERE has_left = 1;

  CREATE TABLE owner_sum (
    scope TEXT NOT NULL,
    owner INTEGER NOT NULL,
    digest BLOB NOT NULL,
    live INTEGER NOT NULL,
    PRIMARY KEY (scope, owner)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE checkpoint (
    scope TEXT NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (scope, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE outgoing (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    receiver TEXT NOT NULL,
    kind TEXT NOT NULL,
    for_incarnation TEXT,
    incarnation TEXT NOT NULL,
    number INTEGER NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    delivered_ms INTEGER,
    attempts INTEGER NOT NULL,
    next_attempt_ms INTEGER NOT NULL,
    last_error TEXT
  ) STRICT;
  CREATE INDEX outgoing_receiver ON outgoing (receiver);
  -- Apart from its row, so that noting an attempt does not write megabytes again.
  CREATE TABLE outgoing_payload (
    position INTEGER PRIMARY KEY REFERENCES outgoing ON DELETE CASCADE,
    payload BLOB NOT NULL
  ) STRICT;

  CREATE TABLE part (
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    number INTEGER NOT NULL,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (sender, kind, number, part, incarnation)
  ) STRICT;

  -- key: see staging.ts
  CREATE TABLE staged (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    hash BLOB NOT NULL,
    dn TEXT NOT NULL,
    member_dns TEXT,
    bytes BLOB NOT NULL
  ) STRICT;

  CREATE TABLE association (
    directory INTEGER NOT NULL,
    id BLOB NOT NULL,
    dn TEXT NOT NULL,
    normalized_dn TEXT NOT NULL,
    PRIMARY KEY (directory, id)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX association_dn ON association (directory, normalized_dn);`;

/**
 * Limits on effects (core/src/holds.ts). What is held is rare: the indexes are empty in ordinary times. The new columns
 * stand behind `bytes`, but a NULL is known from the head of the row, so its overflow pages are not walked for them.
 */
const heldColumns = (name: string) => `
  ALTER TABLE ${name} ADD COLUMN held INTEGER;
  ALTER TABLE ${name} ADD COLUMN held_members INTEGER;
  ALTER TABLE ${name} ADD COLUMN held_since INTEGER;
  ALTER TABLE ${name} ADD COLUMN held_approved INTEGER;
  ALTER TABLE ${name} ADD COLUMN shown BLOB;
  CREATE INDEX ${name}_held ON ${name} (held) WHERE held IS NOT NULL;
  CREATE INDEX ${name}_held_owner ON ${name} (held, owner) WHERE held IS NOT NULL;`;

const second = ['published', 'replica', 'collected'].map(heldColumns).join('');

/** Directories that are written entry by entry: what stands there. Few are refused. */
const third = `
  CREATE TABLE placed (
    directory INTEGER NOT NULL,
    id BLOB NOT NULL,
    dn TEXT,
    anchor TEXT,
    hash BLOB,
    refused_code TEXT,
    refused_reason TEXT,
    PRIMARY KEY (directory, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX placed_refused ON placed (directory, id) WHERE refused_code IS NOT NULL;`;

/**
 * Values that must be unique (core/src/claims.ts). Almost all claims are alone: neither unsettled nor waiting, and in none
 * of the indexes. The column `withheld` is as those about holding are.
 */
const fourth = `
  CREATE TABLE claim (
    value BLOB NOT NULL,
    owner INTEGER NOT NULL,
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    holder INTEGER,
    unsettled INTEGER,
    PRIMARY KEY (value, owner, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX claim_unsettled ON claim (unsettled, value) WHERE unsettled IS NOT NULL;
  CREATE INDEX claim_owner ON claim (owner) WHERE holder IS NOT NULL;
  CREATE INDEX claim_holder ON claim (holder) WHERE holder IS NOT NULL;
  ${['published', 'replica', 'collected'].map((name) => `ALTER TABLE ${name} ADD COLUMN withheld BLOB;`).join('')}`;

/** Associations: keys that stand for entries of other keys (T0), and entries of a directory that were there before dirpost (T3). */
const associations = `
  CREATE TABLE alias (
    directory INTEGER NOT NULL,
    key BLOB NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (directory, key)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX alias_id ON alias (directory, id);
  CREATE TABLE link (
    directory INTEGER NOT NULL,
    id BLOB NOT NULL,
    anchor TEXT NOT NULL,
    dn TEXT NOT NULL,
    state TEXT NOT NULL,
    found_by TEXT NOT NULL,
    PRIMARY KEY (directory, id, anchor)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX link_state ON link (directory, state, id);
  CREATE INDEX placed_anchor ON placed (anchor) WHERE anchor IS NOT NULL AND anchor <> '';`;

/** Directories of both ways: attributes whose changes by hand are seen. */
const watchedTable = `
  CREATE TABLE watched (
    directory INTEGER NOT NULL,
    id BLOB NOT NULL,
    written TEXT NOT NULL,
    kept TEXT,
    PRIMARY KEY (directory, id)
  ) STRICT, WITHOUT ROWID;`;

/** Edits by their targets (core/src/edits.ts): the column says of an edit what it is of, and is NULL in all other rows. */
const editTargets = ['published', 'replica', 'collected']
  .map(
    (name) => `
  ALTER TABLE ${name} ADD COLUMN target BLOB;
  CREATE INDEX ${name}_target ON ${name} (target, id) WHERE target IS NOT NULL;
  CREATE INDEX ${name}_edit ON ${name} (number) WHERE target IS NOT NULL;`,
  )
  .join('');

/** When what a directory refused is tried again. */
const refusedAgain = `
  ALTER TABLE placed ADD COLUMN refused_tries INTEGER;
  ALTER TABLE placed ADD COLUMN refused_due INTEGER;
  CREATE INDEX placed_due ON placed (directory, refused_due) WHERE refused_code IS NOT NULL;`;

/** Groups that stand in a directory without members who are not there. */
const lacksMembers = `
  ALTER TABLE placed ADD COLUMN lacks_members INTEGER;
  UPDATE placed SET lacks_members = 1 WHERE refused_code = 'membersMissing';`;

export const migrations: readonly string[] = [
  first,
  second,
  third,
  fourth,
  associations,
  watchedTable,
  editTargets,
  refusedAgain,
  lacksMembers,
];

/** Brings an empty or an older store to the present tables, in one transaction. */
export function migrate(db: Database.Database, steps: readonly string[] = migrations): void {
  if (versionOf(db, steps) === steps.length) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    // Asked again under the lock: another process may have migrated in between.
    for (const step of steps.slice(versionOf(db, steps))) db.exec(step);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${steps.length}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** For a store that is only read, and so cannot be migrated. */
export function requirePresentVersion(db: Database.Database, steps: readonly string[] = migrations): void {
  const version = versionOf(db, steps);
  if (version === steps.length) return;
  throw new DirpostError('store-failed', `The store has version ${version}; this program reads ${steps.length}.`, {
    retry: 'operator',
    hint: 'Start the agent of this version once: it brings the store up to date.',
    context: { version, known: steps.length },
  });
}

/** Number of migrations that the file has been through; throws for a foreign file and for one of a newer program. */
function versionOf(db: Database.Database, steps: readonly string[]): number {
  const version = db.pragma('user_version', { simple: true }) as number;
  const application = db.pragma('application_id', { simple: true }) as number;
  const empty = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (application !== APPLICATION_ID && !(empty && application === 0 && version === 0)) {
    throw new DirpostError('store-failed', 'The file is an SQLite database, but not a dirpost store.', {
      retry: 'operator',
      hint: 'Check the data folder in the configuration. The file was left as it is.',
      context: { application },
    });
  }
  if (version > steps.length) {
    throw new DirpostError(
      'store-newer',
      `The store has version ${version}; this program knows versions up to ${steps.length}.`,
      {
        retry: 'operator',
        hint: 'A newer dirpost has used this data folder: install that version or a later one.',
        context: { version, known: steps.length },
      },
    );
  }
  return version;
}
