import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../config/load.ts';
import { dispatchesOnArrival, Schedule, type Settled } from './schedule.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, openZone } from './zone.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');

function settings(lines: string, name = 'oslo') {
  const body = lines === '' ? '{}' : `{ ${lines} }`;
  return parseConfiguration(`postoffice: ${name}\nrole: server\nschedule: ${body}\n`, '/srv');
}

function scheduleOf(lines: string, settled: Settled = {}, random = () => 0): Schedule {
  return new Schedule(settings(lines), settled, random);
}

/** Runs what is due at once, as run.ts does; the jobs and when they ran. */
function drive(schedule: Schedule, fromMs: number, toMs: number): { job: string; atMs: number }[] {
  const ran: { job: string; atMs: number }[] = [];
  let nowMs = fromMs;
  for (let due = schedule.next(nowMs); due !== null && due.dueMs <= toMs; due = schedule.next(nowMs)) {
    expect(due.dueMs).toBeGreaterThanOrEqual(nowMs);
    nowMs = due.dueMs;
    ran.push({ job: due.job, atMs: nowMs });
    schedule.settle(due.job, nowMs);
  }
  return ran;
}

describe('what was missed', () => {
  it('is caught up once, however long the agent was down', () => {
    const schedule = scheduleOf('every: 1h', { cycle: NOW - 30 * DAY_MS });
    const ran = drive(schedule, NOW, NOW + 3 * HOUR_MS);
    expect(ran[0]).toEqual({ job: 'cycle', atMs: NOW });
    expect(ran).toHaveLength(4);
  });

  it('is nothing when the agent was down between two times', () => {
    const schedule = scheduleOf('T1: "0 3 * * *", zone: UTC', { T1: NOW - 2 * HOUR_MS });
    expect(schedule.next(NOW)).toEqual({ job: 'T1', dueMs: Date.parse('2026-11-22T03:00Z') });
  });

  it('a postoffice that never ran collects and sends at once, and dispatches at its time', () => {
    expect(scheduleOf('').next(NOW)).toEqual({ job: 'cycle', dueMs: NOW });
    const timed = scheduleOf('T1: "0 3 * * *", T3: "0 5 * * *", zone: UTC');
    expect(drive(timed, NOW, NOW + DAY_MS).map(({ job }) => job)).toEqual(['T1', 'T1', 'T3']);
  });

  it('what came while the job ran is done with', () => {
    const schedule = scheduleOf('every: 10m', { cycle: NOW });
    const first = schedule.next(NOW)!.dueMs;
    schedule.settle('cycle', first + 35 * MINUTE_MS);
    expect(schedule.next(first + 35 * MINUTE_MS)!.dueMs).toBe(first + 40 * MINUTE_MS);
  });
});

describe('a clock that jumps', () => {
  it('a year ahead gives one run, and a year back neither stops nor repeats the schedule', () => {
    const schedule = scheduleOf('', { cycle: NOW });
    const ahead = NOW + 365 * DAY_MS;
    expect(drive(schedule, ahead, ahead + 5 * DAY_MS)).toHaveLength(6);
    const back = drive(schedule, NOW, NOW + 5 * DAY_MS);
    expect(back).toHaveLength(5);
    expect(back[0]!.atMs).toBeGreaterThan(NOW);
  });

  it('remembers a time of the future as now', () => {
    const schedule = scheduleOf('every: 1h', { cycle: NOW + 400 * DAY_MS });
    const { dueMs } = schedule.next(NOW)!;
    expect(dueMs - NOW).toBeLessThanOrEqual(HOUR_MS);
    // And not always one ahead of whoever asks.
    expect(schedule.next(dueMs)!.dueMs).toBe(dueMs);
  });
});

describe('a year of days', () => {
  it.each(['Europe/Oslo', 'America/New_York', 'Australia/Lord_Howe'])('has 365 runs in %s', (name) => {
    const zone = openZone(name);
    const [fromMs, toMs] = [zone.momentOf(Date.UTC(2026, 0, 1)), zone.momentOf(Date.UTC(2027, 0, 1))];
    for (const lines of [`zone: ${name}`, `zone: ${name}, T1: "30 2 * * *"`, `zone: ${name}, jitter: 10m`]) {
      const random = { value: 0 };
      const next = () => (random.value = (random.value + 0.37) % 1);
      const schedule = scheduleOf(lines, { cycle: fromMs - 1, T1: fromMs - 1 }, next);
      const ran = drive(schedule, fromMs, toMs);
      expect(ran.length, lines).toBe(365);
      const days = ran.map(({ atMs }) => Math.floor(zone.wallAt(atMs) / DAY_MS));
      if (!lines.includes('jitter')) expect(new Set(days).size, lines).toBe(365);
    }
  });
});

describe('the window', () => {
  const zone = openZone('Europe/Oslo');
  const hourOf = (atMs: number) => Math.floor((zone.wallAt(atMs) % DAY_MS) / HOUR_MS);

  it('lets nothing start outside, and what came due there runs once at the next opening', () => {
    const schedule = scheduleOf('every: 1h, zone: Europe/Oslo, window: "22:00-05:00"', { cycle: NOW });
    const ran = drive(schedule, NOW, NOW + 30 * DAY_MS);
    for (const { atMs } of ran) expect([22, 23, 0, 1, 2, 3, 4]).toContain(hourOf(atMs));
    expect(ran[0]!.atMs).toBe(Date.parse('2026-11-21T21:00Z'));
    expect(ran.length).toBeLessThanOrEqual(30 * 8);
    expect(ran.length).toBeGreaterThanOrEqual(30 * 7);
  });

  it('of a day spreads the daily times of all postoffices over itself', () => {
    const hours = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const one = settings('zone: Europe/Oslo, window: "22:00-05:00"', `branch-${i}`);
      hours.add(hourOf(new Schedule(one, { cycle: NOW }).next(NOW)!.dueMs));
    }
    expect([...hours].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 22, 23]);
  });

  it('holds over daylight-saving changes', () => {
    for (const from of ['2026-03-28T12:00Z', '2026-10-24T12:00Z']) {
      const schedule = scheduleOf('every: 10m, zone: Europe/Oslo, window: "02:30-03:30"', { cycle: Date.parse(from) });
      for (const { atMs } of drive(schedule, Date.parse(from), Date.parse(from) + 2 * DAY_MS)) {
        const minute = Math.floor((zone.wallAt(atMs) % DAY_MS) / MINUTE_MS);
        expect(minute).toBeGreaterThanOrEqual(150);
        expect(minute).toBeLessThan(210);
      }
    }
  });

  it('is never left by jitter', () => {
    const lines = 'T1: "50 4 * * *", zone: UTC, window: "22:00-05:00", jitter: 1h';
    const schedule = scheduleOf(lines, { T1: NOW }, () => 0.9);
    expect(schedule.next(NOW)!.dueMs).toBe(Date.parse('2026-11-22T04:50Z'));
  });
});

describe('jitter', () => {
  it('is thrown once for each run', () => {
    let thrown = 0;
    const schedule = scheduleOf('T1: "0 3 * * *", zone: UTC, jitter: 10m', { T1: NOW }, () => (thrown++ + 1) / 10);
    const due = schedule.next(NOW)!.dueMs;
    expect(due).toBe(Date.parse('2026-11-22T03:01Z'));
    expect(schedule.next(NOW + MINUTE_MS)!.dueMs).toBe(due);
    schedule.settle('T1', due);
    expect(schedule.next(due)!.dueMs).toBe(Date.parse('2026-11-23T03:02Z'));
  });
});

describe('the next contact', () => {
  it('is the next time of sending, within the window', () => {
    expect(scheduleOf('T1: "0 12 * * *", T3: "0 5 * * *", zone: UTC').nextContact(NOW)).toBe(NOW + DAY_MS);
    const opening = Date.parse('2026-11-21T22:00Z');
    expect(scheduleOf('every: 1h, zone: UTC, window: "22:00-05:00"').nextContact(NOW)).toBe(opening);
    expect(scheduleOf('T3: "0 5 * * *"').nextContact(NOW)).toBeNull();
  });
});

describe('arrivals', () => {
  it('are dispatched at once unless they have times of their own', () => {
    const onArrival = (lines: string) => dispatchesOnArrival(settings(lines).schedule);
    expect([onArrival(''), onArrival('T1: "0 3 * * *"'), onArrival('every: 1h')]).toEqual([true, true, true]);
    expect([onArrival('T2: "0 3 * * *"'), onArrival('T3: "0 3 * * *"')]).toEqual([false, false]);
    expect(onArrival('T3: "0 3 * * *", onArrival: true')).toBe(true);
  });
});

describe('a bad schedule', () => {
  it.each([
    ['T1: "61 * * * *"', /cron/],
    ['T1: "0 3 30 2 *"', /cron/],
    ['zone: Europe/Trondheim', /zone/],
    ['every: 0s', /between 1s and 366d/],
    ['every: 999999999d', /between 1s and 366d/],
    ['poll: 0s', /between 1s and 1d/],
    ['jitter: 2d', /between 0s and 1d/],
    ['window: "22:00-22:00"', /same time/],
    ['window: "25:00-05:00"', /times of day/],
  ])('%s is refused', (lines, why) => {
    expect(() => settings(lines)).toThrow(why);
  });

  it('T2 is refused on a requestor', () => {
    const text = 'postoffice: oslo\nrole: requestor\nserver: hq\ntransports: { folder: { path: x } }\n';
    expect(() => parseConfiguration(`${text}schedule: { T2: "0 3 * * *" }\n`, '/srv')).toThrow(/role: server only/);
  });
});
