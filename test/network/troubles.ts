/** What happens to a network meanwhile, from a seed: agents are killed, connections cut, lines shut, people change. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Office } from '../demo/office.ts';
import { cutPlaces } from '../relay/line.ts';
import { Dice, type Network } from './network.ts';

export interface Troubles {
  kills: number;
  cuts: number;
  /** Besides the kills: SIGTERM, after which the agent is started again. */
  terms: number;
  /** Times that a branch (or, each fourth time, everybody) is without http for a while. */
  shuts: number;
  /** Between two kills, on average; each fourth time the agent stays down for some of it. */
  killEachMs: number;
  shutForMs: number;
}

export interface Happened {
  kills: number;
  ofServer: number;
  cuts: number;
  terms: number;
  shuts: number;
  changes: number;
}

const STOP_WITHIN_MS = 11_000;

export class Chaos {
  readonly happened: Happened = { kills: 0, ofServer: 0, cuts: 0, terms: 0, shuts: 0, changes: 0 };
  readonly #network: Network;
  readonly #troubles: Troubles;
  readonly #seed: string;
  /** Offices whose agent is just being stopped and started again. */
  readonly #busy = new Set<Office>();

  constructor(network: Network, troubles: Troubles, seed: string) {
    this.#network = network;
    this.#troubles = troubles;
    this.#seed = seed;
  }

  /** Until all troubles have happened; afterwards all agents run and all lines are whole. */
  async run(): Promise<void> {
    await Promise.all([this.#kill(), this.#terminate(), this.#cut(), this.#shut(), this.#change()]);
    for (const line of this.#network.lines.values()) line.disarm();
  }

  get #isOver(): boolean {
    const { kills, cuts, terms, shuts } = this.happened;
    const wanted = this.#troubles;
    const isOver = kills >= wanted.kills && cuts >= wanted.cuts && terms >= wanted.terms && shuts >= wanted.shuts;
    return isOver || this.#network.surprises.length > 0;
  }

  async #kill(): Promise<void> {
    const dice = new Dice(`${this.#seed} kill`);
    await this.#stopSome(dice, 'kills', async (office) => {
      await this.#network.stop(office, 'SIGKILL');
      if (office === this.#network.hq) this.happened.ofServer++;
    });
  }

  async #terminate(): Promise<void> {
    const dice = new Dice(`${this.#seed} terminate`);
    await this.#stopSome(dice, 'terms', async (office) => {
      const { code, signal, ms, wasReady, err } = await this.#network.stop(office, 'SIGTERM');
      // Before it listens for signals the system ends it, at whatever moment of its start.
      const isGood = code === 0 || (signal === 'SIGTERM' && !wasReady);
      if (!isGood) this.#network.surprises.push(`${office.name} ended by SIGTERM with ${code ?? signal}: ${err}`);
      if (ms > STOP_WITHIN_MS) this.#network.surprises.push(`${office.name} took ${ms.toFixed(0)} ms to end`);
    });
  }

  async #stopSome(dice: Dice, what: 'kills' | 'terms', stop: (office: Office) => Promise<void>): Promise<void> {
    const { killEachMs, kills } = this.#troubles;
    const wanted = this.#troubles[what];
    const eachMs = (killEachMs * kills) / Math.max(wanted, 1);
    while (this.happened[what] < wanted && !this.#isOver) {
      await wait(dice.share() * 2 * eachMs);
      const office = dice.oneOf(this.#network.offices);
      const downMs = dice.below(4) === 0 ? dice.share() * 2 * killEachMs : 0;
      if (this.#busy.has(office)) continue;
      this.#busy.add(office);
      await stop(office);
      await wait(downMs);
      this.#network.start(office);
      this.#busy.delete(office);
      this.happened[what]++;
    }
  }

  async #cut(): Promise<void> {
    const dice = new Dice(`${this.#seed} cut`);
    const lines = [...this.#network.lines.values()];
    const { cuts, kills, killEachMs } = this.#troubles;
    const eachMs = (kills * killEachMs) / cuts;
    const counted = () => lines.reduce((sum, line) => sum + line.cutCount, 0);
    while (this.happened.cuts < cuts && !this.#isOver) {
      const line = dice.oneOf(lines);
      if (!line.isArmed) line.cutNext(dice.oneOf(cutPlaces), dice.share());
      await wait(dice.share() * 2 * eachMs);
      this.happened.cuts = counted();
    }
  }

  async #shut(): Promise<void> {
    const dice = new Dice(`${this.#seed} shut`);
    const lines = [...this.#network.lines.values()];
    const { shuts, kills, killEachMs, shutForMs } = this.#troubles;
    while (this.happened.shuts < shuts && !this.#isOver) {
      const some = this.happened.shuts % 4 === 3 ? lines : [dice.oneOf(lines)];
      await wait((dice.share() * 2 * kills * killEachMs) / shuts - Math.min(shutForMs, 1_000));
      for (const line of some) line.shut();
      await wait(dice.share() * 2 * shutForMs);
      for (const line of some) line.restore();
      this.happened.shuts++;
    }
  }

  async #change(): Promise<void> {
    const dice = new Dice(`${this.#seed} change`);
    while (!this.#isOver) {
      await this.#network.change(dice.oneOf(this.#network.offices), dice);
      this.happened.changes++;
      await wait(dice.share() * 2 * this.#troubles.killEachMs);
    }
  }
}
