import { generateKeys, generateRecoveryKey, publicKeys } from '@dirpost/message';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatInvitation, type Invitation, parseInvitation } from './invitation.ts';

let invitation: Invitation;
let line: string;

beforeAll(async () => {
  invitation = {
    id: '000102030405060708090a0b0c0d0e0f',
    secret: Buffer.alloc(20, 7),
    expiresMs: 1_790_000_000_000,
    server: 'hq',
    name: 'oslo',
    keys: await publicKeys(await generateKeys()),
    recoveryKey: generateRecoveryKey().publicKey,
    addresses: { http: 'https://hq.example.org:8943', pin: 'ab'.repeat(32), folder: '/srv/exchange' },
  };
  line = formatInvitation(invitation);
});

const refusal = (text: string): unknown => {
  try {
    parseInvitation(text);
    return 'taken';
  } catch (error) {
    return error;
  }
};

describe('an invitation line', () => {
  it('comes back as it was, with everything and with the least', () => {
    expect(parseInvitation(line)).toEqual(invitation);
    const least = { ...invitation, recoveryKey: null, addresses: {} };
    expect(parseInvitation(formatInvitation(least))).toEqual(least);
    expect(line.length).toBeLessThan(600);
  });

  it('names the mail address of a server that has one; a reader that does not know it, or a line without, is fine', () => {
    const mail = 'dirpost@hq.example.org';
    const withMail = { ...invitation, addresses: { ...invitation.addresses, mail } };
    expect(parseInvitation(formatInvitation(withMail))).toEqual(withMail);
    const only = { ...invitation, addresses: { mail } };
    expect(parseInvitation(formatInvitation(only))).toEqual(only);
    expect(parseInvitation(line).addresses).not.toHaveProperty('mail');
  });

  it.each<[string, (text: string) => string]>([
    ['wrapped', (text) => text.replace(/.{60}/g, '$&\r\n')],
    ['quoted in a reply', (text) => text.replace(/.{60}/g, '$&\n> ')],
    ['with the soft line ends of mail', (text) => text.replace(/.{72}/g, '$&=\n')],
    ['in quotation marks', (text) => `"${text}"`],
    ['within a mail', (text) => `Dear Kari,\nhere it is:\n\n${text}\n\nRegards`],
    ['with invisible characters', (text) => text.replace(/.{50}/g, '$&\u200b\u00ad')],
  ])('is read %s', (_, spoil) => {
    expect(parseInvitation(spoil(line))).toEqual(invitation);
  });

  it('cut anywhere is said to be so, and not quoted', () => {
    for (let length = 0; length < line.length; length += 7) {
      const error = refusal(line.slice(0, length));
      expect(error).toMatchObject({ code: 'peer-invalid', hint: expect.stringMatching(/Copy the line again/) });
      expect(String(error)).not.toContain(line.slice(15, 40));
    }
  });

  it('changed in any one character is refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 15, max: line.length - 1 }), fc.constantFrom('A', '_', '0', 'z'), (at, letter) => {
        fc.pre(line[at] !== letter);
        expect(refusal(line.slice(0, at) + letter + line.slice(at + 1))).toMatchObject({ code: 'peer-invalid' });
      }),
    );
  });

  it('of a later version says so', () => {
    expect(refusal(line.replace('join-1', 'join-2'))).toMatchObject({
      message: expect.stringMatching(/newer dirpost/),
    });
  });

  it('that is whole and holds nonsense is refused', () => {
    const wrong: Partial<Invitation>[] = [
      { name: '../hq' },
      { name: 'hq' },
      { server: '' },
      { expiresMs: Number.NaN },
      { secret: Buffer.alloc(3) },
      { id: '00' },
      { keys: { ...invitation.keys, recipient: 'age1' } },
      { addresses: { http: 'file:///etc/passwd' } },
      { addresses: { folder: 'a\0b' } },
      { addresses: { mail: 'Eve <eve@example.org>' } },
      { addresses: { mail: 'a@b.c\r\nBcc: eve@example.org' } },
    ];
    for (const fields of wrong) {
      const text = formatInvitation({ ...invitation, ...fields });
      expect({ fields, error: refusal(text) }).toMatchObject({ error: { code: 'peer-invalid' } });
    }
  });

  it('of random text is refused', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(refusal(`dirpost-join-1.${text}`)).toMatchObject({ code: 'peer-invalid' });
      }),
    );
  });
});
