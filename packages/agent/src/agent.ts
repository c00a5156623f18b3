/**
 * The agent: the only place that builds everything, from a configuration and its data folder.
 *
 *   <data>/keys.json   private keys (0600)      <data>/store.db   the store       <data>/spool/   message files
 *   <data>/peers/      public keys of others    <data>/lock.db    one agent per data folder
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
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
  compileList,
  compileMapping,
  createCookieJar,
  createRequestor,
  createServer,
  type Directory,
  loadServer,
  noteSeqTime,
  RecentDeltas,
  saveServer,
  type ServerContext,
  type Store,
} from '@dirpost/core';
import { createCodec, createSealer, type PrivateKeys } from '@dirpost/message';
import { CompleteReads } from './complete-reads.ts';
import { type PublishDirectory, type SubscribeDirectory, wantedColumns } from './config/directory.ts';
import type { Configuration } from './config/load.ts';
import type { CycleEvent } from './events.ts';
import { admission } from './joining/admission.ts';
import { Joining, livePublishRules } from './joining/joining.ts';
import { RefusedRequests } from './joining/refused-requests.ts';
import { loadKeys } from './keys.ts';
import type { Postoffice } from './postoffice.ts';
import { Routes } from './routes.ts';
import { Schedule } from './schedule/schedule.ts';
import { FileSpool } from './spool.ts';
import { openTransports, type Transports } from './transports.ts';
import { Upkeep } from './upkeep.ts';
import { VERSION } from './version.ts';

/** Sealing adds the header, the age body's framing (16 in 65,536) and the signature. */
const SEALING_BYTES = 4_096;
const UPKEEP_AFTER_MS = 600_000;

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
}

/** Throws DirpostError `locked`, `not-initialized` and what keys, peers and store have to say. */
export async function openAgent(configuration: Configuration, options: OpenOptions = {}): Promise<Agent> {
  const { dataFolder } = configuration;
  const { readOnly = false } = options;
  const keys = await loadKeys(dataFolder);
  const lock = readOnly ? null : acquireLock(dataFolder);
  const tell = options.tell ?? (() => {});
  let store: Store | undefined;
  let transports: Transports | undefined;
  let refused: RefusedRequests | undefined;
  const close = async () => {
    await transports?.close();
    await refused?.write();
    await store?.close();
    lock?.release();
  };
  try {
    store = await openSqliteStore({ path: join(dataFolder, 'store.db'), readOnly });
    const joining = await Joining.open(dataFolder, keys, store);
    const requests = (refused = new RefusedRequests({ store, peers: joining.peers, tell }));
    transports = openTransports(configuration, {
      keys,
      tell,
      gate: admission(joining, configuration.limits),
      onRefused: (who, why) => requests.note(who, why),
      isEnrolling: () => joining.enrolling !== null,
    });
    const postoffice = build(configuration, { keys, store, joining, outside: transports.outside, tell });
    if (!readOnly) await prepare(postoffice);
    return { postoffice, joining, transports, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Opened {
  keys: PrivateKeys;
  store: Store;
  joining: Joining;
  outside: Transports['outside'];
  tell: (event: CycleEvent) => void;
}

function build(configuration: Configuration, opened: Opened): Postoffice {
  const { keepDoneMs, keepDoneFiles } = configuration.spool;
  const schedule = new Schedule(configuration);
  const { keys, store, joining, outside, tell } = opened;
  const { postoffice: name, server, limits, retry, dataFolder } = configuration;
  const { peers, invitations } = joining;
  const clock = { now: () => Date.now() };
  const [memory, ownEnd] = connectMemoryTransports({ maxMessageBytes: limits.maxMessageBytes });
  const smallest = Math.min(limits.maxMessageBytes, ...outside.map((transport) => transport.maxMessageBytes));
  const workshop = {
    codec: createCodec(limits),
    clock,
    random: randomBytes,
    limits,
    maxPayloadBytes: () => smallest - SEALING_BYTES,
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
      enrolling: () => joining.enrolling,
      limits,
    }),
    nextContact: () => schedule.nextContact(clock.now()),
    clock,
    random: randomBytes,
    limits,
    retry,
    upkeep: new Upkeep({ maxAgeMs: keepDoneMs, maxFiles: keepDoneFiles, everyMs: UPKEEP_AFTER_MS }),
    routes: new Routes(store, (peer) => (peer === name ? [memory] : outside), configuration.role === 'server'),
    inbound: configuration.role === 'server' ? [ownEnd, ...outside] : outside,
    publishing: publishing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      mapping: compileMapping({ ...directory, owner: name, limits }),
    })),
    completeReads: new CompleteReads(),
    subscribing: subscribing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      firstWrite: directory.firstWrite,
      options: {
        name: directory.name,
        dn: directory.dn,
        container: directory.container ?? '',
        publishing: publishing.map((own) => own.name),
      },
    })),
    requestor: { ...workshop, name, server, anchors: distinct(anchors), version: VERSION, holds: configuration.holds },
    server: configuration.role === 'server' ? serverContext(configuration, workshop, opened) : null,
    tell,
  };
}

type Workshop = Pick<ServerContext, 'codec' | 'clock' | 'random' | 'limits' | 'maxPayloadBytes'>;

function serverContext(configuration: Configuration, workshop: Workshop, { keys, joining }: Opened): ServerContext {
  // From the key file and not from the store, so that a restored store can be told from its future.
  const secret = createHash('sha256').update('dirpost cookie secret').update(keys.signing).digest();
  return {
    ...workshop,
    name: configuration.postoffice,
    lists: configuration.lists.map(compileList),
    rules: livePublishRules(configuration.requestors, joining.peers),
    cookies: createCookieJar(secret),
    holds: configuration.holds,
    recent: new RecentDeltas(),
    retentionMs: configuration.retentionMs,
  };
}

export function openDirectory(directory: PublishDirectory | SubscribeDirectory, { limits }: Configuration): Directory {
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
  }
}

function distinct<T>(values: T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** First start, or a changed configuration. */
async function prepare({ store, spool, random, server, tell }: Postoffice): Promise<void> {
  if (spool instanceof FileSpool) await spool.prepare();
  await store.transaction(async (tx) => {
    await createRequestor(tx, random);
    if (server !== null) await createServer(tx, random);
  });
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
