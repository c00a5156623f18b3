/**
 * Telling owners that a value which must be unique is also another's (claims.ts): in receipts (T2), and where an
 * administrator looks. Other postoffices are named, their entries are not: they may be on no list of this owner's.
 */
import type { PostofficeName, Refusal } from './change.ts';
import { comparedAttributes, comparedHash, comparedValues } from './compared-values.ts';
import { attributeSpans } from './entry.ts';
import { listable } from './holds.ts';
import type { Claim, EntryRow, StoreTx } from './seams/store.ts';

export interface Clashes {
  /** Values that the lists leave out of this owner's entries. */
  left: number;
  /** Values that others want, too, and that the lists show of this owner. */
  kept: number;
  /** Some of both, those that are left out first. */
  named: Refusal[];
}

/** `not-unique`: the lists show the entry without the value. `wanted`: the lists leave it out of another owner's entry. */
export type ClashCode = 'not-unique' | 'wanted';

/** Of one owner. */
export async function clashesOf(tx: StoreTx, owner: PostofficeName, maxNamed: number): Promise<Clashes> {
  const [left, kept] = [await tx.countWaitingClaims({ owner }), await tx.countWaitingClaims({ holder: owner })];
  const named: Refusal[] = [];
  if (left > 0) {
    for (const claim of await tx.waitingClaims({ owner }, maxNamed)) named.push(...(await notUnique(tx, claim)));
  }
  const more = maxNamed - named.length;
  if (kept > 0 && more > 0) {
    for (const claim of await tx.waitingClaims({ holder: owner }, more))
      named.push(...(await wanted(tx, claim, owner)));
  }
  return { left, kept, named };
}

/** Of one entry, with all owners that have the value. */
export async function clashesOfEntry(tx: StoreTx, row: EntryRow, unique: readonly string[]): Promise<Refusal[]> {
  const shown = listable(row);
  const found: Refusal[] = [];
  for (const value of shown === null ? [] : comparedValues(shown, new Set(unique))) {
    const hash = comparedHash(value);
    const [[holder, ...others] = []] = hash === null ? [] : await tx.claimants([hash]);
    if (hash === null || holder === undefined || others.length === 0) continue;
    const names = others.map(({ owner }) => owner).join(', ');
    found.push(...(holder.owner === row.owner ? wantedBy(row, hash, names) : heldBy(row, hash, holder.owner)));
  }
  return found;
}

async function notUnique(tx: StoreTx, { value, number, holder }: Claim): Promise<Refusal[]> {
  const [row] = await tx.entriesByNumber('collected', [number]);
  return heldBy(row, value, holder ?? '');
}

function heldBy(row: EntryRow | undefined, value: Uint8Array, holder: PostofficeName): Refusal[] {
  return refusal(row, value, 'not-unique', `${holder} had it first, so the lists show this entry without it`);
}

async function wanted(tx: StoreTx, { value, owner }: Claim, holder: PostofficeName): Promise<Refusal[]> {
  const [claim] = await tx.claimsOf(value, holder, 0, 1);
  if (claim === undefined) return [];
  const [row] = await tx.entriesByNumber('collected', [claim.number]);
  return wantedBy(row, value, owner);
}

function wantedBy(row: EntryRow | undefined, value: Uint8Array, others: string): Refusal[] {
  return refusal(row, value, 'wanted', `${others} has it, too; the lists show it of this entry, and not there`);
}

function refusal(row: EntryRow | undefined, hash: Uint8Array, code: ClashCode, why: string): Refusal[] {
  const text = row === undefined ? null : valueIn(row, hash);
  return row === undefined || text === null ? [] : [{ id: row.id, code, reason: `${text}: ${why}` }];
}

/** Of an id, a code and what frames them. */
const OCTETS_BESIDE_REASON = 40;

/** The first of them that take no more octets in a message. */
export function firstOctets(named: Refusal[], maxBytes: number): Refusal[] {
  let left = maxBytes;
  return named.filter(({ reason }) => (left -= OCTETS_BESIDE_REASON + Buffer.byteLength(reason)) >= 0);
}

const MAX_SHOWN = 200;

/** "mail anna@example.org" for the value that the hash stands for. */
function valueIn(row: EntryRow, hash: Uint8Array): string | null {
  const shown = listable(row);
  if (shown === null) return null;
  const all = comparedAttributes(['mail', ...[...attributeSpans(shown)].map(({ name }) => name)]);
  for (const one of comparedValues(shown, new Set(all))) {
    const own = comparedHash(one);
    if (own === null || Buffer.compare(own, hash) !== 0) continue;
    return `${one.attribute} ${Buffer.from(one.value).toString('utf8').slice(0, MAX_SHOWN)}`;
  }
  return null;
}
