/**
 * The conflict record: what was changed by hand and lost, stayed, or waits for an administrator, in both directions of a
 * directory of both ways. One document each; bounded by number and age, and those that wait go last. Shown and settled by `dirpost
 * conflicts`.
 */
import type { Limits, PostofficeName, StoreTx } from '@dirpost/core';
import type { RecordedValues } from './values.ts';

/** Who won; `proposed`: what stands in the directory was proposed to the owner; null: it waits for an administrator. */
export type Decided = 'directory' | 'network' | 'proposed' | null;

export interface Conflict {
  number: number;
  atMs: number;
  /** `container`: others' entry, changed here by hand. `own`: own entry, edited by somebody else. */
  about: 'container' | 'own';
  directory: string;
  /** Entry id, hexadecimal. */
  entry: string;
  /** Personal: for screens, not for the log. */
  name: string | null;
  /** Whose entry it is; and of an own one who edited it. */
  owner: PostofficeName;
  editor: PostofficeName | null;
  attribute: string;
  /** What stands, or stood, in the directory; and what the network says. */
  here: RecordedValues;
  network: RecordedValues;
  decided: Decided;
  /** A few words: by which policy, or why. */
  because: string;
  /** An open one that an administrator has settled, and that waits for its write; see take-edits.ts. */
  wanted?: 'directory' | 'network';
  /** Of an own entry: the entry hash of the edit, hexadecimal. */
  edit?: string;
}

const PREFIX = 'conflict/';
const NEXT = 'conflicts';
const DAY_MS = 24 * 60 * 60_000;

const documentName = (number: number) => `${PREFIX}${String(number).padStart(9, '0')}`;

export type NewConflict = Omit<Conflict, 'number' | 'atMs'>;

/** Those that say the same as the newest of the same entry and attribute are left out. How many were added. */
export async function recordConflicts(
  tx: StoreTx,
  found: NewConflict[],
  { limits, nowMs }: { limits: Limits; nowMs: number },
): Promise<number> {
  if (found.length === 0) return 0;
  const known = await loadConflicts(tx);
  const newest = new Map(known.map((one) => [placeOf(one), one]));
  let next = (await tx.getDocument<number>(NEXT)) ?? 1;
  const added: Conflict[] = [];
  for (const one of found) {
    const before = newest.get(placeOf(one));
    if (before !== undefined && saysTheSame(before, one)) continue;
    // What waited is over: something newer has happened to it.
    if (before?.decided === null) await tx.removeDocument(documentName(before.number));
    const conflict: Conflict = { ...one, number: next++, atMs: nowMs };
    await tx.putDocument(documentName(conflict.number), conflict);
    newest.set(placeOf(one), conflict);
    added.push(conflict);
  }
  await tx.putDocument(NEXT, next);
  await forgetOld(tx, limits, nowMs);
  return added.length;
}

function placeOf({ about, directory, entry, attribute, edit }: NewConflict): string {
  return JSON.stringify([about, directory, entry, attribute, about === 'own' ? edit : null]);
}

function saysTheSame(a: NewConflict, b: NewConflict): boolean {
  const said = ({ here, network, decided, because }: NewConflict) => JSON.stringify([here, network, decided, because]);
  return said(a) === said(b);
}

async function forgetOld(tx: StoreTx, { maxConflicts, maxConflictDays }: Limits, nowMs: number): Promise<void> {
  const all = await loadConflicts(tx);
  const isOld = ({ decided, atMs }: Conflict) => decided !== null && nowMs - atMs > maxConflictDays * DAY_MS;
  const kept = all.filter((one) => !isOld(one));
  // The first to go are those that are settled, the oldest first.
  const order = kept.toSorted((a, b) => Number(a.decided === null) - Number(b.decided === null) || a.number - b.number);
  const tooMany = order.slice(0, Math.max(0, kept.length - maxConflicts));
  for (const { number } of [...all.filter(isOld), ...tooMany]) await tx.removeDocument(documentName(number));
}

/** Ascending by number. */
export async function loadConflicts(tx: StoreTx): Promise<Conflict[]> {
  const found: Conflict[] = [];
  for (const name of await tx.documentNames(PREFIX)) found.push((await tx.getDocument<Conflict>(name))!);
  return found;
}

export async function findConflict(tx: StoreTx, number: number): Promise<Conflict | undefined> {
  return tx.getDocument<Conflict>(documentName(number));
}

export async function saveConflict(tx: StoreTx, conflict: Conflict): Promise<void> {
  await tx.putDocument(documentName(conflict.number), conflict);
}

export async function forgetConflict(tx: StoreTx, number: number): Promise<void> {
  await tx.removeDocument(documentName(number));
}

/** Those that wait for an administrator. */
export async function countOpenConflicts(tx: StoreTx): Promise<number> {
  const all = await loadConflicts(tx);
  return all.filter(({ decided, wanted }) => decided === null && wanted === undefined).length;
}

/** Of others' entries: both sides agree by now, so nothing waits any more. */
export async function closeConflicts(
  tx: StoreTx,
  directory: string,
  agreed: { entry: string; attribute: string }[],
): Promise<void> {
  if (agreed.length === 0) return;
  const over = new Set(agreed.map(({ entry, attribute }) => `${entry} ${attribute}`));
  for (const one of await loadConflicts(tx)) {
    const isOpen = one.decided === null && one.about === 'container' && one.directory === directory;
    if (isOpen && over.has(`${one.entry} ${one.attribute}`)) await tx.removeDocument(documentName(one.number));
  }
}

/** It is in the configuration no more: nothing of it can be decided. */
export async function forgetConflictsOf(tx: StoreTx, directory: string): Promise<void> {
  for (const one of await loadConflicts(tx)) if (one.directory === directory) await forgetConflict(tx, one.number);
}

export function conflictWords(open: number): string {
  const what = open === 1 ? '1 conflict waits' : `${open} conflicts wait`;
  return `${what} for a decision. Look, and settle: dirpost conflicts`;
}
