/** What attributes of an entry are by the network, in the terms of a directory of both ways: what is, or would be, written of them. */
import type { Shaping } from '@dirpost/adapters';
import { type Attributes, type Entry, isEditAttribute, MEMBER_ATTRIBUTE, normalizeType, parseDn } from '@dirpost/core';
import { type Values, valuesText } from './values.ts';

const NO_VALUES: Values = [];

export interface NetworkValues {
  /** As they are written. */
  written: Values;
  /** They are written as they come: what stands there instead can be proposed as it is. */
  isPlain: boolean;
}

/** By attribute. What names the entry is left out: it changes with its name only. */
export function networkValues(
  { kind, attributes }: Pick<Entry, 'kind' | 'attributes'>,
  dn: string,
  watched: readonly string[],
  shaping: Shaping,
): Map<string, NetworkValues> {
  const shaped = shaping({ dn, kind, attributes: withoutReferences(attributes) });
  const values = new Map<string, NetworkValues>();
  for (const attribute of notNaming(dn, watched)) {
    const written = shaped.get(attribute) ?? NO_VALUES;
    const isPlain = valuesText(written) === valuesText(attributes.get(attribute) ?? NO_VALUES);
    values.set(attribute, { written, isPlain });
  }
  return values;
}

/** Watched attributes that may be changed without another name. */
export function notNaming(dn: string, watched: readonly string[]): string[] {
  const naming = new Set(parseDn(dn)[0]!.map(({ type }) => normalizeType(type)));
  return watched.filter((one) => !naming.has(normalizeType(one)));
}

/** A group may have many members, and nobody asks for them here. */
function withoutReferences(attributes: Attributes): Attributes {
  const others = [...attributes].filter(([name]) => name !== MEMBER_ATTRIBUTE && !isEditAttribute(name));
  return new Map(others);
}
