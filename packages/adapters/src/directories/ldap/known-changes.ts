/**
 * Whether a slapd that is read in another way than by content synchronization is older than what was read by that before. A replica
 * that is being filled gives a part of its entries without a word of it, and writes down how new it is (contextCSN) at the end.
 */
import { isBehind } from './behind.ts';
import type { DeltaBookmark } from './bookmark.ts';
import { namingContextsOf } from './domain-controller.ts';
import type { ReadContext } from './read-whole.ts';
import { readEntry } from './root-dse.ts';

/** To be asked before the read. Also where it does not say. Throws DirpostError `directory-failed`. */
export async function lacksKnownChanges(
  { session, dse, options, signal }: ReadContext,
  known: DeltaBookmark | null,
): Promise<boolean> {
  if (known?.method !== 'syncrepl' || dse.kind !== 'openldap') return false;
  const cookies: string[] = [];
  for (const base of options.bases) {
    const [suffix] = namingContextsOf(dse, [base]) ?? [];
    if (suffix === undefined) return false;
    const entry = await readEntry(session, suffix, ['contextCSN'], { signal });
    const numbers = entry?.attributes.get('contextcsn') ?? [];
    if (numbers.length === 0) return true;
    cookies.push(Buffer.from(numbers.map(String).join(';')).toString('base64'));
  }
  return isBehind({ method: 'syncrepl', cookies }, known);
}
