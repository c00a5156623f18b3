/**
 * Search filters: parse and write (RFC 4515). What they mean is in filter.ts. They come from configuration and from
 * other postoffices, so length and nesting are limited.
 */
import { isUtf8 } from 'node:buffer';
import { DirpostError } from './errors.ts';
import type { Substrings } from './matching.ts';

export type Filter =
  | { kind: 'and' | 'or'; filters: Filter[] }
  | { kind: 'not'; filter: Filter }
  | { kind: 'equality' | 'approx' | 'greater-or-equal' | 'less-or-equal'; attribute: string; value: Uint8Array }
  | { kind: 'present'; attribute: string }
  | ({ kind: 'substrings'; attribute: string } & Substrings)
  | { kind: 'extensible'; attribute?: string; rule?: string; dnAttributes: boolean; value: Uint8Array };

export interface FilterLimits {
  /** Of the text, in characters. */
  maxFilterLength: number;
  /** Of filters in filters. */
  maxFilterNesting: number;
}

export const defaultFilterLimits: FilterLimits = { maxFilterLength: 65_536, maxFilterNesting: 50 };

/**
 * Throws `filter-syntax` with the position (from 0) and the reason. White space between filters is allowed, as are
 * line ends.
 */
export function parseFilter(text: string, limits: FilterLimits = defaultFilterLimits): Filter {
  return new FilterParser(text, limits).parse();
}

const attributePattern = /[a-z0-9][a-z0-9._-]*(?:;[a-z0-9-]+)*/iy;
// RFC 4515 §3 `extensible`: attribute, `:dn`, rule. One of attribute and rule is there.
const extensiblePattern = /([a-z0-9][a-z0-9._-]*(?:;[a-z0-9-]+)*)?(:dn(?=:))?(?::(?!=)([a-z0-9][a-z0-9.-]*))?:=/iy;
const comparisons = new Map([
  ['=', 'equality'],
  ['~=', 'approx'],
  ['>=', 'greater-or-equal'],
  ['<=', 'less-or-equal'],
] as const);
const operators = { equality: '=', approx: '~=', 'greater-or-equal': '>=', 'less-or-equal': '<=' } as const;

class FilterParser {
  #at = 0;

  constructor(
    readonly text: string,
    readonly limits: FilterLimits,
  ) {}

  parse(): Filter {
    if (this.text.length > this.limits.maxFilterLength) {
      throw this.#fault(`it is longer than ${this.limits.maxFilterLength} characters`);
    }
    this.#skipSpace();
    const filter = this.#filter(1);
    this.#skipSpace();
    if (this.#at < this.text.length) throw this.#fault('there is more after the closing parenthesis');
    return filter;
  }

  #filter(depth: number): Filter {
    if (depth > this.limits.maxFilterNesting) {
      throw this.#fault(`filters are nested deeper than ${this.limits.maxFilterNesting}`);
    }
    if (this.text[this.#at] !== '(') throw this.#fault('an opening parenthesis should stand here');
    this.#at++;
    this.#skipSpace();
    const first = this.text[this.#at];
    let filter: Filter;
    if (first === '&' || first === '|') {
      this.#at++;
      filter = { kind: first === '&' ? 'and' : 'or', filters: this.#list(depth) };
    } else if (first === '!') {
      this.#at++;
      this.#skipSpace();
      filter = { kind: 'not', filter: this.#filter(depth + 1) };
      this.#skipSpace();
    } else {
      filter = this.#item();
    }
    if (this.text[this.#at] !== ')') throw this.#fault('a closing parenthesis should stand here');
    this.#at++;
    return filter;
  }

  /** None at all is the absolute true or false of RFC 4526. */
  #list(depth: number): Filter[] {
    const filters: Filter[] = [];
    this.#skipSpace();
    while (this.text[this.#at] === '(') {
      filters.push(this.#filter(depth + 1));
      this.#skipSpace();
    }
    return filters;
  }

  #item(): Filter {
    const extensible = this.#match(extensiblePattern);
    if (extensible !== null) return this.#extensible(extensible);
    const start = this.#at;
    const attribute = this.#match(attributePattern)?.[0];
    if (attribute === undefined) throw this.#fault('an attribute name should stand here');
    const operator = [...comparisons.keys()].find((operator) => this.text.startsWith(operator, this.#at));
    if (operator === undefined) {
      const colon = this.text[this.#at] === ':';
      throw this.#fault(
        colon ? 'this is not a matching rule followed by :=' : 'one of = ~= >= <= := should stand here',
      );
    }
    this.#at += operator.length;
    const values = this.#values();
    if (values.length === 1) return { kind: comparisons.get(operator)!, attribute, value: values[0]! };
    if (operator !== '=') throw this.#fault(`* has no meaning after ${operator}; write \\2a for the character`, start);
    return substringsOrPresent(attribute, values, () => this.#fault('two * in a row', start));
  }

  #extensible(match: RegExpExecArray): Filter {
    const [, attribute, dn, rule] = match;
    if (attribute === undefined && rule === undefined) throw this.#fault('an attribute or a matching rule is missing');
    const values = this.#values();
    if (values.length > 1) throw this.#fault('* has no meaning after :=; write \\2a for the character');
    return {
      kind: 'extensible',
      ...(attribute === undefined ? {} : { attribute }),
      ...(rule === undefined ? {} : { rule }),
      dnAttributes: dn !== undefined,
      value: values[0]!,
    };
  }

  /** The assertion value up to the parenthesis, cut at every `*`. */
  #values(): Uint8Array[] {
    const values: Uint8Array[] = [];
    let parts: Uint8Array[] = [];
    let start = this.#at;
    const flush = () => parts.push(Buffer.from(this.text.slice(start, this.#at)));
    for (;;) {
      const char = this.text[this.#at];
      if (char === undefined || char === '(' || char === '\0') {
        throw this.#fault(
          char === undefined
            ? 'the closing parenthesis is missing'
            : 'this character has to be written as \\28 or \\00',
        );
      }
      if (char === '\\') {
        flush();
        const pair = this.text.slice(this.#at + 1, this.#at + 3);
        if (!/^[0-9a-f]{2}$/i.test(pair)) {
          throw this.#fault('after a backslash two hexadecimal digits should stand (\\5c is the backslash itself)');
        }
        parts.push(Buffer.from(pair, 'hex'));
        start = this.#at += 3;
      } else if (char === '*' || char === ')') {
        flush();
        values.push(Buffer.concat(parts));
        if (char === ')') return values;
        parts = [];
        start = ++this.#at;
      } else {
        this.#at++;
      }
    }
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #skipSpace(): void {
    this.#match(/\s*/y);
  }

  #fault(reason: string, position = this.#at): DirpostError {
    const shown = this.text.length > 200 ? `${this.text.slice(0, 200)}…` : this.text;
    const message = `The filter "${shown}" cannot be understood: at character ${position + 1}, ${reason}.`;
    return new DirpostError('filter-syntax', message, { context: { filter: shown, position, reason } });
  }
}

function substringsOrPresent(attribute: string, values: Uint8Array[], fault: () => DirpostError): Filter {
  const [first, ...rest] = values;
  const last = rest.pop()!;
  if (rest.length === 0 && first!.length === 0 && last.length === 0) return { kind: 'present', attribute };
  if (rest.some((value) => value.length === 0)) throw fault();
  return {
    kind: 'substrings',
    attribute,
    ...(first!.length === 0 ? {} : { initial: first! }),
    any: rest,
    ...(last.length === 0 ? {} : { final: last }),
  };
}

/** The text of a filter; parsing it gives the same filter. */
export function writeFilter(filter: Filter): string {
  switch (filter.kind) {
    case 'and':
      return `(&${filter.filters.map(writeFilter).join('')})`;
    case 'or':
      return `(|${filter.filters.map(writeFilter).join('')})`;
    case 'not':
      return `(!${writeFilter(filter.filter)})`;
    case 'present':
      return `(${filter.attribute}=*)`;
    case 'substrings': {
      const parts = [filter.initial ?? '', ...filter.any, filter.final ?? ''];
      return `(${filter.attribute}=${parts.map(escapeFilterValue).join('*')})`;
    }
    case 'extensible': {
      const rule = filter.rule === undefined ? '' : `:${filter.rule}`;
      const dn = filter.dnAttributes ? ':dn' : '';
      return `(${filter.attribute ?? ''}${dn}${rule}:=${escapeFilterValue(filter.value)})`;
    }
    default:
      return `(${filter.attribute}${operators[filter.kind]}${escapeFilterValue(filter.value)})`;
  }
}

/** A value as it stands in a filter: escaped are * ( ) \ and controls, and every octet of what is not UTF-8. */
export function escapeFilterValue(value: string | Uint8Array): string {
  if (typeof value !== 'string' && !isUtf8(value)) {
    return Buffer.from(value).toString('hex').replace(/../g, '\\$&');
  }
  const text = typeof value === 'string' ? value : Buffer.from(value).toString('utf8');
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- they are what we look for
    /[\u0000-\u001f\u007f*()\\]/g,
    (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
