/**
 * Worlds with edits (run.ts --edits): people at offices who propose changes of others' entries, directories that take them where
 * the policies of their owners say so, and owners who change back what they took.
 */
import type { AmendOutcome, Amendment } from '@dirpost/adapters';
import { type Attributes, decodeEntry, proposeEdit, scanOwnEdits, withdrawEdit } from '@dirpost/core';
import { writeDirectories } from '../../packages/agent/src/write.ts';
import { foldFaults } from './edit-watch.ts';
import type { Machine } from './machine.ts';
import { isKeeper, KEYS, type Office, type Person } from './organisation.ts';
import type { World } from './world.ts';

const ALL = 100_000;

export class Editing {
  readonly #world: World;
  /** As they were before their owners took an edit. */
  readonly #before = new Map<Office, Person>();
  #fresh = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Somebody at this office finds that an entry of another is wrong. */
  async propose(machine: Machine): Promise<void> {
    const { random, watch } = this.#world;
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      const rows = await machine.store.read((tx) => tx.scanEntries('replica', 0, ALL));
      const entries = rows.filter((row) => row.bytes !== null).map((row) => decodeEntry(row.bytes!));
      const others = entries.filter(({ kind }) => kind !== 'edit');
      if (others.length === 0) return;
      const { id, attributes } = random.pick(others);
      const found = this.#find(id);
      const values = this.#values(found === null || isKeeper(found.person.key));
      watch.edits.proposed(machine.name, id);
      const outcome = await postoffice.store.transaction((tx) =>
        proposeEdit(tx, postoffice.requestor, { target: id, values, saw: attributes }),
      );
      this.#world.count('edits proposed');
      this.#world.say(`${machine.label}: edit of ${hex(id)}: ${[...values.keys()].join()} (${outcome})`);
    });
  }

  #values(isKept: boolean): Attributes {
    const { random } = this.#world;
    const values: Attributes = new Map();
    const phone = random.chance(0.15) ? [] : [Buffer.from(`+9${++this.#fresh}`)];
    switch (random.weighted({ phone: 6, title: isKept ? 0 : 3, both: isKept ? 0 : 1, name: 0.5 })) {
      case 'phone':
        return values.set('telephonenumber', phone);
      case 'title':
        return values.set('title', [Buffer.from(random.pick(['chief', 'clerk', 'hidden', 'boss']))]);
      case 'both':
        return values.set('telephonenumber', phone).set('title', [Buffer.from('clerk')]);
      case 'name':
        // No list takes edits of names.
        return values.set('cn', [Buffer.from(`Nobody ${++this.#fresh}`)]);
    }
  }

  /** An owner thinks again: what an edit was based on is so once more. */
  revert(office: Office): void {
    const before = this.#before.get(office);
    const now = before === undefined ? undefined : office.people.get(before.key);
    if (now === undefined) return;
    this.#put(office, { ...now, phone: before!.phone, title: before!.title });
    this.#world.count('edits reverted');
  }

  /** The own directory of a postoffice takes an edit. */
  amend(machine: Machine, { isEntry, changes }: Amendment): AmendOutcome {
    const { office } = machine;
    const person = [...office.people.values()].find(({ key }) => isEntry(Buffer.from(key)));
    if (person === undefined) return { result: 'later', code: 'noSuchObject' };
    const actual = office.published(person);
    const isAs = (attribute: string, values: Uint8Array[]) =>
      (actual.get(attribute) ?? []).join() === values.map(hex).join();
    const open = changes.filter(({ attribute, after }) => !isAs(attribute, after));
    if (open.length === 0) return { result: 'already' };
    const other = open.filter(({ attribute, before }) => before !== null && !isAs(attribute, before));
    if (other.length > 0) return { result: 'differs', attributes: other.map(({ attribute }) => attribute) };
    const next = { ...person };
    for (const { attribute, after } of open) {
      const text = after[0] === undefined ? null : Buffer.from(after[0]).toString();
      if (attribute === 'telephonenumber') next.phone = text;
      if (attribute === 'title' && text !== null) next.title = text;
      this.#world.watch.edits.taken(machine, `${attribute} ${text}`);
    }
    this.#before.set(office, person);
    this.#put(office, next);
    office.touch(next);
    this.#world.count('edits taken');
    this.#world.say(`${machine.label}: ${person.key} is changed by an edit: ${next.title}, ${next.phone}`);
    return { result: 'written' };
  }

  /** In the end nobody waits any longer for a list to allow what it does not. */
  async work(machine: Machine): Promise<void> {
    const { mutation } = machine.around;
    const isPatient = !this.#world.quiet || (this.#world.options.calm ?? false);
    if ((await machine.stopped()) !== null || (isPatient && mutation?.withdraws === undefined)) return;
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      const refused = isPatient ? new Set<string>() : await this.#refused(machine);
      await postoffice.store.transaction(async (tx) => {
        for (const edit of await scanOwnEdits(tx, 0, ALL)) {
          if (!refused.has(hex(edit.id)) && mutation?.withdraws?.(edit) !== true) continue;
          await withdrawEdit(tx, postoffice.requestor, edit.target);
        }
      });
    });
  }

  /** Receipts name a few only; here all are wanted. */
  async #refused(machine: Machine): Promise<Set<string>> {
    const rows = await this.#world.server.store.read((tx) => tx.scanEdits('collected', 0, ALL));
    const refused = rows.filter((row) => row.owner === machine.name && row.note !== null).map((row) => hex(row.id));
    for (const id of refused) this.#world.watch.edits.gaveUp(id);
    return new Set(refused);
  }

  #put(office: Office, person: Person): void {
    office.people.set(person.key, person);
    this.#world.watch.person(office, person);
  }

  /** Directories show at once what was proposed and settled since they were written. */
  async faults(): Promise<string[]> {
    const wrong: string[] = [];
    for (const machine of this.#world.machines) {
      if ((await machine.stopped()) !== null) continue;
      await this.#world.act(machine, async () => {
        const { postoffice } = await machine.start();
        await writeDirectories(postoffice, { signal: new AbortController().signal });
      });
      wrong.push(...(await foldFaults(machine)));
    }
    return wrong;
  }

  #find(id: Uint8Array): { office: Office; person: Person } | null {
    for (const office of this.#world.offices) {
      for (let key = 0; key <= KEYS; key++) {
        const person = office.people.get(`k${key}`);
        if (person !== undefined && office.idOf(person.key) === hex(id)) return { office, person };
      }
    }
    return null;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
