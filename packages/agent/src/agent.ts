/**
 * The agent: the only place that builds everything, from a configuration and its data folder.
 *
 *   <data>/keys.json   private keys (0600)      <data>/store.db   the store       <data>/spool/   message files
 *   <data>/peers/      public keys of others    <data>/lock.db    one agent per data folder
 */
import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import {
  acquireLock,
  CommandDirectory,
  connectMemoryTransports,
  CsvDirectory,
  LdifDirectory,
  openSqliteStore,
} from '@dirpost/adapters';
import {
  applyDefinitions,
  comparedAttributes,
  compileList,
  compileMapping,
  createCookieJar,
  createRequestor,
  createServer,
  dropReadHolds,
  type Directory,
  loadServer,
  noteSeqTime,
  RecentDeltas,
  saveServer,
  type ServerContext,
  type Store,
  type Transport,
} from '@dirpost/core';
import { createCodec, createSealer, derivedSecret, type PrivateKeys } from '@dirpost/message';
import { announceWhereDue, switchNetwork } from './announcing.ts';
import { bothTargetOf, ownWritesOf } from './both/open-both.ts';
import { Bounces } from './bounces.ts';
import { CollectFailures } from './collect-failures.ts';
import { CompleteReads } from './complete-reads.ts';
import { type PublishDirectory, type SubscribeDirectory, wantedColumns } from './config/directory.ts';
import type { Configuration } from './config/load.ts';
import type { CycleEvent } from './events.ts';
import { admission } from './joining/admission.ts';
import { Joining, livePublishRules } from './joining/joining.ts';
import { RefusedRequests } from './joining/refused-requests.ts';
import { loadKeys } from './keys.ts';
import { requireHere } from './moved-away.ts';
import type { Postoffice } from './postoffice.ts';
import { Probes } from './probes.ts';
import { configurationOfRead, openLdap, shapeOf, stampsIn, writtenHere } from './open-ldap.ts';
import { mailAddressOf } from './open-mail.ts';
import { Routes } from './routes.ts';
import { Schedule } from './schedule/schedule.ts';
import { largestTo } from './send.ts';
import { FileSpool } from './spool.ts';
import { openTransports, type Transports } from './transports.ts';
import { Upkeep } from './upkeep.ts';
import { VERSION } from './version.ts';

/** Sealing adds the header, the age body's framing (16 octets in 65,536) and the signature. */
const SEALING_BYTES = 4_096;
const SEALING_SHARE = 1 / 2_048;
/** A head may be as large (the bucket digests of an exchange have 16 KiB): no way is believed to take less. */
const SMALLEST_PAYLOAD_BYTES = 32 * 1_024;
const UPKEEP_AFTER_MS = 600_000;
const MOST_ENCODING_THREADS = 3;

export interface Agent {
  postoffice: Postoffice;
  joining: Joining;
  transports: Transports;
  close(): Promise<void>;
}

export interface OpenOptions {
  tell?: (event: CycleEvent) => void;
  /** For commands that only look: no lock is taken, nothing is made or changed, an agent may be running. */
  readOnly?: boolean;
  /** This server has moved away: it only tells so. */
  isAnswering?: boolean;
}

const STORE_LOST =
  'the store was gone, and goes on empty: the others may take this postoffice for an old copy of itself. Better now: restore a backup, or without one: dirpost repair --new-store';

/** A postoffice that worked before has a spool, and had a store with something in it. */
function isStoreLost(dataFolder: string): boolean {
  const size = statSync(join(dataFolder, 'store.db'), { throwIfNoEntry: false })?.size ?? 0;
  return size === 0 && existsSync(join(dataFolder, 'spool'));
}

/** Throws DirpostError `locked`, `not-initialized` and what keys, peers and store have to say. */
export async function openAgent(configuration: Configuration, options: OpenOptions = {}): Promise<Agent> {
  const { dataFolder } = configuration;
  const { readOnly = false, isAnswering = false } = options;
  if (!readOnly && !isAnswering) requireHere(dataFolder);
  const keys = await loadKeys(dataFolder);
  const lock = readOnly ? null : acquireLock(dataFolder);
  const tell = options.tell ?? (() => {});
  let store: Store | undefined;
  let transports: Transports | undefined;
  let refused: RefusedRequests | undefined;
  let bounces: Bounces | undefined;
  const close = async () => {
    await transports?.close();
    await bounces?.settled();
    await refused?.write();
    await store?.close();
    lock?.release();
  };
  try {
    const isLost = !readOnly && isStoreLost(dataFolder);
    store = await openSqliteStore({ path: join(dataFolder, 'store.db'), readOnly });
    if (isLost) tell({ time: 'T0', level: 'warning', text: STORE_LOST });
    const joining = await Joining.open(dataFolder, keys, store);
    const isServer = configuration.role === 'server';
    joining.configured = configuredAt(configuration);
    const { mail } = configuration.transports;
    const addressOf = (peer: string) => (mail === undefined ? null : mailAddressOf(mail, joining, peer));
    const { retry } = configuration;
    const returned = (bounces = new Bounces({ store, clock: systemClock, retry, isServer, addressOf, tell }));
    const requests = (refused = new RefusedRequests({ store, peers: joining.peers, tell }));
    const probes = new Probes();
    transports = openTransports(configuration, {
      keys,
      tell,
      gate: admission(joining, configuration.limits),
      onRefused: (who, why) => requests.note(who, why),
      isEnrolling: () => joining.enrolling !== null,
      joining,
      probes,
      onBounce: (bounce) => returned.note(bounce),
    });
    const postoffice = build(configuration, { keys, store, joining, transports, bounces, probes, tell });
    if (!readOnly) {
      await prepare(postoffice);
      if (isServer) await switchNetwork(postoffice, configuration.postQuantum);
      await announceWhereDue(postoffice);
    }
    return { postoffice, joining, transports, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Where a requestor reaches its server, as its own configuration says. */
function configuredAt({ transports: { http, mail }, server }: Configuration): { http?: string; mail?: string } {
  const told = mail !== undefined && Object.hasOwn(mail.peers, server) ? mail.peers[server] : undefined;
  return { ...(http?.url && { http: http.url }), ...(told && { mail: told }) };
}

interface Opened {
  keys: PrivateKeys;
  store: Store;
  joining: Joining;
  transports: Transports;
  bounces: Bounces;
  probes: Probes;
  tell: (event: CycleEvent) => void;
}

const systemClock = { now: () => Date.now() };

function build(configuration: Configuration, opened: Opened): Postoffice {
  const { keepDoneMs, keepDoneFiles } = configuration.spool;
  const schedule = new Schedule(configuration);
  const { keys, store, joining, transports, bounces, probes, tell } = opened;
  const { outside } = transports;
  const { postoffice: name, server, limits, retry, dataFolder } = configuration;
  const { peers, invitations } = joining;
  const clock = systemClock;
  const [memory, ownEnd] = connectMemoryTransports({ maxMessageBytes: limits.maxMessageBytes });
  const waysTo = (peer: string) => (peer === name ? [memory] : transports.to(peer));
  const workshop = {
    codec: createCodec(limits, { relays: configuration.role === 'server', threads: encodingThreads() }),
    clock,
    random: randomBytes,
    limits,
    maxPayloadBytes: (to: string) => largestPayloadTo(to, waysTo(to), limits.maxMessageBytes),
  };
  const publishing = configuration.directories.filter((directory) => directory.direction === 'publish');
  const subscribing = configuration.directories.filter((directory) => directory.direction === 'subscribe');
  const anchors = publishing.map(({ key, space }) => ({ owner: name, space, attribute: key.toLowerCase() }));
  return {
    name,
    store,
    spool: new FileSpool(join(dataFolder, 'spool'), limits.maxMessageBytes),
    joining,
    sealer: createSealer({
      name,
      keys,
      peers: (peer) => peers.get(peer),
      isInvited: (peer, invitation) => invitations.isGiven(peer, invitation),
      statementsFor: (peer) => joining.statementsFor(peer),
      enrolling: () => joining.enrolling,
      limits,
    }),
    nextContact: () => schedule.nextContact(clock.now()),
    clock,
    random: randomBytes,
    limits,
    retry,
    upkeep: new Upkeep({
      maxAgeMs: keepDoneMs,
      maxFiles: keepDoneFiles,
      everyMs: UPKEEP_AFTER_MS,
      countsDuplicates: true,
    }),
    routes: new Routes(store, waysTo, configuration.role === 'server', (peer, way) => bounces.avoids(peer, way)),
    bounces,
    probes,
    collectFailures: new CollectFailures(store, clock),
    inbound: configuration.role === 'server' ? [ownEnd, ...outside] : outside,
    publishing: publishing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      mapping: compileMapping({ ...directory, owner: name, limits }),
      configuration: configurationOfRead(directory, configuration),
      ...(directory.type === 'ldap' && directory.onChangeMs !== null && { onChangeMs: directory.onChangeMs }),
      ...ownWritesOf(directory, subscribing, limits),
    })),
    completeReads: new CompleteReads(),
    writtenHere: writtenHere(subscribing),
    subscribing: subscribing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      firstWrite: directory.firstWrite,
      options: {
        name: directory.name,
        dn: directory.dn,
        container: directory.container ?? '',
        publishing: publishing.map((own) => own.name),
        ...(directory.type === 'ldap' && directory.rdn !== null && { rdn: directory.rdn }),
        ...(directory.type === 'ldap' && directory.adopt !== null && { adopted: directory.adopt }),
      },
      ...(directory.type === 'ldap' && directory.adopt !== null && { adopt: directory.adopt }),
      ...(directory.type === 'ldap' && directory.target.stamp !== undefined && { hasStamps: true }),
      ...(directory.type === 'ldap' && { shape: shapeOf(directory) }),
      ...bothTargetOf(directory, limits),
    })),
    requestor: { ...workshop, name, server, anchors: distinct(anchors), version: VERSION, holds: configuration.holds },
    server: configuration.role === 'server' ? serverContext(configuration, workshop, opened) : null,
    tell,
  };
}

/** So that any way may be taken, as it is now: transports learn what a peer takes. */
export function largestPayloadTo(peer: string, ways: Transport[], maxMessageBytes: number): number {
  const fileBytes = Math.min(maxMessageBytes, ...ways.map((way) => largestTo(way, peer)));
  return Math.max(SMALLEST_PAYLOAD_BYTES, Math.floor(fileBytes * (1 - SEALING_SHARE)) - SEALING_BYTES);
}

/** Beside the main thread. Each needs memory for some parts, and time until it is as quick as that. */
function encodingThreads(): number {
  return Math.min(availableParallelism() - 1, MOST_ENCODING_THREADS);
}

type Workshop = Pick<ServerContext, 'codec' | 'clock' | 'random' | 'limits' | 'maxPayloadBytes'>;

function serverContext(configuration: Configuration, workshop: Workshop, { keys, joining }: Opened): ServerContext {
  // From the key file and not from the store, so that a restored store can be told from its future.
  const secret = derivedSecret(keys, 'dirpost cookie secret');
  return {
    ...workshop,
    name: configuration.postoffice,
    lists: configuration.lists.map(compileList),
    rules: livePublishRules(configuration.requestors, joining.peers),
    cookies: createCookieJar(secret),
    holds: configuration.holds,
    unique: comparedAttributes(configuration.unique),
    recent: new RecentDeltas(),
    retentionMs: configuration.retentionMs,
  };
}

export function openDirectory(
  directory: PublishDirectory | SubscribeDirectory,
  { limits, directories }: Configuration,
): Directory {
  const { name } = directory;
  switch (directory.type) {
    case 'ldif': {
      const { path } = directory;
      const urls = directory.direction === 'publish' && directory.allowFileUrls;
      return new LdifDirectory({ name, path, limits, ...(urls ? { allowFileUrls: { folder: dirname(path) } } : {}) });
    }
    case 'csv': {
      const { path, delimiter, encoding, values: separator } = directory;
      const shared = { name, path, limits, delimiter, encoding, separator };
      if (directory.direction === 'publish') {
        const { key, dn, members, multiple, rdn, suffix, objectClass } = directory;
        const wanted = wantedColumns(directory);
        return new CsvDirectory({ ...shared, key, dn, members, multiple, rdn, suffix, objectClass, wanted });
      }
      const { columns, container, formulas } = directory;
      return new CsvDirectory({ ...shared, key: 'id', columns, container, keepFormulas: formulas === 'keep' });
    }
    case 'command':
      return new CommandDirectory({ ...directory, limits });
    case 'ldap':
      return openLdap(directory, limits, stampsIn(directories));
  }
}

function distinct<T>(values: T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** First start, or a changed configuration. */
async function prepare({ store, spool, random, server, publishing, tell }: Postoffice): Promise<void> {
  if (spool instanceof FileSpool) await spool.prepare();
  const read = new Set(publishing.map(({ directory }) => directory.name));
  const dropped = await store.transaction(async (tx) => {
    await createRequestor(tx, random);
    if (server !== null) await createServer(tx, random);
    return dropReadHolds(tx, (directory) => read.has(directory));
  });
  for (const directory of dropped) {
    const text = `${directory} is not published from any more: what was held of its read stays as it was published`;
    tell({ time: 'T0', level: 'info', text, details: { directory } });
  }
  if (server === null) return;
  const changed = await store.transaction(
    async (tx) => {
      const record = await loadServer(tx);
      const names = await applyDefinitions(tx, server, record);
      await saveServer(tx, record);
      await noteSeqTime(tx, record.seq, server.clock.now());
      return names;
    },
    { large: true },
  );
  for (const list of changed) tell({ time: 'T2', level: 'info', text: `the address list ${list} was defined anew` });
}

/** Makes the data folder, for keys first. */
export async function makeDataFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}
