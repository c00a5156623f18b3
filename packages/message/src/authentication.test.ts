/** What a stranger can make a listening server compute. */
import { randomBytes, verify } from 'node:crypto';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { Authenticator } from './authentication.ts';
import { rolledStatement } from './key-statement.ts';
import { generateKeys, type PeerKeys, type PrivateKeys, publicSigningKey } from './keys.ts';

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  return { ...real, verify: vi.fn(real.verify) };
});

const authenticator = new Authenticator({ peers: () => undefined });
const forgedRequest = { request: Buffer.from('request'), signature: randomBytes(64) };
let keys: PrivateKeys[];
let known: PeerKeys;

beforeAll(async () => {
  keys = await Promise.all(Array.from({ length: 7 }, () => generateKeys()));
  known = { signing: [publicSigningKey(keys[0]!.signing)], recipients: [] };
});
beforeEach(() => {
  vi.mocked(verify).mockClear();
});

const to = (i: number, by: PrivateKeys) =>
  rolledStatement({ serial: i, name: 'oslo', signing: publicSigningKey(keys[i]!.signing) }, by);

it('a request with forged statements costs one signature more than one without', () => {
  const forged = [1, 2, 3, 4, 5, 6].map((i) => {
    const statement = to(i, keys[0]!);
    statement[statement.length - 1]! ^= 1;
    return statement;
  });
  expect(authenticator.checkRequest('oslo', known, { ...forgedRequest, statements: forged })).toBe(false);
  expect(vi.mocked(verify)).toHaveBeenCalledTimes(2);
});

it('a request with statements that lead nowhere costs no more than one without', () => {
  const statements = [2, 3, 4].map((i) => to(i, keys[1]!));
  expect(authenticator.checkRequest('oslo', known, { ...forgedRequest, statements })).toBe(false);
  expect(vi.mocked(verify)).toHaveBeenCalledTimes(1);
});
