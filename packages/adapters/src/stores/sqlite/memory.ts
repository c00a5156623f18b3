/** A store in memory, for the simulation and for tests: cheap to open, deterministic, copied by its bytes. */
import assert from 'node:assert';
import { DirpostError, type Store, type StoreTx } from '@dirpost/core';
import { openMemory } from './connection.ts';
import { storeError } from './errors.ts';
import { Queue } from './queue.ts';
import { runTransaction, Session, type Mode } from './session.ts';

export class MemoryStore implements Store {
  readonly #session: Session;
  readonly #queue = new Queue();
  #closed = false;

  constructor(session: Session) {
    this.#session = session;
  }

  transaction<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    return this.#run('write', work);
  }

  /** One connection has one snapshot: reads wait for the writer here. */
  read<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    return this.#run('read', work);
  }

  /** All that is committed, as the bytes of an SQLite file; not to be called while a transaction is open. */
  serialize(): Uint8Array {
    assert(!this.#session.connection.db.inTransaction, 'a store is not serialized in the middle of a transaction');
    return this.#session.connection.db.serialize();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
    this.#session.connection.close();
  }

  async #run<T>(mode: Mode, work: (tx: StoreTx) => Promise<T>): Promise<T> {
    if (this.#closed) throw closedStore();
    return this.#queue.add(() => runTransaction(this.#session, mode, work));
  }
}

/** Empty, or a copy of what `serialize()` of another gave. */
export function createMemoryStore(image?: Uint8Array): MemoryStore {
  try {
    return new MemoryStore(new Session(openMemory(image)));
  } catch (error) {
    throw storeError(error);
  }
}

export function closedStore(): DirpostError {
  return new DirpostError('wrong-use', 'The store is closed.');
}
