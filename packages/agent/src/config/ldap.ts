/**
 * The part of the configuration about LDAP directories: what is read of them (T0) and what is written into them (T3). Which
 * servers, and as whom, is in ldap-connection.ts; what spans several directories is checked in ldap-checks.ts; open-ldap.ts opens
 * what stands here.
 */
import { isNeverWritten, type LdapBase, type LdapTarget } from '@dirpost/adapters';
import { type Exclusion, type Filter, parseFilter } from '@dirpost/core';
import { z } from 'zod';
import type { BothWays } from './both-ways.ts';
import {
  exclusionOf,
  firstWrite,
  isNoSecret,
  kindFilter,
  mapping,
  match,
  name,
  type PublishedKind,
  publishedKinds,
  secretKeyRule,
  space,
  withSpace,
} from './directory-fields.ts';
import { attributeName, complain, count, dn, duration } from './fields.ts';
import { checkConnection, connection, connectionOf } from './ldap-connection.ts';
import { ldapProfile } from './ldap-profiles.ts';
import { exactlyOne } from './mail.ts';

/** As the server takes it: also with matching rules that only it knows. */
const serverFilter = z.string().superRefine((text, context) => complain(context, () => parseFilter(text)));

const scope = z.enum(['base', 'one', 'sub']);
const key = attributeName
  .refine(isNoSecret, secretKeyRule)
  .optional()
  .describe(
    'The anchor: an attribute whose value an entry keeps for life. Default: entryUUID, nsuniqueid (389ds), objectGUID (ad). With another one most ways to find changes cannot be used.',
  );

export const type = z
  .literal('ldap')
  .describe('What it is: `ldap`, an LDAP server (OpenLDAP, 389-DS, Active Directory …).');

const givenKinds = z
  .strictObject(Object.fromEntries(publishedKinds.map((kind) => [kind, kindFilter(kind)])) as KindFilters)
  .prefault({})
  .describe(
    'How entries become group, contact, resource or person, as for files. `profile: ad` has defaults of its own.',
  );

type KindFilters = Record<PublishedKind, ReturnType<typeof kindFilter>>;

export const publishFields = {
  ...connection,
  key,
  space,
  base: dn.optional().describe('Only entries at or below this DN.'),
  scope: scope.default('sub').describe('`sub`: all below the base. `one`: right below it. `base`: only itself.'),
  filter: serverFilter
    .optional()
    .describe('Only entries that match this filter; the server looks. Default: those that are one of the kinds.'),
  bases: z
    .array(
      z.strictObject({
        dn,
        scope: scope.default('sub'),
        filter: serverFilter.optional().describe('Default: the one of the directory.'),
      }),
    )
    .min(1, 'must name at least one base')
    .optional()
    .describe('Instead of `base`: several, each with its own scope and filter.'),
  kinds: givenKinds,
  exclude: z.array(exclusionOf(attributeName)).default([]).describe('Entries that are left out.'),
  attributes: mapping,
  match,
  ask: z
    .array(attributeName)
    .optional()
    .describe(
      'The attributes that are asked of the server; what mapping, kinds and exclusions need comes by itself. Default: names, mail, telephone, office, members (see ldap.md). Never all.',
    ),
  method: z
    .enum(['auto', 'syncrepl', 'dirsync', 'usn', 'modify-timestamp', 'whole'])
    .default('auto')
    .describe('How changes are found. `auto`: the best that the server offers; `dirpost check` says which, and why.'),
  onChange: duration
    .optional()
    .describe(
      'When something changes there, it is read and sent at once, but no more often than this, such as 1m. For `dirpost run`. Default: only at the times of `schedule`.',
    ),
  wholeRead: duration.prefault('1d').describe('Everything is read anew after this time, whatever the method.'),
  pageSize: count.max(100_000, 'must be at most 100000').default(1_000).describe('Entries in one answer.'),
  referrals: z
    .enum(['count', 'follow'])
    .default('count')
    .describe('Parts of the tree on other servers. `count`: the read is incomplete with them. `follow`: read there.'),
};

export interface Named<Direction extends 'publish' | 'subscribe'> {
  name: string;
  type: 'ldap';
  direction: Direction;
}

const publishGiven = z.strictObject(publishFields);

export function checkPublish(given: z.output<typeof publishGiven>, context: z.core.$RefinementCtx): void {
  checkConnection(given, context);
  exactlyOne(context, given, ['base', 'bases']);
}

export function publishValues(named: Named<'publish'>, given: z.output<typeof publishGiven>) {
  const profile = ldapProfile(given.profile);
  const kinds = chosenKinds(given.kinds, profile.kinds);
  const filter = given.filter ?? profile.filter ?? anyOf(Object.values(kinds));
  const bases = given.bases ?? [{ dn: given.base ?? '', scope: given.scope, filter: undefined }];
  const ask = given.ask ?? profile.attributes;
  return withSpace({
    ...named,
    connection: connectionOf(given),
    key: given.key ?? profile.key,
    space: given.space,
    // The server looks at both.
    base: undefined,
    filter: undefined,
    bases: bases.map((one): LdapBase => ({ dn: one.dn, scope: one.scope, filter: one.filter ?? filter })),
    kinds,
    exclude: given.exclude,
    attributes: given.attributes,
    match: given.match,
    asked: askedFor(ask, { kinds, exclude: given.exclude, attributes: given.attributes }),
    method: given.method,
    onChangeMs: given.onChange ?? null,
    wholeReadEveryMs: given.wholeRead,
    pageSize: given.pageSize,
    referrals: given.referrals,
  });
}

export const publishLdap = z
  .strictObject({
    name,
    type,
    direction: z.literal('publish').describe('`publish`: this directory → network.'),
    ...publishFields,
  })
  .superRefine(checkPublish)
  .transform(({ name: called, type: sort, direction, ...given }) =>
    publishValues({ name: called, type: sort, direction }, given),
  );

function chosenKinds(
  given: Partial<Record<PublishedKind, string | null | undefined>>,
  byDefault: Partial<Record<PublishedKind, string>>,
): Partial<Record<PublishedKind, string>> {
  // In the order in which they are tried.
  const order: PublishedKind[] = ['group', 'contact', 'resource', 'person'];
  const chosen = order.map((kind) => [kind, given[kind] === undefined ? byDefault[kind] : given[kind]] as const);
  return Object.fromEntries(chosen.filter(([, one]) => one != null));
}

function anyOf(filters: string[]): string {
  return `(|${filters.join('')})`;
}

interface Naming {
  kinds: Partial<Record<PublishedKind, string>>;
  exclude: Exclusion[];
  attributes: Record<string, string | null>;
}

/** In lower case, each once. */
function askedFor(names: string[], { kinds, exclude, attributes }: Naming): string[] {
  const needed = [
    ...names,
    ...Object.values(kinds).flatMap((filter) => namedIn(parseFilter(filter))),
    ...exclude.flatMap((one) => ('attribute' in one && one.attribute.toLowerCase() !== 'dn' ? [one.attribute] : [])),
    ...Object.values(attributes).flatMap((source) => (source === null ? [] : sourcesIn(source))),
  ];
  return [...new Set(needed.map((one) => one.toLowerCase()))];
}

function namedIn(filter: Filter): string[] {
  if ('filters' in filter) return filter.filters.flatMap(namedIn);
  if (filter.kind === 'not') return namedIn(filter.filter);
  return filter.attribute === undefined ? [] : [filter.attribute];
}

/** Of a mapping: an attribute, or the attributes in a template. */
function sourcesIn(source: string): string[] {
  if (!source.includes('{')) return [source];
  const named = [...source.replaceAll('{{', '').matchAll(/\{([^{}|]+)/g)].map(([, one]) => one!.trim());
  return named.filter((one) => one.toLowerCase() !== 'dn');
}

const policies = z
  .record(attributeName, z.enum(['force', 'keep', 'merge', 'default']))
  .default({})
  .transform((given) => Object.fromEntries(Object.entries(given).map(([one, policy]) => [one.toLowerCase(), policy])))
  .describe(
    'By attribute. `force`: the values of the network. `keep`: what the directory has stays, if it has any. `merge`: both. `default`: only at creation. Default: `force`; for `proxyAddresses` of contacts `merge`, so that X500 addresses stay.',
  );

/** Else addresses that only this directory knows would be lost. */
const POLICIES_OF_CONTACTS = { proxyaddresses: 'merge' } as const;

const allow = z
  .strictObject({
    create: z.boolean().default(true),
    update: z.boolean().default(true),
    rename: z.boolean().default(true),
    delete: z.boolean().default(true),
  })
  .prefault({})
  .describe('What dirpost may do in the container; the rest is refused entry by entry, and reported.');

const stamp = attributeName
  .refine((given) => !isNeverWritten(given), 'is never written')
  .transform((given) => given.toLowerCase())
  .optional()
  .describe(
    'An attribute of this directory in which dirpost writes the entry id of what it writes into the container ("dirpost:…"), such as labeledURI. By it its entries are found again when the store was lost, or when the directory was reloaded. Default: none.',
  );

const adopt = z
  .strictObject({
    by: z
      .array(attributeName)
      .min(1, 'must name at least one attribute')
      .max(10, 'must name at most 10 attributes')
      .describe('Network attributes that tell who it is, in this order, such as [employeeNumber, mail].'),
    base: dn.refine((given) => given !== '', 'must be a DN').describe('Only entries below this DN.'),
    filter: serverFilter.default('(objectClass=*)').describe('Only entries that match this filter; the server looks.'),
    groups: z
      .boolean()
      .default(false)
      .describe(
        'Whether groups are taken, too: others then decide who is in them, so that none of them may give any right. Security groups of Active Directory never are.',
      ),
    rename: z
      .boolean()
      .default(false)
      .describe('Whether such an entry gets the name (RDN) that it has on the network. It is never moved.'),
    delete: z
      .boolean()
      .default(false)
      .describe('Whether it is deleted when it goes from the network. Else it stays, and is only unlinked.'),
  })
  .optional()
  .describe(
    'Entries that this directory has already, outside of the container, for people of the network: they are changed, and no second entry is made. Waits for `dirpost approve NAME`; `dirpost preview` shows it. Own entries of this postoffice, those with adminCount or isCriticalSystemObject, and security groups of Active Directory are never taken. Default: none.',
  );

/** Besides the connection and the key. */
export const targetFields = {
  container: dn
    .refine((given) => given !== '', 'must be a DN')
    .describe('The DN below which entries are written: ou=POSTOFFICE,CONTAINER. Nothing else is ever touched.'),
  makeContainer: z
    .boolean()
    .default(true)
    .describe('Whether it is made if it is not there. Those of the postoffices in it are made all the same.'),
  shape: z
    .enum(['inetorgperson', 'ad-contact'])
    .optional()
    .describe('What persons become: inetOrgPerson, or contacts of Active Directory. Default: by the profile.'),
  removal: z
    .union([z.literal('delete'), z.strictObject({ moveTo: dn })], 'must be delete, or { moveTo: DN }')
    .default('delete')
    .describe('What becomes of an entry that is gone from the network: `delete`, or `{ moveTo: DN }`.'),
  transactions: z
    .enum(['fill', 'always', 'never'])
    .default('fill')
    .describe(
      'LDAP transactions (RFC 5805), where the server offers them: several times as fast. `fill`: only in a write of many entries, such as the first, and never for renames, since slapd 2.5 has crashed in transactions. `always`, `never`.',
    ),
  stamp,
  adopt,
  policies,
  allow,
  firstWrite,
};

const subscribeGiven = z.strictObject({ ...connection, key, ...targetFields });

export function subscribeValues(named: Named<'subscribe'>, given: z.output<typeof subscribeGiven>) {
  const profile = ldapProfile(given.profile);
  const shape = given.shape ?? profile.shape;
  const target: LdapTarget = {
    container: given.container,
    makeContainer: given.makeContainer,
    shape,
    removal: given.removal,
    transactions: given.transactions,
    ...(given.stamp !== undefined && { stamp: given.stamp }),
    ...(given.adopt !== undefined && { adopted: { base: given.adopt.base, groups: given.adopt.groups } }),
    policies: { ...(shape === 'ad-contact' && POLICIES_OF_CONTACTS), ...given.policies },
    allowed: given.allow,
  };
  return {
    ...named,
    connection: connectionOf(given),
    key: given.key ?? profile.key,
    dn: 'container' as const,
    container: given.container,
    rdn: target.shape === 'ad-contact' ? 'cn' : profile.rdn,
    target,
    adopt: given.adopt ?? null,
    firstWrite: given.firstWrite,
    /** Of a directory that is published from, too: what is done about changes by hand. */
    both: null as BothWays | null,
  };
}

export const subscribeLdap = z
  .strictObject({
    name,
    type,
    direction: z
      .literal('subscribe')
      .describe('`subscribe`: network → this directory, below a container that is dirpost’s own.'),
    ...connection,
    key,
    ...targetFields,
  })
  .superRefine(checkConnection)
  .transform(({ name: called, type: sort, direction, ...given }) =>
    subscribeValues({ name: called, type: sort, direction }, given),
  );

export type PublishLdap = z.output<typeof publishLdap>;
export type SubscribeLdap = z.output<typeof subscribeLdap>;
