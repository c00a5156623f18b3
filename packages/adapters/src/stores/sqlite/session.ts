/**
 * One transaction after another on one connection, step by step. The main thread drives it directly, the worker thread
 * by messages; `runTransaction` is the same for both.
 */
import assert from 'node:assert';
import { DirpostError, type StoreTx } from '@dirpost/core';
import type { Connection } from './connection.ts';
import { storeError } from './errors.ts';
import { access, methods, operations, type Method } from './operations.ts';

export type Mode = 'read' | 'write';

/** What a transaction is made of; the steps of one are awaited in order. */
export interface Executor {
  begin(mode: Mode): void | Promise<void>;
  perform(method: Method, args: unknown[]): unknown;
  commit(): void | Promise<void>;
  /** Never throws: what caused it is what has to be told. */
  rollback(): void | Promise<void>;
}

export class Session implements Executor {
  readonly #perform: Record<Method, (...args: never[]) => unknown>;
  #mode: Mode = 'read';
  #failure: unknown;

  constructor(readonly connection: Connection) {
    this.#perform = operations(connection);
  }

  begin(mode: Mode): void {
    this.#mode = mode;
    this.#failure = undefined;
    this.#guarded(() => {
      this.connection.statement(mode === 'write' ? 'BEGIN IMMEDIATE' : 'BEGIN').run();
      // BEGIN takes no snapshot, the first read does.
      if (mode === 'read') this.connection.query('SELECT 1 FROM sqlite_schema LIMIT 1').get();
    });
  }

  perform(method: Method, args: unknown[]): unknown {
    if (this.#mode === 'read' && access[method] === 'writes') {
      throw new DirpostError('wrong-use', `A read transaction was asked to write (${method}).`);
    }
    if (this.#failure !== undefined) throw this.#failure;
    return this.#guarded(() => this.#perform[method](...(args as never[])));
  }

  commit(): void {
    // SQLite may have taken back everything already, and half a batch must not stay if the error was swallowed.
    if (this.#failure !== undefined) throw this.#failure;
    this.#guarded(() => this.connection.statement('COMMIT').run());
  }

  rollback(): void {
    this.connection.forgetNames();
    try {
      if (this.connection.db.inTransaction) this.connection.statement('ROLLBACK').run();
    } catch {
      // The transaction stays open then, and the next BEGIN says so.
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#failure = storeError(error);
      throw this.#failure;
    }
  }
}

/** Begin, work, commit; rolled back when `work` throws. */
export async function runTransaction<T>(executor: Executor, mode: Mode, work: (tx: StoreTx) => Promise<T>): Promise<T> {
  let open = true;
  const call = async (method: Method, args: unknown[]) => {
    assert(open, `${method} was called after its transaction had ended`);
    return executor.perform(method, args);
  };
  try {
    await executor.begin(mode);
    const result = await work(new CalledTx(call) as unknown as StoreTx);
    open = false;
    await executor.commit();
    return result;
  } catch (error) {
    open = false;
    await executor.rollback();
    throw error;
  }
}

/** A StoreTx whose methods all end in one function. */
class CalledTx {
  constructor(readonly call: (method: Method, args: unknown[]) => Promise<unknown>) {}
}

for (const method of methods) {
  Object.defineProperty(CalledTx.prototype, method, {
    value(this: CalledTx, ...args: unknown[]) {
      return this.call(method, args);
    },
  });
}
