/**
 * The form in which an entry of the network stands in a target: its object classes, what they demand, and only what they and
 * the server's schema allow. What does not fit is left out and named; only what is demanded and cannot be made refuses an entry.
 */
import { type Attributes, type DirectoryChange, parseDn } from '@dirpost/core';
import { proxyAddressesOf } from './mail-addresses.ts';
import { equalKey } from './modifications.ts';
import { isNeverWritten } from './never-written.ts';
import type { LdapTarget } from './options.ts';
import type { Allowed, Schema } from './schema.ts';

export interface Shaped {
  attributes: Attributes;
  /** Attributes that the target has no place for. */
  leftOut: string[];
}

type Kind = NonNullable<DirectoryChange['kind']>;

const person = ['top', 'person', 'organizationalPerson', 'inetOrgPerson'];
const standard: Record<Exclude<Kind, 'container'>, string[]> = {
  person,
  contact: person,
  resource: person,
  edit: person,
  group: ['top', 'groupOfNames'],
};
const contact = ['top', 'person', 'organizationalPerson', 'contact'];
const activeDirectory: Record<Exclude<Kind, 'container'>, string[]> = {
  person: contact,
  contact,
  resource: contact,
  edit: contact,
  group: ['top', 'group'],
};

/** Universal distribution group (MS-ADTS 2.2.12): it gives nobody any right. */
const DISTRIBUTION_GROUP = '8';

export function shapeEntry(
  { dn, attributes: given, kind = 'person' }: Pick<DirectoryChange, 'dn' | 'attributes' | 'kind'>,
  { shape, container }: Pick<LdapTarget, 'shape' | 'container'>,
  schema: Schema | null,
): Shaped {
  if (kind === 'container') return { attributes: given, leftOut: [] };
  const classes = (shape === 'ad-contact' ? activeDirectory : standard)[kind];
  const attributes: Attributes = new Map();
  const leftOut: string[] = [];
  const allowed = schema?.allowedBy(classes);
  for (const [name, all] of oncePerAttribute(given, shape, schema)) {
    // 389-DS keeps empty values; others would refuse the whole entry for one.
    const values = all.some(({ length }) => length === 0) ? all.filter(({ length }) => length > 0) : all;
    if (name === 'objectclass' || values.length === 0) continue;
    // MS-ADTS 3.1.1.3.1.1.2: it has no languages, and refuses the entry.
    const hasOptions = shape === 'ad-contact' && name.includes(';');
    const fits = schema === null || schema.isAllowed(name, allowed!);
    if (isNeverWritten(name) || hasOptions || !fits) leftOut.push(name);
    else attributes.set(name, schema?.isSingleValued(name) ? [oneOf(dn, name, values)] : values);
  }
  attributes.set(
    'objectclass',
    classes.map((name) => Buffer.from(name)),
  );
  if (shape === 'ad-contact') addExchange(attributes, kind, given.get('mail') ?? [], { schema, allowed });
  else addDemanded(attributes, kind, container);
  return { attributes, leftOut };
}

/** `street` and `streetAddress` are one attribute to most servers and two to Active Directory: an entry may come with both. */
function oncePerAttribute(given: Attributes, shape: LdapTarget['shape'], schema: Schema | null): Attributes {
  const names = new Map<string, string>();
  const merged: Attributes = new Map();
  for (const [told, values] of given) {
    const name = shape === 'ad-contact' ? told.replace(/;binary$/, '') : told;
    const description = schema?.descriptionOf(name) ?? name;
    const first = names.get(description);
    if (first === undefined) {
      const taken = description.endsWith(';binary') ? description : name;
      names.set(description, taken);
      merged.set(taken, values);
      continue;
    }
    const before = merged.get(first)!;
    const known = new Set(before.map((value) => equalKey(first, value)));
    merged.set(first, [...before, ...values.filter((one) => !known.has(equalKey(first, one)))]);
  }
  return merged;
}

/** Also by the name that the server gives them, by which they are read back. */
export function byServersNames(attributes: Attributes, schema: Schema | null): Attributes {
  const named: Attributes = new Map(attributes);
  for (const [name, values] of attributes) {
    const description = schema?.descriptionOf(name) ?? name;
    if (!named.has(description)) named.set(description, values);
  }
  return named;
}

/** RFC 4512 §2.3: the value by which the entry is named, as it stands there; else the first. */
function oneOf(dn: string, name: string, values: Uint8Array[]): Uint8Array {
  if (values.length === 1 && !dn.toLowerCase().startsWith(name)) return values[0]!;
  const named = parseDn(dn)[0]!.find(({ type }) => type.toLowerCase() === name);
  return named ? Buffer.from(named.value) : values[0]!;
}

/** RFC 2256 §7.7, RFC 4519 §3.5: what persons and groups must have. */
function addDemanded(attributes: Attributes, kind: Kind, container: string): void {
  if (kind === 'group') {
    // A group without members is none to this class; the container is nobody, and is there.
    if (!attributes.has('member')) attributes.set('member', [Buffer.from(container)]);
  } else if (!attributes.has('sn')) {
    const name = firstText(attributes, ['displayname', 'cn', 'uid', 'mail']);
    attributes.set('sn', [Buffer.from(name.split(/\s+/).at(-1) || name)]);
  }
  if (!attributes.has('cn')) {
    attributes.set('cn', [Buffer.from(firstText(attributes, ['displayname', 'uid', 'mail', 'sn']))]);
  }
}

/** How Exchange and Outlook know a contact: where mail goes to, and what it may be called. */
function addExchange(
  attributes: Attributes,
  kind: Kind,
  addresses: Uint8Array[],
  { schema, allowed }: { schema: Schema | null; allowed: Allowed | undefined },
): void {
  if (kind === 'group') {
    attributes.set('grouptype', [Buffer.from(DISTRIBUTION_GROUP)]);
    return;
  }
  const mail = firstText(attributes, ['mail'], '');
  const has = (name: string) => schema === null || allowed === undefined || schema.isAllowed(name, allowed);
  if (mail === '') return;
  if (has('targetaddress')) attributes.set('targetaddress', [Buffer.from(`SMTP:${mail}`)]);
  if (has('proxyaddresses') && !attributes.has('proxyaddresses')) {
    // `mail` has one value there: the further ones are found by this.
    attributes.set('proxyaddresses', proxyAddressesOf(mail, addresses));
  }
  if (has('mailnickname') && !attributes.has('mailnickname')) {
    attributes.set('mailnickname', [Buffer.from(mail.replace(/@.*$/, '').replaceAll(/[^A-Za-z0-9._-]/g, '-'))]);
  }
}

function firstText(attributes: Attributes, names: string[], otherwise = 'unnamed'): string {
  for (const name of names) {
    const [value] = attributes.get(name) ?? [];
    if (value !== undefined && value.length > 0) return Buffer.from(value).toString();
  }
  return otherwise;
}
