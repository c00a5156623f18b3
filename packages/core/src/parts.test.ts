import { describe, expect, test } from 'vitest';
import type { Change } from './change.ts';
import { defaultLimits } from './limits.ts';
import { cutParts } from './parts.ts';

// Parts of 1,000 octets.
const limits = { ...defaultLimits, maxPartBytes: 4_000 };

function changesOf(owner: string, count: number): Change[] {
  return Array.from({ length: count }, (_, i) => {
    return { number: i, id: null, owner, state: 'part', bytes: Buffer.alloc(90 + (i % 7)) };
  });
}

async function cut(changes: Change[]): Promise<Change[][]> {
  const parts: Change[][] = [];
  for await (const part of cutParts([changes], limits)) parts.push(part);
  return parts;
}

describe('parts', () => {
  test('of an owner are the same whoever is before and behind him', async () => {
    const oslo = changesOf('oslo', 60);
    const own = await cut(oslo);
    const all = await cut([...changesOf('hq', 3), ...oslo, ...changesOf('lima', 5)]);
    expect(own.length).toBeGreaterThan(4);
    // The first and the last are shared with the others.
    for (const part of own.slice(1, -1)) expect(all).toContainEqual(part);
    expect(all.flat()).toHaveLength(68);
  });

  test('stay small where owners come by turns', async () => {
    const mixed = changesOf('oslo', 80).map((change, i) => (i % 2 === 0 ? change : { ...change, owner: 'lima' }));
    const parts = await cut(mixed);
    const sizes = parts.map((part) => part.reduce((sum, { bytes }) => sum + bytes.length, 0));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_500);
    expect(parts.flat()).toEqual(mixed);
  });
});
