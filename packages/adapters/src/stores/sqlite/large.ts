/**
 * Large transactions, seen from the main thread: each step is a message to a worker thread, which keeps the agent
 * responsive while thousands of rows are written. The thread starts with the first one, never keeps the process alive
 * between them, and ends when there was none for a while: an agent that waits needs no memory for it.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { DirpostError } from '@dirpost/core';
import { packList, unpack } from './columns.ts';
import type { ConnectionOptions } from './connection.ts';
import type { Method } from './operations.ts';
import type { Executor, Mode } from './session.ts';
import { carriedError, type Answer, type Call } from './worker-protocol.ts';

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const IDLE_MS = 20_000;

export class LargeExecutor implements Executor {
  #worker: Worker | undefined;
  #waiting: Waiting[] = [];
  #idle: NodeJS.Timeout | undefined;
  #inTransaction = false;

  constructor(
    private readonly path: string,
    private readonly options: ConnectionOptions,
    private readonly idleMs: number = IDLE_MS,
  ) {}

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  async begin(mode: Mode): Promise<void> {
    this.#inTransaction = true;
    this.#started().ref();
    try {
      await this.#send({ call: 'begin', mode });
    } catch (error) {
      this.#inTransaction = false;
      this.#rest();
      throw error;
    }
  }

  perform(method: Method, args: unknown[]): Promise<unknown> {
    return this.#send({ call: 'perform', method, args: packList(args) });
  }

  async commit(): Promise<void> {
    await this.#send({ call: 'commit' });
    this.#inTransaction = false;
    this.#rest();
  }

  async rollback(): Promise<void> {
    this.#inTransaction = false;
    // A thread that has died has taken its connection, and so its transaction, with it.
    if (this.#worker === undefined) return;
    await this.#send({ call: 'rollback' }).catch(async () => {
      await this.#worker?.terminate();
    });
    this.#rest();
  }

  /** Folds the log into the file. The process may end meanwhile: the log is then read when the store is opened again. */
  async foldLog(): Promise<void> {
    this.#started();
    await this.#send({ call: 'foldLog' });
    this.#rest();
  }

  /** The log may have been folded while a transaction runs, or before the end: they still need the thread. */
  #rest(): void {
    if (this.#inTransaction || this.#waiting.length > 0) return;
    this.#worker?.unref();
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#endIdle(), this.idleMs).unref();
  }

  /** Nothing is under way, so its answer to this is of no interest. */
  #endIdle(): void {
    const worker = this.#worker;
    if (worker === undefined || this.#waiting.length > 0) return;
    this.#worker = undefined;
    worker.postMessage({ call: 'close' } satisfies Call, []);
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.ref();
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    await this.#send({ call: 'close' });
    await ended;
  }

  #started(): Worker {
    clearTimeout(this.#idle);
    if (this.#worker !== undefined) return this.#worker;
    // execArgv: loaders and conditions of the process would lead the thread to sources that it cannot run.
    const worker = new Worker(workerFile(), {
      workerData: { path: this.path, options: this.options },
      execArgv: [],
      // It passes batches on and keeps nothing: a large nursery would only cost memory.
      resourceLimits: { maxYoungGenerationSizeMb: 12 },
    });
    this.#worker = worker;
    worker.unref();
    worker.on('message', (answer: Answer) => {
      if (this.#worker !== worker) return;
      const waiting = this.#waiting.shift();
      if ('error' in answer) waiting?.reject(carriedError(answer.error));
      else waiting?.resolve(answer.result === null ? undefined : unpack(answer.result));
    });
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#ended(cause);
    });
    return worker;
  }

  #ended(cause: unknown): void {
    this.#worker = undefined;
    const left = this.#waiting.splice(0);
    for (const waiting of left) {
      waiting.reject(
        new DirpostError('store-failed', 'The thread that writes large transactions has ended.', {
          retry: 'later',
          hint: 'Nothing of the transaction was stored; it will be tried again.',
          cause,
        }),
      );
    }
  }

  #send(call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#worker === undefined) {
        reject(
          new DirpostError('store-failed', 'The thread that writes large transactions has ended.', { retry: 'later' }),
        );
        return;
      }
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(call, call.call === 'perform' ? [call.args.octets] : []);
    });
  }
}

/** Node runs only built files in a thread, whatever runs this one. */
function workerFile(): string {
  const here = fileURLToPath(import.meta.url);
  const built = here.endsWith('.ts') ? here.replace(/([/\\])src([/\\]stores[/\\]sqlite[/\\])/, '$1dist$2') : here;
  return join(dirname(built), 'worker.js');
}
