/** T3: what is different about entries with a stamp, and about those that stood in a target before (core's match-targets.ts). */
import { type Attributes, type DirectoryChange, isGroup, parseDn, stampOf } from '@dirpost/core';
import { isNeverWrittenToOthers } from './never-written.ts';
import type { LdapTarget } from './options.ts';
import type { FoundEntry } from './responses.ts';
import type { Schema } from './schema.ts';
import { shapeEntry } from './shape.ts';

/** With the stamp by which the entry is found again, where the schema has a place for it. */
export function stamped(
  { attributes }: { attributes: Attributes },
  { id, kind }: DirectoryChange,
  { stamp }: LdapTarget,
  schema: Schema | null,
): { attributes: Attributes } {
  if (stamp === undefined || kind === 'container') return { attributes };
  if (schema !== null && !schema.isAllowed(stamp, schema.allowedBy(classesIn(attributes)))) return { attributes };
  const others = schema?.isSingleValued(stamp) === true ? [] : (attributes.get(stamp) ?? []);
  return { attributes: new Map([...attributes, [stamp, [...others, stampOf(id)]]]) };
}

/** Only what an entry of these classes may have; classes and name are its own. */
export function shapeAdopted(
  change: DirectoryChange,
  found: FoundEntry,
  target: LdapTarget,
  schema: Schema | null,
): { attributes: Attributes } {
  const { attributes } = shapeEntry(change, target, schema);
  const allowed = schema?.allowedBy(classesIn(found.attributes));
  const isAllowed = (name: string) => allowed === undefined || schema!.isAllowed(name, allowed);
  const own = new Set(['objectclass', ...parseDn(found.dn)[0]!.map(({ type }) => type.toLowerCase())]);
  // What shapeEntry adds because its classes demand it is nothing that the network says.
  const isSaid = (name: string) => change.attributes.has(name) && !own.has(name) && !isNeverWrittenToOthers(name);
  return { attributes: new Map([...attributes].filter(([name]) => isSaid(name) && isAllowed(name))) };
}

/** In words, or null: an entry that stood there before is one of those that are never changed. */
export function whyLeftAlone({ kind }: DirectoryChange, found: FoundEntry, { adopted }: LdapTarget): string | null {
  if (isSecurityGroup(found.attributes)) return 'it is a security group';
  if (adopted?.groups === true || !(kind === 'group' || isGroup(found))) return null;
  return 'it is a group, and groups that were there before are not changed; see adopt: { groups } in the configuration';
}

/** MS-ADTS 2.2.12: signed, so that the highest bit makes it negative. */
const SECURITY_ENABLED = 0x80000000;

/** Of Active Directory: its members have rights. */
export function isSecurityGroup(attributes: ReadonlyMap<string, Uint8Array[]>): boolean {
  const [value] = attributes.get('grouptype') ?? [];
  return value !== undefined && (Number(Buffer.from(value).toString()) & SECURITY_ENABLED) !== 0;
}

function classesIn(attributes: ReadonlyMap<string, Uint8Array[]>): string[] {
  return (attributes.get('objectclass') ?? []).map((value) => Buffer.from(value).toString());
}
