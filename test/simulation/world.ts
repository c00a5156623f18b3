/**
 * A world: the directory server `hq`, its requestors, the network between them, and everything that can go wrong. One
 * seed gives one run, to the byte: nothing here asks for the time, for randomness or for a thread.
 *
 *   chaos: `steps` times one thing happens (people change, a cycle runs, a message arrives, a fault strikes)
 *   held:  with limits on effects: no faults, and nobody approves: digests agree all the same
 *   quiet: no faults, whole cycles, until all agree; then two cycles more, in which nothing may be sent any more
 *   replay: message files of the quiet come again, and change nothing
 */
import { createHash } from 'node:crypto';
import { DirpostError } from '@dirpost/core';
import { collect } from '../../packages/agent/src/collect.ts';
import { catchUpOwn, dispatch } from '../../packages/agent/src/dispatch.ts';
import { sendOutgoing, submit } from '../../packages/agent/src/send.ts';
import { disagreements, disagreementsWhileHeld, growth, missingCorrupt } from './checkers.ts';
import { Crowds, holdLimits } from './crowds.ts';
import { type ReadFault, readFaults } from './directory.ts';
import { Disasters } from './disasters.ts';
import { EDITABLE } from './edit-watch.ts';
import { Editing } from './editing.ts';
import { SimulatedCrash } from './gate.ts';
import type { CycleEvent } from '../../packages/agent/src/events.ts';
import { DAY_MS, Machine, SERVER, type Surroundings } from './machine.ts';
import { NarrowWays } from './narrow-ways.ts';
import { type Letter, Network } from './network.ts';
import { changedPerson, type Definition, FIRST_DEFINITION, isKeeper, KEYS, newPerson, Office } from './organisation.ts';
import { KeyChanges } from './key-changes.ts';
import { keyDisagreements } from './key-watch.ts';
import { SeededRandom } from './random.ts';
import { Watch } from './watch.ts';
import { smallLimits, weightsOf } from './weather.ts';
import type { WorldOptions, WorldResult } from './world-options.ts';

/** Quiet cycles within which all have to agree. */
export const MOST_QUIET_CYCLES = 14;

export type { WorldOptions, WorldResult } from './world-options.ts';

const BRANCHES = ['oslo', 'lima', 'bonn', 'riga', 'kiel', 'genf'];
/** Of the message files that were delivered since the last restore so many come again at the very end. */
const REPEATS_AT_THE_END = 15;

export class World {
  readonly machines: Machine[] = [];
  readonly offices: Office[];
  readonly network = new Network();
  readonly watch: Watch;
  readonly trace: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly random: SeededRandom;
  definition: Definition = FIRST_DEFINITION;
  nowMs = Date.UTC(2024, 0, 1);
  quiet = false;
  readonly around: Surroundings;
  readonly #traced = createHash('sha256');
  /** Since the last restore. */
  delivered: Letter[] = [];
  readonly #disasters = new Disasters(this);
  readonly #crowds = new Crowds(this);
  readonly #editing = new Editing(this);
  readonly #ways: NarrowWays;
  readonly keys: KeyChanges | null;
  #fresh = 0;

  constructor(readonly options: WorldOptions) {
    const { seed } = options;
    this.random = new SeededRandom(seed, 1);
    this.quiet = options.calm ?? false;
    this.offices = [SERVER, ...BRANCHES.slice(0, options.requestors ?? 3)].map(
      (name, i) => new Office(name, i + seed, options.reloads ?? false),
    );
    this.#ways = new NarrowWays(this);
    this.keys = (options.keys ?? false) ? new KeyChanges(this) : null;
    const faulty = (probability: number) => !this.quiet && this.random.chance(probability);
    this.around = {
      network: this.network,
      offices: this.offices,
      limits: smallLimits(this.random),
      holds: holdLimits(options.holds ?? false),
      random: new SeededRandom(seed, 2),
      nowMs: () => this.nowMs,
      definition: () => this.definition,
      editable: (options.edits ?? false) ? EDITABLE : [],
      amend: (machine, amendment) => this.#editing.amend(machine, amendment),
      ownLine: this.random.chance(0.5) ? 'memory' : 'network',
      lineFails: () => faulty(0.02) && this.count('lines down'),
      takes: (peer) => this.#ways.takes(peer),
      turnsOutTooLarge: (file) => this.#ways.turnsOutTooLarge(file),
      writeFails: () => faulty(0.1) && this.count('writes failed'),
      diskFull: () => faulty(0.002) && this.count('disks full'),
      tell: (machine, event) => this.#told(machine, event),
      committed: (machine, what) => this.watch.committed(machine, what),
      mutation: options.mutation ?? null,
      keyed: this.keys,
    };
    this.watch = new Watch(this.around, (text) => this.say(text), options.holds ?? false);
    for (const office of this.offices) this.machines.push(new Machine(office.name, office, this.around));
  }

  say(text: string): void {
    this.#traced.update(text).update('\n');
    if (this.options.trace ?? false) this.trace.push(text);
  }

  #told(machine: Machine, { time, text, details }: CycleEvent): void {
    if (text.includes('composed anew')) this.count('composed anew');
    this.say(`${machine.label} ${time} ${text}`);
    if ((this.options.calm ?? false) && details?.['verdict'] === 'mismatch')
      this.watch.violation(`mismatch: ${machine.label} got an update that does not add up, and nothing went wrong`);
  }

  /** Always true, for the end of a condition. */
  count(what: string): true {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
    return true;
  }

  async run(): Promise<WorldResult> {
    let cycles = 0;
    try {
      await this.keys?.begin();
      for (const office of this.offices) for (let i = 0; i < KEYS / 2; i++) this.#changePeople(office);
      const without = new Set(this.options.without);
      for (let step = 0; step < (this.options.steps ?? 220); step++) if (!without.has(step)) await this.#step();
      cycles = await this.#settle();
    } catch (error) {
      this.watch.violation(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
    }
    for (const machine of this.machines) await machine.store.close();
    this.keys?.end();
    const fingerprint = `${this.#traced.digest('hex')} ${this.network.wireHash()}`;
    const counts = { ...this.counts, 'changes sent': this.watch.changesSent, needless: this.watch.needless };
    const { seed } = this.options;
    const { violations } = this.watch;
    const { messages, octets } = this.network;
    return { seed, violations, cycles, counts, messages, octets, trace: this.trace, fingerprint };
  }

  async #step(): Promise<void> {
    this.nowMs += 60_000 * (1 + this.random.int(120));
    switch (this.random.weighted(weightsOf(this.options))) {
      case 'people':
        return this.#changePeople(this.random.pick(this.offices));
      case 'cycle':
        return this.#cycle(this.random.pick(this.machines));
      case 'deliver':
        return this.#deliverOne();
      case 'dispatch':
        return this.#dispatch(this.random.pick(this.machines));
      case 'backup':
        return this.#disasters.backup(this.random.chance(0.4) ? this.server : this.random.pick(this.machines));
      case 'restore':
        return this.#disasters.restore(this.random.chance(0.4) ? this.server : this.random.pick(this.machines));
      case 'redefine':
        return this.#disasters.redefine();
      case 'recover':
        return this.#disasters.recover(this.random.pick(this.machines));
      case 'clone':
        return this.#disasters.clone(this.random.pick(this.machines));
      case 'wipe':
        return this.#disasters.wipe(this.random.pick(this.machines));
      case 'clock':
        return this.#disasters.jump();
      case 'refuse':
        return this.#disasters.refuse(this.random.pick(this.machines));
      case 'restart':
        this.random.pick(this.machines).life = null;
        return;
      case 'reinstall':
        return this.#disasters.reinstall(this.random.pick(this.machines));
      case 'widen':
        return this.#ways.widen(this.random.pick(this.offices).name);
      case 'reload':
        return this.#disasters.reload(this.random.pick(this.machines));
      case 'crowd':
        return this.#crowds.change(this.random.pick(this.offices));
      case 'takeBack':
        return this.#crowds.takeBack(this.random.pick(this.offices));
      case 'approve':
        return this.#crowds.approveSome(this.random.pick(this.machines));
      case 'propose':
        return this.#editing.propose(this.random.pick(this.machines));
      case 'revert':
        return this.#editing.revert(this.random.pick(this.offices));
      case 'roll':
        return this.keys?.roll(this.random.pick(this.machines));
      case 'steal':
        return this.keys?.steal(this.random.pick(this.machines));
      case 'forge':
        return this.keys?.forge();
      case 'suspend':
        return this.keys?.suspend(this.random.pick(this.machines));
      case 'move':
        return this.keys?.move();
      case 'mend':
        return this.keys?.mend();
    }
  }

  get server(): Machine {
    return this.machines[0]!;
  }

  #changePeople(office: Office): void {
    const key = `k${this.random.int(KEYS)}`;
    const person = office.people.get(key);
    this.#fresh++;
    if (person !== undefined && !isKeeper(key) && this.random.chance(0.25)) {
      office.people.delete(key);
      this.watch.left(office, key);
      return this.say(`${office.name}: ${key} leaves`);
    }
    const next =
      person === undefined
        ? newPerson(office, key, this.random, this.#fresh)
        : changedPerson(person, this.random, this.#fresh);
    // Who is another kind of entry than before is not recognised.
    const kept = office.matches && person !== undefined && next.kind !== person.kind ? person : next;
    office.people.set(key, kept);
    this.watch.person(office, kept);
    this.say(`${office.name}: ${key} is ${next.kind} ${next.name}, ${next.title}, ${next.mail}`);
  }

  /** T0 and T1. */
  async #cycle(machine: Machine): Promise<void> {
    await this.act(machine, async () => {
      const { postoffice, source } = await machine.start();
      source.fault = this.#readFault();
      const signal = new AbortController().signal;
      try {
        await collect(postoffice, { signal });
      } catch (error) {
        // A directory that may answer later; the exchange goes all the same.
        if (!(error instanceof DirpostError) || error.code !== 'directory-failed') throw error;
      }
      if ((await machine.own()).stopped === null) await submit(postoffice);
      await sendOutgoing(postoffice, signal);
    });
  }

  #readFault(): ReadFault | null {
    if (this.quiet || !this.random.chance(this.options.badReads ?? 0.08)) return null;
    this.count('reads failed');
    return this.random.pick(readFaults);
  }

  /** T2 and T3. */
  async #dispatch(machine: Machine): Promise<void> {
    await this.act(machine, async () => {
      const { postoffice } = await machine.start();
      const options = { signal: new AbortController().signal };
      const dispatched = await dispatch(postoffice, options);
      if (!this.quiet && this.random.chance(0.2)) await catchUpOwn(postoffice, dispatched, options);
    });
    if (this.options.edits ?? false) await this.#editing.work(machine);
  }

  /** Lets the machine work, and perhaps die at it. */
  async act(machine: Machine, work: () => Promise<void>): Promise<void> {
    try {
      const { gate } = await machine.start();
      gate.arm(!this.quiet && this.random.chance(0.05) ? this.random.int(40) : null);
      await work();
      gate.arm(null);
    } catch (error) {
      if (error instanceof SimulatedCrash) {
        this.count('crashes');
        machine.life = null;
        return this.say(`--- ${machine.label} crashed: ${error.message}`);
      }
      machine.life?.gate.arm(null);
      const expected = ['disk-full', 'directory-failed'];
      if (!(error instanceof DirpostError) || !expected.includes(error.code)) throw error;
      this.say(`${machine.label}: ${error.message}`);
    }
  }

  async #deliverOne(): Promise<void> {
    const { inFlight } = this.network;
    if (inFlight.length === 0) return;
    const at = this.random.int(inFlight.length);
    const letter = inFlight[at]!;
    const calm = this.quiet;
    if (calm || !this.random.chance(0.15) || !this.count('repeated')) inFlight.splice(at, 1);
    if (!calm && this.random.chance(0.15)) return void this.count('lost');
    const arriving = !calm && this.random.chance(0.04) ? this.#damaged(letter) : letter;
    this.#put(arriving);
    if (calm || this.random.chance(0.8)) await this.#dispatch(this.#machineOf(letter.to));
  }

  #put(letter: Letter): void {
    this.network.mailbox(letter.to).push(letter);
    if (!letter.damaged) this.delivered.push(letter);
  }

  #damaged(letter: Letter): Letter {
    const bytes = Buffer.from(letter.bytes);
    if (this.random.chance(0.5)) {
      this.count('truncated');
      return { ...letter, bytes: bytes.subarray(0, this.random.int(bytes.length)), damaged: true };
    }
    this.count('altered');
    bytes[this.random.int(bytes.length)]! ^= 1 << this.random.int(8);
    return { ...letter, bytes, damaged: true };
  }

  /** One of the machines of that name; what is not for its incarnation it leaves (rule 13). */
  #machineOf(name: string): Machine {
    return this.random.pick(this.machines.filter((machine) => machine.name === name));
  }

  async #settle(): Promise<number> {
    this.quiet = true;
    // What was announced under a clock that is ahead counts once clocks have come so far.
    if (this.keys !== null) this.nowMs = Math.max(this.nowMs, this.#disasters.latestMs);
    if (this.options.narrow ?? false) this.#ways.narrowForGood();
    const holds = this.options.holds ?? false;
    if (holds) await this.#until('agreed while held', async () => disagreementsWhileHeld(this.machines, this.server));
    const { cycles, agreed } = await this.#until('converged', async () => {
      let waited = 0;
      if (holds) for (const machine of this.machines) waited += await this.#crowds.approveAll(machine);
      // What agrees may agree only because of what is held.
      return waited > 0 ? [`${waited} entries were held`] : this.#disagreements();
    });
    if (agreed) await this.#stayAtRest();
    return cycles;
  }

  /** A copy that has to be recovered by hand may agree before; afterwards it gets everything anew. */
  async #untilNobodyIsNeeded(): Promise<void> {
    for (let cycles = 0; cycles < MOST_QUIET_CYCLES; cycles++) {
      const before = this.counts['recovered'] ?? 0;
      await this.#quietCycle();
      if ((this.counts['recovered'] ?? 0) === before) return;
    }
  }

  async #disagreements(): Promise<string[]> {
    const wrong = await disagreements(this.machines, this.server);
    return this.keys === null ? wrong : [...wrong, ...(await keyDisagreements(this.machines, this.server))];
  }

  async #until(what: string, faults: () => Promise<string[]>): Promise<{ cycles: number; agreed: boolean }> {
    let cycles = 0;
    let wrong: string[] = [];
    do {
      await this.#quietCycle();
      wrong = await faults();
      for (const text of (this.options.edits ?? false) ? await this.#editing.faults() : [])
        this.watch.violation(`fold: ${text}`);
      this.say(`--- quiet cycle ${++cycles}: ${wrong.length} disagreements`);
    } while (wrong.length > 0 && cycles < MOST_QUIET_CYCLES);
    for (const text of wrong) this.watch.violation(`not ${what}: ${text}`);
    return { cycles, agreed: wrong.length === 0 };
  }

  async #quietCycle(): Promise<void> {
    this.nowMs += DAY_MS;
    await this.keys?.mend();
    for (const machine of this.machines) {
      await this.#disasters.recover(machine);
      await this.#cycle(machine);
    }
    for (const machine of this.machines) await this.#dispatch(machine);
    while (this.network.inFlight.length > 0) {
      await this.#deliver(this.network.inFlight.shift()!);
    }
  }

  /** Surely, to some machine of that name for whom it is. */
  async #deliver(letter: Letter): Promise<void> {
    this.#put(letter);
    const first = this.#machineOf(letter.to);
    await this.#dispatch(first);
    for (const other of this.machines) if (other !== first && other.name === letter.to) await this.#dispatch(other);
  }

  /** What must hold after all agree: nothing is sent any more, nothing is kept, and repeats change nothing. */
  async #stayAtRest(): Promise<void> {
    await this.#untilNobodyIsNeeded();
    const before = this.watch.changesSent;
    await this.#quietCycle();
    if (this.watch.changesSent > before)
      this.watch.violation(`needless: ${this.watch.changesSent - before} changes sent at rest`);
    for (const machine of this.machines) {
      for (const text of missingCorrupt(machine)) this.watch.violation(`corrupt: ${text}`);
      if ((await machine.stopped()) !== null) continue;
      for (const text of await growth(machine)) this.watch.violation(`growth: ${text}`);
    }
    const delivered = this.delivered;
    const sent = this.watch.changesSent;
    for (let i = 0; i < REPEATS_AT_THE_END && delivered.length > 0; i++)
      await this.#deliver(this.random.pick(delivered));
    if (this.watch.changesSent > sent)
      this.watch.violation(`needless: ${this.watch.changesSent - sent} changes sent for repeats`);
    for (const text of await this.#disagreements()) this.watch.violation(`resurrected: ${text}`);
  }
}
