/** Rows for the store contract, made from small numbers so that a failure can be read. */
import { createHash } from 'node:crypto';
import type { Association, EntryRow, ListRow, Outgoing, Store, StoreTx, StagedEntry, StagedPart } from '@dirpost/core';

export interface OpenedStore {
  store: Store;
  /** The same data, after the store was closed. */
  reopen(): Promise<Store>;
  dispose(): Promise<void>;
}

/** Gives the store of the running test. */
export type StoreOf = () => Store;

export function octets(seed: number | string, length = 16): Buffer {
  const hash = createHash('sha256').update(String(seed)).digest();
  return Buffer.alloc(length, hash);
}

export function entry(seed: number, fields: Partial<EntryRow> = {}): EntryRow {
  return {
    number: 0,
    id: octets(`id ${seed}`),
    owner: 'oslo',
    seq: seed,
    deleted: false,
    hash: octets(`hash ${seed}`),
    bytes: octets(`bytes ${seed}`, 60),
    peerNumber: null,
    introduced: 0,
    changed: null,
    note: null,
    held: null,
    withheld: null,
    ...fields,
  };
}

export function entries(count: number, fields: (seed: number) => Partial<EntryRow> = () => ({})): EntryRow[] {
  return Array.from({ length: count }, (_, at) => entry(at + 1, fields(at + 1)));
}

export function listRow(number: number, fields: Partial<ListRow> = {}): ListRow {
  return {
    number,
    owner: 'oslo',
    seq: number,
    left: false,
    first: number,
    entered: number,
    introduced: 0,
    hash: octets(`released ${number}`),
    ...fields,
  };
}

export function outgoing(seed: number, fields: Partial<Outgoing> = {}): Outgoing {
  return {
    id: octets(`message ${seed}`).toString('hex'),
    to: 'hq',
    kind: 'update',
    forIncarnation: '0.00',
    incarnation: '1.11',
    number: seed,
    part: 1,
    parts: 1,
    payload: octets(`payload ${seed}`, 100 + seed),
    createdMs: 1_700_000_000_000 + seed,
    deliveredMs: null,
    attempts: 0,
    nextAttemptMs: 0,
    lastError: null,
    ...fields,
  };
}

export function part(number: number, part: number, fields: Partial<StagedPart> = {}): StagedPart {
  return {
    from: 'hq',
    kind: 'update',
    incarnation: '1.11',
    number,
    part,
    parts: 3,
    payload: octets(`part ${number}.${part}`, 50),
    ...fields,
  };
}

export function staged(seed: number, fields: Partial<StagedEntry> = {}): StagedEntry {
  return {
    id: octets(`id ${seed}`),
    dn: `CN=Person ${seed},DC=example`,
    bytes: octets(`bytes ${seed}`, 60),
    hash: octets(`hash ${seed}`),
    memberDns: [],
    ...fields,
  };
}

export function association(seed: number, dn = `CN=Person ${seed},DC=example`): Association {
  return { id: octets(`id ${seed}`), dn, normalizedDn: dn.toLowerCase() };
}

/** One call in a transaction of its own. */
export const write = <T>(store: Store, work: (tx: StoreTx) => Promise<T>) => store.transaction(work);
export const read = <T>(store: Store, work: (tx: StoreTx) => Promise<T>) => store.read(work);
