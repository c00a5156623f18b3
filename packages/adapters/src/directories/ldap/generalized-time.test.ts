import { expect, it } from 'vitest';
import { changedSince, createdSince, generalized, secondsOf } from './generalized-time.ts';

it('times are read in UTC, with and without a fraction or seconds', () => {
  const seconds = Date.UTC(2026, 10, 21, 16, 38, 42) / 1_000;
  for (const time of ['20261121163842Z', '20261121163842.0Z', '20261121163842,75Z']) {
    expect(secondsOf(time), time).toBe(seconds);
  }
  expect(secondsOf('202611211638Z')).toBe(seconds - 42);
  for (const time of ['', 'now', '20261121163842+0100', '20261121Z']) expect(secondsOf(time), time).toBeNull();
});

it('times are written as they are read', () => {
  for (const time of ['19700101000000Z', '20240229235959Z', '20261121163842Z']) {
    expect(generalized(secondsOf(time)!)).toBe(time);
  }
});

it('filters name the attribute and the form that the server searches by', () => {
  expect(changedSince({ kind: 'openldap' }, 0)).toBe('(modifyTimestamp>=19700101000000Z)');
  expect(changedSince({ kind: 'ad' }, 0)).toBe('(whenChanged>=19700101000000.0Z)');
  expect(createdSince({ kind: 'ad' }, 0)).toBe('(whenCreated>=19700101000000.0Z)');
});
