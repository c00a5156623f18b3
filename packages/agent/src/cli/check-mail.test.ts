import { expect, it } from 'vitest';
import { clockDifferenceMs } from './check-mail.ts';

const NOON_MS = Date.UTC(2026, 10, 21, 12, 0, 0);

it.each([
  ['220 mail.example.org ESMTP Exim 4.96 Sat, 21 Nov 2026 13:10:00 +0100', 600_000],
  ['AM0P.outlook.office365.com Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 11:59:30 +0000', -30_000],
  ['220 mail.example.org ESMTP Postfix (Debian)', null],
  ['220 99 Nov 2026 99:99:99 +0000', null],
])('the clock of a server that greets with %j', (greeting, expected) => {
  expect(clockDifferenceMs(greeting, NOON_MS)).toBe(expected);
});
