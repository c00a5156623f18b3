/**
 * T0, the plain way: everything within the bases, page by page (RFC 2696), in the order of the server. A page may be empty
 * and the read still go on: only an empty cookie ends it.
 */
import type { DirectoryEntry, ReadBatch } from '@dirpost/core';
import type { ReadNotes } from './certificate.ts';
import { nextPage, pagedResults } from './controls.ts';
import { completeRanges, hasRange } from './member-range.ts';
import type { LdapBase, LdapOptions } from './options.ts';
import type { LdapControl } from './requests.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { PAGED_RESULTS, type RootDse } from './root-dse.ts';
import type { Session } from './session.ts';

export interface ReadContext {
  session: Session;
  dse: RootDse;
  options: Pick<LdapOptions, 'bases' | 'attributes' | 'anchor' | 'pageSize' | 'name'>;
  notes: ReadNotes;
  signal: AbortSignal;
}

/** Names that are asked for besides those of the mapping. */
const ALWAYS = ['objectclass'];

export function askedAttributes({ attributes, anchor }: ReadContext['options']): string[] {
  return [...new Set([...ALWAYS, anchor, ...attributes])];
}

/** The certificate is not among the batches: the caller ends the read. */
export async function* readWhole(context: ReadContext): AsyncGenerator<ReadBatch> {
  const seen = new Seen(context.options.bases.length > 1);
  for (const base of context.options.bases) yield* readBase(context, base, seen);
}

/** Entries that lie in several bases count once. */
export class Seen {
  readonly #anchors: Set<string> | null;

  constructor(several: boolean) {
    this.#anchors = several ? new Set() : null;
  }

  isNew(anchor: Uint8Array): boolean {
    if (this.#anchors === null) return true;
    const key = Buffer.from(anchor).toString('latin1');
    if (this.#anchors.has(key)) return false;
    this.#anchors.add(key);
    return true;
  }
}

async function* readBase(context: ReadContext, base: LdapBase, seen: Seen): AsyncGenerator<ReadBatch> {
  const { session, dse, options, notes, signal } = context;
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes: askedAttributes(options) };
  const pages = dse.controls.has(PAGED_RESULTS);
  let cookie: Buffer | null = Buffer.alloc(0);
  while (cookie !== null) {
    const controls: LdapControl[] = pages ? [pagedResults(options.pageSize, cookie)] : [];
    let next: Buffer | null = null;
    for await (const { items, result } of session.search(request, { controls, signal })) {
      const entries = await entriesOf(context, items, seen);
      if (entries.length > 0) yield { entries };
      if (result === undefined) continue;
      notes.ended(base, session.server, result);
      const given = nextPage(result.controls);
      next = given === null || given.length === 0 ? null : Buffer.from(given);
    }
    cookie = next;
  }
}

/** Entries as the mapping takes them; what else came is noted. */
export async function entriesOf(context: ReadContext, items: SearchItem[], seen: Seen): Promise<DirectoryEntry[]> {
  const { notes } = context;
  const entries: DirectoryEntry[] = [];
  for (const item of items) {
    if (item.type === 'reference') notes.referred();
    if (item.type !== 'entry') continue;
    const entry = await wholeEntry(context, item);
    const anchor = entry.attributes.get(context.options.anchor)?.[0];
    if (anchor === undefined) notes.withoutAnchor();
    else if (!seen.isNew(anchor)) continue;
    notes.entries++;
    entries.push(entry);
  }
  return entries;
}

async function wholeEntry({ session, signal }: ReadContext, found: FoundEntry): Promise<DirectoryEntry> {
  if (hasRange(found)) await completeRanges(session, found, signal);
  return { dn: found.dn, attributes: found.attributes };
}
