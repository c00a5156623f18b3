/**
 * Deltas of all methods behind one door: what changed since a bookmark, and the first bookmark together with a whole read.
 */
import type { ReadBatch } from '@dirpost/core';
import type { DeltaBookmark } from './bookmark.ts';
import type { DeltaMethod } from './options.ts';
import { readSync, type SyncOutcome } from './read-syncrepl.ts';
import { type ReadContext, readWhole } from './read-whole.ts';

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
    default:
      return 'lost';
  }
}

/** Everything, and where the next delta begins; null: the method has none. */
export async function* startDelta(
  context: ReadContext,
  method: Method,
): AsyncGenerator<ReadBatch, DeltaBookmark | null> {
  if (method === 'syncrepl') return yield* syncWhole(context);
  yield* readWhole(context);
  return null;
}

async function* syncSince(context: ReadContext, cookies: string[]): AsyncGenerator<ReadBatch, DeltaEnd | 'lost'> {
  const { bases } = context.options;
  const ends: SyncOutcome[] = [];
  for (const [i, base] of bases.entries()) {
    const cookie = cookies[i];
    if (cookie === undefined) return 'lost';
    const outcome: SyncOutcome = { cookie: Buffer.from(cookie, 'base64'), end: 'delta' };
    yield* readSync(context, base, outcome.cookie, outcome);
    if (outcome.end === 'lost') return 'lost';
    ends.push(outcome);
  }
  const extent = ends.some(({ end }) => end === 'whole') ? 'whole' : 'delta';
  // One base told who is there, another only what changed: of that one everything is asked for too.
  for (const [i, outcome] of ends.entries()) {
    if (extent === 'whole' && outcome.end === 'delta') yield* readSync(context, bases[i]!, null, outcome);
  }
  return { next: { method: 'syncrepl', cookies: ends.map(cookieText) }, extent };
}

async function* syncWhole(context: ReadContext): AsyncGenerator<ReadBatch, DeltaBookmark | null> {
  const cookies: string[] = [];
  for (const base of context.options.bases) {
    const outcome: SyncOutcome = { cookie: null, end: 'whole' };
    yield* readSync(context, base, null, outcome);
    cookies.push(cookieText(outcome));
  }
  return cookies.includes('') ? null : { method: 'syncrepl', cookies };
}

function cookieText({ cookie }: SyncOutcome): string {
  return cookie?.toString('base64') ?? '';
}
