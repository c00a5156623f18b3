import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
  Stanza,
} from 'age-encryption';
import { beforeAll, describe, expect, test } from 'vitest';
import { decryptAgeFile, encryptAgeFile } from './age-file.ts';
import { ParsedKeys, type X25519Identity, type X25519Recipient } from './x25519.ts';

const CHUNK = 64 * 1024;
const plain = Buffer.from('what is to be said');
const parsed = new ParsedKeys();

let text: { identity: string; recipient: string };
let identities: X25519Identity[];
let recipients: X25519Recipient[];

beforeAll(async () => {
  const identity = await generateX25519Identity();
  text = { identity, recipient: await identityToRecipient(identity) };
  identities = parsed.identities([identity])!;
  recipients = parsed.recipients([text.recipient])!;
});

async function byLibrary(octets: Uint8Array): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(text.recipient);
  return encrypter.encrypt(octets);
}

async function openedByLibrary(file: Uint8Array): Promise<Buffer> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(text.identity);
  return Buffer.from(await decrypter.decrypt(file));
}

describe('an age file', () => {
  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])(
    'of %i octets is opened by the age library, and one of the library here',
    async (length) => {
      const octets = Buffer.alloc(length, 'changes ');
      const file = encryptAgeFile(octets, recipients);
      expect((await openedByLibrary(file)).equals(octets)).toBe(true);
      expect(decryptAgeFile(await byLibrary(octets), identities).equals(octets)).toBe(true);
      expect((await byLibrary(octets)).length).toBe(file.length);
    },
  );

  test('for several recipients opens for each, also where others are unknown', async () => {
    const other = await generateX25519Identity();
    const otherRecipient = await identityToRecipient(other);
    const forBoth = encryptAgeFile(plain, parsed.recipients([otherRecipient, text.recipient])!);
    for (const identity of [other, text.identity]) {
      expect(decryptAgeFile(forBoth, parsed.identities([identity])!)).toEqual(plain);
    }
    expect(await openedByLibrary(forBoth)).toEqual(plain);
    const encrypter = new Encrypter();
    const grease = new Stanza(['example.org/unknown', 'x'], Buffer.alloc(96));
    encrypter.addRecipient({ wrapFileKey: async () => [grease] });
    encrypter.addRecipient(text.recipient);
    expect(decryptAgeFile(await encrypter.encrypt(plain), identities)).toEqual(plain);
  });

  test('for somebody else is refused', async () => {
    const other = parsed.identities([await generateX25519Identity()])!;
    expect(() => decryptAgeFile(encryptAgeFile(plain, recipients), other)).toThrow('for none of these');
  });

  test('with any octet altered, or cut anywhere, is refused', () => {
    const file = encryptAgeFile(plain, recipients);
    for (let at = 0; at < file.length; at++) {
      const altered = Buffer.from(file);
      altered[at]! ^= 0x41;
      expect(() => decryptAgeFile(altered, identities)).toThrow();
      expect(() => decryptAgeFile(file.subarray(0, at), identities)).toThrow();
    }
  });

  test('with chunks left out, swapped or added is refused', () => {
    const octets = Buffer.alloc(2 * CHUNK + 7, 'x');
    const file = encryptAgeFile(octets, recipients);
    const front = file.length - (octets.length + 3 * 16);
    const [one, two, three] = [0, 1, 2].map((i) =>
      file.subarray(front + i * (CHUNK + 16), Math.min(file.length, front + (i + 1) * (CHUNK + 16))),
    ) as [Buffer, Buffer, Buffer];
    const of = (...chunks: Buffer[]) => Buffer.concat([file.subarray(0, front), ...chunks]);
    expect(decryptAgeFile(of(one, two, three), identities).equals(octets)).toBe(true);
    for (const wrong of [
      of(one, two),
      of(two, one, three),
      of(one, three),
      of(),
      of(one, two, three, Buffer.alloc(1)),
    ]) {
      expect(() => decryptAgeFile(wrong, identities)).toThrow();
    }
  });
});

describe('a header', () => {
  test.each<[string, string, (header: string[]) => string[]]>([
    ['of another version', 'not an age file', (header) => header.with(0, 'age-encryption.org/v2')],
    ['with line ends of two octets', 'not an age file', (header) => header.with(0, `${header[0]!}\r`)],
    ['without a stanza', 'for none', (header) => header.toSpliced(1, 2)],
    ['with a stanza of no name', 'a malformed stanza', (header) => header.toSpliced(1, 0, '->', '')],
    ['with an empty argument', 'a malformed stanza', (header) => header.with(1, header[1]!.replace(' X', '  X'))],
    ['with an argument more', 'a malformed X25519', (header) => header.with(1, `${header[1]!} more`)],
    ['with padded base64', 'not base64', (header) => header.with(1, `${header[1]!}=`)],
    ['with a body that is too long', 'too long', (header) => header.with(2, 'A'.repeat(68))],
    ['with a short body', 'a malformed X25519', (header) => header.with(2, header[2]!.slice(0, 40))],
    ['with a short MAC', 'a malformed MAC', (header) => header.with(3, header[3]!.slice(0, -3))],
    ['with another MAC', 'the MAC', (header) => header.with(3, `--- ${'A'.repeat(43)}`)],
    ['that does not end', 'ends early', (header) => header.toSpliced(3, 1)],
  ])('%s is refused', (_, why, alter) => {
    const file = encryptAgeFile(plain, recipients);
    const header = alter(file.toString('latin1').split('\n').slice(0, 4));
    expect(() => decryptAgeFile(Buffer.from(`${header.join('\n')}\n`), identities)).toThrow(why);
  });
});

test('keys of another kind, and those with a wrong checksum, are left to the library', async () => {
  const { identity, recipient } = text;
  const wrong = recipient.slice(0, -1) + (recipient.endsWith('q') ? 'p' : 'q');
  expect(parsed.recipients([recipient, wrong])).toBeNull();
  expect(parsed.identities([identity, await generateHybridIdentity()])).toBeNull();
});
