/**
 * T0 by content synchronization (RFC 4533, refreshOnly): OpenLDAP says by itself what changed since a cookie. A
 * search may end in one of two ways: it names who is gone (delete phase), or who is still there (present phase), and
 * then the read is a whole one.
 */
import { type DirectoryEntry, DirpostError, type ReadBatch } from '@dirpost/core';
import { hasChangedContainer } from './changed-containers.ts';
import { syncDoneOf, syncInfoOf, SYNC_INFO, syncRequest, syncStateOf, uuidText } from './controls.ts';
import { secondsOf } from './generalized-time.ts';
import type { LdapBase } from './options.ts';
import { askedAttributes, entriesOf, type ReadContext, Seen } from './read-whole.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { SYNC_REFRESH_REQUIRED, UNWILLING_TO_PERFORM } from './results.ts';

/** What a search by a cookie came to. */
export interface SyncOutcome {
  cookie: Buffer | null;
  /** `lost`: the server does not know the cookie (any more): everything has to be read. */
  end: 'delta' | 'whole' | 'lost';
}

/** One base, since `cookie` (null: everything). `outcome` is filled at the end; `seen` is of all bases together. */
export async function* readSync(
  context: ReadContext,
  base: LdapBase,
  cookie: Buffer | null,
  outcome: SyncOutcome,
  seen = new Seen(false),
): AsyncGenerator<ReadBatch> {
  const { session, options, notes, signal } = context;
  const request = { base: base.dn, scope: base.scope, filter: base.filter, attributes: askedAttributes(options) };
  const controls = [syncRequest('refresh-only', cookie)];
  outcome.end = cookie === null ? 'whole' : 'delta';
  for await (const { items, result } of session.search(request, { controls, signal })) {
    const { changed, present, gone } = sort(items, outcome, options.anchor);
    const entries: DirectoryEntry[] = await entriesOf(context, changed, seen);
    notes.present += present.length;
    notes.saw(base, present.length + changed.filter(({ type }) => type === 'entry').length);
    if (entries.length + present.length + gone.length > 0) yield { entries, present, gone };
    if (result === undefined) continue;
    if (result.code === SYNC_REFRESH_REQUIRED && cookie !== null) {
      outcome.end = 'lost';
      return;
    }
    // OpenLDAP: "consumer state is newer than provider!"
    if (result.code === UNWILLING_TO_PERFORM && cookie !== null) {
      notes.incomplete(
        `${session.server} is behind what was read before: a replica that has not caught up yet, or a server that was restored from a backup. It is read again once it has a newer change, or at the next whole read.`,
      );
    }
    notes.ended(base, session.server, result);
    const done = syncDoneOf(result.controls);
    if (done === null) continue;
    outcome.cookie = done.cookie === null ? outcome.cookie : Buffer.from(done.cookie);
    // RFC 4533 §3.4: without deletes, who was not named is not there any more. (389-DS says so of every delta, and does not
    // mean it: choose-method.ts keeps away from it.)
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
  const id = state && Buffer.from(uuidText(state.uuid));
  if (state?.state === 'present') present.push(id!);
  else if (state?.state === 'delete') gone.push(id!);
  else {
    // Servers that keep it from view: the control says what it is.
    if (id !== null && !item.attributes.has(anchor)) item.attributes.set(anchor, [id]);
    else if (id !== null) checkSame(item, anchor, id);
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

/** To the octet: were they not, everybody who is named by the control would be somebody else. */
function checkSame({ dn, attributes }: FoundEntry, anchor: string, id: Buffer): void {
  const value = attributes.get(anchor)![0];
  if (value?.equals(id) === true) return;
  const message = `The server names "${dn}" ${id.toString()} in content synchronization, and its ${anchor} is ${value?.toString()}.`;
  throw new DirpostError('directory-failed', message, {
    retry: 'operator',
    hint: 'Configure `method: modify-timestamp` for this directory.',
  });
}

/** Whether more has changed than content synchronization tells; null: the cookie does not say since when. */
export async function hasMovedSince(context: ReadContext, cookie: Buffer): Promise<boolean | null> {
  // As OpenLDAP writes it: `rid=000,sid=001,csn=20261121163842.123456Z#000000#001#000000;…`, one of each server.
  const numbers = (cookie.toString().match(/\d{14}\.\d{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}/g) ?? []).sort();
  const [oldest, newest] = [numbers[0], numbers.at(-1)];
  if (oldest === undefined || newest === undefined) return null;
  const changed = `(entryCSN>=${oldest})(!(entryCSN=${oldest}))`;
  const news = {
    attribute: 'entryCSN',
    isNew: (number: string | null) => number === null || isBeyond(number, numbers),
  };
  const sinceS = secondsOf(`${newest.slice(0, 14)}Z`) ?? 0;
  return hasChangedContainer(context, changed, sinceS, numbers.length > 1 ? news : undefined);
}

/** Each server counts by itself, and the changes of one may come later than newer ones of another. `numbers`: ascending. */
function isBeyond(number: string, numbers: string[]): boolean {
  const serverOf = (one: string) => one.split('#')[2];
  return number > (numbers.findLast((one) => serverOf(one) === serverOf(number)) ?? numbers.at(-1)!);
}
