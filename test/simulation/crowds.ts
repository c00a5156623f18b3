/**
 * Worlds with limits on effects (run.ts --holds): owners who change many people at once and take some of it back, and
 * administrators who approve what is held, all of it or some.
 */
import { type Approval, approve, type HeldPlace, heldEntries, type HoldLimits } from '@dirpost/core';
import { approveEdits } from '../../packages/agent/src/both/held-edits.ts';
import { collect } from '../../packages/agent/src/collect.ts';
import { writeDirectories } from '../../packages/agent/src/write.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import type { Machine } from './machine.ts';
import { isKeeper, type Office, type Person } from './organisation.ts';
import type { World } from './world.ts';

const ALL = 1_000;

/** In ordinary worlds nothing is ever held. */
export function holdLimits(small: boolean): HoldLimits {
  const limit = small ? { above: 2, percent: 20 } : { above: 0, percent: 100 };
  return { removals: limit, clearedValues: limit, lostMembers: limit, renames: limit };
}

export class Crowds {
  readonly #world: World;
  /** As they were before the last change of many. */
  readonly #before = new Map<Office, Person[]>();
  #fresh = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Somebody's script has run over the directory. */
  change(office: Office): void {
    const { random } = this.#world;
    const people = [...office.people.values()];
    this.#before.set(office, people);
    const what = random.pick(['leave', 'clear', 'rename', 'disband', 'everything'] as const);
    this.#world.count(`many ${what}`);
    this.#world.say(`--- ${office.name}: many ${what}`);
    for (const person of people) {
      if (random.chance(0.15)) continue;
      if (what === 'leave' || (what === 'everything' && random.chance(0.3))) this.#leave(office, person);
      else this.#put(office, this.#changed(person, what));
    }
  }

  #changed(person: Person, what: string): Person {
    const mixed = what === 'everything';
    let next = person;
    if (what === 'clear' || mixed) next = { ...next, phone: null, photo: null };
    if (what === 'rename' || mixed) next = { ...next, name: `Om ${person.key} ${++this.#fresh}` };
    if (what === 'disband' || mixed) next = { ...next, members: next.members.slice(0, 1) };
    return next;
  }

  /** Some of what changed is as it was, or has changed once more. */
  takeBack(office: Office): void {
    const { random } = this.#world;
    const most = random.chance(0.5) ? 1 : 0.4;
    this.#world.say(`--- ${office.name}: taken back`);
    for (const { anchor: _, ...person } of this.#before.get(office) ?? []) {
      if (!random.chance(most)) continue;
      const now = office.people.get(person.key);
      // Who is another kind of entry than before is not recognised (World.#changePeople).
      if (office.matches && now !== undefined && now.kind !== person.kind) continue;
      // The keys are those that the directory gives now, as it was reloaded or restored since.
      this.#put(office, now?.anchor === undefined ? person : { ...person, anchor: now.anchor });
    }
  }

  #leave(office: Office, person: Person): void {
    if (isKeeper(person.key) || !office.people.delete(person.key)) return;
    this.#world.watch.left(office, person.key);
  }

  #put(office: Office, person: Person): void {
    office.people.set(person.key, person);
    this.#world.watch.person(office, person);
  }

  /** An administrator looks at one place and approves all, what is of one owner, or some entries. */
  async approveSome(machine: Machine): Promise<void> {
    const { random } = this.#world;
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      const place = random.pick(placesOf(postoffice));
      const { entries } = await machine.store.read((tx) => heldEntries(tx, place, { limit: ALL }));
      if (entries.length === 0) return;
      const ids = entries.filter(() => random.chance(0.5)).map(({ id }) => id);
      const what = random.pick<Approval>(['all', { owner: random.pick(entries).owner }, { ids }]);
      await this.#approve(machine, postoffice, place, what);
    });
  }

  /** How many entries. */
  async approveAll(machine: Machine): Promise<number> {
    let count = 0;
    if ((await machine.stopped()) !== null) return count;
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      for (const place of placesOf(postoffice)) {
        const { entries } = await machine.store.read((tx) => heldEntries(tx, place, { limit: 1 }));
        if (entries.length > 0) count += await this.#approve(machine, postoffice, place, 'all');
      }
      count += await this.#approveEdits(machine, postoffice);
    });
    return count;
  }

  /** Edits by others, many at once: they are taken at the next dispatch. */
  async #approveEdits(machine: Machine, { store, publishing }: Postoffice): Promise<number> {
    let count = 0;
    for (const { directory } of publishing) {
      const { own, container } = await store.transaction((tx) => approveEdits(tx, directory.name));
      if (own + container === 0) continue;
      this.#world.count('approved edits');
      this.#world.say(`--- ${machine.label}: edits of ${own + container} entries approved for ${directory.name}`);
      count += own + container;
    }
    return count;
  }

  async #approve(machine: Machine, postoffice: Postoffice, place: HeldPlace, what: Approval): Promise<number> {
    const { watch, random } = this.#world;
    let approved: number;
    watch.holds.approving = true;
    try {
      approved = await postoffice.store.transaction((tx) => approve(tx, place, what, postoffice.server));
      if (approved > 0) this.#world.count(`approved ${place.split(':')[0]}`);
      this.#world.say(`--- ${machine.label}: ${approved} approved in ${place}`);
    } finally {
      watch.holds.approving = false;
    }
    const signal = new AbortController().signal;
    if (place === 'replica') await writeDirectories(postoffice, { signal });
    else if (place !== 'collected' && random.chance(0.5)) await collect(postoffice, { signal });
    return approved;
  }
}

function placesOf({ publishing, server }: Postoffice): HeldPlace[] {
  const published = publishing.map(({ directory }): HeldPlace => `published:${directory.name}`);
  return ['replica', ...published, ...(server === null ? [] : ['collected' as const])];
}
