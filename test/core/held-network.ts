/**
 * Three postoffices for tests of limits on effects: `oslo` publishes, `hq` is the server, `lima` receives. Real stores
 * and payloads, no seals and no transports; what one composes the other gets at once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  type AddressListDefinition,
  applyDefinitions,
  attributeValues,
  compileList,
  compileMapping,
  composeExchange,
  createCookieJar,
  createRequestor,
  createServer,
  defaultLimits,
  type DirectoryEntry,
  DirectoryReading,
  type Effect,
  EFFECTS,
  type Exchange,
  type HeldPlace,
  type HoldLimit,
  type HoldLimits,
  loadServer,
  membersIn,
  processExchange,
  processUpdate,
  processVerification,
  type PublishRules,
  type ReadSummary,
  type Report,
  type RequestorContext,
  saveServer,
  type ServerContext,
  shownBytes,
  type Update,
  type Verification,
  RecentDeltas,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';

export const PLACES = ['published:people', 'collected', 'replica'] as const satisfies HeldPlace[];
export type Place = (typeof PLACES)[number];

const NEVER: HoldLimit = { above: 0, percent: 100 };
const REPORT: Report = { writtenUpTo: 0, refusedCount: 0, refused: [], heldCount: 0, nextContactMs: null };
const codec = createCodec(defaultLimits);
const mapping = compileMapping({
  owner: 'oslo',
  key: 'entryUUID',
  space: 'entryuuid',
  kinds: { group: '(objectClass=groupOfNames)', person: '(objectClass=*)' },
  limits: defaultLimits,
});

export function limits(effects: readonly Effect[], limit: HoldLimit): HoldLimits {
  return Object.fromEntries(EFFECTS.map((one) => [one, effects.includes(one) ? limit : NEVER])) as HoldLimits;
}

interface Person {
  uid: string;
  name: string;
  phone: string | null;
}

/** What others see of oslo's people. */
export type Seen = Record<string, { name: string; phone: string | null; members: number }>;

export class HeldNetwork {
  readonly stores: Record<'oslo' | 'hq' | 'lima', MemoryStore> = {
    oslo: createMemoryStore(),
    hq: createMemoryStore(),
    lima: createMemoryStore(),
  };
  nowMs = 1_000;
  /** Oslo's directory. */
  people: Person[] = Array.from({ length: 10 }, (_, i) => ({ uid: `p${i}`, name: `Person ${i}`, phone: `+${i}` }));
  members = this.people.map(({ uid }) => uid);
  list: AddressListDefinition = { name: 'all', filter: '(objectClass=*)', attributes: ['*'], receivers: '*' };
  rules: PublishRules = new Map();

  /** Limits at one place; nothing is held at the others. */
  constructor(
    readonly place: Place,
    public holds: HoldLimits,
  ) {}

  async begin(): Promise<this> {
    for (const name of ['oslo', 'lima'] as const)
      await this.stores[name].transaction((tx) => createRequestor(tx, randomBytes));
    await this.define();
    await this.deliver();
    return this;
  }

  /** The server starts with the present list and rules. */
  async define(): Promise<void> {
    await this.stores.hq.transaction(async (tx) => {
      await createRequestor(tx, randomBytes);
      await createServer(tx, randomBytes);
      const record = await loadServer(tx);
      await applyDefinitions(tx, this.server(), record);
      await saveServer(tx, record);
    });
  }

  #workshop(place: Place) {
    return {
      codec,
      clock: { now: () => this.nowMs },
      random: randomBytes,
      limits: defaultLimits,
      maxPayloadBytes: () => defaultLimits.maxMessageBytes,
      holds: this.place === place ? this.holds : limits([], NEVER),
    };
  }

  server(): ServerContext {
    return {
      ...this.#workshop('collected'),
      name: 'hq',
      lists: [compileList(this.list)],
      rules: this.rules,
      cookies: createCookieJar(Buffer.from('test')),
      unique: ['mail'],
      recent: new RecentDeltas(),
      retentionMs: 86_400_000,
    };
  }

  requestor(name: 'oslo' | 'lima'): RequestorContext {
    const place = name === 'oslo' ? 'published:people' : 'replica';
    return { ...this.#workshop(place), name, server: 'hq', anchors: [], version: '1' };
  }

  /** A whole cycle: read, submit, hand out. The verdict of lima's update. */
  async deliver(): Promise<string[]> {
    await this.read();
    await this.cycle('oslo');
    return this.cycle('lima');
  }

  async read(preview = false): Promise<ReadSummary> {
    const entries = this.#entries();
    const reading = new DirectoryReading(this.stores.oslo, 'oslo', 'people', mapping, this.requestor('oslo'));
    await reading.begin();
    for (const entry of entries) await reading.take([entry]);
    const certificate = { complete: true, remarks: [], entries: entries.length, source: 'test', bookmark: null };
    return reading.finish(certificate, preview);
  }

  #entries(): DirectoryEntry[] {
    const dn = ({ name }: Person) => `cn=${name},o=oslo`;
    const people = this.people.map((person) =>
      entry(dn(person), person.uid, 'person', { telephonenumber: person.phone }),
    );
    const group = entry('cn=everybody,o=oslo', 'everybody', 'groupOfNames', {});
    const members = this.people.filter(({ uid }) => this.members.includes(uid)).map((one) => Buffer.from(dn(one)));
    if (members.length > 0) group.attributes.set('member', members);
    return [...people, group];
  }

  /** Exchange, update, verification; the verdicts about the updates. */
  async cycle(name: 'oslo' | 'lima'): Promise<string[]> {
    const store = this.stores[name];
    await store.transaction((tx) => composeExchange(tx, this.requestor(name), REPORT));
    await this.#carry(name, 'hq');
    const verdicts = await this.#carry('hq', name);
    await this.#carry(name, 'hq');
    return verdicts;
  }

  async #carry(from: 'oslo' | 'hq' | 'lima', to: 'oslo' | 'hq' | 'lima'): Promise<string[]> {
    const verdicts: string[] = [];
    for (const { id } of await this.stores[from].read((tx) => tx.outgoing({ to }))) {
      const payload = (await this.stores[from].read((tx) => tx.outgoingPayload(id)))!;
      await this.stores[from].transaction((tx) => tx.removeOutgoing([id]));
      const head = codec.head(payload);
      const arrival = { from, payload, payloadHash: createHash('sha256').update(payload).digest() };
      const store = this.stores[to];
      if (head.kind === 'update') {
        const context = this.requestor(to as 'oslo' | 'lima');
        verdicts.push(
          (await processUpdate(store, context, { ...arrival, head: head satisfies Update }, REPORT)).verdict,
        );
      } else if (head.kind === 'exchange') {
        const { verdict } = await processExchange(store, this.server(), { ...arrival, head: head satisfies Exchange });
        verdicts.push(verdict);
      } else {
        await processVerification(store, this.server(), { ...arrival, head: head as Verification });
      }
    }
    return verdicts;
  }

  /** The store where the limits of this network strike. */
  get store(): MemoryStore {
    return this.place === 'replica' ? this.stores.lima : this.stores[this.place === 'collected' ? 'hq' : 'oslo'];
  }

  /** What the next in the chain is shown. */
  async seen(): Promise<Seen> {
    const bytes = await this.store.read(async (tx) => {
      if (this.place === 'collected') {
        const listed = await tx.scanList('all', 0, 'lima', 1_000);
        return listed.map(({ entry }) => shownBytes(entry));
      }
      const table = this.place === 'replica' ? 'replica' : 'published';
      return (await tx.scanEntries(table, 0, 1_000)).map(shownBytes);
    });
    return seenOf(bytes.filter((one) => one !== null));
  }

  /** What lima's directories are shown, whatever is held before. */
  async seenAtTheEnd(): Promise<Seen> {
    const rows = await this.stores.lima.read((tx) => tx.scanEntries('replica', 0, 1_000));
    return seenOf(rows.map(shownBytes).filter((one) => one !== null));
  }

  async close(): Promise<void> {
    for (const store of Object.values(this.stores)) await store.close();
  }
}

function entry(dn: string, uid: string, objectClass: string, more: Record<string, string | null>): DirectoryEntry {
  const values = { objectclass: objectClass, entryuuid: uid, cn: uid, ...more };
  const attributes = new Map<string, Uint8Array[]>();
  for (const [name, value] of Object.entries(values)) if (value !== null) attributes.set(name, [Buffer.from(value)]);
  return { dn, attributes };
}

function seenOf(entries: Uint8Array[]): Seen {
  const text = (bytes: Uint8Array, name: string) => {
    const [value] = attributeValues(bytes, name);
    return value === undefined ? null : Buffer.from(value).toString();
  };
  return Object.fromEntries(
    entries.map((bytes) => {
      const name = text(bytes, 'entrydn') ?? '';
      return [text(bytes, 'cn')!, { name, phone: text(bytes, 'telephonenumber'), members: membersIn(bytes) }];
    }),
  );
}

/** Has the effect on the people with these numbers. */
export function strike(network: HeldNetwork, effect: Effect, numbers: number[]): void {
  const hit = (uid: string) => numbers.some((number) => uid === `p${number}`);
  if (effect === 'removals') network.people = network.people.filter(({ uid }) => !hit(uid));
  if (effect === 'clearedValues')
    network.people = network.people.map((one) => (hit(one.uid) ? { ...one, phone: null } : one));
  if (effect === 'renames')
    network.people = network.people.map((one) => (hit(one.uid) ? { ...one, name: `Renamed ${one.uid}` } : one));
  if (effect === 'lostMembers') network.members = network.members.filter((uid) => !hit(uid));
}
