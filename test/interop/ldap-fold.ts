/** What somebody knows who takes reads as their certificates say: the model that deltas are held against. */
import { textOf, type WholeRead } from './ldap-directory.ts';

/** By anchor. */
export type Known = Map<string, { dn: string; cn: string; title: string }>;

/** Throws where the server says of somebody who was never read that he is as he was. */
export function fold(known: Known, { entries, present, gone, certificate }: WholeRead, anchor = 'entryuuid'): Known {
  const after: Known = new Map(known);
  const seen = new Set(present);
  for (const entry of entries) {
    const key = textOf(entry, anchor);
    seen.add(key);
    after.set(key, { dn: entry.dn, cn: textOf(entry, 'cn'), title: textOf(entry, 'title') });
  }
  const strangers = present.filter((key) => !after.has(key));
  if (strangers.length > 0 && certificate.complete) throw new Error(`never read, and present: ${strangers.join(' ')}`);
  if (!certificate.complete) return after;
  if (certificate.extent === 'delta') for (const key of gone) after.delete(key);
  else for (const key of after.keys()) if (!seen.has(key)) after.delete(key);
  return after;
}
