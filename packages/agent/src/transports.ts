/** The transports of a postoffice, as its configuration names them: to the other postoffices, in the order of preference. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type Bounce,
  FolderTransport,
  HttpClientTransport,
  HttpServerTransport,
  type MailTransport,
} from '@dirpost/adapters';
import type { Admission, DirpostError, RequestChecker, Transport } from '@dirpost/core';
import type { PrivateKeys } from '@dirpost/message';
import type { Configuration } from './config/load.ts';
import { type HttpConfiguration, type TransportName, transportNames } from './config/transports.ts';
import type { CycleEvent } from './events.ts';
import { FollowingHttp } from './following-http.ts';
import type { Joining } from './joining/joining.ts';
import { saveKnown } from './save-known.ts';
import { mailAddressOf, openMail } from './open-mail.ts';
import type { Probes } from './probes.ts';
import { RequestIdentity } from './request-identity.ts';

/** In the data folder of a requestor: what vouches for an address of a server that moved. `certificate`: DER in base64. */
export function movedCertificateFile(certificate: string): string {
  return `server-moved-${createHash('sha256').update(certificate).digest('hex').slice(0, 8)}.pem`;
}

export interface Transports {
  /** All that lead outside, the preferred first. */
  outside: Transport[];
  /** Those that lead to one postoffice: not mail where no address of it is known, unless there is nothing else. */
  to(peer: string): Transport[];
  mail: MailTransport | null;
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
  /** For mail: whom this postoffice believes, and the addresses that joining told. Without it there is no mail. */
  joining?: Pick<Joining, 'peers' | 'invitations' | 'applicants'> & Partial<Pick<Joining, 'doubt' | 'statementsFor'>>;
  /** Own message files that come back by mail. */
  probes?: Probes;
  /** A mail came back. */
  onBounce?: (bounce: Bounce) => Promise<void>;
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
  const mail = openMailOf(configuration, options, (error) => {
    // Most of what is wrong with mail is mended elsewhere: it is said how.
    const { message, hint, code } = error;
    const text = hint === undefined ? `mail: ${message}` : `mail: ${message} ${hint}`;
    options.tell({ time: 'T3', level: 'warning', text, quotesNoEntry: true, details: { code } });
  });
  if (mail !== null) opened.set('mail', { transport: mail.transport, close: () => mail.transport.close() });
  const order = [...new Set([...(transports.prefer ?? []), ...transportNames])];
  const ordered = order.flatMap((name) => opened.get(name) ?? []);
  const outside = ordered.map(({ transport }) => transport);
  return {
    outside,
    mail: mail?.transport ?? null,
    to(peer) {
      const others = outside.filter((transport) => transport !== mail?.transport || mail.addressOf(peer) !== null);
      return others.length === 0 ? outside : others;
    },
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

interface OpenedMail {
  transport: MailTransport;
  addressOf(peer: string): string | null;
}

function openMailOf(
  configuration: Configuration,
  { keys, joining, probes, onBounce = async () => {} }: TransportOptions,
  onProblem: OnProblem,
): OpenedMail | null {
  const { mail } = configuration.transports;
  if (mail === undefined || joining === undefined) return null;
  const transport = openMail(configuration, mail, { keys, joining, probes, onProblem, onBounce });
  return { transport, addressOf: (peer) => mailAddressOf(mail, joining, peer) };
}

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
  { postoffice, server, limits, dataFolder }: Configuration,
  { url, ca, proxy, proxyLogin }: HttpConfiguration,
  { keys, isEnrolling = () => false, joining, tell }: TransportOptions,
  onProblem: OnProblem,
): Opened | undefined {
  if (url === undefined) return undefined;
  const identity = new RequestIdentity(postoffice, server, keys, joining);
  const shared = {
    url,
    server,
    signer: identity.signer,
    ...(ca && { ca }),
    ...(proxy && { proxy }),
    ...(proxyLogin && { proxyLogin }),
    maxMessageBytes: limits.maxMessageBytes,
    onProblem,
  };
  const member = new FollowingHttp({
    url,
    moved: () => joining?.peers.get(server)?.moved,
    open: (at, certificate) => {
      const pinned = certificate === undefined ? {} : { ca: join(dataFolder, movedCertificateFile(certificate)) };
      return new HttpClientTransport({ ...shared, url: at, ...pinned });
    },
    async onWorks() {
      const peer = joining?.peers.get(server);
      if (joining === undefined || peer?.moved === undefined) return;
      await saveKnown(joining.peers, peer, { ...peer, moved: { ...peer.moved, works: true, lookedMs: Date.now() } });
      const text = `http: ${server} answers at ${peer.moved.http ?? ''}; ${url} is not used any more`;
      tell({ time: 'T3', level: 'info', text });
    },
    async onLooks() {
      const peer = joining?.peers.get(server);
      if (joining === undefined || peer?.moved === undefined) return;
      await saveKnown(joining.peers, peer, { ...peer, moved: { ...peer.moved, lookedMs: Date.now() } });
    },
  });
  const applicant = new HttpClientTransport({ ...shared, enrolling: true });
  const transport: Transport = {
    name: member.name,
    maxMessageBytes: member.maxMessageBytes,
    deliver: (file, signal) =>
      isEnrolling() ? applicant.deliver(file, signal) : identity.prove(() => member.deliver(file, signal)),
    collect: (spool, signal) => identity.prove(() => member.collect(spool, signal)),
    watch: (wake, signal) => member.watch(wake, signal),
  };
  return {
    transport,
    async close() {
      await Promise.all([member.close(), applicant.close()]);
    },
  };
}
