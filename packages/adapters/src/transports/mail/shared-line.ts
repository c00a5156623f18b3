/**
 * One IMAP connection to the mailbox, used in turn by all who need it: made anew when it has died, given back when nobody
 * needs it, and left alone while the server asks for a pause.
 */
import type { DirpostError } from '@dirpost/core';
import { Connection, type ConnectionOptions, type ConnectionTimes, whileOpen } from './connection.ts';
import { type Folders, findFolders } from './folders.ts';
import { imapFailed, isAnswerTooLarge, isPassing, retryAfterMsOf, serverOf } from './imap-failures.ts';
import type { MailboxOptions } from './options.ts';
import { RefusedLogin } from './refused-login.ts';

/** A pause that is longer was so before the clock went back. */
const LONGEST_PAUSE_MS = 24 * 3_600_000;

export interface LineTimes extends ConnectionTimes {
  /** A connection that nobody watches is given back after this time. */
  unusedMs: number;
  /** See RefusedLogin. */
  refusedLoginMs: number;
}

export interface LineOptions extends Omit<ConnectionOptions, 'refused'> {
  mailbox: MailboxOptions;
  times: LineTimes;
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** Ends whatever is under way. */
  closed: AbortSignal;
  /** The connection is a new one. */
  onOpen(): Promise<void>;
}

export interface Line {
  connection: Connection;
  folders: Folders;
  /** It served before: what fails now may be because it died meanwhile. */
  isUsed: boolean;
}

export class SharedLine {
  /** Logins that are not tried for a while. */
  readonly refused: RefusedLogin;
  readonly #options: LineOptions;
  #line: Line | null = null;
  /** Ends when the last one who wanted a turn has had it. */
  #turns: Promise<void> = Promise.resolve();
  #watchers = 0;
  #asked = 0;
  #givingBack: NodeJS.Timeout | undefined;
  /** The server asked for a pause; until then nothing is asked. */
  #pause: { untilMs: number; because: DirpostError } | null = null;

  constructor(options: LineOptions) {
    this.#options = options;
    this.refused = new RefusedLogin(options.times.refusedLoginMs, options.nowMs);
  }

  /** Turns that were asked for so far. */
  get asked(): number {
    return this.#asked;
  }

  get isWatched(): boolean {
    return this.#watchers > 0;
  }

  /** Keeps the connection until what it returns is called. */
  watch(): () => void {
    this.#watchers++;
    return () => {
      this.#watchers--;
      this.#giveBackLater();
    };
  }

  /** After `closed`: when what was under way has ended. */
  async close(): Promise<void> {
    clearTimeout(this.#givingBack);
    const line = this.#line;
    this.#line = null;
    line?.connection.close();
    await this.#turns;
  }

  /** One at a time has the connection. Once more with a new one where the old one turns out to be dead. */
  async inTurn<T>(outer: AbortSignal, work: (line: Line) => Promise<T>): Promise<T> {
    const signal = AbortSignal.any([outer, this.#options.closed]);
    signal.throwIfAborted();
    this.#asked++;
    const before = this.#turns;
    let done = () => {};
    const own = new Promise<void>((resolve) => (done = resolve));
    this.#turns = before.then(() => own);
    clearTimeout(this.#givingBack);
    try {
      if (await endOf(before, signal)) signal.throwIfAborted();
      try {
        return await this.#withLine(signal, work);
      } catch (error) {
        if (!(error instanceof DeadLine)) throw error;
        return await this.#withLine(signal, work);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof DeadLine ? error.cause : error;
    } finally {
      done();
      this.#giveBackLater();
    }
  }

  async #withLine<T>(signal: AbortSignal, work: (line: Line) => Promise<T>): Promise<T> {
    this.#checkPause();
    let line: Line | null = null;
    try {
      line = await this.#open(signal);
      const { client } = line.connection;
      const result = await whileOpen(client, signal, work(line));
      line.isUsed = true;
      return result;
    } catch (error) {
      const { isUsed = false } = line ?? {};
      if (line !== null && !line.connection.isUsable) this.#drop(line);
      if (signal.aborted) throw error;
      const pauseMs = retryAfterMsOf(error);
      if (pauseMs !== undefined)
        this.#pause = { untilMs: this.#options.nowMs() + pauseMs, because: error as DirpostError };
      throw isUsed && isPassing(error) && !isAnswerTooLarge(error) ? new DeadLine(error) : error;
    }
  }

  async #open(signal: AbortSignal): Promise<Line> {
    if (this.#line?.connection.isUsable === true) return this.#line;
    if (this.#line !== null) this.#drop(this.#line);
    const connection = await Connection.open({ ...this.#options, refused: this.refused }, signal);
    try {
      const folders = await whileOpen(connection.client, signal, findFolders(connection, this.#options.mailbox));
      this.#line = { connection, folders, isUsed: false };
    } catch (error) {
      connection.close();
      throw error;
    }
    await this.#options.onOpen();
    return this.#line;
  }

  #drop(line: Line): void {
    line.connection.close();
    if (this.#line === line) this.#line = null;
  }

  #checkPause(): void {
    if (this.#pause === null) return;
    const leftMs = this.#pause.untilMs - this.#options.nowMs();
    if (leftMs > 0 && leftMs <= LONGEST_PAUSE_MS) {
      const message = `The mail server ${serverOf(this.#options.server.endpoint)} asked for a pause; dirpost goes on in ${Math.ceil(leftMs / 1000)} seconds.`;
      throw imapFailed(message, { retryAfterMs: leftMs, context: { because: this.#pause.because.message } });
    }
    this.#pause = null;
  }

  /** A mail server counts connections, and nobody needs this one until the next time. */
  #giveBackLater(): void {
    clearTimeout(this.#givingBack);
    if (this.#watchers > 0 || this.#line === null || this.#options.closed.aborted) return;
    this.#givingBack = setTimeout(() => {
      const line = this.#line;
      this.#line = null;
      void line?.connection.logout();
    }, this.#options.times.unusedMs);
    this.#givingBack.unref();
  }
}

/** The connection had died since it was last used. */
class DeadLine extends Error {
  constructor(cause: unknown) {
    super('the connection died', { cause });
  }
}

/** true: the signal aborted before that. Throws what the work throws. */
export async function endOf(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) {
    void work.catch(() => {});
    return true;
  }
  let stop = () => {};
  const aborted = new Promise<true>((resolve) => {
    stop = () => resolve(true);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work.then(() => false), aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
