import { expect, it } from 'vitest';
import { SliceSize } from './slices.ts';
import { formatContentRange, MAX_SLICE_BYTES, MIN_SLICE_BYTES, parseContentRange, requestOctets } from './wire.ts';

it('slices become smaller on a slow line, and grow again on a quick one, within limits', () => {
  const size = new SliceSize();
  expect(size.bytes).toBe(MAX_SLICE_BYTES);
  size.learn(11_000);
  expect(size.bytes).toBe(MAX_SLICE_BYTES / 2);
  size.learn(5_000);
  expect(size.bytes).toBe(MAX_SLICE_BYTES / 2);
  for (let i = 0; i < 20; i++) size.halve();
  expect(size.bytes).toBe(MIN_SLICE_BYTES);
  for (let i = 0; i < 20; i++) size.learn(100);
  expect(size.bytes).toBe(MAX_SLICE_BYTES);
});

it.each([
  [{ start: 0, end: 100, total: 100 }, 'bytes 0-99/100'],
  [{ start: 50, end: 60, total: 100 }, 'bytes 50-59/100'],
  [{ start: 100, end: 100, total: 100 }, 'bytes */100'],
])('a range is written and read: %j', (slice, text) => {
  expect(formatContentRange(slice)).toBe(text);
  expect(parseContentRange(text)).toEqual(slice);
});

it.each([
  '',
  'bytes',
  'bytes 0-99',
  'bytes 0-100/100',
  'bytes 5-4/100',
  'bytes -1-4/100',
  'bytes 0-4/1e3',
  'octets 0-4/5',
])('a range that contradicts itself is none: %j', (text) => {
  expect(parseContentRange(text)).toBeUndefined();
});

it('no two requests have the same octets', () => {
  const request = {
    server: 'hq',
    method: 'PUT',
    path: '/v1/x',
    contentRange: '',
    nonce: 'n',
    bodyHash: new Uint8Array(32),
  };
  const moved = { ...request, server: 'hqP', method: 'UT' };
  expect(requestOctets(request).equals(requestOctets(moved))).toBe(false);
});
