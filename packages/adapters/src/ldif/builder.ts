/**
 * Logical lines → records. What a line may be depends on what came before it:
 *
 *   between ──dn──▶ named ──attribute──▶ content ──blank──▶ between
 *                     │ ──control──▶ named
 *                     │ ──changetype──▶ content (add) │ delete │ modify ⇄ values │ rename ──blank──▶ between
 *   between ──search:, result:, ref:──▶ trailer ──blank──▶ between           (what ldapsearch appends)
 */
import type { Attributes, Limits } from '@dirpost/core';
import { NameTable, RECORD_WORDS } from './names.ts';
import {
  type ChangeRecord,
  type Control,
  type LdifPlace,
  type LdifRecord,
  ldifError,
  type Modification,
  shown,
} from './records.ts';
import { readValue, textOf, type UrlReader } from './values.ts';

type State = 'between' | 'named' | 'content' | 'delete' | 'modify' | 'values' | 'rename' | 'trailer';

const HASH = 35;
const COLON = 58;
const LESS_THAN = 60;
const SPACE = 32;
const operations: ReadonlySet<string> = new Set(['add', 'delete', 'replace', 'increment']);
const MAX_CONTROLS = 20;
const MAX_MODIFICATIONS = 10_000;

export interface BuilderOptions {
  source: string | undefined;
  limits: Limits;
  readUrl: UrlReader | undefined;
}

export class RecordBuilder {
  /** Finished records; whoever drives the builder takes them away. */
  records: LdifRecord[] = [];
  readonly #names = new NameTable();
  #state: State = 'between';
  #dn = '';
  #line = 0;
  #bytes = 0;
  #changeType = '';
  #controls: Control[] = [];
  #attributes: Attributes = new Map();
  #lastName = '';
  #lastValues: Uint8Array[] = [];
  #modifications: Modification[] = [];
  #rename: { newRdn?: string; deleteOldRdn?: boolean; newSuperior?: string } = {};
  #trailer: { code?: number; text: string; urls: string[] } = { text: '', urls: [] };

  constructor(readonly options: BuilderOptions) {}

  line(buffer: Buffer, start: number, end: number, line: number): void {
    if (start === end) {
      if (this.#state !== 'between') this.endRecord(line);
      return;
    }
    if (buffer[start] === HASH) return;
    if (this.#state === 'content') this.#attribute(buffer, start, end, line);
    else this.#other(buffer, start, end, line);
  }

  /** The line of most files. */
  #attribute(buffer: Buffer, start: number, end: number, line: number): void {
    const name = this.#names.read(buffer, start, end) ?? this.#noName(buffer, start, end, line);
    if (name === 'dn') throw this.#fault(line, 'a new entry begins here, but there is no blank line before it');
    const colon = this.#names.colon;
    let at = colon + 1;
    const kind = buffer[at];
    let value: Uint8Array;
    if ((kind === COLON || kind === LESS_THAN) && at < end) {
      value = readValue(buffer, colon, end, this.#place(line), this.options.readUrl);
    } else {
      while (at < end && buffer[at] === SPACE) at++;
      value = buffer.subarray(at, end);
    }
    this.#count(value.length, line);
    if (name !== this.#lastName) this.#lastValues = this.#valuesOf(name, line);
    this.#lastName = name;
    if (this.#lastValues.push(value) > this.options.limits.maxValues) {
      throw this.#limit(line, `${name} has more than ${this.options.limits.maxValues} values`);
    }
  }

  #valuesOf(name: string, line: number): Uint8Array[] {
    let values = this.#attributes.get(name);
    if (values === undefined) {
      if (RECORD_WORDS.has(name)) throw this.#fault(line, `${name}: stands among the attributes`);
      if (this.#attributes.size >= this.options.limits.maxAttributes) {
        throw this.#limit(line, `the entry has more than ${this.options.limits.maxAttributes} attributes`);
      }
      this.#attributes.set(name, (values = []));
    }
    return values;
  }

  #count(bytes: number, line: number): void {
    const { maxValueBytes, maxEntryBytes } = this.options.limits;
    if (bytes > maxValueBytes) throw this.#limit(line, `the value is larger than ${maxValueBytes} bytes`);
    this.#bytes += bytes;
    if (this.#bytes > maxEntryBytes) throw this.#limit(line, `the entry is larger than ${maxEntryBytes} bytes`);
  }

  #other(buffer: Buffer, start: number, end: number, line: number): void {
    if (this.#state === 'values' && end - start === 1 && buffer[start] === 45) {
      this.#state = 'modify';
      return;
    }
    const name = this.#names.read(buffer, start, end) ?? this.#noName(buffer, start, end, line);
    if (this.#state === 'named' && name !== 'control' && name !== 'changetype' && name !== 'dn') {
      this.#startContent();
      this.#attribute(buffer, start, end, line);
      return;
    }
    const place = this.#place(line);
    const value = readValue(buffer, this.#names.colon, end, place, this.options.readUrl);
    this.#count(value.length, line);
    if (this.#state === 'between') this.#first(name, value, place);
    else if (name === 'dn') throw this.#fault(line, 'a new entry begins here, but there is no blank line before it');
    else if (this.#state === 'named') this.#afterName(name, value, place);
    else if (this.#state === 'modify') this.#operation(name, value, place);
    else if (this.#state === 'values') this.#modificationValue(name, value, place);
    else if (this.#state === 'rename') this.#renameLine(name, value, place);
    else if (this.#state === 'trailer') this.#trailerLine(name, value, place);
    else throw this.#fault(line, 'nothing may follow changetype: delete');
  }

  #first(name: string, value: Uint8Array, place: LdifPlace): void {
    const text = textOf(value, place, name);
    if (name === 'version') {
      // At the top only, says RFC 2849; but files are joined with cat.
      if (text.trim() !== '1') throw this.#fault(place.line, `only version 1 of LDIF is known, not ${shown(value)}`);
    } else if (name === 'dn') {
      this.#dn = text;
      this.#line = place.line;
      this.#bytes = value.length;
      this.#controls = [];
      this.#state = 'named';
    } else if (name === 'search' || name === 'result' || name === 'ref') {
      this.#line = place.line;
      this.#trailer = { text: '', urls: [] };
      this.#state = 'trailer';
      this.#trailerLine(name, value, place);
    } else {
      throw this.#fault(place.line, `an entry should begin here with its dn, not with ${JSON.stringify(name)}`);
    }
  }

  #startContent(): void {
    this.#state = 'content';
    this.#attributes = new Map();
    this.#lastName = '';
    if (this.#controls.length > 0) throw this.#fault(this.#line, 'a control without a changetype');
    this.#changeType = 'content';
  }

  #afterName(name: string, value: Uint8Array, place: LdifPlace): void {
    if (name === 'control') {
      if (this.#controls.length === MAX_CONTROLS) throw this.#limit(place.line, 'there are too many controls');
      this.#controls.push(parseControl(value, place, this.options.readUrl));
      return;
    }
    const type = textOf(value, place, 'changetype').trim().toLowerCase();
    this.#changeType = type;
    if (type === 'add') {
      this.#state = 'content';
      this.#attributes = new Map();
      this.#lastName = '';
    } else if (type === 'delete') {
      this.#state = 'delete';
    } else if (type === 'modify') {
      this.#state = 'modify';
      this.#modifications = [];
    } else if (type === 'modrdn' || type === 'moddn') {
      this.#state = 'rename';
      this.#rename = {};
    } else {
      throw this.#fault(place.line, `the changetype is ${shown(value)}, not one of add, delete, modify, modrdn, moddn`);
    }
  }

  #operation(name: string, value: Uint8Array, place: LdifPlace): void {
    if (!operations.has(name)) {
      throw this.#fault(
        place.line,
        `one of add:, delete:, replace:, increment: should stand here, not ${JSON.stringify(name)}`,
      );
    }
    const attribute = textOf(value, place, 'attribute name').trim().toLowerCase();
    if (!/^[a-z0-9][a-z0-9._-]*(?:;[a-z0-9-]+)*$/.test(attribute)) {
      throw this.#fault(place.line, `${shown(value)} is not an attribute name`);
    }
    if (this.#modifications.length === MAX_MODIFICATIONS) throw this.#limit(place.line, 'there are too many changes');
    // oxlint-disable-next-line no-unsafe-type-assertion -- checked against the set above
    this.#modifications.push({ operation: name as Modification['operation'], attribute, values: [] });
    this.#state = 'values';
  }

  #modificationValue(name: string, value: Uint8Array, place: LdifPlace): void {
    const { attribute, values } = this.#modifications.at(-1)!;
    if (name !== attribute) {
      const line = operations.has(name)
        ? 'a line with only "-" is missing before this one'
        : `${JSON.stringify(name)} stands here`;
      throw this.#fault(place.line, `${line}, while values of ${attribute} are listed`);
    }
    if (values.push(value) > this.options.limits.maxValues) {
      throw this.#limit(place.line, `${name} has more than ${this.options.limits.maxValues} values`);
    }
  }

  #renameLine(name: string, value: Uint8Array, place: LdifPlace): void {
    const text = textOf(value, place, name);
    if (name === 'newrdn') this.#rename.newRdn = text;
    else if (name === 'newsuperior') this.#rename.newSuperior = text;
    else if (name === 'deleteoldrdn') {
      if (text !== '0' && text !== '1') throw this.#fault(place.line, `deleteoldrdn is ${shown(value)}, not 0 or 1`);
      this.#rename.deleteOldRdn = text === '1';
    } else {
      throw this.#fault(
        place.line,
        `${JSON.stringify(name)} has no meaning in a rename (newrdn, deleteoldrdn, newsuperior)`,
      );
    }
  }

  #trailerLine(name: string, value: Uint8Array, place: LdifPlace): void {
    const text = textOf(value, place, name);
    if (name === 'ref') this.#trailer.urls.push(text);
    if (name !== 'result') return;
    const code = /^\d+/.exec(text)?.[0];
    if (code === undefined) throw this.#fault(place.line, `${shown(value)} is not the result of a search`);
    this.#trailer.code = Number(code);
    this.#trailer.text = text;
  }

  /** At a blank line or the end of the file; does nothing between records. */
  endRecord(line: number): void {
    if (this.#state === 'between') return;
    this.records.push(this.#finish(line));
    this.#state = 'between';
  }

  #finish(line: number): LdifRecord {
    const base = { dn: this.#dn, controls: this.#controls, line: this.#line };
    switch (this.#state) {
      case 'content':
        return this.#finishEntry();
      case 'delete':
        return { kind: 'delete', ...base };
      case 'modify':
      case 'values':
        // The last "-" is often left out, and nothing is in doubt without it.
        return { kind: 'modify', ...base, modifications: this.#modifications };
      case 'rename':
        return this.#finishRename(base, line);
      case 'trailer':
        return this.#finishTrailer();
      default:
        throw this.#fault(this.#line, `the entry ${shown(Buffer.from(this.#dn))} has no attributes and no changetype`);
    }
  }

  #finishEntry(): LdifRecord {
    if (this.#changeType === 'content') {
      return { kind: 'content', dn: this.#dn, attributes: this.#attributes, line: this.#line };
    }
    if (this.#attributes.size === 0) {
      throw this.#fault(this.#line, `the entry ${shown(Buffer.from(this.#dn))} to be added has no attributes`);
    }
    return { kind: 'add', dn: this.#dn, attributes: this.#attributes, controls: this.#controls, line: this.#line };
  }

  #finishRename(base: Pick<ChangeRecord, 'dn' | 'controls' | 'line'>, line: number): LdifRecord {
    const { newRdn, deleteOldRdn, newSuperior } = this.#rename;
    if (newRdn === undefined || deleteOldRdn === undefined) {
      throw this.#fault(line, `the rename has no ${newRdn === undefined ? 'newrdn' : 'deleteoldrdn'}`);
    }
    return { kind: 'rename', ...base, newRdn, deleteOldRdn, ...(newSuperior === undefined ? {} : { newSuperior }) };
  }

  #finishTrailer(): LdifRecord {
    const { code, text, urls } = this.#trailer;
    if (code === undefined && urls.length > 0) return { kind: 'search-reference', urls, line: this.#line };
    if (code === undefined) throw this.#fault(this.#line, 'a search without a result');
    return { kind: 'search-result', code, text, line: this.#line };
  }

  #noName(buffer: Buffer, start: number, end: number, line: number): never {
    const text = shown(buffer.subarray(start, end));
    if (buffer[start] === SPACE)
      throw this.#fault(line, 'the line begins with a space, but there is no line that it continues');
    if (this.#names.colon === end) throw this.#fault(line, `there is no colon in ${text}`);
    throw this.#fault(line, `there is no attribute name before the colon in ${text}`);
  }

  #place(line: number): LdifPlace {
    return { source: this.options.source, line };
  }

  #fault(line: number, reason: string) {
    return ldifError(this.#place(line), reason);
  }

  #limit(line: number, reason: string) {
    return ldifError(this.#place(line), reason, { code: 'limit-exceeded' });
  }
}

/** RFC 2849 `control`: OID, then optionally true or false, then optionally a value-spec. */
function parseControl(line: Uint8Array, place: LdifPlace, readUrl: UrlReader | undefined): Control {
  const buffer = Buffer.from(line.buffer, line.byteOffset, line.length);
  const text = buffer.toString('latin1');
  const match = /^(\d+(?:\.\d+)*)(?: +(true|false))?(?= *(:|$))/i.exec(text);
  if (match === null) throw ldifError(place, `${shown(line)} is not a control (number, true or false, value)`);
  const control: Control = { oid: match[1]!, critical: match[2]?.toLowerCase() === 'true' };
  if (match[3] === ':') {
    control.value = readValue(buffer, text.indexOf(':', match[0].length), buffer.length, place, readUrl);
  }
  return control;
}
