/**
 * T0: what of a directory's entry goes to the network. Base, filter and exclusions decide whether; the key attribute
 * gives the entry id; the attribute mapping renames, fills templates, and drops.
 */
import { isWithin } from './dn.ts';
import { type Attributes, deriveEntryId, type EntryKind, REFERENCE_OPTION } from './entry.ts';
import { DirpostError } from './errors.ts';
import { type AttributeLookup, attributesLookup, type CompiledFilter, compileFilter } from './filter.ts';
import type { Limits } from './limits.ts';
import { isSecret } from './secret-attributes.ts';
import type { DirectoryEntry } from './seams/directory.ts';

export type Exclusion = { dn: string } | { attribute: string; prefix: string } | { attribute: string; pattern: string };

export interface MappingOptions {
  owner: string;
  /** Attribute that the directory keeps for life, such as entryUUID. */
  key: string;
  /** Tells keys of different directories apart; part of the entry id. */
  space: string;
  base?: string | undefined;
  filter?: string | undefined;
  exclude?: Exclusion[] | undefined;
  /** RFC 4515 filters; the first that matches gives the kind. Entries that match none are left out. */
  kinds?: Partial<Record<EntryKind, string>> | undefined;
  /** Network attribute → source attribute, template, or null to drop. Others go as they are. */
  attributes?: Record<string, string | null> | undefined;
  /**
   * For a table: names are titles of columns, which may hold spaces, and a column that no mapping names goes to the
   * network only where this says so (`title`: in lower case).
   */
  columnPasses?: ((title: string) => boolean) | undefined;
  /** Network attributes by which an entry is known again under another key, in this order (recognise.ts). Absent: none. */
  match?: string[] | undefined;
  limits: Limits;
}

export type Mapped =
  | {
      outcome: 'publish';
      id: Uint8Array;
      kind: EntryKind;
      attributes: Attributes;
      /** DNs of the members of a group; they become ids when all entries are known. */
      memberDns: string[];
    }
  | { outcome: 'leave-out'; why: string }
  /** `id`: null where it has no key. */
  | { outcome: 'refuse'; id: Uint8Array | null; code: string; reason: string };

/** Groups, rooms and contacts by the object classes that OpenLDAP, 389-DS and Active Directory use for them. */
export const defaultKinds: [EntryKind, string][] = [
  ['group', '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group)(objectClass=posixGroup))'],
  ['contact', '(objectClass=contact)'],
  ['resource', '(|(objectClass=room)(objectClass=device)(objectClass=resource))'],
  ['person', '(|(objectClass=person)(objectClass=inetOrgPerson)(objectClass=user)(objectClass=account))'],
];

/** Names that dirpost uses itself (edits.ts). */
const OWN = /^x-edit-/;
/** Kept by the directory for itself (RFC 4512 §3.4): not sent unless mapped by name. */
const OPERATIONAL =
  /^(creatorsname|modifiersname|createtimestamp|modifytimestamp|structuralobjectclass|entrycsn|contextcsn|entryuuid|entrydn|nsuniqueid|objectguid|parentid|entryid|subschemasubentry|hassubordinates|numsubordinates|memberof|pwd.*|usn.*|whencreated|whenchanged|instancetype|dscorepropagationdata|objectsid)$/;

/** Of attribute types in lower case, without options. */
export const isOperational = (type: string): boolean => OPERATIONAL.test(type);

/** Whatever the mapping says. */
const isNeverPublished = (name: string): boolean => isSecret(name) || OWN.test(name);

const OBJECT_CLASS = 'objectclass';
const MEMBER_ATTRIBUTES = new Set(['member', 'uniquemember']);

/** Where the source DN travels: RFC 5020. */
export const DN_ATTRIBUTE = 'entrydn';
export const MEMBER_ATTRIBUTE = `member${REFERENCE_OPTION}`;

export interface Mapping {
  (entry: DirectoryEntry): Mapped;
  /** The id of the entry with that key; of whatever else may stand under it too. */
  idOfAnchor(anchor: Uint8Array): Uint8Array;
  /** null where it has no key. */
  anchorOf(entry: DirectoryEntry): Uint8Array | null;
  /** See MappingOptions. */
  readonly match: readonly string[];
}

export function compileMapping(options: MappingOptions): Mapping {
  const key = options.key.toLowerCase();
  const filter = options.filter === undefined ? null : compileFilter(options.filter);
  const kindFilters =
    options.kinds === undefined ? defaultKinds : (Object.entries(options.kinds) as [EntryKind, string][]);
  const kinds = kindFilters.map(([kind, text]) => [kind, compileFilter(text)] as const);
  const kindOf = remembered(
    kinds.flatMap(([, { attributes }]) => attributes),
    (lookup) => kindOfEntry(kinds, lookup),
  );
  const isWanted =
    filter === null ? () => true : remembered(filter.attributes, (lookup) => filter.matches(lookup) === true);
  const exclusions = (options.exclude ?? []).map(compileExclusion);
  const rules = compileAttributes(options.attributes ?? {}, key, options.columnPasses);
  const idOfAnchor = (anchor: Uint8Array) => deriveEntryId(options.owner, options.space, anchor);
  const anchorOf = (entry: DirectoryEntry) => {
    const anchor = entry.attributes.get(key)?.[0];
    return anchor === undefined || anchor.length === 0 ? null : anchor;
  };
  const map = (entry: DirectoryEntry): Mapped => {
    if (options.base !== undefined && !isWithin(entry.dn, options.base)) return leaveOut('it is outside the base');
    const lookup = attributesLookup(entry.attributes);
    if (!isWanted(lookup)) return leaveOut(`the filter ${filter!.text} does not match`);
    const excluded = exclusions.find((exclusion) => exclusion.matches(entry));
    if (excluded !== undefined) return leaveOut(`the exclusion ${excluded.text} matches`);
    const kind = kindOf(lookup);
    if (kind === undefined) return leaveOut('it is neither person, group, contact nor resource');
    const anchor = anchorOf(entry);
    if (anchor === null) {
      return {
        outcome: 'refuse',
        id: null,
        code: 'no-key',
        reason: `it has no ${options.key}, which is the key of this directory`,
      };
    }
    const id = idOfAnchor(anchor);
    const memberDns: string[] = [];
    const attributes = mapAttributes(entry, rules, kind === 'group' ? memberDns : null);
    const tooLarge = overLimit(id, attributes, memberDns.length, options.limits);
    return tooLarge ?? { outcome: 'publish', id, kind, attributes, memberDns };
  };
  return Object.assign(map, { idOfAnchor, anchorOf, match: options.match ?? [] });
}

function leaveOut(why: string): Mapped {
  return { outcome: 'leave-out', why };
}

/** So many sets of values are remembered: an organisation has a few sorts of entries. */
const MOST_REMEMBERED = 256;

/** What only object classes decide is the same for thousands of entries. `attributes`: all that `decide` asks for. */
function remembered<T>(
  attributes: readonly string[],
  decide: (lookup: AttributeLookup) => T,
): (lookup: AttributeLookup) => T {
  if (attributes.some((name) => name !== OBJECT_CLASS)) return decide;
  const known = new Map<string, T>();
  return (lookup) => {
    let key = '';
    for (const value of lookup(OBJECT_CLASS)) key += `${value.length} ${Buffer.from(value).toString('latin1')} `;
    const before = known.get(key);
    if (before !== undefined) return before;
    const decided = decide(lookup);
    if (known.size < MOST_REMEMBERED) known.set(key, decided);
    return decided;
  };
}

function kindOfEntry(
  kinds: (readonly [EntryKind, CompiledFilter])[],
  lookup: (name: string) => Uint8Array[],
): EntryKind | undefined {
  return kinds.find(([, filter]) => filter.matches(lookup) === true)?.[0];
}

function overLimit(id: Uint8Array, attributes: Attributes, members: number, limits: Limits): Mapped | null {
  const refuse = (reason: string): Mapped => ({ outcome: 'refuse', id, code: 'too-large', reason });
  if (attributes.size > limits.maxAttributes) return refuse(`it has more than ${limits.maxAttributes} attributes`);
  let bytes = members * 17;
  for (const [name, values] of attributes) {
    if (values.length + members > limits.maxValues) return refuse(`${name} has more than ${limits.maxValues} values`);
    for (const value of values) {
      bytes += value.length + 4;
      if (value.length > limits.maxValueBytes)
        return refuse(`a value of ${name} is over ${limits.maxValueBytes} bytes`);
    }
  }
  return bytes > limits.maxEntryBytes ? refuse(`it is over ${limits.maxEntryBytes} bytes`) : null;
}

type Rule = (entry: DirectoryEntry) => Uint8Array[];

interface Rules {
  /** Network attribute → how its values are made. */
  made: [string, Rule][];
  /** Source attributes that do not go as they are: renamed away, dropped or made otherwise. */
  taken: Set<string>;
  key: string;
  columnPasses: MappingOptions['columnPasses'];
}

function compileAttributes(
  mapping: Record<string, string | null>,
  key: string,
  columnPasses: MappingOptions['columnPasses'],
): Rules {
  const made: [string, Rule][] = [];
  const taken = new Set<string>();
  for (const [target, source] of Object.entries(mapping)) {
    const name = target.toLowerCase();
    taken.add(name);
    if (source === null) continue;
    if (source.includes('{')) {
      made.push([name, compileTemplate(source, columnPasses !== undefined)]);
    } else {
      const from = source.toLowerCase();
      if (from !== name && mapping[source] === undefined) taken.add(from);
      // Under another name neither; the configuration refuses such a mapping (secretIn).
      made.push([name, isSecret(from) ? () => [] : (entry) => entry.attributes.get(from) ?? []]);
    }
  }
  return { made: made.filter(([name]) => !isNeverPublished(name)), taken, key, columnPasses };
}

function mapAttributes(entry: DirectoryEntry, rules: Rules, memberDns: string[] | null): Attributes {
  const attributes: Attributes = new Map();
  for (const [name, values] of entry.attributes) {
    if (memberDns !== null && MEMBER_ATTRIBUTES.has(name)) {
      for (const value of values) memberDns.push(Buffer.from(value).toString('utf8'));
    } else if (!rules.taken.has(name) && (rules.columnPasses?.(name) ?? true) && !isWithheld(name, rules.key)) {
      attributes.set(name, values);
    }
  }
  for (const [name, rule] of rules.made) {
    const values = rule(entry).filter((value) => value.length > 0);
    if (values.length > 0) attributes.set(name, values);
  }
  if (!rules.taken.has(DN_ATTRIBUTE)) attributes.set(DN_ATTRIBUTE, [Buffer.from(entry.dn)]);
  return attributes;
}

type Passage = 'never' | 'as-key' | 'passes';
const passages = new Map<string, Passage>();

/** Remembered by name: it is asked for every attribute of every entry. Names are few; a bound guards against junk. */
function isWithheld(name: string, key: string): boolean {
  let passage = passages.get(name);
  if (passage === undefined) {
    const base = name.split(';', 1)[0]!;
    passage = isNeverPublished(base) ? 'never' : OPERATIONAL.test(base) ? 'as-key' : 'passes';
    if (passages.size < 10_000) passages.set(name, passage);
  }
  return passage === 'never' || (passage === 'as-key' && name !== key);
}

interface CompiledExclusion {
  text: string;
  matches(entry: DirectoryEntry): boolean;
}

function compileExclusion(exclusion: Exclusion): CompiledExclusion {
  if ('dn' in exclusion) {
    return { text: `dn: ${exclusion.dn}`, matches: (entry) => isWithin(entry.dn, exclusion.dn) };
  }
  const attribute = exclusion.attribute.toLowerCase();
  const values = (entry: DirectoryEntry) =>
    attribute === 'dn'
      ? [entry.dn]
      : (entry.attributes.get(attribute) ?? []).map((value) => Buffer.from(value).toString('utf8'));
  if ('prefix' in exclusion) {
    const prefix = exclusion.prefix.toLowerCase();
    const matches = (entry: DirectoryEntry) => values(entry).some((value) => value.toLowerCase().startsWith(prefix));
    return { text: `${exclusion.attribute}: ${exclusion.prefix}…`, matches };
  }
  const pattern = new RegExp(exclusion.pattern, 'iu');
  const matches = (entry: DirectoryEntry) => values(entry).some((value) => pattern.test(value));
  return { text: `${exclusion.attribute}: /${exclusion.pattern}/`, matches };
}

const functions: Record<string, (text: string) => string> = {
  trim: (text) => text.trim(),
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  first: (text) => [...text][0] ?? '',
  domain: (text) => text.slice(text.lastIndexOf('@') + 1),
  local: (text) => (text.includes('@') ? text.slice(0, text.lastIndexOf('@')) : text),
};

/**
 * A template such as "{sn}, {givenName|trim}": first values, through functions from left to right. It gives no value
 * where an attribute that it names has none. `{{` stands for a brace. `columns`: it names columns of a table.
 */
export function compileTemplate(template: string, columns = false): Rule {
  const pieces: (string | Placeholder)[] = [];
  const pattern = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g;
  for (const [text, inner] of template.matchAll(pattern)) {
    if (text === '{{' || text === '}}') pieces.push(text[0]!);
    else if (inner !== undefined) pieces.push(compilePlaceholder(template, inner, columns));
    else if (text === '{' || text === '}') throw invalidTemplate(template, `a single ${text}`);
    else pieces.push(text);
  }
  return (entry) => {
    let out = '';
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        out += piece;
        continue;
      }
      const value = piece.valueIn(entry);
      if (value === undefined) return [];
      out += piece.functions.reduce((text, apply) => apply(text), Buffer.from(value).toString('utf8'));
    }
    return [Buffer.from(out)];
  };
}

interface Placeholder {
  valueIn(entry: DirectoryEntry): Uint8Array | undefined;
  functions: ((text: string) => string)[];
}

function compilePlaceholder(template: string, inner: string, columns: boolean): Placeholder {
  const [attribute, ...names] = inner.split('|').map((part) => part.trim());
  if (attribute === undefined || !(columns ? /\S/ : /^[a-z0-9][a-z0-9.;_-]*$/i).test(attribute)) {
    throw invalidTemplate(template, `{${inner}} does not name an attribute`);
  }
  const chain = names.map((name) => {
    const apply = functions[name];
    if (apply === undefined) {
      throw invalidTemplate(template, `there is no function ${name}; there are ${Object.keys(functions).join(', ')}`);
    }
    return apply;
  });
  return { valueIn: firstValueOf(attribute.toLowerCase()), functions: chain };
}

function firstValueOf(attribute: string): Placeholder['valueIn'] {
  if (isSecret(attribute)) return () => undefined;
  return attribute === 'dn' ? ({ dn }) => Buffer.from(dn) : ({ attributes }) => attributes.get(attribute)?.[0];
}

function invalidTemplate(template: string, why: string): DirpostError {
  return new DirpostError('mapping-invalid', `The template "${template}" is not valid: ${why}.`, { retry: 'operator' });
}
