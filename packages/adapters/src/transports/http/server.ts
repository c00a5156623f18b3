/**
 * Transport `http` of the directory server: it listens, requestors post their message files and collect theirs
 * (docs/protocol.md, "HTTP"). What it delivers waits in a mailbox on disk; what was posted waits in memory until
 * `collect` has spooled it, and is acknowledged only then.
 *
 *   requestor ─ PUT ─▶ authorise ─▶ uploads (slices) ─▶ arrivals ─▶ collect(spool) ─▶ 204
 *   deliver(file) ─▶ mailboxes ─▶ POST /v1/collect, GET ─▶ requestor, who says "done" ─▶ removed
 */
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  type Admission,
  checkPostofficeName,
  defaultLimits,
  DirpostError,
  type MessageFile,
  MIB,
  type RequestChecker,
  type Transport,
} from '@dirpost/core';
import { fileError, makeFolder } from '../../durable-file.ts';
import { messageTooLarge, checkLoopback, isLoopback } from './addresses.ts';
import { Arrivals } from './arrivals.ts';
import { type CertificateFiles, readCertificate, watchCertificate } from './certificate.ts';
import { Load, type LoadLimits } from './load.ts';
import { Mailboxes } from './mailboxes.ts';
import { Nonces } from './nonces.ts';
import type { RefusalReason } from './refusal.ts';
import { addRoutes, type Desk } from './routes.ts';
import { Uploads } from './uploads.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;
/** What nobody collected for so long was composed anew long ago. */
const MAX_WAITING_MS = 60 * DAY_MS;
const MAX_CONNECTIONS = 10_000;
const MAX_HEAD_BYTES = 8 * 1024;

/** Milliseconds. Tests make them smaller. */
export interface HttpServerTimes {
  /** A posted file that nobody has spooled by then is to be posted again later. */
  collectMs: number;
  nonceMs: number;
  /** For the head of a request, for the whole of it, and with nothing said at all (longer than a long poll). */
  headersMs: number;
  requestMs: number;
  idleMs: number;
  /** How often the two before are looked at. */
  checkMs: number;
  /** Requests that are under way when the server closes. */
  closeMs: number;
  certificateMs: number;
}

const defaultTimes: HttpServerTimes = {
  collectMs: 30_000,
  nonceMs: 120_000,
  headersMs: 20_000,
  requestMs: 120_000,
  idleMs: 60_000,
  checkMs: 5_000,
  closeMs: 1_000,
  certificateMs: 10_000,
};

const defaultLoad: LoadLimits = {
  maxInFlight: 4,
  maxBytes: 64 * MIB,
  enrolmentsPerMinute: 200,
  enrolmentsPerMinuteAndAddress: 20,
};

export interface HttpServerOptions {
  /** The own name. */
  postoffice: string;
  /** Port 0: a free one. */
  listen: { host: string; port: number };
  tls?: CertificateFiles;
  /** Something in front of it does TLS. */
  tlsAtProxy?: boolean;
  /** Made if it is missing; its parent has to be there. */
  folder: string;
  maxMessageBytes?: number;
  /** In the mailbox of one requestor. */
  maxWaitingFiles?: number;
  checker: RequestChecker;
  admission: Admission;
  onProblem?: (problem: DirpostError) => void;
  /** `who`: a name that was stated, not always proved; null: none. */
  onRefused?: (who: string | null, why: RefusalReason) => void;
  times?: Partial<HttpServerTimes>;
  load?: Partial<LoadLimits>;
}

export interface HttpAddress {
  host: string;
  port: number;
  url: string;
}

export class HttpServerTransport implements Transport {
  readonly name = 'http';
  readonly maxMessageBytes: number;
  readonly #options: HttpServerOptions;
  readonly #times: HttpServerTimes;
  readonly #mailboxes: Mailboxes;
  readonly #uploads: Uploads;
  readonly #arrivals: Arrivals;
  #isClosing = false;
  #end: (() => Promise<void>) | undefined;

  /** Throws DirpostError `config-invalid`. */
  constructor(options: HttpServerOptions) {
    checkPostofficeName(options.postoffice);
    const { listen, tls, tlsAtProxy = false, folder } = options;
    if (tls === undefined && !tlsAtProxy) checkLoopback(listen.host);
    this.maxMessageBytes = options.maxMessageBytes ?? defaultLimits.maxMessageBytes;
    this.#options = options;
    this.#times = { ...defaultTimes, ...options.times };
    this.#mailboxes = new Mailboxes(join(folder, 'mailboxes'), options.maxWaitingFiles ?? defaultLimits.maxOutgoing);
    this.#uploads = new Uploads(join(folder, 'uploads'));
    this.#arrivals = new Arrivals(this.#times.collectMs);
  }

  /** Posted message files that wait to be collected by this server. */
  get waiting(): number {
    return this.#arrivals.waiting;
  }

  /** Long polls that wait just now. */
  get polls(): number {
    return this.#mailboxes.polls;
  }

  /** Once. Throws DirpostError `config-invalid` where the address or the certificate does not serve. */
  async listen(): Promise<HttpAddress> {
    const { fastify } = await import('fastify');
    const { tls, listen, folder } = this.#options;
    await makeFolder(folder, 0o700).catch((error: unknown) => {
      throw fileError(error, `make ${folder}`);
    });
    await this.#removeOld();
    const server = this.#server((request, response) => app.routing(request, response));
    // The server is made here and not by fastify, for its time limits, its certificate and the way in which it ends.
    const app = fastify({
      serverFactory: () => server,
      routerOptions: { maxParamLength: 64 },
      exposeHeadRoutes: false,
    });
    addRoutes(app, this.#desk());
    await app.ready();
    const address = await listenOn(server, listen);
    const unwatch =
      tls === undefined
        ? () => {}
        : watchCertificate(server as HttpsServer, tls, this.#times.certificateMs, (problem) => this.#tell(problem));
    const hourly = setInterval(() => void this.#removeOld(), HOUR_MS).unref();
    this.#end = async () => {
      clearInterval(hourly);
      unwatch();
      await endServer(server, this.#times.closeMs);
      await app.close();
    };
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    const url = `${tls === undefined ? 'http' : 'https'}://${host}:${address.port}`;
    if (this.#isClosing) await this.close();
    return { host: address.address, port: address.port, url };
  }

  /** Ends long polls at once; posts that wait for `collect` are answered that they were not taken. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#arrivals.close();
    this.#mailboxes.close();
    const end = this.#end;
    this.#end = undefined;
    await end?.();
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (file.bytes.length > this.maxMessageBytes) {
      throw messageTooLarge(file.id, file.bytes.length, this.maxMessageBytes);
    }
    try {
      await this.#mailboxes.put(file);
    } catch (error) {
      const { code, message, retry, hint, context } = fileError(error, `write into the mailbox of ${file.to}`);
      if (!code.startsWith('file-')) throw error;
      // transport.ts: whatever is wrong with the folder, the file was not delivered.
      throw new DirpostError('transport-failed', message, { retry, ...(hint && { hint }), context, cause: error });
    }
  }

  /**
   * What was posted and waits. Nothing is left here for another incarnation: a file for which `spool` resolves to false
   * goes back to its sender.
   */
  collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    return this.#arrivals.drain(spool, signal);
  }

  watch(wake: () => void, signal: AbortSignal): Promise<void> {
    return this.#arrivals.watch(wake, signal);
  }

  #server(handler: Parameters<typeof createServer>[1]): Server | HttpsServer {
    const { headersMs, requestMs, checkMs, idleMs } = this.#times;
    const options = {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: checkMs,
      keepAliveTimeout: idleMs,
      maxHeaderSize: MAX_HEAD_BYTES,
    };
    const { tls } = this.#options;
    const server =
      tls === undefined
        ? createServer(options, handler)
        : createTlsServer(
            { ...options, ...readCertificate(tls), minVersion: 'TLSv1.2', handshakeTimeout: headersMs },
            handler,
          );
    server.setTimeout(idleMs);
    server.maxConnections = MAX_CONNECTIONS;
    return server;
  }

  #desk(): Desk {
    const { postoffice, checker, admission, onRefused = () => {} } = this.#options;
    return {
      postoffice,
      checker,
      admission,
      onRefused,
      nonces: new Nonces({ validMs: this.#times.nonceMs }),
      load: new Load({ ...defaultLoad, ...this.#options.load }),
      arrivals: this.#arrivals,
      mailboxes: this.#mailboxes,
      uploads: this.#uploads,
      maxMessageBytes: this.maxMessageBytes,
      isClosing: () => this.#isClosing,
      onProblem: (error) => this.#tell(fileError(error, 'answer a request over http')),
    };
  }

  /** Nothing of a postoffice that is no more stays. */
  async forget(postoffice: string): Promise<void> {
    this.#mailboxes.clear(postoffice);
    await this.#uploads.clear(postoffice);
  }

  async #removeOld(): Promise<void> {
    try {
      await this.#uploads.removeOlder(Date.now() - DAY_MS);
      await this.#mailboxes.removeOlder(Date.now() - MAX_WAITING_MS);
    } catch (error) {
      this.#tell(fileError(error, 'remove old uploads'));
    }
  }

  #tell(problem: DirpostError): DirpostError {
    this.#options.onProblem?.(problem);
    return problem;
  }
}

async function listenOn(
  server: Server | HttpsServer,
  { host, port }: { host: string; port: number },
): Promise<AddressInfo> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve());
    });
    return server.address() as AddressInfo;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DirpostError('config-invalid', `Cannot listen on ${host}:${port}: ${reason}.`, {
      retry: 'operator',
      hint: 'Look what else uses that port, and whether the address is one of this machine.',
      context: { host, port, isLoopback: isLoopback(host) },
      cause,
    });
  }
}

/** Requests under way get the time to be answered; then every connection is cut. */
async function endServer(server: Server | HttpsServer, closeMs: number): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), closeMs);
  // Connections that a client keeps open become idle only once their last answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 10);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  clearTimeout(cut);
  clearInterval(idle);
}
