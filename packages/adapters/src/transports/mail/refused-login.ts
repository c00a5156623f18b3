/**
 * A login that was refused is not tried again with the same secret for a while: mail servers lock accounts. A secret that
 * was changed meanwhile is tried at once. Tokens are renewed all the time, so a new one says nothing.
 */
import { createHash } from 'node:crypto';
import type { DirpostError } from '@dirpost/core';

/** What is sent to log in. */
export type Credentials = { user: string; password: string } | { user: string; token: string };

export class RefusedLogin {
  readonly #pauseMs: number;
  readonly #nowMs: () => number;
  #last: { untilMs: number; secret: string; why: DirpostError } | null = null;

  constructor(pauseMs: number, nowMs: () => number) {
    this.#pauseMs = pauseMs;
    this.#nowMs = nowMs;
  }

  note(why: DirpostError, credentials: Credentials): void {
    this.#last = { untilMs: this.#nowMs() + this.#pauseMs, secret: hashOf(credentials), why };
  }

  /** What was refused, and how long nothing is tried; null: these may be tried. */
  refuses(credentials: Credentials): { why: DirpostError; leftMs: number } | null {
    if (this.#last === null) return null;
    const { untilMs, secret, why } = this.#last;
    const leftMs = untilMs - this.#nowMs();
    const isSame = 'token' in credentials || secret === hashOf(credentials);
    // A wait that is longer than it was thought to be was so before the clock went back.
    return isSame && leftMs > 0 && leftMs <= this.#pauseMs ? { why, leftMs } : null;
  }

  /** It worked, or a person wants to know. */
  forget(): void {
    this.#last = null;
  }
}

/** Not the secret itself is kept. */
function hashOf(credentials: Credentials): string {
  const secret = 'token' in credentials ? credentials.token : credentials.password;
  return createHash('sha256').update(`${credentials.user}\0${secret}`).digest('hex');
}
