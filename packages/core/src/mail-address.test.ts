import { expect, it } from 'vitest';
import { isMailAddress } from './mail-address.ts';

it.each(['dirpost@hq.example.org', "o'brien+dirpost@example.org", 'a@b', `${'l'.repeat(64)}@example.org`])(
  '%s is a mail address',
  (text) => expect(isMailAddress(text)).toBe(true),
);

it.each([
  '',
  'dirpost',
  '@example.org',
  'dirpost@',
  'Dirpost <dirpost@example.org>',
  'two words@example.org',
  'a..b@example.org',
  '.a@example.org',
  '"quoted"@example.org',
  'a@[127.0.0.1]',
  'a@-example.org',
  'a@example..org',
  'a@exämple.org',
  'a@example.org\r\nBcc: eve@example.org',
  'a@example.org\n',
  `${'l'.repeat(65)}@example.org`,
  `a@${'d.'.repeat(130)}org`,
])('%j is none', (text) => expect(isMailAddress(text)).toBe(false));
