/**
 * A container that is moved or renamed takes the entries below with it: they have another DN, or are in or out of scope, and
 * do not count as changed. So where one of them changed a delta is not enough.
 */
import { isWithin, normalizeDn } from '@dirpost/core';
import { createdSince } from './generalized-time.ts';
import { namingContextsOf } from './domain-controller.ts';
import type { ReadContext } from './read-whole.ts';
import type { SearchRequest } from './requests.ts';
import type { FoundEntry } from './responses.ts';
import { INSUFFICIENT_ACCESS_RIGHTS, NO_SUCH_OBJECT, SUCCESS } from './results.ts';

/** Those that people live in. A filter, because `hasSubordinates` has no index. `nsContainer`: of 389-DS, as in FreeIPA. */
const CONTAINER_CLASSES =
  'organizationalUnit container organization locality country domain dcObject nsContainer applicationProcess';
export const CONTAINERS = `(|${CONTAINER_CLASSES.split(' ')
  .map((name) => `(objectClass=${name})`)
  .join('')})`;

export interface News {
  attribute: string;
  /** null: it is not shown. */
  isNew(value: string | null): boolean;
}

/**
 * `condition`: filters of what changed since `sinceS` (seconds since 1970, by the server's clock). One that was made after that
 * does not count: who is in it came by himself. True also where the server does not say: a limit cuts its answer, or it is busy.
 * `news`: which of those that are found count, by one of their attributes.
 */
export async function hasChangedContainer(
  context: ReadContext,
  condition: string,
  sinceS: number,
  news?: News,
): Promise<boolean> {
  const { dse, options } = context;
  const filter = `(&${condition}(!${createdSince(dse, sinceS + 1)})${CONTAINERS})`;
  const bases = options.bases.map(({ dn }) => dn);
  for (const top of namingContextsOf(dse, options.bases) ?? bases) {
    const told = await isChangedBelow(context, top, filter, news);
    if (told === true) return true;
    if (told === false) continue;
    // The account sees nothing that far up.
    for (const base of bases.filter((dn) => isWithin(dn, top)))
      if ((await isChangedBelow(context, base, filter, news)) === true) return true;
  }
  return false;
}

/** null: the account does not see the base. */
async function isChangedBelow(
  { session, dse, signal }: ReadContext,
  base: string,
  filter: string,
  news: News | undefined,
): Promise<boolean | null> {
  const few = news === undefined ? { attributes: ['1.1'], sizeLimit: 2 } : { attributes: [news.attribute] };
  const request: SearchRequest = { base, scope: 'sub', filter, ...few };
  const counts = ({ attributes }: FoundEntry) =>
    news === undefined || news.isNew(attributes.get(news.attribute.toLowerCase())?.[0]?.toString() ?? null);
  // It has its name for good, and its entry changes for other reasons.
  const isTop = (dn: string) => isSameDn(dn, base) && dse.namingContexts.includes(base);
  for await (const { items, result } of session.search(request, { signal })) {
    if (items.some((item) => item.type === 'entry' && !isTop(item.dn) && counts(item))) return true;
    if (result === undefined || result.code === SUCCESS) continue;
    return result.code === NO_SUCH_OBJECT || result.code === INSUFFICIENT_ACCESS_RIGHTS ? null : true;
  }
  return false;
}

export function isSameDn(one: string, other: string): boolean {
  return normalizeDn(one) === normalizeDn(other);
}
