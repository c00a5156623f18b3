/**
 * Deltas of all methods behind one door: what changed since a bookmark, and the first bookmark together with a whole read.
 */
import type { ReadBatch } from '@dirpost/core';
import type { DeltaBookmark } from './bookmark.ts';
import type { DeltaMethod } from './options.ts';
import { dirSyncMark, readDirSync } from './read-dirsync.ts';
import { readModified, readWholeWithTimes } from './read-modified.ts';
import { hasMovedSince, readSync, type SyncOutcome } from './read-syncrepl.ts';
import { readUsn, usnMark } from './read-usn.ts';
import { type ReadContext, readWhole, Seen } from './read-whole.ts';

export type Method = Exclude<DeltaMethod, 'auto'>;

export interface DeltaEnd {
  next: DeltaBookmark;
  /** `whole`: the server has named everybody who is still there. */
  extent: 'whole' | 'delta';
}

/** `lost`: the bookmark is of no use; what was given so far does no harm, and everything has to be read. */
export async function* readDelta(
  context: ReadContext,
  since: DeltaBookmark,
): AsyncGenerator<ReadBatch, DeltaEnd | 'lost'> {
  switch (since.method) {
    case 'syncrepl':
      return yield* syncSince(context, since.cookies);
    case 'usn': {
      const mark = yield* readUsn(context, since);
      return mark === 'lost' ? mark : { next: { method: 'usn', ...mark }, extent: 'delta' };
    }
    case 'dirsync': {
      const mark = yield* readDirSync(context, since);
      return mark === 'lost' ? mark : { next: { method: 'dirsync', ...mark }, extent: 'delta' };
    }
    case 'modify-timestamp': {
      const mark = yield* readModified(context, since);
      return mark === 'lost' ? mark : { next: { method: 'modify-timestamp', ...mark }, extent: 'whole' };
    }
  }
}

/** Everything, and where the next delta begins; null: the method has none. */
export async function* startDelta(
  context: ReadContext,
  method: Method,
): AsyncGenerator<ReadBatch, DeltaBookmark | null> {
  switch (method) {
    case 'syncrepl':
      return yield* syncWhole(context);
    case 'usn': {
      const mark = await usnMark(context);
      yield* readWhole(context);
      return mark && { method, ...mark };
    }
    case 'dirsync': {
      const mark = await dirSyncMark(context);
      yield* readWhole(context);
      return mark && { method, ...mark };
    }
    case 'modify-timestamp': {
      const mark = yield* readWholeWithTimes(context);
      return mark && { method, ...mark };
    }
    case 'whole':
      yield* readWhole(context);
      return null;
  }
}

async function* syncSince(context: ReadContext, cookies: string[]): AsyncGenerator<ReadBatch, DeltaEnd | 'lost'> {
  const { bases } = context.options;
  const ends: SyncOutcome[] = [];
  const seen = new Seen(bases.length > 1);
  // Who left one base may have come into another: what is gone is known at the end.
  const gone: Uint8Array[] = [];
  for (const [i, base] of bases.entries()) {
    const cookie = cookies[i];
    if (cookie === undefined || (await hasMovedSince(context, Buffer.from(cookie, 'base64')))) return 'lost';
    const outcome: SyncOutcome = { cookie: Buffer.from(cookie, 'base64'), end: 'delta' };
    for await (const batch of readSync(context, base, outcome.cookie, outcome, seen)) {
      for (const anchor of batch.gone ?? []) gone.push(anchor);
      yield { ...batch, gone: [] };
    }
    if (outcome.end === 'lost') return 'lost';
    ends.push(outcome);
  }
  const extent = ends.some(({ end }) => end === 'whole') ? 'whole' : 'delta';
  if (extent === 'delta' && gone.length > 0) yield { entries: [], gone: gone.filter((anchor) => !seen.has(anchor)) };
  // One base told who is there, another only what changed: of that one everything is asked for too.
  for (const [i, outcome] of ends.entries()) {
    if (extent === 'whole' && outcome.end === 'delta') yield* readSync(context, bases[i]!, null, outcome, seen);
  }
  return { next: { method: 'syncrepl', cookies: ends.map(cookieText) }, extent };
}

async function* syncWhole(context: ReadContext): AsyncGenerator<ReadBatch, DeltaBookmark | null> {
  const { bases } = context.options;
  const cookies: string[] = [];
  const seen = new Seen(bases.length > 1);
  for (const base of bases) {
    const outcome: SyncOutcome = { cookie: null, end: 'whole' };
    yield* readSync(context, base, null, outcome, seen);
    cookies.push(cookieText(outcome));
  }
  return cookies.includes('') ? null : { method: 'syncrepl', cookies };
}

function cookieText({ cookie }: SyncOutcome): string {
  return cookie?.toString('base64') ?? '';
}
