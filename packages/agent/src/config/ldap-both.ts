/**
 * An LDAP directory of both ways: one connection, one name, and inside the agent two directories that share it: what is
 * published (T0), without the container; and the container, into which is written (T3) and of which changes by hand are read.
 */
import { isNeverWritten, isNeverWrittenToOthers } from '@dirpost/adapters';
import { DN_VALUED } from '@dirpost/core';
import { z } from 'zod';
import { bothFields, type BothWays } from './both-ways.ts';
import { name } from './directory-fields.ts';
import {
  checkPublish,
  publishFields,
  type PublishLdap,
  publishValues,
  type SubscribeLdap,
  subscribeValues,
  targetFields,
  type,
} from './ldap.ts';
import { ldapProfile } from './ldap-profiles.ts';

export interface BothLdap {
  name: string;
  type: 'ldap';
  direction: 'both';
  publish: PublishLdap;
  subscribe: SubscribeLdap;
}

/** Of DN syntax, or what makes an entry what it is. */
const NEVER_WATCHED = new Set(['objectclass', ...DN_VALUED]);

/** Of contacts in Active Directory, written otherwise than they come, or naming the entry. */
const MADE_FOR_CONTACTS = new Set(['cn', 'proxyaddresses', 'targetaddress', 'mailnickname', 'grouptype']);

const given = z.strictObject({ ...publishFields, ...targetFields, ...bothFields });
type Given = z.output<typeof given>;

export const bothLdap = z
  .strictObject({
    name,
    type,
    direction: z
      .literal('both')
      .describe(
        '`both`: this directory → network, and network → a container in it that is dirpost’s own. Changes by hand in the container are seen.',
      ),
    ...publishFields,
    ...targetFields,
    ...bothFields,
  })
  .superRefine((all, context) => {
    checkPublish(all, context);
    checkWatched(all, context);
  })
  .transform(({ name: called, type: sort, direction, ...values }): BothLdap => {
    const publish = publishValues({ name: called, type: sort, direction: 'publish' }, values);
    const subscribe = subscribeValues({ name: called, type: sort, direction: 'subscribe' }, values);
    return {
      name: called,
      type: sort,
      direction,
      // Own writes are never read back as own people.
      publish: { ...publish, exclude: [...publish.exclude, { dn: subscribe.container }] },
      subscribe: { ...subscribe, both: bothWaysOf(values, publish, subscribe) },
    };
  });

function checkWatched(values: Given, context: z.core.$RefinementCtx): void {
  const shape = values.shape ?? ldapProfile(values.profile).shape;
  const named: [(string | number)[], string][] = [
    ...Object.keys(values.conflicts.attributes).map((one): [string[], string] => [['conflicts'], one]),
    ...values.edits.map((one, i): [(string | number)[], string] => [['edits', i], one]),
  ];
  for (const [path, attribute] of named) {
    const complaint = complaintAbout(attribute, shape, values.policies);
    if (complaint !== null) context.addIssue({ code: 'custom', path, message: `${attribute}: ${complaint}` });
  }
  for (const [i, one] of values.edits.entries()) {
    if (isNeverWritten(one) || !isNeverWrittenToOthers(one)) continue;
    const message = `${one}: is taken by no owner: servers let people in by their certificates`;
    context.addIssue({ code: 'custom', path: ['edits', i], message });
  }
}

function complaintAbout(attribute: string, shape: string, policies: Given['policies']): string | null {
  if (isNeverWritten(attribute)) return 'is never written';
  if (NEVER_WATCHED.has(attribute)) return 'changes of it by hand are not seen';
  if (shape === 'ad-contact' && MADE_FOR_CONTACTS.has(attribute)) {
    return 'is not written as it comes into contacts of Active Directory, so that changes by hand mean something else';
  }
  const policy = policies[attribute] ?? 'force';
  return policy === 'force'
    ? null
    : `has the policy ${policy}, by which it is not all the network’s; take it out of one`;
}

function bothWaysOf({ conflicts, edits, takes }: Given, publish: PublishLdap, { target }: SubscribeLdap): BothWays {
  const named = [...Object.keys(conflicts.attributes), ...edits];
  const all = ldapProfile(publish.connection.profile).attributes.map((one) => one.toLowerCase());
  const wanted = conflicts.default === 'network-wins' ? named : [...named, ...all];
  const watched = wanted.filter((one) => complaintAbout(one, target.shape, target.policies) === null);
  const { method, wholeReadEveryMs, pageSize } = publish;
  return { conflicts, edits, takes, watched: [...new Set(watched)].sort(), method, wholeReadEveryMs, pageSize };
}

/** As the agent has them. */
export function twoOfBoth<Directory>(
  directories: (Directory | BothLdap)[],
): (Exclude<Directory, BothLdap> | PublishLdap | SubscribeLdap)[] {
  const all: (Exclude<Directory, BothLdap> | PublishLdap | SubscribeLdap)[] = [];
  for (const one of directories) {
    if (isBoth(one)) all.push(one.publish, one.subscribe);
    else all.push(one as Exclude<Directory, BothLdap>);
  }
  return all;
}

function isBoth(one: unknown): one is BothLdap {
  return (one as BothLdap).direction === 'both';
}
