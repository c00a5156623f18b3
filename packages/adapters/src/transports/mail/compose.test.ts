import { describe, expect, it } from 'vitest';
import { checkMailAddress } from './addresses.ts';
import { composeMail, fileBytesIn, messageIdOf, textOf } from './compose.ts';

const name = 'a'.repeat(63);
const file = { id: '0'.repeat(32), from: name, to: name, bytes: new Uint8Array(0) };
const about = { kind: 'verification', number: 999_999_999_999_999, part: 4_094, parts: 4_095, changes: 1 } as const;

describe('a composed mail', () => {
  it.each(['binary', 'armoured'] as const)(
    '%s: is never larger than its size is said to leave room for',
    async (form) => {
      const attachment = { name: `${'n'.repeat(200)}{id}.dpm`, type: 'application/octet-stream', form };
      const composing = {
        from: `x@${name}.example`,
        to: `y@${name}.example`,
        tagSecret: new Uint8Array(32),
        date: new Date(),
      };
      for (const mailBytes of [20_000, 100_000, 1_000_001]) {
        const bytes = new Uint8Array(fileBytesIn(mailBytes, form));
        const mail = await composeMail({ ...file, about, bytes }, { ...composing, attachment });
        expect(mail.length).toBeLessThanOrEqual(mailBytes);
        expect(mail.length).toBeGreaterThan(mailBytes - 16_384);
      }
      expect(fileBytesIn(1_000, form)).toBe(0);
    },
  );

  it('has short lines of ASCII also with the longest names', () => {
    const text = textOf({ ...file, about });
    expect(text).toMatch(/a verification \(no 999999999999999\) with 1\s+change, part 4095 of 4095, to/);
    expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(76);
  });

  it('has its Message-ID in the domain of its sender', () => {
    expect(messageIdOf('ab', 'oslo@mail.oslo.example')).toBe('<ab@mail.oslo.example>');
    expect(messageIdOf('ab', 'oslo@[127.0.0.1]')).toBe('<ab@127.0.0.1>');
  });
});

describe('mail addresses', () => {
  it.each([
    ['dirpost@oslo.example', 'dirpost@oslo.example'],
    ["o'neil+dirpost@sub.oslo.example", "o'neil+dirpost@sub.oslo.example"],
    ['post@blåbær.example', 'post@xn--blbr-roah.example'],
    ['brød@oslo.example', 'brød@oslo.example'],
    ['root@localhost', 'root@localhost'],
    ['a@[10.0.0.1]', 'a@[10.0.0.1]'],
    ['a@[IPv6:2001:db8::1]', 'a@[IPv6:2001:db8::1]'],
  ])('%s', (address, checked) => {
    expect(checkMailAddress(address, 'the own')).toBe(checked);
  });

  it.each([
    'a\n@b',
    'a@b\r\nc',
    'a@b\n.example',
    'a@ø\r\n.example',
    'a@%62.example',
    'a@',
    '@b',
    'a',
    '"a b"@c',
    'a..b@c',
    'a@b c',
    'a@b,c@d',
    '<a@b>',
    'a@[1.2.3]',
    `${'a'.repeat(65)}@b`,
    'a\0@b',
    'a\u{85}@b',
  ])('not %j', (address) => {
    expect(() => checkMailAddress(address, 'the own')).toThrow(/is not a mail address/);
  });
});
