/** An administrator settles a conflict that waits (`dirpost conflicts NUMBER --take`). What follows in directories comes with the next write. */
import {
  type Attributes,
  decodeEntry,
  DirpostError,
  isEditable,
  ownEdits,
  proposeEdit,
  type StoreTx,
} from '@dirpost/core';
import type { Postoffice } from '../postoffice.ts';
import { letStand } from './by-hand.ts';
import { type Conflict, findConflict, forgetConflict, saveConflict } from './conflicts.ts';
import { fromBase64 } from './values.ts';
import { isBoth } from './withdraw.ts';

export type Side = 'directory' | 'network';

const ADMINISTRATOR = 'an administrator';

/** Throws DirpostError `wrong-use`. */
export async function settleConflict(
  tx: StoreTx,
  postoffice: Postoffice,
  number: number,
  side: Side,
): Promise<Conflict> {
  const conflict = await existing(tx, number);
  if (conflict.decided !== null || conflict.wanted !== undefined) {
    throw new DirpostError('wrong-use', `Conflict ${number} is settled already.`, { hint: 'Which: dirpost conflicts' });
  }
  if (conflict.about === 'own') {
    const wanted = { ...conflict, wanted: side };
    await saveConflict(tx, wanted);
    return wanted;
  }
  const decided = side === 'network' ? await takeNetwork(tx, conflict) : await takeDirectory(tx, postoffice, conflict);
  const settled: Conflict = { ...conflict, decided, because: ADMINISTRATOR };
  await saveConflict(tx, settled);
  return settled;
}

async function existing(tx: StoreTx, number: number): Promise<Conflict> {
  const conflict = await findConflict(tx, number);
  if (conflict !== undefined) return conflict;
  throw new DirpostError('wrong-use', `There is no conflict ${number}.`, {
    hint: 'Those that there are: dirpost conflicts',
  });
}

async function takeNetwork(tx: StoreTx, { directory, entry, attribute }: Conflict): Promise<'network'> {
  await letStand(tx, directory, Buffer.from(entry, 'hex'), [{ attribute, decision: 'overwrite', here: [] }]);
  return 'network';
}

/** It is proposed to the owner where the configuration says so; else it stays, here. */
async function takeDirectory(
  tx: StoreTx,
  { requestor, subscribing }: Postoffice,
  { directory, entry, attribute }: Conflict,
): Promise<'directory' | 'proposed'> {
  const target = subscribing.find((one) => one.directory.name === directory);
  const id = Buffer.from(entry, 'hex');
  const [watched] = await tx.watchedById(directory, [id]);
  const [row] = await tx.entriesById('replica', [id]);
  const kept = watched?.kept[attribute];
  const isProposed = target !== undefined && isBoth(target) && target.both.ways.edits.includes(attribute);
  if (watched === undefined || kept === undefined || row?.bytes == null || !isProposed || !isEditable(attribute)) {
    return 'directory';
  }
  const [earlier] = await ownEdits(tx, [id]);
  const values: Attributes = new Map([...(earlier?.values ?? []), [attribute, fromBase64(kept)]]);
  await proposeEdit(tx, requestor, { target: id, values, saw: decodeEntry(row.bytes).attributes });
  const { [attribute]: _, ...others } = watched.kept;
  await tx.putWatched(directory, [{ ...watched, kept: others }]);
  return 'proposed';
}

/** Throws DirpostError `wrong-use` for one that waits. */
export async function forgetSettled(tx: StoreTx, number: number): Promise<void> {
  const { decided } = await existing(tx, number);
  if (decided === null) {
    throw new DirpostError('wrong-use', `Conflict ${number} waits for a decision.`, {
      hint: `Settle it: dirpost conflicts ${number} --take directory, or --take network`,
    });
  }
  await forgetConflict(tx, number);
}
