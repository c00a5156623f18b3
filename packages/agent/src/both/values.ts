/** Values of an attribute, compared without regard to their order, and kept as texts in documents. */
import { hash as oneShotHash } from 'node:crypto';

export type Values = readonly Uint8Array[];

const TEXT_LENGTH = 16;

/** The same for the same values; of no values ''. */
export function valuesText(values: Values): string {
  if (values.length === 0) return '';
  const all = [...new Set(values.map((value) => Buffer.from(value).toString('base64')))].sort();
  return oneShotHash('sha256', all.join(','), 'base64url').slice(0, TEXT_LENGTH);
}

export function toBase64(values: Values): string[] {
  return values.map((value) => Buffer.from(value).toString('base64'));
}

export function fromBase64(texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => Buffer.from(text, 'base64'));
}

const LARGEST_KEPT_BYTES = 16 * 1024;

/** `bytes`: they are too large for a record, which only says how large they are. */
export type RecordedValues = { values: string[] } | { bytes: number };

export function recorded(values: Values): RecordedValues {
  const bytes = values.reduce((sum, value) => sum + value.length, 0);
  return bytes > LARGEST_KEPT_BYTES ? { bytes } : { values: toBase64(values) };
}

/** For screens. */
export function recordedWords(given: RecordedValues): string {
  if ('bytes' in given) return `(${given.bytes} bytes)`;
  if (given.values.length === 0) return '(none)';
  return fromBase64(given.values).map(words).join(' | ');
}

function words(value: Uint8Array): string {
  const text = Buffer.from(value).toString('utf8');
  const isText = Buffer.from(text).equals(Buffer.from(value)) && !text.includes('\0');
  return isText ? text : `(${value.length} bytes)`;
}
