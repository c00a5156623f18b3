/**
 * What was changed by hand in the container of a directory of both ways, and is known to be so (read-back.ts): it is proposed to
 * the owners, or undone, or stays, and what loses is recorded. In one transaction with the mark of how far was read.
 */
import {
  type Attributes,
  decodeEntry,
  type Entry,
  isEditable,
  ownEdits,
  proposeEdit,
  type StoreTx,
  type Watched,
  writeAgain,
} from '@dirpost/core';
import { policyFor } from '../config/both-ways.ts';
import { loadDirectoryState, saveDirectoryState } from '../directory-state.ts';
import { describe } from '../explain/find.ts';
import type { BothTarget, Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { type Decided, type NewConflict, recordConflicts } from './conflicts.ts';
import { type Decision, withoutProposal } from './decide.ts';
import { recorded, toBase64, type Values } from './values.ts';

type Deed = Exclude<Decision, 'agrees' | 'stays' | 'unchanged'>;

export interface ByHand {
  id: Uint8Array;
  attribute: string;
  decision: Deed;
  here: Values;
  /** With own edits that are not settled. */
  network: Values;
}

type Target = SubscribingDirectory & { both: BothTarget };
type Office = Pick<Postoffice, 'requestor' | 'limits' | 'clock'>;

/** Attributes that were proposed, and conflicts that were recorded. */
export async function applyByHand(
  tx: StoreTx,
  office: Office,
  target: Target,
  found: ByHand[],
): Promise<{ proposed: number; conflicts: number }> {
  const byEntry = new Map<string, ByHand[]>();
  for (const one of found) {
    const key = Buffer.from(one.id).toString('hex');
    byEntry.set(key, [...(byEntry.get(key) ?? []), one]);
  }
  const conflicts: NewConflict[] = [];
  let proposed = 0;
  for (const changes of byEntry.values()) {
    const entry = await replicaEntry(tx, changes[0]!.id);
    // It went while the container was read.
    if (entry === null) continue;
    const deeds = changes.map((one) => ({ ...one, decision: possible(target, one) }));
    const proposals = deeds.filter(({ decision }) => decision === 'propose');
    if (proposals.length > 0) await propose(tx, office, entry, proposals);
    proposed += proposals.length;
    const others = deeds.filter(({ decision }) => decision !== 'propose');
    conflicts.push(...others.map((one) => conflictOf(target.directory.name, entry, one, policyWords(one.decision))));
    await letStand(tx, target.directory.name, entry.id, others);
  }
  const { limits, clock } = office;
  return { proposed, conflicts: await recordConflicts(tx, conflicts, { limits, nowMs: clock.now() }) };
}

async function replicaEntry(tx: StoreTx, id: Uint8Array): Promise<Entry | null> {
  const [row] = await tx.entriesById('replica', [id]);
  return row?.bytes == null ? null : decodeEntry(row.bytes);
}

function possible({ both }: Target, { attribute, decision }: ByHand): Deed {
  if (decision !== 'propose' || isEditable(attribute)) return decision;
  return withoutProposal(policyFor(both.ways.conflicts, attribute));
}

/** Together with what is proposed for that entry already. */
async function propose(tx: StoreTx, { requestor }: Office, entry: Entry, changes: ByHand[]): Promise<void> {
  const [earlier] = await ownEdits(tx, [entry.id]);
  const values: Attributes = new Map(earlier?.values ?? []);
  for (const { attribute, here } of changes) values.set(attribute, [...here]);
  await proposeEdit(tx, requestor, { target: entry.id, values, saw: entry.attributes });
}

function policyWords(decision: Deed): string {
  switch (decision) {
    case 'overwrite':
      return 'network-wins';
    case 'keep':
      return 'directory-wins';
    default:
      return 'no-change';
  }
}

const decidedBy: Record<Deed, Decided> = {
  propose: 'proposed',
  overwrite: 'network',
  keep: 'directory',
  ask: null,
};

export function conflictOf(directory: string, entry: Entry, change: Omit<ByHand, 'id'>, because: string): NewConflict {
  return {
    about: 'container',
    directory,
    entry: Buffer.from(entry.id).toString('hex'),
    name: describe(entry).name,
    owner: entry.owner,
    editor: null,
    attribute: change.attribute,
    here: recorded(change.here),
    network: recorded(change.network),
    decided: decidedBy[change.decision],
    because,
  };
}

/** What wins in the directory is left alone by writes from now on; what loses is written over with the next. */
export async function letStand(
  tx: StoreTx,
  directory: string,
  id: Uint8Array,
  changes: Pick<ByHand, 'attribute' | 'decision' | 'here'>[],
): Promise<void> {
  const [known] = await tx.watchedById(directory, [id]);
  const watched: Watched = known ?? { id, written: {}, kept: {} };
  for (const { attribute, decision, here } of changes) {
    if (decision === 'keep' || decision === 'ask') watched.kept[attribute] = toBase64(here);
    else if (decision === 'overwrite') delete watched.kept[attribute];
  }
  await tx.putWatched(directory, [watched]);
  if (changes.some(({ decision }) => decision === 'overwrite')) await overwrite(tx, directory, [id]);
}

/** The next dispatch writes these entries, whatever it knows of them. */
export async function overwrite(tx: StoreTx, directory: string, ids: Uint8Array[]): Promise<void> {
  await writeAgain(tx, directory, ids);
  const state = await loadDirectoryState(tx, directory);
  if (state.write !== null) await saveDirectoryState(tx, { ...state, write: { ...state.write, digest: '' } });
}
