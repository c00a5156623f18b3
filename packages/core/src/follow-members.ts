/**
 * Groups that a read of changes did not give, because they are as they were, while those whom they name came, went or got
 * another DN (T0). Who went is taken out of them, as a whole read would do it. Who came or moved may stand in them or not:
 * that only a whole read tells.
 */
import { normalizeDn } from './dn.ts';
import { attributeValues, decodeEntry, encodeEntry, entryHash } from './entry.ts';
import { membersIn } from './effects.ts';
import { MEMBER_ATTRIBUTE } from './mapping.ts';
import type { Association, EntryRow, StagedEntry, StoreTx } from './seams/store.ts';

const BATCH = 500;

/** What this read did to the DNs of a directory. Ids in hexadecimal digits, DNs normalized. */
export class MovedDns {
  /** Entry → the DN under which groups named it until now. */
  readonly lost = new Map<string, string>();
  /** DNs under which somebody stands who was not there before. */
  readonly taken = new Set<string>();
  /** DNs that entries had which are not published, and that groups named. */
  readonly left = new Set<string>();

  /** Of entries that stay published as they were, since they are refused: only where they have another DN. */
  async noteRefused(
    tx: StoreTx,
    directory: string,
    entries: { id: Uint8Array; normalizedDn: string }[],
  ): Promise<void> {
    const known = await tx.associationsById(
      directory,
      entries.map(({ id }) => id),
    );
    await this.note(
      tx,
      directory,
      entries.filter((_, i) => known[i] !== undefined),
    );
  }

  /** To be called before the associations are put. */
  async note(tx: StoreTx, directory: string, entries: { id: Uint8Array; normalizedDn: string }[]): Promise<void> {
    const known = await tx.associationsById(
      directory,
      entries.map(({ id }) => id),
    );
    const holders = await tx.associationsByDn(
      directory,
      entries.map(({ normalizedDn }) => normalizedDn),
    );
    for (const [i, { id, normalizedDn }] of entries.entries()) {
      const before = known[i]?.normalizedDn;
      if (before === normalizedDn) continue;
      this.taken.add(normalizedDn);
      if (before !== undefined) this.#lose(id, before);
      const holder = holders[i];
      if (holder !== undefined) this.#lose(holder.id, normalizedDn);
    }
  }

  /** To be called before the associations are removed. */
  async noteGone(tx: StoreTx, directory: string, ids: Uint8Array[]): Promise<void> {
    for (const one of await tx.associationsById(directory, ids)) {
      if (one !== undefined) this.#lose(one.id, one.normalizedDn);
    }
  }

  #lose(id: Uint8Array, normalizedDn: string): void {
    const name = hex(id);
    if (!this.lost.has(name)) this.lost.set(name, normalizedDn);
  }
}

export interface Following {
  directory: string;
  moved: MovedDns;
  /** As they were before this read; see read-base.ts. */
  unresolved: Record<string, string[]>;
  /** Groups that are not followed: this read gave them, or they stay as they are. */
  isLeft(id: Uint8Array): boolean;
}

export interface Followed {
  groups: StagedEntry[];
  unresolved: [group: string, dns: string[]][];
}

export async function* followMembers(tx: StoreTx, following: Following): AsyncGenerator<Followed> {
  const { directory } = following;
  const ids = await affectedGroups(tx, following);
  for (let from = 0; from < ids.length; from += BATCH) {
    const batch = ids.slice(from, from + BATCH);
    const rows = await tx.entriesById('published', batch);
    const associations = await tx.associationsById(directory, batch);
    const followed: Followed = { groups: [], unresolved: [] };
    for (const [i, row] of rows.entries()) {
      if (row === undefined || row.deleted || row.note !== directory) continue;
      const { group, unresolved } = await withNewMembers(tx, following, row, associations[i]?.dn ?? '');
      followed.groups.push(group);
      followed.unresolved.push([hex(row.id), unresolved]);
    }
    yield followed;
  }
}

/** Groups that the read did not give and that name, or named, somebody who moved. */
export async function affectedGroups(
  tx: StoreTx,
  { directory, moved, unresolved, isLeft }: Following,
): Promise<Uint8Array[]> {
  const found = new Set<string>();
  const isOther = (dn: string) => moved.taken.has(dn) || moved.left.has(dn);
  for (const [group, dns] of Object.entries(unresolved)) if (dns.some(isOther)) found.add(group);
  // Whose member somebody was is not known: all groups are looked at, but only where somebody is lost.
  for (let after = 0; moved.lost.size > 0; ) {
    const rows = await tx.scanEntries('published', after, BATCH);
    if (rows.length === 0) break;
    after = rows.at(-1)!.number;
    for (const { id, bytes, note } of rows) {
      if (note !== directory || membersIn(bytes) === 0) continue;
      const members = attributeValues(bytes!, MEMBER_ATTRIBUTE);
      if (members.some((member) => moved.lost.has(hex(member)))) found.add(hex(id));
    }
  }
  return [...found].map((id) => Buffer.from(id, 'hex')).filter((id) => !isLeft(id));
}

async function withNewMembers(
  tx: StoreTx,
  { directory, moved, unresolved }: Following,
  row: EntryRow,
  dn: string,
): Promise<{ group: StagedEntry; unresolved: string[] }> {
  const entry = decodeEntry(row.bytes!);
  const dns = [...(unresolved[hex(row.id)] ?? [])];
  const members: Uint8Array[] = [];
  for (const member of entry.attributes.get(MEMBER_ATTRIBUTE) ?? []) {
    const lost = moved.lost.get(hex(member));
    if (lost === undefined) members.push(member);
    else dns.push(lost);
  }
  const still: string[] = [];
  for (let from = 0; from < dns.length; from += BATCH) {
    const batch = dns.slice(from, from + BATCH);
    for (const [i, one] of (await tx.associationsByDn(directory, batch)).entries()) {
      if (one === undefined) still.push(batch[i]!);
      else members.push(one.id);
    }
  }
  if (members.length > 0) entry.attributes.set(MEMBER_ATTRIBUTE, members);
  else entry.attributes.delete(MEMBER_ATTRIBUTE);
  const bytes = encodeEntry(entry);
  return { group: { id: row.id, dn, bytes, hash: entryHash(bytes), memberDns: [] }, unresolved: still };
}

/** Who is refused stays published as he was, but groups name him by the DN that he has now. `refused`: by entry id, in hexadecimal. */
export async function moveRefused(
  tx: StoreTx,
  directory: string,
  refused: ReadonlyMap<string, { dn: string; code: string }>,
): Promise<void> {
  const all = [...refused].filter(([, { code }]) => code !== 'duplicate-id');
  for (let from = 0; from < all.length; from += BATCH) {
    const batch = all.slice(from, from + BATCH);
    const ids = batch.map(([id]) => Buffer.from(id, 'hex'));
    const moved: Association[] = [];
    for (const [i, known] of (await tx.associationsById(directory, ids)).entries()) {
      const { dn } = batch[i]![1];
      const normalizedDn = safelyNormalized(dn);
      if (known === undefined || normalizedDn === '' || known.normalizedDn === normalizedDn) continue;
      moved.push({ id: known.id, dn, normalizedDn });
    }
    await tx.putAssociations(directory, moved);
  }
}

/** A member DN that cannot be parsed names nobody. */
export function safelyNormalized(dn: string): string {
  try {
    return normalizeDn(dn);
  } catch {
    return '';
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
