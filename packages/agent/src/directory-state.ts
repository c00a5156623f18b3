/**
 * What is remembered of each configured directory: its last read (T0) and its last write (T3). The report in
 * verifications and exchanges is made of it.
 */
import {
  AMBIGUOUS_MATCH,
  type FlaggedEntry,
  heldAtThisEnd,
  loadOwn,
  MATCH_WAITS,
  type PostofficeName,
  type ReadSummary,
  type Refusal,
  type Report,
  type StoreTx,
} from '@dirpost/core';
import type { Postoffice } from './postoffice.ts';

export interface DirectoryState {
  name: PostofficeName;
  lastReadMs: number | null;
  /** Of the last read that was complete: only that changes what is published. */
  lastCompleteMs: number | null;
  read: ReadSummary | null;
  /** Why the last read failed or was incomplete; null when it was complete. */
  readProblem: string | null;
  /** Since when every read failed; absent in what older versions wrote. */
  readProblemSinceMs?: number | null;
  write: WriteState | null;
}

export interface WriteState {
  /** Cursor that the written content stands for. */
  seq: number;
  digest: string;
  writtenMs: number;
  entries: number;
  refusedCount: number;
  refused: RefusedEntry[];
  problem: string | null;
  /** With a problem: since when, how often in a row, and when it is tried again. */
  problemSinceMs?: number | null;
  failures?: number;
  retryMs?: number | null;
  /** `changes` directories: when they were last asked at all, and when one of the entries that they refused is tried again. */
  triedMs?: number;
  againMs?: number | null;
  /** When everything was last looked at, and not only what was due. */
  allTriedMs?: number;
}

export interface RefusedEntry extends FlaggedEntry {
  /** When it is tried again by itself, ms since 1970; null or absent: with the next write. */
  againMs?: number | null;
}

/** When the directory is asked for it by itself, ms since 1970; null: not known, or an administrator has to say who it is. */
export function askedAgainMs({ code, againMs }: RefusedEntry, write: WriteState | null): number | null {
  if (code === MATCH_WAITS || code === AMBIGUOUS_MATCH) return null;
  return againMs ?? write?.againMs ?? null;
}

export const directoryDocument = (name: string) => `directory/${name}`;

export async function loadDirectoryState(tx: StoreTx, name: string): Promise<DirectoryState> {
  const known = await tx.getDocument<DirectoryState>(directoryDocument(name));
  return known ?? { name, lastReadMs: null, lastCompleteMs: null, read: null, readProblem: null, write: null };
}

export async function saveDirectoryState(tx: StoreTx, state: DirectoryState): Promise<void> {
  await tx.putDocument(directoryDocument(state.name), state);
}

/** What the server is told of this end: written up to where all subscribing directories are, and what they refused. */
export async function makeReport(tx: StoreTx, postoffice: Postoffice): Promise<Report> {
  const own = await loadOwn(tx);
  let writtenUpTo = own.cursor?.seq ?? 0;
  let refusedCount = 0;
  const refused: Refusal[] = [];
  for (const { directory } of postoffice.subscribing) {
    const { write } = await loadDirectoryState(tx, directory.name);
    writtenUpTo = Math.min(writtenUpTo, write?.seq ?? 0);
    refusedCount += write?.refusedCount ?? 0;
    for (const { id, code, reason } of write?.refused ?? []) refused.push({ id: Buffer.from(id, 'hex'), code, reason });
  }
  return {
    writtenUpTo,
    refusedCount,
    refused: refused.slice(0, postoffice.limits.maxRefusedNamed),
    heldCount: heldAtThisEnd(own),
    nextContactMs: postoffice.nextContact?.() ?? null,
  };
}
