/**
 * Change records in a file that is read as a directory: people append `changetype: modify` to an export, and expect
 * what ldapmodify would make of it. A change can concern an entry that stood long before it, and entries are handed
 * on as they are read; so such a file is read twice: first its changes are collected here (bounded), then every entry
 * is put through those that stand after it. Files without change records are read once (see mentionsChanges in
 * directory.ts).
 */
import {
  type Attributes,
  type DirectoryEntry,
  isDirpostError,
  normalizeDn,
  normalizeType,
  normalValue,
  parentDn,
  parseDn,
  type Rdn,
  rdnOf,
  ruleOf,
} from '@dirpost/core';
import {
  type DeleteRecord,
  type LdifPlace,
  ldifError,
  type Modification,
  type ModifyRecord,
  type RenameRecord,
} from '../../ldif/records.ts';

export type FoldableRecord = DeleteRecord | ModifyRecord | RenameRecord;

interface Pending {
  record: FoldableRecord;
  applied: boolean;
}

/** Rough cost of a record and of a value beside its octets. */
const OVERHEAD_BYTES = 200;

export class PendingChanges {
  readonly #byDn = new Map<string, Pending[]>();
  readonly #renames = new Map<string, Pending[]>();
  #bytes = 0;
  /** Why a change could not be applied; sentences. */
  readonly failures: string[] = [];

  /** `maxBytes`: of memory for all changes together. */
  constructor(
    readonly source: string,
    readonly maxBytes: number,
  ) {}

  /** In the order of the file. Values are copied, so that they do not hold the chunks that they were read from. */
  collect(record: FoldableRecord): void {
    const kept = record.kind === 'modify' ? copyOf(record) : record;
    this.#bytes += sizeOf(kept);
    if (this.#bytes > this.maxBytes) {
      throw ldifError(this.#place(record), `the change records take more than ${this.maxBytes} bytes`, {
        code: 'limit-exceeded',
        hint: 'Apply them to the file first, or export the directory again.',
      });
    }
    const dn = this.#normalDn(record);
    if (dn === undefined) return;
    const pending = { record: kept, applied: false };
    append(this.#byDn, dn, pending);
    if (kept.kind === 'rename') append(this.#renames, dn, pending);
  }

  /** The entry of line `line` after all changes that follow it; null when it is deleted. It may be altered in place. */
  apply(entry: DirectoryEntry, line: number): DirectoryEntry | null {
    let { dn } = entry;
    let normal = normalizeDn(dn);
    let after = line;
    const working = new WorkingEntry(entry.attributes);
    for (;;) {
      const next = this.#next(normal, after);
      if (next === undefined) break;
      const { record } = next.pending;
      after = record.line;
      if (next.target === normal) next.pending.applied = true;
      if (record.kind === 'delete') return null;
      if (record.kind === 'modify') this.#note(record, working.modify(record.modifications));
      else {
        if (next.target === normal) working.rename(dn, record);
        dn = renamed(dn, normal, next.target, record);
        normal = normalizeDn(dn);
      }
    }
    return after === line ? entry : { dn, attributes: working.finish() };
  }

  /** Sentences about changes of entries that were not there. */
  unapplied(): string[] {
    const left = [...this.#byDn.values()].flat().filter(({ applied }) => !applied);
    left.sort((a, b) => a.record.line - b.record.line);
    return left.map(
      ({ record }) => `Line ${record.line}: there is no entry ${record.dn} that it could ${record.kind}.`,
    );
  }

  /** The first change behind line `after` that concerns this DN: its own, or a rename above it. */
  #next(normal: string, after: number): { pending: Pending; target: string } | undefined {
    let first: { pending: Pending; target: string } | undefined;
    const consider = (list: Pending[] | undefined, target: string) => {
      const pending = list === undefined ? undefined : firstAfter(list, after);
      if (pending === undefined || (first !== undefined && first.pending.record.line < pending.record.line)) return;
      first = { pending, target };
    };
    consider(this.#byDn.get(normal), normal);
    if (this.#renames.size === 0) return first;
    // In a normal DN every comma is a separator.
    for (let comma = normal.indexOf(','); comma >= 0; comma = normal.indexOf(',', comma + 1)) {
      const above = normal.slice(comma + 1);
      consider(this.#renames.get(above), above);
    }
    return first;
  }

  #normalDn(record: FoldableRecord): string | undefined {
    try {
      if (record.kind === 'rename') {
        const newRdn = parseDn(record.newRdn);
        if (newRdn.length !== 1) {
          this.failures.push(`Line ${record.line}: ${JSON.stringify(record.newRdn)} is not an RDN.`);
          return undefined;
        }
        parseDn(record.newSuperior ?? '');
      }
      return normalizeDn(record.dn);
    } catch (error) {
      if (!isDirpostError(error, 'dn-syntax')) throw error;
      this.failures.push(`Line ${record.line}: ${error.message}`);
      return undefined;
    }
  }

  #note(record: FoldableRecord, failure: string | undefined): void {
    if (failure !== undefined)
      this.failures.push(`Line ${record.line}: ${JSON.stringify(record.dn)} is left as it was: ${failure}.`);
  }

  #place(record: FoldableRecord): LdifPlace {
    return { source: this.source, line: record.line };
  }
}

/** The list is in the order of the file. */
function firstAfter(list: Pending[], line: number): Pending | undefined {
  let low = 0;
  for (let high = list.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (list[middle]!.record.line > line) high = middle;
    else low = middle + 1;
  }
  return list[low];
}

function depth(normalDn: string): number {
  return normalDn.split(',').length;
}

/** The DN after a rename of itself or of an entry above it (`target`, normal). */
function renamed(dn: string, normal: string, target: string, record: RenameRecord): string {
  const own: string[] = [];
  let above = dn;
  for (let levels = depth(normal) - depth(target); levels > 0; levels--) {
    own.push(rdnOf(above));
    above = parentDn(above) ?? '';
  }
  const superior = record.newSuperior ?? parentDn(above) ?? '';
  return [...own, record.newRdn, superior].filter((part) => part !== '').join(',');
}

/**
 * Values by their normal form, so that thousands of changes of one large group do not compare every value every time.
 */
class WorkingEntry {
  readonly #touched = new Map<string, Map<string, Uint8Array>>();

  constructor(readonly attributes: Attributes) {}

  /** All modifications or, with the reason returned, none (RFC 4511 §4.6). */
  modify(modifications: Modification[]): string | undefined {
    const undo: (() => void)[] = [];
    for (const modification of modifications) {
      const failure = this.#modifyOne(modification, undo);
      if (failure === undefined) continue;
      for (const step of undo.toReversed()) step();
      return failure;
    }
    return undefined;
  }

  /** RFC 4511 §4.9: the values of the new RDN come to the entry, those of the old one go if that is asked for. */
  rename(dn: string, record: RenameRecord): void {
    const [oldRdn = []] = parseDn(dn);
    const [newRdn = []] = parseDn(record.newRdn);
    const stays = (type: string, value: Uint8Array) =>
      newRdn.some((part) => this.#named(part) === type && keyOf(type, part.value) === keyOf(type, value));
    for (const part of record.deleteOldRdn ? oldRdn : []) {
      const name = this.#named(part);
      if (!stays(name, part.value)) this.#values(name).delete(keyOf(name, part.value));
    }
    for (const part of newRdn) {
      const name = this.#named(part);
      const values = this.#values(name);
      const key = keyOf(name, part.value);
      if (!values.has(key)) values.set(key, part.value);
    }
  }

  finish(): Attributes {
    for (const [name, values] of this.#touched) {
      if (values.size === 0) this.attributes.delete(name);
      else this.attributes.set(name, [...values.values()]);
    }
    return this.attributes;
  }

  /** The name under which the entry has the attribute of an RDN (`cn` or `commonName`). */
  #named({ type }: Rdn[number]): string {
    const name = type.toLowerCase();
    return this.attributes.has(name) ? name : normalizeType(name);
  }

  #values(name: string): Map<string, Uint8Array> {
    let values = this.#touched.get(name);
    if (values === undefined) {
      values = new Map((this.attributes.get(name) ?? []).map((value) => [keyOf(name, value), value]));
      this.#touched.set(name, values);
    }
    return values;
  }

  #modifyOne({ operation, attribute, values }: Modification, undo: (() => void)[]): string | undefined {
    const present = this.#values(attribute);
    if (operation === 'add') return addValues(attribute, present, values, undo);
    if (operation === 'delete' && values.length > 0) return deleteValues(attribute, present, values, undo);
    const before = new Map(present);
    undo.push(() => this.#touched.set(attribute, before));
    if (operation === 'increment') return increment(attribute, present, values);
    if (operation === 'delete' && present.size === 0) return `it has no ${attribute}`;
    present.clear();
    for (const value of values) present.set(keyOf(attribute, value), value);
    return undefined;
  }
}

type Values = Map<string, Uint8Array>;

function addValues(name: string, present: Values, values: Uint8Array[], undo: (() => void)[]): string | undefined {
  if (values.length === 0) return `no value of ${name} to add is given`;
  for (const value of values) {
    const key = keyOf(name, value);
    if (present.has(key)) return `it has that value of ${name} already`;
    present.set(key, value);
    undo.push(() => present.delete(key));
  }
  return undefined;
}

function deleteValues(name: string, present: Values, values: Uint8Array[], undo: (() => void)[]): string | undefined {
  for (const value of values) {
    const key = keyOf(name, value);
    const old = present.get(key);
    if (old === undefined) return `it has no such value of ${name} to delete`;
    present.delete(key);
    undo.push(() => present.set(key, old));
  }
  return undefined;
}

/** RFC 4525 §3. */
function increment(name: string, present: Values, values: Uint8Array[]): string | undefined {
  const step = normalValue('integer', values[0] ?? Buffer.alloc(0));
  const sums = [...present.values()].map((value) => normalValue('integer', value));
  if (values.length !== 1 || step === undefined || sums.length === 0 || sums.includes(undefined)) {
    return `${name} cannot be incremented so`;
  }
  present.clear();
  for (const sum of sums) {
    const value = Buffer.from((BigInt(sum!) + BigInt(step)).toString());
    present.set(keyOf(name, value), value);
  }
  return undefined;
}

function keyOf(name: string, value: Uint8Array): string {
  const rule = ruleOf(name);
  return normalValue(rule, value) ?? `\uffff${Buffer.from(value).toString('latin1')}`;
}

function copyOf(record: ModifyRecord): ModifyRecord {
  const modifications = record.modifications.map((modification) => ({
    ...modification,
    values: modification.values.map((value) => Buffer.from(value)),
  }));
  return { ...record, modifications };
}

function sizeOf(record: FoldableRecord): number {
  let bytes = OVERHEAD_BYTES + record.dn.length;
  if (record.kind !== 'modify') return bytes;
  for (const { values } of record.modifications) {
    bytes += OVERHEAD_BYTES;
    for (const value of values) bytes += OVERHEAD_BYTES + value.length;
  }
  return bytes;
}

function append(lists: Map<string, Pending[]>, dn: string, pending: Pending): void {
  const list = lists.get(dn);
  if (list === undefined) lists.set(dn, [pending]);
  else list.push(pending);
}
