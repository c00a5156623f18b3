/**
 * The configuration of a postoffice: one schema for its types, defaults, checks, the JSON Schema of editors
 * (docs/dirpost.schema.json) and the reference page (docs/configuration.md). What spans several places is checked in
 * cross-checks.ts; load.ts reads the file and tells all faults at once.
 */
import { defaultLimits, type Limits } from '@dirpost/core';
import { z } from 'zod';
import { publishedKinds } from './directory-fields.ts';
import { directory } from './directory.ts';
import { attributeName, count, duration, filter, mailDomain, path, plainName, postofficeName, size } from './fields.ts';
import { twoOfBoth } from './ldap-both.ts';
import { holds, log, schedule } from './running.ts';
import { transports } from './transports.ts';

const limitDescriptions: Record<keyof Limits, string> = {
  maxMessageBytes: 'A message file, sealed.',
  maxPartBytes: 'One part of an exchange or update, decoded.',
  maxPartChanges: 'Changes in one part.',
  maxParts: 'Parts of one exchange or update.',
  maxHeaderBytes: 'The plain header of a message file.',
  maxHeadBytes: 'The head of a payload: everything but the changes.',
  maxNesting: 'Nesting in headers and heads.',
  maxEntryBytes: 'One entry.',
  maxValueBytes: 'One value of an attribute.',
  maxValues: 'Values of one attribute.',
  maxAttributes: 'Attributes of one entry.',
  maxRefusedNamed: 'Refused entries that are named one by one in a report; more are only counted.',
  maxOutgoing: 'Message files waiting for one peer.',
  checkpointsKept:
    'Checkpoints kept of each stream of changes: how far back a restored store is healed without sending everything.',
  maxConflicts: 'Conflict records that `dirpost conflicts` lists; of more the oldest go, and those that wait last.',
  maxConflictDays: 'Settled conflicts are kept for so many days.',
  maxRollbacksTold: 'Announcements of a new incarnation that may fail before this postoffice stops.',
};

const limitShape = Object.fromEntries(
  Object.entries(limitDescriptions).map(([name, description]) => [
    name,
    (name.endsWith('Bytes') ? size : count)
      .optional()
      .describe(`${description} Default: ${defaultLimits[name as keyof Limits]}.`),
  ]),
) as unknown as Record<keyof Limits, z.ZodOptional<z.ZodType<number, number | string>>>;

const limits = z
  .strictObject(limitShape)
  .transform((given): Limits => ({ ...defaultLimits, ...withoutUndefined(given) }))
  .prefault({})
  .describe('Limits on everything that comes from outside; change them on all postoffices together.');

const retry = z
  .strictObject({
    exchangeAfter: duration
      .prefault('15m')
      .describe('An exchange that nobody answered is sent again after this time; each time twice as long.'),
    exchangeAtMost: duration.prefault('1d').describe('… but not later than this.'),
    deliverAfter: duration
      .prefault('1m')
      .describe('A message file that the transport refused is tried again after this time; each time twice as long.'),
    deliverAtMost: duration.prefault('1h').describe('… but not later than this.'),
  })
  .transform((given) => ({
    exchangeAfterMs: given.exchangeAfter,
    exchangeAtMostMs: given.exchangeAtMost,
    deliverAfterMs: given.deliverAfter,
    deliverAtMostMs: given.deliverAtMost,
  }))
  .prefault({})
  .describe('When something is tried again.');

const spool = z
  .strictObject({
    keepDone: duration.prefault('30d').describe('Processed message files are kept in `done` so long.'),
    keepDoneFiles: count.default(1000).describe('… and at most so many.'),
  })
  .transform((given) => ({ keepDoneMs: given.keepDone, keepDoneFiles: given.keepDoneFiles }))
  .prefault({})
  .describe('The folder of message files.');

const list = z.strictObject({
  name: plainName.describe('Name of the address list.'),
  filter: filter
    .default('(objectClass=*)')
    .describe('Who is on it (RFC 4515). Besides attributes it knows `postoffice` (the owner) and `kind`.'),
  attributes: z
    .array(z.union([z.literal('*'), attributeName], 'must be the name of an attribute, or "*"'))
    .min(1, 'a list releases at least one attribute; "*" releases all')
    .default(['*'])
    .describe('What is released; `cn` releases `cn;lang-no` too.'),
  edits: z
    .array(z.union([z.literal('*'), attributeName], 'must be the name of an attribute, or "*"'))
    .default([])
    .describe(
      'Attributes whose changes its receivers may propose to the owners of entries on it; "*" for all. Default: none.',
    ),
  receivers: z
    .union(
      [z.literal('*'), z.array(postofficeName)],
      'must be a list of requestors, or "*" for all that no other list names',
    )
    .describe('The requestors that follow this list, or "*" for all that no other list names.'),
});

const publishRule = z
  .strictObject({
    kinds: z.array(z.enum(publishedKinds)).optional().describe('Kinds of entries. Default: all.'),
    mailDomains: z
      .array(mailDomain)
      .optional()
      .describe('Mail domains. Default: any that no other requestor has here.'),
    maxEntries: count.optional().describe('How many entries. Default: no bound.'),
  })
  .transform(withoutUndefined)
  .prefault({})
  .describe('What it may publish. What goes beyond is kept from the lists and reported.');

export const configurationSchema = z
  .strictObject({
    postoffice: postofficeName.describe('Name of this postoffice; unique on the network and for life.'),
    role: z
      .enum(['server', 'requestor'])
      .describe('`server`: the directory server postoffice, one per network. `requestor`: all others.'),
    server: postofficeName.optional().describe('Requestor: the name of the directory server postoffice.'),
    data: path.default('.').describe('Data folder: keys, store and spool. Default: the folder of this file.'),
    directories: z
      .array(directory)
      .default([])
      .transform(twoOfBoth)
      .describe('Where the people of this postoffice live, and where those of the others go.'),
    transports,
    schedule,
    holds,
    limits,
    retry,
    spool,
    log,
    retention: duration
      .prefault('90d')
      .describe(
        'Server: deletions are remembered for a requestor that is silent so long; after that it gets everything anew.',
      ),
    lists: z.array(list).default([]).describe('Server: the address lists. Each requestor follows exactly one.'),
    unique: z
      .array(attributeName)
      .default(['mail'])
      .describe(
        'Server: attributes whose values must be unique on the network. Where entries of several owners have a value, the lists release it of the owner who had it first; `mail` includes `smtp:` addresses in `proxyAddresses`. `[]`: none.',
      ),
    postQuantum: z
      .boolean()
      .default(false)
      .describe(
        'Server: message files are sealed for post-quantum hybrid keys (ML-KEM-768 and X25519). The server takes such keys, and its requestors follow by themselves; meanwhile both sorts are used.',
      ),
    requestors: z
      .record(postofficeName, z.strictObject({ publish: publishRule }))
      .default({})
      .describe('Server: what each requestor may publish, by its name; also for the server’s own requestor.'),
  })
  .describe('Configuration of a dirpost postoffice');

/** As it stands in the file. */
export type ConfigurationInput = z.input<typeof configurationSchema>;
/** Checked, with defaults; paths as written. */
export type ConfigurationValues = z.output<typeof configurationSchema>;
export type ListConfiguration = ConfigurationValues['lists'][number];

let cached: JsonSchema | undefined;

/** The parts of JSON Schema that ours uses. */
export interface JsonSchema {
  description?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

/** Of the file as people write it. */
export function configurationJsonSchema(): JsonSchema {
  cached ??= z.toJSONSchema(configurationSchema, { io: 'input' }) as JsonSchema;
  return cached;
}

function withoutUndefined<T extends object>(given: T): { [name in keyof T]: Exclude<T[name], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}
