/**
 * Distinguished names: parse, write (RFC 4514) and compare them as LDAP does. The older forms of RFC 2253 §4 that
 * servers still hand out (spaces around separators, `;`, quoted values, `OID.`) are read, never written.
 *
 * `normalizeDn` runs once per entry of a directory, hence its short way for plain names.
 */
import { isUtf8 } from 'node:buffer';
import { DirpostError } from './errors.ts';
import { foldCase } from './fold-text.ts';

/** One `type=value` of an RDN. */
export interface AttributeTypeAndValue {
  /** As written, without `OID.`. */
  type: string;
  /** The octets that the value stands for; with `ber`, the BER encoding that stood behind `#`. */
  value: Uint8Array;
  ber: boolean;
}

export type Rdn = AttributeTypeAndValue[];
/** The RDN of the entry itself comes first. The empty DN has none. */
export type Dn = Rdn[];

/** Other names of the types that DNs use: RFC 4519's long names and numbers → the usual short name. */
const typeAliases = new Map(
  Object.entries({
    '2.5.4.3': 'cn',
    commonname: 'cn',
    '2.5.4.4': 'sn',
    surname: 'sn',
    '2.5.4.6': 'c',
    countryname: 'c',
    '2.5.4.7': 'l',
    localityname: 'l',
    '2.5.4.8': 'st',
    stateorprovincename: 'st',
    '2.5.4.9': 'street',
    streetaddress: 'street',
    '2.5.4.10': 'o',
    organizationname: 'o',
    '2.5.4.11': 'ou',
    organizationalunitname: 'ou',
    '0.9.2342.19200300.100.1.1': 'uid',
    userid: 'uid',
    '0.9.2342.19200300.100.1.3': 'mail',
    rfc822mailbox: 'mail',
    '0.9.2342.19200300.100.1.25': 'dc',
    domaincomponent: 'dc',
  }),
);

/** The one name under which an attribute type is compared: lower case, without `OID.`, short. */
export function normalizeType(type: string): string {
  let name = type.toLowerCase();
  if (name.startsWith('oid.')) name = name.slice(4);
  return typeAliases.get(name) ?? name;
}

/** All names of a type, as normalizeType gives it; in lower case. */
export function namesOf(type: string): string[] {
  const others = [...typeAliases].filter(([, name]) => name === type).map(([alias]) => alias);
  return [type, ...others, ...others.filter((other) => /^\d/.test(other)).map((number) => `oid.${number}`)];
}

/**
 * Only types of these short names, only printable ASCII without anything that is or needs an escape, no space but
 * single ones between words: then the normal form is the lower-case form.
 */
const plainDn =
  /^(?:(?:cn|uid|ou|dc|o|c|l|st|sn|mail|street)=[!$-*\-.-:=?-[\]-~]+(?: [!$-*\-.-:=?-[\]-~]+)*(?:,(?!$)|$))+$/i;

/**
 * One text for all ways to write a DN; itself a DN. Two DNs name the same entry if and only if these are equal. A
 * comma or plus in it is always a separator (in values they become hex pairs).
 */
export function normalizeDn(dn: string): string {
  if (plainDn.test(dn)) return dn.toLowerCase();
  return parseDn(dn).map(normalizeRdn).join(',');
}

function normalizeRdn(rdn: Rdn): string {
  if (rdn.length === 1) return normalizePart(rdn[0]!);
  return rdn.map(normalizePart).toSorted().join('+');
}

function normalizePart(part: AttributeTypeAndValue): string {
  const value = part.ber ? textOfBer(part.value) : part.value;
  if (value === undefined) return `${normalizeType(part.type)}=#${Buffer.from(part.value).toString('hex')}`;
  return `${normalizeType(part.type)}=${normalizeDnValue(value)}`;
}

/** The normal form of one value, escaped with hex pairs only. What is not UTF-8 is no text: only its ASCII is folded. */
function normalizeDnValue(value: Uint8Array): string {
  const octets = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (isUtf8(octets)) return hexPairs(foldCase(octets.toString('utf8')), /["+,;<>\\]|^#/g);
  const ascii = octets.toString('latin1').replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return hexPairs(ascii, /[^ -~]|["+,;<>\\#=]|^ | $/g);
}

function hexPairs(text: string, which: RegExp): string {
  return text.replace(which, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The octets of a BER string (OCTET STRING, UTF8String, PrintableString, IA5String); undefined for anything else. */
function textOfBer(ber: Uint8Array): Uint8Array | undefined {
  const isString = ber[0] === 0x04 || ber[0] === 0x0c || ber[0] === 0x13 || ber[0] === 0x16;
  if (!isString || ber.length < 2) return undefined;
  let length = ber[1]!;
  let start = 2;
  if (length > 0x80 && length <= 0x84) {
    start += length - 0x80;
    length = 0;
    for (let i = 2; i < start; i++) length = length * 256 + (ber[i] ?? 0);
  }
  return start + length === ber.length ? ber.subarray(start) : undefined;
}

/** Throws `dn-syntax` with the position (from 0) of the fault. */
export function parseDn(dn: string): Dn {
  return plainDn.test(dn) ? dn.split(',').map(plainRdn) : new DnParser(dn).parse();
}

/** That of the entry itself; of the empty DN there is none. Throws as parseDn. */
export function firstRdn(dn: string): Rdn {
  if (!plainDn.test(dn)) return parseDn(dn)[0] ?? [];
  const end = dn.indexOf(',');
  return plainRdn(end < 0 ? dn : dn.slice(0, end));
}

/** Not empty, and of a good syntax. */
export function isDn(text: string): boolean {
  if (plainDn.test(text)) return true;
  try {
    return parseDn(text).length > 0;
  } catch {
    return false;
  }
}

function plainRdn(text: string): Rdn {
  const equals = text.indexOf('=');
  return [{ type: text.slice(0, equals), value: Buffer.from(text.slice(equals + 1)), ber: false }];
}

const typePattern = /(?:oid\.)?([a-z][a-z0-9_-]*|\d+(?:\.\d+)*)/iy;
const escapable = ' "#+,;<=>\\';

class DnParser {
  #at = 0;

  constructor(readonly text: string) {}

  parse(): Dn {
    const dn: Dn = [];
    this.#skipSpaces();
    if (this.#at === this.text.length) return dn;
    let rdn: Rdn = [];
    for (;;) {
      rdn.push(this.#typeAndValue());
      const separator = this.text[this.#at++];
      if (separator === '+') continue;
      dn.push(rdn);
      if (separator === undefined) return dn;
      rdn = [];
    }
  }

  #typeAndValue(): AttributeTypeAndValue {
    this.#skipSpaces();
    typePattern.lastIndex = this.#at;
    const match = typePattern.exec(this.text);
    if (match === null) throw this.#fault('an attribute type like cn or 2.5.4.3 should stand here');
    this.#at = typePattern.lastIndex;
    this.#skipSpaces();
    if (this.text[this.#at] !== '=') throw this.#fault('an equals sign should stand here');
    this.#at++;
    this.#skipSpaces();
    const type = match[1]!;
    const first = this.text[this.#at];
    if (first === '#') return { type, value: this.#hexString(), ber: true };
    return { type, value: first === '"' ? this.#quoted() : this.#string(), ber: false };
  }

  #hexString(): Uint8Array {
    const start = ++this.#at;
    while (/[0-9a-f]/i.test(this.text[this.#at] ?? '')) this.#at++;
    const hex = this.text.slice(start, this.#at);
    if (hex.length === 0 || hex.length % 2 !== 0) throw this.#fault('pairs of hexadecimal digits should follow #');
    this.#skipSpaces();
    this.#expectSeparator();
    return Buffer.from(hex, 'hex');
  }

  #quoted(): Uint8Array {
    const parts: Uint8Array[] = [];
    let start = ++this.#at;
    while (this.text[this.#at] !== '"') {
      if (this.#at >= this.text.length) throw this.#fault('the quotation mark is not closed');
      if (this.text[this.#at] !== '\\') this.#at++;
      else {
        parts.push(Buffer.from(this.text.slice(start, this.#at)), this.#escape());
        start = this.#at;
      }
    }
    parts.push(Buffer.from(this.text.slice(start, this.#at++)));
    this.#skipSpaces();
    this.#expectSeparator();
    return Buffer.concat(parts);
  }

  /** RFC 4514 §3 `string`. Spaces before the separator belong to the value only if escaped. */
  #string(): Uint8Array {
    const parts: Uint8Array[] = [];
    let start = this.#at;
    let end = start;
    while (this.#at < this.text.length) {
      const char = this.text[this.#at]!;
      if (char === ',' || char === '+' || char === ';') break;
      if (char === '\\') {
        parts.push(Buffer.from(this.text.slice(start, this.#at)), this.#escape());
        start = end = this.#at;
      } else if (char === '"' || char === '<' || char === '>' || char === '\0') {
        throw this.#fault(`${JSON.stringify(char)} inside a value has to be escaped with a backslash`);
      } else {
        this.#at++;
        if (char !== ' ') end = this.#at;
      }
    }
    parts.push(Buffer.from(this.text.slice(start, end)));
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  #escape(): Uint8Array {
    const next = this.text[this.#at + 1] ?? '';
    if (next !== '' && escapable.includes(next)) {
      this.#at += 2;
      return Buffer.from(next);
    }
    const pair = this.text.slice(this.#at + 1, this.#at + 3);
    if (!/^[0-9a-f]{2}$/i.test(pair)) {
      throw this.#fault('after a backslash a special character or two hexadecimal digits should stand');
    }
    this.#at += 3;
    return Buffer.from(pair, 'hex');
  }

  #skipSpaces(): void {
    while (this.text[this.#at] === ' ') this.#at++;
  }

  #expectSeparator(): void {
    const char = this.text[this.#at];
    if (char !== undefined && char !== ',' && char !== '+' && char !== ';') {
      throw this.#fault('a comma or the end should stand here');
    }
  }

  #fault(reason: string): DirpostError {
    const shown = this.text.length > 200 ? `${this.text.slice(0, 200)}…` : this.text;
    return new DirpostError(
      'dn-syntax',
      `${JSON.stringify(shown)} is not a DN: at character ${this.#at + 1}, ${reason}.`,
      {
        context: { dn: shown, position: this.#at, reason },
      },
    );
  }
}

export function writeDn(dn: Dn): string {
  return dn.map(writeRdn).join(',');
}

export function writeRdn(rdn: Rdn): string {
  return rdn
    .map(({ type, value, ber }) =>
      ber ? `${type}=#${Buffer.from(value).toString('hex')}` : `${type}=${escapeDnValue(value)}`,
    )
    .join('+');
}

/**
 * A value as it stands in a DN (RFC 4514 §2.4). Control characters, and octets that are not UTF-8, become hex pairs, so
 * that a DN is always one printable line.
 */
export function escapeDnValue(value: string | Uint8Array): string {
  if (typeof value !== 'string') {
    if (!isUtf8(value)) return hexPairs(Buffer.from(value).toString('latin1'), /[^ -~]|["+,;<>\\#]|^ | $/g);
    value = Buffer.from(value).toString('utf8');
  }
  // oxlint-disable-next-line no-control-regex -- they are what we look for
  if (!/[\u0000-\u001f\u007f"+,;<>\\]|^[ #]| $/.test(value)) return value;
  return value.replace(/["+,;<>\\]|^[ #]| $/g, '\\$&').replace(
    // oxlint-disable-next-line no-control-regex -- they are what we look for
    /[\u0000-\u001f\u007f]/g,
    (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Where the first RDN ends: at its separator, or at the end of the text. */
function firstSeparator(dn: string): number {
  let quoted = false;
  for (let at = 0; at < dn.length; at++) {
    const char = dn[at];
    if (char === '\\') at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === ',' || char === ';')) return at;
  }
  return dn.length;
}

/** The first RDN, as written. */
export function rdnOf(dn: string): string {
  return trimSpaces(dn.slice(0, firstSeparator(dn)));
}

/** The DN above, as written; the empty DN above a single RDN; null above the empty DN. */
export function parentDn(dn: string): string | null {
  if (dn.trim() === '') return null;
  return trimSpaces(dn.slice(firstSeparator(dn) + 1));
}

/** Spaces around an RDN mean nothing, except an escaped one at the end, which belongs to the value. */
function trimSpaces(text: string): string {
  let start = 0;
  let end = text.length;
  while (text[start] === ' ') start++;
  while (end > start && text[end - 1] === ' ') end--;
  let backslashes = 0;
  while (text[end - 1 - backslashes] === '\\') backslashes++;
  return text.slice(start, backslashes % 2 === 1 ? end + 1 : end);
}

/** Whether `dn` is `base` or stands under it. Everything stands under the empty DN. */
export function isWithin(dn: string, base: string): boolean {
  const above = normalizeDn(base);
  if (above === '') return true;
  const name = normalizeDn(dn);
  return name === above || name.endsWith(`,${above}`);
}
