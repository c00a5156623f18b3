/**
 * Whether a server takes a value (RFC 4517 §3.3), as far as that can be judged by its syntax alone; for preview. Of a syntax that is
 * not known here nothing is said, and what servers judge in different ways is judged as the most patient of them does.
 */
import { isUtf8 } from 'node:buffer';
import { isDirpostError, parseDn } from '@dirpost/core';
import type { ServerKind } from './root-dse.ts';
import type { ValueRange } from './schema-ranges.ts';

export interface ValueRules {
  kind: ServerKind;
  /** Of Active Directory: null where it gives none. */
  range: ValueRange | null;
  knowsAttribute(name: string): boolean;
}

/** In words, without the attribute: "is no whole number"; null: nothing is known against it. */
type Judge = (value: Buffer, rules: ValueRules) => string | null;

export const DN_SYNTAX = '1.3.6.1.4.1.1466.115.121.1.12';
const LARGE_INTEGER = '1.2.840.113556.1.4.906';
const INTEGERS = new Set(['1.3.6.1.4.1.1466.115.121.1.27', LARGE_INTEGER]);
const OCTETS = '1.3.6.1.4.1.1466.115.121.1.40';
const DIRECTORY_STRING = '1.3.6.1.4.1.1466.115.121.1.15';

/** RFC 4517 §3.2. */
const PRINTABLE = /^[A-Za-z0-9'()+,\-./:?= ]+$/;
/** RFC 4517 §3.3.13. */
const GENERALIZED_TIME =
  /^\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d|60)?)?(?:[.,]\d+)?(?:Z|[+-](?:[01]\d|2[0-3])(?:[0-5]\d)?)$/;

const text = (value: Buffer) => value.toString('latin1');

const directoryString: Judge = (value) => {
  if (value.length === 0) return 'is empty';
  return isUtf8(value) ? null : 'is no text in UTF-8';
};
const ia5: Judge = (value) => (value.some((octet) => octet > 127) ? 'has characters that are not ASCII' : null);
const printable: Judge = (value) =>
  PRINTABLE.test(text(value)) ? null : "is empty, or has characters other than letters, digits and '()+,-./:?= ";
const facsimile: Judge = (value, rules) =>
  printable(value.subarray(0, (value.indexOf('$') + 1 || Infinity) - 1), rules);
const numeric: Judge = (value) => (/^[\d ]+$/.test(text(value)) ? null : 'is not made of digits');
const time: Judge = (value) => (GENERALIZED_TIME.test(text(value)) ? null : 'is no time like 20261231235959Z');
const country: Judge = (value) => (/^[A-Za-z]{2}$/.test(text(value)) ? null : 'is no country code of two letters');
const boolean: Judge = (value) => (/^(?:TRUE|FALSE)$/.test(text(value)) ? null : 'is neither TRUE nor FALSE');
const integer: Judge = (value, { kind }) => {
  const form = kind === 'ad' ? /^[+-]?\d+$/ : /^(?:0|-?[1-9]\d*)$/;
  return form.test(text(value)) ? null : 'is no whole number';
};

const distinguishedName: Judge = (value, { kind, knowsAttribute }) => {
  try {
    const types = parseDn(value.toString()).flatMap((rdn) => rdn.map(({ type }) => type));
    // OpenLDAP compares DNs by their attributes.
    const unknown = kind === 'openldap' ? types.find((type) => !knowsAttribute(type)) : undefined;
    return unknown === undefined ? null : `is a DN with "${unknown}", which the schema does not know`;
  } catch (error) {
    if (!isDirpostError(error, 'dn-syntax')) throw error;
    return 'is no DN';
  }
};

/** DER: a sequence that is as long as it says. */
const certificate: Judge = (value) => {
  const lengthOctets = value.length < 2 || value[0] !== 0x30 ? -1 : value[1]! < 0x80 ? 0 : value[1]! & 0x7f;
  if (lengthOctets < 0 || lengthOctets > 4 || value.length < 2 + lengthOctets) return 'is no certificate';
  const length = lengthOctets === 0 ? value[1]! : value.readUIntBE(2, lengthOctets);
  return value.length === 2 + lengthOctets + length ? null : 'is no certificate';
};

const everywhere: Record<string, Judge> = {
  '1.3.6.1.4.1.1466.115.121.1.7': boolean,
  [DN_SYNTAX]: distinguishedName,
  [DIRECTORY_STRING]: directoryString,
  '1.3.6.1.4.1.1466.115.121.1.24': time,
  '1.3.6.1.4.1.1466.115.121.1.27': integer,
  [LARGE_INTEGER]: integer,
};

/** Active Directory looks at their length only. */
const strict: Record<string, Judge> = {
  '1.3.6.1.4.1.1466.115.121.1.11': country,
  '1.3.6.1.4.1.1466.115.121.1.22': facsimile,
  '1.3.6.1.4.1.1466.115.121.1.26': ia5,
  '1.3.6.1.4.1.1466.115.121.1.36': numeric,
  '1.3.6.1.4.1.1466.115.121.1.44': printable,
  '1.3.6.1.4.1.1466.115.121.1.50': printable,
};

/** In words, without the attribute: "is no whole number"; null: nothing is known against it. */
export function wrongValue(syntax: string | null, octets: Uint8Array, rules: ValueRules): string | null {
  if (syntax === null) return null;
  const value = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
  const isAd = rules.kind === 'ad';
  // It has no empty values.
  if (isAd && value.length === 0) return 'is empty';
  if (syntax === '1.3.6.1.4.1.1466.115.121.1.8' && rules.kind === 'openldap') return certificate(value, rules);
  const judge = everywhere[syntax] ?? (isAd ? undefined : strict[syntax]);
  return judge?.(value, rules) ?? (rules.range === null ? null : outOfRange(syntax, value, rules.range));
}

/** MS-ADTS 3.1.1.2.3: of numbers the value, of octets their number, of text that of its UTF-16 units. */
function outOfRange(syntax: string, value: Buffer, { lower, upper }: ValueRange): string | null {
  if (INTEGERS.has(syntax)) {
    const number = Number(text(value));
    if (number < lower) return `is less than ${lower}`;
    return number > upper ? `is more than ${upper}` : null;
  }
  if (syntax !== OCTETS && syntax !== DIRECTORY_STRING) return null;
  const length = syntax === OCTETS ? value.length : value.toString().length;
  const unit = syntax === OCTETS ? 'octets' : 'characters';
  if (length < lower) return `has fewer than ${lower} ${unit}`;
  return length > upper ? `has ${length} ${unit}, and may have ${upper}` : null;
}
