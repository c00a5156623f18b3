/** Read-only connections, each of which holds one snapshot at a time; opened when needed, kept for the next reader. */
import type { StoreTx } from '@dirpost/core';
import { openConnection } from './connection.ts';
import { runTransaction, Session } from './session.ts';

/** Snapshots at the same time; more readers wait. */
const MAX_READERS = 4;

export class Readers {
  readonly #idle: Session[] = [];
  readonly #waiting: ((session: Session) => void)[] = [];
  #opened = 0;

  constructor(private readonly path: string) {}

  async run<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    const session = await this.#take();
    try {
      return await runTransaction(session, 'read', work);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(session);
      else next(session);
    }
  }

  /** The caller has awaited all reads. */
  close(): void {
    for (const session of this.#idle.splice(0)) session.connection.close();
    this.#opened = 0;
  }

  async #take(): Promise<Session> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#opened >= MAX_READERS) return new Promise((resolve) => this.#waiting.push(resolve));
    const session = new Session(openConnection(this.path, { readOnly: true, cacheMib: 4 }));
    this.#opened++;
    return session;
  }
}
