/**
 * T3, for directories that are written entry by entry (plan-changes.ts): whether anything can differ at all since a plan that
 * came to nothing. It runs at each dispatch, and most of them bring nothing.
 *
 *   what directories are shown · own entries · way of writing ─▶ one text; the same, and as many stand there: nothing to do
 *   own entries · DNs as they were given ─▶ another text; the same: a group differs only if its own octets do
 *   own entries · way of writing, and how far the replica was carried over ─▶ only what changed in it since can differ
 */
import { createHash } from 'node:crypto';
import { shownReplica } from './apply.ts';
import type { PlanChangesOptions } from './plan-changes.ts';
import { replicaPosition } from './replica-changes.ts';
import { loadOwn } from './requestor-record.ts';
import type { Store, StoreTx } from './seams/store.ts';

interface Planned {
  /** Of the last plan that came to nothing; null: there is something to do. */
  settled: string | null;
  /** How many stood there and were refused then. Counting passes over all of them: only where nothing else differs. */
  stands?: { placed: number; refused: number };
  /** When all groups were last looked at and stood as they should; null: DNs of members have changed since. */
  members: string | null;
  /** Up to here all was written or refused; null: not known. */
  done?: Carried | null;
  /** As `done`, when all outcomes of the last plan are recorded. */
  next?: Carried | null;
}

interface Carried {
  /** Another one: everything is written anew. */
  way: string;
  /** See replica-changes.ts. */
  position: number;
}

const NOTHING: Planned = { settled: null, members: null };

/** The state at the beginning of a plan, and what of it was so already at the last one. */
export interface PlannedState {
  isSettled: boolean;
  membersStand: boolean;
  /** Only what changed in the replica since that position may differ; null: all of it may. */
  since: number | null;
  /** What is remembered if this plan comes to nothing, and what when it is carried out. */
  now: { settled: string; members: string; carried: Carried };
}

const documentName = (directory: string) => `planned/${directory}`;

export async function loadPlanned(store: Store, options: PlanChangesOptions): Promise<PlannedState> {
  const { name, dn, container, shape, publishing } = options;
  return store.read(async (tx) => {
    const { digest, replica } = await loadOwn(tx);
    // Own entries are members of others' groups under the DNs that they have here.
    const members = textOf([digest, publishing]);
    const settledNow = textOf([dn, container, shape, members, shownReplica(replica)]);
    const carried = { way: textOf([dn, container, shape, members]), position: await replicaPosition(tx) };
    const { settled, stands, members: known, done } = (await tx.getDocument<Planned>(documentName(name))) ?? NOTHING;
    return {
      isSettled: settled === settledNow && isAsMany(stands, await tx.countPlaced(name)),
      membersStand: known === members,
      since: done != null && done.way === carried.way ? done.position : null,
      now: { settled: settledNow, members, carried },
    };
  });
}

type Stands = NonNullable<Planned['stands']>;

function isAsMany(before: Stands | undefined, now: Stands): boolean {
  return before?.placed === now.placed && before.refused === now.refused;
}

/** At the end of a plan that was carried through. `isOpen`: something of it waits for more than an outcome. */
export async function rememberPlanned(
  store: Store,
  { name }: PlanChangesOptions,
  { now }: PlannedState,
  came: { isSettled: boolean; membersStand: boolean; isOpen: boolean },
): Promise<void> {
  await store.transaction(async (tx) => {
    const { done = null } = (await tx.getDocument<Planned>(documentName(name))) ?? NOTHING;
    const planned: Planned = {
      settled: came.isSettled ? now.settled : null,
      ...(came.isSettled && { stands: await tx.countPlaced(name) }),
      members: came.membersStand ? now.members : null,
      done,
      next: came.isOpen ? null : now.carried,
    };
    await tx.putDocument(documentName(name), planned);
  });
}

/** When all outcomes of the last plan are recorded: the next one need not look at what stands as it should. */
export async function carriedOut(tx: StoreTx, directory: string): Promise<void> {
  const planned = await tx.getDocument<Planned>(documentName(directory));
  if (planned?.next == null) return;
  await tx.putDocument(documentName(directory), { ...planned, done: planned.next, next: null } satisfies Planned);
}

/** In the transaction in which DNs of entries in that directory change. */
export async function membersMoved(tx: StoreTx, directory: string): Promise<void> {
  await tx.putDocument(documentName(directory), NOTHING);
}

export async function forgetPlanned(tx: StoreTx, directory: string): Promise<void> {
  await tx.removeDocument(documentName(directory));
}

function textOf(values: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('base64url').slice(0, 22);
}
