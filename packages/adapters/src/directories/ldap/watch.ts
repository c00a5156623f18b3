/**
 * Waiting for changes, so that a read is made when something changed and not by the clock alone. It only wakes: what
 * changed the next read tells. Silence says nothing about the line, so it is asked from time to time.
 *
 *   search that does not end ─▶ a change ─▶ a short while for others ─▶ wake
 *   root DSE, again and again ─▶ no answer ─▶ the line is dead
 */
import { setTimeout as wait } from 'node:timers/promises';
import { DirpostError } from '@dirpost/core';
import { CONTAINERS } from './changed-containers.ts';
import { changeNotification, persistentSearch, SYNC_INFO, syncInfoOf, syncRequest, syncStateOf } from './controls.ts';
import { namingContextsOf } from './domain-controller.ts';
import type { LdapTimes } from './options.ts';
import type { ReadContext } from './read-whole.ts';
import type { LdapControl, SearchRequest } from './requests.ts';
import type { SearchItem } from './responses.ts';
import { resultName } from './results.ts';
import {
  CHANGE_NOTIFICATION,
  PERSISTENT_SEARCH,
  readEntry,
  readRootDse,
  type RootDse,
  SYNC_REQUEST,
} from './root-dse.ts';

/** Changes of one go, as of a form that is saved, wake once. */
const TOGETHER_MS = 100;

interface Watched {
  request: SearchRequest;
  control: LdapControl;
  /** Entries as they are come first, and are no changes. */
  refreshes: boolean;
}

/** As LdapDirectory.watch; throws when the signal ends it. */
export async function watchChanges(context: ReadContext, times: LdapTimes, wake: () => void): Promise<boolean> {
  const searches = await searchesFor(context);
  if (searches.length === 0) return false;
  const over = new AbortController();
  const inner = { ...context, signal: AbortSignal.any([context.signal, over.signal]) };
  const bell = new Bell(wake);
  try {
    // None of them ends but by an error.
    await Promise.race([
      ...searches.map((search) => watchOne(inner, search, bell)),
      keepAlive(inner, times.keepAliveMs),
    ]);
    return true;
  } finally {
    over.abort();
    bell.silence();
  }
}

export type WakeUp = 'change notification' | 'persistent search' | 'content synchronization';

/** What the server has for waiting; null: nothing. */
export function wakeUpOf({ kind, controls }: RootDse): WakeUp | null {
  if (kind === 'ad' && controls.has(CHANGE_NOTIFICATION)) return 'change notification';
  // Rather than content synchronization, which names everybody first there.
  if (kind === '389ds' && controls.has(PERSISTENT_SEARCH)) return 'persistent search';
  return controls.has(SYNC_REQUEST) ? 'content synchronization' : null;
}

async function searchesFor(context: ReadContext): Promise<Watched[]> {
  const { dse, options } = context;
  const attributes = ['1.1'];
  const ofBases = (control: LdapControl, refreshes: boolean): Watched[] =>
    options.bases.map(({ dn, scope, filter }) => ({
      // With a container that is renamed those below get other DNs, and do not count as changed (changed-containers.ts).
      request: { base: dn, scope, filter: `(|${filter}${CONTAINERS})`, attributes },
      control,
      refreshes,
    }));
  switch (wakeUpOf(dse)) {
    case 'change notification':
      // MS-ADTS 3.1.1.3.4.1.9: this filter only, and with a whole subtree a naming context only.
      return (namingContextsOf(dse, options.bases) ?? []).map((base) => ({
        request: { base, scope: 'sub', filter: '(objectClass=*)', attributes },
        control: changeNotification,
        refreshes: false,
      }));
    case 'persistent search':
      return ofBases(persistentSearch(), false);
    case 'content synchronization': {
      const cookie = await presentCookie(context);
      return ofBases(syncRequest('refresh-and-persist', cookie), cookie === null);
    }
    case null:
      return [];
  }
}

/** As OpenLDAP writes it, of what it has now: so it does not name everybody first. null: it names everybody. */
async function presentCookie({ session, dse, options, signal }: ReadContext): Promise<Buffer | null> {
  const [suffix, ...others] = namingContextsOf(dse, options.bases) ?? [];
  if (dse.kind !== 'openldap' || suffix === undefined || others.length > 0) return null;
  const entry = await readEntry(session, suffix, ['contextCSN'], { signal });
  const csns = entry?.attributes.get('contextcsn') ?? [];
  return csns.length === 0 ? null : Buffer.from(`rid=000,csn=${csns.map(String).join(';')}`);
}

async function watchOne({ session, signal }: ReadContext, { request, control, refreshes }: Watched, bell: Bell) {
  let isLive = !refreshes;
  for await (const { items, result } of session.search(request, { controls: [control], signal, timeoutMs: 0 })) {
    for (const item of items) {
      if (isLive && isChange(item)) bell.ring();
      isLive ||= endsRefresh(item);
    }
    if (result === undefined) continue;
    const words = result.message === '' ? '' : `: ${result.message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300)}`;
    throw new DirpostError(
      'directory-failed',
      `${session.server} ended the wait for changes of "${request.base}" with ${resultName(result.code)}${words}.`,
      { retry: 'later', context: { server: session.server, code: result.code } },
    );
  }
}

function isChange(item: SearchItem): boolean {
  if (item.type === 'entry') return syncStateOf(item.controls)?.state !== 'present';
  if (item.type === 'reference') return false;
  const info = item.name === SYNC_INFO && item.value !== null ? syncInfoOf(item.value) : null;
  return info?.kind === 'ids' && info.deletes;
}

/** RFC 4533 §3.4.1: after it come changes as they happen. */
function endsRefresh(item: SearchItem): boolean {
  if (item.type !== 'intermediate' || item.name !== SYNC_INFO || item.value === null) return false;
  const info = syncInfoOf(item.value);
  return (info?.kind === 'refresh-delete' || info?.kind === 'refresh-present') && info.isDone;
}

/** Rejects when the line is dead, which silence alone does not show. */
async function keepAlive({ session, signal }: ReadContext, everyMs: number): Promise<void> {
  for (;;) {
    await wait(everyMs, undefined, { signal });
    await readRootDse(session, signal);
  }
}

class Bell {
  readonly #wake: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(wake: () => void) {
    this.#wake = wake;
  }

  ring(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#wake();
    }, TOGETHER_MS);
  }

  silence(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
