/** A server that is asked who may keep a value, owners with people who share some, and rome, who publishes nothing. */
import { createHash, randomBytes } from 'node:crypto';
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  applyDefinitions,
  attributeValues,
  compileList,
  compileMapping,
  composeExchange,
  createCookieJar,
  createRequestor,
  createServer,
  defaultHolds,
  defaultLimits,
  DirectoryReading,
  type DirectoryEntry,
  type Exchange,
  loadOwn,
  loadServer,
  processExchange,
  processUpdate,
  processVerification,
  type PublishRules,
  RecentDeltas,
  type Report,
  type RequestorContext,
  saveOwn,
  saveServer,
  type ServerContext,
  type Update,
  type Verification,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';

const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
const codec = createCodec(defaultLimits);

/** Key of a person → attribute → values. */
export type People = Record<string, Record<string, string[]>>;
export type Owner = 'oslo' | 'lima' | 'kiel';

export class UniqueNetwork {
  readonly people: Record<Owner, People> = { oslo: {}, lima: {}, kiel: {} };
  readonly stores: Record<Owner | 'rome' | 'hq', MemoryStore> = {
    oslo: createMemoryStore(),
    lima: createMemoryStore(),
    kiel: createMemoryStore(),
    rome: createMemoryStore(),
    hq: createMemoryStore(),
  };
  unique = ['mail'];
  rules: PublishRules = new Map();

  async begin(): Promise<this> {
    for (const store of Object.values(this.stores)) await store.transaction((tx) => createRequestor(tx, randomBytes));
    await this.define();
    return this;
  }

  async define(): Promise<void> {
    await this.stores.hq.transaction(async (tx) => {
      await createServer(tx, randomBytes);
      const record = await loadServer(tx);
      await applyDefinitions(tx, this.server(), record);
      await saveServer(tx, record);
    });
  }

  #workshop() {
    return {
      codec,
      clock: { now: () => 1_000 },
      random: randomBytes,
      limits: defaultLimits,
      maxPayloadBytes: () => defaultLimits.maxMessageBytes,
      holds: defaultHolds,
    };
  }

  server(): ServerContext {
    return {
      ...this.#workshop(),
      name: 'hq',
      lists: [compileList({ name: 'all', filter: '(objectClass=*)', attributes: ['*'], receivers: '*' })],
      rules: this.rules,
      cookies: createCookieJar(Buffer.from('test')),
      unique: this.unique,
      recent: new RecentDeltas(),
      retentionMs: 86_400_000,
    };
  }

  requestor(name: Owner | 'rome'): RequestorContext {
    return { ...this.#workshop(), name, server: 'hq', anchors: [], version: '1' };
  }

  /** The directory as it is now goes to the server; `full`: all of it, as after a restore. */
  async submit(name: Owner, full = false): Promise<void> {
    const mapping = compileMapping({ owner: name, key: 'entryUUID', space: 'entryuuid', limits: defaultLimits });
    const reading = new DirectoryReading(this.stores[name], name, 'people', mapping, this.requestor(name));
    await reading.begin();
    const entries = Object.entries(this.people[name]).map(([key, values]) => directoryEntry(name, key, values));
    for (const entry of entries) await reading.take([entry]);
    const certificate = { complete: true, remarks: [], entries: entries.length, source: 'test', bookmark: null };
    await reading.finish(certificate);
    if (full) {
      await this.stores[name].transaction(async (tx) => saveOwn(tx, { ...(await loadOwn(tx)), sendFull: true }));
    }
    await this.cycle(name);
  }

  async cycle(name: Owner | 'rome'): Promise<void> {
    await this.stores[name].transaction((tx) => composeExchange(tx, this.requestor(name), REPORT));
    await this.#carry(name, 'hq');
    await this.#carry('hq', name);
    await this.#carry(name, 'hq');
  }

  async #carry(from: Owner | 'rome' | 'hq', to: Owner | 'rome' | 'hq'): Promise<void> {
    for (const { id } of await this.stores[from].read((tx) => tx.outgoing({ to }))) {
      const payload = (await this.stores[from].read((tx) => tx.outgoingPayload(id)))!;
      await this.stores[from].transaction((tx) => tx.removeOutgoing([id]));
      const head = codec.head(payload);
      const arrival = { from, payload, payloadHash: createHash('sha256').update(payload).digest() };
      const store = this.stores[to];
      if (head.kind === 'update') {
        const { verdict } = await processUpdate(
          store,
          this.requestor(to as Owner),
          { ...arrival, head: head satisfies Update },
          REPORT,
        );
        if (verdict !== 'applied') throw new Error(`${to}: ${verdict}`);
      } else if (head.kind === 'exchange') {
        await processExchange(store, this.server(), { ...arrival, head: head satisfies Exchange });
      } else {
        await processVerification(store, this.server(), { ...arrival, head: head as Verification });
      }
    }
  }

  /** "oslo anna" → the values that rome is shown. */
  async seen(attribute = 'mail'): Promise<Record<string, string[]>> {
    await this.cycle('rome');
    const rows = await this.stores.rome.read((tx) => tx.scanEntries('replica', 0, 10_000));
    return Object.fromEntries(
      rows
        // A removal that rome holds keeps its row.
        .filter(({ deleted }) => !deleted)
        .map(({ owner, bytes }): [string, string[]] => {
          const [texts, names] = [attribute, 'cn'].map((one) =>
            attributeValues(bytes!, one).map((value) => Buffer.from(value).toString()),
          );
          return [`${owner} ${names![0]}`, texts!];
        })
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  async close(): Promise<void> {
    for (const store of Object.values(this.stores)) await store.close();
  }
}

function directoryEntry(owner: string, key: string, values: Record<string, string[]>): DirectoryEntry {
  const all = { objectclass: ['inetOrgPerson'], entryuuid: [key], cn: [key.replace(/ .*/, '')], ...values };
  const attributes = new Map(
    Object.entries(all).map(([name, texts]) => [name, texts.map((text) => Buffer.from(text))]),
  );
  return { dn: `cn=${key},o=${owner}`, attributes };
}
