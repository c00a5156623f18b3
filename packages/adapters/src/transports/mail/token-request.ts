/**
 * One request to the token endpoint of an OAuth 2 server (RFC 6749 §3.2, §5): a form goes there, an access token comes
 * back. Redirects are not followed, so that nobody else is sent the secret; time and size of the answer have a limit.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { Dispatcher } from 'undici';
import { DirpostError, type Retry } from '@dirpost/core';
import { errnoOf, fileError } from '../../durable-file.ts';
import { isLoopbackHost } from './addresses.ts';
import { lineFailure } from './line-failures.ts';
import { loginFailed, loginInvalid } from './login-failures.ts';

export const MAX_TOKEN_ANSWER_BYTES = 256 * 1024;
const CONNECT_MS = 10_000;
const MAX_DESCRIPTION = 500;
/** Stands where the server repeated a secret. */
const SECRET = '[secret]';

export interface TokenRequest {
  url: URL;
  form: Record<string, string>;
  /** What must not be shown if the server repeats it. */
  secrets: readonly string[];
  /** Mail address for which the token is, for messages. */
  user: string;
  /** PEM file of a private authority, trusted besides the public ones. */
  ca?: string | undefined;
  /** For the whole of connection, request and answer. */
  answerMs: number;
}

export interface Token {
  value: string;
  /** From the answer on; null: the server did not say. */
  lifetimeMs: number | null;
}

/** https, or http on this machine. Throws DirpostError `config-invalid`. */
export function tokenUrlOf(text: string): URL {
  const hint = 'Write it like https://login.example.org/oauth2/token.';
  // Not quoted: somebody will have written a login into it.
  if (!URL.canParse(text)) throw loginInvalid('The address of the token server is not a URL.', hint);
  const url = new URL(text);
  const isFit = url.username === '' && url.password === '' && url.hash === '';
  if (!isFit || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw loginInvalid('The address of the token server is not an https address without login and #.', hint);
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw loginInvalid(`Secrets would go to ${shown(url)} without TLS.`, 'Write https:// in place of http://.');
  }
  return url;
}

/**
 * Throws DirpostError `transport-failed`: `later` where the line or the server fails, `operator` where the server refuses
 * (RFC 6749 §5.2) or what answers there is no token server.
 */
export async function requestToken(request: TokenRequest): Promise<Token> {
  const { url, form, answerMs } = request;
  const dispatcher = await connect(request);
  const signal = AbortSignal.timeout(answerMs);
  try {
    const response = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
      signal,
    });
    return readAnswer(request, response.statusCode, response.headers, await readBody(response.body, url));
  } catch (error) {
    if (error instanceof DirpostError) throw error;
    throw signal.aborted ? tooSlow(request) : unreached(error, url);
  } finally {
    // Tokens are asked for once an hour: a connection that is kept is of no use.
    await dispatcher.destroy();
  }
}

async function connect({ url, ca }: TokenRequest): Promise<Dispatcher> {
  const { Agent } = await import('undici');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Agent({
    connections: 1,
    pipelining: 1,
    allowH2: false,
    connect: {
      timeout: CONNECT_MS,
      ...(isIP(host) === 0 && { servername: host }),
      // Given alone it would replace the public authorities, by which the large providers are signed.
      ...(ca !== undefined && { ca: [...rootCertificates, await readAuthority(ca)] }),
    },
  });
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { message, retry } = fileError(cause, `read ${path}`);
    throw loginFailed(message, { retry, hint: 'It is named as ca of the mail transport.', context: { path }, cause });
  }
}

async function readBody(body: AsyncIterable<Buffer>, url: URL): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_TOKEN_ANSWER_BYTES) {
      throw loginFailed(`The answer of ${shown(url)} is longer than ${MAX_TOKEN_ANSWER_BYTES} bytes.`, checkUrl(url));
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readAnswer(
  request: TokenRequest,
  status: number,
  headers: Record<string, string | string[] | undefined>,
  body: string,
): Token {
  const { url } = request;
  if (status >= 300 && status < 400) {
    throw loginFailed(`${shown(url)} answered with a redirect (${status}), which is not followed.`, checkUrl(url));
  }
  const answer = objectOf(body);
  if (typeof answer['error'] === 'string') throw refused(request, status, headers, answer);
  if (status === 429 || status >= 500) throw busy(url, status, headers);
  const { access_token: value, token_type: type, expires_in: seconds } = answer;
  // RFC 6749 appendix A.12. What does not fit into a header or SASL would be a way to forge one.
  const isToken = typeof value === 'string' && /^[\x21-\x7e]+$/.test(value);
  if (status >= 200 && status < 300 && isToken && typeof type === 'string' && /^bearer$/i.test(type)) {
    return { value, lifetimeMs: lifetimeMsOf(seconds) };
  }
  throw loginFailed(`${shown(url)} answered ${status}, and not as a token server.`, checkUrl(url, status));
}

/** Some servers send the number as text. */
function lifetimeMsOf(seconds: unknown): number | null {
  const number = typeof seconds === 'string' && /^\d{1,10}$/.test(seconds) ? Number(seconds) : seconds;
  return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number * 1000 : null;
}

function objectOf(body: string): Record<string, unknown> {
  try {
    const value = JSON.parse(body) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // The parser's error quotes the answer.
    return {};
  }
}

type Row = [retry: Retry, hint?: string];

/** RFC 6749 §5.2 and §4.1.2.1. */
const refusals: Record<string, Row> = {
  invalid_client: [
    'operator',
    'Is the secret or certificate still valid there, and the one of this clientId? With a certificate also look at the clock.',
  ],
  unauthorized_client: [
    'operator',
    'An administrator there has to allow what `dirpost check` prints for this profile.',
  ],
  invalid_grant: ['operator', 'Does the user exist there, may this account act for it, and is the clock right?'],
  invalid_scope: ['operator', 'Look at the scope.'],
  invalid_request: ['operator', 'Look at the address of the token server, at clientId and at the scope.'],
  unsupported_grant_type: ['operator', 'That server does not know this method of login.'],
  access_denied: ['operator', 'An administrator there has to allow what `dirpost check` prints for this profile.'],
  temporarily_unavailable: ['later'],
  server_error: ['later'],
  slow_down: ['later'],
};

function refused(
  { url, user, secrets }: TokenRequest,
  status: number,
  headers: Record<string, string | string[] | undefined>,
  answer: Record<string, unknown>,
): DirpostError {
  const said = String(answer['error']);
  const isKnown = Object.hasOwn(refusals, said);
  const isBusy = status === 429 || status >= 500;
  const [retry, hint] = refusals[isKnown ? said : ''] ?? [isBusy ? 'later' : 'operator'];
  // RFC 6749 §5.2 names the characters; what has others is not repeated.
  const clean = withoutSecrets(said, secrets);
  const error = isKnown || /^[A-Za-z0-9_.:/-]{1,100}$/.test(clean) ? clean : 'an unknown error';
  const { error_description: text } = answer;
  const description = typeof text === 'string' ? oneLine(withoutSecrets(text, secrets)) : '';
  // Microsoft's number says more than the rest, so it stands outside of what is quoted, and thus also in the log.
  const number = /^AADSTS\d{1,9}/.exec(description)?.[0];
  const what = [`${status}`, error, ...(number === undefined ? [] : [number])].join(', ');
  const why = description === '' ? '' : `: ${JSON.stringify(description)}`;
  return loginFailed(`${shown(url)} gave no token for ${user} (${what})${why}.`, {
    retry,
    ...(hint !== undefined && { hint }),
    context: { url: shown(url), status, error, ...(number !== undefined && { number }), ...retryAfter(headers) },
  });
}

function busy(url: URL, status: number, headers: Record<string, string | string[] | undefined>): DirpostError {
  return loginFailed(`${shown(url)} gives no token now: it answered ${status}.`, {
    retry: 'later',
    context: { url: shown(url), status, ...retryAfter(headers) },
  });
}

function retryAfter(headers: Record<string, string | string[] | undefined>): { retryAfterS?: number } {
  const value = headers['retry-after'];
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? { retryAfterS: Number(value) } : {};
}

/** Also as a form, a header or JSON would write them, or a server that takes UTF-8 for something else. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  const forms = secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams({ '': secret }).toString().slice(1),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('base64url'),
    Buffer.from(secret).toString('latin1'),
  ]);
  // The longest first, so that none is cut by a shorter one within it.
  const longestFirst = forms.filter((form) => form !== '').sort((a, b) => b.length - a.length);
  const clean = longestFirst.reduce((rest, form) => rest.replaceAll(form, SECRET), text);
  // A part of it, or a form that was not thought of: then nothing is shown.
  const parts = secrets.flatMap((secret) => secret.match(/[A-Za-z0-9]{8,}/g) ?? []);
  const lower = clean.toLowerCase();
  return parts.some((part) => lower.includes(part.toLowerCase())) ? SECRET : clean;
}

function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return line.length > MAX_DESCRIPTION ? `${line.slice(0, MAX_DESCRIPTION)}…` : line;
}

/** Of the HTTP client, by `code` or name of the error; those of sockets and TLS are the same as on the way to a mail server. */
const failures: Record<string, { why: string; retry: Retry }> = {
  UND_ERR_CONNECT_TIMEOUT: { why: 'it does not answer', retry: 'later' },
  UND_ERR_SOCKET: { why: 'the connection was cut', retry: 'later' },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { why: 'its answer was cut', retry: 'later' },
  HTTPParserError: { why: 'what listens there does not speak HTTP', retry: 'operator' },
};

/** The client's error is not handed on: one about an answer that is no HTTP holds that answer, which may repeat the form. */
function unreached(error: unknown, url: URL): DirpostError {
  const reason = codeOf(error) ?? 'unknown';
  const { why, retry } = failures[reason] ?? lineFailure(Object.assign(new Error(reason), { code: reason }));
  return loginFailed(`${shown(url)} could not be reached for a token: ${why}.`, {
    retry,
    hint:
      retry === 'operator'
        ? 'Look at tokenUrl and the clock; if the authority of its certificate is a private one, at ca of the mail transport.'
        : 'Look at the line and DNS of this machine, and at tokenUrl.',
    context: { url: shown(url), reason },
  });
}

function tooSlow({ url, answerMs }: TokenRequest): DirpostError {
  return loginFailed(`${shown(url)} gave no token within ${answerMs / 1000} s.`, {
    retry: 'later',
    context: { url: shown(url) },
  });
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof Error && error.name in failures) return error.name;
  // Of several addresses of one name all failed: the first says why.
  if (error instanceof AggregateError && errnoOf(error) === undefined) return codeOf(error.errors[0]);
  return errnoOf(error) ?? (error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : undefined);
}

function checkUrl(url: URL, status?: number): { hint: string; context: Record<string, unknown> } {
  return {
    hint: 'Look at tokenUrl: is it the address of the token endpoint, and does nothing on the way answer in its place?',
    context: { url: shown(url), ...(status !== undefined && { status }) },
  };
}

/** Without the query, in which somebody may have put what is secret. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
