/**
 * What is done about changes by hand in a directory of both ways (design section 5): who wins, which of them are proposed to
 * the owners of the entries (`edits`), and what becomes of others' edits of own entries (`takes`).
 */
import type { DeltaMethod } from '@dirpost/adapters';
import { z } from 'zod';
import { attributeName } from './fields.ts';

const conflictPolicies = ['directory-wins', 'network-wins', 'no-change'] as const;
const takePolicies = ['owner-wins', 'editor-wins', 'no-change', 'never'] as const;

/** Who wins where an attribute was changed by hand in the container. */
export type ConflictPolicy = (typeof conflictPolicies)[number];
/** Who wins where both the owner and an editor changed an attribute of an own entry; `never`: no edit of it is taken at all. */
export type TakePolicy = (typeof takePolicies)[number];

export interface ByAttribute<Policy> {
  default: Policy;
  /** By names in lower case. */
  attributes: Record<string, Policy>;
}

export interface BothWays {
  conflicts: ByAttribute<ConflictPolicy>;
  /** Changes by hand of these are proposed to the owners; lower case. */
  edits: string[];
  takes: ByAttribute<TakePolicy>;
  /** Whose changes by hand are seen; lower case, ascending. */
  watched: string[];
  /** How they are found, as for what is published. */
  method: DeltaMethod;
  wholeReadEveryMs: number;
  pageSize: number;
}

export function policyFor<Policy>({ default: byDefault, attributes }: ByAttribute<Policy>, attribute: string): Policy {
  return attributes[attribute] ?? byDefault;
}

function byAttribute<const Policies extends readonly [string, ...string[]]>(
  policies: Policies,
  byDefault: Policies[number],
) {
  const policy = z.enum(policies);
  const text = policies.join(', ');
  return z
    .union([policy, z.record(attributeName, policy)], `must be ${text}, or such a policy for each attribute`)
    .transform((given): ByAttribute<Policies[number]> => {
      if (typeof given === 'string') return { default: given, attributes: {} };
      const attributes: Record<string, Policies[number]> = {};
      let standard = byDefault;
      for (const [name, one] of Object.entries(given as Record<string, Policies[number]>)) {
        if (name === 'default') standard = one;
        else attributes[name.toLowerCase()] = one;
      }
      return { default: standard, attributes };
    });
}

export const bothFields = {
  conflicts: byAttribute(conflictPolicies, 'network-wins')
    .prefault('network-wins')
    .describe(
      'What becomes of a value that was changed by hand in the container, for all attributes or for each (`{ default: network-wins, telephoneNumber: directory-wins }`). `network-wins`: the next write undoes it. `directory-wins`: it stays, here. `no-change`: it stays until `dirpost conflicts` settles it. What loses is kept there. Attributes that neither this nor `edits` names are not looked at, unless the default is another than `network-wins`.',
    ),
  edits: z
    .array(attributeName)
    .default([])
    .transform((names) => names.map((one) => one.toLowerCase()))
    .describe(
      'Attributes whose changes by hand in the container are proposed to the owners of the entries, where the list allows it. Until an owner has answered the value stands in this directory. Default: none.',
    ),
  takes: byAttribute(takePolicies, 'owner-wins')
    .prefault('owner-wins')
    .describe(
      'What becomes of edits by others of entries that are published from here, where the value has changed meanwhile, for all attributes or for each (`{ default: owner-wins, title: never }`). `owner-wins`: the edit is not taken. `editor-wins`: it is taken all the same. `no-change`: it waits for `dirpost conflicts`. `never`: no edit of the attribute is taken, whether or not the value has changed.',
    ),
};
