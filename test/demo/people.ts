/**
 * The people and groups of an office, made from a seed: the same seed gives the same office, on every machine. Written
 * as LDIF the way an export of a directory looks: folded nowhere, base64 where a value is not plain ASCII (RFC 2849).
 */
import { createHash } from 'node:crypto';

export interface Person {
  /** For life: becomes entryUUID. */
  key: string;
  uid: string;
  givenName: string;
  sn: string;
  title: string;
  telephoneNumber: string;
  l: string;
}

export interface Group {
  key: string;
  cn: string;
  /** Keys of people. */
  members: string[];
}

export interface Staff {
  office: string;
  people: Person[];
  groups: Group[];
}

const givenNames =
  'Åse Bjørn Chloé Dolores Émile François Günther Håkon Íris José Kåre Lucía Márta Nuño Øystein Pía Quim Raúl Søren Tomás Ulrikke Víctor Zoë Anna'.split(
    ' ',
  );
const surnames =
  'Ødegård Bråten Çelik Dvořák Eriksén Fernández García Hågensen Ibáñez Jørgensen Knutsen Larsén Müller Núñez Østby Peña Quispe Rodríguez Sæther Tønnesen Ugarte Vásquez Ångström Zúñiga'.split(
    ' ',
  );
const titles = ['Clerk', 'Bookkeeper', 'Harbour master', 'Électricienne', 'Skipper', 'Radio operator'];
const groupNames = 'Økonomi Dirección Lager Ventas Drift Logística Personal Técnica Verksted Compras'.split(' ');

/** 0 ≤ value < below; follows from `what` alone. */
export function pick(what: string, below: number): number {
  return createHash('sha256').update(what).digest().readUInt32BE() % below;
}

export function makeStaff(office: string, people: number, groups: number): Staff {
  const staff: Staff = { office, people: [], groups: [] };
  for (let i = 0; i < people; i++) staff.people.push(makePerson(office, i));
  for (let i = 0; i < groups; i++) {
    const count = Math.min(people, 5 + pick(`${office} group ${i}`, 20));
    const members = Array.from({ length: count }, (_, m) => keyOf(office, pick(`${office} ${i} ${m}`, people)));
    const cn = `${groupNames[i % groupNames.length]} ${Math.floor(i / groupNames.length) + 1}`;
    staff.groups.push({ key: keyOf(`${office} group`, i), cn, members: [...new Set(members)] });
  }
  return staff;
}

export function makePerson(office: string, i: number): Person {
  const of = <T>(what: string, values: T[]): T => values[pick(`${office} ${what} ${i}`, values.length)]!;
  const [givenName, sn] = [of('given', givenNames), of('surname', surnames)];
  return {
    key: keyOf(office, i),
    uid: uidOf(givenName, sn, i),
    givenName,
    sn,
    title: of('title', titles),
    telephoneNumber: `+47 22 ${String(pick(`${office} phone ${i}`, 1_000_000)).padStart(6, '0')}`,
    l: office,
  };
}

export function uidOf(givenName: string, sn: string, i: number): string {
  const plain = (text: string) =>
    text
      .normalize('NFD')
      .toLowerCase()
      .replace('ø', 'o')
      .replace('æ', 'ae')
      .replaceAll(/[^a-z]/g, '');
  return `${plain(givenName).slice(0, 1)}${plain(sn)}${i}`;
}

function keyOf(office: string, i: number): string {
  const hex = createHash('sha256').update(`${office}/${i}`).digest('hex');
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export function personDn({ uid }: Person, office: string): string {
  return `uid=${uid},ou=people,dc=${office},dc=example,dc=org`;
}

export function formatStaff({ office, people, groups }: Staff): string {
  const lines = ['version: 1', ''];
  const dns = new Map(people.map((person) => [person.key, personDn(person, office)]));
  for (const person of people) {
    const { key, uid, givenName, sn, title, telephoneNumber, l } = person;
    const attributes = { uid, givenName, sn, cn: `${givenName} ${sn}`, title, telephoneNumber, l };
    lines.push(line('dn', dns.get(key)!), 'objectClass: inetOrgPerson', line('entryUUID', key));
    lines.push(...Object.entries(attributes).map(([name, value]) => line(name, value)));
    lines.push(line('mail', `${uid}@${office}.example.org`), '');
  }
  for (const { key, cn, members } of groups) {
    lines.push(line('dn', `cn=${cn},ou=groups,dc=${office},dc=example,dc=org`), 'objectClass: groupOfNames');
    lines.push(line('entryUUID', key), line('cn', cn));
    for (const member of members) if (dns.has(member)) lines.push(line('member', dns.get(member)!));
    lines.push('');
  }
  return lines.join('\n');
}

function line(name: string, value: string): string {
  const safe = /^(?![ :<])[\x20-\x7e]*(?<! )$/.test(value);
  return safe ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString('base64')}`;
}
