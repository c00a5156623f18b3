/**
 * T0 by DirSync (MS-ADTS 3.1.1.3.4.1.3): Active Directory says itself what changed in a naming context, and its cookie
 * is good for every domain controller of the domain. What it gives are pieces of entries, so that it only finds: whole
 * entries are fetched afterwards, and who is not within the scope then is gone. It needs the right "Replicating Directory
 * Changes".
 */
import type { ReadBatch } from '@dirpost/core';
import { CONTAINERS, isSameDn } from './changed-containers.ts';
import { dirSync, dirSyncOf } from './controls.ts';
import { escapedOctets, guidOf, invocationIdOf, namingContextsOf } from './domain-controller.ts';
import { type ReadContext, readBase, Seen } from './read-whole.ts';
import { inBatches, keyOf, noteBehind } from './read-usn.ts';
import type { SearchRequest } from './requests.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { SUCCESS } from './results.ts';
import { findEntries } from './root-dse.ts';
import type { SearchBatch } from './session.ts';

export interface DirSyncMark {
  /** invocationId, and its newest change: to notice a domain controller that was put back. */
  server: string;
  usn: number;
  /** base64. */
  cookie: string;
}

const MAX_CHANGED = 200_000;
/** Entries that are asked for in one search. */
const FETCHED_AT_ONCE = 100;
const MAX_ANSWERS = 1_000_000;

/**
 * Whether it gives what was deleted: the container of deleted objects is one of them itself. Samba gives everything else to
 * who has the right to replicate and not the one to see deleted objects.
 */
export async function isDirSyncAllowed(context: ReadContext, namingContext: string): Promise<boolean> {
  const isDeleted = (item: SearchItem) => item.type === 'entry' && item.attributes.has('isdeleted');
  for (let cookie = Buffer.alloc(0), isMore = true; isMore; ) {
    isMore = false;
    for await (const { items, result } of dirSyncAnswers(context, namingContext, ['isDeleted'], cookie)) {
      if (items.some(isDeleted)) return true;
      const given = result?.code === SUCCESS ? dirSyncOf(result.controls) : null;
      if (given !== null) ({ isMore, cookie } = { isMore: given.isMore, cookie: Buffer.from(given.cookie) });
    }
  }
  return false;
}

/** Where the next delta begins: before a whole read. null: it cannot be said. */
export async function dirSyncMark(context: ReadContext): Promise<DirSyncMark | null> {
  const [namingContext, ...others] = namingContextsOf(context.dse, context.options.bases) ?? [];
  if (namingContext === undefined || others.length > 0) return null;
  // An attribute that never changes: the server has next to nothing to give until it is at its newest change.
  const end = { cookie: Buffer.alloc(0), isLost: false };
  const changes = changesSince(context, namingContext, ['objectGUID'], end);
  while ((await changes.next()).done !== true);
  return end.isLost ? null : markOf(context, end.cookie);
}

export async function* readDirSync(
  context: ReadContext,
  since: DirSyncMark,
): AsyncGenerator<ReadBatch, DirSyncMark | 'lost'> {
  const { dse, options } = context;
  const [namingContext, ...others] = namingContextsOf(dse, options.bases) ?? [];
  if (namingContext === undefined || others.length > 0) return 'lost';
  const end = { cookie: Buffer.from(since.cookie, 'base64'), isLost: false };
  const mark = await markOf(context, end.cookie);
  if (mark === null) return 'lost';
  if (mark.server === since.server && mark.usn < since.usn) {
    noteBehind(context, since.usn);
    return since;
  }
  const changed = new Set<string>();
  const gone = new Set<string>();
  const renamed = new Set<string>();
  // All attributes, because any of them may stand in the filter.
  for await (const entry of changesSince(context, namingContext, [], end)) {
    const [guid] = guidOf(entry);
    if (guid === undefined) continue;
    const isDeleted = entry.attributes.get('isdeleted')?.[0]?.toString() === 'TRUE';
    (isDeleted ? gone : changed).add(keyOf(guid));
    if (!isDeleted && entry.attributes.has('name') && !entry.attributes.has('whencreated')) renamed.add(keyOf(guid));
    if (changed.size + gone.size > MAX_CHANGED) return 'lost';
  }
  if (end.isLost || (await hasContainer(context, namingContext, renamed))) return 'lost';
  yield* fetched(context, changed);
  yield* inBatches(gone);
  return { ...mark, cookie: end.cookie.toString('base64') };
}

/** Entries of the ids, as far as they are within the scope; of the others that they are gone. */
async function* fetched(context: ReadContext, ids: Set<string>): AsyncGenerator<ReadBatch> {
  const seen = new Seen(context.options.bases.length > 1);
  for (const some of chunks([...ids], FETCHED_AT_ONCE)) {
    const missing = new Set(some);
    for (const base of context.options.bases) {
      const filter = `(&${base.filter}${anyOf(some)})`;
      for await (const batch of readBase(context, { ...base, filter }, seen)) {
        for (const { attributes } of batch.entries) missing.delete(keyOf(attributes.get('objectguid')?.[0]));
        yield batch;
      }
    }
    yield* inBatches(missing);
  }
}

/** Such a one takes the entries below with it, and says nothing of them. */
async function hasContainer({ session, signal }: ReadContext, base: string, ids: Set<string>): Promise<boolean> {
  for (const some of chunks([...ids], FETCHED_AT_ONCE)) {
    const filter = `(&${CONTAINERS}${anyOf(some)})`;
    const request: SearchRequest = { base, scope: 'sub', filter, attributes: ['1.1'] };
    const found = await findEntries(session, request, { signal });
    if (found.some(({ dn }) => !isSameDn(dn, base))) return true;
  }
  return false;
}

/** Everything until the server has no more; `end` is filled meanwhile. */
async function* changesSince(
  context: ReadContext,
  namingContext: string,
  attributes: string[],
  end: { cookie: Buffer; isLost: boolean },
): AsyncGenerator<FoundEntry> {
  for (let answers = 0, isMore = true; isMore; answers++) {
    isMore = false;
    for await (const { items, result } of dirSyncAnswers(context, namingContext, attributes, end.cookie)) {
      for (const item of items) if (item.type === 'entry') yield item;
      if (result === undefined) continue;
      const given = result.code === SUCCESS ? dirSyncOf(result.controls) : null;
      if (given === null || answers === MAX_ANSWERS) {
        // The cookie is of another domain, or too old; or the right was taken away.
        end.isLost = true;
        return;
      }
      end.cookie = Buffer.from(given.cookie);
      isMore = given.isMore;
    }
  }
}

function dirSyncAnswers(
  { session, signal }: ReadContext,
  base: string,
  attributes: string[],
  cookie: Buffer,
): AsyncGenerator<SearchBatch> {
  const request: SearchRequest = { base, scope: 'sub', filter: '(objectClass=*)', attributes };
  return session.search(request, { controls: [dirSync(cookie)], signal });
}

async function markOf(context: ReadContext, cookie: Buffer): Promise<DirSyncMark | null> {
  const server = await invocationIdOf(context);
  const usn = context.dse.highestCommittedUsn;
  return server === null || usn === null ? null : { server, usn, cookie: cookie.toString('base64') };
}

function anyOf(keys: string[]): string {
  return `(|${keys.map((key) => `(objectGUID=${escapedOctets(Buffer.from(key, 'latin1'))})`).join('')})`;
}

function* chunks<T>(all: T[], size: number): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
