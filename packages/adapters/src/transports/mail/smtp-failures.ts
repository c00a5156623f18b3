/**
 * What an SMTP server answered when it did not take a mail (RFC 5321 §4.2, RFC 3463), or why it could not be asked: the
 * one table from there to DirpostError. Who may try again, who must slow down, and what an administrator has to do.
 */
import { DirpostError, type Retry } from '@dirpost/core';
import { lineFailure } from './line-failures.ts';
import { type Profile, profileBackoff } from './profiles.ts';

const MAX_QUOTED = 300;

/** What was being done. */
export interface Attempt {
  /** host:port */
  server: string;
  profile: Profile;
  step: 'connect' | 'login' | 'send';
  user: string | null;
  recipient: string | null;
  /** In every form in which they were sent: blanked out where the server repeats them. */
  secrets: string[];
}

/** `context` of each error that smtpFailure makes. */
export interface SmtpContext extends Record<string, unknown> {
  server: string;
  recipient: string | null;
  /** 550; null: the server said nothing. */
  reply: number | null;
  /** RFC 3463, such as 5.1.1. */
  status: string | null;
  /** Not this mail alone: the server wants less of us for now. */
  isSlowDown: boolean;
  /** The server takes no mail of that size to that recipient. */
  isTooLarge: boolean;
  /** Nothing smaller is sent: mails of so many octets have to pass. */
  neededBytes?: number;
  /** The reply, fit to be shown. */
  said?: string;
  /** The server did not accept who we say to be. */
  isLoginRefused?: boolean;
  /** Where the server named a time, or nothing is tried before. */
  retryAfterS?: number;
  /** Told again, without asking the server. */
  isAgain?: boolean;
}

interface Reply {
  code: number;
  status: string | null;
  /** One line, fit to be shown. */
  text: string;
}

interface Meaning {
  retry: Retry;
  hint?: string;
  isSlowDown?: boolean;
  isTooLarge?: boolean;
}

/** What nodemailer, a socket or TLS reported. An abort and a DirpostError pass as they are. */
export function smtpFailure(cause: unknown, attempt: Attempt): DirpostError {
  if (cause instanceof DirpostError) return cause;
  const reply = replyOf(cause, attempt.secrets);
  if (reply === null) return withoutReply(cause, attempt);
  const backoffMs = profileBackoff(attempt.profile, reply.text);
  const { retry, hint, isSlowDown = false, isTooLarge = false } = meaningOf(reply, attempt.step, backoffMs !== null);
  const context: SmtpContext = {
    server: attempt.server,
    recipient: attempt.recipient,
    reply: reply.code,
    status: reply.status,
    said: reply.text,
    isSlowDown,
    isTooLarge,
    ...(attempt.step === 'login' && reply.code >= 500 && { isLoginRefused: true }),
    ...(backoffMs !== null && { retryAfterS: Math.ceil(backoffMs / 1000) }),
  };
  return new DirpostError('transport-failed', `${told(attempt, cause)}: "${reply.text}".`, {
    retry,
    ...(hint !== undefined && { hint }),
    context,
    // No cause: the error of the driver may hold what was sent.
  });
}

/** Found on this side, in the words of the caller. */
export function submissionFailed(
  message: string,
  retry: Retry,
  hint: string,
  context: Partial<SmtpContext> & { server: string },
): DirpostError {
  const plain = { recipient: null, reply: null, status: null, isSlowDown: false, isTooLarge: false };
  return new DirpostError('transport-failed', message, { retry, hint, context: { ...plain, ...context } });
}

function told({ server, step, user, recipient }: Attempt, cause: unknown): string {
  const { command } = cause as { command?: string };
  if (command === 'STARTTLS') return `The mail server ${server} does not do STARTTLS`;
  if (step === 'login') return `The mail server ${server} refused the login of ${user ?? 'nobody'}`;
  if (step === 'send') return `The mail server ${server} did not take the mail to ${recipient}`;
  return `The mail server ${server} does not serve us`;
}

function withoutReply(cause: unknown, { server, step, recipient }: Attempt): DirpostError {
  const { timeoutType, code } = cause as { timeoutType?: string; code?: string };
  // Each attempt on a dead line costs the whole time limit: the other mails are not to wait for it as well.
  const isSlowDown = step === 'connect' && code === 'ETIMEDOUT';
  const { why, retry, hint } = lineFailure(cause);
  const said = timeoutType === 'SOCKET_TIMEOUT' ? 'it fell silent' : why;
  const what =
    step === 'send'
      ? `The mail to ${recipient} did not reach the mail server ${server}`
      : `The mail server ${server} could not be reached`;
  return new DirpostError('transport-failed', `${what}: ${said}.`, {
    retry,
    ...(hint !== undefined && { hint }),
    context: { server, recipient, reply: null, status: null, isSlowDown, isTooLarge: false } satisfies SmtpContext,
    cause,
  });
}

function replyOf(cause: unknown, secrets: string[]): Reply | null {
  const { response } = cause as { response?: unknown };
  const code = typeof response === 'string' ? Number(/^[2-5]\d\d/.exec(response)?.[0] ?? 0) : 0;
  if (typeof response !== 'string' || code === 0) return null;
  // Of an answer in several lines each begins with the same codes (RFC 5321 §4.2.1, RFC 2034 §4).
  const [first = '', ...others] = response.split(/\r?\n/);
  const status = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(first)?.[1] ?? null;
  const lines = [first.replace(/^(\d{3})-/, '$1 ')];
  for (const line of others) {
    const text = line.replace(/^\d{3}[ -]?/, '');
    lines.push(status !== null && text.startsWith(`${status} `) ? text.slice(status.length + 1) : text);
  }
  return { code, status, text: shownReply(lines.join(' '), secrets) };
}

function shownReply(text: string, secrets: string[]): string {
  let shown = text;
  for (const secret of secrets) if (secret.length >= 4) shown = shown.replaceAll(secret, '...');
  // A server that repeats a command which it did not understand.
  shown = shown.replace(/\b(AUTH\s+[\w-]+\s+)\S+/gi, '$1...');
  shown = shown
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/ {2,}/g, ' ')
    .trim();
  return shown.length > MAX_QUOTED ? `${shown.slice(0, MAX_QUOTED - 3)}...` : shown;
}

const askPostmaster = 'Ask whoever runs the mail server to let this address send message files to that one.';

/** First that fits. `status` of the reply, or its code where the server gives no status, and its text. */
const sending: { at: RegExp; text?: RegExp; means: Meaning }[] = [
  // RFC 3463 §3.4: 5.3.4 of the system, 5.2.3 of the mailbox.
  {
    at: /^(?:5\.3\.4|5\.2\.3|552|523)$/,
    means: {
      retry: 'never',
      isTooLarge: true,
      hint: 'Message files to that peer are cut into smaller parts from now on; the larger one is replaced by itself.',
    },
  },
  {
    at: /^[45]\.2\.2$/,
    means: { retry: 'later', hint: 'The mailbox of the peer is full: whoever runs it has to make room.' },
  },
  {
    at: /^5\.1\.[0-6]$|^551$/,
    means: { retry: 'operator', hint: "Compare the peer's mail address here with the one that the peer uses itself." },
  },
  {
    at: /^5\.1\.[78]$/,
    means: { retry: 'operator', hint: 'The own mail address is not one that this mail server knows.' },
  },
  { at: /^(?:5\.7\.0|530)$/, text: /auth/i, means: { retry: 'operator', hint: 'The mail server wants a login.' } },
  {
    at: /^5\.(?:6\.\d+|7\.\d+)$|^554$/,
    text: /spam|virus|content|attachment|malware|blocked (?:file|extension)/i,
    means: {
      retry: 'operator',
      hint: 'A filter does not let the attachment pass: let whoever runs it allow it, or give it another name, type or the armoured form in transports.mail.attachment.',
    },
  },
  { at: /^5\.7\.\d+$/, means: { retry: 'operator', hint: askPostmaster } },
  {
    at: /^550$/,
    means: { retry: 'operator', hint: `Look at the peer's mail address. ${askPostmaster}` },
  },
  { at: /^5/, means: { retry: 'operator', hint: askPostmaster } },
  // A busy server, RFC 5321 §3.8: not this mail alone. 4.2.x is about the recipient.
  { at: /^(?:4\.3\.[012]|4\.4\.5|4\.7\.28|432)$/, means: { retry: 'later', isSlowDown: true } },
  {
    at: /^(?!4\.2)4/,
    text: /too (?:many|much|fast|quick)|rate|throttl|slow down|concurren/i,
    means: { retry: 'later', isSlowDown: true },
  },
  {
    at: /^4\.7\.\d+$|^45[01]$/,
    means: {
      retry: 'later',
      hint: 'Most often the server there takes mail of a new sender only from the second attempt on.',
    },
  },
  { at: /^4/, means: { retry: 'later' } },
];

/** `isBackoff`: the provider is known to mean "not now" by it. */
function meaningOf(reply: Reply, step: Attempt['step'], isBackoff: boolean): Meaning {
  // RFC 5321 §3.8: 421 ends the connection, whatever was asked.
  if (reply.code === 421) return { retry: 'later', isSlowDown: true };
  if (reply.code >= 500 && isBackoff) {
    const hint = 'The account has sent as many mails as it may for now; dirpost goes on by itself.';
    return { retry: 'later', isSlowDown: true, hint };
  }
  if (step === 'login') return loginRefused(reply);
  if (step === 'connect') return turnedAway(reply);
  const at = reply.status ?? String(reply.code);
  const row = sending.find((one) => one.at.test(at) && (one.text === undefined || one.text.test(reply.text)));
  if (row !== undefined) return row.means;
  const hint = 'What it answered is not SMTP as it is known here: look at host and port.';
  return { retry: 'operator', hint };
}

/** Before any mail: by its greeting, or at STARTTLS. */
function turnedAway({ code }: Reply): Meaning {
  if (code < 500) return { retry: 'later', isSlowDown: true };
  const hint = 'Look at host, port and tls in transports.mail.submission; nothing was sent, also no password.';
  return { retry: 'operator', hint };
}

function loginRefused({ code, status }: Reply): Meaning {
  if (code < 500) return { retry: 'later', isSlowDown: true, hint: 'The server does not take logins just now.' };
  const hint =
    status === '5.7.139' || status === '5.7.57'
      ? 'Allow authenticated SMTP for that mailbox (Set-CASMailbox -SmtpClientAuthenticationDisabled $false).'
      : 'Look at user and password or token in transports.mail.login. It is read anew with the next mail.';
  return { retry: 'operator', hint };
}
