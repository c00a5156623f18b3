/**
 * T3, for directories that are written entry by entry (plan-changes.ts): whether anything can differ at all since a plan that
 * came to nothing. It runs at each dispatch, and most of them bring nothing.
 *
 *   what directories are shown · own entries · way of writing · what stands there ─▶ one text; the same: nothing to do
 *   own entries · DNs as they were given ─▶ another text; the same: a group differs only if its own octets do
 */
import { createHash } from 'node:crypto';
import { shownReplica } from './apply.ts';
import type { PlanChangesOptions } from './plan-changes.ts';
import { loadOwn } from './requestor-record.ts';
import type { Store, StoreTx } from './seams/store.ts';

interface Planned {
  /** Of the last plan that came to nothing; null: there is something to do. */
  settled: string | null;
  /** When all groups were last looked at and stood as they should; null: DNs of members have changed since. */
  members: string | null;
}

const NOTHING: Planned = { settled: null, members: null };

/** The state at the beginning of a plan, and what of it was so already at the last one. */
export interface PlannedState {
  isSettled: boolean;
  membersStand: boolean;
  /** What is remembered if this plan comes to nothing. */
  now: { settled: string; members: string };
}

const documentName = (directory: string) => `planned/${directory}`;

export async function loadPlanned(store: Store, options: PlanChangesOptions): Promise<PlannedState> {
  const { name, dn, container, shape, publishing } = options;
  return store.read(async (tx) => {
    const { digest, replica } = await loadOwn(tx);
    const stands = await tx.countPlaced(name);
    // Own entries are members of others' groups under the DNs that they have here.
    const members = textOf([digest, publishing]);
    const now = { settled: textOf([dn, container, shape, members, shownReplica(replica), stands]), members };
    const { settled, members: known } = (await tx.getDocument<Planned>(documentName(name))) ?? NOTHING;
    return { isSettled: settled === now.settled, membersStand: known === members, now };
  });
}

/** At the end of a plan that was carried through. */
export async function rememberPlanned(
  store: Store,
  { name }: PlanChangesOptions,
  { now }: PlannedState,
  came: { isSettled: boolean; membersStand: boolean },
): Promise<void> {
  const planned: Planned = {
    settled: came.isSettled ? now.settled : null,
    members: came.membersStand ? now.members : null,
  };
  await store.transaction((tx) => tx.putDocument(documentName(name), planned));
}

/** In the transaction in which DNs of entries in that directory change. */
export async function membersMoved(tx: StoreTx, directory: string): Promise<void> {
  await tx.putDocument(documentName(directory), NOTHING);
}

function textOf(values: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('base64url').slice(0, 22);
}
