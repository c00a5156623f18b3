/**
 * Postoffices for the benches: real stores on disk, real keys and seals, no directories and no transports. What one has
 * in its outbox is sealed, opened and processed at the other end, with the octets counted.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '@dirpost/adapters';
import {
  applyDefinitions,
  type AnchorHint,
  compileList,
  composeExchange,
  createCookieJar,
  createRequestor,
  createServer,
  defaultHolds,
  defaultLimits,
  DigestSum,
  entryHash,
  type EntryRow,
  loadOwn,
  loadServer,
  type OutgoingSummary,
  processExchange,
  processUpdate,
  processVerification,
  type Report,
  type RequestorContext,
  saveOwn,
  saveServer,
  type ServerContext,
  type Store,
  RecentDeltas,
} from '@dirpost/core';
import {
  createCodec,
  createSealer,
  generateKeys,
  type PeerKeys,
  type PrivateKeys,
  publicKeys,
  type Sealer,
} from '@dirpost/message';

const BATCH = 2_000;
const NO_REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };

export interface BenchNode {
  name: string;
  store: Store;
  sealer: Sealer;
  requestor: RequestorContext;
  server: ServerContext | null;
}

export interface BenchNetwork {
  folder: string;
  nodes: Map<string, BenchNode>;
  node(name: string): BenchNode;
  close(): Promise<void>;
}

/** A server `hq` and requestors; `hq` has a list of everything for all. */
export async function openNetwork(requestors: string[], anchors: AnchorHint[] = []): Promise<BenchNetwork> {
  const folder = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
  await makeKeys(folder, ['hq', ...requestors]);
  const nodes = new Map<string, BenchNode>();
  for (const name of ['hq', ...requestors]) nodes.set(name, await openNode(folder, name, anchors));
  return {
    folder,
    nodes,
    node: (name) => nodes.get(name)!,
    async close() {
      for (const { store } of nodes.values()) await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type Keys = Record<string, { own: PrivateKeys; peer: PeerKeys }>;

/** The keys of all in one file of the folder, so that each postoffice can run in a process of its own. */
export async function makeKeys(folder: string, names: string[]): Promise<void> {
  const keys: Keys = {};
  for (const name of names) {
    const own = await generateKeys();
    const { signing, recipient } = await publicKeys(own);
    keys[name] = { own, peer: { signing: [signing], recipients: [recipient] } };
  }
  writeFileSync(join(folder, 'keys.json'), JSON.stringify(keys), { mode: 0o600 });
}

export async function openNode(folder: string, name: string, anchors: AnchorHint[] = []): Promise<BenchNode> {
  const keys: Keys = JSON.parse(readFileSync(join(folder, 'keys.json'), 'utf8'));
  const limits = defaultLimits;
  const store = await openSqliteStore({ path: join(folder, `${name}.db`) });
  const workshop = {
    codec: createCodec(limits, { relays: name === 'hq' }),
    clock: { now: () => Date.now() },
    random: randomBytes,
    limits,
    maxPayloadBytes: () => limits.maxMessageBytes - 4096,
  };
  await store.transaction((tx) => createRequestor(tx, randomBytes));
  const own = anchors.filter((anchor) => anchor.owner === name);
  return {
    name,
    store,
    sealer: createSealer({ name, keys: keys[name]!.own, peers: (peer) => keys[peer]?.peer, limits }),
    requestor: { ...workshop, name, server: 'hq', anchors: own, version: 'bench', holds: defaultHolds },
    server: name === 'hq' ? await makeServer(store, workshop) : null,
  };
}

async function makeServer(
  store: Store,
  workshop: Omit<RequestorContext, 'name' | 'server' | 'anchors' | 'version' | 'holds'>,
): Promise<ServerContext> {
  const server: ServerContext = {
    ...workshop,
    name: 'hq',
    lists: [compileList({ name: 'all', filter: '(objectClass=*)', attributes: ['*'], receivers: '*' })],
    rules: new Map(),
    cookies: createCookieJar(Buffer.from('bench')),
    holds: defaultHolds,
    unique: ['mail'],
    recent: new RecentDeltas(),
    retentionMs: 90 * 86_400_000,
  };
  await store.transaction(async (tx) => {
    await createServer(tx, randomBytes);
    const record = await loadServer(tx);
    await applyDefinitions(tx, server, record);
    await saveServer(tx, record);
  });
  return server;
}

/** Publishes entries as T0 would, straight into the store. */
export async function publish(
  node: BenchNode,
  entries: Iterable<{ id: Uint8Array; bytes: Uint8Array }>,
): Promise<void> {
  let batch: EntryRow[] = [];
  const flush = async (): Promise<void> => {
    const rows = batch;
    batch = [];
    await node.store.transaction(
      async (tx) => {
        const own = await loadOwn(tx);
        const sum = DigestSum.from(own.digest);
        for (const row of rows) {
          row.seq = row.introduced = ++own.seq;
          sum.add(row.hash);
        }
        own.live += rows.length;
        own.digest = sum.digest();
        await tx.putEntries('published', rows);
        await saveOwn(tx, own);
      },
      { large: true },
    );
  };
  for (const { id, bytes } of entries) {
    const fixed = {
      number: 0,
      owner: node.name,
      seq: 0,
      deleted: false,
      peerNumber: null,
      introduced: 0,
      changed: null,
      note: 'bench',
      held: null,
      withheld: null,
    };
    batch.push({ ...fixed, id, bytes, hash: entryHash(bytes) });
    if (batch.length === BATCH) await flush();
  }
  await flush();
}

export async function submit(node: BenchNode, large: boolean): Promise<void> {
  await node.store.transaction((tx) => composeExchange(tx, node.requestor, NO_REPORT), { large });
}

/** What a node has in its outbox for another, sealed. */
export async function* sealed(
  node: BenchNode,
  to: BenchNode,
): AsyncGenerator<{ message: OutgoingSummary; bytes: Uint8Array }> {
  for (const message of await node.store.read((tx) => tx.outgoing({ to: to.name, undelivered: true }))) {
    const payload = (await node.store.read((tx) => tx.outgoingPayload(message.id)))!;
    const { id, forIncarnation, createdMs } = message;
    yield {
      message,
      bytes: await node.sealer.seal({ id, from: node.name, to: to.name, forIncarnation, createdMs }, payload),
    };
    await node.store.transaction((tx) => tx.removeOutgoing([id]));
  }
}

/** Opens and processes one message file at its receiver. */
export async function take(node: BenchNode, bytes: Uint8Array, large: boolean): Promise<string> {
  const { envelope, payload, payloadHash } = await node.sealer.open(bytes);
  const head = node.requestor.codec.head(payload);
  const { from } = envelope;
  if (head.kind === 'update')
    return (await processUpdate(node.store, node.requestor, { from, head, payload, payloadHash }, NO_REPORT, large))
      .verdict;
  if (head.kind === 'exchange')
    return (await processExchange(node.store, node.server!, { from, head, payload, payloadHash }, large)).verdict;
  if (head.kind === 'verification')
    return (await processVerification(node.store, node.server!, { from, head, payload, payloadHash })).verdict;
  throw new Error(`unexpected ${head.kind}`);
}

/** Sends everything in the outbox of one node to another; the octets that travelled. */
export async function post(from: BenchNode, to: BenchNode, large: boolean): Promise<number> {
  let octets = 0;
  for await (const { bytes } of sealed(from, to)) {
    octets += bytes.length;
    await take(to, bytes, large);
  }
  return octets;
}

/** Exchange, update and verification of one requestor; what travelled each way. */
export async function cycle(
  network: BenchNetwork,
  name: string,
  large: boolean,
): Promise<{ up: number; down: number }> {
  const [node, hq] = [network.node(name), network.node('hq')];
  await submit(node, large);
  const up = await post(node, hq, large);
  const down = await post(hq, node, large);
  return { up: up + (await post(node, hq, false)), down };
}

export async function inStep(network: BenchNetwork, name: string, live: number): Promise<boolean> {
  const own = await network.node(name).store.read(loadOwn);
  return own.replica.live === live && own.request === 'changes' && own.cursor !== null;
}
