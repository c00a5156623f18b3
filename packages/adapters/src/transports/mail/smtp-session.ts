/**
 * One connection to the mail server: connected, with TLS, logged in; then one mail after another. nodemailer speaks SMTP
 * on a socket that is opened here, so that the time to connect and the time to the greeting are two limits.
 *
 *   open() ─ TCP ─ TLS or EHLO + STARTTLS ─ login ─▶ send() … send() ─▶ quit() or close()
 */
import { connect, type Socket } from 'node:net';
import { rootCertificates, TLSSocket } from 'node:tls';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionCustomAuthHandler, SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import { isDirpostError } from '@dirpost/core';
import { readBounded } from '../../durable-file.ts';
import { isLoopbackHost } from './addresses.ts';
import type { Endpoint, SubmissionFacts } from './options.ts';
import type { Profile } from './profiles.ts';
import type { Credentials } from './refused-login.ts';
import { type Attempt, smtpFailure, submissionFailed } from './smtp-failures.ts';

const MAX_PEM_BYTES = 1024 * 1024;
const MAX_REPLY_BYTES = 64 * 1024;
const GOODBYE_MS = 2_000;

export interface SmtpTimes {
  /** Until the TCP connection stands. */
  connectMs: number;
  /** From there to the greeting, and for TLS. */
  greetingMs: number;
  /** Without an octet in either direction. */
  silenceMs: number;
}

export interface SessionOptions {
  endpoint: Endpoint;
  /** PEM file; read anew for each connection. */
  ca?: string | undefined;
  credentials: Credentials | null;
  profile: Profile;
  times: SmtpTimes;
}

export class SmtpSession {
  readonly facts: SubmissionFacts;
  /** How many mails it took. */
  sent = 0;
  readonly #connection: SMTPConnection;
  readonly #attempt: Attempt;
  #isEnded = false;
  #isClean = true;

  /** Throws `transport-failed`, or the signal's reason. */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<SmtpSession> {
    const { endpoint, credentials, profile } = options;
    const attempt: Attempt = {
      server: shownEndpoint(endpoint),
      profile,
      step: 'connect',
      user: credentials?.user ?? null,
      recipient: null,
      secrets: secretsOf(credentials),
    };
    try {
      checkEndpoint(endpoint);
      const opened = await openConnection(options, signal);
      const session = new SmtpSession(opened.connection, opened.greeting(), attempt);
      try {
        if (credentials !== null) await session.#login(credentials, signal);
      } catch (error) {
        session.close();
        throw error;
      }
      return session;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw smtpFailure(error, attempt);
    }
  }

  private constructor(connection: SMTPConnection, greeting: string, attempt: Attempt) {
    this.#connection = connection;
    this.#attempt = attempt;
    this.facts = factsOf(connection, greeting);
    connection.on('error', () => {});
    connection.once('end', () => {
      this.#isEnded = true;
    });
  }

  get isOpen(): boolean {
    return !this.#isEnded;
  }

  /** Resolves after the server's last word: it has the mail. Throws `transport-failed`, or the signal's reason. */
  async send(from: string, to: string, mail: Buffer, signal: AbortSignal): Promise<void> {
    const attempt: Attempt = { ...this.#attempt, step: 'send', recipient: to };
    try {
      if (!this.#isClean) await step(this.#connection, signal, (done) => this.#connection.reset(done));
      this.#isClean = false;
      const envelope = { from, to: [to], size: mail.length };
      await step(this.#connection, signal, (done) => this.#connection.send(envelope, mail, done));
      this.#isClean = true;
      this.sent++;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw smtpFailure(error, attempt);
    }
  }

  /** Says goodbye; does not wait for the answer. */
  quit(): void {
    if (!this.isOpen) return;
    this.#connection.quit();
    setTimeout(() => this.close(), GOODBYE_MS).unref();
  }

  close(): void {
    this.#connection.close();
  }

  async #login(credentials: Credentials, signal: AbortSignal): Promise<void> {
    const attempt: Attempt = { ...this.#attempt, step: 'login' };
    const { user } = credentials;
    const isToken = 'token' in credentials;
    const method = isToken ? tokenMethod(this.facts) : undefined;
    if (!this.#connection.allowsAuth || method === null) throw this.#noLogin(isToken);
    const pass = isToken ? credentials.token : credentials.password;
    const auth = { user, pass, ...(method !== undefined && { method }) };
    try {
      await step(this.#connection, signal, (done) => this.#connection.login(auth, done));
    } catch (error) {
      throw isDirpostError(error) ? error : smtpFailure(error, attempt);
    }
  }

  #noLogin(isToken: boolean) {
    const { server } = this.#attempt;
    const what = isToken ? 'login with a token (XOAUTH2, OAUTHBEARER)' : 'login';
    const hint =
      'Look at the port: 587 or 465 is for submission, 25 is not. A relay that wants no login needs none configured.';
    return submissionFailed(`The mail server ${server} offers no ${what}.`, 'operator', hint, { server });
  }
}

export function shownEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]:${port}` : `${host}:${port}`;
}

/** Throws `transport-failed`: nothing is sent in the clear over a network. */
export function checkEndpoint(endpoint: Endpoint): void {
  if (endpoint.tls !== 'none' || isLoopbackHost(endpoint.host)) return;
  const server = shownEndpoint(endpoint);
  const hint = 'Set tls to implicit or starttls. Without TLS only a mail server on this machine is used.';
  throw submissionFailed(`The mail server ${server} would be used over the network without TLS.`, 'operator', hint, {
    server,
  });
}

async function openConnection(options: SessionOptions, signal: AbortSignal) {
  const { endpoint, ca, times } = options;
  const { connectMs, greetingMs, silenceMs } = times;
  const { default: Connection } = await import('nodemailer/lib/smtp-connection');
  const authority =
    ca === undefined || endpoint.tls === 'none' ? {} : { ca: [...rootCertificates, await readAuthority(ca, endpoint)] };
  const host = endpoint.host.replace(/^\[|\]$/g, '');
  const socket = await openSocket(host, endpoint.port, connectMs, signal);
  let greeting = '';
  const settings: SMTPConnectionOptions = {
    host,
    port: endpoint.port,
    connection: socket,
    secure: endpoint.tls === 'implicit',
    requireTLS: endpoint.tls === 'starttls',
    ignoreTLS: endpoint.tls === 'none',
    tls: { minVersion: 'TLSv1.2', ...authority },
    connectionTimeout: connectMs + greetingMs,
    greetingTimeout: greetingMs,
    socketTimeout: silenceMs,
    socketCloseTimeout: 0,
    maxResponseSize: MAX_REPLY_BYTES,
    customAuth: { XOAUTH2: sendToken, OAUTHBEARER: sendToken },
    transactionLog: true,
    // The one way to see the greeting: the first line that the server says.
    logger: {
      debug({ tnx }: { tnx?: string }, line: string) {
        if (tnx === 'server' && greeting === '') greeting = line;
      },
      trace() {},
      info() {},
      warn() {},
      error() {},
      fatal() {},
    },
  };
  const connection = new Connection(settings);
  connection.on('error', () => {});
  try {
    await step(connection, signal, (done) => connection.connect(done));
  } catch (error) {
    connection.close();
    throw error;
  }
  return { connection, greeting: () => greeting };
}

async function readAuthority(path: string, endpoint: Endpoint): Promise<Buffer> {
  try {
    return await readBounded(path, MAX_PEM_BYTES);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const server = shownEndpoint(endpoint);
    throw submissionFailed(reason, 'operator', 'It is named in transports.mail.ca.', { server });
  }
}

async function openSocket(host: string, port: number, connectMs: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connect({ host, port });
  return await new Promise<Socket>((resolve, reject) => {
    const settle = (error?: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      if (error === undefined) return resolve(socket);
      // What it still reports matters to nobody.
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => settle(signal.reason);
    const timer = setTimeout(() => settle(Object.assign(new Error('no connection'), { code: 'ETIMEDOUT' })), connectMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => settle());
    socket.once('error', settle);
  });
}

/** One command of nodemailer, ended also by what it tells in events only, and by the signal. */
async function step(
  connection: SMTPConnection,
  signal: AbortSignal,
  start: (done: (error?: unknown) => void) => void,
): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: unknown): void => {
      connection.off('error', settle);
      connection.off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      if (error == null) resolve();
      else reject(error);
    };
    const onEnd = (): void => {
      // A reply and the end come together; the reply says more.
      setImmediate(settle, Object.assign(new Error('Connection closed'), { code: 'ECONNECTION' }));
    };
    const onAbort = (): void => {
      settle(signal.reason);
      connection.close();
    };
    connection.on('error', settle);
    connection.once('end', onEnd);
    signal.addEventListener('abort', onAbort, { once: true });
    start(settle);
  });
}

function factsOf(connection: SMTPConnection, greeting: string): SubmissionFacts {
  const answer = connection.lastServerResponse || '';
  // RFC 5321 §4.1.1.1: the first line greets, each other one names an extension.
  const capabilities = answer
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.replace(/^\d{3}[ -]/, '').trim())
    .filter((line) => line !== '');
  const size = capabilities.map((line) => /^SIZE (\d{1,15})$/i.exec(line)?.[1]).find((found) => found !== undefined);
  const socket = connection._socket;
  return {
    tls: socket instanceof TLSSocket ? socket.getProtocol() : null,
    capabilities,
    // RFC 1870 §3: 0 says that there is no limit.
    maxMailBytes: size === undefined || Number(size) === 0 ? null : Number(size),
    greeting: greeting.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300),
  };
}

/** null: the server knows neither. */
function tokenMethod({ capabilities }: SubmissionFacts): 'XOAUTH2' | 'OAUTHBEARER' | null {
  const words = capabilities
    .filter((line) => /^AUTH[ =]/i.test(line))
    .flatMap((line) => line.toUpperCase().split(/[ =]+/));
  return (['XOAUTH2', 'OAUTHBEARER'] as const).find((method) => words.includes(method)) ?? null;
}

const sendToken: SMTPConnectionCustomAuthHandler = async ({ auth, method, sendCommand }) => {
  const { user, pass } = auth.credentials;
  const isBearer = method === 'OAUTHBEARER';
  const first = Buffer.from(isBearer ? bearerAnswer(user, pass) : xoauth2Answer(user, pass)).toString('base64');
  let answer = await sendCommand(`AUTH ${method} ${first}`);
  // RFC 7628 §3.2.3: why it is refused comes as a challenge, and the refusal after an answer to that.
  if (answer.status === 334) answer = await sendCommand(isBearer ? 'AQ==' : '');
  if (answer.status !== 235) throw new Error('refused');
};

function bearerAnswer(user: string, token: string): string {
  // RFC 5801 §4: = and , in a name.
  return `n,a=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},\x01auth=Bearer ${token}\x01\x01`;
}

function xoauth2Answer(user: string, token: string): string {
  return `user=${user}\x01auth=Bearer ${token}\x01\x01`;
}

function secretsOf(credentials: Credentials | null): string[] {
  if (credentials === null) return [];
  const { user } = credentials;
  const plain =
    'token' in credentials
      ? [credentials.token, bearerAnswer(user, credentials.token), xoauth2Answer(user, credentials.token)]
      : [credentials.password, `\0${user}\0${credentials.password}`];
  return plain.flatMap((secret) => [Buffer.from(secret).toString('base64'), secret]);
}
