/** What later lets only the attributes that changed be sent (T0, T2): attribute → seq of its last change. */
import { differingAttributes, kindOf } from './entry.ts';
import type { EntryRow } from './seams/store.ts';

/** null where the entry has to be sent whole: its kind is another one. */
export function changedAttributes(
  before: Pick<EntryRow, 'bytes' | 'changed'>,
  bytes: Uint8Array,
  seq: number,
): Record<string, number> | null {
  if (kindOf(before.bytes!) !== kindOf(bytes)) return null;
  const changed = { ...before.changed };
  for (const name of differingAttributes(before.bytes!, bytes)) changed[name] = seq;
  return changed;
}
