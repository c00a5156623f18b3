/** Groups that are each other's members, and groups before their members, as a directory has them and as they are to stand in another. */
import type { SlapdOptions } from '../servers/ldap/slapd.ts';
import { ldif, people, PEOPLE, personLdif } from './ldap-directory.ts';

/** Of a slapd that takes no member who is not there, and takes who goes out of his groups, as Active Directory does. */
export const strict: SlapdOptions = {
  writes: 'nosync',
  overlays: ['syncprov'],
  globalLines: ['moduleload memberof'],
  databaseLines: [
    'overlay memberof',
    'memberof-group-oc groupOfNames',
    'memberof-dangling error',
    'memberof-refint TRUE',
  ],
};

const members = (...names: string[]) => names.map((name) => `member: cn=${name},${PEOPLE}`).join('\n');
export const groupLdif = (name: string, ...names: string[]) =>
  `dn: cn=${name},${PEOPLE}\nobjectClass: groupOfNames\ncn: ${name}\n${members(...names)}`;

/** As slapd finds them: the first before its member, which comes last; a ring; and one that has itself. */
export const ringContent = ldif([
  people,
  personLdif('anna'),
  groupLdif('first', 'last'),
  groupLdif('ring-a', 'ring-b', 'anna'),
  groupLdif('ring-b', 'ring-c'),
  groupLdif('ring-c', 'ring-a'),
  groupLdif('self', 'self'),
  groupLdif('last', 'anna'),
]);
export const rings = {
  first: ['last'],
  last: ['anna'],
  'ring-a': ['anna', 'ring-b'],
  'ring-b': ['ring-c'],
  'ring-c': ['ring-a'],
  self: ['self'],
};

/** Groups with their members, of what ldapsearch found. */
export function membersIn(found: string): Record<string, string[]> {
  const records = found.split(/\n\n+/).filter((record) => record.includes('dn: '));
  const nameOf = (dn: string) => /cn=([^,]*)/i.exec(dn)?.[1] ?? dn;
  const groups = records.map((record): [string, string[]] => [
    nameOf(/^dn: (.*)$/m.exec(record)![1]!),
    [...record.matchAll(/^member: (.*)$/gm)].map(([, dn]) => nameOf(dn!)).toSorted(),
  ]);
  return Object.fromEntries(groups);
}
