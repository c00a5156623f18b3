/**
 * Transport `http` of a requestor: it posts its message files to the server and collects those that wait there
 * (docs/protocol.md, "HTTP"). It never listens. Nothing is held here that a restart would lose: what was posted is the
 * server's, and what was not yet said to be done is handed out again.
 */
import {
  checkPostofficeName,
  defaultLimits,
  DirpostError,
  isDirpostError,
  type MessageFile,
  type RequestSigner,
  type Transport,
} from '@dirpost/core';
import { checkProxyUrl, checkServerUrl, messageTooLarge } from './addresses.ts';
import { transportFailed } from './failures.ts';
import { defaultClientTimes, type HttpClientTimes, Line } from './line.ts';
import { Patience, sleep } from './patience.ts';
import { download, refusal, SliceSize, upload } from './slices.ts';
import {
  type CollectAnswer,
  type CollectRequest,
  isMessageId,
  MAX_ENROLMENT_BYTES,
  MAX_FILES_LISTED,
  MAX_NAMED_IDS,
  MAX_WAIT_SECONDS,
  paths,
} from './wire.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** Answers of one `collect`, so that it ends also where somebody never stops sending. */
const MAX_ROUNDS = 100;
/** Quiet long polls after which files that were announced and not collected are announced again. */
const MAX_QUIET_POLLS = 10;

export interface HttpClientOptions {
  url: string;
  signer: RequestSigner;
  /** Name of the server: part of what is signed. */
  server: string;
  /** PEM file of the authority that signed the server's certificate. */
  ca?: string;
  proxy?: string;
  /** File with one line USER:PASSWORD. */
  proxyLogin?: string;
  /** Delivers as somebody whom the server does not know yet. */
  enrolling?: boolean;
  maxMessageBytes?: number;
  /** Told why a watch does not reach the server, once until it does again; and of files that are left at the server. */
  onProblem?: (problem: DirpostError) => void;
  times?: Partial<HttpClientTimes>;
}

export class HttpClientTransport implements Transport {
  readonly name = 'http';
  readonly maxMessageBytes: number;
  readonly #line: Line;
  readonly #times: HttpClientTimes;
  readonly #isEnrolling: boolean;
  readonly #onProblem: (problem: DirpostError) => void;
  readonly #size = new SliceSize();
  /** Spooled durably here; the server does not know yet. */
  readonly #done = new Set<string>();
  /** What a long poll has just named: the next collect need not ask. */
  #listed: CollectAnswer['files'] = [];
  /** For another incarnation: no reason to wake up. */
  #left = new Set<string>();

  /** Throws DirpostError `config-invalid`. */
  constructor(options: HttpClientOptions) {
    const { signer, server, ca, proxyLogin, enrolling = false } = options;
    const largest = options.maxMessageBytes ?? defaultLimits.maxMessageBytes;
    this.maxMessageBytes = enrolling ? Math.min(largest, MAX_ENROLMENT_BYTES) : largest;
    this.#isEnrolling = enrolling;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#times = { ...defaultClientTimes, ...options.times };
    const url = checkServerUrl(options.url);
    const proxy = options.proxy === undefined ? undefined : checkProxyUrl(options.proxy);
    this.#line = new Line({
      url,
      proxy,
      proxyLogin,
      ca,
      signer,
      server: checkPostofficeName(server),
      times: this.#times,
    });
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { id, bytes } = file;
    if (!isMessageId(id)) throw new DirpostError('wrong-use', `${JSON.stringify(id)} is not an id of a message file.`);
    if (bytes.length > this.maxMessageBytes) throw messageTooLarge(id, bytes.length, this.maxMessageBytes);
    if (this.#isEnrolling) await this.#enrol(file, signal);
    else await upload(this.#line, file, this.#size, this.#patience(signal), signal);
  }

  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const left = new Set<string>();
    let taken = 0;
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const listed = this.#listed;
        this.#listed = [];
        const files = listed.length > 0 ? listed : await this.#list({ wait: 0, leave: [...left] }, signal);
        const fresh = files.filter(({ id }) => !left.has(id));
        for (const file of fresh) {
          signal.throwIfAborted();
          if (await this.#fetch(file, spool, signal)) {
            this.#done.add(file.id);
            taken++;
          } else left.add(file.id);
        }
        if (fresh.length === 0 || (this.#done.size === 0 && files.length < MAX_FILES_LISTED)) break;
      }
      this.#left = left;
    } catch (error) {
      await this.#sayDone(signal);
      // What is here is here; that the server was not told is made good by the next call.
      if (taken > 0 && isDirpostError(error, 'transport-failed')) return taken;
      throw error;
    }
    return taken;
  }

  /** Long polls, again and again. Ends only with the signal. */
  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    let announced = new Set<string>();
    let quietPolls = 0;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const leave = [...this.#left, ...announced].slice(-MAX_NAMED_IDS);
        const files = await this.#list({ wait: MAX_WAIT_SECONDS, leave }, signal);
        failures = 0;
        for (const { id } of files) announced.add(id);
        quietPolls = files.length === 0 ? quietPolls + 1 : 0;
        if (quietPolls >= MAX_QUIET_POLLS) announced = new Set();
        this.#listed = files;
        if (files.length > 0) wake();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof DirpostError)) throw error;
        if (failures === 0) this.#onProblem(error);
        const { backoffMs, maxBackoffMs } = this.#times;
        const longest = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures++, 16));
        announced = new Set();
        // Jitter, so that all requestors do not come back at once after the server was away.
        await sleep(longest * (0.5 + Math.random() / 2), signal).catch(() => {});
      }
    }
  }

  /** Requests under way fail; later ones, too. */
  close(): Promise<void> {
    return this.#line.close();
  }

  async #enrol({ id, bytes }: MessageFile, signal: AbortSignal): Promise<void> {
    const request = { method: 'PUT', path: paths.enrolment(id), body: bytes, isOpen: true, signal } as const;
    const answer = await this.#line.request(request);
    await answer.discard();
    if (answer.status !== 204) throw refusal(this.#line, answer, 'enrol');
  }

  /** False: not taken, or not to be had (now). */
  async #fetch(
    file: CollectAnswer['files'][number],
    spool: (bytes: Uint8Array) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (file.bytes > this.maxMessageBytes) {
      this.#onProblem(messageTooLarge(file.id, file.bytes, this.maxMessageBytes));
      return false;
    }
    const bytes = await download(this.#line, file, this.#patience(signal), signal);
    return bytes !== undefined && (await spool(bytes));
  }

  async #list(asked: Omit<CollectRequest, 'done'>, signal: AbortSignal): Promise<CollectAnswer['files']> {
    const done = [...this.#done].slice(0, MAX_NAMED_IDS);
    const leave = asked.leave.slice(-MAX_NAMED_IDS);
    const body = Buffer.from(JSON.stringify({ wait: asked.wait, done, leave } satisfies CollectRequest));
    const patience = this.#patience(signal);
    for (;;) {
      try {
        const waitMs = asked.wait * 1000;
        const answer = await this.#line.request({ method: 'POST', path: paths.collect, body, waitMs, signal });
        const text = await answer.read(MAX_ANSWER_BYTES);
        if (answer.status !== 200) throw refusal(this.#line, answer, 'collect');
        for (const id of done) this.#done.delete(id);
        return parseFiles(text.toString('utf8'));
      } catch (error) {
        await patience.after(error);
      }
    }
  }

  async #sayDone(signal: AbortSignal): Promise<void> {
    if (this.#done.size === 0 || signal.aborted) return;
    // Said again with the next request if it fails.
    await this.#list({ wait: 0, leave: [] }, signal).catch(() => {});
  }

  #patience(signal: AbortSignal): Patience {
    return new Patience(this.#times.retryMs, signal);
  }
}

function parseFiles(text: string): CollectAnswer['files'] {
  let files: unknown;
  try {
    ({ files } = JSON.parse(text) as { files: unknown });
  } catch {
    files = undefined;
  }
  if (Array.isArray(files) && files.length <= MAX_FILES_LISTED && files.every(isFile)) return files;
  throw transportFailed('The server did not say in a way that is understood here which message files wait.', {
    hint: 'Are both sides of the same version of dirpost?',
  });
}

function isFile(value: unknown): value is CollectAnswer['files'][number] {
  if (typeof value !== 'object' || value === null) return false;
  const { id, bytes } = value as Record<string, unknown>;
  return isMessageId(id) && Number.isSafeInteger(bytes) && (bytes as number) >= 0;
}
