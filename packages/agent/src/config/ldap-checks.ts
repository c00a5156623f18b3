/** Cross-checks of LDAP directories, on the values as they stand in the file: what one would do to what another does. */
import { isDirpostError, isWithin, normalizeDn } from '@dirpost/core';
import { type FaultPath, type PlacedFault, quote, valueAt } from './faults.ts';
import { parseServer } from './ldap-connection.ts';

interface Scope {
  path: FaultPath;
  dn: string;
  scope: string;
  filter: string;
}

interface LdapDirectory {
  name: string;
  path: FaultPath;
  /** Names by which two directories are known to be on one server. */
  servers: string[];
  bases: Scope[];
  excluded: string[];
  container: string | null;
  /** Where those who are gone from the network are moved. */
  moveTo: string | null;
}

export function checkLdap(values: unknown): PlacedFault[] {
  const directories = ldapDirectories(values);
  return directories.flatMap((one, i) => {
    const earlier = directories.slice(0, i).filter((other) => isSameServer(one, other));
    return [
      ...earlier.flatMap((other) => readTwice(one, other)),
      ...earlier.flatMap((other) => writtenTwice(one, other)),
      ...readsContainerOnly(one),
      ...directories
        .filter((other) => isSameServer(one, other))
        .flatMap((other) => [...readBack(one, other), ...readsLeavers(one, other)]),
    ];
  });
}

function ldapDirectories(values: unknown): LdapDirectory[] {
  const given = valueAt(values, ['directories']);
  if (!Array.isArray(given)) return [];
  return given.flatMap((one: unknown, i): LdapDirectory[] => {
    if (textAt(one, ['type']) !== 'ldap') return [];
    const path: FaultPath = ['directories', i];
    const [direction, container] = [textAt(one, ['direction']), textAt(one, ['container'])];
    return [
      {
        name: textAt(one, ['name']) ?? '?',
        path,
        servers: serversOf(one),
        bases: direction === 'publish' || direction === 'both' ? basesOf(one, path) : [],
        // Of both ways: its own container is left out by itself.
        excluded: [...excludedBy(one), ...(direction === 'both' ? [container ?? []].flat() : [])],
        container: direction === 'subscribe' || direction === 'both' ? container : null,
        moveTo: direction === 'subscribe' || direction === 'both' ? textAt(one, ['removal', 'moveTo']) : null,
      },
    ];
  });
}

function excludedBy(one: unknown): string[] {
  return listAt(one, ['exclude']).flatMap((exclusion) => textAt(exclusion, ['dn']) ?? []);
}

function serversOf(given: unknown): string[] {
  const domain = textAt(given, ['domain']);
  const servers = listAt(given, ['servers']).flatMap((url) => {
    const server = typeof url === 'string' ? parseServer(url, 'starttls') : null;
    // By whatever port: ldap and ldaps are the same server.
    return server === null ? [] : [server.host.toLowerCase()];
  });
  return domain === null ? servers : [domain.toLowerCase(), ...servers];
}

function basesOf(given: unknown, path: FaultPath): Scope[] {
  const filter = textAt(given, ['filter']) ?? '';
  const scopeAt = (one: unknown, dn: string | null, at: FaultPath): Scope[] =>
    dn === null || !isDn(dn)
      ? []
      : [{ path: at, dn, scope: textAt(one, ['scope']) ?? 'sub', filter: textAt(one, ['filter']) ?? filter }];
  const several = listAt(given, ['bases']);
  return [
    ...scopeAt(given, textAt(given, ['base']), [...path, 'base']),
    ...several.flatMap((one, i) => scopeAt(one, textAt(one, ['dn']), [...path, 'bases', i])),
  ];
}

function isSameServer(one: LdapDirectory, other: LdapDirectory): boolean {
  return one.servers.some((server) => other.servers.includes(server));
}

function readTwice(one: LdapDirectory, other: LdapDirectory): PlacedFault[] {
  const overlaps = (a: Scope) => other.bases.some((b) => a.filter === b.filter && (covers(a, b) || covers(b, a)));
  return one.bases.filter(overlaps).map(({ path }) => ({
    path,
    message: `${quote(other.name)} publishes entries of the same place with the same filter; give one of them another base or filter`,
  }));
}

/** Whether what lies in `b` may lie in `a` too. */
function covers(a: Scope, b: Scope): boolean {
  if (!isWithin(b.dn, a.dn)) return false;
  if (a.scope === 'sub') return true;
  return normalizeDn(a.dn) === normalizeDn(b.dn) && (a.scope === b.scope || b.scope === 'sub');
}

function writtenTwice(one: LdapDirectory, other: LdapDirectory): PlacedFault[] {
  const [mine, theirs] = [one.container, other.container];
  if (mine === null || theirs === null || !isDn(mine) || !isDn(theirs)) return [];
  if (!isWithin(mine, theirs) && !isWithin(theirs, mine)) return [];
  const message = `lies in the same place as that of ${quote(other.name)}; each needs a container of its own`;
  return [{ path: [...one.path, 'container'], message }];
}

/** Of both ways: nothing that lies in its own container is published. */
function readsContainerOnly({ bases, container, excluded }: LdapDirectory): PlacedFault[] {
  if (container === null || !isDn(container) || !excluded.includes(container)) return [];
  return bases
    .filter(({ dn }) => isWithin(dn, container))
    .map(({ path }) => ({ path, message: 'lies in the container, of which nothing is published' }));
}

/** What is written here would be published again, as if it were of this postoffice. */
function readBack(one: LdapDirectory, { name, container }: LdapDirectory): PlacedFault[] {
  if (container === null || !isDn(container)) return [];
  if (one.excluded.some((dn) => isDn(dn) && isWithin(container, dn))) return [];
  const reads = one.bases.filter(({ dn, scope }) => scope === 'sub' && isWithin(container, dn));
  return reads.map(({ path }) => ({
    path,
    message: `the container of ${quote(name)} lies in it, so that what is written there would be published again; leave it out: exclude: [{ dn: ${quote(container)} }]`,
  }));
}

/** Who is gone from the network would come back as one of this postoffice. */
function readsLeavers(one: LdapDirectory, { name, moveTo }: LdapDirectory): PlacedFault[] {
  if (moveTo === null || !isDn(moveTo)) return [];
  if (one.excluded.some((dn) => isDn(dn) && isWithin(moveTo, dn))) return [];
  // They stand right below it.
  const isBase = (dn: string) => normalizeDn(dn) === normalizeDn(moveTo);
  const reads = one.bases.filter(({ dn, scope }) =>
    scope === 'sub' ? isWithin(moveTo, dn) : scope === 'one' && isBase(dn),
  );
  return reads.map(({ path }) => ({
    path,
    message: `the moveTo of ${quote(name)} lies in it, so that who is gone from the network would be published from here; leave it out: exclude: [{ dn: ${quote(moveTo)} }]`,
  }));
}

function isDn(text: string): boolean {
  try {
    normalizeDn(text);
    return true;
  } catch (error) {
    if (!isDirpostError(error)) throw error;
    return false;
  }
}

function textAt(values: unknown, path: FaultPath): string | null {
  const value = valueAt(values, path);
  return typeof value === 'string' ? value : null;
}

function listAt(values: unknown, path: FaultPath): unknown[] {
  const value = valueAt(values, path);
  return Array.isArray(value) ? value : [];
}
