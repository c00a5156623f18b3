import { expect, it } from 'vitest';
import { ReadNotes } from './certificate.ts';
import { readModified } from './read-modified.ts';
import type { ReadContext } from './read-whole.ts';
import type { RootDse } from './root-dse.ts';
import { optionsFor } from './scripted-server.ts';
import type { Session } from './session.ts';

/** A server that is asked for nothing but the time. */
function contextAt(currentTime: string): ReadContext {
  const session = { server: 'dc1:636' } as Partial<Session> as Session;
  const dse = { kind: 'ad', currentTime, namingContexts: [] } as Partial<RootDse> as RootDse;
  return { session, dse, options: optionsFor([]), notes: new ReadNotes(), signal: new AbortController().signal };
}

it('everything is read where the clock of the server went back: what changed since then would be before the last read', async () => {
  const since = { server: 'dc1:636', time: '20260301120000Z' };
  const read = readModified(contextAt('20260301110000.0Z'), since);
  expect(await read.next()).toEqual({ done: true, value: 'lost' });
});

it('everything is read where another server answers', async () => {
  const read = readModified(contextAt('20260301130000.0Z'), { server: 'dc2:636', time: '20260301120000Z' });
  expect(await read.next()).toEqual({ done: true, value: 'lost' });
});
