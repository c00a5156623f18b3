/** Offices whose agents run, for the demo over HTTP and the one by mail, and how it is seen that they are in step. */
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Agent } from './agent.ts';
import { contentFaults, digestFaults } from './contents.ts';
import { ClaimFailed, type Narrator } from './narrator.ts';
import { CONTAINER, Office, runHere } from './office.ts';
import { makeStaff, type Staff } from './people.ts';

const SIZES: Record<string, number> = { hq: 100, oslo: 250, lima: 200 };
const GROUPS = 8;
const WITHIN_MS = 45_000;
const LOOK_EACH_MS = 250;

/** So often that somebody who watches does not get bored. */
const QUICK = `
schedule: { every: 2s, poll: 1s }
retry: { exchangeAfter: 2s, exchangeAtMost: 4s, deliverAfter: 1s, deliverAtMost: 2s }
`;

export class AgentScene {
  readonly hq: Office;
  readonly oslo: Office;
  readonly lima: Office;
  /** The server first. */
  readonly offices: Office[];
  readonly staff = new Map<Office, Staff>();
  readonly #agents = new Map<Office, Agent>();

  constructor(
    readonly tell: Narrator,
    readonly root: string,
  ) {
    this.offices = ['hq', 'oslo', 'lima'].map((name) => new Office(root, name));
    [this.hq, this.oslo, this.lima] = this.offices as [Office, Office, Office];
    for (const office of this.offices) {
      this.#agents.set(office, new Agent(office, (address) => this.listens(office, address)));
    }
  }

  /** An agent listens there from now on; null: nowhere. */
  protected listens(_office: Office, _address: string | null): void {}

  agent(office: Office): Agent {
    return this.#agents.get(office)!;
  }

  /** To set up by commands within this process: what follows is shown by processes. */
  here({ name }: Office): Office {
    return new Office(this.root, name, runHere);
  }

  async makePeople(): Promise<void> {
    await mkdir(this.hq.exchange, { recursive: true });
    for (const office of this.offices) {
      await mkdir(join(this.root, 'directories', office.name), { recursive: true });
      const made = makeStaff(office.name, SIZES[office.name]!, GROUPS);
      this.staff.set(office, made);
      await office.writePeople(made);
    }
  }

  /** Where its directories are, as `init` and `join` take it. */
  directories({ name }: Office): string[] {
    const file = (kind: string) => `../directories/${name}/${kind}.ldif`;
    return ['--publish', file('people'), '--subscribe', file('network'), '--container', CONTAINER];
  }

  /** `more`: further lines of its configuration. */
  async quicken({ config }: Office, more = ''): Promise<void> {
    await appendFile(config, `${QUICK}${more}`);
  }

  async run(...offices: Office[]): Promise<void> {
    for (const office of offices) this.agent(office).start();
    for (const office of offices) {
      await this.until(`the agent of ${office.name} is ready`, () => (this.agent(office).isReady ? [] : ['it is not']));
    }
  }

  /** Polls until nothing is wrong any more; seconds, to one digit. */
  async until(claim: string, look: () => string[] | Promise<string[]>): Promise<string> {
    const sinceMs = performance.now();
    for (;;) {
      const faults = await look();
      if (faults.length === 0) return ((performance.now() - sinceMs) / 1_000).toFixed(1);
      const ended = [...this.#agents.values()].flatMap((agent) => agent.faults);
      if (ended.length > 0 || performance.now() - sinceMs > WITHIN_MS)
        throw new ClaimFailed(claim, [...ended, ...faults]);
      await wait(LOOK_EACH_MS);
    }
  }

  /** Until digests and files agree everywhere; seconds. */
  async inStep(): Promise<string> {
    return this.until('all are in step', () => this.faults());
  }

  async faults(): Promise<string[]> {
    const contents: string[] = [];
    const missing = (error: NodeJS.ErrnoException): string[] => {
      if (error.code !== 'ENOENT') throw error;
      return ['a network.ldif is not written yet'];
    };
    for (const office of this.offices) {
      contents.push(...(await contentFaults(office, this.offices).catch(missing)));
      if (contents.length > 0) return contents;
    }
    return digestFaults(await Promise.all(this.offices.map((office) => office.status())));
  }

  /** Exit codes of the agents that were asked to stop. */
  async stopAll(): Promise<(number | null)[]> {
    return Promise.all(this.offices.map((office) => this.agent(office).stop()));
  }

  async close(): Promise<void> {
    await Promise.all(this.offices.map((office) => this.agent(office).kill()));
  }
}
