/** Looks for somebody in what a postoffice has in its store: what it publishes, collected, and its replica. */
import {
  allRequestors,
  ANCHORS_DOCUMENT,
  type AnchorHint,
  type CompiledFilter,
  decodeEntry,
  DN_ATTRIBUTE,
  type Entry,
  type EntryRow,
  type EntryTable,
  lookupIn,
  shownBytes,
  type StoreTx,
} from '@dirpost/core';
import type { Postoffice } from '../postoffice.ts';
import { hex, type Query } from './query.ts';

const BATCH = 2_000;
/** More than that nobody reads; the question has to be narrower. */
export const MOST_MATCHES = 20;

export interface Match {
  id: string;
  owner: string;
  /** null, as all that follows, where only a tombstone is left. */
  kind: string | null;
  name: string | null;
  mail: string | null;
  /** At its owner. */
  dn: string | null;
  found: EntryTable[];
}

export interface Found {
  matches: Match[];
  more: boolean;
}

export function tablesOf(postoffice: Postoffice): EntryTable[] {
  return postoffice.server === null ? ['published', 'replica'] : ['published', 'collected', 'replica'];
}

/** Keys that directories keep for life; their names are the anchor spaces unless a configuration says otherwise. */
const USUAL_KEYS = ['entryuuid', 'nsuniqueid'];

/** How keys become ids, so that even a removed entry, of which only the id is left, is found by its key. */
export async function anchorsKnown(tx: StoreTx, { requestor, server }: Postoffice): Promise<AnchorHint[]> {
  const owners = server === null ? [] : (await allRequestors(tx)).map(({ name }) => name);
  const usual = owners.flatMap((owner) => USUAL_KEYS.map((key) => ({ owner, space: key, attribute: key })));
  return [...requestor.anchors, ...((await tx.getDocument<AnchorHint[]>(ANCHORS_DOCUMENT)) ?? []), ...usual];
}

export async function findMatches(tx: StoreTx, postoffice: Postoffice, query: Query): Promise<Found> {
  const found = new Finder();
  for (const table of tablesOf(postoffice)) {
    const ids = [...query.ids, ...(await idsByDn(tx, postoffice, query))];
    const rows = await tx.entriesById(
      table,
      ids.map((id) => Buffer.from(id, 'hex')),
    );
    for (const row of rows) if (row !== undefined) found.add(table, row);
    if (query.filter !== null) await scan(tx, table, query.filter, found);
  }
  const { looseFilter } = query;
  if (found.matches.size === 0 && looseFilter !== null) {
    for (const table of tablesOf(postoffice)) await scan(tx, table, looseFilter, found);
  }
  return { matches: [...found.matches.values()], more: found.more };
}

/** Where it stands in a directory of this postoffice, other people's entries included. */
async function idsByDn(tx: StoreTx, { publishing, subscribing }: Postoffice, query: Query): Promise<string[]> {
  if (query.normalizedDn === null) return [];
  const ids: string[] = [];
  for (const { directory } of [...publishing, ...subscribing]) {
    const [association] = await tx.associationsByDn(directory.name, [query.normalizedDn]);
    if (association !== undefined) ids.push(hex(association.id));
  }
  return ids;
}

async function scan(tx: StoreTx, table: EntryTable, filter: CompiledFilter, found: Finder): Promise<void> {
  for (let after = 0; !found.more; ) {
    const rows = await tx.scanEntries(table, after, BATCH);
    if (rows.length === 0) return;
    for (const row of rows) {
      const bytes = row.bytes ?? shownBytes(row);
      if (bytes !== null && filter.matches(lookupIn(bytes)) === true) found.add(table, row);
    }
    after = rows.at(-1)!.number;
  }
}

class Finder {
  readonly matches = new Map<string, Match>();
  more = false;

  add(table: EntryTable, row: EntryRow): void {
    const id = hex(row.id);
    const known = this.matches.get(id);
    if (known === undefined && this.matches.size === MOST_MATCHES) {
      this.more = true;
      return;
    }
    const match = known ?? { id, owner: row.owner, kind: null, name: null, mail: null, dn: null, found: [] };
    const bytes = row.bytes ?? shownBytes(row);
    if (bytes !== null && match.kind === null) Object.assign(match, describe(decodeEntry(bytes)));
    if (!match.found.includes(table)) match.found.push(table);
    this.matches.set(id, match);
  }
}

export function describe(entry: Pick<Entry, 'kind' | 'attributes'>): Omit<Match, 'id' | 'owner' | 'found'> {
  const text = (name: string) => {
    const value = entry.attributes.get(name)?.[0];
    return value === undefined ? null : Buffer.from(value).toString('utf8');
  };
  const name = text('cn') ?? text('displayname') ?? text('uid');
  return { kind: entry.kind, name, mail: text('mail'), dn: text(DN_ATTRIBUTE) };
}
