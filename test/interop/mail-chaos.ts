/** What happens to a network by mail meanwhile, from a seed: Exim, Dovecot and agents are killed in turn, people change. */
import { setTimeout as wait } from 'node:timers/promises';
import { Dice, type Network } from '../network/network.ts';
import type { MailSystem } from '../servers/mail/system.ts';

export interface MailTroubles {
  /** Of each: a kill of Exim, one of Dovecot, one of some agent. */
  rounds: number;
  /** Exchanges that have to pass meanwhile, of all branches. */
  exchanges: number;
  /** Between two kills, on average; what was killed is away for half of it. */
  killEachMs: number;
}

export class MailChaos {
  readonly happened = { exim: 0, dovecot: 0, agents: 0, changes: 0, exchanges: 0 };
  readonly #network: Network;
  readonly #mail: MailSystem;
  readonly #troubles: MailTroubles;
  readonly #seed: string;
  readonly #fromLine: number;

  constructor({ network, mail }: { network: Network; mail: MailSystem }, troubles: MailTroubles, seed: string) {
    this.#network = network;
    this.#mail = mail;
    this.#troubles = troubles;
    this.#seed = seed;
    this.#fromLine = network.told.get(network.hq)!.length;
  }

  /** Until so many kills and exchanges have been; afterwards everything runs. */
  async run(): Promise<void> {
    await Promise.all([this.#kill(), this.#change()]);
  }

  get #isOver(): boolean {
    return this.#countExchanges() >= this.#troubles.exchanges && this.happened.agents >= this.#troubles.rounds;
  }

  async #kill(): Promise<void> {
    const dice = new Dice(`${this.#seed} kill`);
    const mail = this.#mail;
    const { offices } = this.#network;
    const { killEachMs } = this.#troubles;
    const away = () => wait(dice.share() * killEachMs);
    while (!this.#isOver && this.#network.surprises.length === 0) {
      await away();
      await mail.killExim();
      await away();
      await mail.startExim();
      this.happened.exim++;
      await away();
      await mail.killDovecot();
      await away();
      await mail.startDovecot();
      this.happened.dovecot++;
      await away();
      const office = dice.oneOf(offices);
      await this.#network.stop(office, 'SIGKILL');
      await away();
      this.#network.start(office);
      this.happened.agents++;
    }
  }

  async #change(): Promise<void> {
    const dice = new Dice(`${this.#seed} change`);
    while (!this.#isOver && this.#network.surprises.length === 0) {
      await this.#network.change(dice.oneOf(this.#network.offices), dice);
      this.happened.changes++;
      await wait(dice.share() * 2 * this.#troubles.killEachMs);
    }
  }

  #countExchanges(): number {
    const { hq } = this.#network;
    this.happened.exchanges = this.#network.told
      .get(hq)!
      .slice(this.#fromLine)
      .filter(({ msg }) => /^exchange \d+.* from /.test(msg)).length;
    return this.happened.exchanges;
  }
}
