import { createHmac, pbkdf2Sync } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { bind } from './bind.ts';
import { BIND, result, saslParts, ScriptedServer } from './scripted-server.ts';
import { scram, type ScramBind } from './scram.ts';
import { Session } from './session.ts';

// The nonce of the client is the only thing of chance: the examples of the RFCs need theirs.
let nonce: Uint8Array | null = null;
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return { ...crypto, randomBytes: (size: number) => nonce ?? crypto.randomBytes(size) };
});

let server: ScriptedServer | undefined;
let session: Session;
beforeEach(() => {
  nonce = null;
});
afterEach(async () => {
  session.close();
  await server?.stop();
});

const OK = { code: 0 };
const GO_ON = { code: 14 };

/** Answers the n-th message of the client with the n-th of these. */
async function converse(...answers: { code: number; text?: string | ((heard: string[]) => string) }[]) {
  const heard: string[] = [];
  const mechanisms: string[] = [];
  server = await ScriptedServer.start(async (client) => {
    for (const { code, text } of answers) {
      const received = await client.next();
      if (received === null) return;
      const { mechanism, credentials } = saslParts(received);
      mechanisms.push(mechanism);
      heard.push(credentials.toString());
      const words = typeof text === 'function' ? text(heard) : text;
      client.send(result(received.id, BIND, { code, ...(words !== undefined && { value: Buffer.from(words) }) }));
    }
  });
  const { host, port } = server.address;
  const socket = connect(port, host);
  await once(socket, 'connect');
  session = new Session(socket, { server: 'test', operationMs: 5_000, maxMessageBytes: 100_000 });
  return { heard, mechanisms };
}

const how = (more: Partial<ScramBind> = {}): ScramBind => ({
  method: 'scram',
  user: 'user',
  password: async () => 'pencil',
  hash: 'sha-256',
  ...more,
});
const login = (more: Partial<ScramBind> = {}) => scram(session, how(more), new AbortController().signal);
const nonceOf = (heard: string[]) => /r=([^,]+)/.exec(heard[0]!)![1]!;

/** A server that knows the password. */
const honest = {
  first: (heard: string[]) => `r=${nonceOf(heard)}server,s=c2FsdA==,i=4096`,
  last: (heard: string[], password = 'pencil') => {
    const salted = pbkdf2Sync(password, 'salt', 4096, 32, 'sha256');
    const key = createHmac('sha256', salted).update('Server Key').digest();
    const exchanged = [heard[0]!.slice(3), honest.first(heard), heard[1]!.replace(/,p=.*/, '')].join(',');
    return `v=${createHmac('sha256', key).update(exchanged).digest('base64')}`;
  },
};

it.each([
  [
    'RFC 5802, section 5',
    'sha-1',
    'fyko+d2lbbFgONRv9qkxdawL',
    'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  ],
  [
    'RFC 7677, section 3',
    'sha-256',
    'rOprNGfwEbeRWgbNEkqO',
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  ],
] as const)('%s', async (_, hash, own, challenge, proof, proven) => {
  nonce = Buffer.from(own, 'base64');
  const { heard, mechanisms } = await converse({ ...GO_ON, text: challenge }, { ...OK, text: proven });
  expect(await login({ hash })).toMatchObject({ code: 0 });
  expect(heard).toEqual([`n,,n=user,r=${own}`, proof]);
  expect(mechanisms).toEqual([`SCRAM-${hash.toUpperCase()}`, `SCRAM-${hash.toUpperCase()}`]);
});

it('a server may give its proof as a step of its own', async () => {
  const { heard } = await converse({ ...GO_ON, text: honest.first }, { ...GO_ON, text: honest.last }, OK);
  expect(await login()).toMatchObject({ code: 0 });
  expect(heard[2]).toBe('');
});

it('commas and equals signs in names are written as RFC 5802 says', async () => {
  const { heard } = await converse({ code: 49 });
  await login({ user: 'a=b,c' });
  expect(heard[0]).toContain('n=a=3Db=2Cc,');
});

it('a wrong password is the answer of the server', async () => {
  await converse({ ...GO_ON, text: honest.first }, { code: 49, text: 'e=invalid-proof' });
  expect(await login()).toMatchObject({ code: 49 });
});

it.each([
  ['success without any proof', [{ ...OK }]],
  ['success at once, with a challenge', [{ ...OK, text: honest.first }]],
  [
    'the nonce of the client unchanged',
    [{ ...GO_ON, text: (heard: string[]) => `r=${nonceOf(heard)},s=c2FsdA==,i=4096` }],
  ],
  ['another nonce', [{ ...GO_ON, text: 'r=another,s=c2FsdA==,i=4096' }]],
  ['no salt', [{ ...GO_ON, text: (heard: string[]) => `r=${nonceOf(heard)}x,s=,i=4096` }]],
  [
    'so few rounds that the proof is easy to guess from',
    [{ ...GO_ON, text: (heard: string[]) => `${honest.first(heard).slice(0, -4)}1` }],
  ],
  ['rounds without end', [{ ...GO_ON, text: (heard: string[]) => `${honest.first(heard)}00000000` }]],
  ['an extension that must be understood', [{ ...GO_ON, text: (heard: string[]) => `m=x,${honest.first(heard)}` }]],
  ['no challenge', [{ ...GO_ON }]],
])('a server that lies is found out: %s', async (_, answers) => {
  await converse(...answers);
  await expect(login()).rejects.toMatchObject({ code: 'directory-failed', retry: 'operator' });
});

it.each([
  ['nothing', undefined],
  ['nonsense', 'v=bm9uc2Vuc2U='],
  ['the proof for another password', (heard: string[]) => honest.last(heard, 'pencils')],
])('a server that does not know the password is found out: it proves %s', async (_, text) => {
  await converse({ ...GO_ON, text: honest.first }, { ...OK, ...(text !== undefined && { text }) });
  await expect(login()).rejects.toMatchObject({ message: 'test does not know the password that it asked for.' });
});

it('an empty password is not used', async () => {
  await converse({ ...GO_ON, text: honest.first });
  const context = { host: 'test', isPrivate: true, signal: new AbortController().signal };
  await expect(bind(session, how({ password: async () => '' }), context)).rejects.toMatchObject({
    code: 'config-invalid',
    message: 'The password of user is empty.',
  });
});
