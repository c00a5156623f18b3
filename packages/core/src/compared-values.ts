/**
 * Values by which people are told apart (mail, uid, employeeNumber), compared as LDAP compares them: what is the same value
 * for `dirpost duplicates`, and for values that must be unique on the network (claims.ts).
 */
import { hash as oneShotHash } from 'node:crypto';
import { namesOf, normalizeType } from './dn.ts';
import {
  attributesStart,
  type AttributeSpan,
  attributeSpans,
  type CanonicalWriter,
  readVarint,
  spanValues,
} from './entry.ts';
import { normalValue, ruleOf } from './matching.ts';

export const VALUE_HASH_BYTES = 16;

const MAIL = 'mail';
/** Of Active Directory: addresses of all sorts, each behind the name of its sort; `SMTP:` is the primary mail address. */
const ADDRESSES = 'proxyaddresses';
const SMTP = /^smtp:/i;

/** A value of an entry, and for which attribute it counts. */
export interface ComparedValue {
  /** Lower case, without options; of a mail address among `proxyAddresses`: mail. */
  attribute: string;
  /** As the entry names it, with options. */
  description: string;
  /** As it is compared: octets of the entry, without `smtp:`. */
  value: Uint8Array;
}

/** The attributes of `names` as they are compared: lower case, without options or aliases, no two equal, ascending. */
export function comparedAttributes(names: Iterable<string>): string[] {
  return [...new Set([...names].map((name) => baseOf(name)))].sort();
}

/** The values of these attributes (comparedAttributes), in the order of the entry. */
export function comparedValues(bytes: Uint8Array, attributes: ReadonlySet<string>): ComparedValue[] {
  const found: ComparedValue[] = [];
  for (const span of attributeSpans(bytes)) take(bytes, span, attributes, found);
  return found;
}

function take(bytes: Uint8Array, span: AttributeSpan, attributes: ReadonlySet<string>, found: ComparedValue[]): void {
  const { name } = span;
  const base = baseOf(name);
  if (base === ADDRESSES && attributes.has(MAIL)) {
    for (const value of spanValues(bytes, span)) {
      const address = mailAmong(value);
      if (address !== null) found.push({ attribute: MAIL, description: name, value: address });
    }
  }
  if (!attributes.has(base)) return;
  for (const value of spanValues(bytes, span)) found.push({ attribute: base, description: name, value });
}

const BEGINNINGS = 4_096;

/** Of the first two octets; several beginnings may share a place. */
function placeOf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! * 37 + (bytes[at + 1] ?? 0)) % BEGINNINGS;
}

/** comparedValues for many entries: attributes that cannot be meant are passed over without a look at their names. */
export class ValueReader {
  readonly #attributes: ReadonlySet<string>;
  /** By placeOf: 1 where a name that begins so may be meant. */
  readonly #begins = new Uint8Array(BEGINNINGS);

  constructor(attributes: Iterable<string>) {
    this.#attributes = new Set(attributes);
    const names = [...this.#attributes, ...(this.#attributes.has(MAIL) ? [ADDRESSES] : [])];
    for (const name of names) for (const one of namesOf(name)) this.#begins[placeOf(Buffer.from(one), 0)] = 1;
  }

  get isEmpty(): boolean {
    return this.#attributes.size === 0;
  }

  values(bytes: Uint8Array): ComparedValue[] {
    const found: ComparedValue[] = [];
    for (let at = attributesStart(bytes); at < bytes.length; ) {
      const nameEnd = at + 1 + bytes[at]!;
      const meant = this.#begins[placeOf(bytes, at + 1)] === 1;
      let [count, next] = readVarint(bytes, nameEnd);
      const valuesStart = next;
      for (let i = 0; i < count; i++) {
        // Most values are shorter than 128 octets.
        const length = bytes[next]!;
        if (length < 0x80) next += 1 + length;
        else {
          const [long, start] = readVarint(bytes, next);
          next = start + long;
        }
      }
      if (meant) {
        const name = Buffer.from(bytes.buffer, bytes.byteOffset + at + 1, nameEnd - at - 1).toString('latin1');
        take(bytes, { name, start: at, valuesStart, count, end: next }, this.#attributes, found);
      }
      at = next;
    }
    return found;
  }
}

function baseOf(name: string): string {
  const options = name.indexOf(';');
  return normalizeType(options < 0 ? name : name.slice(0, options));
}

function mailAmong(value: Uint8Array): Uint8Array | null {
  const text = Buffer.from(value.buffer, value.byteOffset, Math.min(5, value.byteLength)).toString('latin1');
  return SMTP.test(text) ? value.subarray(5) : null;
}

/** As texts that are equal where LDAP takes the values for equal; null for nothing, and for none of its syntax. */
export function comparedText({ attribute, value }: ComparedValue): string | null {
  const normal = normalValue(ruleOf(attribute), value);
  return normal === undefined || normal === '' ? null : normal;
}

/** 16 octets that stand for a value of an attribute; null as for comparedText. */
export function comparedHash(value: ComparedValue): Buffer | null {
  const text = comparedText(value);
  return text === null ? null : hashOfText(value.attribute, text);
}

/** `text`: as comparedText gives it. */
export function hashOfText(attribute: string, text: string): Buffer {
  return oneShotHash('sha256', `${attribute}\0${text}`, 'buffer').subarray(0, VALUE_HASH_BYTES);
}

/** `hashes`: one after the other, VALUE_HASH_BYTES each. */
export function hasHash(hashes: Uint8Array, hash: Uint8Array): boolean {
  // An entry may have a hundred thousand values, and all of them withheld.
  let [low, high] = [0, hashes.length / VALUE_HASH_BYTES];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareAt(hashes, middle * VALUE_HASH_BYTES, hash);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}

function compareAt(hashes: Uint8Array, at: number, hash: Uint8Array): number {
  for (let i = 0; i < VALUE_HASH_BYTES; i++) {
    const difference = hashes[at + i]! - hash[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The canonical bytes without the values that these hashes stand for, whatever attribute they are of. */
export function withoutHashed(bytes: Uint8Array, hashes: Uint8Array, into: CanonicalWriter): Buffer {
  into.reset().raw(bytes, 0, attributesStart(bytes));
  for (const span of attributeSpans(bytes)) {
    const values = spanValues(bytes, span);
    const kept = values.filter((value) => !isHashed(span.name, value, hashes));
    if (kept.length === values.length) into.raw(bytes, span.start, span.end);
    else if (kept.length > 0) into.attribute(span.name, kept);
  }
  return into.finish();
}

function isHashed(description: string, value: Uint8Array, hashes: Uint8Array): boolean {
  const attribute = baseOf(description);
  const address = attribute === ADDRESSES ? mailAmong(value) : null;
  const compared = [{ attribute, description, value }];
  if (address !== null) compared.push({ attribute: MAIL, description, value: address });
  return compared.some((one) => {
    const hash = comparedHash(one);
    return hash !== null && hasHash(hashes, hash);
  });
}
