/**
 * Threads that make the columns of large messages (T1, T2): encoding costs more than anything else on the way out, and each part
 * is encoded by itself. What they make is what the main thread would have made, octet for octet. They start with the first task,
 * never keep the process alive between tasks, and end when there was none for a while.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { DirpostError, type Limits } from '@dirpost/core';
import { type CarriedTask, carryTask, transferable } from './carried-task.ts';
import type { ColumnTask } from './kept-columns.ts';

/** Null: not worth passing on. */
export type ThreadAnswer = { columns: Uint8Array | null } | { failed: true };

export interface ThreadData {
  limits: Limits;
}

interface Job {
  carried: CarriedTask;
  resolve(answer: ThreadAnswer): void;
  reject(error: DirpostError): void;
}

interface Thread {
  worker: Worker;
  /** What it works on; null: it rests. */
  job: Job | null;
}

const IDLE_MS = 5_000;

export interface ThreadOptions {
  /** At most so many. */
  threads: number;
  limits: Limits;
  idleMs?: number;
}

export class EncodingThreads {
  readonly #options: ThreadOptions;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  #idle: NodeJS.Timeout | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
  }

  /** Threads that run. */
  get running(): number {
    return this.#threads.size;
  }

  /**
   * Null: not worth passing on. `failed`: whoever asked finds out why by making them himself. Throws DirpostError `interrupted`
   * where the thread ends meanwhile.
   */
  async make(task: ColumnTask): Promise<ThreadAnswer> {
    clearTimeout(this.#idle);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ carried: carryTask(task), resolve, reject });
      this.#next();
    });
  }

  /** For tests: as if they had no memory left. */
  async kill(): Promise<void> {
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    const resting = [...this.#threads].find(({ job }) => job === null);
    const thread = resting ?? (this.#threads.size < this.#options.threads ? this.#start() : undefined);
    if (thread === undefined) return;
    thread.job = this.#waiting.shift()!;
    const { carried } = thread.job;
    thread.worker.ref();
    thread.worker.postMessage(carried, transferable(carried));
  }

  #start(): Thread {
    const workerData: ThreadData = { limits: this.#options.limits };
    // execArgv: loaders and conditions of the process would lead the thread to sources that it cannot run.
    const worker = new Worker(workerFile(), { workerData, execArgv: [] });
    const thread: Thread = { worker, job: null };
    this.#threads.add(thread);
    let cause: unknown;
    worker.on('message', (answer: ThreadAnswer) => {
      const job = thread.job;
      this.#rest(thread);
      job?.resolve(answer);
    });
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => this.#ended(thread, cause));
    return thread;
  }

  #rest(thread: Thread): void {
    thread.job = null;
    thread.worker.unref();
    this.#next();
    if ([...this.#threads].some(({ job }) => job !== null)) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#endAll(), this.#options.idleMs ?? IDLE_MS).unref();
  }

  #endAll(): void {
    for (const { worker } of this.#threads) void worker.terminate();
    this.#threads.clear();
  }

  #ended(thread: Thread, cause: unknown): void {
    this.#threads.delete(thread);
    const message = 'A thread that encodes large messages has ended.';
    const hint = 'Nothing of the message was stored; it will be tried again. Is there too little memory?';
    thread.job?.reject(new DirpostError('interrupted', message, { retry: 'later', hint, cause }));
    this.#next();
  }
}

/** Node runs only built files in a thread, whatever runs this one. */
function workerFile(): string {
  const here = fileURLToPath(import.meta.url);
  const built = here.endsWith('.ts') ? here.replace(/([/\\]message[/\\])src([/\\])/, '$1dist$2') : here;
  return join(dirname(built), 'encoding-worker.js');
}
