/** Settings that directories of several types share. */
import { compileTemplate, defaultKinds, type EntryKind, type Exclusion, isSecret, secretIn } from '@dirpost/core';
import { z } from 'zod';
import { attributeName, complain, dn, filter, plainName, regularExpression } from './fields.ts';

export type PublishedKind = Exclude<EntryKind, 'edit'>;

export const publishedKinds: PublishedKind[] = ['person', 'group', 'contact', 'resource'];

export const kindFilter = (kind: PublishedKind) =>
  filter
    .nullable()
    .optional()
    .describe(`Filter for entries of kind ${kind}; null: none. Default: ${new Map(defaultKinds).get(kind)}`);

export const kinds = z
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

/** As it stands in a header; spaces and the two ways to write an umlaut are made one (see foldColumn). */
export const columnTitle = z
  .string()
  .regex(/^[^{}]*[^{}\s][^{}]*$/, 'must be the title of a column')
  .max(255, 'must be the title of a column')
  .transform((title) => title.normalize('NFC').replaceAll(/\s+/gu, ' ').trim());

export const exclusionOf = (attribute: typeof attributeName | typeof columnTitle) =>
  z
    .strictObject({
      dn: dn.optional().describe('The entry with this DN, and all below it.'),
      prefix: z.string().min(1).optional().describe('Entries with a value that begins so; case does not count.'),
      pattern: regularExpression
        .optional()
        .describe('Entries with a value that this regular expression finds; case does not count.'),
      attribute: attribute.optional().describe('Whose values `prefix` and `pattern` look at; `dn` for the DN itself.'),
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
    .transform(({ dn: exact, prefix, pattern, attribute: looked = '' }): Exclusion => {
      if (exact !== undefined) return { dn: exact };
      if (prefix !== undefined) return { attribute: looked, prefix };
      return { attribute: looked, pattern: pattern ?? '' };
    });

export const templateOf = (columns: boolean) =>
  z
    .string()
    .regex(/[{}]/)
    .superRefine((text, context) => complain(context, () => compileTemplate(text, columns)));

/** What it says with its line: a password goes out under no other name either. */
export function refuseSecrets(given: Record<string, string | null>, context: z.core.$RefinementCtx): void {
  for (const [target, source] of Object.entries(given)) {
    const secret = source === null ? null : secretIn(source);
    if (secret === null) continue;
    const message = `takes values from ${secret}, which is a password, key or other secret: those are never published, under no other name either`;
    context.addIssue({ code: 'custom', path: [target], message });
  }
}

/** Everybody who gets an entry learns its key. */
export const isNoSecret = (given: string): boolean => !isSecret(given);
export const secretKeyRule = 'is a password, key or other secret, which is never published';

export const mapping = z
  .record(
    attributeName,
    z.union([attributeName, templateOf(false), z.null()], {
      error: 'must be the name of an attribute, a template such as "{givenName} {sn}", or null to drop it',
    }),
  )
  .superRefine(refuseSecrets)
  .default({})
  .describe(
    'Mapping. Network attribute: the attribute here (renames it), a template ("{givenName} {sn|upper}"), or null (drops it). Attributes that are not named pass as they are, but never passwords, keys and operational attributes; a mapping from a password or key is refused.',
  );

/** Network attributes by which an entry that came under another key is known again. */
export const match = z
  .array(attributeName)
  .max(10, 'must name at most 10 attributes')
  .default(['employeeNumber', 'uid', 'mail'])
  .describe(
    'A directory that was restored or reloaded may give its entries other keys. Network attributes, as they are published, by which an entry is then known again, in this order: one value, of one entry that is missing and one that came. Groups are known by their DN too. []: whoever has another key is somebody else.',
  );

export const name = plainName.describe(
  'A name for screens and commands; unique here. It stands in the store, so do not change it.',
);
export const space = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be small letters, digits, dots and hyphens')
  .optional()
  .describe(
    'Anchor space: give each directory its own where two of them could have the same keys. Default: the key in lower case. Changing it gives all entries new ids.',
  );

export const firstWrite = z
  .enum(['held', 'allowed'])
  .default('held')
  .describe(
    '`held`: the first write waits for `dirpost approve NAME`; until then `dirpost preview` shows it. `allowed`: it does not wait, for branches that are set up with nobody there.',
  );

export function withSpace<T extends { key: string; space?: string | undefined }>(given: T): T & { space: string } {
  return { ...given, space: given.space ?? given.key.toLowerCase() };
}
