/**
 * A world in which nothing happens by itself: for what worlds come to too seldom, and a test plays step by step. The
 * checkers of watch.ts look on as always.
 */
import { collect } from '../../packages/agent/src/collect.ts';
import { dispatch } from '../../packages/agent/src/dispatch.ts';
import { sendOutgoing, submit } from '../../packages/agent/src/send.ts';
import type { Machine, Mutation } from './machine.ts';
import type { Letter } from './network.ts';
import { newPerson } from './organisation.ts';
import { World } from './world.ts';

const { signal } = new AbortController();

export class Play {
  readonly world: World;
  readonly hq: Machine;
  readonly oslo: Machine;

  constructor(mutation?: Mutation) {
    this.world = new World({ seed: 1, calm: true, requestors: 1, ...(mutation === undefined ? {} : { mutation }) });
    [this.hq, this.oslo] = this.world.machines as [Machine, Machine];
  }

  joins(key: string): void {
    const person = newPerson(this.oslo.office, key, this.world.random, 1);
    this.oslo.office.people.set(key, person);
    this.world.watch.person(this.oslo.office, person);
  }

  /** T0 and T1; the letters that went out. */
  async sends(machine: Machine): Promise<Letter[]> {
    const { postoffice } = await machine.start();
    await collect(postoffice, { signal });
    await submit(postoffice);
    await sendOutgoing(postoffice, signal);
    return this.world.network.inFlight.splice(0);
  }

  /** What the server answers. */
  async arriveAtServer(letters: Letter[]): Promise<Letter[]> {
    this.world.network.mailbox(this.hq.name).push(...letters);
    await dispatch((await this.hq.start()).postoffice, { signal });
    return this.world.network.inFlight.splice(0);
  }

  async arrive(letters: Letter[], machine: Machine): Promise<void> {
    this.world.network.mailbox(machine.name).push(...letters);
    await dispatch((await machine.start()).postoffice, { signal });
    this.world.network.inFlight.length = 0;
  }
}
