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
  connectMemoryTransports,
  FolderTransport,
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
  saveServer,
  type ServerContext,
  type Store,
  type Transport,
} from '@dirpost/core';
import { createCodec, createSealer, type PrivateKeys } from '@dirpost/message';
import type { PublishDirectory, SubscribeDirectory } from './config/directory.ts';
import { type Configuration, publishRules } from './config/load.ts';
import type { CycleEvent } from './events.ts';
import { loadKeys } from './keys.ts';
import { loadPeers } from './peers.ts';
import type { Postoffice } from './postoffice.ts';
import { Routes } from './routes.ts';
import { FileSpool } from './spool.ts';
import { VERSION } from './version.ts';

/** Sealing adds the header, the age body's framing (16 in 65,536) and the signature. */
const SEALING_BYTES = 4_096;

export interface Agent {
  postoffice: Postoffice;
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
  let store: Store | undefined;
  try {
    store = await openSqliteStore({ path: join(dataFolder, 'store.db'), readOnly });
    const postoffice = await build(configuration, keys, store, options.tell ?? (() => {}));
    if (!readOnly) await prepare(postoffice);
    return {
      postoffice,
      async close() {
        await store!.close();
        lock?.release();
      },
    };
  } catch (error) {
    await store?.close();
    lock?.release();
    throw error;
  }
}

async function build(
  configuration: Configuration,
  keys: PrivateKeys,
  store: Store,
  tell: (event: CycleEvent) => void,
): Promise<Postoffice> {
  const { postoffice: name, server, limits, retry, dataFolder } = configuration;
  const peers = await loadPeers(dataFolder);
  const clock = { now: () => Date.now() };
  const [memory, ownEnd] = connectMemoryTransports({ maxMessageBytes: limits.maxMessageBytes });
  const outside = outsideTransports(configuration, tell);
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
    sealer: createSealer({ name, keys, peers: (peer) => peers.get(peer), limits }),
    clock,
    random: randomBytes,
    limits,
    retry,
    keepDone: { maxAgeMs: configuration.spool.keepDoneMs, maxFiles: configuration.spool.keepDoneFiles },
    routes: new Routes(store, (peer) => (peer === name ? [memory] : outside)),
    inbound: configuration.role === 'server' ? [ownEnd, ...outside] : outside,
    publishing: publishing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      mapping: compileMapping({ ...directory, owner: name, limits }),
    })),
    readCompletely: new Set(),
    subscribing: subscribing.map((directory) => ({
      directory: openDirectory(directory, configuration),
      options: {
        name: directory.name,
        dn: directory.dn,
        container: directory.container ?? '',
        publishing: publishing.map((own) => own.name),
      },
    })),
    requestor: { ...workshop, name, server, anchors: distinct(anchors), version: VERSION },
    server: configuration.role === 'server' ? serverContext(configuration, workshop, keys) : null,
    tell,
  };
}

type Workshop = Pick<ServerContext, 'codec' | 'clock' | 'random' | 'limits' | 'maxPayloadBytes'>;

function serverContext(configuration: Configuration, workshop: Workshop, keys: PrivateKeys): ServerContext {
  // From the key file and not from the store, so that a restored store can be told from its future.
  const secret = createHash('sha256').update('dirpost cookie secret').update(keys.signing).digest();
  return {
    ...workshop,
    name: configuration.postoffice,
    lists: configuration.lists.map(compileList),
    rules: publishRules(configuration),
    cookies: createCookieJar(secret),
    retentionMs: configuration.retentionMs,
  };
}

function outsideTransports(
  { transports, postoffice, limits }: Configuration,
  tell: (event: CycleEvent) => void,
): Transport[] {
  if (transports.folder === undefined) return [];
  return [
    new FolderTransport({
      root: transports.folder.path,
      postoffice,
      maxMessageBytes: limits.maxMessageBytes,
      onProblem: (problem) => tell({ time: 'T3', level: 'warning', text: `folder: ${problem.message}` }),
    }),
  ];
}

export function openDirectory(directory: PublishDirectory | SubscribeDirectory, { limits }: Configuration): Directory {
  const { name, path } = directory;
  const urls = directory.direction === 'publish' && directory.allowFileUrls;
  return new LdifDirectory({ name, path, limits, ...(urls ? { allowFileUrls: { folder: dirname(path) } } : {}) });
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
