/**
 * What an administrator sees of held effects (holds.ts), and his word that lets them be. In the replica and on the server
 * it takes effect at once; at the sender it is kept for the next complete read, for just these entries and effects.
 *
 *   published:DIRECTORY   at the sender (T0): what is published stays as it is
 *   collected             on the server (T2): the lists stay as they are
 *   replica               at the receiver (T3): its directories stay as they are
 */
import { reviewEdits } from './edit-permission.ts';
import { showReplica } from './apply.ts';
import { showCollected } from './accept.ts';
import type { PostofficeName } from './change.ts';
import { UniqueValues } from './claims.ts';
import { DigestSum } from './digest.ts';
import { type Effect, effectNames } from './effects.ts';
import { attributeValues } from './entry.ts';
import { DirpostError } from './errors.ts';
import {
  addHeld,
  countEffects,
  countHeld,
  type HeldCounts,
  heldRows,
  type Holding,
  noHolding,
  noneHeld,
  shownBytes,
} from './holds.ts';
import { noteSeqTime } from './lag.ts';
import { ListNumbering } from './list-numbering.ts';
import { DN_ATTRIBUTE } from './mapping.ts';
import {
  allRequestors,
  findRequestor,
  loadServer,
  type RequestorRecord,
  saveRequestor,
  saveServer,
  type ServerContext,
} from './records.ts';
import { noteReplicaChanges } from './replica-changes.ts';
import { loadOwn, saveOwn } from './requestor-record.ts';
import type { EntryRow, EntryTable, StoreTx } from './seams/store.ts';

const BATCH = 2_000;
const PUBLISHED = 'published:';

export type HeldPlace = 'replica' | 'collected' | `published:${string}`;

/** Everything that is held there, that of one owner, or these entries. */
export type Approval = 'all' | { owner: PostofficeName } | { ids: Uint8Array[] };

export interface HeldEntry {
  place: HeldPlace;
  /** 16 bytes. */
  id: Uint8Array;
  owner: PostofficeName;
  /** Its DN as it is shown, or what else names it. */
  name: string;
  effects: Effect[];
  sinceMs: number;
  /** `published`: approved, and waits for the next complete read. */
  approved: boolean;
}

export interface HeldList {
  /** Of the place; entries that are approved do not count. */
  counts: HeldCounts;
  /** At most as many as asked for. */
  entries: HeldEntry[];
}

/** Held entries, without passing over any others. */
export async function heldEntries(tx: StoreTx, place: HeldPlace, { limit }: { limit: number }): Promise<HeldList> {
  const entries: HeldEntry[] = [];
  const counts = (await heldCounts(tx)).at(place) ?? noneHeld();
  for await (const rows of heldAt(tx, place, 'all')) {
    for (const row of rows) {
      if (entries.length === limit) return { counts, entries };
      const { id, owner } = row;
      const { effects, sinceMs, approved } = row.held!;
      entries.push({ place, id, owner, name: nameOf(row), effects: effectNames(effects), sinceMs, approved });
    }
  }
  return { counts, entries };
}

export interface HeldTotals {
  published: HeldCounts;
  replica: HeldCounts;
  /** Nothing, where this postoffice is not the directory server. */
  collected: HeldCounts;
  at(place: HeldPlace): HeldCounts | undefined;
}

/** From documents alone. */
export async function heldCounts(tx: StoreTx): Promise<HeldTotals> {
  const own = await loadOwn(tx);
  const published = Object.values(own.heldAtCollect).reduce((sum, { held }) => addHeld(sum, held), noneHeld());
  const replica = own.replica.holding.held;
  const collected = (await allRequestors(tx)).reduce((sum, { holding }) => addHeld(sum, holding.held), noneHeld());
  return {
    published,
    replica,
    collected,
    at(place) {
      if (place === 'replica') return replica;
      return place === 'collected' ? collected : own.heldAtCollect[directoryOf(place)]?.held;
    },
  };
}

/** How many entries were approved. `server`: needed for `collected`. */
export async function approve(
  tx: StoreTx,
  place: HeldPlace,
  what: Approval,
  server: ServerContext | null = null,
): Promise<number> {
  if (place === 'replica') return approveReplica(tx, what);
  if (place !== 'collected') return approvePublished(tx, place, what);
  if (server !== null) return approveCollected(tx, server, what);
  throw new DirpostError(
    'wrong-use',
    'This postoffice is not a directory server: no effects are held in what it collected.',
  );
}

async function approveReplica(tx: StoreTx, what: Approval): Promise<number> {
  const own = await loadOwn(tx);
  const { holding, members, difference } = own.replica;
  const tally = { holding, members, difference: DigestSum.from(difference) };
  let count = 0;
  for await (const rows of heldAt(tx, 'replica', what)) {
    await showReplica(tx, tally, rows, true);
    count += rows.length;
  }
  Object.assign(own.replica, { members: tally.members, difference: tally.difference.digest() });
  await saveOwn(tx, own);
  await noteReplicaChanges(tx, null);
  return count;
}

async function approveCollected(tx: StoreTx, context: ServerContext, what: Approval): Promise<number> {
  const server = await loadServer(tx);
  const numbering = new ListNumbering(tx, context.lists);
  const unique = new UniqueValues(tx, context.unique);
  const records = new Map<PostofficeName, RequestorRecord>();
  let count = 0;
  for await (const rows of heldAt(tx, 'collected', what)) {
    for (const owner of new Set(rows.map((row) => row.owner))) {
      const record = records.get(owner) ?? (await findRequestor(tx, owner))!;
      records.set(owner, record);
      const own = rows.filter((row) => row.owner === owner);
      await showCollected({ tx, server, record, numbering, unique }, own, true);
    }
    count += rows.length;
  }
  await unique.settle(server, numbering);
  await reviewEdits(tx, context, server, numbering, [...records.values()]);
  await numbering.save();
  for (const record of records.values()) await saveRequestor(tx, record);
  await saveServer(tx, server);
  await noteSeqTime(tx, server.seq, context.clock.now());
  return count;
}

/** What is measured anew at the next complete read counts as approved from now on. */
async function approvePublished(tx: StoreTx, place: HeldPlace, what: Approval): Promise<number> {
  const own = await loadOwn(tx);
  const directory = directoryOf(place);
  const holding: Holding = own.heldAtCollect[directory] ?? noHolding();
  let count = 0;
  for await (const rows of heldAt(tx, place, what)) {
    const waiting = rows.filter((row) => !row.held!.approved);
    for (const row of waiting) {
      countHeld(holding.held, row.held!, -1);
      countEffects(holding.approved, row.held!, 1);
    }
    await tx.putEntries(
      'published',
      waiting.map((row) => ({ ...row, held: { ...row.held!, approved: true } })),
    );
    count += waiting.length;
  }
  await saveOwn(tx, own);
  return count;
}

async function* heldAt(tx: StoreTx, place: HeldPlace, what: Approval): AsyncGenerator<EntryRow[]> {
  const table = tableOf(place);
  for await (const rows of batchesOf(tx, table, what)) {
    yield table === 'published' ? rows.filter((row) => row.note === directoryOf(place)) : rows;
  }
}

async function* batchesOf(tx: StoreTx, table: EntryTable, what: Approval): AsyncGenerator<EntryRow[]> {
  if (what === 'all') return yield* heldRows(tx, table);
  if ('owner' in what) return yield* heldRows(tx, table, 0, what.owner);
  const ids = [...new Map(what.ids.map((id) => [Buffer.from(id).toString('hex'), id])).values()];
  for (let from = 0; from < ids.length; from += BATCH) {
    const rows = await tx.entriesById(table, ids.slice(from, from + BATCH));
    yield rows.filter((row) => row !== undefined && row.held !== null) as EntryRow[];
  }
}

function tableOf(place: HeldPlace): EntryTable {
  return place === 'replica' || place === 'collected' ? place : 'published';
}

function directoryOf(place: HeldPlace): string {
  return place.slice(PUBLISHED.length);
}

function nameOf(row: EntryRow): string {
  const bytes = shownBytes(row)!;
  for (const attribute of [DN_ATTRIBUTE, 'cn', 'displayname', 'uid', 'mail']) {
    const [value] = attributeValues(bytes, attribute);
    if (value !== undefined) return Buffer.from(value).toString('utf8');
  }
  return Buffer.from(row.id).toString('hex');
}

const firstWriteDocument = (directory: string) => `first-write/${directory}`;

/** Whether this directory may be written: the first write into each waits for approval. */
export async function directoryApproved(tx: StoreTx, directory: string): Promise<boolean> {
  return (await tx.getDocument(firstWriteDocument(directory))) === true;
}

export async function approveDirectory(tx: StoreTx, directory: string): Promise<void> {
  await tx.putDocument(firstWriteDocument(directory), true);
}

export async function disapproveDirectory(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(firstWriteDocument(directory));
}
