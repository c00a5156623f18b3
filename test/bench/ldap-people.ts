/** The organisation of the benches as the content of a slapd (test/servers/ldap), below its suffix. */
import { INSTALL } from '../servers/programs.ts';
import { slapdServers } from '../servers/ldap/programs.ts';
import { SUFFIX } from '../servers/ldap/slapd-configuration.ts';
import { organisation, type Person, toLdif } from './organisation.ts';

export const PEOPLE = `ou=people,${SUFFIX}`;
export const NETWORK = `ou=network,${SUFFIX}`;

/** Throws, with the way to get it. */
export function needSlapd(): void {
  const lacking = slapdServers.lacks();
  if (lacking.length > 0) throw new Error(`${slapdServers.name}: ${lacking.join('; ')}. To get them: ${INSTALL}`);
}

export function* peopleBelowSuffix(count: number): Generator<Person> {
  for (const person of organisation(count, 1)) {
    yield { ...person, dn: person.dn.replace(/ou=people,dc=example,dc=org$/, PEOPLE) };
  }
}

/** With the units that they lie in. */
export function peopleLdif(count: number): string {
  const records = [unit(PEOPLE)];
  const units = new Set<string>();
  for (const person of peopleBelowSuffix(count)) {
    const above = person.dn.slice(person.dn.indexOf(',') + 1);
    if (!units.has(above)) records.push(unit(above));
    units.add(above);
    records.push(toLdif(person));
  }
  return records.join('');
}

export function unit(dn: string): string {
  const name = /^ou=([^,]+)/.exec(dn)![1]!;
  return `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${name}\n\n`;
}
