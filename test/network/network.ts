/**
 * A network of real agents for tests: a directory server and branches as processes (`dirpost run`), each branch with a
 * line of its own to the server's http and the exchange folder as its second way. They join by invitations.
 *
 *   people.ldif ─▶ branch ── http, over a Line ─▶ server       killed, started, shut off and cut by the test
 *                     └───── exchange folder ───────┘
 */
import { appendFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { contentFaults, digestFaults, type Status } from '../demo/contents.ts';
import { CONTAINER, Office, runHere } from '../demo/office.ts';
import { makePerson, makeStaff, pick, type Staff, uidOf } from '../demo/people.ts';
import { AgentProcess, type Ended, type LogLine } from './agent-process.ts';
import { Line } from '../relay/line.ts';

const PEOPLE = 10;
const GROUPS = 1;
const POLL_MS = 250;
const JOIN_AT_ONCE = 4;

export interface NetworkOptions {
  root: string;
  branches: number;
  seed: string;
  /** Of all agents: a cycle this often, such as `2s`. */
  every: string;
  /** Other ways than http over a line and the exchange folder: `transports` of the configuration. */
  transports?(office: Office): object;
  /** Of each office. */
  people?: number;
}

/** Numbers that follow from a seed and their order alone. */
export class Dice {
  #thrown = 0;

  constructor(private readonly seed: string) {}

  /** 0 ≤ value < count. */
  below(count: number): number {
    return pick(`${this.seed} ${this.#thrown++}`, count);
  }

  share(): number {
    return this.below(1_000_000) / 1_000_000;
  }

  oneOf<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

export class Network {
  readonly hq: Office;
  readonly branches: Office[];
  readonly offices: Office[];
  readonly lines = new Map<Office, Line>();
  /** What each office told, in this order; of all its processes. */
  readonly told = new Map<Office, LogLine[]>();
  /** Agents that ended without being asked to, and other things that must not happen. */
  readonly surprises: string[] = [];
  starts = 0;
  /** Told of each line at once. */
  heard: (office: Office, line: LogLine) => void = () => {};
  readonly #root: string;
  readonly #staffs = new Map<Office, Staff>();
  readonly #agents = new Map<Office, AgentProcess>();
  readonly #options: NetworkOptions;
  /** Keys of people. */
  readonly #joinedGroup = new Set<string>();
  #changes = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#root = options.root;
    this.hq = new Office(options.root, 'hq', runHere);
    this.branches = Array.from({ length: options.branches }, (_, i) => new Office(options.root, `b${i + 1}`, runHere));
    this.offices = [this.hq, ...this.branches];
    for (const office of this.offices) this.told.set(office, []);
  }

  /** Files, keys, lines; the server runs, the branches have asked to join, and their agents are started. */
  async make(): Promise<void> {
    const { hq } = this;
    await mkdir(join(this.#root, 'logs'));
    await mkdir(hq.exchange);
    for (const office of this.offices) {
      await mkdir(join(this.#root, 'directories', office.name), { recursive: true });
      await mkdir(office.data, { mode: 0o700 });
      this.#staffs.set(office, makeStaff(office.name, this.#options.people ?? PEOPLE, GROUPS));
      await office.writePeople(this.#staffs.get(office)!);
    }
    await hq.must('init', hq.name, '--role', 'server');
    for (const branch of this.#options.transports === undefined ? this.branches : []) {
      const line = new Line();
      await line.open();
      this.lines.set(branch, line);
    }
    await this.configure(this.#options.every);
    this.start(hq);
    await this.#until('the server listens', () => Promise.resolve(this.isReady(hq)), 30_000);
    for (const { name, data } of this.branches) await hq.must('invite', name, '--out', join(data, 'invitation'));
    for (let i = 0; i < this.branches.length; i += JOIN_AT_ONCE) {
      await Promise.all(this.branches.slice(i, i + JOIN_AT_ONCE).map((branch) => this.join(branch)));
    }
  }

  /** For the agents that start from now on. */
  async configure(every: string): Promise<void> {
    const { transports = (office: Office) => httpAndFolder(this, office) } = this.#options;
    for (const office of this.offices) {
      await writeFile(office.config, configurationOf(this.hq, office, every, transports(office)));
    }
  }

  isReady(office: Office): boolean {
    return this.#agents.get(office)?.isReady === true;
  }

  start(office: Office): void {
    this.starts++;
    const lines = this.told.get(office)!;
    const agent = new AgentProcess(office, join(this.#root, 'logs', `${office.name}.log`), (line) => {
      lines.push(line);
      this.heard(office, line);
      if (office === this.hq && typeof line['address'] === 'string') this.#serverIsAt(line['address']);
    });
    this.#agents.set(office, agent);
    void agent.ended.then(({ code, signal }) => {
      if (!agent.isAsked) this.surprises.push(`${office.name} ended by itself: ${code ?? signal} ${agent.err}`);
    });
  }

  async stop(office: Office, signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended & { wasReady: boolean; err: string }> {
    const agent = this.#agents.get(office)!;
    const wasReady = agent.isReady;
    if (office === this.hq && signal === 'SIGKILL') this.#serverIsAt(null);
    const ended = await agent.stop(signal);
    appendFileSync(join(this.#root, 'logs', `${office.name}.log`), `{"test":"${signal}"}\n`);
    return { ...ended, wasReady, err: agent.err };
  }

  /** All of them, in order; what did not end as it should is the result. */
  async stopAll(): Promise<string[]> {
    const ends = await Promise.all(
      this.offices.map(async (office) => ({ office, ...(await this.stop(office, 'SIGTERM')) })),
    );
    return ends
      .filter(({ code }) => code !== 0)
      .map(({ office, code, signal, err }) => `${office.name} ended by SIGTERM with ${code ?? signal}: ${err}`);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.keys()].map((office) => this.stop(office, 'SIGKILL')));
    await Promise.all([...this.lines.values()].map((line) => line.close()));
  }

  /** People come, leave, change and get other names; groups with them. */
  async change(office: Office, dice: Dice): Promise<void> {
    const staff = this.#staffs.get(office)!;
    const { people, groups } = staff;
    const number = ++this.#changes;
    // Nothing is ever changed back, so that what comes again unchanged was sent in vain (resent.ts): each title is a new
    // one, and who joined a group stays.
    dice.oneOf(people).title = `Title ${number}`;
    const kind = dice.below(4);
    if (kind === 0 && people.length > PEOPLE / 2) {
      const leavers = people.filter(({ key }) => !this.#joinedGroup.has(key));
      if (leavers.length > 0) people.splice(people.indexOf(dice.oneOf(leavers)), 1);
    }
    if (kind === 1 && people.length < PEOPLE * 2) {
      const newcomer = makePerson(office.name, 1_000 + number);
      people.push(newcomer);
      if (dice.below(2) === 0) {
        dice.oneOf(groups).members.push(newcomer.key);
        this.#joinedGroup.add(newcomer.key);
      }
    }
    if (kind === 2) {
      const renamed = dice.oneOf(people);
      renamed.sn = `Ny${number}sen`;
      renamed.uid = uidOf(renamed.givenName, renamed.sn, number);
    }
    await office.writePeople(staff);
  }

  async statuses(): Promise<Status[]> {
    const found: Status[] = [];
    for (const office of this.offices) found.push(await office.status());
    return found;
  }

  /** Until everybody is in step and has all people of the others; throws with what still differs. Milliseconds. */
  async inStep(timeoutMs: number): Promise<number> {
    const sinceMs = performance.now();
    await this.#until('all digests agree', async () => digestFaults(await this.statuses()), timeoutMs);
    await this.#until('all have what the others own', () => this.contents(), timeoutMs);
    return performance.now() - sinceMs;
  }

  async contents(): Promise<string[]> {
    const faults: string[] = [];
    for (const office of this.offices) {
      const missing = (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        return [`${office.name} has no network.ldif yet`];
      };
      faults.push(...(await contentFaults(office, this.offices).catch(missing)));
    }
    return faults;
  }

  /** `isSo`: what is still wrong, or whether it is so. */
  async until(what: string, isSo: () => Promise<boolean | string[]>, timeoutMs: number): Promise<void> {
    return this.#until(what, isSo, timeoutMs);
  }

  /** It has asked when this resolves; its agent takes the answer. */
  protected async join(branch: Office): Promise<void> {
    await branch.must('join', '--file', join(branch.data, 'invitation'), '--wait', '0');
    this.start(branch);
  }

  async #until(what: string, isSo: () => Promise<boolean | string[]>, timeoutMs: number): Promise<void> {
    for (const sinceMs = performance.now(); ; ) {
      const found = await isSo();
      if (found === true || (Array.isArray(found) && found.length === 0)) return;
      if (this.surprises.length > 0) throw new Error(this.surprises.join('\n'));
      if (performance.now() - sinceMs > timeoutMs) {
        const faults = Array.isArray(found) ? `\n  ${found.slice(0, 10).join('\n  ')}` : '';
        throw new Error(`not within ${timeoutMs / 1_000} s: ${what}${faults}`);
      }
      await wait(POLL_MS);
    }
  }

  #serverIsAt(address: string | null): void {
    for (const line of this.lines.values()) line.target = address === null ? null : Number(new URL(address).port);
  }
}

function httpAndFolder({ hq, lines }: Network, office: Office): object {
  const http = office === hq ? { listen: '127.0.0.1:0' } : { url: lines.get(office)!.url };
  return { http, folder: { path: '../exchange' } };
}

/** JSON is YAML. */
function configurationOf(hq: Office, office: Office, every: string, transports: object): string {
  const file = (name: string) => `../directories/${office.name}/${name}`;
  const never = { percent: 100 };
  const people = { name: 'people', type: 'ldif', path: file('people.ldif'), direction: 'publish' };
  const network = { name: 'network', type: 'ldif', path: file('network.ldif'), direction: 'subscribe' };
  const isServer = office === hq;
  const own = isServer
    ? { role: 'server', lists: [{ name: 'all', receivers: '*' }] }
    : { role: 'requestor', server: hq.name };
  const text = JSON.stringify({
    postoffice: office.name,
    ...own,
    directories: [people, { ...network, container: CONTAINER, firstWrite: 'allowed' }],
    transports,
    schedule: { every, poll: '1s' },
    retry: { exchangeAfter: '3s', exchangeAtMost: '6s', deliverAfter: '1s', deliverAtMost: '3s' },
    holds: { removals: never, clearedValues: never, lostMembers: never, renames: never },
    // What arrived is looked at afterwards (resent.ts).
    spool: { keepDoneFiles: 1_000_000 },
    log: { format: 'json', level: 'debug' },
  });
  return `${text}\n`;
}
