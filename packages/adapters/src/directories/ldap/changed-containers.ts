/**
 * A container that is moved or renamed takes the entries below with it: they have another DN, or are in or out of scope, and
 * do not count as changed. So where one of them changed a delta is not enough.
 */
import { createdSince } from './generalized-time.ts';
import { namingContextsOf } from './domain-controller.ts';
import type { ReadContext } from './read-whole.ts';
import type { SearchRequest } from './requests.ts';

/** Those that people live in. A filter, because `hasSubordinates` has no index. */
export const CONTAINERS =
  '(|(objectClass=organizationalUnit)(objectClass=container)(objectClass=organization)(objectClass=locality)(objectClass=country))';

/**
 * `condition`: filters of what changed since `sinceS` (seconds since 1970, by the server's clock). One that was made after that
 * does not count: who is in it came by himself.
 */
export async function hasChangedContainer(
  { session, dse, options, signal }: ReadContext,
  condition: string,
  sinceS: number,
): Promise<boolean> {
  const filter = `(&${condition}(!${createdSince(dse, sinceS + 1)})${CONTAINERS})`;
  for (const base of namingContextsOf(dse, options.bases) ?? []) {
    const request: SearchRequest = { base, scope: 'sub', filter, attributes: ['1.1'], sizeLimit: 1 };
    for await (const { items } of session.search(request, { signal })) {
      if (items.some(({ type }) => type === 'entry')) return true;
    }
  }
  return false;
}
