/**
 * Renames that wait for each other: two who change their names with each other, or each takes the name of the next. What is only
 * a row is tried again from its end; of a ring one entry steps aside, under a name that nothing else has, until the others went.
 *
 *   a ─▶ b ─▶ c         c is free: b first, then a
 *   a ─▶ b ─▶ a         a steps aside, b ─▶ a, then a ─▶ b
 */
import { normalizeDn, parentDn, parseDn, type WriteOutcome } from '@dirpost/core';
import { pipelined } from './pipelined.ts';
import type { Operation } from './requests.ts';
import { ENTRY_ALREADY_EXISTS, resultWord, SUCCESS } from './results.ts';
import type { Draft, EntryWriter } from './write-entry.ts';

type Rename = Extract<Operation, { type: 'rename' }>;

/**
 * A run of renames. Groups are changed when all have their names: a server that takes no member who is not there would have them
 * without those who are renamed after them, and one that renames members in their groups has done so until then.
 */
export async function carryOutRenames(writer: EntryWriter, run: Draft[]): Promise<WriteOutcome[]> {
  const renames = run.map((draft) => (isChangedLater(draft) ? { ...draft, operations: [renameOf(draft)!] } : draft));
  const tried = await pipelined(renames, (draft) => writer.carryOut(draft));
  const renamed = await settleRenames(writer, renames, tried);
  const all = run.map((draft, i) => ({ draft, outcome: renamed[i]! }));
  return pipelined(all, async ({ draft, outcome }) => {
    const { place } = outcome;
    if (outcome.result === 'refused' || place === undefined || !isChangedLater(draft)) return outcome;
    return { place, ...(await writer.carryOut(await writer.draft({ ...draft.change, place }))) };
  });
}

function isChangedLater(draft: Draft): boolean {
  return draft.change.kind === 'group' && renameOf(draft) !== null && draft.operations.length > 1;
}

/** `outcomes` of a run of renames, each tried once; gives how they ended. */
async function settleRenames(writer: EntryWriter, run: Draft[], outcomes: WriteOutcome[]): Promise<WriteOutcome[]> {
  const settled = [...outcomes];
  const drafts = [...run];
  const left = new Set(run.flatMap((draft) => renameOf(draft)?.dn ?? []).map(normalizeDn));
  // What anybody else has stays refused, and who goes where the leavers are has settled that already (write-entry.ts).
  const isPut = (i: number) => drafts[i]!.change.action === 'put' && renameOf(drafts[i]!) !== null;
  const waitsForOne = (i: number) => left.has(normalizeDn(drafts[i]!.change.dn));
  const isTaken = (i: number) => settled[i]!.code === resultWord(ENTRY_ALREADY_EXISTS);
  let open = drafts.flatMap((_, i) => (isTaken(i) && isPut(i) && waitsForOne(i) ? [i] : []));
  while (open.length > 0) {
    for (const i of open) settled[i] = await writer.carryOut(drafts[i]!);
    const still = open.filter(isTaken);
    if (still.length === open.length) {
      const leaving = new Set(still.map((i) => normalizeDn(renameOf(drafts[i]!)!.dn)));
      const one = still.find((i) => leaving.has(normalizeDn(drafts[i]!.change.dn)));
      const aside = one === undefined ? null : await stepAside(writer, drafts[one]!);
      if (aside === null) return settled;
      drafts[one!] = aside;
      settled[one!] = { ...settled[one!]!, place: placeOf(aside) };
    }
    open = still;
  }
  return settled;
}

function renameOf({ operations }: Draft): Rename | null {
  const [first] = operations;
  return first?.type === 'rename' ? first : null;
}

/** null: the server does not let it. Should everything end here it is found again by its anchor. */
async function stepAside({ session, signal }: EntryWriter, draft: Draft): Promise<Draft | null> {
  const [first, ...rest] = draft.operations;
  const rename = first as Rename;
  const { type } = parseDn(draft.change.dn)[0]![0]!;
  const rdn = `${type}=dirpost-${Buffer.from(draft.change.id).toString('hex')}`;
  const step: Rename = { type: 'rename', dn: rename.dn, rdn, keepOldRdn: false, superior: null };
  const { code } = await session.request(step, { signal });
  if (code !== SUCCESS) return null;
  return { ...draft, operations: [{ ...rename, dn: `${rdn},${parentDn(rename.dn) ?? ''}` }, ...rest] };
}

function placeOf(draft: Draft): { dn: string; anchor: string } {
  return { dn: renameOf(draft)!.dn, anchor: draft.place?.anchor ?? '' };
}
