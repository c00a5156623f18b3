/** T3: renames of entries, and what an entry has when it has got another name. */
import { normalizeDn, parentDn, parseDn, rdnOf } from '@dirpost/core';
import { equalKey } from './modifications.ts';
import type { Operation } from './requests.ts';
import type { FoundEntry } from './responses.ts';

/** The same name, with other capital letters or spaces. */
export function isSpeltOtherwise(stands: string, wanted: string): boolean {
  const values = rdnValues(stands);
  return [...rdnValues(wanted)].some(([type, value]) => Buffer.compare(values.get(type) ?? value, value) !== 0);
}

export function renameTo(from: string, to: string): Operation {
  const [before, after] = [parentDn(from), parentDn(to)];
  const stays = before !== null && after !== null && normalizeDn(before) === normalizeDn(after);
  return { type: 'rename', dn: from, rdn: rdnOf(to), keepOldRdn: false, superior: stays ? null : after };
}

export function rdnValues(dn: string): Map<string, Uint8Array> {
  return new Map(parseDn(dn)[0]!.map(({ type, value }) => [type.toLowerCase(), Buffer.from(value)]));
}

/** What it has after a rename that does not keep the old RDN (RFC 4511 §4.9). */
export function renamed({ dn, attributes }: FoundEntry, to: string): Map<string, Uint8Array[]> {
  const present = new Map<string, Uint8Array[]>(attributes);
  for (const [type, old] of rdnValues(dn)) {
    const left = (present.get(type) ?? []).filter((value) => equalKey(type, value) !== equalKey(type, old));
    present.set(type, left);
  }
  for (const [type, value] of rdnValues(to)) {
    const others = (present.get(type) ?? []).filter((one) => equalKey(type, one) !== equalKey(type, value));
    present.set(type, [...others, value]);
  }
  return present;
}
