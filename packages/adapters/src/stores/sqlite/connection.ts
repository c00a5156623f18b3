/**
 * One connection to one SQLite file, with its prepared statements and the names that it has seen. Everything here is
 * synchronous and throws the driver's errors; session.ts turns them into ours.
 */
import { chmodSync, closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { migrate, requirePresentVersion } from './migrations.ts';

export type Statement = Database.Statement<unknown[], unknown>;
/** A row as SQLite's columns in the order of the SELECT. */
export type RawRow = (number | string | Buffer | null)[];
export type RawStatement = Database.Statement<unknown[], RawRow>;

export interface ConnectionOptions {
  /** Given: nothing may be written, and the file must be there. */
  readOnly?: boolean;
  /** The file may not grow beyond this many pages of 4,096 bytes; then writing fails as on a full disk. */
  maxPages?: number;
  cacheMib?: number;
}

/** The wait for another process, such as a command that reads while a checkpoint runs. */
const BUSY_TIMEOUT_MS = 10_000;
/**
 * The log is folded into the file in the worker thread, after commits (store.ts): for scattered changes that costs more
 * than the commit itself. If that thread cannot follow, commits do it from this many pages on.
 */
const LAST_RESORT_LOG_PAGES = 16_384;
/** A log that a large transaction made longer than this is cut when it has been checkpointed. */
const MAX_LOG_BYTES = 64 * 1024 * 1024;

export class Connection {
  readonly owners = new Names(this, 'owner');
  readonly lists = new Names(this, 'list');
  readonly directories = new Names(this, 'directory');
  readonly #prepared = new Map<string, Statement>();

  constructor(readonly db: Database.Database) {}

  /** For what returns no rows. */
  statement(sql: string): Statement {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare<unknown[], unknown>(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }

  /** For what returns rows: arrays of columns, which cost half of what objects cost. */
  query(sql: string): RawStatement {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare<unknown[], unknown>(sql).raw();
      this.#prepared.set(sql, statement);
    }
    return statement as RawStatement;
  }

  /** Pages in the log that are not in the file yet. */
  pendingLogPages(): number {
    const [state] = this.db.pragma('wal_checkpoint(NOOP)') as { log: number; checkpointed: number }[];
    return state === undefined ? 0 : state.log - state.checkpointed;
  }

  /** Folds the log into the file, beside readers and writers, as far as no snapshot is in the way. */
  foldLog(): void {
    this.db.pragma('wal_checkpoint(PASSIVE)');
  }

  /** After a rollback: names that it took back must not be remembered. */
  forgetNames(): void {
    for (const names of [this.owners, this.lists, this.directories]) names.forget();
  }

  close(): void {
    this.#prepared.clear();
    this.db.close();
  }
}

/** Names that stand in the tables as small integers from 1. They are never removed, so what was once seen stays true. */
export class Names {
  readonly #numbers = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];

  constructor(
    private readonly connection: Connection,
    private readonly table: 'owner' | 'list' | 'directory',
  ) {}

  /** 0, which no row has, when the name does not occur. */
  find(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const row = this.connection.query(`SELECT number FROM ${this.table} WHERE name = ?`).get(name);
    return row === undefined ? 0 : this.#remember(row[0] as number, name);
  }

  intern(name: string): number {
    const found = this.find(name);
    if (found !== 0) return found;
    const { lastInsertRowid } = this.connection.statement(`INSERT INTO ${this.table} (name) VALUES (?)`).run(name);
    return this.#remember(Number(lastInsertRowid), name);
  }

  nameOf(number: number): string {
    const known = this.#names[number];
    if (known !== undefined) return known;
    const row = this.connection.query(`SELECT name FROM ${this.table} WHERE number = ?`).get(number);
    // A row that names nothing known: only a damaged file has that.
    if (row === undefined) throw new Database.SqliteError(`no ${this.table} ${number}`, 'SQLITE_CORRUPT');
    this.#remember(number, row[0] as string);
    return row[0] as string;
  }

  forget(): void {
    this.#numbers.clear();
    this.#names.length = 0;
  }

  #remember(number: number, name: string): number {
    this.#numbers.set(name, number);
    this.#names[number] = name;
    return number;
  }
}

/** Opens, checks and, if need be, migrates a store file. */
export function openConnection(path: string, options: ConnectionOptions = {}): Connection {
  const readonly = options.readOnly ?? false;
  if (!readonly) closeToOthers(path);
  const db = new Database(path, { readonly, fileMustExist: readonly, timeout: BUSY_TIMEOUT_MS });
  return closedOnFailure(db, () => {
    db.pragma(`cache_size = ${-1024 * (options.cacheMib ?? 16)}`);
    if (readonly) {
      requirePresentVersion(db);
      return;
    }
    migrateWithLog(db);
    // In WAL mode better-sqlite3 is compiled for NORMAL, with which a power cut may take back what was committed.
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.pragma(`wal_autocheckpoint = ${LAST_RESORT_LOG_PAGES}`);
    db.pragma(`journal_size_limit = ${MAX_LOG_BYTES}`);
    if (options.maxPages !== undefined) db.pragma(`max_page_count = ${options.maxPages}`);
  });
}

/** It holds people's entries. SQLite gives the files beside it the mode that this one has. */
function closeToOthers(path: string): void {
  try {
    // Never opened where it is there: closing a descriptor frees the locks that the process has on the file (fcntl(2)).
    closeSync(openSync(path, 'wx', 0o600));
  } catch {
    // Of another account, or a folder that may not be written: opening tells what matters of it.
    try {
      chmodSync(path, 0o600);
    } catch {}
  }
}

function migrateWithLog(db: Database.Database): void {
  // Before the journal mode: it is written into the file, and a foreign file is left as it is.
  migrate(db);
  db.pragma('journal_mode = WAL');
  // A connection opens the log with its first read, and only one that has it open folds it into the file when it closes.
  db.prepare('SELECT 1 FROM sqlite_schema').get();
}

/** A store in memory: empty, or a copy of `image`. */
export function openMemory(image: Uint8Array | undefined): Connection {
  const bytes = image ?? (emptyImage ??= makeEmptyImage());
  // The driver copies the bytes, so the image stays as it is.
  const db = new Database(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return closedOnFailure(db, () => {
    db.pragma('journal_mode = MEMORY');
    db.pragma('synchronous = OFF');
    db.pragma('foreign_keys = ON');
    migrate(db);
  });
}

/** Tables made once per process: thousands of stores in memory begin as copies of them. */
let emptyImage: Buffer | undefined;

function makeEmptyImage(): Buffer {
  const db = new Database(':memory:');
  // Small pages: an empty store is some 30 of them.
  db.pragma('page_size = 1024');
  migrate(db);
  const image = db.serialize();
  db.close();
  return image;
}

function closedOnFailure(db: Database.Database, prepare: () => void): Connection {
  try {
    prepare();
    return new Connection(db);
  } catch (error) {
    db.close();
    throw error;
  }
}
