/**
 * Records → octets of LDIF (RFC 2849): folded at 76 columns, base64 where the RFC demands it. The same records give
 * the same octets: objectClass first, then the attributes by name, values in their order. Entries come from others: an attribute
 * that is called like a word of LDIF is left out, since it would make another record of this one.
 */
import { type Attributes, type DirectoryEntry, sortedNames } from '@dirpost/core';
import { displayName } from './attribute-names.ts';
import { RECORD_WORDS } from './names.ts';
import type { ChangeRecord, Control, ContentRecord } from './records.ts';

const MAX_COLUMNS = 76;
const MAX_CACHED_NAMES = 4096;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const COLON = 58;
const LESS_THAN = 60;

/** Grows as needed; take what is in it with `bytes()`, then `reset()`. */
export class LdifEncoder {
  #buffer: Buffer = Buffer.allocUnsafe(1 << 16);
  #length = 0;
  readonly #prefixes = new Map<string, Buffer>();

  get length(): number {
    return this.#length;
  }

  /** A view, good until the next call of anything else. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  version(): void {
    this.#text('version: 1\n\n');
  }

  /** `text` without line ends. */
  comment(text: string): void {
    this.#text(`# ${text.replace(/[\r\n]+/g, ' ')}\n`);
  }

  record(record: ContentRecord | ChangeRecord): void {
    if (record.kind === 'content') this.entry(record);
    else this.#change(record);
  }

  entry(entry: DirectoryEntry): void {
    this.#line('dn', Buffer.from(entry.dn));
    this.#attributes(entry.attributes);
    this.#text('\n');
  }

  #change(record: ChangeRecord): void {
    this.#line('dn', Buffer.from(record.dn));
    for (const control of record.controls) this.#control(control);
    this.#text(`changetype: ${record.kind === 'rename' ? 'modrdn' : record.kind}\n`);
    if (record.kind === 'add') this.#attributes(record.attributes);
    if (record.kind === 'modify') {
      for (const { operation, attribute, values } of record.modifications) {
        this.#text(`${operation}: ${displayName(attribute)}\n`);
        for (const value of values) this.#line(attribute, value);
        this.#text('-\n');
      }
    }
    if (record.kind === 'rename') {
      this.#line('newrdn', Buffer.from(record.newRdn));
      this.#text(`deleteoldrdn: ${record.deleteOldRdn ? 1 : 0}\n`);
      if (record.newSuperior !== undefined) this.#line('newsuperior', Buffer.from(record.newSuperior));
    }
    this.#text('\n');
  }

  #control(control: Control): void {
    const value = control.value === undefined ? '' : `:: ${Buffer.from(control.value).toString('base64')}`;
    this.#folded(Buffer.from(`control: ${control.oid} ${control.critical}${value}`));
  }

  #attributes(attributes: Attributes): void {
    const names = inOrder(attributes);
    if (attributes.has('objectclass')) this.#values('objectclass', attributes.get('objectclass')!);
    for (const name of names) {
      if (RECORD_WORDS.has(name)) this.comment(`${name}: left out, which no attribute can be called in LDIF`);
      else if (name !== 'objectclass') this.#values(name, attributes.get(name)!);
    }
  }

  #values(name: string, values: Uint8Array[]): void {
    for (const value of values) this.#line(name, value);
  }

  #line(name: string, value: Uint8Array): void {
    const prefix = this.#prefix(name);
    if (prefix.length + value.length <= MAX_COLUMNS && this.#shortLine(prefix, value)) return;
    if (isSafe(value)) this.#folded(Buffer.concat([prefix, value]));
    else this.#folded(Buffer.from(`${displayName(name)}:: ${toBuffer(value).toString('base64')}`.trimEnd()));
  }

  /** Copies and checks in one go; false, and nothing written, if the value needs base64. */
  #shortLine(prefix: Buffer, value: Uint8Array): boolean {
    this.#reserve(prefix.length + value.length + 1);
    const buffer = this.#buffer;
    let to = this.#length;
    for (let i = 0; i < prefix.length; i++) buffer[to++] = prefix[i]!;
    const length = value.length;
    if (length === 0) to--;
    else if (!isSafeStart(value[0]!) || value[length - 1] === SPACE) return false;
    for (let i = 0; i < length; i++) {
      const octet = value[i]!;
      if (octet > 126 || (octet < SPACE && octet !== TAB)) return false;
      buffer[to++] = octet;
    }
    buffer[to++] = LF;
    this.#length = to;
    return true;
  }

  /** One logical line; continuation lines begin with the space that counts as their first column. */
  #folded(line: Buffer): void {
    this.#reserve(line.length + Math.ceil(line.length / (MAX_COLUMNS - 1)) * 2 + 2);
    for (let at = 0, columns = MAX_COLUMNS; at < line.length; at += columns, columns = MAX_COLUMNS - 1) {
      if (at > 0) this.#buffer[this.#length++] = SPACE;
      const end = Math.min(at + columns, line.length);
      this.#length += line.copy(this.#buffer, this.#length, at, end);
      this.#buffer[this.#length++] = LF;
    }
  }

  #prefix(name: string): Buffer {
    let prefix = this.#prefixes.get(name);
    if (prefix === undefined) {
      if (this.#prefixes.size >= MAX_CACHED_NAMES) this.#prefixes.clear();
      prefix = Buffer.from(`${displayName(name)}: `);
      this.#prefixes.set(name, prefix);
    }
    return prefix;
  }

  #text(text: string): void {
    this.#reserve(text.length * 3);
    this.#length += this.#buffer.write(text, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    this.#buffer.copy(bigger, 0, 0, this.#length);
    this.#buffer = bigger;
  }
}

function inOrder(attributes: Attributes): Iterable<string> {
  let previous = '';
  for (const name of attributes.keys()) {
    if (name < previous) return sortedNames(attributes.keys());
    previous = name;
  }
  return attributes.keys();
}

/**
 * RFC 2849 SAFE-STRING; and not ending in a space (note 8), which many tools would lose; and without control characters,
 * which would speak to the terminal of whoever looks at the file.
 */
function isSafe(value: Uint8Array): boolean {
  if (value.length === 0) return true;
  if (!isSafeStart(value[0]!) || value.at(-1) === SPACE) return false;
  for (const octet of value) if (octet > 126 || (octet < SPACE && octet !== TAB)) return false;
  return true;
}

function isSafeStart(octet: number): boolean {
  return octet !== SPACE && octet !== COLON && octet !== LESS_THAN;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
