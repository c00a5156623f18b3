import { describe, expect, it } from 'vitest';
import { cronOccurrences, type Occurrences, periodicOccurrences } from './occurrences.ts';
import { DAY_MS, HOUR_MS, openZone } from './zone.ts';

const oslo = openZone('Europe/Oslo');
const newYork = openZone('America/New_York');
const lordHowe = openZone('Australia/Lord_Howe');

function between(occurrences: Occurrences, from: string, to: string): string[] {
  const found: string[] = [];
  const endMs = Date.parse(to);
  for (
    let atMs = occurrences.next(Date.parse(from) - 1);
    atMs !== null && atMs < endMs;
    atMs = occurrences.next(atMs)
  ) {
    found.push(new Date(atMs).toISOString().replace(':00.000Z', 'Z'));
  }
  return found;
}

describe('a daily time by cron', () => {
  it.each([
    // Spring: the gap is 02:00 to 03:00 in Oslo and New York, 02:00 to 02:30 on Lord Howe.
    ['30 2 * * *', oslo, '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:30Z']],
    ['0 3 * * *', oslo, '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T01:00Z']],
    ['30 1 * * *', oslo, '2026-03-28T12:00Z', ['2026-03-29T00:30Z', '2026-03-29T23:30Z']],
    ['30 2 * * *', newYork, '2026-03-07T12:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:30Z']],
    ['15 2 * * *', lordHowe, '2026-10-03T03:00Z', ['2026-10-03T15:30Z', '2026-10-04T15:15Z']],
    // Autumn: 02:00 to 03:00 comes twice in Oslo, 01:00 to 02:00 in New York, 01:30 to 02:00 on Lord Howe.
    ['30 2 * * *', oslo, '2026-10-24T12:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
    ['0 2 * * *', oslo, '2026-10-24T12:00Z', ['2026-10-25T00:00Z', '2026-10-26T01:00Z']],
    ['0 3 * * *', oslo, '2026-10-24T12:00Z', ['2026-10-25T02:00Z', '2026-10-26T02:00Z']],
    ['30 1 * * *', newYork, '2026-10-31T12:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
    ['45 1 * * *', lordHowe, '2026-04-04T03:00Z', ['2026-04-04T14:45Z', '2026-04-05T15:15Z']],
  ])('%s in %o comes once on each day, also when clocks are set', (expression, zone, from, expected) => {
    const to = new Date(Date.parse(from) + 2 * DAY_MS).toISOString();
    expect(between(cronOccurrences(expression, zone), from, to)).toEqual(expected);
  });

  it.each([oslo, newYork, lordHowe])('comes 365 times a year, at every time of day, in $name', (zone) => {
    const from = new Date(zone.momentOf(Date.UTC(2026, 0, 1))).toISOString();
    const to = new Date(zone.momentOf(Date.UTC(2027, 0, 1))).toISOString();
    for (const time of ['0 0', '45 1', '15 2', '30 2', '0 3', '59 23']) {
      expect(between(cronOccurrences(`${time} * * *`, zone), from, to), time).toHaveLength(365);
    }
  });

  it('comes 366 times in a leap year', () => {
    const found = between(cronOccurrences('30 2 * * *', oslo), '2027-12-31T23:00Z', '2028-12-31T23:00Z');
    expect(found).toHaveLength(366);
  });
});

describe('an hourly time by cron', () => {
  it('goes by the time that passes, also in the hour that comes twice', () => {
    const quarters = between(cronOccurrences('*/15 * * * *', oslo), '2026-10-25T00:00Z', '2026-10-25T03:00Z');
    expect(quarters).toHaveLength(12);
    expect(between(cronOccurrences('30 * * * *', lordHowe), '2026-04-04T13:00Z', '2026-04-04T16:30Z')).toEqual([
      '2026-04-04T13:30Z',
      '2026-04-04T14:30Z',
      '2026-04-04T15:00Z',
      '2026-04-04T16:00Z',
    ]);
  });

  it('skips what falls into the gap', () => {
    expect(between(cronOccurrences('30 * * * *', oslo), '2026-03-29T00:00Z', '2026-03-29T03:00Z')).toEqual([
      '2026-03-29T00:30Z',
      '2026-03-29T01:30Z',
      '2026-03-29T02:30Z',
    ]);
  });

  it('of some hours comes once for each of them, gap or repeat', () => {
    const spring = between(cronOccurrences('0,30 1-3 * * *', oslo), '2026-03-29T00:00Z', '2026-03-29T12:00Z');
    expect(spring).toEqual(['2026-03-29T00:00Z', '2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z']);
    const autumn = between(cronOccurrences('0 1-3 * * *', oslo), '2026-10-24T22:30Z', '2026-10-25T12:00Z');
    expect(autumn).toEqual(['2026-10-24T23:00Z', '2026-10-25T00:00Z', '2026-10-25T02:00Z']);
  });
});

describe('days by cron', () => {
  it.each([
    ['0 3 29 2 *', ['2028-02-29T02:00Z', '2032-02-29T02:00Z']],
    ['0 3 L 2 *', ['2027-02-28T02:00Z', '2028-02-29T02:00Z', '2029-02-28T02:00Z']],
  ])('%s finds rare days', (expression, expected) => {
    expect(
      between(cronOccurrences(expression, oslo), '2026-11-01T00:00Z', `${expected.at(-1)!.slice(0, 4)}-12-01T00:00Z`),
    ).toEqual(expected);
  });

  it('that never come together give nothing', () => {
    expect(cronOccurrences('0 3 L-30 2 *', oslo).next(0)).toBeNull();
  });

  it.each(['61 * * * *', 'often', '', '0 3 30 2 *', '* * *', '@reboot'])('refuses %j', (expression) => {
    expect(() => cronOccurrences(expression, oslo)).toThrow();
  });
});

describe('a period', () => {
  it('of a day comes once a day at the same time of the wall, over a year', () => {
    for (const zone of [oslo, newYork, lordHowe]) {
      for (const name of ['oslo', 'lima', 'hq', 'ship-7']) {
        const daily = periodicOccurrences(DAY_MS, name, zone);
        const from = new Date(zone.momentOf(Date.UTC(2026, 0, 1))).toISOString();
        const times = between(daily, from, new Date(zone.momentOf(Date.UTC(2027, 0, 1))).toISOString());
        expect(times).toHaveLength(365);
      }
    }
  });

  it('is spread by the name: no two hours of a day get much more than their share of 3,000', () => {
    const hours = Array.from({ length: 24 }, () => 0);
    for (let i = 0; i < 3_000; i++) {
      const atMs = periodicOccurrences(DAY_MS, `branch-${i}`, oslo).next(Date.parse('2026-06-01T22:00Z'))!;
      hours[Math.floor((atMs % DAY_MS) / HOUR_MS)]!++;
    }
    expect(Math.min(...hours)).toBeGreaterThan(80);
    expect(Math.max(...hours)).toBeLessThan(180);
  });

  it('of six hours stays six hours when clocks are set', () => {
    const found = between(periodicOccurrences(6 * HOUR_MS, 'oslo', oslo), '2026-10-24T00:00Z', '2026-10-27T00:00Z');
    const gaps = found.slice(1).map((at, i) => Date.parse(at) - Date.parse(found[i]!));
    expect(new Set(gaps)).toEqual(new Set([6 * HOUR_MS]));
  });

  it('of a week comes every seventh day', () => {
    const weekly = periodicOccurrences(7 * DAY_MS, 'oslo', oslo);
    expect(between(weekly, '2026-01-01T00:00Z', '2027-01-01T00:00Z').length).toBeGreaterThanOrEqual(52);
    const [first, second] = between(weekly, '2026-01-01T00:00Z', '2026-02-01T00:00Z');
    expect(Date.parse(second!) - Date.parse(first!)).toBe(7 * DAY_MS);
  });

  it('next is always later', () => {
    const found = periodicOccurrences(DAY_MS, 'oslo', oslo);
    const atMs = found.next(0)!;
    expect(found.next(atMs)!).toBeGreaterThan(atMs);
    expect(found.next(atMs - 1)).toBe(atMs);
  });
});
