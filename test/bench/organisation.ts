/**
 * The organisation that the benches are measured with: people as a mid-sized company's directory has them, about 470
 * bytes of LDIF each plus entryUUID, the same for the same seed. Names and places come from lists with a skewed
 * distribution, numbers are random, and nothing is arranged for any encoder. entryUUID is random (version 4).
 */
import { type Attributes, deriveEntryId, type DirectoryEntry, encodeEntry } from '@dirpost/core';
import { departments, givenNames, streets, surnames, titles, towns } from './words.ts';

export const OWNER = 'oslo';
export const ANCHOR = { owner: OWNER, space: 'entryuuid', attribute: 'entryuuid' };

export type Random = () => number;

/** mulberry32: numbers from 0 to 1. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random: Random, count: number): number => Math.floor(random() * count);
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)]!;
const digits = (random: Random, count: number): string =>
  Array.from({ length: count }, () => below(random, 10)).join('');

/** The n-th of the list with a weight of 1 / (n + offset): names, titles and towns are spread like that. */
function skewed<T>(list: readonly T[], offset: number): (random: Random) => T {
  const sums: number[] = [];
  let sum = 0;
  for (let i = 0; i < list.length; i++) sums.push((sum += 1 / (i + offset)));
  return (random) => {
    const wanted = random() * sum;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return list[low]!;
  };
}

interface Place {
  town: string;
  postalCode: string;
  dialling: string;
}

/** Some 400 postal codes in some 200 towns; the dialling prefix is the region's. */
function makePlaces(random: Random): Place[] {
  return towns.flatMap((town, i) => {
    const dialling = String(21 + (i % 58));
    const codes = 1 + (i < 20 ? below(random, 12) : below(random, 2));
    return Array.from({ length: codes }, () => ({ town, postalCode: digits(random, 4), dialling }));
  });
}

const plainLetters: Record<string, string> = { ø: 'o', æ: 'ae', ł: 'l', ß: 'ss' };

/** As account names are made of names. */
function plain(name: string): string {
  const lower = name.toLowerCase().replace(/[øæłß]/g, (letter) => plainLetters[letter]!);
  return lower.normalize('NFD').replace(/[^a-z-]/g, '');
}

/** The first to ask gets the name itself, the next ones get numbers from 2. */
function numbered(taken: Map<string, number>, name: string): string {
  const holders = (taken.get(name) ?? 0) + 1;
  taken.set(name, holders);
  return holders === 1 ? name : `${name}${holders}`;
}

export interface Person {
  dn: string;
  /** In the order in which LDIF shows them, names as they are usually written. */
  attributes: [name: string, value: string][];
}

/** The same people for the same seed, one after another. */
export function* organisation(count: number, seed: number): Generator<Person> {
  const random = seeded(seed);
  const given = skewed(givenNames, 12);
  const surname = skewed(surnames, 20);
  const title = skewed(titles, 4);
  const department = skewed(
    departments.map((name, i) => ({ name, number: String(1000 + ((i * 7919) % 9000)) })),
    5,
  );
  const place = skewed(makePlaces(random), 8);
  const street = skewed(streets, 30);
  const accounts = new Map<string, number>();
  const mailboxes = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const [first, last, unit, at] = [given(random), surname(random), department(random), place(random)];
    const uid = numbered(accounts, `${plain(first)[0]}${plain(last)}`.slice(0, 20));
    const mailbox = numbered(mailboxes, `${plain(first)}.${plain(last)}`);
    yield {
      dn: `uid=${uid},ou=${unit.name},ou=people,dc=example,dc=org`,
      attributes: [
        ...['top', 'person', 'organizationalPerson', 'inetOrgPerson'].map((name): [string, string] => [
          'objectClass',
          name,
        ]),
        ['cn', `${first} ${last}`],
        ['sn', last],
        ['givenName', first],
        ['uid', uid],
        ['mail', `${mailbox}@example.org`],
        ['mail', `${uid}@example.org`],
        ['telephoneNumber', telephone(random, at.dialling)],
        ['mobile', mobile(random)],
        ['title', title(random)],
        ['departmentNumber', unit.number],
        ['employeeNumber', digits(random, 6)],
        ['l', at.town],
        ['street', `${street(random)} ${houseNumber(random)}`],
        ['postalCode', at.postalCode],
        ['roomNumber', room(random)],
        ['entryUUID', uuid4(random)],
      ],
    };
  }
}

export function telephone(random: Random, dialling: string): string {
  return `+47 ${dialling} ${digits(random, 2)} ${digits(random, 2)} ${digits(random, 2)}`;
}

export function mobile(random: Random): string {
  return `+47 ${random() < 0.6 ? '9' : '4'}${digits(random, 2)} ${digits(random, 2)} ${digits(random, 3)}`;
}

export function room(random: Random): string {
  return `${pick(random, ['A', 'B', 'C', 'D'])}-${1 + below(random, 7)}${String(below(random, 60)).padStart(2, '0')}`;
}

/** Low numbers are more frequent. */
function houseNumber(random: Random): number {
  return 1 + Math.floor(random() * random() * 160);
}

function uuid4(random: Random): string {
  const hex = Array.from({ length: 32 }, () => below(random, 16).toString(16));
  hex[12] = '4';
  hex[16] = pick(random, ['8', '9', 'a', 'b']);
  const text = hex.join('');
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-');
}

/** RFC 2849: as `ldapsearch -LLL` would show it; values that are not plain ASCII in base64. */
export function toLdif({ dn, attributes }: Person): string {
  const lines = [ldifLine('dn', dn), ...attributes.map(([name, value]) => ldifLine(name, value))];
  return `${lines.join('\n')}\n\n`;
}

export function ldifLine(name: string, value: string): string {
  const safe = /^[!-9;=-~][ -~]*$/.test(value);
  return safe ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString('base64')}`;
}

export function toDirectoryEntry({ dn, attributes }: Person): DirectoryEntry {
  const octets: Attributes = new Map();
  for (const [name, value] of attributes) {
    const lower = name.toLowerCase();
    octets.set(lower, [...(octets.get(lower) ?? []), Buffer.from(value)]);
  }
  return { dn, attributes: octets };
}

/** The entry as dirpost publishes it: entrydn (RFC 5020) holds the source's DN, the id is derived from entryUUID. */
export function toCanonical(person: Person): { id: Uint8Array; bytes: Uint8Array } {
  const { dn, attributes } = toDirectoryEntry(person);
  const id = deriveEntryId(ANCHOR.owner, ANCHOR.space, attributes.get(ANCHOR.attribute)![0]!);
  attributes.set('entrydn', [Buffer.from(dn)]);
  return { id, bytes: encodeEntry({ id, owner: OWNER, kind: 'person', attributes }) };
}
