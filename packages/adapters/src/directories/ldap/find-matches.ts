/**
 * T3: entries that a target has already: those that dirpost wrote, by their stamp, and those that stood there before, by values of
 * attributes. Only looks; who is who is decided in core (match-targets.ts).
 */
import { type Place, stampedId, stampOf, type TargetEntry, type TargetFinder, type TargetQuery } from '@dirpost/core';
import { nextPage, pagedResults } from './controls.ts';
import { escapedOctets } from './domain-controller.ts';
import type { LdapOptions } from './options.ts';
import type { LdapControl, SearchRequest } from './requests.ts';
import type { FoundEntry } from './responses.ts';
import { NO_SUCH_OBJECT, SUCCESS } from './results.ts';
import { failedSearch } from './root-dse.ts';
import type { Session } from './session.ts';
import { isSecurityGroup } from './shape-others.ts';
import { isTrue, UNTOUCHABLE } from './write-entry.ts';

/** Values in one filter. */
const ASKED_AT_ONCE = 50;

export interface FinderContext {
  session: Session;
  options: Pick<LdapOptions, 'anchor' | 'pageSize' | 'target'>;
  /** Whether the server gives answers in pages (RFC 2696). */
  pages: boolean;
  signal: AbortSignal;
}

export class LdapFinder implements TargetFinder {
  readonly #context: FinderContext;

  constructor(context: FinderContext) {
    this.#context = context;
  }

  async *stamped(ids: Uint8Array[] | null): AsyncGenerator<TargetEntry & { id: Uint8Array }> {
    const { target } = this.#context.options;
    if (target?.stamp === undefined) return;
    const { stamp, container } = target;
    // Some attributes, such as labeledURI, cannot be asked for the beginning of a value.
    const filters = ids === null ? [`(${stamp}=*)`] : anyOf(stamp, ids.map(stampOf));
    for (const filter of filters) {
      for await (const found of this.#search({ base: container, filter, attributes: [stamp] })) {
        for (const value of found.attributes.get(stamp) ?? []) {
          const id = stampedId(value);
          if (id !== null) yield { ...found, id };
        }
      }
    }
  }

  async *matching({ base, filter, attribute, values, attributes }: TargetQuery): AsyncGenerator<TargetEntry> {
    for (const among of anyOf(attribute, values))
      yield* this.#search({ base, filter: `(&${filter}${among})`, attributes });
  }

  close(): void {
    this.#context.session.close();
  }

  async *#search(asked: Pick<SearchRequest, 'base' | 'filter' | 'attributes'>): AsyncGenerator<TargetEntry> {
    const { session, options, pages, signal } = this.#context;
    const attributes = [...new Set([...asked.attributes, options.anchor, 'grouptype', ...UNTOUCHABLE])];
    const request: SearchRequest = { ...asked, scope: 'sub', attributes };
    let cookie: Buffer | null = Buffer.alloc(0);
    while (cookie !== null) {
      const controls: LdapControl[] = pages ? [pagedResults(options.pageSize, cookie)] : [];
      let next: Buffer | null = null;
      for await (const { items, result } of session.search(request, { controls, signal })) {
        for (const item of items) if (item.type === 'entry') yield this.#entryOf(item);
        // Who is not seen may be the second of two: what is cut off says nothing.
        if (result !== undefined && result.code !== SUCCESS && result.code !== NO_SUCH_OBJECT) {
          throw failedSearch(session, asked.base, result);
        }
        const given = result === undefined ? null : nextPage(result.controls);
        next = given === null || given.length === 0 ? null : Buffer.from(given);
      }
      cookie = next;
    }
  }

  #entryOf({ dn, attributes }: FoundEntry): TargetEntry {
    const place: Place = { dn, anchor: attributes.get(this.#context.options.anchor)?.[0]?.toString('hex') ?? '' };
    const isProtected = UNTOUCHABLE.some((name) => isTrue(attributes.get(name))) || isSecurityGroup(attributes);
    return { ...place, attributes, isProtected };
  }
}

/** RFC 4515 filters for entries with one of the values. */
function anyOf(attribute: string, values: Uint8Array[]): string[] {
  const filters: string[] = [];
  for (let from = 0; from < values.length; from += ASKED_AT_ONCE) {
    const some = values.slice(from, from + ASKED_AT_ONCE);
    filters.push(`(|${some.map((value) => `(${attribute}=${escapedOctets(value)})`).join('')})`);
  }
  return filters;
}
