/** The loop of the agent on real postoffices (store, spool, folder), with a clock that the test drives. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Directory, DirpostError, type Transport } from '@dirpost/core';
import { type Agent, openAgent } from '../../packages/agent/src/agent.ts';
import { loadConfiguration } from '../../packages/agent/src/config/load.ts';
import type { CycleEvent } from '../../packages/agent/src/events.ts';
import type { Postoffice } from '../../packages/agent/src/postoffice.ts';
import { RunningPostoffice } from '../../packages/agent/src/run.ts';
import { loadSettled } from '../../packages/agent/src/schedule/schedule.ts';
import type { Office } from '../demo/office.ts';
import { DrivenTimers } from './driven-timers.ts';
import { freshNetwork } from './network.ts';

const DAY_MS = 86_400_000;
const START = '2027-03-01T12:00:00Z';

interface Running {
  events: CycleEvent[];
  agent: Agent;
  running: RunningPostoffice;
  texts(): string[];
  /** Lets time go on; between two timers everything that is begun ends. */
  pass(ms: number): Promise<void>;
  ended: Promise<void>;
  stop(): Promise<void>;
}

const open: Running[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

/** The postoffice with another way to read its people. */
function reading(postoffice: Postoffice, read: (directory: Directory) => Directory['read']): Postoffice {
  const [source] = postoffice.publishing;
  const { directory } = source!;
  const { name, writes } = directory;
  const other = { name, writes, read: read(directory), write: directory.write.bind(directory) };
  return { ...postoffice, publishing: [{ ...source!, directory: other }] };
}

interface Changes {
  /** The loop sleeps, and the poll: then nothing is being done. More where a watch waits, too. */
  timersWhenIdle?: number;
  schedule?: Record<string, unknown>;
  postoffice?: (postoffice: Postoffice) => Postoffice;
}

async function start(
  office: Office,
  timers: DrivenTimers,
  { schedule = {}, timersWhenIdle = 2, postoffice }: Changes = {},
): Promise<Running> {
  const configuration = await loadConfiguration(office.config);
  const events: CycleEvent[] = [];
  const agent = await openAgent(configuration, { tell: (event) => events.push(event) });
  const clock = { now: () => timers.now() };
  const { requestor, server } = agent.postoffice;
  const driven: Postoffice = {
    ...agent.postoffice,
    clock,
    requestor: { ...requestor, clock },
    server: server && { ...server, clock },
  };
  const stop = new AbortController();
  const settings = { ...configuration, schedule: { ...configuration.schedule, zone: 'UTC', ...schedule } };
  const running = await RunningPostoffice.open(postoffice?.(driven) ?? driven, settings, stop.signal, { timers });
  const state = { over: false };
  const ended = running.run().finally(() => (state.over = true));
  // Told by stop().
  ended.catch(() => {});
  const settled = async (): Promise<void> => {
    while (!state.over && timers.waiting.size < timersWhenIdle) await immediate();
  };
  const one: Running = {
    events,
    agent,
    running,
    ended,
    texts: () => events.map(({ time, text }) => `${time} ${text}`),
    async pass(ms) {
      await settled();
      const untilMs = timers.nowMs + ms;
      while (timers.step(untilMs)) await settled();
      await settled();
    },
    async stop() {
      open.splice(open.indexOf(one), 1);
      stop.abort(new DirpostError('interrupted', 'Interrupted.'));
      try {
        await ended;
      } finally {
        await agent.close();
      }
    },
  };
  open.push(one);
  return one;
}

const reads = ({ events }: Running) =>
  events.filter(({ time, text }) => time === 'T0' && text.includes(': read ')).length;
const exchanges = ({ events }: Running) => events.filter(({ text }) => text.startsWith('exchange ')).length;

describe('the schedule', () => {
  it('runs a cycle at the first start and then once a day, and remembers it', async () => {
    const { hq } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const first = await start(hq, timers, { schedule: { poll: 3_600_000 } });
    await first.pass(0);
    expect(reads(first)).toBe(1);
    await first.pass(3 * DAY_MS);
    expect(reads(first)).toBe(4);
    await first.stop();
    const second = await start(hq, timers, { schedule: { poll: 3_600_000 } });
    await second.pass(0);
    expect(reads(second)).toBe(0);
    await second.pass(DAY_MS);
    expect(reads(second)).toBe(1);
  });

  it('catches up once what was missed while the agent was down', async () => {
    const { hq } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const schedule = { every: 3_600_000, poll: 3_600_000 };
    const first = await start(hq, timers, { schedule });
    await first.pass(0);
    await first.stop();
    timers.nowMs += 10 * DAY_MS;
    const second = await start(hq, timers, { schedule });
    await second.pass(0);
    expect(reads(second)).toBe(1);
  });

  it('goes on when the clock jumps a year ahead and back, without running in a circle', async () => {
    const { hq } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const one = await start(hq, timers, { schedule: { poll: 3_600_000 } });
    await one.pass(0);
    timers.nowMs += 365 * DAY_MS;
    await one.pass(DAY_MS);
    expect(reads(one)).toBe(3);
    timers.nowMs -= 365 * DAY_MS;
    // Timers that were set for the other year fire as those of a real clock do: by the time that passes.
    for (const waiting of timers.waiting) waiting.atMs = Math.min(waiting.atMs, timers.nowMs + 60_000);
    await one.pass(2 * DAY_MS);
    expect(reads(one)).toBe(5);
  });

  it('times of its own: T1 sends, and what arrives waits in the spool for T3', async () => {
    const { hq, oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const schedule = { T1: '0 13 * * *', T3: '0 15 * * *', poll: 60_000 };
    const branch = await start(oslo, timers, { schedule });
    await branch.pass(0);
    expect(exchanges(branch)).toBe(1);
    await hq.must('dispatch');
    await branch.pass(2 * 3_600_000);
    expect(await branch.agent.postoffice.spool.list('incoming')).toHaveLength(1);
    expect(branch.texts().some((text) => text.startsWith('T3 update'))).toBe(false);
    await branch.pass(3_600_000);
    expect(branch.texts().some((text) => text.startsWith('T3 update'))).toBe(true);
    expect(await branch.agent.postoffice.spool.list('incoming')).toHaveLength(0);
  });
});

describe('a directory that tells of changes', () => {
  it('is read when the exchange before is answered, or two seconds after it', async () => {
    const { hq, oslo } = await freshNetwork();
    let ring = () => {};
    const watched = (postoffice: Postoffice): Postoffice => {
      const [source] = reading(postoffice, (directory) => directory.read.bind(directory)).publishing;
      const watch: Directory['watch'] = (wake, signal) => {
        ring = wake;
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(true), { once: true }));
      };
      return {
        ...postoffice,
        publishing: [{ ...source!, directory: { ...source!.directory, watch }, onChangeMs: 100 }],
      };
    };
    const branch = await start(oslo, new DrivenTimers(START), { postoffice: watched });
    await branch.pass(0);
    ring();
    await branch.pass(1_900);
    expect([reads(branch), exchanges(branch)]).toEqual([1, 1]);
    await branch.pass(100);
    expect([reads(branch), exchanges(branch)]).toEqual([2, 2]);
    await hq.must('dispatch');
    await vi.waitFor(() => expect(branch.texts().join('\n')).toMatch(/T3 update/), 20_000);
    ring();
    await branch.pass(100);
    expect(reads(branch)).toBe(3);
  });
});

describe('arrivals', () => {
  it('are dispatched without waiting for the schedule', async () => {
    const { hq, oslo, staff } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const server = await start(hq, timers);
    await server.pass(0);
    staff.oslo.people[0]!.title = 'Skipper';
    await oslo.writePeople(staff.oslo);
    await oslo.must('sync', '--wait', '0');
    // By the watch of the folder: no time passes.
    await vi.waitFor(
      () => expect(server.texts().join('\n')).toMatch(/T2 exchange \d+ from oslo: accepted 1 change/),
      20_000,
    );
    await vi.waitFor(() => expect(oslo.waiting()).resolves.toHaveLength(1), 20_000);
    await oslo.must('dispatch');
    const { own } = await oslo.json<{ own: { accepted: number; seq: number } }>('status');
    expect(own.accepted).toBe(own.seq);
  });

  it('are durable while a long step is under way', async () => {
    const { hq, oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let begun = false;
    const slow = (postoffice: Postoffice): Postoffice =>
      reading(
        postoffice,
        (directory) =>
          async function* (...args) {
            begun = true;
            await held;
            yield* directory.read(...args);
          },
      );
    const server = await start(hq, timers, { postoffice: slow });
    await vi.waitFor(() => expect(begun).toBe(true));
    await oslo.must('sync', '--wait', '0');
    const { spool } = server.agent.postoffice;
    await vi.waitFor(async () => expect(await spool.list('incoming')).toHaveLength(1), 20_000);
    expect(server.texts().some((text) => text.includes('from oslo'))).toBe(false);
    release();
    await vi.waitFor(() => expect(server.texts().join('\n')).toMatch(/from oslo/), 20_000);
  });

  it('are also asked for where nothing can be watched; a broken watch is told once', async () => {
    const { hq, oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    let watches = 0;
    const blind = (postoffice: Postoffice): Postoffice => ({
      ...postoffice,
      inbound: postoffice.inbound.map(
        (transport): Transport => ({
          name: transport.name,
          maxMessageBytes: transport.maxMessageBytes,
          deliver: transport.deliver.bind(transport),
          collect: transport.collect.bind(transport),
          async watch() {
            watches++;
            throw new DirpostError('transport-failed', 'The share is gone.', { retry: 'later' });
          },
        }),
      ),
    });
    const branch = await start(oslo, timers, { schedule: { poll: 300_000 }, timersWhenIdle: 3, postoffice: blind });
    await branch.pass(3_600_000);
    expect(branch.texts().filter((text) => text.includes('cannot be watched'))).toHaveLength(1);
    // 1 + 2 + 4 … + 32 s, and then each minute.
    expect(watches).toBeGreaterThan(50);
    expect(watches).toBeLessThan(75);
    await hq.must('dispatch');
    await branch.pass(300_000);
    // Received beside the loop.
    await vi.waitFor(() => expect(branch.texts().join('\n')).toMatch(/T3 update/), 20_000);
  });

  it('a transport that fails and works again says so', async () => {
    const { oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    await rm(oslo.exchange, { recursive: true });
    const branch = await start(oslo, timers);
    await branch.pass(120_000);
    expect(branch.texts().join('\n')).toMatch(
      /folder: nothing could be collected: The exchange folder .* is not there/,
    );
    await mkdir(oslo.inbox, { recursive: true });
    await branch.pass(120_000);
    await vi.waitFor(() => expect(branch.texts()).toContain('T3 folder: works again'), 20_000);
  });
});

describe('what nobody answers', () => {
  it('is sent again, later and later, and not in a circle', async () => {
    const { oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const branch = await start(oslo, timers, { schedule: { every: 30 * DAY_MS, poll: DAY_MS } });
    await branch.pass(0);
    expect(exchanges(branch)).toBe(1);
    await branch.pass(16 * 60_000);
    expect(exchanges(branch)).toBe(2);
    await branch.pass(DAY_MS - 16 * 60_000);
    // 15, 30, 60, … minutes after one another.
    expect(exchanges(branch)).toBe(7);
  });

  it('what cannot be delivered is tried again when its time has come', async () => {
    const { oslo } = await freshNetwork();
    const timers = new DrivenTimers(START);
    await rm(oslo.exchange, { recursive: true });
    const branch = await start(oslo, timers, { schedule: { poll: DAY_MS }, timersWhenIdle: 3 });
    await branch.pass(0);
    const failures = () => branch.texts().filter((text) => text.includes('could not be sent')).length;
    expect(failures()).toBe(1);
    await branch.pass(59_000);
    expect(failures()).toBe(1);
    await mkdir(dirname(oslo.inbox), { recursive: true });
    await branch.pass(2_000);
    expect(failures()).toBe(1);
    expect(await branch.agent.postoffice.store.read((tx) => tx.outgoing({ undelivered: true }))).toEqual([]);
  });
});

/** The postoffice with a directory that takes everybody but people, and when it was asked for them, ms. */
function refusing(postoffice: Postoffice, asked: number[]): Postoffice {
  const [target] = postoffice.subscribing;
  const { name, read } = target!.directory;
  const write: Directory['write'] = async function* (changes) {
    for await (const { id, dn, kind } of changes) {
      if (kind !== 'person') yield { id, result: 'written', place: { dn, anchor: '' } };
      else yield { id, result: 'refused', code: 'insufficientAccessRights' };
      if (kind === 'person') asked.push(postoffice.clock.now());
    }
  };
  const directory: Directory = { name, writes: 'changes', read: read.bind(target!.directory), write };
  return { ...postoffice, subscribing: [{ ...target!, directory, shape: 'x' }] };
}

describe('what a directory refused', () => {
  it('is tried again by the agent, later and later, without waiting for the schedule', async () => {
    const { hq } = await freshNetwork();
    const timers = new DrivenTimers(START);
    const asked: number[] = [];
    const office = await start(hq, timers, {
      schedule: { every: 30 * DAY_MS, poll: 30 * DAY_MS },
      postoffice: (given) => refusing(given, asked),
    });
    await office.pass(0);
    const minutes = () => [...new Set(asked.map((ms) => Math.round((ms - Date.parse(START)) / 60_000)))];
    expect(minutes()).toEqual([0]);
    await office.pass(DAY_MS);
    expect(minutes()).toEqual([0, 5, 15, 35, 75, 155, 315, 635, 1275]);
    await office.pass(2 * DAY_MS);
    // At last once a day.
    expect(minutes().slice(9)).toEqual([2555, 3995]);
  });
});

describe('stopping', () => {
  it('breaks a step off, which is then caught up at the next start', async () => {
    const { hq } = await freshNetwork();
    const timers = new DrivenTimers(START);
    let begun = false;
    const endless = (postoffice: Postoffice): Postoffice =>
      reading(
        postoffice,
        (directory) =>
          async function* (since, signal) {
            begun = true;
            await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
            yield* directory.read(since, signal);
          },
      );
    const one = await start(hq, timers, { postoffice: endless });
    await vi.waitFor(() => expect(begun).toBe(true));
    const waiting = one.running.command(() => Promise.reject(new Error('it was begun')), new AbortController().signal);
    const refused = expect(waiting).rejects.toThrow('Interrupted');
    await one.stop();
    await refused;
    const second = await start(hq, timers);
    expect(await second.agent.postoffice.store.read(loadSettled)).toEqual({});
    await second.pass(0);
    expect(reads(second)).toBe(1);
  });

  it('a fault of the program ends the agent', async () => {
    const { hq } = await freshNetwork();
    const broken = (postoffice: Postoffice): Postoffice =>
      reading(postoffice, () => () => {
        throw new TypeError('x is not a function');
      });
    const one = await start(hq, new DrivenTimers(START), { postoffice: broken });
    await expect(one.ended).rejects.toThrow('x is not a function');
    await expect(one.stop()).rejects.toThrow('x is not a function');
  });
});
