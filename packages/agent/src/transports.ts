/** The transports of a postoffice, as its configuration names them: to the other postoffices, in the order of preference. */
import { join } from 'node:path';
import { FolderTransport, HttpClientTransport, HttpServerTransport } from '@dirpost/adapters';
import type { Admission, DirpostError, RequestChecker, Transport } from '@dirpost/core';
import { type PrivateKeys, requestSigner } from '@dirpost/message';
import type { Configuration } from './config/load.ts';
import { type HttpConfiguration, type TransportName, transportNames } from './config/transports.ts';
import type { CycleEvent } from './events.ts';

export interface Transports {
  /** All that lead outside, the preferred first. */
  outside: Transport[];
  /** Begins to take connections, where the server is configured to; the address, or null. */
  listen(): Promise<string | null>;
  /** Drops what waits for a postoffice that was removed. */
  forget(postoffice: string): Promise<void>;
  close(): Promise<void>;
}

export interface TransportOptions {
  keys: PrivateKeys;
  tell: (event: CycleEvent) => void;
  /** Server: whom http lets in. Without it there is no http at the server. */
  gate?: Admission & RequestChecker;
  /** Server: told of requests that were refused; `who` as stated. */
  onRefused?: (who: string | null, why: string) => void;
  /** Requestor: whether it is joining, and the server does not know it yet. */
  isEnrolling?: () => boolean;
}

/** Throws DirpostError `config-invalid`, and as files are read. */
export function openTransports(configuration: Configuration, options: TransportOptions): Transports {
  const { transports } = configuration;
  const problem = (name: TransportName) => (error: DirpostError) =>
    options.tell({ time: 'T3', level: 'warning', text: `${name}: ${error.message}`, details: { code: error.code } });
  const opened = new Map<TransportName, Opened>();
  if (transports.folder !== undefined) {
    const { postoffice, limits } = configuration;
    const root = transports.folder.path;
    const { maxMessageBytes } = limits;
    const transport = new FolderTransport({ root, postoffice, maxMessageBytes, onProblem: problem('folder') });
    opened.set('folder', { transport });
  }
  const http = transports.http && openHttp(configuration, transports.http, options, problem('http'));
  if (http !== undefined) opened.set('http', http);
  const order = [...new Set([...(transports.prefer ?? []), ...transportNames])];
  const ordered = order.flatMap((name) => opened.get(name) ?? []);
  return {
    outside: ordered.map(({ transport }) => transport),
    async listen() {
      return (await http?.listen?.()) ?? null;
    },
    async forget(postoffice) {
      for (const one of ordered) await one.forget?.(postoffice);
    },
    async close() {
      for (const one of ordered) await one.close?.();
    },
  };
}

interface Opened {
  transport: Transport;
  listen?(): Promise<string>;
  forget?(postoffice: string): Promise<void>;
  close?(): Promise<void>;
}

type OnProblem = (error: DirpostError) => void;

function openHttp(
  configuration: Configuration,
  http: HttpConfiguration,
  options: TransportOptions,
  onProblem: OnProblem,
): Opened | undefined {
  if (configuration.role === 'requestor') return openHttpClient(configuration, http, options, onProblem);
  const { gate, onRefused = () => {} } = options;
  return gate && openHttpServer(configuration, http, { gate, onRefused }, onProblem);
}

function openHttpServer(
  { postoffice, dataFolder, limits }: Configuration,
  { listen = '127.0.0.1:8943', tls, tlsAtProxy }: HttpConfiguration,
  { gate, onRefused }: Required<Pick<TransportOptions, 'gate' | 'onRefused'>>,
  onProblem: OnProblem,
): Opened {
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '');
  const transport = new HttpServerTransport({
    postoffice,
    listen: { host, port: Number(listen.slice(colon + 1)) },
    ...(tls && { tls }),
    tlsAtProxy,
    folder: join(dataFolder, 'http'),
    maxMessageBytes: limits.maxMessageBytes,
    maxWaitingFiles: limits.maxOutgoing,
    checker: gate,
    admission: gate,
    onProblem,
    onRefused,
  });
  return {
    transport,
    listen: async () => (await transport.listen()).url,
    forget: (name) => transport.forget(name),
    close: () => transport.close(),
  };
}

function openHttpClient(
  { postoffice, server, limits }: Configuration,
  { url, ca, proxy, proxyLogin }: HttpConfiguration,
  { keys, isEnrolling = () => false }: TransportOptions,
  onProblem: OnProblem,
): Opened | undefined {
  if (url === undefined) return undefined;
  const shared = {
    url,
    server,
    signer: requestSigner(postoffice, keys),
    ...(ca && { ca }),
    ...(proxy && { proxy }),
    ...(proxyLogin && { proxyLogin }),
    maxMessageBytes: limits.maxMessageBytes,
    onProblem,
  };
  const member = new HttpClientTransport(shared);
  const applicant = new HttpClientTransport({ ...shared, enrolling: true });
  const transport: Transport = {
    name: member.name,
    maxMessageBytes: member.maxMessageBytes,
    deliver: (file, signal) => (isEnrolling() ? applicant : member).deliver(file, signal),
    collect: (spool, signal) => member.collect(spool, signal),
    watch: (wake, signal) => member.watch(wake, signal),
  };
  return {
    transport,
    async close() {
      await Promise.all([member.close(), applicant.close()]);
    },
  };
}
