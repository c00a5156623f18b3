/**
 * Transport `http` of a requestor whose server may move (announcing.ts): where the server has announced another address
 * both are used, until the new one has worked once; from then on that one alone, but once a day, and where it fails: a thief
 * of the server's keys may have announced it. An address that is written into the
 * configuration afterwards counts more than what was announced before.
 */
import type { HttpClientTransport } from '@dirpost/adapters';
import { DirpostError, type MessageFile, type Transport } from '@dirpost/core';

/** What a server has announced of where it is now; kept in peers/<name>.json. */
export interface Moved {
  http?: string;
  /** DER in base64: what alone vouches for that address. */
  certificate?: string;
  mail?: string;
  /** Address of http, and of mail, in the own configuration when it was announced: another one there counts more. */
  insteadOf?: string;
  insteadOfMail?: string;
  /** The new http address has worked. */
  works?: boolean;
  /** When the configured address was asked last, ms since 1970: what was announced may be a thief's word. */
  lookedMs?: number;
  /** Another that worked, announced before this one. */
  before?: { http: string; certificate?: string };
}

export interface FollowingOptions {
  /** As configured. */
  url: string;
  /** Where the server said to be now. */
  moved(): Moved | undefined;
  /** `certificate`: DER in base64 of what alone vouches for it; undefined: as configured. */
  open(url: string, certificate: string | undefined): HttpClientTransport;
  /** The new address has worked. */
  onWorks(): Promise<void>;
  /** The configured one is asked, while the new one is used. */
  onLooks(): Promise<void>;
}

/** Also at the same address with another certificate. An address that was configured since counts more. */
export function isElsewhere({ http, certificate, insteadOf }: Moved, configured: string): boolean {
  return (http !== configured || certificate !== undefined) && (insteadOf ?? configured) === configured;
}

interface Opened {
  of: string;
  transport: HttpClientTransport;
}

/** A watch looks so often whether the server has announced another address. */
const LOOK_AFTER_MS = 5_000;
const NEW_AGAIN_AFTER_MS = 30_000;
const CONFIGURED_AGAIN_AFTER_MS = 24 * 3_600_000;

export class FollowingHttp implements Transport {
  readonly name = 'http';
  readonly #options: FollowingOptions;
  readonly #configured: HttpClientTransport;
  #moved: Opened | null = null;
  #before: Opened | null = null;
  /** When the new address failed last; then the old one is asked first for a while. */
  #newFailedMs = -Infinity;

  constructor(options: FollowingOptions) {
    this.#options = options;
    this.#configured = options.open(options.url, undefined);
  }

  get maxMessageBytes(): number {
    return this.#configured.maxMessageBytes;
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    const ways = this.#ways();
    // Whenever the new one fails.
    if (ways.length === 1 && ways[0] !== this.#configured) ways.push(this.#configured);
    for (const [i, way] of ways.entries()) {
      try {
        await way.deliver(file, signal);
        return await this.#worked(way);
      } catch (error) {
        this.#failed(way, error, signal);
        if (i === ways.length - 1) throw error;
      }
    }
  }

  /** From both: before the server moves it waits at the one, afterwards at the other. */
  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    let taken = 0;
    let [worked, failure] = [false, undefined as unknown];
    const ways = this.#ways();
    if (await this.#isConfiguredDue(ways)) ways.push(this.#configured);
    for (const way of ways) {
      // It is not there yet: it need not be waited for each time.
      if (worked && way === this.#moved?.transport && this.#isNewFailing) continue;
      try {
        taken += await way.collect(spool, signal);
        worked = true;
        await this.#worked(way);
      } catch (error) {
        this.#failed(way, error, signal);
        failure ??= error;
        if (!worked && !ways.includes(this.#configured)) ways.push(this.#configured);
      }
    }
    if (!worked) throw failure;
    return taken;
  }

  async watch(wake: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const ways = this.#ways();
      const until = new AbortController();
      const stop = () => until.abort(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      const look = setInterval(() => {
        if (!isSame(ways, this.#ways())) until.abort();
      }, LOOK_AFTER_MS);
      try {
        await Promise.all(ways.map((way) => way.watch(wake, until.signal)));
      } finally {
        clearInterval(look);
        signal.removeEventListener('abort', stop);
      }
      // What waits at the new address is not waited for.
      if (!signal.aborted) wake();
    }
  }

  async close(): Promise<void> {
    const opened = [this.#moved?.transport, this.#before?.transport];
    await Promise.all([this.#configured.close(), ...opened.map((one) => one?.close())]);
  }

  #ways(): HttpClientTransport[] {
    const { url, moved: where } = this.#options;
    const moved = where();
    if (moved?.http === undefined || !isElsewhere(moved, url)) return [this.#configured];
    this.#moved = this.#opened(this.#moved, moved.http, moved.certificate);
    const { transport } = this.#moved;
    if (moved.works === true) return this.#isNewFailing ? [transport, this.#configured] : [transport];
    const old = this.#oldWay(moved);
    return this.#isNewFailing ? [old, transport] : [transport, old];
  }

  /** About daily: where a thief has announced the new one, its owner is heard there. */
  async #isConfiguredDue(ways: readonly HttpClientTransport[]): Promise<boolean> {
    if (ways.includes(this.#configured)) return false;
    const sinceMs = Date.now() - (this.#options.moved()?.lookedMs ?? 0);
    if (sinceMs >= 0 && sinceMs < CONFIGURED_AGAIN_AFTER_MS) return false;
    await this.#options.onLooks();
    return true;
  }

  get #isNewFailing(): boolean {
    return performance.now() - this.#newFailedMs < NEW_AGAIN_AFTER_MS;
  }

  /** A server that moves a second time is still where it was announced to be before. */
  #oldWay({ before }: Moved): HttpClientTransport {
    if (before === undefined) return this.#configured;
    this.#before = this.#opened(this.#before, before.http, before.certificate);
    return this.#before.transport;
  }

  #opened(opened: Opened | null, url: string, certificate: string | undefined): Opened {
    const of = JSON.stringify([url, certificate]);
    if (opened?.of === of) return opened;
    void opened?.transport.close();
    return { of, transport: this.#options.open(url, certificate) };
  }

  async #worked(way: HttpClientTransport): Promise<void> {
    if (way !== this.#moved?.transport) return;
    this.#newFailedMs = -Infinity;
    if (this.#options.moved()?.works !== true) await this.#options.onWorks();
  }

  #failed(way: HttpClientTransport, error: unknown, signal: AbortSignal): void {
    if (!(error instanceof DirpostError) || signal.aborted) throw error;
    if (way === this.#moved?.transport) this.#newFailedMs = performance.now();
  }
}

function isSame<T>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((one) => others.includes(one));
}
