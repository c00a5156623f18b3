import { expect, it } from 'vitest';
import { isBehind } from './behind.ts';
import type { DeltaBookmark } from './bookmark.ts';

const csn = (second: number, server: string) => `202611211638${second}.000000Z#000000#${server}#000000`;
const cookie = (...numbers: string[]): DeltaBookmark => ({
  method: 'syncrepl',
  cookies: [Buffer.from(`rid=000,csn=${numbers.join(';')}`).toString('base64')],
});

it('a server is behind where it lacks what one of the servers has written', () => {
  const known = cookie(csn(20, '001'), csn(30, '002'));
  expect(isBehind(known, known)).toBe(false);
  expect(isBehind(cookie(csn(21, '001'), csn(30, '002')), known)).toBe(false);
  // The newest of them all alone says nothing.
  expect(isBehind(cookie(csn(40, '001'), csn(29, '002')), known)).toBe(true);
  expect(isBehind(cookie(csn(19, '001'), csn(30, '002'), csn(50, '003')), known)).toBe(true);
});

it('servers that count otherwise are not compared', () => {
  const known = cookie(csn(30, '001'));
  expect(isBehind(cookie(csn(20, '002')), known)).toBe(false);
  expect(isBehind(cookie(csn(20, '001')), cookie(csn(30, '001'), csn(30, '002')))).toBe(false);
  expect(isBehind(cookie(), known)).toBe(false);
  expect(isBehind(null, known)).toBe(false);
  expect(isBehind(known, null)).toBe(false);
  const usn = (server: string, number: number): DeltaBookmark => ({ method: 'usn', server, usn: number });
  expect(isBehind(usn('a', 1), usn('a', 2))).toBe(true);
  expect(isBehind(usn('a', 2), usn('a', 2))).toBe(false);
  expect(isBehind(usn('b', 1), usn('a', 2))).toBe(false);
  expect(isBehind(usn('a', 1), known)).toBe(false);
});
