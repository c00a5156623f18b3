import { randomBytes } from 'node:crypto';
import { Decrypter, Encrypter } from 'age-encryption';
import { describe, expect, it } from 'vitest';
import { type AgeKey, type AgeLock, asksForPassphrase, openAge, sealAge } from './age-stream.ts';
import { generateRecoveryKey, parseRecoveryKey, recoveryIdentity, recoveryRecipient } from './recovery-key.ts';

async function* inParts(octets: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

const seal = (plain: Uint8Array, lock: AgeLock) => all(sealAge(inParts(plain, 10_000), lock));
const open = (sealed: Uint8Array, key: AgeKey, size = 7_777) => all(openAge(inParts(sealed, size), key));

const recovery = generateRecoveryKey();
const lock = { recipients: [recoveryRecipient(recovery.publicKey)] };
const key = { identities: [recoveryIdentity(parseRecoveryKey(recovery.text.toUpperCase()))] };

describe('age files in pieces', () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 200_000])('of %i octets open as they were sealed', async (length) => {
    const plain = randomBytes(length);
    for (const size of [7_777, 1_000_000]) {
      const opened = await open(await seal(plain, lock), key, size);
      expect(opened.equals(plain)).toBe(true);
    }
  });

  it('sealed by a passphrase are opened by the age library, and the other way round', async () => {
    const plain = randomBytes(100_000);
    const sealed = await seal(plain, { passphrase: 'dark and stormy' });
    expect(asksForPassphrase(sealed)).toBe(true);
    const decrypter = new Decrypter();
    decrypter.addPassphrase('dark and stormy');
    expect(plain.equals(await decrypter.decrypt(sealed))).toBe(true);
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(10);
    encrypter.setPassphrase('dark and stormy');
    const opened = await open(await encrypter.encrypt(plain), { passphrase: 'dark and stormy' });
    expect(opened.equals(plain)).toBe(true);
  });

  it('are opened by no other passphrase, recovery key or kind of key', async () => {
    const sealed = await seal(randomBytes(10), { passphrase: 'right' });
    await expect(open(sealed, { passphrase: 'wrong' })).rejects.toThrow();
    await expect(open(sealed, key)).rejects.toThrow('only a passphrase');
    const forRecovery = await seal(randomBytes(10), lock);
    expect(asksForPassphrase(forRecovery)).toBe(false);
    await expect(open(forRecovery, { passphrase: 'right' })).rejects.toThrow('no passphrase');
    await expect(open(forRecovery, { identities: [recoveryIdentity(generateRecoveryKey())] })).rejects.toThrow(
      'none of',
    );
  });

  it('that were cut anywhere, or altered anywhere, are never taken for whole', async () => {
    const sealed = await seal(randomBytes(140_000), lock);
    for (const length of [0, 10, 150, 300, 65_800, 131_300, sealed.length - 1]) {
      await expect(open(sealed.subarray(0, length), key)).rejects.toThrow();
    }
    // A whole chunk less: what is left does not end in a last one.
    await expect(open(sealed.subarray(0, sealed.length - (140_000 - 131_072) - 16), key)).rejects.toThrow();
    for (const at of [30, 200, 300, 70_000, sealed.length - 3]) {
      const altered = Buffer.from(sealed);
      altered[at]! ^= 1;
      await expect(open(altered, key)).rejects.toThrow();
    }
  });

  it('whose passphrase would take all memory are refused', async () => {
    const sealed = Buffer.from(
      (await seal(Buffer.alloc(1), { passphrase: 'x' })).toString('latin1').replace(' 17\n', ' 30\n'),
      'latin1',
    );
    await expect(open(sealed, { passphrase: 'x' })).rejects.toThrow('too much work');
  });
});
