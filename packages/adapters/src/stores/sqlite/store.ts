/**
 * The store in an SQLite file (see core/src/seams/store.ts). One connection writes, behind a queue; others read beside
 * it, each from a snapshot (write-ahead log); large transactions go to a thread with a connection of its own, in the
 * same queue.
 *
 *   transaction ──▶ queue ──▶ writer          (session.ts → operations.ts → SQL)
 *                     └─ large ──▶ worker thread
 *   read ───────────────────▶ readers
 */
import { dirname } from 'node:path';
import { DirpostError, type Store, type StoreTx, type TransactionOptions } from '@dirpost/core';
import { openConnection } from './connection.ts';
import { openError, requireExisting, storeError } from './errors.ts';
import { LargeExecutor } from './large.ts';
import { closedStore, createMemoryStore } from './memory.ts';
import { Queue } from './queue.ts';
import { Readers } from './readers.ts';
import { runTransaction, Session } from './session.ts';

export interface SqliteStoreOptions {
  /** The file, made where it does not exist; ":memory:" for a store that ends with the process. */
  path: string;
  /** For commands that look on while an agent may be running: transactions are refused, and the file must exist. */
  readOnly?: boolean;
  /** The file may not grow beyond this many pages of 4,096 bytes; then writing fails as on a full disk. */
  maxPages?: number;
}

/** Folding fewer pages than this into the file is not worth a message to the thread. */
const MIN_FOLDED_PAGES = 1_000;

/** Throws DirpostError store-newer, store-damaged, store-failed (a foreign file), file-missing, file-denied, file-failed. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  if (options.path === ':memory:') return createMemoryStore();
  return SqliteStore.open(options);
}

export class SqliteStore implements Store {
  readonly #writer: Session | undefined;
  readonly #large: LargeExecutor;
  readonly #readers: Readers;
  readonly #queue = new Queue();
  readonly #reading = new Set<Promise<unknown>>();
  #folding = false;
  #closing: Promise<void> | undefined;

  static open(options: SqliteStoreOptions): SqliteStore {
    requireExisting(dirname(options.path));
    if (options.readOnly === true) requireExisting(options.path);
    try {
      return new SqliteStore(options);
    } catch (error) {
      throw openError(error, options.path);
    }
  }

  private constructor({ path, readOnly = false, maxPages }: SqliteStoreOptions) {
    const limits = maxPages === undefined ? {} : { maxPages };
    // Opened in any case: it checks the file.
    const connection = openConnection(path, { ...limits, readOnly, cacheMib: 8 });
    if (readOnly) connection.close();
    else this.#writer = new Session(connection);
    this.#large = new LargeExecutor(path, { ...limits, cacheMib: 8 });
    this.#readers = new Readers(path);
  }

  async transaction<T>(work: (tx: StoreTx) => Promise<T>, { large = false }: TransactionOptions = {}): Promise<T> {
    if (this.#closing !== undefined) throw closedStore();
    const writer = this.#writer;
    if (writer === undefined) throw new DirpostError('wrong-use', 'The store was opened for reading only.');
    const result = await this.#queue.add(() => runTransaction(large ? this.#large : writer, 'write', work));
    void this.#foldLogWhenDue(writer);
    return result;
  }

  async read<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw closedStore();
    const result = this.#readers.run(work);
    this.#reading.add(result);
    try {
      return await result;
    } catch (error) {
      throw storeError(error);
    } finally {
      this.#reading.delete(result);
    }
  }

  /** Never throws: what is committed stays in the log, and a full or broken disk is told by the next transaction. */
  async #foldLogWhenDue(writer: Session): Promise<void> {
    if (this.#folding || this.#closing !== undefined) return;
    this.#folding = true;
    try {
      if (writer.connection.pendingLogPages() >= MIN_FOLDED_PAGES) await this.#large.foldLog();
    } catch {
    } finally {
      this.#folding = false;
    }
  }

  /** Waits for what was begun. The writer goes last: the last connection that may write folds the log into the file. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  async #end(): Promise<void> {
    await this.#queue.idle();
    await Promise.allSettled(this.#reading);
    await this.#large.close();
    this.#readers.close();
    this.#writer?.connection.close();
  }
}
