/** The part of the configuration that says where a postoffice's people live (T0) and where the network's go (T3). */
import { compileTemplate, defaultKinds, type EntryKind, type Exclusion } from '@dirpost/core';
import { z } from 'zod';
import { attributeName, complain, dn, filter, path, plainName, regularExpression } from './fields.ts';

export type PublishedKind = Exclude<EntryKind, 'edit'>;

export const publishedKinds: PublishedKind[] = ['person', 'group', 'contact', 'resource'];

const kindFilter = (kind: PublishedKind) =>
  filter
    .nullable()
    .optional()
    .describe(`Filter for entries of kind ${kind}; null: none. Default: ${new Map(defaultKinds).get(kind)}`);

const kinds = z
  .strictObject({
    group: kindFilter('group'),
    contact: kindFilter('contact'),
    resource: kindFilter('resource'),
    person: kindFilter('person'),
  })
  .transform((given): Partial<Record<PublishedKind, string>> => {
    const chosen = defaultKinds.map(([kind, byDefault]) => {
      const one = kind === 'edit' ? undefined : given[kind];
      return [kind, one === undefined ? byDefault : one];
    });
    return Object.fromEntries(chosen.filter(([, one]) => one !== null));
  })
  .prefault({})
  .describe(
    'How entries become group, contact, resource or person: a filter for each, tried in this order, first match wins. Entries that match none are left out.',
  );

const exclusion = z
  .strictObject({
    dn: dn.optional().describe('The entry with this DN, and all below it.'),
    prefix: z.string().min(1).optional().describe('Entries with a value that begins so; case does not count.'),
    pattern: regularExpression
      .optional()
      .describe('Entries with a value that this regular expression finds; case does not count.'),
    attribute: attributeName
      .optional()
      .describe('Whose values `prefix` and `pattern` look at; `dn` for the DN itself.'),
  })
  .superRefine((given, context) => {
    const ways = [given.dn, given.prefix, given.pattern].filter((way) => way !== undefined).length;
    const complaint =
      ways !== 1
        ? 'an exclusion has exactly one of dn, prefix and pattern'
        : given.dn === undefined && given.attribute === undefined
          ? 'prefix and pattern need an attribute'
          : given.dn !== undefined && given.attribute !== undefined
            ? 'dn stands without an attribute'
            : undefined;
    if (complaint !== undefined) context.addIssue({ code: 'custom', message: complaint });
  })
  .transform(({ dn: exact, prefix, pattern, attribute = '' }): Exclusion => {
    if (exact !== undefined) return { dn: exact };
    if (prefix !== undefined) return { attribute, prefix };
    return { attribute, pattern: pattern ?? '' };
  });

const template = z
  .string()
  .regex(/[{}]/)
  .superRefine((text, context) => complain(context, () => compileTemplate(text)));

const source = z.union([attributeName, template, z.null()], {
  error: 'must be the name of an attribute, a template such as "{givenName} {sn}", or null to drop it',
});

const shared = {
  name: plainName.describe(
    'A name for screens and commands; unique here. It stands in the store, so do not change it.',
  ),
  type: z.literal('ldif').describe('What it is: `ldif`, an LDIF file (RFC 2849).'),
  path: path.describe('The file; seen from the folder of this configuration.'),
};

export const publishDirectory = z
  .strictObject({
    ...shared,
    direction: z.literal('publish').describe('`publish`: this directory → network.'),
    key: attributeName
      .default('entryUUID')
      .describe(
        'The anchor: an attribute whose value an entry keeps for life, unique in this directory. Entry ids are derived from it.',
      ),
    space: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be small letters, digits, dots and hyphens')
      .optional()
      .describe(
        'Anchor space: give each directory its own where two of them could have the same keys. Default: the key in lower case. Changing it gives all entries new ids.',
      ),
    base: dn.optional().describe('Only entries at or below this DN.'),
    filter: filter.default('(objectClass=*)').describe('Only entries that match this filter (RFC 4515).'),
    exclude: z.array(exclusion).default([]).describe('Entries that are left out.'),
    kinds,
    attributes: z
      .record(attributeName, source)
      .default({})
      .describe(
        'Mapping. Network attribute: the attribute here (renames it), a template ("{givenName} {sn|upper}"), or null (drops it). Attributes that are not named pass as they are, but never passwords and operational attributes.',
      ),
    allowFileUrls: z
      .boolean()
      .default(false)
      .describe('Whether values of the form `attribute:< file:…` may be read from other files.'),
  })
  .transform((given) => ({ ...given, space: given.space ?? given.key.toLowerCase() }));

export const subscribeDirectory = z.strictObject({
  ...shared,
  direction: z
    .literal('subscribe')
    .describe('`subscribe`: network → this directory. The file is written whole; nobody else may write it.'),
  dn: z
    .enum(['container', 'source'])
    .default('container')
    .describe('`container`: everything below `container`. `source`: each entry has the DN that it has at its owner.'),
  container: dn.optional().describe('With `dn: container`: the DN below which entries are written.'),
});

export const directory = z.discriminatedUnion('direction', [publishDirectory, subscribeDirectory], {
  error: 'must be publish or subscribe',
});

export type PublishDirectory = z.output<typeof publishDirectory>;
export type SubscribeDirectory = z.output<typeof subscribeDirectory>;
export type DirectoryConfiguration = z.output<typeof directory>;
