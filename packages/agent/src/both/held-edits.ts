/**
 * Many edits at once wait for `dirpost approve DIRECTORY`: a container that was restored with old values, or a script that
 * clears a column, shall not change the directories of all owners. At the editor before they are proposed (T0, T3: read-back.ts), at the
 * owner before they are written into his directory (T3: take-edits.ts). By the limit of cleared values (core's holds.ts).
 */
import type { HoldLimit, StoreTx } from '@dirpost/core';
import { counted, type CycleTime } from '../events.ts';
import type { Postoffice } from '../postoffice.ts';

/** `container`: changed by hand there, for others. `own`: by others, of own entries. */
export type EditsPlace = 'container' | 'own';

export interface EditsAtOnce {
  directory: string;
  place: EditsPlace;
  /** That would be changed. */
  entries: number;
  /** Of so many that stand in the container, or are published from the directory. */
  of: number;
}

export interface HeldEdits extends EditsAtOnce {
  sinceMs: number;
  /** That they were over. */
  limit: HoldLimit;
}

/** `approved`: so many of `entries` may go. */
type Kept = HeldEdits & { approved: number };

const HELD = 'held edits/';
const heldDocument = ({ directory, place }: Pick<EditsAtOnce, 'directory' | 'place'>) => `${HELD}${directory}/${place}`;

type Office = Pick<Postoffice, 'requestor' | 'clock'>;

/** null: they are within the limit, or approved. Else they are held, which is remembered. */
export async function holdIfMany(tx: StoreTx, office: Office, edits: EditsAtOnce): Promise<HeldEdits | null> {
  const document = heldDocument(edits);
  const known = await tx.getDocument<Kept>(document);
  const limit = office.requestor.holds.clearedValues;
  if (!isOver(edits.entries, edits.of, limit)) {
    if (known !== undefined) await tx.removeDocument(document);
    return null;
  }
  const approved = known?.approved ?? 0;
  if (approved > 0 && !isOver(edits.entries - approved, edits.of, limit)) return null;
  const held: HeldEdits = { ...edits, sinceMs: known?.sinceMs ?? office.clock.now(), limit };
  await tx.putDocument(document, { ...held, approved } satisfies Kept);
  return held;
}

/** Whether holdIfMany has anything to say or to forget: most times it has not. */
export async function mayBeMany(tx: StoreTx, { requestor }: Office, edits: EditsAtOnce): Promise<boolean> {
  if (isOver(edits.entries, edits.of, requestor.holds.clearedValues)) return true;
  return (await tx.getDocument(heldDocument(edits))) !== undefined;
}

function isOver(entries: number, of: number, { above, percent }: HoldLimit): boolean {
  return percent < 100 && entries > above && entries * 100 > percent * of;
}

/** An approval is for what was held then, and for nothing that comes later. */
export async function haveGone(
  tx: StoreTx,
  edits: Pick<EditsAtOnce, 'directory' | 'place'>,
  entries: number,
): Promise<void> {
  const known = await tx.getDocument<Kept>(heldDocument(edits));
  if (known === undefined) return;
  const approved = known.approved - entries;
  if (approved <= 0) await tx.removeDocument(heldDocument(edits));
  else await tx.putDocument(heldDocument(edits), { ...known, entries: approved, approved } satisfies Kept);
}

/** Entries. */
export type ApprovedEdits = { [place in EditsPlace]: number };

/** How many were waiting. */
export async function approveEdits(tx: StoreTx, directory: string): Promise<ApprovedEdits> {
  const approved: ApprovedEdits = { container: 0, own: 0 };
  for (const place of ['container', 'own'] as const) {
    const known = await tx.getDocument<Kept>(heldDocument({ directory, place }));
    if (known === undefined || known.approved >= known.entries) continue;
    approved[place] = known.entries;
    await tx.putDocument(heldDocument(known), { ...known, approved: known.entries } satisfies Kept);
  }
  return approved;
}

/** Of directories that are of both ways by the configuration. */
export async function heldEdits(tx: StoreTx, { subscribing }: Pick<Postoffice, 'subscribing'>): Promise<HeldEdits[]> {
  const held: HeldEdits[] = [];
  for (const { directory, both } of subscribing) {
    if (both === undefined) continue;
    for (const place of ['container', 'own'] as const) {
      const known = await tx.getDocument<Kept>(heldDocument({ directory: directory.name, place }));
      if (known === undefined || known.approved >= known.entries) continue;
      const { approved: _, ...one } = known;
      held.push(one);
    }
  }
  return held;
}

export function heldEditsWords({ directory, place, entries, of, limit }: HeldEdits): string {
  const share = of === 0 ? '' : `${Number(((entries * 100) / of).toFixed(1))} % of ${of}; `;
  const measure = `${share}the limit is ${limit.above} and ${limit.percent} %`;
  return place === 'container'
    ? `${directory}: ${counted(entries, 'entry')} changed by hand in its container at once (${measure}); that goes to the owners, and the container is written again, only after: dirpost approve ${directory}`
    : `${directory}: edits by others of ${counted(entries, 'entry')} at once (${measure}); they are written there only after: dirpost approve ${directory}`;
}

/** What an administrator does who does not want them. */
export function unwantedEditsWords({ place }: HeldEdits): string {
  return place === 'container'
    ? 'If it is a mistake, set the values back there; or take the attributes out of `edits`: then `conflicts` says what becomes of them.'
    : 'If it is a mistake: `takes: never` for the attributes, until a dispatch has settled them as not taken.';
}

export function tellHeld(postoffice: Postoffice, held: HeldEdits, time: CycleTime): void {
  const { directory, place, entries } = held;
  postoffice.tell({ time, level: 'warning', text: heldEditsWords(held), details: { directory, place, entries } });
}
