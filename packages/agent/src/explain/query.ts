/** What an administrator may call somebody: an entry id, a DN, a mail address, a filter, a name, or the key of his directory. */
import {
  type AnchorHint,
  compileFilter,
  type CompiledFilter,
  deriveEntryId,
  escapeFilterValue,
  normalizeDn,
} from '@dirpost/core';

export interface Query {
  text: string;
  /** How it was understood, for people. */
  understood: string;
  /** null where only ids are meant. */
  filter: CompiledFilter | null;
  /** For when nobody else was found: names that many have. */
  looseFilter: CompiledFilter | null;
  normalizedDn: string | null;
  /** Given, or derived as if the text were a key; hexadecimal. */
  ids: string[];
}

/** The last two are keys of directories, which travel where no mapping drops them. */
const NAMES = ['uid', 'cn', 'displayName', 'sAMAccountName', 'entryUUID', 'nsUniqueId'];

/** `anchors`: how ids of entries derive from keys. Throws DirpostError `filter-syntax` for what begins as a filter. */
export function parseQuery(text: string, anchors: AnchorHint[]): Query {
  const none = { text, normalizedDn: null, ids: [], looseFilter: null };
  if (text.startsWith('(')) return { ...none, understood: `the filter ${text}`, filter: compileFilter(text) };
  const ids = anchors.map(({ owner, space }) => hex(deriveEntryId(owner, space, Buffer.from(text))));
  if (/^[0-9a-f]{32}$/i.test(text)) {
    return { ...none, understood: 'an entry id', filter: null, ids: [text.toLowerCase(), ...ids] };
  }
  const normalizedDn = text.includes('=') ? dnOrNull(text) : null;
  if (normalizedDn !== null) return { ...none, understood: 'a DN', filter: equal(['entrydn'], text), normalizedDn };
  if (text.includes('@')) {
    const filter = equal(['mail', 'mailAlternateAddress', 'userPrincipalName'], text);
    return { ...none, understood: 'a mail address', filter, ids };
  }
  return {
    ...none,
    understood: 'name, uid or key',
    filter: equal(NAMES, text),
    looseFilter: givenOrSurname(text),
    ids,
  };
}

function equal(attributes: string[], value: string): CompiledFilter {
  return compileFilter(`(|${attributes.map((name) => `(${name}=${escapeFilterValue(value)})`).join('')})`);
}

/** Anna, Berg, Anna Berg: where `cn` is made in another way. */
function givenOrSurname(text: string): CompiledFilter {
  const value = escapeFilterValue(text);
  const [, given, surname] = /^(.+)\s+(\S+)$/.exec(text) ?? [];
  const both =
    given === undefined ? '' : `(&(givenName=${escapeFilterValue(given)})(sn=${escapeFilterValue(surname!)}))`;
  return compileFilter(`(|(givenName=${value})(sn=${value})${both})`);
}

function dnOrNull(text: string): string | null {
  try {
    return normalizeDn(text);
  } catch {
    return null;
  }
}

export function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
