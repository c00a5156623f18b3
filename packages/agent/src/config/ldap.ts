/**
 * The part of the configuration about LDAP directories: what is read of them (T0) and what is written into them (T3). Which
 * servers, and as whom, is in ldap-connection.ts; what spans several directories is checked in ldap-checks.ts; open-ldap.ts opens
 * what stands here.
 */
import type { LdapBase, LdapTarget } from '@dirpost/adapters';
import { type Exclusion, type Filter, parseFilter } from '@dirpost/core';
import { z } from 'zod';
import {
  exclusionOf,
  firstWrite,
  kindFilter,
  mapping,
  name,
  type PublishedKind,
  publishedKinds,
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
  .optional()
  .describe(
    'The anchor: an attribute whose value an entry keeps for life. Default: entryUUID, nsuniqueid (389ds), objectGUID (ad). With another one most ways to find changes cannot be used.',
  );

const type = z.literal('ldap').describe('What it is: `ldap`, an LDAP server (OpenLDAP, 389-DS, Active Directory …).');

const givenKinds = z
  .strictObject(Object.fromEntries(publishedKinds.map((kind) => [kind, kindFilter(kind)])) as KindFilters)
  .prefault({})
  .describe(
    'How entries become group, contact, resource or person, as for files. `profile: ad` has defaults of its own.',
  );

type KindFilters = Record<PublishedKind, ReturnType<typeof kindFilter>>;

export const publishLdap = z
  .strictObject({
    name,
    type,
    direction: z.literal('publish').describe('`publish`: this directory → network.'),
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
  })
  .superRefine((given, context) => {
    checkConnection(given, context);
    exactlyOne(context, given, ['base', 'bases']);
  })
  .transform((given) => {
    const profile = ldapProfile(given.profile);
    const kinds = chosenKinds(given.kinds, profile.kinds);
    const filter = given.filter ?? profile.filter ?? anyOf(Object.values(kinds));
    const bases = given.bases ?? [{ dn: given.base ?? '', scope: given.scope, filter: undefined }];
    const ask = given.ask ?? profile.attributes;
    return withSpace({
      name: given.name,
      type: given.type,
      direction: given.direction,
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
      asked: askedFor(ask, { kinds, exclude: given.exclude, attributes: given.attributes }),
      method: given.method,
      onChangeMs: given.onChange ?? null,
      wholeReadEveryMs: given.wholeRead,
      pageSize: given.pageSize,
      referrals: given.referrals,
    });
  });

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
    'By attribute. `force`: the values of the network. `keep`: what the directory has stays, if it has any. `merge`: both. `default`: only at creation. Default: `force`.',
  );

const allow = z
  .strictObject({
    create: z.boolean().default(true),
    update: z.boolean().default(true),
    rename: z.boolean().default(true),
    delete: z.boolean().default(true),
  })
  .prefault({})
  .describe('What dirpost may do in the container; the rest is refused entry by entry, and reported.');

export const subscribeLdap = z
  .strictObject({
    name,
    type,
    direction: z
      .literal('subscribe')
      .describe('`subscribe`: network → this directory, below a container that is dirpost’s own.'),
    ...connection,
    key,
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
        'LDAP transactions (RFC 5805), where the server offers them: several times as fast. `fill`: only in a write of thousands of entries, such as the first, since slapd 2.5 has crashed in transactions. `always`, `never`.',
      ),
    policies,
    allow,
    firstWrite,
  })
  .superRefine(checkConnection)
  .transform((given) => {
    const profile = ldapProfile(given.profile);
    const target: LdapTarget = {
      container: given.container,
      makeContainer: given.makeContainer,
      shape: given.shape ?? profile.shape,
      removal: given.removal,
      transactions: given.transactions,
      policies: given.policies,
      allowed: given.allow,
    };
    return {
      name: given.name,
      type: given.type,
      direction: given.direction,
      connection: connectionOf(given),
      key: given.key ?? profile.key,
      dn: 'container' as const,
      container: given.container,
      rdn: target.shape === 'ad-contact' ? 'cn' : profile.rdn,
      target,
      firstWrite: given.firstWrite,
    };
  });

export type PublishLdap = z.output<typeof publishLdap>;
export type SubscribeLdap = z.output<typeof subscribeLdap>;
