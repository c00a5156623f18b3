/**
 * The store of one life of a machine: the real SQLite store in memory, with a gate before the work, before the commit
 * (then everything is rolled back) and after it, and with an ear for what was committed.
 */
import { DirpostError, type EntryTable, type Outgoing, type OwnRecord, type Store, type StoreTx } from '@dirpost/core';
import type { Gate } from './gate.ts';

/** What a transaction did that a checker wants to know. */
export interface Committed {
  /** Tables of entries that may have changed. */
  tables: Set<EntryTable>;
  /** By id: final heads replace the first ones. */
  outgoing: Map<string, Outgoing>;
  /** What the requestor remembers, if that was saved. */
  own: OwnRecord | null;
}

export interface StoreOptions {
  gate: Gate;
  /** Thrown instead of doing the work, when it says so. */
  diskFull(): boolean;
  committed(what: Committed): Promise<void>;
  /** A deliberately broken rule (mutations.test.ts). */
  wrap?: ((tx: StoreTx) => StoreTx) | undefined;
}

export class SimulatedStore implements Store {
  constructor(
    private readonly inner: Store,
    private readonly options: StoreOptions,
  ) {}

  async transaction<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    const { gate, wrap, diskFull } = this.options;
    gate.pass('transaction');
    if (diskFull()) throw new DirpostError('disk-full', 'The disk is full.', { retry: 'later' });
    const what: Committed = { tables: new Set(), outgoing: new Map(), own: null };
    const result = await this.inner.transaction(async (tx) => {
      const heard = listening(tx, what);
      const done = await work(wrap === undefined ? heard : wrap(heard));
      gate.pass('commit');
      return done;
    });
    await this.options.committed(what);
    gate.pass('transaction, done');
    return result;
  }

  async read<T>(work: (tx: StoreTx) => Promise<T>): Promise<T> {
    this.options.gate.pass('read');
    return this.inner.read((tx) => work(this.options.wrap === undefined ? tx : this.options.wrap(tx)));
  }

  async close(): Promise<void> {}
}

const entryWrites = new Set(['putEntries', 'removeEntries', 'clearEntries']);

function listening(tx: StoreTx, what: Committed): StoreTx {
  return overriding(tx, (method, args) => {
    if (entryWrites.has(method)) {
      if (args[1] === undefined || (args[1] as unknown[]).length > 0) what.tables.add(args[0] as EntryTable);
    }
    if (method === 'purgeCollected') what.tables.add('collected');
    if (method === 'putDocument' && args[0] === 'requestor') what.own = args[1] as OwnRecord;
    if (method === 'putOutgoing') {
      const message = args[0] as Outgoing;
      what.outgoing.set(message.id, message);
    }
    return undefined;
  });
}

/** `tx`, where `before` sees every call and may answer it in the store's place (anything but undefined). */
export function overriding(
  tx: StoreTx,
  before: (method: keyof StoreTx, args: unknown[]) => Promise<unknown> | undefined,
): StoreTx {
  return new Proxy(tx, {
    get(target, method: keyof StoreTx) {
      const real = target[method] as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => before(method, args) ?? real.apply(target, args);
    },
  });
}
