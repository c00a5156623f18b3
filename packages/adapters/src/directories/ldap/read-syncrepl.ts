/**
 * T0 by content synchronization (RFC 4533, refreshOnly): OpenLDAP and 389-DS say by themselves what changed since a cookie. A
 * search may end in one of two ways: it names who is gone (delete phase), or who is still there (present phase), and
 * then the read is a whole one.
 */
import type { DirectoryEntry, ReadBatch } from '@dirpost/core';
import { syncDoneOf, syncInfoOf, SYNC_INFO, syncRequest, syncStateOf, uuidText } from './controls.ts';
import type { LdapBase } from './options.ts';
import { askedAttributes, entriesOf, type ReadContext, Seen } from './read-whole.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { SYNC_REFRESH_REQUIRED } from './results.ts';

/** What a search by a cookie came to. */
export interface SyncOutcome {
  cookie: Buffer | null;
  /** `lost`: the server does not know the cookie (any more): everything has to be read. */
  end: 'delta' | 'whole' | 'lost';
}

/** One base, since `cookie` (null: everything). `outcome` is filled at the end. */
export async function* readSync(
  context: ReadContext,
  base: LdapBase,
  cookie: Buffer | null,
  outcome: SyncOutcome,
): AsyncGenerator<ReadBatch> {
  const { session, options, notes, signal } = context;
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes: askedAttributes(options) };
  const seen = new Seen(false);
  const controls = [syncRequest('refresh-only', cookie)];
  outcome.end = cookie === null ? 'whole' : 'delta';
  for await (const { items, result } of session.search(request, { controls, signal })) {
    const { changed, present, gone } = sort(items, outcome, options.anchor);
    const entries: DirectoryEntry[] = await entriesOf(context, changed, seen);
    notes.present += present.length;
    if (entries.length + present.length + gone.length > 0) yield { entries, present, gone };
    if (result === undefined) continue;
    if (result.code === SYNC_REFRESH_REQUIRED && cookie !== null) {
      outcome.end = 'lost';
      return;
    }
    notes.ended(base, session.server, result);
    const done = syncDoneOf(result.controls);
    if (done === null) continue;
    outcome.cookie = done.cookie === null ? outcome.cookie : Buffer.from(done.cookie);
    // RFC 4533 §3.4: without deletes, who was not named is not there any more.
    if (!done.deletes) outcome.end = 'whole';
  }
}

interface Sorted {
  changed: SearchItem[];
  present: Buffer[];
  gone: Buffer[];
}

function sort(items: SearchItem[], outcome: SyncOutcome, anchor: string): Sorted {
  const sorted: Sorted = { changed: [], present: [], gone: [] };
  for (const item of items) {
    if (item.type === 'intermediate') takeInfo(item, sorted, outcome);
    else if (item.type === 'entry') takeEntry(item, sorted, outcome, anchor);
    else sorted.changed.push(item);
  }
  return sorted;
}

function takeEntry(item: FoundEntry, { changed, present, gone }: Sorted, outcome: SyncOutcome, anchor: string): void {
  const state = syncStateOf(item.controls);
  if (state?.cookie) outcome.cookie = Buffer.from(state.cookie);
  if (state?.state === 'present') present.push(Buffer.from(uuidText(state.uuid)));
  else if (state?.state === 'delete') gone.push(Buffer.from(uuidText(state.uuid)));
  else {
    // 389-DS and servers that keep entryUUID from view: the control says what it is.
    if (anchor === 'entryuuid' && state !== null && !item.attributes.has(anchor)) {
      item.attributes.set(anchor, [Buffer.from(uuidText(state.uuid))]);
    }
    changed.push(item);
  }
}

function takeInfo(
  { name, value }: Extract<SearchItem, { type: 'intermediate' }>,
  { present, gone }: Sorted,
  outcome: SyncOutcome,
): void {
  const info = name === SYNC_INFO && value !== null ? syncInfoOf(value) : null;
  if (info === null) return;
  if (info.cookie !== null) outcome.cookie = Buffer.from(info.cookie);
  if (info.kind === 'refresh-present') outcome.end = 'whole';
  if (info.kind !== 'ids') return;
  for (const uuid of info.uuids) (info.deletes ? gone : present).push(Buffer.from(uuidText(uuid)));
}
