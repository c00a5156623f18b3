/**
 * Reading BER as LDAP uses it (RFC 4511 §5.1: definite lengths, primitive octet strings), straight from the octets of
 * the line and without copying them. Writing is message-writer.ts.
 */

/** One element; `start` and `end` frame its content. */
export interface Element {
  tag: number;
  start: number;
  end: number;
}

/** What is not BER as LDAP uses it: the connection cannot be read any further. */
export class BerError extends Error {
  override readonly name: string = 'BerError';
}

const MAX_LENGTH_OCTETS = 4;

/** null: the header of the element is not there as a whole yet. Its content may be missing. */
export function peekElement(octets: Buffer, at: number): Element | null {
  if (octets.length - at < 2) return null;
  const tag = octets[at]!;
  if ((tag & 0x1f) === 0x1f) throw new BerError('a tag of more than one octet');
  const first = octets[at + 1]!;
  let start = at + 2;
  if (first < 0x80) return { tag, start, end: start + first };
  const count = first & 0x7f;
  if (count === 0 || count > MAX_LENGTH_OCTETS) throw new BerError('an indefinite or far too large length');
  if (octets.length - start < count) return null;
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + octets[start++]!;
  return { tag, start, end: start + length };
}

/** The element at `at`, which must lie within `limit` as a whole. `into`: is filled, and made anew if absent. Throws BerError. */
export function elementAt(octets: Buffer, at: number, limit: number, into?: Element): Element {
  const start = at + 2;
  const length = start <= limit ? octets[at + 1]! : 0x80;
  const tag = octets[at]!;
  // Almost all are short, and there are many: they are read without any object but the one that is given.
  if (into !== undefined && length < 0x80 && start + length <= limit && (tag & 0x1f) !== 0x1f) {
    into.tag = tag;
    into.start = start;
    into.end = start + length;
    return into;
  }
  const element = peekElement(octets, at);
  if (element === null || element.end > limit) throw new BerError('an element that ends beyond the one around it');
  if (into !== undefined) return Object.assign(into, element);
  return element;
}

/** As elementAt, where it must be of that kind. */
export function expectElement(octets: Buffer, at: number, limit: number, tag: number): Element {
  const element = elementAt(octets, at, limit);
  if (element.tag !== tag) throw new BerError(`tag ${element.tag} where ${tag} belongs`);
  return element;
}

/** The elements that lie in `outer`, one after another. */
export function* elementsIn(octets: Buffer, outer: Element): Generator<Element> {
  for (let at = outer.start; at < outer.end; ) {
    const element = elementAt(octets, at, outer.end);
    yield element;
    at = element.end;
  }
}

/** INTEGER and ENUMERATED of at most 6 octets, as LDAP's ids, codes and sizes are; two's complement. */
export function integerIn(octets: Buffer, { start, end }: Element): number {
  const length = end - start;
  if (length < 1 || length > 6) throw new BerError('an integer of a wrong size');
  return octets.readIntBE(start, length);
}

export function textIn(octets: Buffer, { start, end }: Element): string {
  return octets.toString('utf8', start, end);
}

export function octetsIn(octets: Buffer, { start, end }: Element): Buffer {
  return octets.subarray(start, end);
}
