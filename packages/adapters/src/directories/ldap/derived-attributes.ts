/**
 * Attributes that a server makes out of other entries: whose value changes does not count as changed itself. Who comes into a
 * group has another `memberOf`, and it is the group that was changed.
 */
import { type Filter, parseFilter } from '@dirpost/core';
import type { LdapOptions } from './options.ts';

const DERIVED = new Set([
  'memberof',
  'ismemberof',
  'msds-memberoftransitive',
  'msds-membertransitive',
  'msds-tokengroupnames',
  'tokengroups',
  'directreports',
  'managedobjects',
  'nsroledn',
  'nsrole',
  'hassubordinates',
  'numsubordinates',
]);

/** Of what is asked for and by which is searched, in lower case. Throws DirpostError `filter-syntax`. */
export function derivedAttributes({ bases, attributes }: Pick<LdapOptions, 'bases' | 'attributes'>): string[] {
  const used = new Set(attributes);
  for (const { filter } of bases) collect(parseFilter(filter), used);
  return [...used].map((name) => name.toLowerCase().replace(/;.*$/, '')).filter((name) => DERIVED.has(name));
}

function collect(filter: Filter, into: Set<string>): void {
  switch (filter.kind) {
    case 'and':
    case 'or':
      for (const part of filter.filters) collect(part, into);
      return;
    case 'not':
      return collect(filter.filter, into);
    default:
      if (filter.attribute !== undefined) into.add(filter.attribute);
  }
}
