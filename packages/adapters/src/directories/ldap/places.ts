/**
 * T3: where entries stand that were made in a transaction. The server tells their anchors (entryUUID …) only when they are
 * looked for; by the anchor an entry is found again wherever an administrator moves it.
 */
import type { Place } from '@dirpost/core';
import { nextPage, pagedResults } from './controls.ts';
import type { LdapOptions } from './options.ts';
import type { LdapControl } from './requests.ts';
import type { FoundEntry, SearchItem } from './responses.ts';
import { SUCCESS } from './results.ts';
import { failedSearch, readEntry } from './root-dse.ts';
import type { Session } from './session.ts';

const PIPELINED = 64;

export interface PlacesContext {
  session: Session;
  options: Pick<LdapOptions, 'anchor' | 'pageSize' | 'target'>;
  /** Whether the server gives answers in pages (RFC 2696). */
  pages: boolean;
  signal: AbortSignal;
}

/** Of these DNs, as far as they are there. */
export async function* placesOf({ session, options, signal }: PlacesContext, dns: string[]): AsyncGenerator<Place> {
  for (let from = 0; from < dns.length; from += PIPELINED) {
    const batch = dns.slice(from, from + PIPELINED);
    const found = await Promise.all(batch.map((dn) => readEntry(session, dn, [options.anchor], { signal })));
    for (const one of found) if (one !== null) yield placeOf(one, options.anchor);
  }
}

/**
 * Of all entries in the container, in one search. Throws DirpostError `directory-failed` at the end of what a limit of the server
 * cuts off: the rest is learned another time, and who is missing is not gone.
 */
export async function* allPlaces({ session, options, pages, signal }: PlacesContext): AsyncGenerator<Place> {
  const { anchor, pageSize, target } = options;
  const request = {
    base: target?.container ?? '',
    scope: 'sub' as const,
    filter: '(objectClass=*)',
    attributes: [anchor],
  };
  let cookie: Buffer | null = Buffer.alloc(0);
  while (cookie !== null) {
    const controls: LdapControl[] = pages ? [pagedResults(pageSize, cookie)] : [];
    let next: Buffer | null = null;
    for await (const { items, result } of session.search(request, { controls, signal })) {
      yield* placesIn(items, anchor);
      if (result !== undefined && result.code !== SUCCESS) throw failedSearch(session, request.base, result);
      const given = result === undefined ? null : nextPage(result.controls);
      next = given === null || given.length === 0 ? null : Buffer.from(given);
    }
    cookie = next;
  }
}

function* placesIn(items: SearchItem[], anchor: string): Generator<Place> {
  for (const item of items) if (item.type === 'entry') yield placeOf(item, anchor);
}

function placeOf({ dn, attributes }: FoundEntry, anchor: string): Place {
  return { dn, anchor: attributes.get(anchor)?.[0]?.toString('hex') ?? '' };
}
