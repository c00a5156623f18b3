/** The part of the configuration that says where a postoffice's people live (T0) and where the network's go (T3). */
import { csvEncodings, foldColumn, isKnownAttribute } from '@dirpost/adapters';
import { z } from 'zod';
import {
  columnTitle,
  exclusionOf,
  firstWrite,
  isNoSecret,
  kinds,
  mapping,
  match,
  name,
  refuseSecrets,
  secretKeyRule,
  space,
  templateOf,
  withSpace,
} from './directory-fields.ts';
import { attributeName, dn, duration, filter, path, size } from './fields.ts';
import { publishLdap, subscribeLdap } from './ldap.ts';
import { bothLdap, type BothLdap } from './ldap-both.ts';

const filePath = path.describe('The file; seen from the folder of this configuration.');
const publish = z.literal('publish').describe('`publish`: this directory → network.');
const subscribe = z
  .literal('subscribe')
  .describe('`subscribe`: network → this directory. The file is written whole; nobody else may write it.');

const selection = {
  filter: filter.default('(objectClass=*)').describe('Only entries that match this filter (RFC 4515).'),
  kinds,
  match,
};

/** Of directories that give entries with DNs and attributes of their own. */
const entries = {
  key: attributeName
    .refine(isNoSecret, secretKeyRule)
    .default('entryUUID')
    .describe(
      'The anchor: an attribute whose value an entry keeps for life, unique in this directory. Entry ids are derived from it.',
    ),
  space,
  base: dn.optional().describe('Only entries at or below this DN.'),
  ...selection,
  exclude: z.array(exclusionOf(attributeName)).default([]).describe('Entries that are left out.'),
  attributes: mapping,
};

const ldif = z.literal('ldif').describe('What it is: `ldif`, an LDIF file (RFC 2849).');

const publishLdif = z
  .strictObject({
    name,
    type: ldif,
    path: filePath,
    direction: publish,
    ...entries,
    allowFileUrls: z
      .boolean()
      .default(false)
      .describe('Whether values of the form `attribute:< file:…` may be read from other files.'),
  })
  .transform(withSpace);

const subscribeLdif = z.strictObject({
  name,
  type: ldif,
  path: filePath,
  direction: subscribe,
  dn: z
    .enum(['container', 'source'])
    .default('container')
    .describe('`container`: everything below `container`. `source`: each entry has the DN that it has at its owner.'),
  container: dn.optional().describe('With `dn: container`: the DN below which entries are written.'),
  firstWrite,
});

const publishCommand = z
  .strictObject({
    name,
    type: z
      .literal('command')
      .describe('What it is: `command`, a program that prints LDIF. Exit code 0 says that it printed everything.'),
    direction: z.literal('publish').describe('`publish`: a command is only read.'),
    command: z
      .tuple(
        [path],
        z.string().refine((text) => !text.includes('\0'), 'must be a text without NUL'),
        {
          error: 'must be a list: the program, then its arguments, each an item',
        },
      )
      .describe(
        'Program and arguments. No shell reads them: pipes and $VARIABLES belong into a script. Every user of the machine can see the arguments, so give no password there.',
      ),
    timeout: duration.prefault('5m').describe('The program is ended when it takes longer, and nothing of it is taken.'),
    maxOutput: size.prefault('256 MiB').describe('The program is ended when it prints more.'),
    environment: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not the name of a variable'), z.string())
      .default({})
      .describe('Variables that it gets besides PATH, LANG and HOME; of others nothing is handed on.'),
    ...entries,
  })
  .transform(({ timeout, maxOutput, ...given }) =>
    // It runs where the configuration is, whoever starts dirpost (load.ts makes it absolute).
    withSpace({ ...given, timeoutMs: timeout, maxOutputBytes: maxOutput, folder: '.' }),
  );

const separated = {
  encoding: z
    .enum(['auto', ...csvEncodings])
    .default('auto')
    .describe(
      'Reading, `auto`: the byte order mark, else UTF-8 if the whole file is, else windows-1252. Writing, `auto`: utf-8 with a byte order mark, as Excel wants it.',
    ),
  delimiter: z
    .enum(['auto', ',', ';', 'tab', '|'])
    .default('auto')
    .transform((given) => (given === 'auto' ? undefined : given === 'tab' ? '\t' : given))
    .describe('Between cells. Reading, `auto`: found in the file, also from a first line `sep=;`. Writing: a comma.'),
};

const valuesSeparator = z.string().min(1, 'must be at least one character').max(8, 'must be at most 8 characters');

const csv = z
  .literal('csv')
  .describe(
    'What it is: `csv`, a file with a header and a row per entry, as spreadsheets and personnel systems write.',
  );

const publishCsv = z
  .strictObject({
    name,
    type: csv,
    path: filePath,
    direction: publish,
    key: columnTitle
      .refine(isNoSecret, secretKeyRule)
      .describe(
        'The anchor: a column whose value an entry keeps for life, unique in this file, such as a personnel number. Entry ids are derived from it.',
      ),
    space,
    ...separated,
    values: valuesSeparator
      .optional()
      .describe('What separates several values in a cell, such as "|". Default: a cell is one value.'),
    multiple: z
      .array(columnTitle)
      .optional()
      .describe('Only these columns have several values in a cell. Default: all, where `values` is given.'),
    objectClass: attributeName
      .default('inetOrgPerson')
      .describe('Of rows without one of their own in a column objectClass; kinds and filters look at it.'),
    rdn: attributeName
      .default('uid')
      .describe('A row has the DN RDN=KEY,SUFFIX: this is the attribute before the key …'),
    suffix: dn.default('').describe('… and what follows it, such as "ou=people,dc=example,dc=org".'),
    dn: columnTitle.optional().describe('A column that gives the DN of each row instead.'),
    members: columnTitle
      .optional()
      .describe(
        'The column with the members of a group (a row with objectClass groupOfNames): keys of other rows, or DNs, separated by `values` or else "|". Default: member.',
      ),
    ...selection,
    exclude: z.array(exclusionOf(columnTitle)).default([]).describe('Rows that are left out.'),
    attributes: z
      .record(
        attributeName,
        z.union([columnTitle, templateOf(true).transform((text) => text.normalize('NFC')), z.null()], {
          error: 'must be the title of a column, a template such as "{First name} {Surname}", or null to drop it',
        }),
      )
      .superRefine(refuseSecrets)
      .default({})
      .describe(
        'Mapping. Network attribute: a column as it is called in the header, a template of columns ("{First name} {Surname|upper}"), or null (drops it). A column that is called like a common LDAP attribute (mail, sn, givenName …) goes under that name without being named here; all other columns stay here.',
      ),
  })
  .superRefine(({ values, delimiter, multiple }, context) => {
    if (values !== undefined && values === delimiter)
      context.addIssue({ code: 'custom', path: ['values'], message: 'is the delimiter too; they must differ' });
    if (values === undefined && multiple !== undefined)
      context.addIssue({ code: 'custom', path: ['multiple'], message: 'needs `values`: what separates them' });
  })
  .transform((given) => ({ ...withSpace(given), base: undefined, columnPasses: isKnownAttribute }));

const writtenColumns = z
  .array(
    z.union([attributeName, z.record(attributeName, z.string().min(1, 'must be a title'))], {
      error: 'must be an attribute, or an attribute with its title ("mail: E-mail")',
    }),
  )
  .min(1, 'a file has at least one column')
  .transform((given) =>
    given.flatMap((one) =>
      typeof one === 'string'
        ? [{ attribute: one, title: one }]
        : Object.entries(one).map(([attribute, title]) => ({ attribute, title })),
    ),
  )
  .superRefine((columns, context) => {
    const titles = columns.map(({ title }) => foldColumn(title));
    const twice = columns.find(({ title }, i) => titles.indexOf(foldColumn(title)) < i);
    if (twice !== undefined) context.addIssue({ code: 'custom', message: `the title "${twice.title}" is there twice` });
  });

const subscribeCsv = z
  .strictObject({
    name,
    type: csv,
    path: filePath,
    direction: subscribe,
    columns: writtenColumns
      .prefault([
        'cn',
        'sn',
        'givenName',
        'mail',
        'telephoneNumber',
        'mobile',
        'title',
        'ou',
        'o',
        'l',
        'postoffice',
        'id',
      ])
      .describe(
        'What stands in the file, in this order: attributes, `postoffice` (the owner), `id` (the entry id) and `dn`; each alone or with its title ("mail: E-mail").',
      ),
    ...separated,
    values: valuesSeparator.default('|').describe('What separates several values in a cell.'),
    formulas: z
      .enum(['escape', 'keep'])
      .default('escape')
      .describe(
        'Values that begin with = + - or @ would run as formulas in a spreadsheet. `escape`: an apostrophe stands before them (and is understood when dirpost reads the file). `keep`: they stand as they are.',
      ),
    container: dn
      .default('o=network')
      .describe('Below which DN the entries are thought to stand: …,ou=POSTOFFICE,CONTAINER.'),
    firstWrite,
  })
  .superRefine(({ values, delimiter }, context) => {
    if (values === (delimiter ?? ','))
      context.addIssue({ code: 'custom', path: ['values'], message: 'is the delimiter too; they must differ' });
  })
  .transform((given) => ({ ...given, dn: 'container' as const }));

/** Columns that a CSV file must have besides its key, and what for. */
export function wantedColumns(given: Extract<PublishDirectory, { type: 'csv' }>): { title: string; use: string }[] {
  const mapped = Object.entries(given.attributes).flatMap(([attribute, source]) => {
    const use = `what the mapping makes ${attribute} of`;
    if (source === null) return [];
    if (!source.includes('{')) return [{ title: source, use }];
    const named = [...source.replaceAll('{{', '').matchAll(/\{([^{}|]+)/g)].map(([, title]) => title!.trim());
    return named.filter((title) => title !== 'dn').map((title) => ({ title, use }));
  });
  const excluded = given.exclude.flatMap((one) => ('attribute' in one ? [one.attribute] : []));
  return [
    ...mapped,
    ...excluded
      .filter((title) => !['dn', 'objectclass'].includes(title.toLowerCase()))
      .map((title) => ({ title, use: 'what an exclusion looks at' })),
  ];
}

const typeError = { error: 'must be ldap, ldif, csv or command' };
const directionError = { error: 'must be publish or subscribe' };

export const directory = z.discriminatedUnion(
  'type',
  [
    z.discriminatedUnion('direction', [publishLdap, subscribeLdap, bothLdap], {
      error: 'must be publish, subscribe or both',
    }),
    z.discriminatedUnion('direction', [publishLdif, subscribeLdif], directionError),
    z.discriminatedUnion('direction', [publishCsv, subscribeCsv], directionError),
    publishCommand,
  ],
  typeError,
);

/** One of both ways is two (twoOfBoth). */
export type DirectoryConfiguration = Exclude<z.output<typeof directory>, BothLdap>;
export type PublishDirectory = Extract<DirectoryConfiguration, { direction: 'publish' }>;
export type SubscribeDirectory = Extract<DirectoryConfiguration, { direction: 'subscribe' }>;
