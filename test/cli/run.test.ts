/**
 * `dirpost run` as real processes: a server and a branch over an exchange folder. Commands that write go through the
 * agent; SIGTERM ends it in order, SIGKILL at any moment loses nothing.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import { Office, start } from '../demo/office.ts';
import { pick, type Staff } from '../demo/people.ts';
import { freshNetwork } from './network.ts';

const KILLS = 10;
const TERMS = 6;
const MAX_CYCLES = 6;
/** Without another line. */
const PATIENCE_MS = 40_000;

const agents = new Set<AgentProcess>();
afterEach(async () => {
  for (const agent of agents) await agent.kill();
});

class AgentProcess {
  out = '';
  err = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly #listeners = new Set<() => void>();
  #failure: Error | null = null;

  constructor(
    readonly office: Office,
    ...args: string[]
  ) {
    agents.add(this);
    this.child = start(['--config', office.config, 'run', ...args]);
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#heard((this.out += text)));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => this.#heard((this.err += text)));
    this.ended = once(this.child, 'close').then(([code]) => {
      agents.delete(this);
      this.#heard('');
      return code as number | null;
    });
  }

  /** Until a line is told that was not told at `from`; throws when the agent ends before. */
  async says(pattern: RegExp, from = 0): Promise<void> {
    while (!pattern.test(this.out.slice(from))) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`${this.office.name} ended without saying ${pattern}:\n${this.out}${this.err}`);
      }
      const late = setTimeout(() => this.#fail(pattern, from), PATIENCE_MS);
      await new Promise<void>((resolve) => this.#listeners.add(resolve)).finally(() => clearTimeout(late));
      if (this.#failure !== null) throw this.#failure;
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; out: string; err: string }> {
    this.child.kill(signal);
    return { code: await this.ended, out: this.out, err: this.err };
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  #fail(pattern: RegExp, from: number): void {
    this.#failure = new Error(`${this.office.name} does not say ${pattern}:\n${this.out.slice(from)}${this.err}`);
    this.#heard('');
  }

  #heard(_text: string): void {
    for (const resolve of this.#listeners) resolve();
    this.#listeners.clear();
  }
}

interface Pair {
  offices: [Office, Office];
  hq: Office;
  oslo: Office;
  staff: Staff;
}

let pair: Pair;
beforeEach(async () => {
  const { root, staff } = await freshNetwork();
  const [hq, oslo] = [new Office(root, 'hq'), new Office(root, 'oslo')];
  pair = { offices: [hq, oslo], hq, oslo, staff: staff.oslo };
});

async function ready(office: Office, ...args: string[]): Promise<AgentProcess> {
  const agent = new AgentProcess(office, ...args);
  await agent.says(/ ready\n/);
  return agent;
}

async function inStep(offices: Office[]): Promise<string[]> {
  return digestFaults(await Promise.all(offices.map((office) => office.status())));
}

describe('run', () => {
  it('a change goes through both agents by one sync, and SIGTERM ends them in order', async () => {
    const { hq, oslo, offices, staff } = pair;
    const server = await ready(hq);
    const branch = await ready(oslo);
    await branch.says(/T3 info {4}update \d+ from hq: .*digests agree/);

    staff.people[0]!.title = 'Skipper';
    staff.people.splice(3, 1);
    await oslo.writePeople(staff);
    const from = server.out.length;
    const ran = await oslo.must('sync');
    // By the socket: the agent holds the lock, and tells the same.
    expect(ran.out).toMatch(/T0 {2}people: read 13 entries; 0 new, \d+ changed, 1 removed/);
    expect(ran.out).toMatch(/In step with hq: digests agree\./);
    expect(branch.out).toMatch(/ T0 info {4}people: read 13 entries; 0 new, \d+ changed, 1 removed/);
    await server.says(/ T2 info {4}verification from oslo/, from);
    await vi.waitFor(async () => expect(await inStep(offices)).toEqual([]), { timeout: 30_000, interval: 200 });

    for (const agent of [server, branch]) {
      const { code, out, err } = await agent.stop();
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toMatch(/ -- info {4}stopped\n$/);
    }
    for (const office of offices) expect(await contentFaults(office, offices)).toEqual([]);
  });

  it('commands that read need no agent, a second agent is refused, and a command tells its faults as ever', async () => {
    const { hq } = pair;
    const server = await ready(hq);
    expect((await hq.must('status')).out).toMatch(/directory server/);
    const second = await hq.run('run');
    expect(second).toMatchObject({ code: 1 });
    expect(second.err).toContain(`process ${server.child.pid}`);
    const unlink = await hq.run('unlink', 'nowhere', 'cn=x');
    expect(unlink).toMatchObject({ code: 2 });
    expect(unlink.err).toMatch(/There is no directory nowhere/);
    const json = await hq.run('--json', 'dispatch');
    expect(JSON.parse(json.out)).toMatchObject({ corrupt: 0 });
    const wrong = await hq.run('sync', '--wait', 'long');
    expect(wrong.code).toBe(2);
    expect((await server.stop('SIGINT')).code).toBe(0);
  });

  it('check tells that the agent was started before the configuration changed, but not for a comment', async () => {
    const { hq } = pair;
    const server = await ready(hq);
    const same = await hq.must('check');
    expect(same.out).toMatch(/^agent +ok +runs with this configuration/m);
    const text = await readFile(hq.config, 'utf8');
    await writeFile(hq.config, `${text}\n# a comment\n`);
    expect((await hq.must('check')).out).toMatch(/^agent +ok/m);
    await writeFile(hq.config, `${text}\nlog: { level: warning }\n`);
    const other = await hq.must('check');
    expect(other.out).toMatch(/^warning: agent: .*was started before the configuration changed\n {2}Restart it/m);
    await server.stop();
    expect((await hq.must('check')).out).not.toMatch(/^agent/m);
  });

  it('a command that waits keeps neither the agent nor other commands', async () => {
    const { hq, oslo } = pair;
    const branch = await ready(oslo);
    await branch.says(/T1 info {4}exchange \d+ to hq/);
    const from = branch.out.length;
    const waiting = oslo.run('sync', '--wait', '60');
    await branch.says(/exchange \d+ to hq/, from);
    const ended = vi.fn<() => void>();
    void waiting.finally(ended);
    expect((await oslo.must('dispatch')).err).toBe('');
    expect(ended).not.toHaveBeenCalled();
    const server = await ready(hq);
    expect((await waiting).out).toMatch(/In step with hq: digests agree\./);
    for (const agent of [branch, server]) expect((await agent.stop()).code).toBe(0);
  });

  it('a command asks at once what was mended, however often it failed before', async () => {
    const { oslo } = pair;
    await rm(oslo.exchange, { recursive: true });
    const agent = await ready(oslo);
    await agent.says(/folder: nothing could be collected/);
    expect((await oslo.run('dispatch')).out).toMatch(/folder: nothing could be collected/);
    expect((await oslo.run('status')).out).toMatch(/folder: nothing could be collected since /);
    await mkdir(oslo.inbox, { recursive: true });
    expect((await oslo.run('dispatch')).out).not.toMatch(/nothing could be collected/);
    expect((await oslo.run('status')).out).not.toMatch(/nothing could be collected/);
    await agent.stop();
  });

  it('Ctrl-C at a command cancels it in the agent, which goes on', async () => {
    const { oslo } = pair;
    const branch = await ready(oslo);
    await branch.says(/T1 info {4}exchange \d+ to hq/);
    const from = branch.out.length;
    const child = start(['--config', oslo.config, 'sync', '--wait', '60']);
    const closed = once(child, 'close');
    await branch.says(/exchange \d+ to hq/, from);
    child.kill('SIGINT');
    await closed;
    await oslo.must('sync', '--wait', '0');
    expect((await branch.stop()).code).toBe(0);
  });

  it('the log is JSON on request', async () => {
    const { hq } = pair;
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\nlog: { format: json }\n`);
    const server = new AgentProcess(hq);
    await server.says(/"msg":"ready"/);
    await server.says(/"t":"T0"/);
    const { code, out } = await server.stop();
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(code).toBe(0);
    expect(lines[0]).toMatchObject({ level: 'info', postoffice: 'hq', role: 'server', pid: server.child.pid });
    expect(lines.at(-1)).toMatchObject({ msg: 'stopped' });
  });

  it('--once runs a cycle and ends', async () => {
    const { hq, oslo, offices } = pair;
    const codes: (number | null)[] = [];
    for (const office of [oslo, hq, oslo, hq, oslo, hq]) codes.push(await new AgentProcess(office, '--once').ended);
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await inStep(offices)).toEqual([]);
  });

  it('a wrong configuration is told with its lines', async () => {
    const { hq } = pair;
    await writeFile(hq.config, `${await readFile(hq.config, 'utf8')}\nschedule: { T1: "61 * * * *", zone: Oslo }\n`);
    const agent = new AgentProcess(hq);
    expect(await agent.ended).toBe(2);
    expect(agent.err).toMatch(/dirpost\.yaml:\d+: schedule\.T1.*cron[\s\S]*schedule\.zone.*IANA/);
  });
});

describe('SIGTERM', () => {
  it(`at ${TERMS} random moments ends the agent in order, with a command under way`, { timeout: 120_000 }, async () => {
    const { oslo } = pair;
    for (let term = 0; term < TERMS; term++) {
      const agent = new AgentProcess(oslo);
      await agent.says(/process \d+/);
      const command = start(['--config', oslo.config, 'sync', '--wait', '60']);
      const commanded = once(command, 'close');
      await wait(pick(`term ${term}`, 2_000));
      const askedMs = performance.now();
      const { code, out, err } = await agent.stop();
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toMatch(/stopped\n$/);
      expect(performance.now() - askedMs).toBeLessThan(10_000);
      // It may have come too late for the agent, and then runs by itself.
      command.kill('SIGINT');
      await commanded;
    }
    expect((await oslo.run('queue')).code).toBe(0);
  });
});

describe('SIGKILL', () => {
  it(`at ${KILLS} random moments loses nothing and doubles nothing`, { timeout: 170_000 }, async () => {
    const { offices, oslo, staff } = pair;
    for (let kill = 0; kill < KILLS; kill++) {
      staff.people[pick(`who ${kill}`, staff.people.length)]!.title = `Title ${kill}`;
      await oslo.writePeople(staff);
      const both = offices.map((office) => new AgentProcess(office));
      await Promise.all(both.map((agent) => agent.says(/process \d+/)));
      const command = start(['--config', oslo.config, 'sync', '--wait', '0']);
      const commanded = once(command, 'close');
      // Within the time that a start with a sync usually takes, the seed decides when.
      await wait(pick(`when ${kill}`, 1_500));
      await both[kill % 2]!.kill();
      await both[1 - (kill % 2)]!.kill();
      await commanded;
    }
    const agents = await Promise.all(offices.map((office) => ready(office)));
    for (let cycles = 1; ; cycles++) {
      await oslo.must('sync');
      await offices[0]!.must('sync');
      await oslo.must('sync');
      const faults = await inStep(offices);
      if (faults.length === 0) break;
      if (cycles === MAX_CYCLES) expect(faults).toEqual([]);
    }
    for (const agent of agents) expect((await agent.stop()).code).toBe(0);
    for (const office of offices) {
      expect(await contentFaults(office, offices)).toEqual([]);
      const { corrupt, own, server } = await office.status();
      expect([office.name, corrupt, server?.lives ?? 0, own.counts['rollbacks']]).toEqual([office.name, 0, 0, 0]);
    }
  });
});
