/**
 * One IMAP connection to the mailbox: TLS that is never skipped, the login, and limits on what the server may answer. What
 * the client does by itself (IDLE after a pause, compression) is left off, so that only mailbox.ts says what happens.
 */
import { rootCertificates } from 'node:tls';
import { DirpostError } from '@dirpost/core';
import type { ImapFlow } from 'imapflow';
import { readBounded } from '../../durable-file.ts';
import { isLoopbackHost } from './addresses.ts';
import { type ImapServer, imapFailed, imapFailure, isLoginRefused, serverOf } from './imap-failures.ts';
import type { Login } from './login.ts';
import type { Credentials, RefusedLogin } from './refused-login.ts';

const MAX_PEM_BYTES = 1024 * 1024;
/** The structure of one mail with thousands of parts, or the numbers of half a million mails. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
/** What is asked for at once is smaller; see CHUNK_BYTES in fetching.ts. */
const MAX_LITERAL_BYTES = 4 * 1024 * 1024;
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;

export interface ConnectionTimes {
  connectMs: number;
  /** Silence after which the server is asked whether it is still there, and again after which it is not. */
  silenceMs: number;
  /** IDLE is begun anew after this time: many servers and firewalls cut after 10 or 30 minutes. */
  idleMs: number;
}

export interface ConnectionOptions {
  server: ImapServer;
  login: Login;
  refused: RefusedLogin;
  /** PEM file, read anew for each connection. */
  ca: string | undefined;
  times: ConnectionTimes;
}

export class Connection {
  readonly client: ImapFlow;
  readonly server: ImapServer;
  /** Why it is of no use any more, where the client heard of it outside of a command. */
  brokenBy: Error | null = null;
  /** Response code (RFC 5530) of the last command that ended, such as OVERQUOTA; null: none. */
  lastCode: string | null = null;

  private constructor(client: ImapFlow, server: ImapServer) {
    this.client = client;
    this.server = server;
    // Without a listener an error would end the process.
    client.on('error', (error) => (this.brokenBy ??= error));
    client.on('response', ({ code }) => (this.lastCode = code?.toUpperCase() ?? null));
  }

  /** Throws DirpostError `transport-failed`, or what the signal says. A token that is refused is renewed once. */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    const { login, server, refused } = options;
    const attempt = async (renew: boolean): Promise<Connection> => {
      const credentials = await credentialsOf(login, server, renew);
      const before = refused.refuses(credentials);
      if (before !== null) throw before.why;
      try {
        return await Connection.#attempt(options, credentials, signal);
      } catch (error) {
        if (!isLoginRefused(error)) throw error;
        if (login.token !== undefined && !renew) return await attempt(true);
        refused.note(error, credentials);
        throw error;
      }
    };
    const connection = await attempt(false);
    refused.forget();
    return connection;
  }

  static async #attempt(
    options: ConnectionOptions,
    { user, ...secret }: Credentials,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { server } = options;
    const settings = await clientOptions(options);
    const auth = 'token' in secret ? { user, accessToken: secret.token } : { user, pass: secret.password };
    signal.throwIfAborted();
    const { ImapFlow } = await import('imapflow');
    const connection = new Connection(new ImapFlow({ ...settings, auth }), server);
    try {
      await whileOpen(connection.client, signal, connection.client.connect());
      return connection;
    } catch (error) {
      connection.client.close();
      signal.throwIfAborted();
      throw imapFailure(error, server, undefined, user);
    }
  }

  get isUsable(): boolean {
    return this.client.usable && this.brokenBy === null;
  }

  /** Also what is part of IMAP4rev2 (RFC 9051 appendix E) where that is spoken. */
  can(capability: string): boolean {
    const { capabilities, enabled } = this.client;
    const isRev2 = enabled.has('IMAP4REV2') || (capabilities.has('IMAP4rev2') && !capabilities.has('IMAP4rev1'));
    return capabilities.has(capability) || (isRev2 && ['IDLE', 'MOVE', 'UIDPLUS'].includes(capability));
  }

  /** Throws why the connection does not serve any more; `doing`: "wait for mail in INBOX". */
  check(doing: string): void {
    if (!this.isUsable) throw this.broken(doing);
  }

  broken(doing: string): DirpostError {
    if (this.brokenBy !== null) return imapFailure(this.brokenBy, this.server, doing);
    const said = this.client.byeReason === undefined ? '' : `: "${this.client.byeReason.slice(0, 200)}"`;
    const message = `The mail server ${serverOf(this.server.endpoint)} closed the connection${said}.`;
    return imapFailed(message, { isPassing: true, context: { server: serverOf(this.server.endpoint) } });
  }

  /** For commands of which the client says only that they were refused. */
  refused(doing: string): DirpostError {
    const server = serverOf(this.server.endpoint);
    const code = this.lastCode;
    const message = `The mail server ${server} did not let dirpost ${doing}${code === null ? '' : ` (${code})`}.`;
    const hint = code === 'OVERQUOTA' ? 'The mailbox is full: delete old mails, or raise its quota.' : undefined;
    return imapFailed(message, { ...(hint !== undefined && { hint }), context: { server, reason: code } });
  }

  close(): void {
    this.client.close();
  }

  /** With a word of farewell, if the server still listens. */
  async logout(): Promise<void> {
    if (this.isUsable) await this.client.logout().catch(() => {});
    this.client.close();
  }
}

/** Closes the connection when the signal aborts: that is the only way to end a command that is under way. */
export async function whileOpen<T>(client: ImapFlow, signal: AbortSignal, work: Promise<T>): Promise<T> {
  const close = () => client.close();
  signal.addEventListener('abort', close, { once: true });
  if (signal.aborted) close();
  try {
    return await work;
  } finally {
    signal.removeEventListener('abort', close);
  }
}

async function clientOptions({ server, ca, times }: ConnectionOptions) {
  const { host, port, tls } = server.endpoint;
  if (tls === 'none' && !isLoopbackHost(host)) {
    throw new DirpostError('config-invalid', `The mailbox at ${serverOf(server.endpoint)} is to be read without TLS.`, {
      retry: 'operator',
      hint: 'Set transports.mail.mailbox.tls to implicit or starttls; none is for this machine only.',
    });
  }
  const authorities = ca === undefined ? {} : { ca: [...rootCertificates, await readAuthority(ca)] };
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port,
    secure: tls === 'implicit',
    doSTARTTLS: tls === 'starttls' ? true : tls === 'none' ? false : undefined,
    tls: { ...authorities, minVersion: 'TLSv1.2' as const, rejectUnauthorized: true },
    logger: false as const,
    clientInfo: { name: 'dirpost', version: false as const, vendor: false as const, 'support-url': false as const },
    disableAutoIdle: true,
    disableCompression: true,
    disableBinary: true,
    connectionTimeout: times.connectMs,
    greetingTimeout: times.connectMs,
    socketTimeout: times.silenceMs,
    maxIdleTime: times.idleMs,
    maxLineLength: MAX_LINE_BYTES,
    maxLiteralSize: MAX_LITERAL_BYTES,
    maxResponseSize: MAX_RESPONSE_BYTES,
  };
}

/** The client takes an empty password for a missing one. */
async function credentialsOf(login: Login, { endpoint }: ImapServer, renew: boolean): Promise<Credentials> {
  const { user } = login;
  if (login.token !== undefined) return { user, token: await login.token(renew) };
  const password = (await login.password?.()) ?? '';
  if (password !== '') return { user, password };
  const hint = 'Put it where transports.mail.login says that it is.';
  throw imapFailed(`The password for the mailbox at ${serverOf(endpoint)} is empty.`, { retry: 'operator', hint });
}

async function readAuthority(path: string): Promise<Buffer> {
  try {
    return await readBounded(path, MAX_PEM_BYTES);
  } catch (cause) {
    const message = `The certificates of the authority in ${path} cannot be read.`;
    throw imapFailed(message, {
      retry: 'operator',
      hint: 'It is named in transports.mail.ca.',
      context: { path },
      cause,
    });
  }
}
