/**
 * Checkers for edits (design section 5), apart from the code under test. At every commit: an edit is withdrawn only when its
 * owner has settled it, or its target was off the list; a mark goes only when its edit has gone; no owner takes an edit twice;
 * the server shows only edits that its lists allow. At the end of a quiet cycle: what directories show is what is folded.
 */
import { createHash } from 'node:crypto';
import { decodeEntry, type Entry, type EntryRow } from '@dirpost/core';
import { visible } from './hold-watch.ts';
import type { Machine, Surroundings } from './machine.ts';
import { type Definition, isAttributeReleased, isListed } from './organisation.ts';
import type { Committed } from './store.ts';

const ALL = 100_000;
/** As listDefinitions says. */
export const EDITABLE = ['telephonenumber', 'title'];

interface Known {
  editor: string;
  target: string;
}

/** By hexadecimal id. */
type Rows = Map<string, EntryRow>;

export class EditWatch {
  readonly #known = new Map<string, Known>();
  readonly #published = new Map<Machine, Rows>();
  /** Entry hashes of edits that were ever marked as settled. */
  readonly #settled = new Set<string>();
  readonly #gaveUp = new Set<string>();
  readonly #taken = new Map<Machine, Set<string>>();

  constructor(
    private readonly around: Surroundings,
    private readonly violation: (text: string) => void,
    /** Whether an entry was ever off somebody's list, and ever on it. */
    private readonly wasOff: (name: string, id: string) => boolean,
    private readonly wasOn: (name: string, id: string) => boolean,
  ) {}

  proposed(editor: string, target: Uint8Array): void {
    this.#known.set(editId(editor, target), { editor, target: hex(target) });
  }

  has(id: string): boolean {
    return this.#known.has(id);
  }

  gaveUp(id: string): void {
    this.#gaveUp.add(id);
  }

  /** Whether this requestor may ever see that edit: he sees, or owns, what it is of. */
  mayReach(name: string, id: string): boolean {
    const { editor, target } = this.#known.get(id)!;
    const isOwner = this.around.offices.some(
      (office) => office.name === name && Array.from({ length: 20 }, (_, i) => office.idOf(`k${i}`)).includes(target),
    );
    return editor !== name && (isOwner || this.wasOn(name, target));
  }

  /** Its directory gets the value of an edit; those of telephones are given once only. */
  taken(machine: Machine, value: string): void {
    const taken = this.#taken.get(machine) ?? new Set<string>();
    this.#taken.set(machine, taken);
    if (taken.has(value) && value.startsWith('telephonenumber +'))
      this.violation(`twice: ${machine.label} takes ${value} once more`);
    taken.add(value);
  }

  async replaced(machine: Machine): Promise<void> {
    this.#taken.delete(machine);
    this.#published.set(machine, await rowsIn(machine, 'published'));
  }

  async committed(machine: Machine, { tables }: Committed): Promise<void> {
    if (tables.has('published')) await this.#publishedChanged(machine);
    if (tables.has('collected') && machine.life !== null) await this.#collectedChanged(machine);
  }

  async #publishedChanged(machine: Machine): Promise<void> {
    const before = this.#published.get(machine) ?? new Map<string, EntryRow>();
    const now = await rowsIn(machine, 'published');
    this.#published.set(machine, now);
    const replica = new Set<string>();
    for (const row of await machine.store.read((tx) => tx.scanEdits('replica', 0, ALL))) replica.add(hex(row.hash));
    for (const row of now.values()) for (const mark of marksOf(row)) this.#settled.add(mark);
    for (const [id, row] of before) {
      const next = now.get(id);
      const isLive = next?.bytes != null;
      const marks = isLive ? marksOf(next) : [];
      for (const mark of row.bytes === null || !isLive ? [] : marksOf(row)) {
        if (!marks.includes(mark) && replica.has(mark))
          this.violation(`unmarked: ${machine.label} forgets that it has settled ${mark}, which is still there`);
      }
      if (this.has(id) && row.bytes !== null && !isLive) await this.#withdrawn(machine, id, row);
    }
  }

  async #withdrawn(machine: Machine, id: string, row: EntryRow): Promise<void> {
    const { target } = this.#known.get(id)!;
    const { refused } = await machine.own();
    const isRefused = refused.entries.some((one) => one.id === id && one.code === 'edit-not-allowed');
    const isGone = this.wasOff(machine.name, target) || this.#gaveUp.has(id);
    const isEnded = this.#settled.has(hex(row.hash)) || isRefused || isGone;
    if (!isEnded) this.violation(`unsettled: ${machine.label} withdraws the edit ${hex(row.hash)} of ${target}`);
  }

  async #collectedChanged(machine: Machine): Promise<void> {
    const rows = await rowsIn(machine, 'collected');
    const definition = this.around.definition();
    for (const row of rows.values()) {
      if (row.bytes === null || row.note !== null) continue;
      const entry = decodeEntry(row.bytes);
      if (entry.kind !== 'edit') continue;
      const target = rows.get(hex(entry.attributes.get('x-edit-target')![0]!));
      const why = refusalOf(definition, entry, target);
      if (why !== null) this.violation(`allowed: an edit of ${entry.owner}, although ${why}`);
    }
  }
}

function refusalOf(definition: Definition, edit: Entry, target: EntryRow | undefined): string | null {
  const shown = target === undefined ? null : visible('collected', target);
  if (shown === null) return 'what it is of is not there';
  const { attributes, owner, kind } = decodeEntry(shown);
  const text = (name: string) => Buffer.from(attributes.get(name)?.[0] ?? []).toString();
  const person = { title: text('title'), kind: kind === 'group' ? ('group' as const) : ('person' as const) };
  if (owner === edit.owner) return 'it is of an own entry';
  const names = editedNames(edit);
  for (const follower of [edit.owner, owner]) {
    if (!isListed(definition, person, follower)) return `${follower} does not see it`;
    const name = names.find((one) => !isAttributeReleased(definition, one, follower));
    if (name !== undefined) return `${follower} does not see ${name}`;
  }
  if (definition.chiefs && edit.owner === 'bonn') return 'his list takes none';
  const name = names.find((one) => !EDITABLE.includes(one));
  return name === undefined ? null : `no list takes edits of ${name}`;
}

function editedNames({ attributes }: Entry): string[] {
  const cleared = (attributes.get('x-edit-clear') ?? []).map((name) => Buffer.from(name).toString());
  return [...[...attributes.keys()].filter((name) => !name.startsWith('x-edit-')), ...cleared];
}

/** What the directory of this machine shows of entries of which somebody proposes something. */
export async function foldFaults(machine: Machine): Promise<string[]> {
  const wrong: string[] = [];
  if (!machine.target.isKnown) return wrong;
  const replica = await rowsIn(machine, 'replica');
  const published = await rowsIn(machine, 'published');
  const edits = [...replica.values(), ...published.values()]
    .filter((row) => row.bytes !== null)
    .map((row) => ({ entry: decodeEntry(row.bytes!), hash: hex(row.hash) }))
    .filter(({ entry }) => entry.kind === 'edit')
    .sort((a, b) => (hex(a.entry.id) < hex(b.entry.id) ? -1 : 1));
  const { entries } = machine.target;
  for (const { entry } of edits)
    if (entries.has(hex(entry.id))) wrong.push(`${machine.label}: the directory holds an edit`);
  for (const [id, row] of replica) {
    const bytes = visible('replica', row);
    const written = entries.get(id);
    if (bytes === null || written === undefined) continue;
    if ([...written.attributes.keys()].some((name) => name.startsWith('x-edit-')))
      wrong.push(`${machine.label}: the directory holds marks in ${id}`);
    const wanted = decodeEntry(bytes).attributes;
    const settled = marksOf({ ...row, bytes });
    for (const { entry, hash } of edits) {
      if (hex(entry.attributes.get('x-edit-target')![0]!) !== id || settled.includes(hash)) continue;
      for (const name of editedNames(entry)) wanted.set(name, entry.attributes.get(name) ?? []);
    }
    for (const name of ['telephonenumber', 'title']) {
      const [is, should] = [written.attributes, wanted].map((all) => (all.get(name) ?? []).map(hex).join());
      if (is !== should) wrong.push(`${machine.label}: the directory shows another ${name} of ${id}`);
    }
  }
  return wrong;
}

function marksOf({ bytes }: EntryRow): string[] {
  return bytes === null ? [] : (decodeEntry(bytes).attributes.get('x-edit-settled') ?? []).map(hex);
}

async function rowsIn(machine: Machine, table: 'published' | 'replica' | 'collected'): Promise<Rows> {
  const rows = await machine.store.read((tx) => tx.scanEntries(table, 0, ALL));
  return new Map(rows.map((row) => [hex(row.id), row]));
}

function editId(editor: string, target: Uint8Array): string {
  const hash = createHash('sha256');
  for (const part of [Buffer.from('dirpost entry id'), Buffer.from(editor), Buffer.from('edit'), target]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest('hex').slice(0, 32);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
