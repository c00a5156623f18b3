/** What is told of a directory's last write. */
import { AMBIGUOUS_MATCH, MATCH_WAITS } from '@dirpost/core';
import { expect, it } from 'vitest';
import { askedAgainMs, type RefusedEntry, type WriteState } from './directory-state.ts';

const write = { againMs: 7_000 } as WriteState;
const refused = (code: string, againMs: number | null): RefusedEntry => ({ id: 'aa', code, reason: '', againMs });

it('what was refused is asked for at its own time, or else when the directory is', () => {
  expect(askedAgainMs(refused('busy', 5_000), write)).toBe(5_000);
  expect(askedAgainMs(refused('busy', null), write)).toBe(7_000);
  expect(askedAgainMs(refused('busy', null), null)).toBeNull();
});

it.each([MATCH_WAITS, AMBIGUOUS_MATCH])('what an administrator has to say (%s) has no next try', (code) => {
  expect(askedAgainMs(refused(code, null), write)).toBeNull();
});
