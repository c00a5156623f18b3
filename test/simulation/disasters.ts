/**
 * What happens to machines, disks, mailboxes, clocks and definitions, and what administrators do about it. Losing,
 * repeating and damaging message files is world.ts's.
 */
import { kindOf, recoverOnlyCopy } from '@dirpost/core';
import { DAY_MS, type Image, Machine, SERVER } from './machine.ts';
import { KEYS, redefined } from './organisation.ts';
import type { World } from './world.ts';

const BACKUPS = 4;

export class Disasters {
  readonly #world: World;
  readonly #backups = new Map<Machine, Image[]>();
  #reloads = 0;
  /** The furthest that the clock was when it jumped. */
  latestMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  backup(machine: Machine): void {
    const kept = this.#backups.get(machine) ?? [];
    kept.push(machine.image());
    if (kept.length > BACKUPS) kept.splice(this.#world.random.int(BACKUPS), 1);
    this.#backups.set(machine, kept);
    this.#world.say(`--- backup of ${machine.label}`);
  }

  async restore(machine: Machine): Promise<void> {
    const kept = this.#backups.get(machine);
    if (kept === undefined) return;
    await this.#replace(machine, this.#world.random.pick(kept));
  }

  async reinstall(machine: Machine): Promise<void> {
    await this.#replace(machine, null);
  }

  /** null: everything on the disk is lost, and the postoffice is installed anew under its old keys. */
  async #replace(machine: Machine, image: Image | null): Promise<void> {
    // The directory from its backup, too: who was never published under his old key would be somebody else.
    for (const person of machine.office.people.values()) delete person.anchor;
    this.#world.count(
      image === null ? 'reinstalled' : machine === this.#world.server ? 'server restored' : 'requestors restored',
    );
    this.#world.say(`--- ${machine.label} ${image === null ? 'installed anew' : 'restored'}`);
    if (image === null) await machine.empty();
    else await machine.restore(image);
    await this.#world.watch.replaced(machine);
    if (image?.keys !== undefined) await this.#world.keys?.restored(machine, image.keys);
    this.#world.delivered = [];
  }

  async redefine(): Promise<void> {
    this.#world.definition = redefined(this.#world.definition, this.#world.random);
    this.#world.watch.redefined(this.#world.definition);
    this.#world.count('redefined');
    this.#world.say(`--- redefined: ${JSON.stringify(this.#world.definition)}`);
    this.#world.server.life = null;
  }

  /** The administrator's word, after he has looked whether another copy runs. */
  async recover(machine: Machine): Promise<void> {
    if ((await machine.stopped()) === null) return;
    for (const other of this.#world.machines) {
      if (other !== machine && other.name === machine.name && (await other.stopped()) === null) return;
    }
    this.#world.count('recovered');
    this.#world.say(`--- ${machine.label}: recover --only-copy`);
    await this.#world.act(machine, async () => {
      const { postoffice } = await machine.start();
      await postoffice.store.transaction((tx) => recoverOnlyCopy(tx, postoffice.random));
    });
  }

  async clone(machine: Machine): Promise<void> {
    if (
      !(this.#world.options.clones ?? false) ||
      machine.name === SERVER ||
      this.#world.machines.length > this.#world.offices.length + 1
    )
      return;
    if (this.#world.machines.some((other) => other !== machine && other.name === machine.name)) return;
    this.#world.count('clones');
    this.#world.say(`--- ${machine.label} cloned`);
    this.#world.watch.cloned(machine);
    const copy = new Machine(`${machine.label}'`, machine.office, this.#world.around, machine.image());
    this.#world.keys?.cloned(copy, machine);
    await this.#world.watch.replaced(copy);
    this.#world.machines.push(copy);
    this.#world.delivered = [];
  }

  /** The directory gives other keys to all whom it has, or to some. */
  async reload(machine: Machine): Promise<void> {
    const { office } = machine;
    const all = this.#world.random.chance(0.5);
    const rows = await machine.store.read((tx) => tx.scanEntries('published', 0, 1_000));
    const published = new Map(rows.map((row) => [Buffer.from(row.id).toString('hex'), row]));
    for (const [key, person] of office.people) {
      const row = published.get(office.idOf(key));
      // Only who was published, and as what he is, can be known again.
      if (row === undefined || row.deleted || kindOf(row.bytes!) !== person.kind) continue;
      if (!all && this.#world.random.chance(0.5)) continue;
      office.people.set(key, { ...person, anchor: `${key} ${++this.#reloads}` });
      this.#world.watch.person(office, office.people.get(key)!);
      this.#world.count('other keys');
    }
    this.#world.say(`--- the directory of ${machine.label} was reloaded`);
  }

  wipe(machine: Machine): void {
    this.#world.count('mailboxes wiped');
    this.#world.say(`--- the mailbox of ${machine.label} is wiped`);
    this.#world.network.mailbox(machine.name).length = 0;
    for (let i = this.#world.network.inFlight.length - 1; i >= 0; i--) {
      if (this.#world.network.inFlight[i]!.to === machine.name) this.#world.network.inFlight.splice(i, 1);
    }
  }

  jump(): void {
    this.#world.count('clock jumps');
    this.latestMs = Math.max(this.latestMs, this.#world.nowMs);
    const days = this.#world.random.pick([-200, -30, -1, 1, 30, 100, 400]);
    this.#world.nowMs = Math.max(Date.UTC(2000, 0, 1), this.#world.nowMs + days * DAY_MS);
    this.#world.say(`--- the clock jumps by ${days} days`);
  }

  refuse(machine: Machine): void {
    const { refuses } = machine.target;
    const office = this.#world.random.pick(this.#world.offices);
    const id = office.idOf(`k${this.#world.random.int(KEYS)}`);
    if (!refuses.delete(id)) refuses.add(id);
    this.#world.say(`--- the directory of ${machine.label} refuses ${refuses.size} entries`);
  }
}
