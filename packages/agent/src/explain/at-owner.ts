/** The owner's part of the story: where the entry comes from, how it became published, and what the server said of it. */
import {
  type Effect,
  effectNames,
  type EntryRow,
  keptFrom,
  loadOwn,
  type OwnRecord,
  type StoreTx,
} from '@dirpost/core';
import type { PublishDirectory } from '../config/directory.ts';
import type { Configuration } from '../config/load.ts';
import { loadDirectoryState } from '../directory-state.ts';
import type { Postoffice } from '../postoffice.ts';
import { fileName } from '../seal-outgoing.ts';

/**
 * `accepted`: the server's receipt covers it. `waiting`: in a message file here. `sent`: in an exchange that is not
 * answered yet. `next-exchange`: numbered, and not yet in any.
 */
export type SubmissionState = 'accepted' | 'waiting' | 'sent' | 'next-exchange';

export interface OwnerStory {
  directory: string | null;
  /** It is no longer in the configuration; an administrator said that this stays published. */
  kept: boolean;
  dn: string | null;
  kind: string | null;
  /** The filter that gives this kind in the configuration of the directory. */
  kindFilter: string | null;
  number: number;
  /** Of the last change, and of its first publication. */
  seq: number;
  introducedSeq: number;
  removed: boolean;
  /** Effects of the last read that wait here for an approval: what is published stays as it was. */
  held: HeldStory | null;
  /** The last complete read refused it, and what is published stays as it was; known of the first hundred. */
  refusedAtRead: { code: string; reason: string } | null;
  lastReadMs: number | null;
  state: SubmissionState;
  acceptedSeq: number;
  answeredMs: number | null;
  exchange: { number: number; composedMs: number | null } | null;
  file: string | null;
  attempts: number;
  lastError: string | null;
  /** Kept from the lists by the server. */
  refused: { code: string; reason: string } | null;
  /** By directories of other postoffices; known of some. */
  refusedElsewhere: { code: string; reason: string }[];
  /** The server named fewer than it refused: this entry may be among the others. */
  maybeRefused: boolean;
  heldAtServer: number;
}

export interface HeldStory {
  effects: Effect[];
  sinceMs: number;
  approved: boolean;
}

export function heldStory({ held }: EntryRow): HeldStory | null {
  return held === null ? null : { effects: effectNames(held.effects), sinceMs: held.sinceMs, approved: held.approved };
}

/** null where it is not published here, and never was as far as is known. */
export async function explainAtOwner(
  tx: StoreTx,
  postoffice: Postoffice,
  { directories }: Pick<Configuration, 'directories'>,
  id: string,
  kind: string | null,
): Promise<OwnerStory | null> {
  const [row] = await tx.entriesById('published', [Buffer.from(id, 'hex')]);
  if (row === undefined) return null;
  const own = await loadOwn(tx);
  const [association] = row.note === null ? [] : await tx.associationsById(row.note, [row.id]);
  const state = row.note === null ? null : await loadDirectoryState(tx, row.note);
  const options = directories.find(({ name }) => name === row.note) as PublishDirectory | undefined;
  const atRead = row.deleted ? undefined : state?.read?.refused.find(({ dn }) => dn === association?.dn);
  const { entries, count } = own.refused;
  const refused = entries.find((one) => one.id === id);
  return {
    directory: keptFrom(row.note) ?? row.note,
    kept: keptFrom(row.note) !== null,
    dn: association?.dn ?? null,
    kind,
    kindFilter: new Map(Object.entries(options?.kinds ?? {})).get(kind ?? '') ?? null,
    number: row.number,
    seq: row.seq,
    introducedSeq: row.introduced,
    removed: row.deleted,
    held: heldStory(row),
    refusedAtRead: atRead === undefined ? null : { code: atRead.code, reason: atRead.reason },
    lastReadMs: state?.lastReadMs ?? null,
    ...(await submission(tx, postoffice, own, row.seq, state?.lastCompleteMs ?? null)),
    acceptedSeq: own.accepted,
    answeredMs: own.answeredMs,
    refused: refused === undefined ? null : { code: refused.code, reason: refused.reason },
    refusedElsewhere: own.refusedElsewhere.filter((one) => one.id === id).map(({ code, reason }) => ({ code, reason })),
    maybeRefused: refused === undefined && count > entries.length,
    heldAtServer: own.heldAtServer,
  };
}

type Submission = Pick<OwnerStory, 'state' | 'exchange' | 'file' | 'attempts' | 'lastError'>;

async function submission(
  tx: StoreTx,
  { requestor }: Postoffice,
  own: OwnRecord,
  seq: number,
  lastCompleteMs: number | null,
): Promise<Submission> {
  const nothing: Submission = { state: 'accepted', exchange: null, file: null, attempts: 0, lastError: null };
  if (seq <= own.accepted && !own.sendFull) return nothing;
  for (const message of await tx.outgoing({ kind: 'exchange', undelivered: true })) {
    const head = requestor.codec.head((await tx.outgoingPayload(message.id))!);
    if (head.kind !== 'exchange' || head.submission.to.seq < seq) continue;
    const { number, createdMs, attempts, lastError } = message;
    const exchange = { number, composedMs: createdMs };
    return { state: 'waiting', exchange, file: fileName(message.id), attempts, lastError };
  }
  // An exchange carries all that was numbered before it; changes are numbered by complete reads alone.
  const composedAfter = own.exchangeMs !== null && (lastCompleteMs ?? 0) <= own.exchangeMs;
  if (!composedAfter || own.unanswered === 0) return { ...nothing, state: 'next-exchange' };
  return { ...nothing, state: 'sent', exchange: { number: own.number, composedMs: own.exchangeMs } };
}
