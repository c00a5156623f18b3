import type { Change } from '@dirpost/core';
import { RecentDeltas } from '@dirpost/core';
import { expect, it } from 'vitest';

const range = { list: 'a', digest: '00', from: 1, to: 5, named: 1, sentUpTo: 1 };
const change = (owner: string, bytes = 10): Change => ({
  number: 1,
  id: null,
  owner,
  state: 'part',
  bytes: Buffer.alloc(bytes),
});

it('a delta is found again for the same range only', () => {
  const recent = new RecentDeltas();
  const delta = recent.put(range, [change('oslo')]);
  expect(recent.get({ ...range })).toBe(delta);
  const others = { list: 'b', digest: '01', from: 2, to: 6, named: null, sentUpTo: 3 };
  for (const [name, value] of Object.entries(others)) expect(recent.get({ ...range, [name]: value })).toBeUndefined();
});

it('it says whose entries are in it', () => {
  expect(new RecentDeltas().put(range, [change('oslo'), change('lima'), change('oslo')]).owners).toEqual(
    new Set(['oslo', 'lima']),
  );
});

it('only the last few are kept, and none that is large', () => {
  const recent = new RecentDeltas();
  for (let to = 1; to <= 5; to++) recent.put({ ...range, to }, [change('oslo')]);
  expect(recent.get({ ...range, to: 1 })).toBeUndefined();
  expect(recent.get({ ...range, to: 5 })).toBeDefined();
  recent.put({ ...range, to: 6 }, [change('oslo', 5 * 1024 * 1024)]);
  expect(recent.get({ ...range, to: 6 })).toBeUndefined();
});
