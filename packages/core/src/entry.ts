/**
 * An entry and its canonical bytes. Inside dirpost an entry *is* its canonical bytes: they are stored, hashed, compared
 * and patched without being taken apart (format.md, "Canonical encoding").
 *
 *   id (16) · owner length (1) · owner · kind (1) · attributes
 *   attributes: for each, ascending by name: name length (1) · name · value count (varint) · values
 *   values, ascending by octets, no two equal: length (varint) · octets
 *
 * Names are attribute descriptions (RFC 4512 §2.5) in lower case. Values are octets, as in LDAP. An attribute whose
 * values are entry ids (members) carries the option `;entryid`.
 */
import { createHash, hash as oneShotHash } from 'node:crypto';
import { DirpostError } from './errors.ts';
import type { Limits } from './limits.ts';

export type EntryKind = 'person' | 'group' | 'contact' | 'resource' | 'edit';

/** The codes of the canonical encoding; an edit (design section 5) has its place, its behaviour comes later. */
export const kindCodes: Record<EntryKind, number> = { person: 1, group: 2, contact: 3, resource: 4, edit: 5 };
const kindNames: (EntryKind | undefined)[] = [undefined, 'person', 'group', 'contact', 'resource', 'edit'];

export const REFERENCE_OPTION = ';entryid';

/** Lower-case attribute description → values. */
export type Attributes = Map<string, Uint8Array[]>;

export interface Entry {
  /** 16 bytes. */
  id: Uint8Array;
  owner: string;
  kind: EntryKind;
  attributes: Attributes;
}

const ID_BYTES = 16;

/**
 * The stable id of an entry: the first 16 bytes of SHA-256 over owner, anchor space and anchor, each with its length.
 * `anchor` is what the directory itself keeps for life (entryUUID, objectGUID, a key attribute), as octets.
 */
export function deriveEntryId(owner: string, space: string, anchor: Uint8Array): Uint8Array {
  const hash = createHash('sha256');
  for (const part of [Buffer.from('dirpost entry id'), Buffer.from(owner), Buffer.from(space), anchor]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest().subarray(0, ID_BYTES);
}

/** The entry hash: the first 16 bytes of SHA-256 over the canonical bytes. */
export function entryHash(bytes: Uint8Array): Uint8Array {
  return oneShotHash('sha256', bytes, 'buffer').subarray(0, ID_BYTES);
}

/** A growing buffer for canonical bytes; one writer is reused for many entries. */
export class CanonicalWriter {
  #buffer = Buffer.allocUnsafe(4096);
  #length = 0;

  reset(): this {
    this.#length = 0;
    return this;
  }

  head(id: Uint8Array, owner: string, kind: EntryKind): this {
    this.raw(id);
    const name = Buffer.from(owner);
    this.byte(name.length).raw(name);
    return this.byte(kindCodes[kind]);
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  varint(value: number): this {
    this.#reserve(8);
    while (value >= 0x80) {
      this.#buffer[this.#length++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#buffer[this.#length++] = value;
    return this;
  }

  raw(bytes: Uint8Array, start = 0, end = bytes.length): this {
    const count = end - start;
    this.#reserve(count);
    if (count <= 24) for (let i = start, to = this.#length; i < end; i++, to++) this.#buffer[to] = bytes[i]!;
    else this.#buffer.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.#length);
    this.#length += count;
    return this;
  }

  name(name: string): this {
    this.byte(name.length);
    this.#reserve(name.length);
    for (let i = 0; i < name.length; i++) this.#buffer[this.#length++] = name.charCodeAt(i);
    return this;
  }

  /** The caller gives attributes in ascending order of name; values are sorted and made distinct here. */
  attribute(name: string, values: Uint8Array[]): this {
    const sorted = sortValues(values);
    this.name(name).varint(sorted.length);
    for (const value of sorted) this.varint(value.length).raw(value);
    return this;
  }

  get length(): number {
    return this.#length;
  }

  /** A copy of what was written. */
  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    bigger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = bigger;
  }
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function sortValues(values: Uint8Array[]): Uint8Array[] {
  if (values.length < 2) return values;
  const sorted = [...values].sort(compareBytes);
  return sorted.filter((value, i) => i === 0 || compareBytes(sorted[i - 1]!, value) !== 0);
}

export function sortedNames(names: Iterable<string>): string[] {
  // Attribute descriptions are ASCII, so the order of UTF-16 units is the order of octets.
  return [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

const writer = () => new CanonicalWriter();

export function encodeEntry(entry: Entry, into: CanonicalWriter = writer()): Buffer {
  into.reset().head(entry.id, entry.owner, entry.kind);
  for (const name of sortedNames(entry.attributes.keys())) {
    const values = entry.attributes.get(name)!;
    if (values.length > 0) into.attribute(name, values);
  }
  return into.finish();
}

/** Canonical attribute bytes of a change (`part`); an attribute without values is one that was cleared. */
export function encodeAttributes(attributes: Attributes, into: CanonicalWriter = writer()): Buffer {
  into.reset();
  for (const name of sortedNames(attributes.keys())) into.attribute(name, attributes.get(name)!);
  return into.finish();
}

/** Where in canonical bytes one attribute stands. Offsets are into the bytes that were walked. */
export interface AttributeSpan {
  name: string;
  /** Of the name length octet. */
  start: number;
  /** Of the first value's length. */
  valuesStart: number;
  count: number;
  end: number;
}

export function ownerOf(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('utf8', ID_BYTES + 1, ID_BYTES + 1 + bytes[ID_BYTES]!);
}

export function idOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, ID_BYTES);
}

export function kindOf(bytes: Uint8Array): EntryKind {
  const kind = kindNames[bytes[ID_BYTES + 1 + bytes[ID_BYTES]!]!];
  if (kind === undefined) throw malformed('an unknown kind of entry');
  return kind;
}

/** Where the attributes begin in the canonical bytes of an entry. */
export function attributesStart(bytes: Uint8Array): number {
  return ID_BYTES + 1 + bytes[ID_BYTES]! + 1;
}

/** Walks canonical attribute bytes; throws on bytes that end early. It does not check the order (checkCanonical does). */
export function* attributeSpans(bytes: Uint8Array, from = attributesStart(bytes)): Generator<AttributeSpan> {
  const buffer = asBuffer(bytes);
  let at = from;
  while (at < buffer.length) {
    const start = at;
    const nameEnd = at + 1 + buffer[at]!;
    const name = buffer.toString('latin1', at + 1, nameEnd);
    let [count, next] = readVarint(buffer, nameEnd);
    const valuesStart = next;
    for (let i = 0; i < count; i++) {
      const [length, valueStart] = readVarint(buffer, next);
      next = valueStart + length;
    }
    if (next > buffer.length) throw malformed('an attribute that ends early');
    at = next;
    yield { name, start, valuesStart, count, end: next };
  }
}

export function spanValues(bytes: Uint8Array, span: AttributeSpan): Uint8Array[] {
  const values: Uint8Array[] = [];
  let at = span.valuesStart;
  for (let i = 0; i < span.count; i++) {
    const [length, start] = readVarint(bytes, at);
    values.push(bytes.subarray(start, start + length));
    at = start + length;
  }
  return values;
}

export function decodeAttributes(bytes: Uint8Array, from = 0): Attributes {
  const buffer = asBuffer(bytes);
  const attributes: Attributes = new Map();
  // As attributeSpans; by itself, since all of a network are decoded where it is written.
  for (let at = from; at < buffer.length; ) {
    const nameEnd = at + 1 + buffer[at]!;
    const name = buffer.toString('latin1', at + 1, nameEnd);
    const values: Uint8Array[] = [];
    let [count, next] = readVarint(buffer, nameEnd);
    for (; count > 0; count--) {
      const [length, start] = readVarint(buffer, next);
      next = start + length;
      values.push(bytes.subarray(start, next));
    }
    if (next > buffer.length) throw malformed('an attribute that ends early');
    attributes.set(name, values);
    at = next;
  }
  return attributes;
}

export function decodeEntry(bytes: Uint8Array): Entry {
  return {
    id: idOf(bytes),
    owner: ownerOf(bytes),
    kind: kindOf(bytes),
    attributes: decodeAttributes(bytes, attributesStart(bytes)),
  };
}

/** The values of one attribute, without decoding the others. */
export function attributeValues(bytes: Uint8Array, name: string): Uint8Array[] {
  for (const span of attributeSpans(bytes)) if (span.name === name) return spanValues(bytes, span);
  return [];
}

/** The entry with the attributes of `patch` in place of its own; attributes without values in `patch` are removed. */
export function patchEntry(bytes: Uint8Array, patch: Uint8Array, into: CanonicalWriter = writer()): Buffer {
  const own = attributeSpans(bytes);
  const changed = attributeSpans(patch, 0);
  into.reset().raw(bytes, 0, attributesStart(bytes));
  let a = own.next();
  let b = changed.next();
  while (!a.done || !b.done) {
    if (b.done || (!a.done && a.value.name < b.value.name)) {
      into.raw(bytes, a.value!.start, a.value!.end);
      a = own.next();
    } else {
      if (!a.done && a.value.name === b.value.name) a = own.next();
      if (b.value.count > 0) into.raw(patch, b.value.start, b.value.end);
      b = changed.next();
    }
  }
  return into.finish();
}

/** The names of the attributes in which two entries differ, ascending. */
export function differingAttributes(before: Uint8Array, after: Uint8Array): string[] {
  const names: string[] = [];
  const own = attributeSpans(before);
  const other = attributeSpans(after);
  let a = own.next();
  let b = other.next();
  while (!a.done || !b.done) {
    if (b.done || (!a.done && a.value.name < b.value.name)) {
      names.push(a.value!.name);
      a = own.next();
    } else if (a.done || b.value.name < a.value.name) {
      names.push(b.value.name);
      b = other.next();
    } else {
      const same = asBuffer(before)
        .subarray(a.value.start, a.value.end)
        .equals(after.subarray(b.value.start, b.value.end));
      if (!same) names.push(a.value.name);
      a = own.next();
      b = other.next();
    }
  }
  return names;
}

/** The canonical bytes with only the attributes that `keep` wants; the same bytes when it wants all. */
export function selectAttributes(
  bytes: Uint8Array,
  keep: (name: string) => boolean,
  into: CanonicalWriter = writer(),
): Uint8Array {
  into.reset().raw(bytes, 0, attributesStart(bytes));
  for (const span of attributeSpans(bytes)) if (keep(span.name)) into.raw(bytes, span.start, span.end);
  return into.length === bytes.length ? bytes : into.finish();
}

/** The patch that sends these attributes as they stand in `bytes`; names that it lacks become cleared attributes. */
export function attributePatch(
  bytes: Uint8Array,
  names: ReadonlySet<string>,
  into: CanonicalWriter = writer(),
): Buffer {
  into.reset();
  const missing = sortedNames(names);
  for (const span of attributeSpans(bytes)) {
    while (missing.length > 0 && missing[0]! < span.name) into.name(missing.shift()!).varint(0);
    if (missing[0] !== span.name) continue;
    missing.shift();
    into.raw(bytes, span.start, span.end);
  }
  for (const name of missing) into.name(name).varint(0);
  return into.finish();
}

/**
 * Checks what came from outside: well-formed, in order, no doubles, within limits. `from` is where attributes begin
 * (0 for a patch, in which attributes may be without values).
 */
export function checkCanonicalAttributes(bytes: Uint8Array, from: number, limits: Limits): void {
  if (bytes.length > limits.maxEntryBytes) throw malformed('an entry over the size limit');
  let previous = '';
  let attributes = 0;
  for (const span of attributeSpans(bytes, from)) {
    if (++attributes > limits.maxAttributes) throw malformed('too many attributes');
    if (!/^[a-z0-9][a-z0-9.;_-]*$/.test(span.name)) throw malformed('an attribute name that LDAP does not know');
    if (span.name <= previous) throw malformed('attributes out of order');
    if (span.count === 0 && from > 0) throw malformed('an attribute without values');
    if (span.count > limits.maxValues) throw malformed('too many values');
    previous = span.name;
    let last: Uint8Array | undefined;
    for (const value of spanValues(bytes, span)) {
      if (value.length > limits.maxValueBytes) throw malformed('a value over the size limit');
      if (last !== undefined && compareBytes(last, value) >= 0) throw malformed('values out of order');
      last = value;
    }
  }
}

export function readVarint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = bytes[at]!;
  if (value < 0x80) return [value, at + 1];
  value &= 0x7f;
  for (let factor = 0x80, next = at + 1; next < at + 7; next++, factor *= 0x80) {
    const octet = bytes[next];
    if (octet === undefined) break;
    value += (octet & 0x7f) * factor;
    if (octet < 0x80) return [value, next + 1];
  }
  throw malformed('a number that ends early');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(what: string): DirpostError {
  return new DirpostError('message-payload', `The canonical bytes of an entry hold ${what}.`);
}
