/**
 * The people of every office, how address lists and publishing rules are defined, and the straightforward model of what
 * each requestor has to end with: computed from the owners' directories alone, without any code of the protocol.
 */
import { createHash } from 'node:crypto';
import type { AddressListDefinition, Attributes, DirectoryEntry, EntryKind, PublishRule } from '@dirpost/core';
import type { SeededRandom } from './random.ts';

export interface Person {
  key: string;
  /** What the directory says that it is; absent: `key`. Another one after it was reloaded (Disasters.reload). */
  anchor?: string;
  kind: 'person' | 'group';
  name: string;
  title: string;
  mail: string;
  phone: string | null;
  photo: string | null;
  /** Keys of members, of a group; some are of people who are not there. */
  members: string[];
}

/** Keys of one office; few, so that they come and go and come back. */
export const KEYS = 10;
/** Some of them never leave and are on every list, so that their loss shows at any time. */
const KEEPERS = new Set(['k7', 'k8', 'k9']);
const TITLES = ['chief', 'clerk', 'hidden', 'secret'];

/** By key. */
export type Snapshot = Map<string, { entry: DirectoryEntry; text: string }>;

export class Office {
  readonly people = new Map<string, Person>();
  readonly #snapshots: Snapshot[] = [];
  readonly #touched: { anchor: string; bookmark: number }[] = [];
  readonly keyAttribute: string;
  /** Ids can be derived by the receiver where the key is released. */
  readonly derivable: boolean;

  constructor(
    readonly name: string,
    index: number,
    /** People are known by their uid under other keys, too. */
    readonly matches = false,
  ) {
    this.derivable = index % 2 === 0;
    this.keyAttribute = this.derivable ? 'employeenumber' : 'entryuuid';
  }

  get space(): string {
    return `people of ${this.name}`;
  }

  /** 16 bytes as hexadecimal text; design section 5, "entry id". */
  idOf(key: string): string {
    const hash = createHash('sha256');
    for (const part of ['dirpost entry id', this.name, this.space, key]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(part));
      hash.update(length).update(part);
    }
    return hash.digest('hex').slice(0, 32);
  }

  dnOf(person: Person): string {
    return `cn=${person.name},ou=people,o=${this.name}`;
  }

  entries(): DirectoryEntry[] {
    return [...this.people.values()].map((person) => ({ dn: this.dnOf(person), attributes: this.#attributes(person) }));
  }

  /** As it is now; the bookmark is the same as long as nothing changes. Outlives every postoffice, as a directory does. */
  snapshot(): { bookmark: string; snapshot: Snapshot } {
    const keys = [...this.people.values()].map((person) => anchorOf(person));
    const snapshot: Snapshot = new Map(
      this.entries().map((entry, i) => [keys[i]!, { entry, text: JSON.stringify([entry.dn, ...entry.attributes]) }]),
    );
    const textOf = (one: Snapshot) => JSON.stringify([...one].map(([key, { text }]) => [key, text]));
    const last = this.#snapshots.at(-1);
    if (last === undefined || textOf(last) !== textOf(snapshot)) this.#snapshots.push(snapshot);
    return { bookmark: String(this.#snapshots.length - 1), snapshot };
  }

  /** This person was changed just now, and a directory tells so even if he is changed back before it is read. */
  touch(person: Person): void {
    this.#touched.push({ anchor: anchorOf(person), bookmark: Number(this.snapshot().bookmark) });
  }

  wasTouchedSince(bookmark: string, anchor: string): boolean {
    return this.#touched.some((one) => one.anchor === anchor && one.bookmark > Number(bookmark));
  }

  snapshotAt(bookmark: string): Snapshot | undefined {
    return this.#snapshots[Number(bookmark)];
  }

  #attributes(person: Person): Attributes {
    const text: Record<string, string | null> = {
      objectclass: person.kind === 'group' ? 'groupOfNames' : 'inetOrgPerson',
      cn: person.name,
      title: person.title,
      mail: person.mail,
      telephonenumber: person.phone,
      'jpegphoto;binary': person.photo,
      userpassword: 'never leaves',
      uid: this.matches ? person.key : null,
      [this.keyAttribute]: anchorOf(person),
    };
    const attributes: Attributes = new Map();
    for (const [name, value] of Object.entries(text)) if (value !== null) attributes.set(name, [Buffer.from(value)]);
    const members = person.members.map((key) => {
      const member = this.people.get(key);
      return Buffer.from(member === undefined ? `cn=nobody ${key},o=${this.name}` : this.dnOf(member));
    });
    if (members.length > 0) attributes.set('member', members);
    return attributes;
  }

  /** What a full release of this person holds: attribute → values as sorted hexadecimal texts. */
  published(person: Person): Map<string, string[]> {
    const expected = new Map<string, string[]>();
    const put = (name: string, ...values: string[]) => expected.set(name, values);
    put('objectclass', hex(person.kind === 'group' ? 'groupOfNames' : 'inetOrgPerson'));
    put('cn', hex(person.name));
    put('title', hex(person.title));
    put('mail', hex(person.mail));
    if (person.phone !== null) put('telephonenumber', hex(person.phone));
    if (person.photo !== null) put('jpegphoto;binary', hex(person.photo));
    if (this.matches) put('uid', hex(person.key));
    put(this.keyAttribute, hex(anchorOf(person)));
    put('entrydn', hex(this.dnOf(person)));
    const members = new Set(person.members.filter((key) => this.people.has(key)).map((key) => this.idOf(key)));
    if (members.size > 0) put('member;entryid', ...[...members].sort());
    return expected;
  }
}

function anchorOf({ key, anchor }: Person): string {
  return anchor ?? key;
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex');
}

export function newPerson(office: Office, key: string, random: SeededRandom, fresh: number): Person {
  const kind = random.chance(0.2) ? 'group' : 'person';
  const domain = random.chance(0.15) ? random.pick(['bonn.example', 'lima.example']) : `${office.name}.example`;
  const person: Person = {
    key,
    kind,
    // The number makes DNs of one office differ, whoever is renamed.
    name: `${random.pick(['Åse', 'Jorge', 'Uta', 'Ola'])} ${key} ${fresh}`,
    title: random.weighted({ chief: 3, clerk: 5, hidden: 1, secret: 1 }),
    // A number that is drawn anyway, so that worlds stay what they were.
    mail: `${fresh % 2 === 0 ? key : key.toUpperCase()}@${domain}`,
    phone: random.chance(0.5) ? `+${fresh}` : null,
    photo: random.chance(0.1) ? String(fresh).repeat(30) : null,
    members: kind === 'group' ? Array.from({ length: 1 + random.int(5) }, () => `k${random.int(KEYS + 1)}`) : [],
  };
  if (!isKeeper(key)) return person;
  return { ...person, kind: 'person', title: 'chief', mail: `${key}@${office.name}.example`, members: [] };
}

export function isKeeper(key: string): boolean {
  return KEEPERS.has(key);
}

/** An address that people of other offices may have, too; and now and then others of the same office. */
function sharedMail(key: string, fresh: number): string {
  const domain = fresh % 2 === 0 ? 'bonn.example' : 'lima.example';
  return fresh % 5 === 0 ? `Info@${domain}` : `${key}@${domain}`;
}

/** As LDAP compares it. */
export function comparedMail(mail: string): string {
  return mail.toLowerCase();
}

/** The same person, changed in one way. */
export function changedPerson(person: Person, random: SeededRandom, fresh: number): Person {
  const ordinary = { phone: 4, rename: 1, photo: 1, title: 0, members: 0, kind: 0 };
  switch (random.weighted(isKeeper(person.key) ? ordinary : { ...ordinary, title: 2, members: 2, kind: 0.3 })) {
    case 'phone':
      return { ...person, phone: random.chance(0.2) ? null : `+${fresh}` };
    case 'title':
      return { ...person, title: random.pick(TITLES), ...(fresh % 3 === 0 && { mail: sharedMail(person.key, fresh) }) };
    case 'rename':
      return { ...person, name: `Ny ${person.key} ${fresh}` };
    case 'photo':
      return { ...person, photo: person.photo === null ? String(fresh).repeat(30) : null };
    case 'members':
      return person.kind === 'group'
        ? { ...person, members: [...person.members.slice(1), `k${random.int(KEYS)}`] }
        : person;
    case 'kind':
      return { ...person, kind: person.kind === 'group' ? 'person' : 'group', members: [] };
  }
}

/** How the server is configured at a moment. */
export interface Definition {
  hides: ('secret' | 'hidden')[];
  releases: 'everything' | 'few';
  /** Bonn follows a list of its own. */
  chiefs: boolean;
  rules: 'none' | 'oslo publishes persons only' | 'bonn owns its mail domain';
}

export const FIRST_DEFINITION: Definition = { hides: ['secret'], releases: 'everything', chiefs: false, rules: 'none' };

export function redefined(definition: Definition, random: SeededRandom): Definition {
  switch (random.pick(['hides', 'releases', 'chiefs', 'rules'] as const)) {
    case 'hides':
      return { ...definition, hides: definition.hides.length === 1 ? ['secret', 'hidden'] : ['secret'] };
    case 'releases':
      return { ...definition, releases: definition.releases === 'few' ? 'everything' : 'few' };
    case 'chiefs':
      return { ...definition, chiefs: !definition.chiefs };
    case 'rules':
      return {
        ...definition,
        rules: random.pick(['none', 'oslo publishes persons only', 'bonn owns its mail domain'] as const),
      };
  }
}

const FEW = ['objectClass', 'cn', 'mail', 'member', 'entryDN'];

export function listDefinitions(
  { hides, releases, chiefs }: Definition,
  edits: string[] = [],
): AddressListDefinition[] {
  const everybody: AddressListDefinition = {
    name: 'everybody',
    filter: `(!(|${hides.map((title) => `(title=${title})`).join('')}))`,
    attributes: releases === 'everything' ? ['*'] : FEW,
    receivers: '*',
    ...(edits.length > 0 && { edits }),
  };
  const own: AddressListDefinition = {
    name: 'chiefs',
    filter: '(&(kind=person)(title=chief))',
    attributes: ['cn', 'mail'],
    receivers: ['bonn'],
  };
  return chiefs ? [own, everybody] : [everybody];
}

export function publishRules({ rules }: Definition, offices: readonly string[]): Map<string, PublishRule> {
  const map = new Map<string, PublishRule>(offices.map((name) => [name, {}]));
  if (rules === 'oslo publishes persons only') map.set('oslo', { kinds: ['person'] satisfies EntryKind[] });
  if (rules === 'bonn owns its mail domain') map.set('bonn', { mailDomains: ['bonn.example'] });
  return map;
}

/** By the publishing rules. */
function isRefused({ rules }: Definition, owner: string, person: Person): boolean {
  const bonnsDomain = person.mail.endsWith('@bonn.example');
  if (rules === 'oslo publishes persons only' && owner === 'oslo' && person.kind === 'group') return true;
  return rules === 'bonn owns its mail domain' && bonnsDomain !== (owner === 'bonn');
}

/** Mail addresses that several owners have, in entries that are not refused. */
export function clashingMails(offices: readonly Office[], definition: Definition): Map<string, Set<string>> {
  const owners = new Map<string, Set<string>>();
  for (const { name, people } of offices) {
    for (const person of people.values()) {
      if (isRefused(definition, name, person)) continue;
      const mail = comparedMail(person.mail);
      owners.set(mail, (owners.get(mail) ?? new Set()).add(name));
    }
  }
  return new Map([...owners].filter(([, names]) => names.size > 1));
}

/** The part of the model that says who is on the list of whom. */
export function isReleased(definition: Definition, owner: string, person: Person, requestor: string): boolean {
  if (owner === requestor || isRefused(definition, owner, person)) return false;
  return isListed(definition, person, requestor);
}

/** Whoever he belongs to. */
export function isListed(definition: Definition, person: Pick<Person, 'title' | 'kind'>, requestor: string): boolean {
  if (definition.chiefs && requestor === 'bonn') return person.title === 'chief' && person.kind === 'person';
  return !definition.hides.some((title) => title === person.title);
}

/** And what of him. */
export function isAttributeReleased(definition: Definition, name: string, requestor: string): boolean {
  if (definition.chiefs && requestor === 'bonn') return name === 'cn' || name === 'mail';
  if (definition.releases === 'everything') return true;
  return FEW.some((released) => released.toLowerCase() === name.split(';')[0]);
}

export interface ExpectedEntry {
  owner: string;
  kind: string;
  attributes: Map<string, string[]>;
}

/** Id → entry: the replica with which this requestor has to end. */
export function expectedReplica(
  offices: readonly Office[],
  definition: Definition,
  requestor: string,
): Map<string, ExpectedEntry> {
  const expected = new Map<string, ExpectedEntry>();
  for (const office of offices) {
    for (const person of office.people.values()) {
      if (!isReleased(definition, office.name, person, requestor)) continue;
      const attributes = new Map(
        [...office.published(person)].filter(([name]) => isAttributeReleased(definition, name, requestor)),
      );
      expected.set(office.idOf(person.key), { owner: office.name, kind: person.kind, attributes });
    }
  }
  return expected;
}
