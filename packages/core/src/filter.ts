/**
 * What a filter means: compiled once, asked for many entries. Three-valued (RFC 4511 §4.5.1.7): true, false, or
 * undefined where a value is not of the syntax or a rule is not known; only true selects an entry.
 *
 * A compiled filter sees an entry through a lookup function only, so that a caller can add attributes of its own (the
 * owner, say). Lookup functions for entries as canonical bytes and as attributes are here; they find subtypes too:
 * `cn` gives also the values of `cn;lang-no` (RFC 4512 §2.5.2).
 */
import { normalizeType, parseDn } from './dn.ts';
import { type Attributes, attributeSpans, spanValues } from './entry.ts';
import { type Filter, parseFilter, writeFilter } from './filter-syntax.ts';
import {
  compareNormal,
  hasOrder,
  type MatchingRule,
  normalValue,
  ruleNamed,
  ruleOf,
  substringTest,
} from './matching.ts';

/**
 * The values of an attribute of one entry, none if it has none. `name` is in lower case. Two names are special:
 * `entrydn` is asked for by matches on parts of the DN, `*` (all values) by extensible matches that name no
 * attribute.
 */
export type AttributeLookup = (name: string) => Uint8Array[];

export interface CompiledFilter {
  /** Only true selects the entry. */
  matches(lookup: AttributeLookup): boolean | undefined;
  /** The absolute true, `(&)`: nothing needs to be looked up. */
  readonly matchesAll: boolean;
  /** The filter as text, in its plain form. */
  readonly text: string;
  /** Attributes that it asks for, in lower case. */
  readonly attributes: readonly string[];
  /** Parts that can never be true, and why; sentences for an administrator. */
  readonly remarks: readonly string[];
}

type Test = (lookup: AttributeLookup) => boolean | undefined;

/** Throws `filter-syntax`. */
export function compileFilter(filter: string | Filter): CompiledFilter {
  const parsed = typeof filter === 'string' ? parseFilter(filter) : filter;
  const compiler = new FilterCompiler();
  return {
    matches: compiler.compile(parsed),
    matchesAll: parsed.kind === 'and' && parsed.filters.length === 0,
    text: writeFilter(parsed),
    attributes: [...compiler.attributes],
    remarks: compiler.remarks,
  };
}

class FilterCompiler {
  readonly attributes = new Set<string>();
  readonly remarks: string[] = [];

  compile(filter: Filter): Test {
    switch (filter.kind) {
      case 'and':
        return allOf(filter.filters.map((inner) => this.compile(inner)));
      case 'or':
        return anyOf(filter.filters.map((inner) => this.compile(inner)));
      case 'not': {
        const inner = this.compile(filter.filter);
        return (lookup) => {
          const result = inner(lookup);
          return result === undefined ? undefined : !result;
        };
      }
      case 'present': {
        const name = this.#name(filter.attribute);
        return (lookup) => lookup(name).length > 0;
      }
      case 'substrings':
        return this.#substrings(filter);
      case 'extensible':
        return this.#extensible(filter);
      default:
        return this.#comparison(filter);
    }
  }

  #comparison(filter: Filter & { attribute: string; value: Uint8Array }): Test {
    const name = this.#name(filter.attribute);
    const rule = ruleOf(name);
    const wanted = normalValue(rule, filter.value);
    if (wanted === undefined) return this.#never(filter, `the value does not suit the attribute (${rule})`);
    if (filter.kind === 'equality' || filter.kind === 'approx') {
      return anyValue(name, (value) => equals(rule, wanted, value));
    }
    if (!hasOrder(rule)) return this.#never(filter, `values of ${name} have no order`);
    const sign = filter.kind === 'greater-or-equal' ? 1 : -1;
    return anyValue(name, (value) => {
      const normal = normalValue(rule, value);
      return normal === undefined ? undefined : compareNormal(rule, normal, wanted) * sign >= 0;
    });
  }

  #substrings(filter: Filter & { kind: 'substrings' }): Test {
    const name = this.#name(filter.attribute);
    const test = substringTest(ruleOf(name), filter);
    if (test === undefined) return this.#never(filter, `values of ${name} cannot be compared in part`);
    return anyValue(name, test);
  }

  #extensible(filter: Filter & { kind: 'extensible' }): Test {
    const name = this.#name(filter.attribute ?? '*');
    const rule = filter.rule === undefined ? ruleOf(name) : ruleNamed(filter.rule);
    if (rule === undefined) return this.#never(filter, `the matching rule ${filter.rule} is not known`);
    const wanted = normalValue(rule, filter.value);
    if (wanted === undefined) return this.#never(filter, `the value does not suit the matching rule (${rule})`);
    const ofEntry = anyValue(name, (value) => equals(rule, wanted, value));
    if (!filter.dnAttributes) return ofEntry;
    // RFC 4511 §4.5.1.7.7: the attributes of the DN count as if they were attributes of the entry.
    const dnName = this.#name('entrydn');
    const type = filter.attribute === undefined ? undefined : normalizeType(filter.attribute);
    const ofName: Test = (lookup) =>
      lookup(dnName)
        .flatMap((dn) => valuesInDn(dn, type))
        .some((value) => equals(rule, wanted, value) === true);
    return anyOf([ofEntry, ofName]);
  }

  #name(attribute: string): string {
    const [type = '', ...options] = attribute.toLowerCase().split(';');
    // Only numbers are translated: an entry may well use the long name.
    const name = [/^[0-9]/.test(type) ? normalizeType(type) : type, ...options].join(';');
    this.attributes.add(name);
    return name;
  }

  #never(filter: Filter, why: string): Test {
    this.remarks.push(`${writeFilter(filter)} never selects an entry: ${why}.`);
    return () => undefined;
  }
}

function equals(rule: MatchingRule, wanted: string, value: Uint8Array): boolean | undefined {
  const normal = normalValue(rule, value);
  if (normal === undefined) return undefined;
  if (rule === 'bits-all') return (BigInt(normal) & BigInt(wanted)) === BigInt(wanted);
  if (rule === 'bits-any') return (BigInt(normal) & BigInt(wanted)) !== 0n;
  return normal === wanted;
}

function anyValue(name: string, test: (value: Uint8Array) => boolean | undefined): Test {
  return (lookup) => {
    let result: boolean | undefined = false;
    for (const value of lookup(name)) {
      const one = test(value);
      if (one === true) return true;
      if (one === undefined) result = undefined;
    }
    return result;
  };
}

function allOf(tests: Test[]): Test {
  return (lookup) => {
    let result: boolean | undefined = true;
    for (const test of tests) {
      const one = test(lookup);
      if (one === false) return false;
      if (one === undefined) result = undefined;
    }
    return result;
  };
}

function anyOf(tests: Test[]): Test {
  return (lookup) => {
    let result: boolean | undefined = false;
    for (const test of tests) {
      const one = test(lookup);
      if (one === true) return true;
      if (one === undefined) result = undefined;
    }
    return result;
  };
}

function valuesInDn(dn: Uint8Array, type: string | undefined): Uint8Array[] {
  try {
    return parseDn(Buffer.from(dn).toString('utf8'))
      .flat()
      .filter((part) => type === undefined || normalizeType(part.type) === type)
      .map((part) => part.value);
  } catch {
    return [];
  }
}

/**
 * Whether the attribute `description` is `wanted` or a subtype of it by options, in whatever order. Both in lower
 * case.
 */
export function isSubtype(description: string, wanted: string): boolean {
  if (description === wanted) return true;
  const semicolon = description.indexOf(';');
  if (semicolon < 0) return false;
  const [type, ...options] = wanted.split(';');
  if (description.slice(0, semicolon) !== type) return false;
  const has = description.split(';').slice(1);
  return options.every((option) => has.includes(option));
}

export function attributesLookup(attributes: Attributes): AttributeLookup {
  return (name) => {
    if (name === '*') return [...attributes.values()].flat();
    let values = attributes.get(name);
    for (const description of attributes.keys()) {
      if (description.length > name.length && description.includes(';') && isSubtype(description, name)) {
        values = [...(values ?? []), ...attributes.get(description)!];
      }
    }
    return values ?? [];
  };
}

/** For an entry as canonical bytes (entry.ts). */
export function entryLookup(bytes: Uint8Array): AttributeLookup {
  return (name) => {
    const values: Uint8Array[] = [];
    for (const span of attributeSpans(bytes)) {
      if (name === '*' || isSubtype(span.name, name)) values.push(...spanValues(bytes, span));
    }
    return values;
  };
}
