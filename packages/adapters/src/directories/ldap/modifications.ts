/** What has to be changed in an entry so that it has certain values: the least, and nothing where nothing differs. */
import { type Attributes, DN_VALUED, isDirpostError, normalizeDn, normalValue, ruleOf } from '@dirpost/core';
import { isKnownAttribute } from '../../ldif/attribute-names.ts';
import { mergedAddresses } from './mail-addresses.ts';
import { isNeverWritten } from './never-written.ts';
import type { ValuePolicy } from './options.ts';
import type { Modification } from './requests.ts';

/** More values than these are not replaced but added and removed one by one. */
const REPLACED_VALUES = 50;
/** Values in one modification. */
const VALUES_AT_ONCE = 1_000;

/** What Exchange gives to a contact that it has taken: address lists and replies to old mail find him by it. */
const BY_EXCHANGE =
  /^(?:legacyexchangedn|showinaddressbook|textencodedoraddress|msexchrecipient(?:displaytype|typedetails))$/;

type Values = Uint8Array[];

export interface ModificationOptions {
  policies: Record<string, ValuePolicy>;
  /** Values that the entry has by its name, and that change with the name only: attribute type in lower case → value. */
  rdn: ReadonlyMap<string, Uint8Array>;
  /** In lower case: by which of several names the server knows an attribute. Absent: it has one. */
  nameOf?: (attribute: string) => string;
}

/** Names of both in lower case. What `wanted` does not name is cleared where dirpost knows it for one of its own. */
export function modificationsFor(
  present: ReadonlyMap<string, Values>,
  wanted: Attributes,
  { policies, rdn, nameOf = (attribute) => attribute }: ModificationOptions,
): Modification[] {
  const changes: Modification[] = [];
  const before = new Map(Array.from(present, ([name, values]) => [nameOf(name), values]));
  const naming = new Map(Array.from(rdn, ([name, value]) => [nameOf(name), value]));
  const policyOf = new Map(Object.entries(policies).map(([name, policy]) => [nameOf(name), policy]));
  const asked = new Set<string>();
  for (const [name, values] of wanted) {
    const attribute = nameOf(name);
    asked.add(attribute);
    const has = before.get(attribute) ?? [];
    const named = naming.get(attribute);
    const target = valuesBy(policyOf.get(attribute) ?? 'force', attribute, has, values);
    if (target === null) continue;
    if (named === undefined) changes.push(...changesTo(attribute, has, target));
    else changes.push(...changesBeside(attribute, named, has, target));
  }
  for (const [attribute, has] of before) {
    if (asked.has(attribute) || naming.has(attribute) || attribute === 'objectclass') continue;
    if (!isKnownAttribute(attribute) || isNeverWritten(attribute) || BY_EXCHANGE.test(attribute)) continue;
    const isForced = (policyOf.get(attribute) ?? 'force') === 'force';
    if (isForced && has.length > 0) changes.push({ kind: 'replace', attribute, values: [] });
  }
  return changes;
}

/** null: it stays as it is. */
function valuesBy(policy: ValuePolicy, attribute: string, has: Values, wanted: Values): Values | null {
  switch (policy) {
    case 'force':
      return wanted;
    case 'keep':
      return has.length > 0 ? null : wanted;
    case 'default':
      return null;
    case 'merge': {
      if (attribute === 'proxyaddresses') return mergedAddresses(has, wanted);
      const known = new Set(has.map((value) => equalKey(attribute, value)));
      return [...has, ...wanted.filter((value) => !known.has(equalKey(attribute, value)))];
    }
  }
}

function changesTo(attribute: string, has: Values, wanted: Values): Modification[] {
  const [before, after] = [keysOf(attribute, has), keysOf(attribute, wanted)];
  const added = wanted.filter((value) => !before.has(keyOf(attribute, value)));
  const removed = has.filter((value) => !after.has(keyOf(attribute, value)));
  if (added.length + removed.length === 0) return [];
  // Classes are added and never taken away: others may have given an entry more of them.
  if (attribute === 'objectclass') return classesToAdd(has, wanted);
  if (wanted.length <= REPLACED_VALUES && has.length <= REPLACED_VALUES) {
    return [{ kind: 'replace', attribute, values: wanted }];
  }
  // Removed first: a value that is another by its octets alone is the same to the server.
  return [...inPieces('delete', attribute, removed), ...inPieces('add', attribute, added)];
}

/** Of an attribute that names the entry: only its other values, one by one; and its own where it is the same to the server. */
function changesBeside(attribute: string, named: Uint8Array, has: Values, wanted: Values): Modification[] {
  const key = (value: Uint8Array) => equalKey(attribute, value);
  const own = key(named);
  const [before, after] = [new Set(has.map(key)), new Set(wanted.map(key))];
  const removed = has.filter((value) => key(value) !== own && !after.has(key(value)));
  const added = wanted.filter((value) => key(value) !== own && !before.has(key(value)));
  const [stands, spelt] = [has, wanted].map((values) => values.find((value) => key(value) === own));
  const isAsNamed = spelt === undefined || Buffer.compare(spelt, named) === 0;
  // As the name itself is spelt it becomes by a rename.
  if (!isAsNamed && stands !== undefined && Buffer.compare(stands, spelt) !== 0) {
    removed.push(stands);
    added.push(spelt);
  }
  return [...inPieces('delete', attribute, removed), ...inPieces('add', attribute, added)];
}

/** The same for values that are one to the server (RFC 4517 §4.2): it takes no value twice. */
export function equalKey(attribute: string, value: Uint8Array): string {
  return normalValue(ruleOf(attribute), value) ?? Buffer.from(value).toString('latin1');
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

function keysOf(attribute: string, values: Values): Set<string> {
  return new Set(values.map((value) => keyOf(attribute, value)));
}

function keyOf(attribute: string, value: Uint8Array): string {
  const octets = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (!DN_VALUED.has(attribute)) return octets.toString('latin1');
  try {
    return normalizeDn(octets.toString());
  } catch (error) {
    if (!isDirpostError(error, 'dn-syntax')) throw error;
    return octets.toString('latin1');
  }
}
