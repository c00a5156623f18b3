/**
 * For tests of what is written into a directory entry by entry: an office with a replica in a real store, and a tree that is
 * written as an LDAP server is (packages/adapters/src/directories/ldap/write-entry.ts), without a server.
 */
import { randomBytes } from 'node:crypto';
import { createMemoryStore, type MemoryStore } from '@dirpost/adapters';
import {
  type Attributes,
  carriedOut,
  createRequestor,
  deriveEntryId,
  DigestSum,
  encodeEntry,
  type Entry,
  entryHash,
  type EntryKind,
  type EntryRow,
  loadOwn,
  normalizeDn,
  noteReplicaChanges,
  parentDn,
  type PlanChangesOptions,
  type PlannedChange,
  plannedDifferences,
  recordOutcomes,
  saveOwn,
  shownBytes,
  type WriteOutcome,
} from '@dirpost/core';

export const CONTAINER = 'ou=network,dc=lima';
const MANY = 1_000_000;

export function idOf(key: string): Buffer {
  return Buffer.from(deriveEntryId('oslo', 'test', Buffer.from(key)));
}

export interface Wanted {
  kind?: EntryKind;
  owner?: string;
  cn?: string;
  title?: string;
  /** Keys. */
  members?: string[];
}

export function entryOf(
  key: string,
  { kind = 'person', owner = 'oslo', cn = key, title, members }: Wanted = {},
): Entry {
  const attributes: Attributes = new Map([['cn', [Buffer.from(cn)]]]);
  if (title !== undefined) attributes.set('title', [Buffer.from(title)]);
  if (members !== undefined) attributes.set('member;entryid', members.map(idOf));
  return { id: idOf(key), owner, kind: members === undefined ? kind : 'group', attributes };
}

/** An office that writes what it is sent into a tree. */
export class Office {
  readonly store: MemoryStore = createMemoryStore();
  readonly tree = new Tree();
  /** Not all of the last write was recorded. */
  behind = false;
  /** By which outcomes are recorded, ms. */
  nowMs = 0;
  options: PlanChangesOptions = {
    name: 'tree',
    dn: 'container',
    container: CONTAINER,
    publishing: ['people'],
    shape: '1',
    again: false,
  };

  async begin(): Promise<this> {
    await this.store.transaction((tx) => createRequestor(tx, randomBytes));
    return this;
  }

  /** The replica has this. `shown`: it is held, and directories still have that. */
  async put(entry: Entry, shown: Entry | null = null): Promise<void> {
    await this.store.transaction(async (tx) => {
      const [row] = await tx.entriesById('replica', [entry.id]);
      const bytes = encodeEntry(entry);
      await tx.putEntries('replica', [
        rowOf(entry, bytes, shown === null ? null : encodeEntry(shown), row?.number ?? 0),
      ]);
      // As apply.ts: what is held may come to be shown.
      await noteReplicaChanges(tx, shown === null && row?.held == null ? [entry.id] : null);
    });
    await this.#addUp();
  }

  async remove(key: string): Promise<void> {
    await this.store.transaction(async (tx) => {
      const [row] = await tx.entriesById('replica', [idOf(key)]);
      if (row !== undefined) await tx.removeEntries('replica', [row.number]);
      await noteReplicaChanges(tx, [idOf(key)]);
    });
    await this.#addUp();
  }

  /** As the directory `people` is collected: own entries have DNs, and what is published is another. */
  async publish(keys: Record<string, string>): Promise<void> {
    await this.store.transaction(async (tx) => {
      const associations = Object.entries(keys).map(([key, dn]) => ({
        id: idOf(key),
        dn,
        normalizedDn: normalizeDn(dn),
      }));
      await tx.putAssociations('people', associations);
      const own = await loadOwn(tx);
      const sum = new DigestSum();
      for (const { dn } of associations) sum.add(entryHash(Buffer.from(dn)));
      own.digest = sum.digest();
      await saveOwn(tx, own);
    });
  }

  async plan(options: Partial<PlanChangesOptions> = {}): Promise<PlannedChange[]> {
    const changes: PlannedChange[] = [];
    for await (const change of plannedDifferences(this.store, { ...this.options, ...options })) changes.push(change);
    return changes;
  }

  /** What was done, in order. `recorded`: of so many changes the outcome was recorded before everything stopped. */
  async write(recorded = MANY, options: Partial<PlanChangesOptions> = {}): Promise<PlannedChange[]> {
    const changes: PlannedChange[] = [];
    const outcomes: WriteOutcome[] = [];
    for await (const change of plannedDifferences(this.store, { ...this.options, ...options })) {
      // As the adapter does (rename-rings.ts): renames end before others begin.
      if (!isRename(change)) this.tree.settleRenames(changes, outcomes);
      changes.push(change);
      outcomes.push(this.tree.take(change));
    }
    this.tree.settleRenames(changes, outcomes);
    this.behind = recorded < changes.length;
    await this.store.transaction(async (tx) => {
      await recordOutcomes(tx, this.options.name, changes.slice(0, recorded), outcomes.slice(0, recorded), this.nowMs);
      if (!this.behind) await carriedOut(tx, this.options.name);
    });
    return changes;
  }

  async shown(): Promise<EntryRow[]> {
    const rows = await this.store.read((tx) => tx.scanEntries('replica', 0, MANY));
    return rows.filter((row) => shownBytes(row) !== null);
  }

  /** The requestor's record says what directories are shown, as after an update (apply.ts). */
  async #addUp(): Promise<void> {
    const sum = new DigestSum();
    const rows = await this.shown();
    for (const row of rows) sum.add(entryHash(shownBytes(row)!));
    await this.store.transaction(async (tx) => {
      const own = await loadOwn(tx);
      own.replica.digest = sum.digest();
      own.replica.live = rows.length;
      await saveOwn(tx, own);
    });
  }
}

function isRename({ action, place, dn }: PlannedChange): boolean {
  return action === 'put' && place !== undefined && normalizeDn(place.dn) !== normalizeDn(dn);
}

function rowOf({ id, owner }: Entry, bytes: Uint8Array, shown: Uint8Array | null, number: number): EntryRow {
  const held = shown === null ? null : { effects: 2, lostMembers: 0, sinceMs: 1, approved: false, shown };
  const rest = { seq: 0, deleted: false, peerNumber: null, introduced: 0, changed: null, note: null, withheld: null };
  return { number, id, owner, hash: entryHash(bytes), bytes, held, ...rest };
}

export interface Standing {
  dn: string;
  anchor: string;
  /** Name → values as text, sorted. */
  attributes: Record<string, string[]>;
}

/** Entries by normalized DN. Members need not be there, as in OpenLDAP without refint. */
export class Tree {
  readonly entries = new Map<string, Standing>();
  /** Code by which the next write of this DN is refused, and all after it. */
  readonly refusing = new Map<string, string>();
  /** At once, and not only when an entry is looked at again. */
  tellsAnchors = false;
  #created = 0;

  take(change: PlannedChange): WriteOutcome {
    const { id, dn, place, action } = change;
    const code = this.refusing.get(normalizeDn(dn));
    const found = place === undefined ? undefined : this.#find(place);
    if (code !== undefined) {
      const stands = found && { place: { dn: found.dn, anchor: found.anchor } };
      return { id, result: 'refused', code, reason: 'because', ...stands };
    }
    if (action === 'remove') {
      if (found !== undefined) this.entries.delete(normalizeDn(found.dn));
      return { id, result: 'written' };
    }
    if (!this.#hasParent(dn)) return { id, result: 'refused', code: 'noSuchObject', reason: 'no parent' };
    if (found === undefined) return this.#create(change);
    const other = this.entries.get(normalizeDn(dn));
    if (other !== undefined && other !== found)
      return { id, result: 'refused', code: 'entryAlreadyExists', reason: '' };
    this.entries.delete(normalizeDn(found.dn));
    return this.#set(change, found.anchor);
  }

  /** Of the last changes, those that wait for each other. */
  settleRenames(changes: PlannedChange[], outcomes: WriteOutcome[]): void {
    const begin = changes.findLastIndex((change) => !isRename(change)) + 1;
    const run = changes.slice(begin).map((change, i) => ({ change, at: begin + i }));
    const stands = ({ change }: { change: PlannedChange }) => normalizeDn(this.#find(change.place!)?.dn ?? '');
    const left = new Set(
      run.filter(({ at }) => outcomes[at]!.result === 'written').map(({ change }) => normalizeDn(change.place!.dn)),
    );
    let open = run.filter(({ at }) => outcomes[at]!.code === 'entryAlreadyExists');
    for (const one of open) left.add(stands(one));
    open = open.filter(({ change }) => left.has(normalizeDn(change.dn)));
    while (open.length > 0) {
      for (const { change, at } of open) outcomes[at] = this.take(change);
      const still = open.filter(({ at }) => outcomes[at]!.code === 'entryAlreadyExists');
      if (still.length === open.length) {
        const leaving = new Set(still.map(stands));
        const one = still.find(({ change }) => leaving.has(normalizeDn(change.dn)));
        if (one === undefined) return;
        const found = this.#find(one.change.place!)!;
        this.entries.delete(normalizeDn(found.dn));
        const dn = `cn=aside ${Buffer.from(one.change.id).toString('hex')},${parentDn(found.dn)!}`;
        this.entries.set(normalizeDn(dn), { ...found, dn });
        // The adapter knows where it put it.
        one.change = { ...one.change, place: { dn, anchor: found.anchor } };
      }
      open = still;
    }
  }

  texts(): string[] {
    return [...this.entries.keys()].sort();
  }

  at(dn: string): Standing | undefined {
    return this.entries.get(normalizeDn(dn));
  }

  /** What stands there already is taken for one's own. */
  #create(change: PlannedChange): WriteOutcome {
    const there = this.entries.get(normalizeDn(change.dn));
    if (there !== undefined) return this.#set(change, there.anchor);
    const { id } = this.#set(change, `${++this.#created}`);
    return { id, result: 'written', place: { dn: change.dn, anchor: this.tellsAnchors ? `${this.#created}` : '' } };
  }

  #set({ id, dn, attributes }: PlannedChange, anchor: string): WriteOutcome {
    this.entries.set(normalizeDn(dn), { dn, anchor, attributes: textsOf(attributes) });
    return { id, result: 'written', place: { dn, anchor } };
  }

  #find({ dn, anchor }: { dn: string; anchor: string }): Standing | undefined {
    const found = this.entries.get(normalizeDn(dn));
    if (found !== undefined && (anchor === '' || found.anchor === anchor)) return found;
    return anchor === '' ? undefined : [...this.entries.values()].find((one) => one.anchor === anchor);
  }

  #hasParent(dn: string): boolean {
    if (!normalizeDn(dn).endsWith(CONTAINER) || dn === CONTAINER) return true;
    return this.entries.has(normalizeDn(parentDn(dn)!));
  }
}

export function textsOf(attributes: Attributes): Record<string, string[]> {
  return Object.fromEntries(
    Array.from(attributes, ([name, values]) => [name, values.map((value) => Buffer.from(value).toString()).sort()]),
  );
}
