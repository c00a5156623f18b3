/**
 * Checkers that look at every commit while the world runs; apart from the code under test. What they know of the truth
 * is who is in the owners' directories and how the lists are defined.
 *
 * An entry may leave a replica only if it was, at some time, off the requestor's list: gone from its owner's directory,
 * or not released as it was or as the list was (a server may still hold an older value of it).
 */
import {
  type Codec,
  type EntryTable,
  findRequestor,
  generationOf,
  loadServer,
  type Outgoing,
  type OwnRecord,
  type Update,
} from '@dirpost/core';
import { createCodec } from '@dirpost/message';
import { ClashWatch } from './clash-watch.ts';
import { EditWatch } from './edit-watch.ts';
import { HoldWatch } from './hold-watch.ts';
import { type Machine, SERVER, type Surroundings } from './machine.ts';
import { type Definition, isReleased, type Office, type Person } from './organisation.ts';
import type { Committed } from './store.ts';

export class Watch {
  readonly violations: string[] = [];
  readonly holds: HoldWatch;
  readonly edits: EditWatch;
  readonly #clashes: ClashWatch;
  changesSent = 0;
  /** Sent to a requestor that had verified them in the same incarnations. */
  needless = 0;
  readonly #codec: Codec;
  /** Per requestor: ids that were off its list at some time; ids that may ever have been on it. */
  readonly #gone = new Map<string, Set<string>>();
  readonly #everListed = new Map<string, Set<string>>();
  /** Every value that an entry ever had. */
  readonly #values: { office: Office; person: Person; id: string }[] = [];
  readonly #definitions: Definition[] = [];
  readonly #replicas = new Map<Machine, Set<string>>();
  /** Ids that their owner's directory lacked at some time; those that the server has collected. */
  readonly #left = new Set<string>();
  #collected = new Set<string>();
  /** The highest generation of the server that each has heard, in the present store. */
  readonly #heard = new Map<Machine, number>();
  /** Postoffices of which copies run, or ran. */
  readonly #copied = new Set<string>();

  constructor(
    private readonly around: Surroundings,
    private readonly say: (text: string) => void,
    private readonly watchesHolds = false,
  ) {
    this.holds = new HoldWatch(around, (text) => this.violation(text));
    this.edits = new EditWatch(
      around,
      (text) => this.violation(text),
      (name, id) => this.#gone.get(name)!.has(id),
      (name, id) => this.#everListed.get(name)!.has(id),
    );
    this.#clashes = new ClashWatch((text) => this.violation(text));
    this.#codec = createCodec(around.limits);
    for (const { name } of around.offices) {
      this.#gone.set(name, new Set());
      this.#everListed.set(name, new Set());
    }
    this.redefined(around.definition());
  }

  violation(text: string): void {
    this.say(`*** ${text}`);
    if (this.violations.length < 20) this.violations.push(text);
  }

  /** A person is now like this. */
  person(office: Office, person: Person): void {
    const value = { office, person, id: office.idOf(person.key) };
    this.#values.push(value);
    for (const definition of this.#definitions) this.#note(value, definition, definition === this.#definitions.at(-1));
  }

  left(office: Office, key: string): void {
    this.#left.add(office.idOf(key));
    for (const gone of this.#gone.values()) gone.add(office.idOf(key));
  }

  redefined(definition: Definition): void {
    this.#definitions.push(definition);
    for (const value of this.#values) this.#note(value, definition, true);
  }

  #note(
    { office, person, id }: { office: Office; person: Person; id: string },
    definition: Definition,
    now: boolean,
  ): void {
    for (const { name } of this.around.offices) {
      if (isReleased(definition, office.name, person, name)) this.#everListed.get(name)!.add(id);
      else if (now) this.#gone.get(name)!.add(id);
    }
  }

  /** Another disk: what it holds is where watching begins again. */
  async replaced(machine: Machine): Promise<void> {
    this.#replicas.set(machine, await idsIn(machine, 'replica'));
    if (isServer(machine)) {
      this.#collected = await idsIn(machine, 'collected');
      this.#clashes.replaced();
    }
    this.#heard.delete(machine);
    if (this.around.editable.length > 0) await this.edits.replaced(machine);
    if (this.watchesHolds) await this.holds.replaced(machine);
  }

  /** What one copy has verified the other has not: both are of one incarnation until the server has heard of both. */
  cloned({ name }: Machine): void {
    this.#copied.add(name);
  }

  async committed(machine: Machine, what: Committed): Promise<void> {
    if (what.own !== null) this.#ownSaved(machine, what.own);
    if (what.tables.has('replica')) await this.#replicaChanged(machine);
    if (what.tables.has('collected')) {
      await this.#collectedChanged(machine);
      await this.#clashes.committed(machine);
    }
    if (this.around.editable.length > 0) await this.edits.committed(machine, what);
    if (this.watchesHolds) await this.holds.committed(machine, what.tables);
    const updates = [...what.outgoing.values()].filter((message) => message.kind === 'update');
    for (const update of updates) await this.#updateComposed(machine, update);
  }

  async #replicaChanged(machine: Machine): Promise<void> {
    const { name } = machine;
    const now = await idsIn(machine, 'replica');
    for (const id of this.#replicas.get(machine) ?? []) {
      if (now.has(id) || this.#gone.get(name)!.has(id) || this.edits.has(id)) continue;
      this.violation(`lost: ${machine.label} no longer has ${this.#describe(id)}, who never left`);
    }
    for (const id of now) {
      if (!this.#mayHave(name, id)) this.violation(`leaked: ${machine.label} has ${this.#describe(id)}`);
    }
    this.#replicas.set(machine, now);
  }

  #mayHave(name: string, id: string): boolean {
    return this.edits.has(id) ? this.edits.mayReach(name, id) : this.#everListed.get(name)!.has(id);
  }

  async #collectedChanged(machine: Machine): Promise<void> {
    const now = await idsIn(machine, 'collected');
    for (const id of this.#collected) {
      if (!now.has(id) && !this.#left.has(id) && !this.edits.has(id))
        this.violation(`lost: collected on ${machine.label} no longer has ${this.#describe(id)}, who never left`);
    }
    this.#collected = now;
  }

  /** Rule 1: what a requestor has heard never goes back. */
  #ownSaved(machine: Machine, { heard }: OwnRecord): void {
    const now = generationOf(heard?.incarnation ?? null);
    const before = this.#heard.get(machine) ?? now;
    if (now < before)
      this.violation(`heard: ${machine.label} goes back from generation ${before} of the server to ${now}`);
    this.#heard.set(machine, now);
  }

  #describe(id: string): string {
    const value = this.#values.find((one) => one.id === id);
    return value === undefined ? `entry ${id}` : `${value.person.key} of ${value.office.name}`;
  }

  async #updateComposed(server: Machine, message: Outgoing): Promise<void> {
    const head = this.#codec.head(message.payload) as Update;
    const changes = this.#codec.changes(message.payload);
    this.changesSent += changes.length;
    for (const { id, owner } of changes) {
      if (owner === message.to) this.violation(`own: an entry of ${owner} was sent back to it`);
      if (id === null) continue;
      const hex = Buffer.from(id).toString('hex');
      if (!this.#mayHave(message.to, hex))
        this.violation(`leaked: the id of ${this.#describe(hex)} was sent to ${message.to}`);
    }
    if (head.mode === 'delta' && !this.#copied.has(message.to))
      await this.#countNeedless(
        server,
        message.to,
        head,
        changes.map((change) => change.number),
      );
  }

  async #countNeedless(server: Machine, to: string, head: Update, numbers: number[]): Promise<void> {
    const later = await server.store.read(async (tx) => {
      const record = await findRequestor(tx, to);
      const verified = record?.verified;
      if (!verified || verified.incarnation !== head.for || verified.seq <= head.base.seq) return 0;
      if ((await loadServer(tx)).incarnation !== head.incarnation) return 0;
      const rows = await tx.listRows(
        head.list,
        numbers.filter((number) => number > 0),
      );
      return rows.filter((row) => row !== undefined && row.seq <= verified.seq).length;
    });
    this.needless += later;
  }
}

async function idsIn(machine: Machine, table: EntryTable): Promise<Set<string>> {
  const rows = await machine.store.read((tx) => tx.scanHashes(table, 0, 100_000));
  // A removal from a replica that is held keeps its row; in it the directories still have the entry.
  const present = table === 'replica' ? rows : rows.filter((row) => !row.deleted);
  return new Set(present.map((row) => Buffer.from(row.id).toString('hex')));
}

export function isServer(machine: Machine): boolean {
  return machine.name === SERVER;
}
