/**
 * T2: what the directories of other postoffices refuse, told to the owners of these entries with their next receipt. Kept by
 * owner, so that a receipt costs one document; it changes only when somebody reports something else.
 *
 *   report (verification, exchange) ─▶ by owner ─▶ receipt ─▶ the owner's status and explain
 */
import type { PostofficeName, Refusal, Report } from './change.ts';
import type { ClashCode } from './clashes.ts';
import { type FlaggedEntry, flaggedOf, type RequestorRecord } from './records.ts';
import type { StoreTx } from './seams/store.ts';

/** Postoffice → what its directories refuse of the owner's entries. */
type Told = Record<PostofficeName, FlaggedEntry[]>;

const toldDocument = (owner: PostofficeName) => `refused elsewhere/${owner}`;
/** Whose entries its directories refuse. */
const ownersDocument = (postoffice: PostofficeName) => `refused elsewhere by/${postoffice}`;

/** What a requestor says of its own end; its record is to be saved. */
export async function takeReport(tx: StoreTx, record: RequestorRecord, report: Report): Promise<void> {
  const before = record.report.refused;
  record.report = flaggedOf(report);
  const { refused } = record.report;
  if (JSON.stringify(before) !== JSON.stringify(refused)) await tellOwners(tx, record.name, refused);
}

/** Of one who is no requestor any more. */
export async function forgetReport(tx: StoreTx, postoffice: PostofficeName): Promise<void> {
  await tellOwners(tx, postoffice, []);
}

async function tellOwners(tx: StoreTx, postoffice: PostofficeName, refused: FlaggedEntry[]): Promise<void> {
  const rows = await tx.entriesById(
    'collected',
    refused.map(({ id }) => Buffer.from(id, 'hex')),
  );
  const byOwner = new Map<PostofficeName, FlaggedEntry[]>();
  for (const [i, row] of rows.entries()) {
    if (row === undefined || row.owner === postoffice) continue;
    byOwner.set(row.owner, [...(byOwner.get(row.owner) ?? []), refused[i]!]);
  }
  const before = (await tx.getDocument<PostofficeName[]>(ownersDocument(postoffice))) ?? [];
  for (const owner of new Set([...before, ...byOwner.keys()])) {
    const { [postoffice]: _, ...others } = (await tx.getDocument<Told>(toldDocument(owner))) ?? {};
    const now = byOwner.get(owner);
    const told: Told = now === undefined ? others : { ...others, [postoffice]: now };
    if (Object.keys(told).length === 0) await tx.removeDocument(toldDocument(owner));
    else await tx.putDocument(toldDocument(owner), told);
  }
  if (byOwner.size === 0) await tx.removeDocument(ownersDocument(postoffice));
  else await tx.putDocument(ownersDocument(postoffice), [...byOwner.keys()]);
}

/** Of this owner's entries that are there. At most as many as may be named. */
export async function refusedElsewhere(tx: StoreTx, owner: PostofficeName, maxNamed: number): Promise<Refusal[]> {
  const told = await tx.getDocument<Told>(toldDocument(owner));
  if (told === undefined || maxNamed <= 0) return [];
  const refusals = Object.entries(told).flatMap(([postoffice, refused]) =>
    refused.map(({ id, code, reason }) => ({ id: Buffer.from(id, 'hex'), code, reason: reasonOf(postoffice, reason) })),
  );
  const named = refusals.slice(0, maxNamed);
  const rows = await tx.entriesById(
    'collected',
    named.map(({ id }) => id),
  );
  return named.filter((_, i) => rows[i]?.deleted === false && rows[i].owner === owner);
}

const MAX_REASON = 300;

function reasonOf(postoffice: PostofficeName, reason: string): string {
  return `a directory of ${postoffice} does not take it${reason === '' ? '' : `: ${reason.slice(0, MAX_REASON)}`}`;
}

const CLASHES: string[] = ['not-unique', 'wanted'] satisfies ClashCode[];

/** A receipt names them beside the values that others have, too (clashes.ts). */
export function isRefusedElsewhere({ code }: Pick<Refusal, 'code'>): boolean {
  return !CLASHES.includes(code);
}
