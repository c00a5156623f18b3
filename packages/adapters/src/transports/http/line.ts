/**
 * The client's line to one server: signed requests, nonces, proxy, TLS, and time limits for all of it. Redirects are
 * never followed; an answer without the header of a dirpost server is not believed.
 */
import { isIP } from 'node:net';
import type { Dispatcher } from 'undici';
import { DirpostError, type RequestSigner } from '@dirpost/core';
import { readBounded } from '../../durable-file.ts';
import { interposed, lineFailure, transportFailed, type Way } from './failures.ts';
import { bodyHashOf, header, paths, PROTOCOL_VERSION, requestOctets, statementsText } from './wire.ts';

const MAX_PEM_BYTES = 1024 * 1024;
const MAX_LOGIN_BYTES = 4_096;
const MAX_NONCE_ANSWER_BYTES = 4_096;
const MAX_CONNECTIONS = 16;
const MAX_NONCES = 8;
/** Below the two minutes of the server; measured here, so that only the speed of the clock matters. */
const NONCE_MS = 100_000;

/** Milliseconds. */
export interface HttpClientTimes {
  connectMs: number;
  /** With nothing said. */
  idleMs: number;
  /** For the whole of one answer. */
  answerMs: number;
  /** Pause before the first repetition on a line that was cut; doubles. */
  retryMs: number;
  /** Pause of a watch whose server is not reached: the first, and the longest. */
  backoffMs: number;
  maxBackoffMs: number;
}

export const defaultClientTimes: HttpClientTimes = {
  connectMs: 10_000,
  idleMs: 60_000,
  answerMs: 600_000,
  retryMs: 250,
  backoffMs: 1_000,
  maxBackoffMs: 60_000,
};

export interface LineOptions extends Way {
  signer: RequestSigner;
  server: string;
  ca?: string | undefined;
  times: HttpClientTimes;
}

export interface LineRequest {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  /** From `/v1/` on. */
  path: string;
  body?: Uint8Array;
  contentRange?: string;
  range?: string;
  /** Of somebody whom the server does not know yet. */
  isOpen?: boolean;
  /** How long the server may wait on purpose. */
  waitMs?: number;
  signal: AbortSignal;
}

/** Exactly one of `read`, `chunks` (to its end) and `discard` has to be called. */
export interface Answer {
  status: number;
  header(name: string): string | undefined;
  read(maxBytes: number): Promise<Buffer>;
  chunks(): AsyncGenerator<Buffer, void>;
  discard(): Promise<void>;
}

export class Line {
  readonly way: Way;
  readonly #options: LineOptions;
  #dispatcher: Promise<Dispatcher> | undefined;
  #nonces: { nonce: string; atMs: number }[] = [];
  #isClosed = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.way = options;
  }

  /** Any answer of the server, also one that refuses. Throws DirpostError `transport-failed`. */
  async request(request: LineRequest): Promise<Answer> {
    if (request.isOpen === true) return await this.#send(request, undefined);
    const answer = await this.#send(request, this.#keptNonce() ?? (await this.#askNonce(request.signal)));
    if (answer.status !== 401) return answer;
    // Too old, or the server was started again: so are all that are kept. The answer brings a fresh one.
    const fresh = answer.header(header.nextNonce);
    await answer.discard();
    this.#nonces = [];
    return await this.#send(request, fresh ?? (await this.#askNonce(request.signal)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const dispatcher = this.#dispatcher;
    this.#dispatcher = undefined;
    // One that could not be made was reported by the request that wanted it.
    await dispatcher?.then(
      (one) => one.destroy(),
      () => {},
    );
  }

  #keptNonce(): string | undefined {
    const now = performance.now();
    this.#nonces = this.#nonces.filter(({ atMs }) => now - atMs < NONCE_MS);
    return this.#nonces.pop()?.nonce;
  }

  async #askNonce(signal: AbortSignal): Promise<string> {
    const answer = await this.#send({ method: 'GET', path: paths.nonce, signal }, undefined);
    const text = (await answer.read(MAX_NONCE_ANSWER_BYTES)).toString();
    const nonce = answer.status === 200 ? /^\{"nonce":"([A-Za-z0-9_-]{1,200})"\}$/.exec(text)?.[1] : undefined;
    if (nonce !== undefined) return nonce;
    throw transportFailed(`The server gave no nonce: it answered ${answer.status}.`, {
      hint: 'Are both sides of the same version of dirpost?',
      context: { status: answer.status },
    });
  }

  async #send(request: LineRequest, nonce: string | undefined): Promise<Answer> {
    const { signal, waitMs = 0 } = request;
    const { connectMs, idleMs, answerMs } = this.#options.times;
    signal.throwIfAborted();
    const control = new AbortController();
    const stop = () => control.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const tooLate = () => control.abort(Object.assign(new Error('too late'), { code: 'UND_ERR_HEADERS_TIMEOUT' }));
    let deadline = setTimeout(tooLate, connectMs + idleMs + waitMs);
    const release = () => {
      clearTimeout(deadline);
      signal.removeEventListener('abort', stop);
    };
    try {
      const dispatcher = await this.#connected();
      const response = await dispatcher.request({
        origin: this.way.url.origin,
        path: `${this.way.url.pathname.replace(/\/$/, '')}${request.path}`,
        method: request.method,
        headers: this.#headers(request, nonce),
        body: request.body ?? null,
        signal: control.signal,
        headersTimeout: idleMs + waitMs,
        bodyTimeout: idleMs,
      });
      clearTimeout(deadline);
      deadline = setTimeout(tooLate, answerMs);
      const answer = this.#answer(response, release, signal);
      if (answer.header(header.protocol) !== PROTOCOL_VERSION) {
        await answer.discard();
        throw interposed(answer.status, answer.header('content-type') ?? '', this.way);
      }
      this.#learnNonce(answer);
      return answer;
    } catch (error) {
      release();
      throw this.#explain(error, signal);
    }
  }

  #explain(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    const failure = lineFailure(error, this.way);
    // The administrator will put other certificates or another login in place: they are read anew.
    if (failure.retry === 'operator') this.#forget();
    return failure;
  }

  #answer({ statusCode, headers, body }: Dispatcher.ResponseData, release: () => void, signal: AbortSignal): Answer {
    const explain = (error: unknown) => this.#explain(error, signal);
    async function* chunks(): AsyncGenerator<Buffer, void> {
      try {
        for await (const chunk of body) yield chunk as Buffer;
      } catch (error) {
        throw explain(error);
      } finally {
        release();
      }
    }
    return {
      status: statusCode,
      header: (name) => {
        const value = headers[name];
        return Array.isArray(value) ? value[0] : value;
      },
      chunks,
      async read(maxBytes) {
        const parts: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of chunks()) {
          bytes += chunk.length;
          if (bytes > maxBytes) throw transportFailed(`An answer of the server is longer than ${maxBytes} bytes.`);
          parts.push(chunk);
        }
        return Buffer.concat(parts);
      },
      async discard() {
        // What cannot be read of a body that nobody wants matters to nobody.
        await body.dump({ limit: 128 * 1024 }).catch(() => {});
        release();
      },
    };
  }

  #learnNonce(answer: Answer): void {
    const nonce = answer.header(header.nextNonce);
    if (nonce === undefined || answer.status === 401 || this.#nonces.length >= MAX_NONCES) return;
    this.#nonces.push({ nonce, atMs: performance.now() });
  }

  #headers(request: LineRequest, nonce: string | undefined): Record<string, string> {
    const { method, path, body, contentRange = '', range } = request;
    const headers: Record<string, string> = { accept: '*/*' };
    if (body !== undefined) headers['content-type'] = 'application/octet-stream';
    if (contentRange !== '') headers['content-range'] = contentRange;
    if (range !== undefined) headers['range'] = range;
    if (nonce === undefined) return headers;
    const { signer, server } = this.#options;
    const bodyHash = bodyHashOf(body ?? new Uint8Array(0));
    const octets = requestOctets({ server, method, path, contentRange, nonce, bodyHash });
    headers[header.postoffice] = signer.name;
    headers[header.nonce] = nonce;
    headers[header.signature] = Buffer.from(signer.sign(octets)).toString('base64');
    const statements = signer.statements?.() ?? [];
    if (statements.length > 0) headers[header.statements] = statementsText(statements);
    if (body !== undefined) headers[header.bodyHash] = bodyHash.toString('base64');
    return headers;
  }

  async #connected(): Promise<Dispatcher> {
    if (this.#isClosed) throw transportFailed('This transport was closed.');
    const dispatcher = (this.#dispatcher ??= connect(this.#options));
    try {
      return await dispatcher;
    } catch (error) {
      if (this.#dispatcher === dispatcher) this.#dispatcher = undefined;
      throw error;
    }
  }

  #forget(): void {
    const dispatcher = this.#dispatcher;
    this.#dispatcher = undefined;
    void dispatcher?.then((one) => one.close()).catch(() => {});
  }
}

async function connect({ url, proxy, proxyLogin, ca, times }: LineOptions): Promise<Dispatcher> {
  const { Agent, ProxyAgent } = await import('undici');
  const authority = ca === undefined ? {} : { ca: await readSetting(ca, MAX_PEM_BYTES, 'ca') };
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const tls = { ...authority, timeout: times.connectMs, ...(isIP(host) === 0 && { servername: host }) };
  const limits = { connections: MAX_CONNECTIONS, pipelining: 1, allowH2: false };
  if (proxy === undefined) return new Agent({ ...limits, connect: tls });
  const token = proxyLogin === undefined ? {} : { token: await readLogin(proxyLogin) };
  return new ProxyAgent({
    ...limits,
    ...token,
    uri: proxy.origin,
    proxyTunnel: true,
    requestTls: tls,
    proxyTls: { timeout: times.connectMs },
  });
}

async function readLogin(path: string): Promise<string> {
  const line = (await readSetting(path, MAX_LOGIN_BYTES, 'proxyLogin')).toString('utf8').replace(/\r?\n$/, '');
  if (/^[^:\r\n]+:[^\r\n]*$/.test(line)) return `Basic ${Buffer.from(line).toString('base64')}`;
  throw new DirpostError('config-invalid', `${path} is not a login for a proxy.`, {
    retry: 'operator',
    hint: 'It has to hold one line, USER:PASSWORD.',
    context: { path },
  });
}

async function readSetting(path: string, maxBytes: number, setting: string): Promise<Buffer> {
  try {
    return await readBounded(path, maxBytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw transportFailed(reason, { retry: 'operator', hint: `It is named in transports.http.${setting}.`, cause });
  }
}
