/**
 * Own edits that are at their end are withdrawn (T0, and before a write at T3): settled by the owner, of an entry that is gone, or
 * refused by the server. Where a value was not taken the policy of the directory says what becomes of it; what loses is recorded.
 */
import {
  type Attributes,
  decodeEntry,
  EDIT_NOT_ALLOWED,
  editId,
  type Entry,
  loadOwn,
  scanOwnEdits,
  settledEdits,
  type StoreTx,
  withdrawEdit,
} from '@dirpost/core';
import { policyFor } from '../config/both-ways.ts';
import { counted, type CycleTime } from '../events.ts';
import type { BothTarget, Postoffice, SubscribingDirectory } from '../postoffice.ts';
import { conflictOf, letStand } from './by-hand.ts';
import { type NewConflict, recordConflicts } from './conflicts.ts';
import { withoutProposal } from './decide.ts';

export type BothDirectory = SubscribingDirectory & { both: BothTarget };

export function isBoth(one: SubscribingDirectory): one is BothDirectory {
  return one.both !== undefined;
}

const BATCH = 500;

interface Ended {
  target: Uint8Array;
  values: Attributes;
  /** Attributes that are as proposed. */
  taken: string[];
  because: string;
}

/** How many were withdrawn. */
export async function withdrawEnded(postoffice: Postoffice, time: CycleTime): Promise<number> {
  // Most postoffices have none.
  if ((await postoffice.store.read((tx) => scanOwnEdits(tx, 0, 1))).length === 0) return 0;
  const { withdrawn, lost } = await postoffice.store.transaction(async (tx) => {
    const ended = [...(await settled(tx)), ...(await refusedByServer(tx, postoffice.name))];
    let conflicts = 0;
    for (const one of ended) {
      await withdrawEdit(tx, postoffice.requestor, one.target);
      conflicts += await afterwards(tx, postoffice, one);
    }
    return { withdrawn: ended.length, lost: conflicts };
  });
  if (withdrawn > 0) {
    const level = lost > 0 ? 'warning' : 'info';
    const words = lost > 0 ? `; ${counted(lost, 'attribute')} not taken (dirpost conflicts)` : '';
    const text = `${counted(withdrawn, 'edit')} of others' entries settled and withdrawn${words}`;
    postoffice.tell({ time, level, text, details: { withdrawn, lost } });
  }
  return withdrawn;
}

async function settled(tx: StoreTx): Promise<Ended[]> {
  const found = await settledEdits(tx, BATCH);
  return found.map(({ target, edit, outcome, taken }) => ({
    target,
    values: edit.values,
    taken,
    because: outcome === 'gone' ? 'the entry is gone' : 'its owner did not take it',
  }));
}

/** As the server's last receipt said: no owner ever sees them. */
async function refusedByServer(tx: StoreTx, name: string): Promise<Ended[]> {
  const { refused, accepted } = await loadOwn(tx);
  // Others wait there for what they are of.
  const final = refused.entries.filter(({ code }) => code === EDIT_NOT_ALLOWED);
  const reasons = new Map(final.map(({ id, reason }) => [id, reason]));
  if (reasons.size === 0) return [];
  const found: Ended[] = [];
  for (let after = 0; ; ) {
    const edits = await scanOwnEdits(tx, after, BATCH);
    if (edits.length === 0) return found;
    after = edits.at(-1)!.number;
    const rows = await tx.entriesByNumber(
      'published',
      edits.map(({ number }) => number),
    );
    for (const [i, { target, values }] of edits.entries()) {
      const reason = reasons.get(Buffer.from(editId(name, target)).toString('hex'));
      // Else it speaks of an earlier one of the same entry.
      if (reason === undefined || rows[i]!.seq > accepted) continue;
      found.push({ target, values, taken: [], because: `the server refused it: ${reason}` });
    }
  }
}

/** How many attributes were recorded as lost. */
async function afterwards(tx: StoreTx, postoffice: Postoffice, ended: Ended): Promise<number> {
  const [row] = await tx.entriesById('replica', [ended.target]);
  if (row?.bytes == null) return 0;
  const entry = decodeEntry(row.bytes);
  const lost = [...ended.values].filter(([name]) => !ended.taken.includes(name));
  if (lost.length === 0) return 0;
  const conflicts: NewConflict[] = [];
  for (const target of postoffice.subscribing.filter(isBoth)) {
    const [placed] = await tx.placedById(target.directory.name, [ended.target]);
    if (placed !== undefined) conflicts.push(...(await loseIn(tx, target, entry, { lost, because: ended.because })));
  }
  return recordConflicts(tx, conflicts, { limits: postoffice.limits, nowMs: postoffice.clock.now() });
}

async function loseIn(
  tx: StoreTx,
  { directory, both }: BothDirectory,
  entry: Entry,
  { lost, because }: { lost: [string, Uint8Array[]][]; because: string },
): Promise<NewConflict[]> {
  const changes = lost.map(([attribute, here]) => {
    const network = entry.attributes.get(attribute) ?? [];
    return { attribute, here, network, decision: withoutProposal(policyFor(both.ways.conflicts, attribute)) };
  });
  await letStand(tx, directory.name, entry.id, changes);
  return changes.map((one) => conflictOf(directory.name, entry, one, because));
}
