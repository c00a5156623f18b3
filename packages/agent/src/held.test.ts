import { defaultHolds, noHolding } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import { heldWords } from './held.ts';

describe('what is held is told', () => {
  it('with its share and the limit', () => {
    const holding = { ...noHolding(), against: { entries: 1_000, members: 0 } };
    Object.assign(holding.held, { entries: 60, removals: 60 });
    expect(heldWords(holding, defaultHolds)).toBe('; held: 60 removals (6 % of 1,000; the limit is 10 and 5 %)');
  });

  it('with its reason where entries of the read could not be told', () => {
    const holding = { ...noHolding(), against: { entries: 1_000, members: 0 }, unclear: 2 };
    Object.assign(holding.held, { entries: 1, removals: 1 });
    expect(heldWords(holding, defaultHolds)).toBe(
      '; held: 1 removal (2 entries could not be understood, and may be theirs)',
    );
  });
});
