/**
 * The mailbox that message files arrive in: whoever watches, collects or looks uses one connection in turn (shared-line.ts).
 *
 *            ┌──────────── collect, look, prune: a turn of their own; they break IDLE ────────────┐
 *   watch ── select the inbox ── IDLE (or a look each minute) ── EXISTS ── wake ── … ── turn free ┘
 */
import { setTimeout as pause } from 'node:timers/promises';
import { isDirpostError } from '@dirpost/core';
import { AnswerLooks } from './answer-looks.ts';
import { Caution, collectMail, selectFolder } from './collect.ts';
import type { Connection } from './connection.ts';
import type { Folders } from './folders.ts';
import { imapFailed, imapFailure, type ImapServer, isAnswerTooLarge, retryAfterMsOf } from './imap-failures.ts';
import type { Login } from './login.ts';
import type { MailboxFacts, MailTransportOptions } from './options.ts';
import { profileOf } from './profiles.ts';
import { Seen } from './seen.ts';
import { endOf, type Line, type LineTimes, SharedLine } from './shared-line.ts';
import { pruneMails } from './upkeep.ts';

export interface MailboxHooks {
  /**
   * A mail to that peer came back because it was too large for somebody on the way. `messageId`: of the message file. null:
   * parts are smaller from now on; else the octets of a mail that have to pass.
   */
  tooLargeFor(peer: string, messageId: string | null): number | null;
}

export interface MailboxTimes extends LineTimes {
  /** Where IDLE is missing. */
  pollMs: number;
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
  refusedLoginMs: 5 * MINUTE_MS,
};

export class Mailbox {
  readonly #options: MailTransportOptions;
  readonly #hooks: MailboxHooks;
  readonly #server: ImapServer;
  readonly #times: MailboxTimes;
  readonly #nowMs: () => number;
  readonly #closed = new AbortController();
  readonly #caution = new Caution();
  readonly #answers = new AnswerLooks(() => this.#lookForMail(), this.#closed.signal);
  readonly #line: SharedLine;
  #seen: Promise<Seen> | null = null;

  constructor(options: MailTransportOptions, login: Login, hooks: MailboxHooks, deps: MailboxDeps = {}) {
    this.#options = options;
    this.#hooks = hooks;
    this.#server = { endpoint: options.mailbox, profile: profileOf(options.profile) };
    this.#times = { ...defaultTimes, ...deps.times };
    this.#nowMs = deps.nowMs ?? Date.now;
    this.#line = new SharedLine({
      server: this.#server,
      mailbox: options.mailbox,
      login,
      ca: options.ca,
      times: this.#times,
      nowMs: this.#nowMs,
      closed: this.#closed.signal,
      onOpen: async () => (await this.#openSeen()).offerAgain(),
    });
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
        await this.#line.inTurn(signal, (line) => this.#collect(line, counting));
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
    return await this.#line.inTurn(signal, ({ connection, folders }) => this.#prune(connection, folders, nowMs));
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
    const leave = this.#line.watch();
    try {
      await this.#watch(wake, AbortSignal.any([signal, this.#closed.signal]));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      leave();
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
        const asked = this.#line.asked + 1;
        const idling = await this.#line.inTurn(signal, async ({ connection, folders }) => {
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
        if (this.#line.asked === asked) shortIdles = Date.now() - sinceMs < SHORT_IDLE_MS ? shortIdles + 1 : 0;
      }
    } finally {
      (listening as Listening | null)?.stop();
    }
  }

  /** Something was sent that is answered at once: where somebody watches, he is to hear of the answer at once, too. */
  expectAnswer(): void {
    if (this.#line.isWatched && this.#server.profile.tellsLate) this.#answers.expect();
  }

  /** RFC 9051 §6.1.2: whatever has come is told with the answer to NOOP, and the watch hears it. */
  async #lookForMail(): Promise<void> {
    if (this.#line.isWatched)
      await this.#line.inTurn(this.#closed.signal, ({ connection }) => connection.client.noop());
  }

  /** What a person wants to know. Makes and changes nothing in the mailbox. */
  async look(signal: AbortSignal): Promise<MailboxFacts> {
    this.#line.refused.forget();
    return await this.#line.inTurn(signal, async ({ connection, folders }) => {
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
        quota: usage === undefined || limit === undefined ? null : { used: usage, limit },
      };
    });
  }

  /** Ends whatever is under way. */
  async close(): Promise<void> {
    this.#closed.abort(imapFailed('The mail transport was closed.', { retry: 'never' }));
    await this.#line.close();
    await (await this.#seen)?.save();
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

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}
