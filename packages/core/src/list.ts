/**
 * Address lists: what the server releases to whom (T2). A list is a filter, the attributes that it releases, and who
 * receives it. Entries that enter or leave it, by a change of the entry or of the definition, are numbered like
 * changes (rule 12), and its tombstones are its own, so that ids which were never on it do not leak.
 */
import { createHash } from 'node:crypto';
import type { PostofficeName } from './change.ts';
import { withoutHashed } from './compared-values.ts';
import { type Edit, isEdit, isEditAttribute, readEdit } from './edits.ts';
import { CanonicalWriter, entryHash, kindOf, ownerOf, selectAttributes } from './entry.ts';
import { type AttributeLookup, compileFilter, entryLookup, isSubtype } from './filter.ts';
import { listable } from './holds.ts';
import type { EntryRow, ListRow } from './seams/store.ts';

export interface AddressListDefinition {
  name: string;
  /** RFC 4515; besides attributes it knows `postoffice` (the owner) and `kind`. */
  filter: string;
  /** Released attributes, or ["*"]; `cn` releases `cn;lang-no` too (RFC 4512 §2.5.2). */
  attributes: string[];
  /** Requestors that follow it; each follows exactly one list. "*": all that no other list names. */
  receivers: PostofficeName[] | '*';
  /** Attributes of others' entries on it that its receivers may propose to change (edits.ts); ["*"]: all. Absent: none. */
  edits?: string[];
}

export interface AddressList {
  definition: AddressListDefinition;
  /** Of filter and attributes: what decides who is on the list and what of him is released. */
  fingerprint: string;
  releases(attribute: string): boolean;
  /** Whether its receivers may propose other values of it. */
  takesEditsOf(attribute: string): boolean;
  /** The entry as the list releases it, or null when it is not on the list. `hash`: its entry hash, where that is known. */
  release(bytes: Uint8Array, hash?: Uint8Array | null): { bytes: Uint8Array; hash: Uint8Array } | null;
}

export function compileList(definition: AddressListDefinition): AddressList {
  const filter = compileFilter(definition.filter);
  const everything = definition.attributes.includes('*');
  const released = new Set(definition.attributes.map((name) => name.toLowerCase()));
  const isNamed = namedBy(definition.attributes);
  const keep = (name: string) => isNamed(name) || isEditAttribute(name);
  const writer = new CanonicalWriter();
  // lookupIn gives everybody an objectClass.
  const takesAll = filter.matchesAll || filter.text.toLowerCase() === '(objectclass=*)';
  return {
    definition,
    fingerprint: createHash('sha256')
      .update(JSON.stringify([definition.filter, everything ? '*' : [...released].sort()]))
      .digest('hex'),
    releases: keep,
    takesEditsOf: namedBy(definition.edits ?? []),
    release(bytes, hash = null) {
      if (!takesAll && filter.matches(lookupIn(bytes)) !== true) return null;
      if (everything) return { bytes, hash: hash ?? entryHash(bytes) };
      const out = selectAttributes(bytes, keep, writer);
      return { bytes: out, hash: entryHash(out) };
    },
  };
}

function namedBy(names: string[]): (attribute: string) => boolean {
  if (names.includes('*')) return () => true;
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  return (attribute) => wanted.has(attribute) || [...wanted].some((one) => isSubtype(attribute, one));
}

/**
 * What a list releases of a collected entry, or null: as it is shown (holds.ts), without values that another owner had
 * before (claims.ts). Whether it is on the list does not depend on those. An edit is released as it is, or not at all
 * (isEditOn).
 */
export function releaseOf(list: AddressList, entry: EntryRow): ReturnType<AddressList['release']> {
  const shown = listable(entry);
  if (shown !== null && isEdit(shown)) return { bytes: shown, hash: entryHash(shown) };
  const released = shown === null ? null : list.release(shown, shown === entry.bytes ? entry.hash : null);
  if (released === null || entry.withheld === null) return released;
  const bytes = withoutHashed(released.bytes, entry.withheld, new CanonicalWriter());
  return { bytes, hash: entryHash(bytes) };
}

/** An edit is on a list if its target is, and the list releases all of its attributes. `target`: its row, if there is one. */
export function isEditOn(list: AddressList, edit: Edit, target: EntryRow | undefined): boolean {
  const isReleased = target !== undefined && !isEditRow(target) && releaseOf(list, target) !== null;
  return isReleased && [...edit.values.keys()].every((name) => list.releases(name));
}

/** Of `collected`. */
export function isEditRow(row: EntryRow): boolean {
  const bytes = row.bytes ?? row.held?.shown ?? null;
  return bytes !== null && isEdit(bytes);
}

/** The list that a requestor follows. */
export function listFor(lists: AddressList[], requestor: PostofficeName): AddressList | undefined {
  return (
    lists.find(({ definition }) => definition.receivers !== '*' && definition.receivers.includes(requestor)) ??
    lists.find(({ definition }) => definition.receivers === '*')
  );
}

/** What a list's filter sees of an entry: its attributes, `postoffice` and `kind`. Every entry has an objectClass. */
export function lookupIn(bytes: Uint8Array): AttributeLookup {
  const attributes = entryLookup(bytes);
  return (name) => {
    if (name === 'postoffice') return [Buffer.from(ownerOf(bytes))];
    if (name === 'kind') return [Buffer.from(kindOf(bytes))];
    const values = attributes(name);
    return values.length === 0 && name === 'objectclass' ? [Buffer.from('top')] : values;
  };
}

export interface ListEffect {
  row: ListRow;
  /** To add to and to take from the owner's sum on this list. */
  add: Uint8Array | null;
  subtract: Uint8Array | null;
}

/**
 * What a changed entry means for one list; null when nothing. `redefined`: the list changed and not the entry, so
 * that receivers need it whole. `target`: of an edit.
 */
export function listEffect(
  list: AddressList,
  entry: EntryRow,
  row: ListRow | undefined,
  seq: number,
  { redefined = false, target }: { redefined?: boolean; target?: EntryRow | undefined } = {},
): ListEffect | null {
  const shown = listable(entry);
  const edit = shown === null ? null : readEdit(shown);
  const released = edit !== null && !isEditOn(list, edit, target) ? null : releaseOf(list, entry);
  const on = row !== undefined && !row.left;
  if (released === null) {
    return on ? { row: { ...row, left: true, seq }, add: null, subtract: row.hash } : null;
  }
  if (!on) {
    const entering = { number: entry.number, owner: entry.owner, seq, left: false, first: row?.first ?? seq };
    return {
      row: { ...entering, entered: seq, introduced: seq, hash: released.hash },
      add: released.hash,
      subtract: null,
    };
  }
  if (Buffer.compare(released.hash, row.hash) === 0) return null;
  const whole = redefined || entry.changed === null;
  return {
    row: {
      ...row,
      seq,
      hash: released.hash,
      entered: whole ? seq : row.entered,
      introduced: row.introduced === 0 ? seq : row.introduced,
    },
    add: released.hash,
    subtract: row.hash,
  };
}
