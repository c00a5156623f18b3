/** LDAP responses (RFC 4511 §4) out of the octets of the line. Values are views of them, not copies. */
import { BerError, elementAt, elementsIn, type Element, expectElement, integerIn, octetsIn, textIn } from './ber.ts';
import type { LdapControl } from './requests.ts';

export interface LdapResult {
  code: number;
  matchedDn: string;
  /** The server's words, for people. */
  message: string;
  referrals: string[];
  controls: LdapControl[];
  /** Of a SASL bind: the server's next step; of an extended response: its value. */
  value: Buffer | null;
}

export interface FoundEntry {
  type: 'entry';
  dn: string;
  /** Names in lower case, options included. */
  attributes: Map<string, Buffer[]>;
  controls: LdapControl[];
}

export type SearchItem =
  | FoundEntry
  | { type: 'reference'; urls: string[] }
  /** RFC 4511 §4.13, such as Sync Info (RFC 4533). */
  | { type: 'intermediate'; name: string | null; value: Buffer | null };

export const SEARCH_ENTRY = 0x64;
export const SEARCH_DONE = 0x65;
export const SEARCH_REFERENCE = 0x73;
export const INTERMEDIATE = 0x79;

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const CONTROLS = 0xa0;
const REFERRAL = 0xa3;
/** serverSaslCreds, responseName, responseValue. */
const SASL_CREDENTIALS = 0x87;
const RESPONSE_VALUE = 0x8b;
/** A power of 2. */
const NAMES_REMEMBERED = 2_048;
const LONGEST_NAME_REMEMBERED = 100;

export interface Response {
  id: number;
  /** The protocol operation. */
  operation: Element;
  /** Of the whole message. */
  end: number;
}

/** `message`: the outermost SEQUENCE. Throws BerError. */
export function responseIn(octets: Buffer, message: Element): Response {
  if (message.tag !== SEQUENCE) throw new BerError('no LDAP message');
  const id = expectElement(octets, message.start, message.end, 0x02);
  const operation = elementAt(octets, id.end, message.end);
  return { id: integerIn(octets, id), operation, end: message.end };
}

export function controlsOf(octets: Buffer, { operation, end }: Response): LdapControl[] {
  if (operation.end >= end) return [];
  const list = elementAt(octets, operation.end, end);
  if (list.tag !== CONTROLS) return [];
  return [...elementsIn(octets, list)].map((control) => {
    const [type, ...rest] = elementsIn(octets, control);
    if (type === undefined) throw new BerError('a control without a type');
    const value = rest.find(({ tag }) => tag === OCTET_STRING);
    return { type: textIn(octets, type), ...(value && { value: octetsIn(octets, value) }) };
  });
}

export function resultOf(octets: Buffer, response: Response): LdapResult {
  const { operation } = response;
  const code = expectElement(octets, operation.start, operation.end, 0x0a);
  const matched = elementAt(octets, code.end, operation.end);
  const message = elementAt(octets, matched.end, operation.end);
  const result: LdapResult = {
    code: integerIn(octets, code),
    matchedDn: textIn(octets, matched),
    message: textIn(octets, message),
    referrals: [],
    controls: controlsOf(octets, response),
    value: null,
  };
  for (let at = message.end; at < operation.end; ) {
    const element = elementAt(octets, at, operation.end);
    if (element.tag === REFERRAL) result.referrals = [...elementsIn(octets, element)].map((url) => textIn(octets, url));
    if (element.tag === SASL_CREDENTIALS || element.tag === RESPONSE_VALUE) result.value = octetsIn(octets, element);
    at = element.end;
  }
  return result;
}

export function entryOf(octets: Buffer, response: Response): FoundEntry {
  const { operation } = response;
  const dn = elementAt(octets, operation.start, operation.end);
  const list = elementAt(octets, dn.end, operation.end);
  const attributes = new Map<string, Buffer[]>();
  const [attribute, type, set, value] = [blank(), blank(), blank(), blank()];
  for (let at = list.start; at < list.end; ) {
    elementAt(octets, at, list.end, attribute);
    elementAt(octets, attribute.start, attribute.end, type);
    elementAt(octets, type.end, attribute.end, set);
    const values: Buffer[] = [];
    for (let from = set.start; from < set.end; ) {
      elementAt(octets, from, set.end, value);
      values.push(octets.subarray(value.start, value.end));
      from = value.end;
    }
    attributes.set(nameIn(octets, type), values);
    at = attribute.end;
  }
  return { type: 'entry', dn: textIn(octets, dn), attributes, controls: controlsOf(octets, response) };
}

function blank(): Element {
  return { tag: 0, start: 0, end: 0 };
}

interface KnownName {
  octets: Buffer;
  lowerCased: string;
}

/** Of a million entries the names are the same few: no text is made of them again. By a hash; a collision costs time only. */
const knownNames: (KnownName | undefined)[] = Array.from({ length: NAMES_REMEMBERED });

function nameIn(octets: Buffer, { start, end }: Element): string {
  let hash = 0;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + octets[i]!) | 0;
  const slot = hash & (NAMES_REMEMBERED - 1);
  const known = knownNames[slot];
  if (known !== undefined && isSame(known.octets, octets, start, end)) return known.lowerCased;
  const name = Buffer.from(octets.subarray(start, end));
  const lowerCased = name.toString('latin1').toLowerCase();
  if (name.length <= LONGEST_NAME_REMEMBERED) knownNames[slot] = { octets: name, lowerCased };
  return lowerCased;
}

function isSame(name: Buffer, octets: Buffer, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (name[i] !== octets[start + i]) return false;
  return true;
}

export function referenceOf(octets: Buffer, { operation }: Response): SearchItem {
  return { type: 'reference', urls: [...elementsIn(octets, operation)].map((url) => textIn(octets, url)) };
}

export function intermediateOf(octets: Buffer, { operation }: Response): SearchItem {
  const item: Extract<SearchItem, { type: 'intermediate' }> = { type: 'intermediate', name: null, value: null };
  for (const element of elementsIn(octets, operation)) {
    if (element.tag === 0x80) item.name = textIn(octets, element);
    if (element.tag === 0x81) item.value = octetsIn(octets, element);
  }
  return item;
}

/** RFC 4511 §4.4: the name of an unsolicited notification; null: it has none. */
export function notificationName(octets: Buffer, { operation }: Response): string | null {
  const name = [...elementsIn(octets, operation)].find(({ tag }) => tag === 0x8a);
  return name === undefined ? null : textIn(octets, name);
}
