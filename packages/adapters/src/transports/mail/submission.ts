/**
 * Sends mails through the own mail server (RFC 6409): few connections that are used again, no more mails a minute than
 * the server allows, and silence for a while where it asks for less. Nothing is queued here: a mail that cannot go now
 * fails now, and the agent, which has it durably, comes back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { DirpostError, isDirpostError } from '@dirpost/core';
import { isInternational } from './addresses.ts';
import type { Login } from './login.ts';
import type { Endpoint, SubmissionFacts } from './options.ts';
import { Pace, type PaceClock, Slots } from './pace.ts';
import type { Profile } from './profiles.ts';
import { type Credentials, RefusedLogin } from './refused-login.ts';
import { type SmtpContext, submissionFailed } from './smtp-failures.ts';
import { checkEndpoint, shownEndpoint, SmtpSession, type SmtpTimes } from './smtp-session.ts';

export interface SubmissionTimes extends SmtpTimes {
  /** A connection that has nothing to send is ended. */
  idleMs: number;
  /** Longest wait for the turn of a mail; beyond it `send` fails at once. */
  longestWaitMs: number;
  /** How long nothing is sent after the server asked for less, the first time; doubled up to the longest. */
  firstPauseMs: number;
  longestPauseMs: number;
  /** A login that was refused is not tried again with the same secret: servers lock accounts. */
  refusedLoginMs: number;
}

export const defaultSubmissionTimes: SubmissionTimes = {
  connectMs: 20_000,
  greetingMs: 30_000,
  silenceMs: 120_000,
  idleMs: 30_000,
  longestWaitMs: 60_000,
  firstPauseMs: 30_000,
  longestPauseMs: 15 * 60_000,
  refusedLoginMs: 5 * 60_000,
};

const systemClock: PaceClock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  },
};

export interface SubmissionOptions {
  endpoint: Endpoint;
  /** Own address, checked: the envelope sender. Never empty: bounces have to come back. */
  from: string;
  login: Login | null;
  ca?: string | undefined;
  profile: Profile;
  /** SIZE of each new connection, octets of a mail; null: none named. */
  onSize?: (maxMailBytes: number | null) => void;
  times?: Partial<SubmissionTimes>;
  clock?: PaceClock;
}

export class Submission {
  readonly #options: SubmissionOptions;
  readonly #server: string;
  readonly #times: SubmissionTimes;
  readonly #clock: PaceClock;
  readonly #pace: Pace;
  readonly #slots: Slots;
  readonly #refused: RefusedLogin;
  readonly #closed = new AbortController();
  readonly #open = new Set<SmtpSession>();
  readonly #idle = new Map<SmtpSession, NodeJS.Timeout>();
  #maxMailBytes: number | null = null;
  #paused: { untilMs: number; lengthMs: number; why: DirpostError } | null = null;

  /** Throws `transport-failed` for a server that would be used without TLS over a network. */
  constructor(options: SubmissionOptions) {
    checkEndpoint(options.endpoint);
    this.#options = options;
    this.#server = shownEndpoint(options.endpoint);
    this.#times = { ...defaultSubmissionTimes, ...options.times };
    this.#clock = options.clock ?? systemClock;
    const { mailsPerMinute, connections } = options.profile;
    this.#pace = new Pace(mailsPerMinute, this.#times.longestWaitMs, this.#server, this.#clock);
    this.#slots = new Slots(connections);
    this.#refused = new RefusedLogin(this.#times.refusedLoginMs, () => this.#clock.now());
  }

  /** SIZE (RFC 1870) as the server named it last, octets of a mail; null: none, or not asked yet. */
  get maxMailBytes(): number | null {
    return this.#maxMailBytes;
  }

  /**
   * Resolves after the server's last 250. `compose` is called once it is the mail's turn, so that waiting mails take no
   * memory; `to` is checked. Throws `transport-failed` (SmtpContext), or the signal's reason.
   */
  async send(compose: () => Promise<Buffer>, to: string, signal: AbortSignal): Promise<void> {
    const ending = AbortSignal.any([signal, this.#closed.signal]);
    ending.throwIfAborted();
    this.#checkPause();
    await this.#pace.take(ending);
    const giveBack = await this.#slots.take(ending);
    try {
      this.#checkPause();
      await this.#sendOver(await compose(), to, ending);
      // One that was under way already says nothing about later ones.
      if (this.#paused !== null && this.#paused.untilMs <= this.#clock.now()) this.#paused = null;
    } catch (error) {
      if (isDirpostError(error, 'transport-failed')) this.#noteSlowDown(error);
      throw error;
    } finally {
      giveBack();
    }
  }

  /** For `dirpost check`: connects and logs in, also while nothing is sent. */
  async look(signal: AbortSignal): Promise<SubmissionFacts> {
    const ending = AbortSignal.any([signal, this.#closed.signal]);
    this.#refused.forget();
    const giveBack = await this.#slots.take(ending);
    try {
      const session = await this.#connect(ending);
      this.#keep(session);
      return session.facts;
    } finally {
      giveBack();
    }
  }

  /** What is under way fails. */
  close(): void {
    const hint = 'It goes out when dirpost runs again.';
    const server = this.#server;
    this.#closed.abort(submissionFailed('The mail transport was closed.', 'later', hint, { server }));
    for (const session of this.#open) {
      if (this.#idle.has(session)) session.quit();
      else session.close();
      clearTimeout(this.#idle.get(session));
    }
    this.#idle.clear();
  }

  async #sendOver(mail: Buffer, to: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const session = this.#takeIdle() ?? (await this.#connect(signal));
      const wasUsed = session.sent > 0;
      try {
        this.#checkFits(mail, to, session.facts);
        await session.send(this.#options.from, to, mail, signal);
        this.#keep(session);
        return;
      } catch (error) {
        this.#keep(session);
        // The server had ended the connection while it was idle. A mail that arrives twice does no harm.
        if (wasUsed && !session.isOpen && isUnanswered(error) && !signal.aborted) continue;
        throw error;
      }
    }
  }

  #takeIdle(): SmtpSession | undefined {
    for (const [session, timer] of this.#idle) {
      clearTimeout(timer);
      this.#idle.delete(session);
      if (session.isOpen) return session;
      this.#open.delete(session);
    }
    return undefined;
  }

  #keep(session: SmtpSession): void {
    if (!session.isOpen || this.#closed.signal.aborted) {
      session.close();
      this.#open.delete(session);
      return;
    }
    const end = (): void => {
      this.#idle.delete(session);
      this.#open.delete(session);
      session.quit();
    };
    this.#idle.set(session, setTimeout(end, this.#times.idleMs).unref());
  }

  async #connect(signal: AbortSignal): Promise<SmtpSession> {
    const { endpoint, ca, login, profile, onSize } = this.#options;
    const open = async (isRenewed: boolean): Promise<SmtpSession> => {
      const credentials = login && (await credentialsOf(login, isRenewed));
      this.#checkRefused(credentials);
      try {
        return await SmtpSession.open({ endpoint, ca, credentials, profile, times: this.#times }, signal);
      } catch (error) {
        if (!isLoginRefused(error)) throw error;
        // A token may have ended before its time; a password is read anew with the next mail.
        if (login?.token !== undefined && !isRenewed) return await open(true);
        if (credentials !== null) this.#refused.note(error, credentials);
        throw error;
      }
    };
    const session = await open(false);
    this.#refused.forget();
    this.#open.add(session);
    this.#maxMailBytes = session.facts.maxMailBytes;
    onSize?.(this.#maxMailBytes);
    return session;
  }

  #checkFits(mail: Buffer, to: string, { capabilities, maxMailBytes }: SubmissionFacts): void {
    const server = this.#server;
    if (maxMailBytes !== null && mail.length > maxMailBytes) {
      const what = `A mail of ${mail.length} octets to ${to} is more than the ${maxMailBytes} that the mail server ${server} takes`;
      const hint = 'Message files are cut into smaller parts from now on; the larger one is replaced by itself.';
      throw submissionFailed(`${what}.`, 'never', hint, { server, recipient: to, isTooLarge: true });
    }
    // RFC 6531 §3.1
    if (!isInternational(to) && !isInternational(this.#options.from)) return;
    if (capabilities.some((line) => line.toUpperCase() === 'SMTPUTF8')) return;
    const address = isInternational(to) ? to : this.#options.from;
    const hint = 'Use an address in plain ASCII, or a mail server that offers SMTPUTF8.';
    const message = `The mail server ${server} does not take addresses like ${address}.`;
    throw submissionFailed(message, 'operator', hint, { server, recipient: to });
  }

  #checkPause(): void {
    if (this.#paused === null) return;
    const leftMs = this.#paused.untilMs - this.#clock.now();
    if (leftMs <= 0) return;
    const { why } = this.#paused;
    throw again(why, `Nothing is sent to the mail server for now. ${why.message}`, leftMs);
  }

  #noteSlowDown(why: DirpostError): void {
    const { isSlowDown, retryAfterS, reply, isAgain } = why.context as SmtpContext;
    if (isSlowDown !== true || isAgain === true) return;
    const now = this.#clock.now();
    // Others that were under way are told the same.
    if (this.#paused !== null && this.#paused.untilMs > now) return;
    const { firstPauseMs, longestPauseMs } = this.#times;
    const before = this.#paused?.lengthMs ?? 0;
    // A line that is down comes back by itself; a server that wants less is asked less and less often.
    const longerMs = reply === null ? firstPauseMs : Math.min(longestPauseMs, before * 2 || firstPauseMs);
    const lengthMs = Math.max(longerMs, (retryAfterS ?? 0) * 1000);
    this.#paused = { untilMs: now + lengthMs, lengthMs, why };
  }

  #checkRefused(credentials: Credentials | null): void {
    const before = credentials && this.#refused.refuses(credentials);
    if (before !== null) throw again(before.why, before.why.message, before.leftMs);
  }
}

async function credentialsOf({ user, password, token }: Login, isRenewed: boolean): Promise<Credentials> {
  if (token !== undefined) return { user, token: await token(isRenewed) };
  if (password !== undefined) return { user, password: await password() };
  throw new Error('a login has a password or a token');
}

function isLoginRefused(error: unknown): error is DirpostError {
  return isDirpostError(error, 'transport-failed') && error.context['isLoginRefused'] === true;
}

function isUnanswered(error: unknown): boolean {
  return isDirpostError(error, 'transport-failed') && error.context['reply'] === null;
}

/** The same trouble, told again without asking the server. */
function again(why: DirpostError, message: string, leftMs: number): DirpostError {
  const context = { ...why.context, retryAfterS: Math.ceil(leftMs / 1000), isAgain: true };
  return new DirpostError('transport-failed', message, {
    retry: why.retry,
    ...(why.hint !== undefined && { hint: why.hint }),
    context,
  });
}
