/** What has to be changed in an entry so that it has certain values: the least, and nothing where nothing differs. */
import type { Attributes } from '@dirpost/core';
import { isKnownAttribute } from '../../ldif/attribute-names.ts';
import { isNeverWritten } from './never-written.ts';
import type { ValuePolicy } from './options.ts';
import type { Modification } from './requests.ts';

/** More values than these are not replaced but added and removed one by one. */
const REPLACED_VALUES = 50;
/** Values in one modification. */
const VALUES_AT_ONCE = 1_000;

type Values = Uint8Array[];

export interface ModificationOptions {
  policies: Record<string, ValuePolicy>;
  /** Attribute types of the RDN, in lower case: they change with the name only. */
  rdnTypes: Set<string>;
}

/** Names of both in lower case. What `wanted` does not name is cleared where dirpost knows it for one of its own. */
export function modificationsFor(
  present: ReadonlyMap<string, Values>,
  wanted: Attributes,
  { policies, rdnTypes }: ModificationOptions,
): Modification[] {
  const changes: Modification[] = [];
  for (const [attribute, values] of wanted) {
    if (rdnTypes.has(attribute)) continue;
    const has = present.get(attribute) ?? [];
    const target = valuesBy(policies[attribute] ?? 'force', has, values);
    if (target !== null) changes.push(...changesTo(attribute, has, target));
  }
  for (const [attribute, has] of present) {
    if (wanted.has(attribute) || rdnTypes.has(attribute) || attribute === 'objectclass') continue;
    if (!isKnownAttribute(attribute) || isNeverWritten(attribute)) continue;
    const isForced = (policies[attribute] ?? 'force') === 'force';
    if (isForced && has.length > 0) changes.push({ kind: 'replace', attribute, values: [] });
  }
  return changes;
}

/** null: it stays as it is. */
function valuesBy(policy: ValuePolicy, has: Values, wanted: Values): Values | null {
  switch (policy) {
    case 'force':
      return wanted;
    case 'keep':
      return has.length > 0 ? null : wanted;
    case 'default':
      return null;
    case 'merge': {
      const known = keysOf(has);
      return [...has, ...wanted.filter((value) => !known.has(keyOf(value)))];
    }
  }
}

function changesTo(attribute: string, has: Values, wanted: Values): Modification[] {
  const [before, after] = [keysOf(has), keysOf(wanted)];
  const added = wanted.filter((value) => !before.has(keyOf(value)));
  const removed = has.filter((value) => !after.has(keyOf(value)));
  if (added.length + removed.length === 0) return [];
  // Classes are added and never taken away: others may have given an entry more of them.
  if (attribute === 'objectclass') return classesToAdd(has, wanted);
  if (wanted.length <= REPLACED_VALUES && has.length <= REPLACED_VALUES) {
    return [{ kind: 'replace', attribute, values: wanted }];
  }
  // Removed first: a value that is another by its octets alone is the same to the server.
  return [...inPieces('delete', attribute, removed), ...inPieces('add', attribute, added)];
}

function classesToAdd(has: Values, wanted: Values): Modification[] {
  const known = new Set(has.map((value) => Buffer.from(value).toString().toLowerCase()));
  const values = wanted.filter((value) => !known.has(Buffer.from(value).toString().toLowerCase()));
  return values.length === 0 ? [] : [{ kind: 'add', attribute: 'objectclass', values }];
}

function inPieces(kind: 'add' | 'delete', attribute: string, values: Values): Modification[] {
  const pieces: Modification[] = [];
  for (let from = 0; from < values.length; from += VALUES_AT_ONCE) {
    pieces.push({ kind, attribute, values: values.slice(from, from + VALUES_AT_ONCE) });
  }
  return pieces;
}

function keysOf(values: Values): Set<string> {
  return new Set(values.map(keyOf));
}

function keyOf(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
}
