/** What makes two directories of a configuration that share a name one of both ways: agent.ts gives it to them. */
import type { Limits } from '@dirpost/core';
import type { PublishDirectory, SubscribeDirectory } from '../config/directory.ts';
import type { PublishLdap } from '../config/ldap.ts';
import { openContainer, openLdap } from '../open-ldap.ts';
import type { OwnWrites, PublishingDirectory, SubscribingDirectory } from '../postoffice.ts';

export function bothTargetOf(directory: SubscribeDirectory, limits: Limits): Pick<SubscribingDirectory, 'both'> {
  if (directory.type !== 'ldap' || directory.both === null) return {};
  const target = openLdap(directory, limits);
  return {
    both: {
      ways: directory.both,
      container: openContainer(directory, directory.both, limits),
      anchor: directory.key.toLowerCase(),
      shaping: (signal) => target.shaping(signal),
    },
  };
}

export function ownWritesOf(
  directory: PublishDirectory,
  subscribing: SubscribeDirectory[],
  limits: Limits,
): Pick<PublishingDirectory, 'own'> {
  if (directory.type !== 'ldap') return {};
  const other = subscribing.find((one) => one.type === 'ldap' && one.both !== null && one.name === directory.name);
  if (other?.type !== 'ldap' || other.both === null) return {};
  const { takes } = other.both;
  const source = openLdap(directory, limits);
  return {
    own: {
      takes,
      amend: (amendments, signal) => source.amend(amendments, signal),
      sourceOf: (attribute) => sourceOf(attribute, directory),
    },
  };
}

/** The mapping backwards, as far as it goes: what is made by a template cannot be taken apart. */
export function sourceOf(
  attribute: string,
  { attributes, asked }: Pick<PublishLdap, 'attributes' | 'asked'>,
): ReturnType<OwnWrites['sourceOf']> {
  const mapping = new Map(Object.entries(attributes).map(([name, source]) => [name.toLowerCase(), source]));
  const given = mapping.get(attribute);
  if (given === null) return { reason: `${attribute} is not published from here` };
  if (given?.includes('{')) return { reason: `${attribute} is made by the template "${given}"` };
  const source = (given ?? attribute).toLowerCase();
  const isTaken = given === undefined && [...mapping.values()].some((one) => one?.toLowerCase() === source);
  if (isTaken || !asked.includes(source)) return { reason: `${attribute} is not published from here` };
  return { attribute: source };
}
