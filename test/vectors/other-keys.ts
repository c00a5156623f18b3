/** Vectors of other keys: `oslo` has taken the signing key of `eve` for its own, and signs with it. */
import { announcement, publicKeys, recoveredStatement, rolledStatement } from '@dirpost/message';
import { sealWith } from './sealing.ts';
import { codec, describeContent, keys, recovery, type Vector } from './vector.ts';

export async function otherKeys(): Promise<Vector[]> {
  const { signing, recipient } = await publicKeys(keys['eve']!);
  const said = { serial: 7, heard: 3, asks: true, signing, recipient, overlapMs: 86_400_000, hybrid: false };
  const addresses = { http: 'https://oslo.example.org:8943', mail: 'dirpost@oslo.example.org' };
  const payload = codec.encode(announcement('300.b1b2b3b4b5b6b7b8', { ...said, addresses }), []);
  const content = describeContent(codec.head(payload), codec.changes(payload));
  const statement = { serial: 7, name: 'oslo', signing };
  const rolled = rolledStatement(statement, keys['oslo']!);
  const seal = (s: unknown) => sealWith({ payload, signer: 'eve', fields: { s } });
  const good = async (name: string, comment: string, s: unknown): Promise<Vector> => {
    return { name: `good-keys-${name}`, expect: 'ok', receiver: 'bergen', content, comment, bytes: await seal(s) };
  };
  const bad = async (name: string, expect: string, comment: string, s: unknown): Promise<Vector> => {
    return { name: `bad-keys-${name}`, expect, receiver: 'bergen', comment, bytes: await seal(s) };
  };
  const sender = 'message-sender';
  const altered = Buffer.from(rolled);
  altered[altered.length - 1]! ^= 1;
  return [
    await good('rolled', 'an announcement, signed by a key for which the one before has signed', [rolled]),
    await good('recovered', 'signed by a key for which the recovery key has signed', [
      recoveredStatement(statement, recovery),
    ]),
    await bad('none', sender, 'signed by a key that oslo has not announced, without a statement', undefined),
    await bad('stranger', sender, 'a statement by a key that nobody knows', [
      rolledStatement(statement, keys['quantum']!),
    ]),
    await bad('other-name', sender, 'a statement for another postoffice', [
      rolledStatement({ ...statement, name: 'bergen' }, keys['oslo']!),
    ]),
    await bad('signature', sender, 'the last bit of the statement is altered', [altered]),
    await bad('form', 'message-header', 'a statement that is no array', [Buffer.alloc(70, 0xc0)]),
    await bad(
      'too-many',
      'message-header',
      'seven statements',
      Array.from({ length: 7 }, () => rolled),
    ),
    await bad('too-long', 'message-header', 'a statement of 401 octets', [Buffer.alloc(401)]),
  ];
}
