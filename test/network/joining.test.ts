/**
 * Joining over http while one of the two is killed (SIGKILL) at a moment that the line or the log gives: half of an
 * enrolment has passed, the server has it and nobody knows, the answer is on its way, one of them has just said so.
 * Whoever was killed is started again, and nothing else is done. It has to end well, and nobody joins twice.
 */
import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestFaults } from '../demo/contents.ts';
import { Office, start } from '../demo/office.ts';
import { PATIENCE_MS } from './fresh-network.ts';
import { type CutPlace, Line } from '../relay/line.ts';
import { Network } from './network.ts';

/** Invited, and not joined: that is what the tests do. One after the other takes the next branch. */
class JoiningNetwork extends Network {
  #taken = 0;

  override async make(): Promise<void> {
    for (const branch of this.branches) {
      const line = new Line();
      await line.open();
      this.lines.set(branch, line);
    }
    await super.make();
  }

  protected override async join(): Promise<void> {}

  take(): { branch: Office; line: Line } {
    const branch = this.branches[this.#taken++]!;
    return { branch, line: this.lines.get(branch)! };
  }

  /** At once when it is told, not some time later. */
  killWhenSaid(killed: Office, pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      this.heard = (office, { msg }) => {
        if (office !== killed || !pattern.test(msg)) return;
        this.heard = () => {};
        void this.stop(killed, 'SIGKILL').then(() => resolve());
      };
    });
  }

  async #known(name: string): Promise<{ name: string; state: string; fingerprint: string }[]> {
    const { requestors } = await this.hq.json<{ requestors: { name: string; state: string; fingerprint: string }[] }>(
      'requestor',
      'list',
    );
    return requestors.filter((one) => one.name === name);
  }

  async expectJoinedOnce(branch: Office): Promise<void> {
    await this.until(`${branch.name} is in step`, () => this.#faultsOf(branch), PATIENCE_MS);
    const { own } = await branch.json<{ own: { fingerprint: string } }>('keys');
    expect(await this.#known(branch.name)).toMatchObject([{ state: 'active', fingerprint: own.fingerprint }]);
    const saidAt = (office: Office, words: string) => this.told.get(office)!.filter(({ msg }) => msg.startsWith(words));
    // Killed between what it did and its word, it has not said so.
    expect(saidAt(this.hq, `${branch.name} has joined:`).length).toBeLessThanOrEqual(1);
    expect(saidAt(this.hq, `${branch.name} has joined anew`)).toEqual([]);
    expect(saidAt(this.hq, `${branch.name} wanted to join`)).toEqual([]);
    expect((await branch.status()).own.counts).toMatchObject({ rollbacks: 0 });
    expect(this.surprises).toEqual([]);
    // The next ones have the machine for themselves.
    await this.stop(branch, 'SIGTERM');
  }

  /** The others that have joined rest, and need not have what came since. */
  async #faultsOf({ name }: Office): Promise<string[]> {
    const statuses = [await this.hq.status()];
    const known = statuses[0]!.server!.requestors.map((one) => one.name);
    if (!known.includes(name)) return [`${name} has not joined`];
    for (const branch of this.branches) if (known.includes(branch.name)) statuses.push(await branch.status());
    return digestFaults(statuses).filter((fault) => fault.split(' ').includes(name));
  }
}

const requestorKilled = [
  ['before anything of its enrolment has passed', 'asked', 0.5],
  ['in the middle of its enrolment', 'posted', 0.5],
  ['when the server has its enrolment, and it does not know', 'answered', 0],
  ['in the middle of the answer', 'collected', 0.5],
] as const satisfies [string, CutPlace, number][];
const serverKilled = requestorKilled.slice(1);
/** As soon as one of them has said that it has joined; and an invitation of a killed command. */
const OTHERS = 3;

let network: JoiningNetwork;
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'dirpost-joining-'));
  network = new JoiningNetwork({
    root,
    branches: requestorKilled.length + serverKilled.length + OTHERS,
    seed: 'joining 1',
    every: '1s',
    people: 3,
    transports: ({ name }) =>
      name === 'hq' ? { http: { listen: '127.0.0.1:0' } } : { http: { url: network.lines.get(branchOf(name))!.url } },
  });
  await network.make();
});
afterAll(async () => {
  await network.close();
  await rm(root, { recursive: true, force: true });
});

function branchOf(name: string): Office {
  return network.branches.find((branch) => branch.name === name)!;
}

function joining({ config, data }: Office): ChildProcess {
  const child = start(['--config', config, 'join', '--file', join(data, 'invitation'), '--wait', '60']);
  child.stdout!.resume();
  child.stderr!.resume();
  return child;
}

describe('a requestor that is killed while it joins', () => {
  it.each(requestorKilled)('%s, joins, once', async (_when, place, share) => {
    const { branch, line } = network.take();
    const stalled = line.stallNext(place, share);
    const child = joining(branch);
    await stalled;
    child.kill('SIGKILL');
    await once(child, 'close');
    network.start(branch);
    await network.expectJoinedOnce(branch);
  });

  it('as soon as it has said that it has joined, goes on', async () => {
    const { branch } = network.take();
    // Else the answer may be there before the command ends, and is nothing new to the agent.
    await network.stop(network.hq, 'SIGTERM');
    await branch.run('join', '--file', join(branch.data, 'invitation'), '--wait', '0');
    network.start(network.hq);
    const killed = network.killWhenSaid(branch, /^joined: hq knows/);
    network.start(branch);
    await killed;
    network.start(branch);
    await network.expectJoinedOnce(branch);
  });
});

describe('a server that is killed while somebody joins', () => {
  it.each(serverKilled)('%s, admits it, once', async (_when, place, share) => {
    const { branch, line } = network.take();
    const stalled = line.stallNext(place, share);
    const child = joining(branch);
    const ended = once(child, 'close');
    await stalled;
    await network.stop(network.hq, 'SIGKILL');
    network.start(network.hq);
    // It has joined, or could not send its enrolment: then its agent does.
    await ended;
    network.start(branch);
    await network.expectJoinedOnce(branch);
  });

  it('as soon as it has said that it has joined, answers', async () => {
    const { branch } = network.take();
    const killed = network.killWhenSaid(network.hq, new RegExp(`^${branch.name} has joined:`));
    const child = joining(branch);
    const ended = once(child, 'close');
    await killed;
    network.start(network.hq);
    await ended;
    network.start(branch);
    await network.expectJoinedOnce(branch);
  });
});

it('an invitation that was shown is good, although the command was killed at that moment', async () => {
  const { branch } = network.take();
  const child = start(['--config', network.hq.config, '--json', 'invite', branch.name]);
  let shown = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    if (shown.includes('\n}')) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const { invitation } = JSON.parse(shown) as { invitation: string };
  await writeFile(join(branch.data, 'invitation'), invitation);
  await branch.must('join', '--file', join(branch.data, 'invitation'), '--wait', '0');
  network.start(branch);
  await network.expectJoinedOnce(branch);
});
