/**
 * What went wrong on the way to the mailbox or in it, in words for somebody who has to find out at night whether it is the
 * line, the login, the configuration or the mail server. The table from errors of the IMAP client to ours; those of names,
 * sockets and TLS are in line-failures.ts. No secret is in any of it.
 */
import { DirpostError, isDirpostError, type Retry } from '@dirpost/core';
import { oneLine } from './header-fields.ts';
import { lineFailure } from './line-failures.ts';
import type { Endpoint } from './options.ts';
import { type Profile, profileBackoff } from './profiles.ts';

export interface ImapFailureDetails {
  retry?: Retry;
  hint?: string;
  /** The connection is gone, and a new one may do: nothing was refused. */
  isPassing?: boolean;
  /** The server asked for a pause. */
  retryAfterMs?: number;
  context?: Record<string, unknown>;
  cause?: unknown;
}

export function imapFailed(message: string, details: ImapFailureDetails = {}): DirpostError {
  const { retry = 'later', hint, isPassing = false, retryAfterMs, context, cause } = details;
  return new DirpostError('transport-failed', message, {
    retry,
    ...(hint !== undefined && { hint }),
    context: { ...context, isPassing, ...(retryAfterMs !== undefined && { retryAfterMs }) },
    cause,
  });
}

/** Whether a new connection is worth a try right away. */
export function isPassing(error: unknown): boolean {
  return isDirpostError(error, 'transport-failed') && error.context['isPassing'] === true;
}

export function retryAfterMsOf(error: unknown): number | undefined {
  const after = isDirpostError(error, 'transport-failed') ? error.context['retryAfterMs'] : undefined;
  return typeof after === 'number' ? after : undefined;
}

type Row = [explanation: string, details?: Omit<ImapFailureDetails, 'cause' | 'context'>];

const checkPort = {
  retry: 'operator',
  hint: 'Look at host, port and tls of transports.mail.mailbox: 993 goes with implicit, 143 with starttls.',
} as const;
const cut: Row = ['the connection was cut', { isPassing: true }];
const silent: Row = ['it does not answer', { hint: 'The line is down, or a firewall drops what goes to that port.' }];
const tooMuch: Row = ['it answered with more than anything that was asked for', { isPassing: true }];

/** By `code` of the client. */
const table: Record<string, Row> = {
  CONNECT_TIMEOUT: silent,
  ETIMEOUT: [silent[0], { ...silent[1], isPassing: true }],
  GREETING_TIMEOUT: ['it does not greet as an IMAP server', checkPort],
  UPGRADE_TIMEOUT: ['it does not answer in TLS', checkPort],
  ClosedAfterConnectTLS: ['it closed the connection at once', checkPort],
  ClosedAfterConnectText: ['it closed the connection at once', checkPort],
  STARTTLS_INJECTION: [
    'something on the way puts words into the connection before TLS begins',
    { retry: 'operator', hint: 'Use implicit TLS (port 993), and find out what stands between here and there.' },
  ],
  ECONNRESET: cut,
  EPIPE: cut,
  NoConnection: cut,
  EConnectionClosed: cut,
  StateLogout: cut,
  InvalidResponse: cut,
  UnexpectedTag: cut,
  ResponseProcessingFailed: cut,
  LineTooLarge: tooMuch,
  LiteralTooLarge: tooMuch,
  ResponseTooLarge: tooMuch,
};

/** The connection broke over an answer that one mail made too large: others can still be read. */
export function isAnswerTooLarge(error: unknown): boolean {
  const code = isDirpostError(error) ? error.context['reason'] : (error as { code?: unknown } | null)?.code;
  return code === 'LineTooLarge' || code === 'LiteralTooLarge' || code === 'ResponseTooLarge';
}

/** What the IMAP client adds to its errors. */
interface ClientError extends Error {
  code?: string;
  responseStatus?: string;
  responseText?: string;
  response?: unknown;
  serverResponseCode?: string;
  authenticationFailed?: boolean;
  tlsFailed?: boolean;
  throttleReset?: number;
  mailboxMissing?: boolean;
}

export interface ImapServer {
  endpoint: Endpoint;
  profile: Profile;
}

/** What the failure is about: the server, and what was being done, such as "open the folder INBOX". */
interface Circumstances {
  server: string;
  said: string;
  doing: string | undefined;
  user: string | undefined;
  context: Record<string, unknown>;
}

/** An error of ours passes. `user`: who was to log in. */
export function imapFailure(
  cause: unknown,
  { endpoint, profile }: ImapServer,
  doing?: string,
  user?: string,
): DirpostError {
  if (isDirpostError(cause)) return cause;
  const error = (cause instanceof Error ? cause : new Error(String(cause))) as ClientError;
  const server = serverOf(endpoint);
  const said = saidBy(error);
  const reason = error.serverResponseCode ?? error.code ?? error.responseStatus ?? null;
  const at: Circumstances = { server, said, doing, user, context: { server, reason } };
  const pauseMs = error.throttleReset ?? profileBackoff(profile, `${error.serverResponseCode ?? ''} ${said}`);
  if (error.authenticationFailed === true) return loginFailure(error, at, pauseMs);
  if (pauseMs !== null) return slowDown(pauseMs, at);
  if (error.tlsFailed === true && error.code === undefined) {
    const hint = 'Ask its administrator for TLS; without it nothing is sent, not even the login.';
    return imapFailed(`The mail server ${server} does not do STARTTLS.`, { retry: 'operator', hint, ...at, cause });
  }
  const row = table[error.code ?? ''];
  if (row !== undefined) return imapFailed(`${told(at)}: ${row[0]}.`, { ...row[1], context: at.context, cause });
  if (error.responseStatus === undefined && error.code !== undefined) {
    const { why, retry, hint } = lineFailure(cause);
    return imapFailed(`${told(at)}: ${why}.`, { retry, ...(hint && { hint }), context: at.context, cause });
  }
  return refusal(error, at);
}

function told({ server, doing }: Circumstances): string {
  return doing === undefined
    ? `The mail server ${server} could not be reached`
    : `The mail server ${server} did not let dirpost ${doing}`;
}

function slowDown(pauseMs: number, { server, said, context }: Circumstances): DirpostError {
  const message = `The mail server ${server} asks for a pause of ${Math.ceil(pauseMs / 1000)} seconds${quoted(said)}.`;
  const hint = 'dirpost goes on by itself then. If it happens often, give dirpost a mailbox that nothing else uses.';
  return imapFailed(message, { hint, retryAfterMs: pauseMs, context });
}

function loginFailure(error: ClientError, at: Circumstances, pauseMs: number | null): DirpostError {
  const { server, said, user, context } = at;
  const code = error.serverResponseCode?.toUpperCase() ?? '';
  // No cause: a server may repeat in its words what was sent.
  if (pauseMs !== null || ['UNAVAILABLE', 'INUSE', 'LIMIT'].includes(code)) {
    const hint = 'Another program may hold connections to that mailbox, or the mail server has trouble of its own.';
    const pause = pauseMs === null ? {} : { retryAfterMs: pauseMs };
    return imapFailed(`The mail server ${server} takes no login just now${quoted(said)}.`, { hint, context, ...pause });
  }
  if (code === 'PRIVACYREQUIRED' || /login is disabled/i.test(error.message)) {
    const hint = 'Set transports.mail.mailbox.tls to implicit or starttls.';
    return imapFailed(`The mail server ${server} takes no login without TLS.`, { retry: 'operator', hint, context });
  }
  const hint =
    'Look at user and secret in transports.mail.login, whether IMAP is allowed for that mailbox, and at the log of the mail server.';
  const message = `The mail server ${server} refuses the login${user === undefined ? '' : ` of ${user}`} to the mailbox${quoted(said)}.`;
  return imapFailed(message, { retry: 'operator', hint, context: { ...context, isLoginRefused: true } });
}

/** The login was refused, and not only put off: a newer token may do. */
export function isLoginRefused(error: unknown): error is DirpostError {
  return isDirpostError(error, 'transport-failed') && error.context['isLoginRefused'] === true;
}

function refusal(error: ClientError, at: Circumstances): DirpostError {
  const { said, context } = at;
  if (error.mailboxMissing === true || error.code === 'NotFound') {
    const hint =
      'Look at the names of folders in transports.mail.mailbox, as a mail program shows them; levels are parted by "/".';
    return imapFailed(`${told(at)}: there is no such folder.`, { retry: 'operator', hint, context, cause: error });
  }
  if (/unsupported authentication/i.test(error.message)) {
    const hint =
      'transports.mail.login has a method that this server does not offer; dirpost check shows what it does.';
    const message = `The mail server ${at.server} does not take that kind of login.`;
    return imapFailed(message, { retry: 'operator', hint, context });
  }
  const why = said === '' ? `: ${oneLine(error.message, 200)}` : quoted(said);
  return imapFailed(`${told(at)}${why}.`, { context, cause: error });
}

/** In words fit to be shown; what may be a secret that the server repeats is left out. */
function saidBy({ responseText, response }: ClientError): string {
  const text = responseText ?? (typeof response === 'string' ? response : '');
  return oneLine(text.replace(/[\w+/=.~-]{40,}/g, '...'), 200).replace(/\.$/, '');
}

function quoted(said: string): string {
  return said === '' ? '' : `: "${said}"`;
}

export function serverOf({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
