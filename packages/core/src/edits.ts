/**
 * An edit: a change that somebody proposes to an entry of somebody else (design section 5). It is an entry of its own, owned
 * by the editor and part of what he publishes; so it is numbered, hashed, repaired and restored like any other. Here is what
 * it looks like, and what it makes of its target; propose.ts is the editor's side, settle.ts the owner's.
 *
 *   id             derived from the editor and the target: one edit per editor and entry
 *   x-edit-target  entry id of the target
 *   x-edit-base    what the edited attributes were when he made it: the hash of their values (baseOf); several where an
 *                  earlier edit of his may have been taken meanwhile
 *   x-edit-serial  told anew for each: the same proposal, made again later, is another edit
 *   x-edit-clear   names of attributes that lose all their values
 *   all others     edited attributes with the values that they are to have
 *
 * The owner tells with the target which edits he has settled, by their entry hashes: x-edit-settled.
 */
import {
  type Attributes,
  attributesStart,
  attributeValues,
  compareBytes,
  decodeAttributes,
  deriveEntryId,
  encodeAttributes,
  type Entry,
  entryHash,
  idOf,
  kindCodes,
  ownerOf,
  patchEntry,
  REFERENCE_OPTION,
} from './entry.ts';
import { DirpostError } from './errors.ts';
import { DN_ATTRIBUTE, isOperational } from './mapping.ts';
import { isSecret } from './secret-attributes.ts';

export const EDIT_TARGET = 'x-edit-target';
export const EDIT_BASE = 'x-edit-base';
export const EDIT_SERIAL = 'x-edit-serial';
export const EDIT_CLEAR = 'x-edit-clear';
export const EDIT_SETTLED = 'x-edit-settled';
const EDIT_PREFIX = 'x-edit-';

const HASH_BYTES = 16;
export const EDIT_SERIAL_BYTES = 8;
export const MAX_EDIT_BASES = 8;

export interface Edit {
  /** Entry id. */
  target: Uint8Array;
  /** One to MAX_EDIT_BASES, 16 octets each: the edited attributes as any of these. */
  bases: Uint8Array[];
  /** EDIT_SERIAL_BYTES, at random. */
  serial: Uint8Array;
  /** The edited attributes, at least one; without values: cleared. */
  values: Attributes;
}

/** Without a look at its attributes. */
export function isEdit(bytes: Uint8Array): boolean {
  return bytes[attributesStart(bytes) - 1] === kindCodes.edit;
}

export function editId(editor: string, target: Uint8Array): Uint8Array {
  return deriveEntryId(editor, 'edit', target);
}

/** Attributes by which edits speak of themselves: lists release them always, and directories never get them. */
export function isEditAttribute(name: string): boolean {
  return name.startsWith(EDIT_PREFIX);
}

/** False: none of its attributes is such. */
export function mentionsEdits(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(EDIT_PREFIX);
}

/** Names, places, members and what lets somebody in are their owner's alone. `name` in lower case. */
export function isEditable(name: string): boolean {
  const type = name.split(';')[0]!;
  if (isEditAttribute(type) || name.endsWith(REFERENCE_OPTION)) return false;
  if (NEVER_EDITED.has(type) || isSecret(type) || isOperational(type)) return false;
  return /^[a-z0-9][a-z0-9.;_-]*$/.test(name) && name.length <= 255;
}

const NEVER_EDITED = new Set([DN_ATTRIBUTE, 'objectclass', 'member', 'uniquemember', 'memberof']);

/** The hash of what these attributes are, those without values too. */
export function baseOf(attributes: Attributes, names: Iterable<string>): Uint8Array {
  return entryHash(encodeAttributes(new Map([...names].map((name) => [name, attributes.get(name) ?? []]))));
}

/** Throws DirpostError `wrong-use` for what may not be edited. */
export function encodeEdit(editor: string, { target, bases, serial, values }: Edit): Entry {
  const attributes: Attributes = new Map([
    [EDIT_TARGET, [target]],
    [EDIT_BASE, bases],
    [EDIT_SERIAL, [serial]],
  ]);
  const cleared: Uint8Array[] = [];
  for (const [name, wanted] of values) {
    if (!isEditable(name)) throw new DirpostError('wrong-use', `${name} cannot be edited: it is its owner's alone.`);
    if (wanted.length > 0) attributes.set(name, wanted);
    else cleared.push(Buffer.from(name));
  }
  if (values.size === 0) throw new DirpostError('wrong-use', 'An edit without an attribute changes nothing.');
  if (cleared.length > 0) attributes.set(EDIT_CLEAR, cleared);
  return { id: editId(editor, target), owner: editor, kind: 'edit', attributes };
}

/** Of the canonical bytes of an edit; throws DirpostError `message-payload` where they are none. */
export function editOf(bytes: Uint8Array): Edit {
  const values = isEdit(bytes) ? decodeAttributes(bytes, attributesStart(bytes)) : new Map<string, Uint8Array[]>();
  const take = (name: string): Uint8Array[] => {
    const found = values.get(name) ?? [];
    values.delete(name);
    return found;
  };
  const [target, another] = take(EDIT_TARGET);
  const bases = take(EDIT_BASE);
  const [serial] = take(EDIT_SERIAL);
  const cleared = take(EDIT_CLEAR).map((name) => Buffer.from(name).toString('latin1'));
  if (target?.length !== HASH_BYTES || another !== undefined) throw malformed('that has no target');
  if (compareBytes(idOf(bytes), editId(ownerOf(bytes), target)) !== 0) throw malformed('with the id of another entry');
  if (bases.length === 0 || bases.length > MAX_EDIT_BASES || bases.some((base) => base.length !== HASH_BYTES))
    throw malformed('that does not tell what it is based on');
  if (serial?.length !== EDIT_SERIAL_BYTES) throw malformed('without a serial');
  for (const name of cleared) {
    if (values.has(name)) throw malformed('that clears what it sets');
    values.set(name, []);
  }
  if (values.size === 0) throw malformed('that changes nothing');
  for (const name of values.keys()) if (!isEditable(name)) throw malformed(`of ${name}, which is its owner's alone`);
  return { target, bases, serial, values };
}

/** null where they are not those of an edit, or of one that is malformed. */
export function readEdit(bytes: Uint8Array): Edit | null {
  if (!isEdit(bytes)) return null;
  try {
    return editOf(bytes);
  } catch {
    return null;
  }
}

const NO_TARGET = Buffer.alloc(0);

/** For stores (StoreTx.editsOf): null where it is no edit, empty where it is malformed. */
export function targetOf(bytes: Uint8Array): Uint8Array | null {
  if (!isEdit(bytes)) return null;
  return readEdit(bytes)?.target ?? NO_TARGET;
}

/** Whether these attributes are as the edit supposes. */
export function isBasedOn({ bases, values }: Edit, attributes: Attributes): boolean {
  const base = baseOf(attributes, values.keys());
  return bases.some((one) => compareBytes(one, base) === 0);
}

/** The entry as it will be if its owner takes these edits, canonical bytes; those that he has settled leave it as it is. */
export function foldEdits(bytes: Uint8Array, edits: Uint8Array[]): Uint8Array {
  let folded = bytes;
  // The same for all who see it, in whatever order they came.
  for (const one of [...edits].sort((a, b) => compareBytes(idOf(a), idOf(b)))) {
    const edit = readEdit(one);
    const isFor = edit !== null && compareBytes(edit.target, idOf(bytes)) === 0;
    if (isFor && !isSettledIn(bytes, entryHash(one))) folded = patchEntry(folded, encodeAttributes(edit.values));
  }
  return folded;
}

/** Of an entry: the entry hashes of the edits that its owner has settled, ascending. */
export function settledIn(bytes: Uint8Array): Uint8Array[] {
  return attributeValues(bytes, EDIT_SETTLED).filter((mark) => mark.length === HASH_BYTES);
}

export function isSettledIn(bytes: Uint8Array, editHash: Uint8Array): boolean {
  return settledIn(bytes).some((mark) => compareBytes(mark, editHash) === 0);
}

/** The entry with exactly these marks; the same bytes where it has them. */
export function withSettled(bytes: Uint8Array, marks: Uint8Array[]): Uint8Array {
  if (marks.length === 0 && attributeValues(bytes, EDIT_SETTLED).length === 0) return bytes;
  return patchEntry(bytes, encodeAttributes(new Map([[EDIT_SETTLED, marks]])));
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `There is an edit ${what}.`);
}
