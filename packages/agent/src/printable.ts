/** Values from outside as they are shown: on a terminal, in a log, in JSON. Nothing in a directory can speak to a terminal. */

/**
 * Control characters; what changes the direction of what follows; what takes no room, so that two names look the same (soft
 * hyphen, zero-width spaces and joiners, tags); other ends of lines; halves of a pair.
 */
const UNSEEN =
  '\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e' +
  '\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\u{e0000}-\\u{e0fff}\\p{Cs}';
const CONTROLS = new RegExp(`[\\u0000-\\u001f${UNSEEN}]`, 'gu');
const CONTROLS_BUT_LINES = new RegExp(`[\\u0000-\\u0009\\u000b-\\u001f${UNSEEN}]`, 'gu');
const BEYOND_JSON = new RegExp(`[${UNSEEN}]`, 'gu');

/** Without what cannot be seen, or drives a terminal. */
export function printable(text: string, keepLines = false): string {
  return text.replace(
    keepLines ? CONTROLS_BUT_LINES : CONTROLS,
    (character) => `\\x${character.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  );
}

/** The same characters as JSON escapes: the value stays what it is. */
export function printableJson(value: unknown, indent?: number): string {
  return escapedJson(JSON.stringify(value, replacer, indent));
}

/** Of a text that is JSON already. */
export function escapedJson(json: string): string {
  const escaped = (half: string) => `\\u${half.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(BEYOND_JSON, (character) => character.replace(/[^]/g, escaped));
}

function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  const buffer = value as { type?: unknown; data?: unknown } | null;
  if (buffer?.type === 'Buffer' && Array.isArray(buffer.data)) return Buffer.from(buffer.data).toString('hex');
  return value;
}
