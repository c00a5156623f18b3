/**
 * The mailbox that message files arrive in: one IMAP connection, used in turn by whoever watches, collects or looks, and
 * made anew when it has died.
 *
 *            ┌──────────── collect, look, prune: a turn of their own; they break IDLE ────────────┐
 *   watch ── select the inbox ── IDLE (or a look each minute) ── EXISTS ── wake ── … ── turn free ┘
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type DirpostError, isDirpostError } from '@dirpost/core';
import { AnswerLooks } from './answer-looks.ts';
import { Caution, collectMail, selectFolder } from './collect.ts';
import { Connection, type ConnectionTimes, whileOpen } from './connection.ts';
import { type Folders, findFolders } from './folders.ts';
import {
  imapFailed,
  imapFailure,
  type ImapServer,
  isAnswerTooLarge,
  isPassing,
  retryAfterMsOf,
  serverOf,
} from './imap-failures.ts';
import type { Login } from './login.ts';
import type { MailboxFacts, MailTransportOptions } from './options.ts';
import { profileOf } from './profiles.ts';
import { Seen } from './seen.ts';
import { pruneMails } from './upkeep.ts';

export interface MailboxHooks {
  /** A mail to that peer came back because it was too large for somebody on the way. `messageId`: of the message file. */
  tooLargeFor(peer: string, messageId: string | null): void;
}

export interface MailboxTimes extends ConnectionTimes {
  /** Where IDLE is missing. */
  pollMs: number;
  /** A connection that nobody watches is given back after this time. */
  unusedMs: number;
}

export interface MailboxDeps {
  times?: Partial<MailboxTimes>;
  /** Unix time in milliseconds. */
  nowMs?: () => number;
}

const MINUTE_MS = 60_000;
const UPKEEP_EVERY_MS = 24 * 60 * MINUTE_MS;
/** New connections of one call, for mails that the server describes in too many words. */
const MAX_NARROWINGS = 20;
/** A server that ends IDLE at once, this many times in a row, has none. */
const MAX_SHORT_IDLES = 5;
const SHORT_IDLE_MS = 1_000;

const defaultTimes: MailboxTimes = {
  connectMs: 30_000,
  silenceMs: 2 * MINUTE_MS,
  idleMs: 9 * MINUTE_MS,
  pollMs: MINUTE_MS,
  unusedMs: MINUTE_MS,
};

interface Line {
  connection: Connection;
  folders: Folders;
  /** It served before: what fails now may be because it died meanwhile. */
  isUsed: boolean;
}

export class Mailbox {
  readonly #options: MailTransportOptions;
  readonly #login: Login;
  readonly #hooks: MailboxHooks;
  readonly #server: ImapServer;
  readonly #times: MailboxTimes;
  readonly #nowMs: () => number;
  readonly #closed = new AbortController();
  readonly #caution = new Caution();
  readonly #answers = new AnswerLooks(() => this.#lookForMail(), this.#closed.signal);
  #line: Line | null = null;
  #seen: Promise<Seen> | null = null;
  /** Ends when the last one who wanted a turn has had it. */
  #turns: Promise<void> = Promise.resolve();
  #watchers = 0;
  /** Turns that were asked for so far. */
  #asked = 0;
  #givingBack: NodeJS.Timeout | undefined;
  /** The server asked for a pause; until then nothing is asked. */
  #pause: { untilMs: number; because: DirpostError } | null = null;

  constructor(options: MailTransportOptions, login: Login, hooks: MailboxHooks, deps: MailboxDeps = {}) {
    this.#options = options;
    this.#login = login;
    this.#hooks = hooks;
    this.#server = { endpoint: options.mailbox, profile: profileOf(options.profile) };
    this.#times = { ...defaultTimes, ...deps.times };
    this.#nowMs = deps.nowMs ?? Date.now;
  }

  /**
   * As Transport.collect: hands every message file that may be taken here to `spool`, and moves its mail after that.
   * Once a day old mails are deleted. Throws DirpostError `transport-failed`, and what `spool` throws.
   */
  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    let taken = 0;
    const counting = async (bytes: Uint8Array) => {
      const isTaken = await spool(bytes);
      if (isTaken) taken++;
      return isTaken;
    };
    for (let narrowings = 0; ; narrowings++) {
      try {
        await this.#inTurn(signal, (line) => this.#collect(line, counting));
        return taken;
      } catch (error) {
        if (narrowings >= MAX_NARROWINGS || !isAnswerTooLarge(error) || !this.#caution.narrow()) throw error;
      }
    }
  }

  async #collect({ connection, folders }: Line, spool: (bytes: Uint8Array) => Promise<boolean>): Promise<void> {
    const seen = await this.#openSeen();
    const nowMs = this.#nowMs();
    const { tooLargeFor } = this.#hooks;
    try {
      const options = this.#options;
      await collectMail({ connection, folders, options, seen, caution: this.#caution, nowMs, spool, tooLargeFor });
      if (Math.abs(nowMs - seen.upkeepAtMs) >= UPKEEP_EVERY_MS) {
        await this.#upkeep(connection, folders, nowMs);
        seen.upkeepAtMs = nowMs;
      }
    } finally {
      await seen.save();
    }
  }

  /** What is refused here can wait for a day. */
  async #upkeep(connection: Connection, folders: Folders, nowMs: number): Promise<void> {
    try {
      await this.#prune(connection, folders, nowMs);
    } catch (error) {
      if (!connection.isUsable || !isDirpostError(error) || retryAfterMsOf(error) !== undefined) throw error;
      this.#options.onProblem(error);
    }
  }

  /** Deletes old processed mails of ours. Resolves to how many. Throws DirpostError `transport-failed`. */
  async prune(nowMs: number, signal: AbortSignal): Promise<number> {
    return await this.#inTurn(signal, ({ connection, folders }) => this.#prune(connection, folders, nowMs));
  }

  async #prune(connection: Connection, folders: Folders, nowMs: number): Promise<number> {
    const { keepProcessedMs } = this.#options.mailbox;
    if (!folders.hasProcessed) return 0;
    return await pruneMails({ connection, folders, profile: this.#server.profile, keepProcessedMs, nowMs });
  }

  /**
   * Calls `wake` when mail has come into the inbox, until the signal aborts. Throws DirpostError `transport-failed` when
   * the connection breaks; what came before that is found by the next `collect`.
   */
  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    this.#watchers++;
    try {
      await this.#watch(wake, AbortSignal.any([signal, this.#closed.signal]));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#watchers--;
      this.#giveBackLater();
    }
  }

  async #watch(wake: () => void, signal: AbortSignal): Promise<void> {
    const { inbox } = this.#options.mailbox;
    const doing = `wait for mail in ${inbox}`;
    let wokenFor: { uidValidity: string; uidNext: number } | null = null;
    let shortIdles = 0;
    let listening: Listening | null = null;
    try {
      while (!signal.aborted) {
        const asked = this.#asked + 1;
        const idling = await this.#inTurn(signal, async ({ connection, folders }) => {
          if (listening?.connection !== connection) {
            listening?.stop();
            listening = new Listening(connection, folders.inbox, wake);
          }
          const folder = await selectFolder(connection, folders.inbox);
          const seen = await this.#openSeen();
          const mark = seen.mark(folders.inbox, { ...folder, atMs: this.#nowMs() });
          const isSame = wokenFor?.uidValidity === folder.uidValidity;
          const known = Math.max(mark?.uidNext ?? 1, isSame ? wokenFor!.uidNext : 1);
          if (folder.exists > 0 && folder.uidNext > known) wake();
          wokenFor = folder;
          // Begun within the turn, so that the commands of the next one come after it and break it.
          const hasIdle = connection.can('IDLE') && shortIdles < MAX_SHORT_IDLES;
          return { connection, done: hasIdle ? connection.client.idle() : sleep(this.#times.pollMs, signal) };
        });
        const sinceMs = Date.now();
        const isOver = await endOf(idling.done, signal);
        if (isOver) return stopIdle(idling.connection);
        idling.connection.check(doing);
        // One that a turn of ours has broken says nothing of the server.
        if (this.#asked === asked) shortIdles = Date.now() - sinceMs < SHORT_IDLE_MS ? shortIdles + 1 : 0;
      }
    } finally {
      (listening as Listening | null)?.stop();
    }
  }

  /** Something was sent that is answered at once: where somebody watches, he is to hear of the answer at once, too. */
  expectAnswer(): void {
    if (this.#watchers > 0 && this.#server.profile.tellsLate) this.#answers.expect();
  }

  /** RFC 9051 §6.1.2: whatever has come is told with the answer to NOOP, and the watch hears it. */
  async #lookForMail(): Promise<void> {
    if (this.#watchers > 0) await this.#inTurn(this.#closed.signal, ({ connection }) => connection.client.noop());
  }

  /** What a person wants to know. Makes and changes nothing in the mailbox. */
  async look(signal: AbortSignal): Promise<MailboxFacts> {
    return await this.#inTurn(signal, async ({ connection, folders }) => {
      const { client } = connection;
      const { exists } = await selectFolder(connection, folders.inbox);
      const quota = await client.getQuota(folders.inbox).catch((error: unknown) => {
        throw imapFailure(error, this.#server, 'ask for the quota');
      });
      const { usage, limit } = (quota !== false && quota !== undefined && quota.storage) || {};
      return {
        tls: (client.tls !== false && client.tls?.version) || null,
        capabilities: [...client.capabilities.keys()].sort(),
        folders: { inbox: folders.inbox, processed: folders.processed, junk: folders.junk },
        hasProcessed: folders.hasProcessed,
        hasIdle: connection.can('IDLE'),
        hasMove: connection.can('MOVE'),
        waiting: exists,
        clockDifferenceMs: null,
        quota: usage === undefined || limit === undefined ? null : { used: usage, limit },
      };
    });
  }

  /** Ends whatever is under way. */
  async close(): Promise<void> {
    clearTimeout(this.#givingBack);
    this.#closed.abort(imapFailed('The mail transport was closed.', { retry: 'never' }));
    const line = this.#line;
    this.#line = null;
    line?.connection.close();
    await this.#turns;
    await (await this.#seen)?.save();
  }

  /** One at a time has the connection. Once more with a new one where the old one turns out to be dead. */
  async #inTurn<T>(outer: AbortSignal, work: (line: Line) => Promise<T>): Promise<T> {
    const signal = AbortSignal.any([outer, this.#closed.signal]);
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
      if (pauseMs !== undefined) this.#pause = { untilMs: this.#nowMs() + pauseMs, because: error as DirpostError };
      throw isUsed && isPassing(error) && !isAnswerTooLarge(error) ? new DeadLine(error) : error;
    }
  }

  async #open(signal: AbortSignal): Promise<Line> {
    if (this.#line?.connection.isUsable === true) return this.#line;
    if (this.#line !== null) this.#drop(this.#line);
    const options = { server: this.#server, login: this.#login, ca: this.#options.ca, times: this.#times };
    const connection = await Connection.open(options, signal);
    try {
      const folders = await whileOpen(connection.client, signal, findFolders(connection, this.#options.mailbox));
      this.#line = { connection, folders, isUsed: false };
    } catch (error) {
      connection.close();
      throw error;
    }
    (await this.#openSeen()).offerAgain();
    return this.#line;
  }

  #drop(line: Line): void {
    line.connection.close();
    if (this.#line === line) this.#line = null;
  }

  #checkPause(): void {
    if (this.#pause === null) return;
    const leftMs = this.#pause.untilMs - this.#nowMs();
    if (leftMs > 0 && leftMs <= UPKEEP_EVERY_MS) {
      const message = `The mail server ${serverOf(this.#server.endpoint)} asked for a pause; dirpost goes on in ${Math.ceil(leftMs / 1000)} seconds.`;
      throw imapFailed(message, { retryAfterMs: leftMs, context: { because: this.#pause.because.message } });
    }
    this.#pause = null;
  }

  /** A mail server counts connections, and nobody needs this one until the next time. */
  #giveBackLater(): void {
    clearTimeout(this.#givingBack);
    if (this.#watchers > 0 || this.#line === null || this.#closed.signal.aborted) return;
    this.#givingBack = setTimeout(() => {
      const line = this.#line;
      this.#line = null;
      void line?.connection.logout();
    }, this.#times.unusedMs);
    this.#givingBack.unref();
  }

  async #openSeen(): Promise<Seen> {
    this.#seen ??= Seen.open(this.#options.folder);
    try {
      return await this.#seen;
    } catch (error) {
      this.#seen = null;
      throw error;
    }
  }
}

/** The connection had died since it was last used. */
class DeadLine extends Error {
  constructor(cause: unknown) {
    super('the connection died', { cause });
  }
}

/** Mail that comes while other folders are selected is found when the inbox is selected again. */
class Listening {
  readonly connection: Connection;
  readonly #onExists: (event: { path: string; count: number; prevCount: number }) => void;

  constructor(connection: Connection, inbox: string, wake: () => void) {
    this.connection = connection;
    this.#onExists = ({ path, count, prevCount }) => {
      if (path === inbox && count > prevCount) wake();
    };
    connection.client.on('exists', this.#onExists);
  }

  stop(): void {
    this.connection.client.off('exists', this.#onExists);
  }
}

/** Leaves the connection to others. A server that does not answer is not waited for. */
function stopIdle(connection: Connection): void {
  if (connection.isUsable) void connection.client.noop().catch(() => {});
}

/** true: the signal aborted before that. Throws what the work throws. */
async function endOf(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
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

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}
