/**
 * T0, the plain way: everything within the bases, page by page (RFC 2696), in the order of the server. A page may be empty
 * and the read still go on: only an empty cookie ends it.
 */
import { strict as assert } from 'node:assert';
import type { DirectoryEntry, ReadBatch } from '@dirpost/core';
import { underAskedNames } from './asked-names.ts';
import type { ReadNotes } from './certificate.ts';
import { nextPage, pagedResults } from './controls.ts';
import { completeRanges, hasRange } from './member-range.ts';
import type { LdapBase, LdapOptions, LdapServer } from './options.ts';
import { readElsewhere } from './referrals.ts';
import type { PrimaryGroups } from './primary-groups.ts';
import type { LdapControl, SearchRequest } from './requests.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { REFERRAL, SUCCESS } from './results.ts';
import { PAGED_RESULTS, type RootDse } from './root-dse.ts';
import type { SearchBatch, Session } from './session.ts';

export interface ReadContext {
  session: Session;
  dse: RootDse;
  options: Pick<LdapOptions, 'bases' | 'attributes' | 'anchor' | 'pageSize' | 'name'>;
  notes: ReadNotes;
  signal: AbortSignal;
  /** A bound session with the server of a referral. Absent: referrals are counted and not followed. */
  follow?: (server: LdapServer) => Promise<Session>;
  /** Of Active Directory, where members are read. */
  primaryGroups?: PrimaryGroups;
}

/** Names that are asked for besides those of the mapping. */
const ALWAYS = ['objectclass'];

export function askedAttributes({ attributes, anchor }: ReadContext['options']): string[] {
  return [...new Set([...ALWAYS, anchor, ...attributes])];
}

/** The certificate is not among the batches: the caller ends the read. */
export async function* readWhole(context: ReadContext): AsyncGenerator<ReadBatch> {
  const seen = new Seen(context.options.bases.length > 1 || context.follow !== undefined);
  for (const base of context.options.bases) yield* readBase(context, base, seen);
}

/** Entries that lie in several bases count once. */
export class Seen {
  readonly #anchors: Set<string> | null;

  constructor(several: boolean) {
    this.#anchors = several ? new Set() : null;
  }

  isNew(anchor: Uint8Array): boolean {
    if (this.has(anchor)) return false;
    this.#anchors?.add(keyOf(anchor));
    return true;
  }

  /** Of one base alone nothing is remembered. */
  has(anchor: Uint8Array): boolean {
    return this.#anchors?.has(keyOf(anchor)) ?? false;
  }
}

function keyOf(anchor: Uint8Array): string {
  return Buffer.from(anchor).toString('latin1');
}

/** What is in this base now. */
export async function* readBase(context: ReadContext, base: LdapBase, seen: Seen): AsyncGenerator<ReadBatch> {
  const { options } = context;
  const attributes = [...askedAttributes(options), ...(context.primaryGroups?.asked ?? [])];
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes };
  const references: string[][] = [];
  for await (const { items, result } of searchPages(context, request)) {
    for (const item of items) if (item.type === 'reference') references.push(item.urls);
    context.notes.saw(base, items.filter(({ type }) => type === 'entry').length);
    const entries = await entriesOf(context, items, seen);
    if (entries.length > 0) yield { entries };
    if (result === undefined) continue;
    if (result.code === REFERRAL && context.follow !== undefined) references.push(result.referrals);
    else context.notes.ended(base, context.session.server, result);
  }
  yield* readElsewhere(context, base, references, seen);
}

/**
 * Page by page: the result of each comes with its last items. The next page is asked for before they are given out, so
 * that the server works while the reader does.
 */
export async function* searchPages(
  { session, dse, options, signal }: ReadContext,
  request: SearchRequest,
  more: LdapControl[] = [],
): AsyncGenerator<SearchBatch> {
  const pages = dse.controls.has(PAGED_RESULTS);
  const ask = (cookie: Buffer) => {
    const controls = pages ? [pagedResults(options.pageSize, cookie), ...more] : more;
    return new Page(session.search(request, { controls, signal }));
  };
  let page: Page | null = ask(Buffer.alloc(0));
  try {
    while (page !== null) {
      const batch: SearchBatch = await page.next();
      if (batch.result !== undefined) {
        // After an error a server might offer the same page again and again.
        const cookie = batch.result.code === SUCCESS ? nextPage(batch.result.controls) : null;
        page = cookie !== null && cookie.length > 0 ? ask(cookie) : null;
      }
      yield batch;
    }
  } finally {
    page?.leave();
  }
}

/** A search that is under way, whether or not anybody waits for it. */
class Page {
  readonly #batches: AsyncGenerator<SearchBatch>;
  #ahead: Promise<IteratorResult<SearchBatch>> | null;

  constructor(batches: AsyncGenerator<SearchBatch>) {
    this.#batches = batches;
    this.#ahead = batches.next();
    // It is told when it is asked for.
    this.#ahead.catch(() => {});
  }

  async next(): Promise<SearchBatch> {
    const ahead = this.#ahead ?? this.#batches.next();
    this.#ahead = null;
    const { value, done } = await ahead;
    assert(done !== true, 'a search ends with its result');
    return value;
  }

  /** Nobody waits until the server hears of it. */
  leave(): void {
    this.#batches.return(undefined).catch(() => {});
  }
}

/** Entries as the mapping takes them; what else came is noted. */
export async function entriesOf(context: ReadContext, items: SearchItem[], seen: Seen): Promise<DirectoryEntry[]> {
  const { notes } = context;
  const entries: DirectoryEntry[] = [];
  for (const item of items) {
    // What is followed is read after it.
    if (item.type === 'reference' && context.follow === undefined) notes.referred(item.urls);
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

async function wholeEntry(context: ReadContext, found: FoundEntry): Promise<DirectoryEntry> {
  if (hasRange(found)) await completeRanges(context.session, found, context.signal);
  underAskedNames(context.options.attributes, found.attributes);
  await context.primaryGroups?.addMembers(context, found);
  return { dn: found.dn, attributes: found.attributes };
}
