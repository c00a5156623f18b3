/** What agent.ts reckons itself; what it builds is tested by the commands (test/cli). */
import type { Transport } from '@dirpost/core';
import { expect, it } from 'vitest';
import { largestPayloadTo } from './agent.ts';

const MIB = 1024 * 1024;

const way = (maxMessageBytes: number, toOslo?: number): Transport => ({
  name: 'mail',
  maxMessageBytes,
  ...(toOslo !== undefined && { maxMessageBytesTo: (peer: string) => (peer === 'oslo' ? toOslo : maxMessageBytes) }),
  deliver: () => Promise.resolve(),
  collect: () => Promise.resolve(0),
});

it('a payload fits, sealed, into what each way to that peer takes', () => {
  const sealed = (payloadBytes: number) => payloadBytes + Math.ceil(payloadBytes / 4096) + 4_000;
  const ways = [way(16 * MIB), way(8 * MIB, 2 * MIB)];
  const [oslo, lima] = ['oslo', 'lima'].map((peer) => largestPayloadTo(peer, ways, 16 * MIB));
  expect(oslo).toBeGreaterThan(1.99 * MIB);
  expect(sealed(oslo!)).toBeLessThanOrEqual(2 * MIB);
  expect(lima).toBeGreaterThan(7.98 * MIB);
  expect(sealed(lima!)).toBeLessThanOrEqual(8 * MIB);
  expect(sealed(largestPayloadTo('oslo', [], 16 * MIB))).toBeLessThanOrEqual(16 * MIB);
});

it('it follows what a transport learns', () => {
  let bytes = 10 * MIB;
  const learning = { ...way(10 * MIB), maxMessageBytesTo: () => bytes };
  const before = largestPayloadTo('oslo', [learning], 16 * MIB);
  bytes = MIB;
  expect(largestPayloadTo('oslo', [learning], 16 * MIB)).toBeLessThan(before / 9);
});

it('no way is believed to take less than the digests of an exchange need', () => {
  expect(largestPayloadTo('oslo', [way(MIB, 100)], 16 * MIB)).toBeGreaterThan(20_000);
});
