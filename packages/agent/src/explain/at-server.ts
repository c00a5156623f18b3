/** The server's part of the story: who owns the entry, what the rules say, which lists it is on, and who has it. */
import {
  type AddressList,
  attributeSpans,
  clashesOfEntry,
  type EntryRow,
  findRequestor,
  type FlaggedEntry,
  listDocument,
  listFor,
  type ListRecord,
  type ListRow,
  lookupIn,
  type OutgoingSummary,
  publishJudge,
  releaseOf,
  type RequestorRecord,
  type ServerContext,
  seqTimes,
  shownBytes,
  type StoreTx,
  timeOfSeq,
  isEdit,
} from '@dirpost/core';
import { fileName } from '../seal-outgoing.ts';
import { type HeldStory, heldStory } from './at-owner.ts';
import { filterReasons } from './filter-reason.ts';

export interface ServerStory {
  owner: string;
  seq: number;
  /** Of the entry here, and as its owner names it. */
  number: number;
  ownerNumber: number | null;
  removed: boolean;
  /** Effects of its last change that wait here for an approval: the lists stay as they were. */
  held: HeldStory | null;
  /** By when its last change was processed; null before the first sample of times. */
  processedMs: number | null;
  /** The newest exchange of the owner that was processed. */
  ownerExchange: { number: number; heardMs: number; acceptedSeq: number } | null;
  /** By the publishing rules. */
  refused: { code: string; reason: string } | null;
  /** Values that must be unique, and that others have, too. */
  clashes: { code: string; reason: string }[];
  lists: ListStory[];
  /** By directories of those who have reported. */
  refusals: { postoffice: string; code: string; reason: string }[];
}

export interface ListStory {
  list: string;
  on: boolean;
  /** Was on it, and left with `seq`. */
  left: boolean;
  /** Of the last change on the list, and of entering it. */
  seq: number | null;
  enteredSeq: number | null;
  filter: string;
  /** Why it is not on the list; sentences. */
  reasons: string[];
  released: string[];
  withheld: string[];
  requestors: ReceiverStanding[];
}

/**
 * `owner`: is not sent his own. `has-it`: verified, or for what left the list: verified that it is gone. `sent`: in an
 * update that is not verified yet. `waiting`: in a message file here. `next-update`: gets it with the next answer.
 */
export type DeliveryState = 'owner' | 'has-it' | 'sent' | 'waiting' | 'next-update' | 'never-heard';

export interface ReceiverStanding {
  postoffice: string;
  state: DeliveryState;
  sentSeq: number;
  verifiedSeq: number | null;
  lastVerifiedMs: number | null;
  /** As far as it has said. */
  written: boolean;
  refused: { code: string; reason: string } | null;
  file: string | null;
  attempts: number;
  lastError: string | null;
}

export interface Receivers {
  /** Everybody who is known, heard of or not. */
  names: string[];
  records: Map<string, RequestorRecord>;
}

/** null where nothing of it was ever submitted. */
export async function explainAtServer(
  tx: StoreTx,
  context: ServerContext,
  receivers: Receivers,
  id: string,
): Promise<ServerStory | null> {
  const [row] = await tx.entriesById('collected', [Buffer.from(id, 'hex')]);
  if (row === undefined) return null;
  const owner = await findRequestor(tx, row.owner);
  const updates = await tx.outgoing({ kind: 'update' });
  const lists: ListStory[] = [];
  for (const list of context.lists) lists.push(await explainList(tx, context, list, row, receivers, updates));
  return {
    owner: row.owner,
    seq: row.seq,
    number: row.number,
    ownerNumber: row.peerNumber,
    removed: row.deleted,
    held: heldStory(row),
    processedMs: timeOfSeq(await seqTimes(tx), row.seq),
    ownerExchange:
      owner === undefined
        ? null
        : { number: owner.newest, heardMs: owner.lastHeardMs, acceptedSeq: owner.accepted.seq },
    refused: refusalOf(context, row, owner),
    clashes: (await clashesOfEntry(tx, row, context.unique)).map(({ code, reason }) => ({ code, reason })),
    lists,
    refusals: [...receivers.records.values()].flatMap(({ name, report }) => {
      const refused = refusedIn(report.refused, id);
      return refused === null ? [] : [{ postoffice: name, ...refused }];
    }),
  };
}

function refusalOf(
  { rules, unique }: ServerContext,
  row: EntryRow,
  owner: RequestorRecord | undefined,
): { code: string; reason: string } | null {
  if (row.note === null || row.deleted) return null;
  const named = refusedIn(owner?.flagged ?? [], Buffer.from(row.id).toString('hex'));
  if (named !== null) return named;
  // Not among those that were kept by name: the rule says it again. It was the last straw if the number was the reason.
  const live = row.note === 'too-many-entries' ? Number.MAX_SAFE_INTEGER : 0;
  const refusal = publishJudge(row.owner, rules, unique)(row.bytes!, live);
  return { code: row.note, reason: refusal?.reason ?? 'the publishing rules for its owner' };
}

function refusedIn(entries: FlaggedEntry[], id: string): { code: string; reason: string } | null {
  const found = entries.find((one) => one.id === id);
  return found === undefined ? null : { code: found.code, reason: found.reason };
}

async function explainList(
  tx: StoreTx,
  context: ServerContext,
  list: AddressList,
  row: EntryRow,
  receivers: Receivers,
  updates: OutgoingSummary[],
): Promise<ListStory> {
  const { name, filter } = list.definition;
  const record = await tx.getDocument<ListRecord>(listDocument(name));
  const [listRow] = await tx.listRows(name, [row.number]);
  const on = listRow !== undefined && !listRow.left;
  const shown = shownBytes(row);
  const attributes = shown === null ? [] : namesIn(shown);
  const release = on ? releaseOf(list, row) : null;
  const released = new Set(release === null ? [] : namesIn(release.bytes));
  const followers = receivers.names.filter((one) => listFor(context.lists, one) === list);
  const standing = (one: string, present: ListRow): ReceiverStanding =>
    standingOf(one, receivers.records.get(one), row, present, record?.identity ?? '', updates);
  return {
    list: name,
    on,
    left: listRow?.left ?? false,
    seq: listRow?.seq ?? null,
    enteredSeq: listRow?.entered ?? null,
    filter,
    reasons: on ? [] : reasonsOf(row, filter),
    released: attributes.filter((attribute) => released.has(attribute)),
    withheld: on ? attributes.filter((attribute) => !released.has(attribute)) : [],
    requestors: listRow === undefined ? [] : followers.map((one) => standing(one, listRow)),
  };
}

function namesIn(bytes: Uint8Array): string[] {
  return [...attributeSpans(bytes)].map((span) => span.name);
}

function reasonsOf(row: EntryRow, filter: string): string[] {
  const shown = shownBytes(row);
  if (shown === null) return ['its owner removed it, or it was withdrawn here with its owner'];
  if (isEdit(shown)) return ['what it is of is not on the list, or not all that it changes is released'];
  if (row.note !== null) return ['the publishing rules keep it from all lists'];
  const parts = filterReasons(filter, lookupIn(shown));
  return parts.length > 0 ? parts : ['the definition of the list was changed, and is applied at the next start'];
}

function standingOf(
  postoffice: string,
  record: RequestorRecord | undefined,
  row: EntryRow,
  listRow: ListRow,
  identity: string,
  updates: OutgoingSummary[],
): ReceiverStanding {
  const verified = record?.verified?.list === identity ? record.verified.seq : null;
  const sentSeq = record?.sentSeq ?? 0;
  const message = updates.find(({ to, deliveredMs }) => to === postoffice && deliveredMs === null);
  const has = verified !== null && verified >= listRow.seq;
  const sent = record !== undefined && sentSeq >= listRow.seq;
  const state = stateOf({ owner: postoffice === row.owner, heard: record !== undefined, has, sent, waiting: message });
  const file = state === 'waiting' ? message! : null;
  return {
    postoffice,
    state,
    sentSeq,
    verifiedSeq: verified,
    lastVerifiedMs: record?.lastVerifiedMs ?? null,
    written: has && record!.report.writtenUpTo >= listRow.seq,
    refused: refusedIn(record?.report.refused ?? [], Buffer.from(row.id).toString('hex')),
    file: file === null ? null : fileName(file.id),
    attempts: file?.attempts ?? 0,
    lastError: file?.lastError ?? null,
  };
}

interface Facts {
  owner: boolean;
  heard: boolean;
  has: boolean;
  sent: boolean;
  /** The newest update, which no transport has taken yet: it holds all that was sent. */
  waiting: OutgoingSummary | undefined;
}

function stateOf({ owner, heard, has, sent, waiting }: Facts): DeliveryState {
  if (owner) return 'owner';
  if (!heard) return 'never-heard';
  if (has) return 'has-it';
  if (!sent) return 'next-update';
  return waiting === undefined ? 'sent' : 'waiting';
}
