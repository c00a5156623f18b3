/**
 * What the next read of a directory may go on from (T0): its bookmark, and what a read of changes alone does not tell: who
 * stands there refused, and which members of groups were not found. It is written in the transaction that publishes
 * (design rule 3): a bookmark is never ahead of what is published. Without it the next read is a whole one.
 *
 *   whole read ─▶ base ─▶ delta ─▶ base ─▶ …        held, doubles, too much to remember ─▶ no base ─▶ whole read
 */
import type { Incarnation } from './incarnation.ts';
import type { ReadTally } from './read-tally.ts';
import type { Bookmark } from './seams/directory.ts';
import type { StoreTx } from './seams/store.ts';

/** More than this is not remembered; then every read is a whole one. */
const MAX_REFUSED = 1_000;
const MAX_UNRESOLVED = 50_000;

export interface Refused {
  dn: string;
  code: string;
  reason: string;
}

export interface ReadBase {
  bookmark: Bookmark;
  /** Stands for everything that decides what a read publishes; with another one everything is read anew. */
  configuration: string;
  /** After a restore the bookmark may be one of a future that never came. */
  incarnation: Incarnation;
  /** Entries of this directory that are published, and the members of its groups. */
  entries: number;
  members: number;
  /** By entry id in hexadecimal digits. */
  refused: Record<string, Refused>;
  /** Group, by its entry id in hexadecimal digits → normalized DNs of members that are no entries of this postoffice. */
  unresolved: Record<string, string[]>;
  /**
   * By entry id in hexadecimal digits, the normalized DNs of those among them that are entries of the directory, left out or refused: a
   * server may write another DN of theirs into groups without a word of it, and they may be published one day. Absent: of older versions.
   */
  unpublished?: Record<string, string>;
}

const baseDocument = (directory: string) => `read base/${directory}`;

/** null: there is none, or it is of no use any more. */
export async function loadReadBase(
  tx: StoreTx,
  directory: string,
  configuration: string,
  incarnation: Incarnation,
): Promise<ReadBase | null> {
  const base = await tx.getDocument<ReadBase>(baseDocument(directory));
  return base?.configuration === configuration && base.incarnation === incarnation ? base : null;
}

/** null: the next read is a whole one. */
export async function saveReadBase(tx: StoreTx, directory: string, base: ReadBase | null): Promise<void> {
  if (base === null || isTooLarge(base)) await tx.removeDocument(baseDocument(directory));
  else await tx.putDocument(baseDocument(directory), base);
}

/** What stands now of what was remembered: refused entries and members that were not found. */
export function carriedOn(
  before: ReadBase | null,
  tally: ReadTally,
  extent: 'whole' | 'delta',
  given: { unresolved: Map<string, string[]>; unpublished: Map<string, string> },
): Pick<ReadBase, 'refused' | 'unresolved' | 'unpublished'> & { refusedBefore: Refused[] } {
  const isAsItWas = (id: string) => tally.isAsItWas(Buffer.from(id, 'hex'), extent);
  const unresolved: ReadBase['unresolved'] = {};
  for (const [group, dns] of Object.entries(before?.unresolved ?? {})) if (isAsItWas(group)) unresolved[group] = dns;
  for (const [group, dns] of given.unresolved) {
    if (dns.length > 0) unresolved[group] = dns;
    else delete unresolved[group];
  }
  const still = Object.entries(before?.refused ?? {}).filter(([id]) => isAsItWas(id));
  const refused = { ...Object.fromEntries(still), ...Object.fromEntries(tally.refused) };
  const named = new Set(Object.values(unresolved).flat());
  const known = Object.entries(before?.unpublished ?? {}).filter(([id]) => isAsItWas(id));
  const unpublished = Object.fromEntries([...known, ...given.unpublished].filter(([, dn]) => named.has(dn)));
  return { refused, unresolved, unpublished, refusedBefore: still.map(([, one]) => one) };
}

export function unresolvedCount(unresolved: Iterable<string[]>): number {
  let count = 0;
  for (const dns of unresolved) count += dns.length;
  return count;
}

function isTooLarge({ refused, unresolved }: ReadBase): boolean {
  return Object.keys(refused).length > MAX_REFUSED || unresolvedCount(Object.values(unresolved)) > MAX_UNRESOLVED;
}
