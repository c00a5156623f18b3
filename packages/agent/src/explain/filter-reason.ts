/** Why a filter does not select an entry: the parts of it that keep the entry out, and what the entry has instead. */
import { type AttributeLookup, compileFilter, type Filter, parseFilter, writeFilter } from '@dirpost/core';

const MOST_VALUES = 3;
const MOST_CHARACTERS = 60;
/** What lets somebody in is shown to nobody; a directory that is read for an explanation may have it. */
const SECRET = /pass|pwd|secret|key|hash|token/i;

/** Sentences, one for each part that had to match and does not; empty where the filter selects the entry. */
export function filterReasons(text: string, lookup: AttributeLookup): string[] {
  return failingParts(parseFilter(text), lookup).map((part) => reasonOf(part, lookup));
}

/** Of an `and` the parts that fail; anything else fails as a whole. */
function failingParts(filter: Filter, lookup: AttributeLookup): Filter[] {
  if (compileFilter(filter).matches(lookup) === true) return [];
  if (filter.kind === 'and' || (filter.kind === 'or' && filter.filters.length === 1)) {
    return filter.filters.flatMap((part) => failingParts(part, lookup));
  }
  return [filter];
}

function reasonOf(part: Filter, lookup: AttributeLookup): string {
  const { attributes, remarks } = compileFilter(part);
  if (remarks.length > 0) return remarks.join(' ');
  const has = attributes.filter((name) => name !== '*').map((name) => describe(name, lookup(name)));
  return `${writeFilter(part)} does not match${has.length === 0 ? '' : `: ${has.join(', ')}`}`;
}

function describe(name: string, values: Uint8Array[]): string {
  if (values.length === 0) return `it has no ${name}`;
  if (SECRET.test(name)) return `its ${name} is not shown`;
  const shown = values.slice(0, MOST_VALUES).map((value) => {
    const text = Buffer.from(value).toString('utf8');
    return JSON.stringify(text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text);
  });
  const more = values.length > MOST_VALUES ? ` and ${values.length - MOST_VALUES} more` : '';
  return `its ${name} is ${shown.join(', ')}${more}`;
}
