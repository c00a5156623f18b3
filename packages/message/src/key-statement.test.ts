import { createHash, sign } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits, isDirpostError } from '@dirpost/core';
import {
  followStatements,
  MAX_STATEMENT_BYTES,
  MAX_STATEMENTS,
  recoveredStatement,
  rolledStatement,
} from './key-statement.ts';
import { generateKeys, type PeerKeys, type PrivateKeys, publicSigningKey, signingKeyObject } from './keys.ts';
import { createSealer } from './open.ts';
import { generateRecoveryKey } from './recovery-key.ts';
import { pack } from './scan.ts';

const recovery = generateRecoveryKey();
let [first, second, third, thief, oslo]: PrivateKeys[] = [];

beforeAll(async () => {
  [first, second, third, thief, oslo] = await Promise.all(Array.from({ length: 5 }, () => generateKeys()));
});

const publicOf = (keys: PrivateKeys | undefined): string => publicSigningKey(keys!.signing);
const rolled = (to: PrivateKeys | undefined, by: PrivateKeys | undefined, serial = 1, name = 'hq') =>
  rolledStatement({ serial, name, signing: publicOf(to) }, by!);
const recovered = (to: PrivateKeys | undefined, serial: number, by = recovery, name = 'hq') =>
  recoveredStatement({ serial, name, signing: publicOf(to) }, by);
const knows = (...keys: (PrivateKeys | undefined)[]): PeerKeys => ({
  signing: keys.map(publicOf),
  recipients: [],
  recoveryKey: recovery.publicKey,
});
const signingAfter = (known: PeerKeys, ...statements: Uint8Array[]) =>
  followStatements('hq', known, statements).signing;

describe('statements of keys', () => {
  it('are followed from a known key over several roll-overs, and older keys count meanwhile', () => {
    const chain = [rolled(second, first), rolled(third, second, 2)];
    expect(signingAfter(knows(first), ...chain)).toEqual([third, second, first].map(publicOf));
    // What came before is known already.
    expect(signingAfter(knows(second), ...chain)).toEqual([third, second].map(publicOf));
    expect(signingAfter(knows(third), ...chain)).toEqual([third].map(publicOf));
  });

  it('that skip a key, of another name, or by a key that does not count, prove nothing', () => {
    expect(signingAfter(knows(first), rolled(third, second))).toEqual([publicOf(first)]);
    expect(signingAfter(knows(first), rolled(second, first, 1, 'oslo'))).toEqual([publicOf(first)]);
    expect(signingAfter(knows(first), rolled(second, thief))).toEqual([publicOf(first)]);
    const altered = rolled(second, first);
    altered[altered.length - 1]! ^= 1;
    expect(signingAfter(knows(first), altered)).toEqual([publicOf(first)]);
  });

  it('behind a forged one are not looked at: strangers write them too', () => {
    const forged = rolled(thief, first);
    forged[forged.length - 1]! ^= 1;
    expect(signingAfter(knows(first), forged, rolled(second, first))).toEqual([publicOf(first)]);
    const replaced = recovered(thief, 5);
    replaced[replaced.length - 1]! ^= 1;
    expect(signingAfter(knows(first), replaced, recovered(second, 6))).toEqual([publicOf(first)]);
    // By another recovery key than the pinned one it says so itself.
    expect(signingAfter(knows(first), recovered(thief, 5, generateRecoveryKey()), rolled(second, first))).toHaveLength(
      2,
    );
  });

  it('by a key that was rolled over already prove nothing', () => {
    const known = knows(second, first);
    expect(signingAfter(known, rolled(thief, first, 9))).toEqual(known.signing);
    expect(signingAfter(known, rolled(second, first), rolled(third, second, 2))).toHaveLength(3);
  });

  it('by the recovery key end all keys before, a thief’s too, and let roll-overs follow', () => {
    const byThief = rolled(thief, first, Number.MAX_SAFE_INTEGER);
    const known = knows(thief, first);
    expect(followStatements('hq', known, [byThief, recovered(second, 5)])).toEqual({
      signing: [publicOf(second)],
      recovered: 5,
    });
    expect(signingAfter(known, recovered(second, 5), rolled(third, second, 6))).toEqual([third, second].map(publicOf));
    expect(signingAfter({ ...knows(second), recoveredSerial: 5 }, byThief)).toEqual([publicOf(second)]);
  });

  it('by the recovery key count once, not those before, and none by another key or for another server', () => {
    const known = { ...knows(third), recoveredSerial: 5 };
    expect(followStatements('hq', known, [recovered(second, 5)])).toEqual({
      signing: [publicOf(third)],
      recovered: null,
    });
    expect(followStatements('hq', known, [recovered(second, 4)]).recovered).toBeNull();
    expect(followStatements('hq', known, [recovered(second, 6, generateRecoveryKey())]).recovered).toBeNull();
    expect(followStatements('hq', known, [recovered(second, 6, recovery, 'other')]).recovered).toBeNull();
    const { recoveryKey: _, ...unpinned } = known;
    expect(followStatements('hq', unpinned, [recovered(second, 6)]).recovered).toBeNull();
  });

  it('in a wrong form are refused as a malformed header', () => {
    const key = signingKeyObject(first!.signing);
    const wrong = [
      [0, 1, 'hq'],
      [2, 1, 'hq', Buffer.alloc(32), Buffer.alloc(8)],
      [0, -0.5, 'hq', Buffer.alloc(31), 1],
      'text',
    ];
    for (const fields of wrong) {
      const said = pack(fields);
      const octets = Buffer.concat([said, sign(null, createHash('sha512').update(said).digest(), key)]);
      expect(() => followStatements('hq', knows(first), [octets])).toThrow(/wrong form/);
    }
    for (const octets of [Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(100, 0x91)]) {
      expect(() => followStatements('hq', knows(first), [octets])).toThrow(
        expect.objectContaining({ code: 'message-header' }),
      );
    }
  });
});

describe('a message file with statements', () => {
  const envelope = { id: 'ab'.repeat(16), from: 'hq', to: 'oslo', forIncarnation: null, createdMs: 1 };

  async function sealedBy(keys: PrivateKeys | undefined, statements: Uint8Array[]): Promise<Uint8Array> {
    const { identityToRecipient } = await import('age-encryption');
    const recipients = [await identityToRecipient(oslo!.identities[0]!)];
    const options = { peers: () => ({ signing: [], recipients }), statementsFor: () => statements };
    return createSealer({ name: 'hq', keys: keys!, limits: defaultLimits, ...options }).seal(
      envelope,
      Buffer.from('said'),
    );
  }

  const openedBy = (known: PeerKeys) =>
    createSealer({ name: 'oslo', keys: oslo!, peers: () => known, limits: defaultLimits });

  it('opens for one who knows the key before, and says which key signed it', async () => {
    const file = await sealedBy(second, [rolled(second, first)]);
    const { signedBy } = await openedBy(knows(first)).open(file);
    expect(signedBy).toEqual({ signing: publicOf(second), recovered: null });
    const replaced = await sealedBy(third, [recovered(third, 7)]);
    expect((await openedBy(knows(first)).open(replaced)).signedBy).toEqual({ signing: publicOf(third), recovered: 7 });
  });

  it('is refused where it is signed by a key that they do not lead to', async () => {
    for (const statements of [[], [rolled(second, first)], [rolled(thief, second)]]) {
      const file = await sealedBy(thief, statements);
      await expect(openedBy(knows(first)).open(file)).rejects.toMatchObject({ code: 'message-sender' });
    }
    // The old key after the recovery key has spoken, by whatever statements.
    const late = await sealedBy(first, [recovered(third, 7)]);
    await expect(openedBy(knows(first)).open(late)).rejects.toMatchObject({ code: 'message-sender' });
  });

  it('has no more and no longer ones than there may be', async () => {
    for (const statements of [
      Array.from({ length: MAX_STATEMENTS + 1 }, () => rolled(second, first)),
      [Buffer.alloc(MAX_STATEMENT_BYTES + 1)],
    ]) {
      const file = await sealedBy(second, statements);
      const opening = openedBy(knows(first)).open(file);
      await expect(opening).rejects.toSatisfy((error) => isDirpostError(error, 'message-header'));
    }
    const longest = recoveredStatement(
      { serial: 2 ** 53 - 1, name: 'x'.repeat(255), signing: publicOf(second) },
      recovery,
    );
    expect(longest.length).toBeLessThanOrEqual(MAX_STATEMENT_BYTES);
    // With the longest names there is still room in a header of 4,096 octets.
    expect(MAX_STATEMENTS * MAX_STATEMENT_BYTES + 2 * 255 + 300).toBeLessThan(defaultLimits.maxHeaderBytes);
  });

  it('takes the keys of the moment: a sealer goes on after a roll-over', async () => {
    const keys: PrivateKeys = { ...first! };
    const { identityToRecipient } = await import('age-encryption');
    const recipients = [await identityToRecipient(oslo!.identities[0]!)];
    const sealer = createSealer({
      name: 'hq',
      keys,
      limits: defaultLimits,
      peers: () => ({ signing: [], recipients }),
    });
    const before = await sealer.seal(envelope, Buffer.from('1'));
    Object.assign(keys, { ...second!, identities: [...second!.identities, ...first!.identities] });
    const after = await sealer.seal(envelope, Buffer.from('2'));
    expect((await openedBy(knows(first)).open(before)).signedBy.signing).toBe(publicOf(first));
    expect((await openedBy(knows(second)).open(after)).signedBy.signing).toBe(publicOf(second));
  });
});
