/** LDAP directories of tests: opened on a real server, read and written to their end; and the people in them. */
import { createHash } from 'node:crypto';
import {
  type Attributes,
  defaultLimits,
  type DirectoryChange,
  type DirectoryEntry,
  type Place,
  type ReadBatch,
  type ReadCertificate,
  type WriteOutcome,
} from '@dirpost/core';
import { LdapDirectory } from '../../packages/adapters/src/directories/ldap/directory.ts';
import type { LdapBind, LdapOptions, LdapTarget } from '../../packages/adapters/src/directories/ldap/options.ts';
import type { Login } from '../servers/ldap/commands.ts';

export const SUFFIX = 'dc=example,dc=com';
export const PEOPLE = `ou=people,${SUFFIX}`;
export const NETWORK = `ou=network,${SUFFIX}`;

export const people = `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people\n`;

export function simple({ dn, password }: Login): LdapBind {
  return { method: 'simple', dn, password: async () => password };
}

/** What is the same for slapd and 389-DS; Active Directory overrides more of it. */
export function optionsFor(
  server: { host: string; port: number; admin: Login },
  options: Partial<LdapOptions> = {},
): LdapOptions {
  return {
    name: 'office',
    servers: [{ host: server.host, port: server.port, tls: 'none' }],
    bind: simple(server.admin),
    profile: 'generic',
    bases: [{ dn: PEOPLE, scope: 'one', filter: '(objectClass=*)' }],
    attributes: ['cn', 'sn', 'mail', 'title', 'member'],
    anchor: 'entryuuid',
    method: 'auto',
    wholeReadEveryMs: 24 * 60 * 60 * 1_000,
    referrals: 'count',
    pageSize: 100,
    times: { connectMs: 5_000, operationMs: 20_000, keepAliveMs: 30_000 },
    limits: defaultLimits,
    ...options,
  };
}

export function targetIn(container: string, options: Partial<LdapTarget> = {}): LdapTarget {
  return {
    container,
    makeContainer: true,
    shape: 'inetorgperson',
    removal: 'delete',
    policies: {},
    allowed: { create: true, update: true, rename: true, delete: true },
    ...options,
  };
}

export function openDirectory(
  server: { host: string; port: number; admin: Login },
  options: Partial<LdapOptions> = {},
): LdapDirectory {
  return new LdapDirectory(optionsFor(server, options));
}

const never = new AbortController().signal;

export interface WholeRead {
  batches: number;
  entries: DirectoryEntry[];
  /** Anchors as text. */
  present: string[];
  gone: string[];
  certificate: ReadCertificate;
}

/** `each`: after each batch, before the next is asked for. */
export async function readAll(
  directory: LdapDirectory,
  since: string | null = null,
  each: (batch: ReadBatch) => Promise<void> | void = () => {},
): Promise<WholeRead> {
  const read: Omit<WholeRead, 'certificate'> = { batches: 0, entries: [], present: [], gone: [] };
  let certificate: ReadCertificate | undefined;
  for await (const batch of directory.read(since, never)) {
    if (certificate !== undefined) throw new Error('a batch came after the certificate');
    read.batches++;
    read.entries.push(...batch.entries);
    for (const anchor of batch.present ?? []) read.present.push(Buffer.from(anchor).toString());
    for (const anchor of batch.gone ?? []) read.gone.push(Buffer.from(anchor).toString());
    certificate = batch.certificate;
    await each(batch);
  }
  if (certificate === undefined) throw new Error('the read ended without a certificate');
  return { ...read, certificate };
}

/** First values of an attribute, sorted. */
export function valuesOf({ entries }: Pick<WholeRead, 'entries'>, attribute = 'cn'): string[] {
  return entries.map((entry) => textOf(entry, attribute)).toSorted();
}

export function textOf({ attributes }: { attributes: Attributes }, attribute: string): string {
  return Buffer.from(attributes.get(attribute)?.[0] ?? []).toString();
}

export function entryNamed({ entries }: Pick<WholeRead, 'entries'>, cn: string): DirectoryEntry {
  const found = entries.find((entry) => textOf(entry, 'cn') === cn);
  if (found === undefined) throw new Error(`${cn} was not read`);
  return found;
}

export async function writeAll(
  directory: LdapDirectory,
  changes: DirectoryChange[],
  each: (outcome: WriteOutcome) => Promise<void> | void = () => {},
): Promise<WriteOutcome[]> {
  const outcomes: WriteOutcome[] = [];
  const given = (async function* () {
    yield* changes;
  })();
  for await (const outcome of directory.write(given, never)) {
    outcomes.push(outcome);
    await each(outcome);
  }
  return outcomes;
}

/** How many outcomes of each kind: `written`, or the code of the refusal. */
export function counted(outcomes: WriteOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { result, code } of outcomes) counts[code ?? result] = (counts[code ?? result] ?? 0) + 1;
  return counts;
}

export function idOf(name: string): Uint8Array {
  return createHash('md5').update(name).digest();
}

export function octets(...values: string[]): Uint8Array[] {
  return values.map((value) => Buffer.from(value));
}

export type Texts = Record<string, string | string[]>;

export function attributesOf(texts: Texts): Attributes {
  return new Map(Object.entries(texts).map(([name, value]) => [name, octets(...[value].flat())]));
}

/** A person `cn=NAME` below `within`. */
export function person(name: string, texts: Texts = {}, within = NETWORK): DirectoryChange {
  const attributes = attributesOf({ cn: name, sn: 'Person', mail: `${name}@example.com`, ...texts });
  return { id: idOf(name), action: 'put', kind: 'person', dn: `cn=${name},${within}`, attributes };
}

export function container(dn: string, ou: string): DirectoryChange {
  const attributes = attributesOf({ objectclass: 'organizationalUnit', ou });
  return { id: idOf(dn), action: 'put', kind: 'container', dn, attributes };
}

export function removal(change: DirectoryChange, place: Place): DirectoryChange {
  return { id: change.id, action: 'remove', dn: change.dn, attributes: new Map(), place };
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** A person as LDIF. */
export function personLdif(name: string, more = '', within = PEOPLE): string {
  return `dn: cn=${name},${within}
objectClass: inetOrgPerson
cn: ${name}
sn: Person
mail: ${name}@example.com
${more}`;
}

export function ldif(records: string[]): string {
  return `${records.map((record) => record.trimEnd()).join('\n\n')}\n`;
}
