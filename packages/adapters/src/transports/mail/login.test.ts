import { spawnSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { verify as verifySignature, constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { DirpostError } from '@dirpost/core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { clientAssertion, clientKeyOf } from './assertion.ts';
import { type LoginDeps, openLogin } from './login.ts';
import type { LoginOptions, Secret } from './options.ts';
import { readSecret, secretFilesOf } from './secret.ts';
import { outputOf } from './secret-command.ts';

const user = 'oslo@example.org';
/** Another one in each run; with characters that forms, JSON and regular expressions write differently. */
const core = randomBytes(8).toString('hex');
const secret = `s3cret+/="$&\\ %é${core}`;

let folder: string;
let nowMs: number;
const closing: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dirpost-login-'));
  nowMs = Date.now();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closing.splice(0)) close();
  await rm(folder, { recursive: true, force: true });
});

/** Everything that a log could ever show of an error, also what is hidden in it. */
function everythingIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  if (typeof value !== 'object' || value === null) return String(value);
  if (seen.has(value)) return '';
  seen.add(value);
  const parts = Reflect.ownKeys(value).map((key) => everythingIn((value as Record<PropertyKey, unknown>)[key], seen));
  return [inspect(value, { depth: 0 }), ...parts].join('\n');
}

function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const form = new URLSearchParams({ '': text }).toString().slice(1);
  return [
    text,
    encodeURIComponent(text),
    form,
    JSON.stringify(text).slice(1, -1),
    bytes.toString('base64'),
    bytes.toString('latin1'),
  ];
}

/** The error of what has to fail, after it was searched for secrets. */
async function failure(work: Promise<unknown>, ...secrets: string[]): Promise<DirpostError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof DirpostError)) throw new Error(`It did not fail as it should: ${String(error)}`);
  const shown = everythingIn(error);
  expect(shown).toContain(error.message);
  for (const form of [core, secret, ...secrets].flatMap(formsOf)) expect(shown).not.toContain(form);
  return error;
}

async function fileWith(content: string | Uint8Array, name = 'secret'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

/** Program and arguments that run JavaScript. */
const script = (code: string): string[] => [process.execPath, '-e', code];
const read = (from: Secret, limits = {}) =>
  readSecret(from, 'the password', { timeoutMs: 30_000, maxBytes: 65_536, ...limits });

describe('a secret', () => {
  it('is read from a file, the environment or a program, without the line break at its end', async () => {
    vi.stubEnv('DIRPOST_TEST_SECRET', secret);
    expect(await read({ file: await fileWith(`${secret}\n`) })).toBe(secret);
    expect(await read({ file: await fileWith(`\ufeff${secret}\r\n`) })).toBe(secret);
    expect(await read({ env: 'DIRPOST_TEST_SECRET' })).toBe(secret);
    expect(await read({ command: script('console.log(process.env.DIRPOST_TEST_SECRET)') })).toBe(secret);
  });

  it('is read anew each time, also behind a link that is put elsewhere', async () => {
    const link = join(folder, 'link');
    await symlink(await fileWith('first', 'a'), link);
    const login = openLogin({ method: 'password', user, password: { file: link } });
    expect([login.user, login.token]).toEqual([user, undefined]);
    expect(await login.password!()).toBe('first');
    await symlink(await fileWith('second', 'b'), `${link}.new`);
    await rename(`${link}.new`, link);
    expect(await login.password!()).toBe('second');
  });

  it('reaches a program as arguments, and no shell changes them', async () => {
    const odd = '$(id) `id` ; * "a"';
    expect(await read({ command: [...script('console.log(process.argv[1])'), odd] })).toBe(odd);
  });

  it.each([
    ['is empty', ''],
    ['is a line break', '\n'],
    ['has two lines', `${secret}\n${secret}\n`],
    ['is UTF-16', Buffer.from(`\ufeff${secret}`, 'utf16le')],
    ['has a control character', `${secret}\0`],
    ['is too long', 'x'.repeat(65_537)],
  ])('that %s is refused and not shown', async (_name, content) => {
    const error = await failure(read({ file: await fileWith(content) }));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain(folder);
  });

  it('that is not there is told with the place where it should be', async () => {
    const missing = await failure(read({ file: join(folder, 'none') }));
    expect(missing).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(missing.message).toContain(join(folder, 'none'));
    expect((await failure(read({ env: 'DIRPOST_TEST_NONE' }))).message).toContain('DIRPOST_TEST_NONE');
    expect(await failure(read({ file: folder }))).toMatchObject({ retry: 'operator' });
  });

  it('lies in files that a login names', () => {
    const client = { method: 'client-credentials', user, tokenUrl: '', clientId: '', scope: '' } as const;
    const logins: [LoginOptions, string[]][] = [
      [{ method: 'password', user, password: { file: 'a' } }, ['a']],
      [{ method: 'password', user, password: { env: 'a' } }, []],
      [{ ...client, proof: { secret: { file: 'b' } } }, ['b']],
      [{ ...client, proof: { secret: { command: ['b'] } } }, []],
      [{ ...client, proof: { certificate: 'c', key: 'd' } }, ['d']],
      [{ method: 'service-account', user, keyFile: 'e', scope: '' }, ['e']],
      [{ method: 'token-command', user, command: ['f'] }, []],
    ];
    for (const [login, files] of logins) expect(secretFilesOf(login)).toEqual(files);
  });
});

describe('a program that prints a secret', () => {
  const said = JSON.stringify(secret);
  it.each([
    ['ends with an error', `console.log(${said}); console.error(${said}); process.exitCode = 3`, 'exit code 3'],
    ['is killed', `console.log(${said}); process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)`, 'SIGTERM'],
    [
      'prints too much',
      `for (let i = 0; i < 9999; i++) process.stdout.write(${said}); setInterval(() => {}, 1000)`,
      '65536',
    ],
    ['prints nothing', '', 'empty'],
  ])('and %s is told without what it printed and its arguments', async (_name, code, part) => {
    const error = await failure(read({ command: [...script(code), secret] }));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain(part);
    expect(error.message).toContain(process.execPath);
  });

  it('and hangs is ended with what it started', async () => {
    // The child holds the pipe: reading would go on as long as it lives.
    const child = `require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })`;
    const code = `const child = ${child}; require('node:fs').writeFileSync(process.argv[1], String(child.pid)); console.log(${said}); setInterval(() => {}, 1000)`;
    const pidFile = join(folder, 'pid');
    const error = await failure(read({ command: [...script(code), pidFile] }, { timeoutMs: 1_000 }));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error.message).toContain('1 s');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false));
  });

  it('and cannot be started is told without its arguments', async () => {
    expect((await failure(read({ command: [join(folder, 'none'), secret] }))).message).toContain('no such program');
    expect((await failure(read({ command: [await fileWith('x'), secret] }))).message).toContain('may not be run');
    expect(await failure(read({ command: [process.execPath, `${secret}\0`] }))).toMatchObject({ retry: 'operator' });
    expect(await failure(read({ command: [] }))).toMatchObject({ retry: 'operator' });
  });

  it('may print as much as is allowed', async () => {
    const limits = { timeoutMs: 30_000, maxBytes: 1000 };
    const print = (length: number) => outputOf(script(`process.stdout.write('x'.repeat(${length}))`), 'it', limits);
    expect(await print(1000)).toHaveLength(1000);
    await expect(print(1001)).rejects.toMatchObject({ code: 'transport-failed' });
  });
});

/** A process that ended and was not waited for yet still has its id: its state is Z. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

interface TokenServer {
  url: string;
  /** Forms that arrived. */
  forms: URLSearchParams[];
}

type Answering = (response: ServerResponse, form: URLSearchParams, count: number) => void;

async function listen(server: TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function serve(answer: Answering, tls?: { cert: Buffer; key: Buffer }): Promise<TokenServer> {
  const forms: URLSearchParams[] = [];
  const listener: RequestListener = (request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      forms.push(new URLSearchParams(Buffer.concat(chunks).toString()));
      answer(response, forms.at(-1)!, forms.length);
    });
  };
  const server: Server = tls === undefined ? createServer(listener) : createHttpsServer(tls, listener);
  closing.push(() => (server.close(), server.closeAllConnections()));
  const port = await listen(server);
  return { url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}/oslo/token`, forms };
}

const json = (response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
const grant: Answering = (response, _form, count) =>
  json(response, 200, { access_token: `token-${count}`, token_type: 'Bearer', expires_in: 3600 });

function bySecret(url: string, deps: LoginDeps = {}, from: Secret = { env: 'DIRPOST_TEST_SECRET' }) {
  vi.stubEnv('DIRPOST_TEST_SECRET', secret);
  const scope = 'https://outlook.office365.com/.default';
  const login = { user, tokenUrl: url, clientId: 'client-1', scope, proof: { secret: from } };
  return openLogin({ method: 'client-credentials', ...login }, { nowMs: () => nowMs, ...deps });
}

describe('client credentials by a secret', () => {
  it('send what RFC 6749 §4.4.2 and §2.3.1 ask for', async () => {
    const server = await serve(grant);
    const login = bySecret(server.url);
    expect([login.user, login.password]).toEqual([user, undefined]);
    expect(await login.token!(false)).toBe('token-1');
    expect(Object.fromEntries(server.forms[0]!)).toEqual({
      grant_type: 'client_credentials',
      client_id: 'client-1',
      client_secret: secret,
      scope: 'https://outlook.office365.com/.default',
    });
  });

  it('read the secret anew, so that a changed one is taken', async () => {
    const server = await serve(grant);
    const path = await fileWith('first\n');
    const login = bySecret(server.url, {}, { file: path });
    await login.token!(false);
    await fileWith('second\n');
    await login.token!(true);
    expect(server.forms.map((form) => form.get('client_secret'))).toEqual(['first', 'second']);
  });

  it.each(['ftp://127.0.0.1/token', 'http://login.example.org/token', 'https://me:pw@login.example.org/', 'nonsense'])(
    'are not sent to %s',
    (url) => {
      const error = expect(() => bySecret(url));
      error.toThrow(expect.objectContaining({ code: 'config-invalid', retry: 'operator' }));
      error.not.toThrow('pw');
    },
  );
});

describe('a token', () => {
  it('is kept until a minute before its end, and then asked for anew', async () => {
    const login = bySecret((await serve(grant)).url);
    expect(await login.token!(false)).toBe('token-1');
    nowMs += 3_540_000 - 1;
    expect(await login.token!(false)).toBe('token-1');
    nowMs += 1;
    expect(await login.token!(false)).toBe('token-2');
  });

  it('that the mail server refused is replaced before its end', async () => {
    const login = bySecret((await serve(grant)).url);
    expect(await login.token!(false)).toBe('token-1');
    expect(await login.token!(true)).toBe('token-2');
    expect(await login.token!(false)).toBe('token-2');
  });

  it('is not trusted when the clock went back', async () => {
    const login = bySecret((await serve(grant)).url);
    await login.token!(false);
    nowMs -= 1;
    expect(await login.token!(false)).toBe('token-2');
  });

  it('is asked for once by many at the same time', async () => {
    const server = await serve(grant);
    const login = bySecret(server.url);
    const all = await Promise.all([false, true, false, true, true].map((renew) => login.token!(renew)));
    expect(all).toEqual(Array.from({ length: 5 }, () => 'token-1'));
    expect(server.forms).toHaveLength(1);
  });

  it('that was not given is asked for again by the next', async () => {
    const login = bySecret(
      (
        await serve((response, form, count) =>
          count === 1 ? response.writeHead(503).end() : grant(response, form, count),
        )
      ).url,
    );
    const both = await Promise.allSettled([login.token!(false), login.token!(false)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await login.token!(false)).toBe('token-2');
  });

  it.each([
    ['that lives 30 s is used once', 30, 0, 'token-2'],
    ['whose life is not told is kept for 4 minutes', undefined, 239_999, 'token-1'],
    ['whose life is not told is not kept longer', undefined, 240_000, 'token-2'],
    ['whose life is written as text is kept as long', '3600', 3_539_999, 'token-1'],
    ['whose life is nonsense is kept for 4 minutes', 'long', 240_000, 'token-2'],
  ])('%s', async (_name, seconds, laterMs, expected) => {
    const server = await serve((response, _form, count) =>
      json(response, 200, { access_token: `token-${count}`, token_type: 'bearer', expires_in: seconds }),
    );
    const login = bySecret(server.url);
    await login.token!(false);
    nowMs += laterMs;
    expect(await login.token!(false)).toBe(expected);
  });
});

describe('a token server', () => {
  it.each([
    ['invalid_client', 401, 'operator'],
    ['unauthorized_client', 400, 'operator'],
    ['invalid_grant', 400, 'operator'],
    ['invalid_client', 500, 'operator'],
    ['invalid_scope', 400, 'operator'],
    ['something_new', 400, 'operator'],
    ['temporarily_unavailable', 400, 'later'],
    ['something_new', 503, 'later'],
    ['constructor', 503, 'later'],
  ])('that refuses with %s (%s) is told by its words, and tried again: %s', async (said, status, retry) => {
    const description = `AADSTS7000215: Invalid\r\nsecret\u0000. "Trace" ${'x'.repeat(600)}`;
    const answer = { error: said, error_description: description };
    const login = bySecret((await serve((response) => json(response, status, answer, { 'retry-after': '7' }))).url);
    const error = await failure(login.token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry });
    expect(error.context).toMatchObject({ status, error: said, number: 'AADSTS7000215', retryAfterS: 7 });
    expect(error.message).toContain(
      `(${status}, ${said}, AADSTS7000215): "AADSTS7000215: Invalid secret . \\"Trace\\" x`,
    );
    expect(error.message.length).toBeLessThan(800);
    expect(error.message).toMatch(/^[^\p{Cc}]+$/u);
  });

  it('that repeats what it was sent does not get it shown', async () => {
    const server = await serve((response) => {
      const description = `You sent ${formsOf(secret).join(' | ')}`;
      json(response, 400, { error: secret, error_description: description, error_uri: secret });
    });
    const error = await failure(bySecret(server.url).token!(false));
    expect(error.message).toContain('(400, an unknown error): "You sent [secret] | [secret]');
  });

  it.each([
    ['a part of it', () => `It began with ${secret.slice(6)}`],
    ['it in a form of its own', () => encodeURIComponent(secret).toLowerCase()],
    ['the whole form', (form: URLSearchParams) => `Not understood: ${form.toString()}`],
  ])('that repeats %s does not get it shown', async (_name, description) => {
    const server = await serve((response, form) =>
      json(response, 401, { error: 'invalid_client', error_description: description(form) }),
    );
    expect((await failure(bySecret(server.url).token!(false))).message).toContain('[secret]');
  });

  const garbage: [string, number, string][] = [
    ['a web page', 200, `<html>${secret}</html>`],
    ['a page of an error', 400, `<html>${secret}</html>`],
    ['broken JSON', 200, `{"access_token": "${secret}`],
    ['JSON of another kind', 200, JSON.stringify([secret])],
    ['null', 200, 'null'],
    ['nothing', 200, ''],
    ['no token', 200, '{"token_type":"Bearer"}'],
    ['a token that is a number', 200, '{"access_token":1,"token_type":"Bearer"}'],
    ['a token with a line break', 200, '{"access_token":"a\\r\\nb","token_type":"Bearer"}'],
    ['a token of another type', 200, `{"access_token":"x","token_type":"mac","z":${JSON.stringify(secret)}}`],
    ['a token without a type', 200, '{"access_token":"x"}'],
    ['a token in a refusal', 403, '{"access_token":"x","token_type":"Bearer"}'],
    ['an error that is an object', 400, JSON.stringify({ error: { message: secret } })],
  ];
  it.each(garbage)('that answers %s is not believed, and its answer not shown', async (_name, status, body) => {
    const login = bySecret((await serve((response) => response.writeHead(status).end(body))).url);
    const error = await failure(login.token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator', context: { status } });
  });

  it('that is busy is tried again later', async () => {
    const login = bySecret(
      (await serve((response) => response.writeHead(429, { 'retry-after': '30' }).end(secret))).url,
    );
    expect(await failure(login.token!(false))).toMatchObject({
      retry: 'later',
      context: { status: 429, retryAfterS: 30 },
    });
  });

  it.each([301, 302, 303, 307, 308])('that redirects (%s) does not get the secret sent on', async (status) => {
    const elsewhere = await serve(grant);
    const login = bySecret(
      (await serve((response) => response.writeHead(status, { location: elsewhere.url }).end())).url,
    );
    const error = await failure(login.token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain(`redirect (${status})`);
    expect(elsewhere.forms).toEqual([]);
  });

  it('may answer with 256 KiB, and not with more', async () => {
    const body = '{"access_token":"x","token_type":"Bearer"}';
    const answerOf = (bytes: number) => serve((response) => response.writeHead(200).end(body.padEnd(bytes)));
    expect(await bySecret((await answerOf(262_144)).url).token!(false)).toBe('x');
    const error = await failure(bySecret((await answerOf(262_145)).url).token!(false));
    expect(error.message).toContain('longer than 262144 bytes');
  });

  it('that never stops answering is left', async () => {
    const server = await serve((response) => {
      const more = () => {
        while (!response.destroyed && response.write(secret.repeat(1000)));
      };
      response.on('drain', more).writeHead(200);
      more();
    });
    const error = await failure(bySecret(server.url).token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain('262144');
  });

  it.each([
    ['never answers', () => {}],
    ['stops in the middle', (response: ServerResponse) => response.writeHead(200).write('{"access_token":')],
  ])('that %s is left in time', async (_name, answer) => {
    const login = bySecret((await serve((response) => void answer(response))).url, { answerMs: 150 });
    const error = await failure(login.token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error.message).toContain('0.15 s');
  });

  it('that cuts the line is tried again later', async () => {
    const login = bySecret((await serve((response) => response.destroy())).url);
    expect(await failure(login.token!(false))).toMatchObject({ code: 'transport-failed', retry: 'later' });
  });

  it('that nobody runs is tried again later', async () => {
    const server = createTcpServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const error = await failure(bySecret(`http://127.0.0.1:${port}/`).token!(false));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { reason: 'ECONNREFUSED' } });
  });

  it('that speaks something else is told, without what it said', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => socket.end(`500 unrecognized: ${secret} ${chunk.toString()}\r\n`));
    });
    closing.push(() => server.close());
    const error = await failure(bySecret(`http://127.0.0.1:${await listen(server)}/`).token!(false));
    expect(error).toMatchObject({
      code: 'transport-failed',
      retry: 'operator',
      context: { reason: 'HTTPParserError' },
    });
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl && process.env['CI'] !== undefined) throw new Error('The tests of certificates need openssl.');

const kinds = {
  rsa: ['-newkey', 'rsa:2048'],
  pss: ['-newkey', 'rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  p384: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
};
type Kind = keyof typeof kinds;

describe.runIf(hasOpenssl)('with certificates', () => {
  let made: string;
  const certificate = (kind: Kind) => join(made, `${kind}.pem`);
  const key = (kind: Kind) => join(made, `${kind}.key`);
  const keyLines = (kind: Kind) =>
    readFileSync(key(kind), 'utf8')
      .split('\n')
      .filter((line) => line.length > 40);
  beforeAll(async () => {
    made = await mkdtemp(join(tmpdir(), 'dirpost-login-keys-'));
    for (const kind of Object.keys(kinds) as Kind[]) {
      const files = ['-keyout', key(kind), '-out', certificate(kind)];
      const about = ['-days', '2', '-nodes', '-subj', `/CN=${kind}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
      const { status, stderr } = spawnSync('openssl', ['req', '-x509', ...kinds[kind], ...about, ...files]);
      if (status !== 0) throw new Error(stderr.toString());
    }
  });
  afterAll(() => rm(made, { recursive: true, force: true }));

  const byCertificate = (url: string, proof: { certificate: string; key: string }) =>
    openLogin(
      { method: 'client-credentials', user, tokenUrl: url, clientId: 'client-1', scope: 'mail', proof },
      { nowMs: () => nowMs },
    );
  const part = (jwt: string, index: number) =>
    JSON.parse(Buffer.from(jwt.split('.')[index]!, 'base64url').toString()) as Record<string, unknown>;

  function isSigned(jwt: string, publicKey: ReturnType<typeof createPublicKey>): boolean {
    const [head, claims, signature] = jwt.split('.') as [string, string, string];
    const { alg } = part(jwt, 0);
    const padding = alg === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
    const how = alg === 'ES256' ? { dsaEncoding: 'ieee-p1363' as const } : padding;
    const content = Buffer.from(`${head}.${claims}`);
    return verifySignature('sha256', content, { key: publicKey, ...how }, Buffer.from(signature, 'base64url'));
  }

  it.each([
    ['rsa', 'RS256'],
    ['pss', 'PS256'],
    ['ec', 'ES256'],
  ] as const)('client credentials are signed with a key of the kind %s (%s)', async (kind, alg) => {
    const server = await serve(grant);
    await byCertificate(server.url, { certificate: certificate(kind), key: key(kind) }).token!(false);
    const { client_assertion: jwt, ...form } = Object.fromEntries(server.forms[0]!) as Record<string, string>;
    expect(form).toEqual({
      grant_type: 'client_credentials',
      client_id: 'client-1',
      scope: 'mail',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    });
    const x509 = new X509Certificate(readFileSync(certificate(kind)));
    const thumbprint = (hash: string) => createHash(hash).update(x509.raw).digest('base64url');
    expect(part(jwt!, 0)).toEqual({ alg, typ: 'JWT', x5t: thumbprint('sha1'), 'x5t#S256': thumbprint('sha256') });
    const iat = Math.floor(nowMs / 1000);
    const claims = { aud: server.url, iss: 'client-1', sub: 'client-1', iat, nbf: iat, exp: iat + 300 };
    expect(part(jwt!, 1)).toMatchObject(claims);
    expect(part(jwt!, 1)['jti']).toMatch(/^[0-9a-f-]{36}$/);
    expect(isSigned(jwt!, x509.publicKey)).toBe(true);
    const forged = jwt!.replace(/\..*\./, `.${Buffer.from('{}').toString('base64url')}.`);
    expect(isSigned(forged, x509.publicKey)).toBe(false);
  });

  it('Microsoft gets PS256 also with an ordinary RSA key', () => {
    const paths = { certificate: certificate('rsa'), key: key('rsa') };
    const pem = { certificate: readFileSync(paths.certificate), key: readFileSync(paths.key) };
    const client = clientKeyOf(pem, paths, nowMs);
    const tokenUrl = new URL('https://login.microsoftonline.com/0000/oauth2/v2.0/token');
    const jwt = clientAssertion(client, 'client-1', tokenUrl, nowMs);
    expect(part(jwt, 0)['alg']).toBe('PS256');
    expect(isSigned(jwt, client.certificate.publicKey)).toBe(true);
  });

  it('an assertion that the server repeats is not shown', async () => {
    let jwt = '';
    const server = await serve((response, form) => {
      jwt = form.get('client_assertion')!;
      json(response, 401, { error: 'invalid_client', error_description: `bad ${jwt}` });
    });
    const login = byCertificate(server.url, { certificate: certificate('ec'), key: key('ec') });
    const error = await login.token!(false).catch((reason: unknown) => reason);
    expect(everythingIn(error)).not.toContain(jwt);
    expect((error as DirpostError).message).toContain('"bad [secret]"');
  });

  it.each([
    ['of another certificate', () => ({ certificate: certificate('ec'), key: key('rsa') })],
    ['of a kind that is not taken', () => ({ certificate: certificate('p384'), key: key('p384') })],
    ['in place of a certificate', () => ({ certificate: key('ec'), key: key('ec') })],
    ['that is a certificate', () => ({ certificate: certificate('ec'), key: certificate('ec') })],
    ['that is not there', () => ({ certificate: certificate('ec'), key: join(made, 'none') })],
  ])('a key %s is told, and nothing is sent', async (_name, proof) => {
    const server = await serve(grant);
    const lines = [...keyLines('ec'), ...keyLines('rsa'), ...keyLines('p384')];
    const error = await failure(byCertificate(server.url, proof()).token!(false), ...lines);
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(server.forms).toEqual([]);
  });

  it('a key with a passphrase is told', async () => {
    const locked = join(folder, 'locked.key');
    spawnSync('openssl', ['pkey', '-in', key('ec'), '-aes256', '-passout', 'pass:x', '-out', locked]);
    expect(readFileSync(locked, 'utf8')).toContain('ENCRYPTED');
    const login = byCertificate((await serve(grant)).url, { certificate: certificate('ec'), key: locked });
    expect((await failure(login.token!(false))).hint).toContain('passphrase');
  });

  it('an expired certificate is told before anything is sent', async () => {
    const server = await serve(grant);
    nowMs += 3 * 86_400_000;
    const login = byCertificate(server.url, { certificate: certificate('ec'), key: key('ec') });
    expect((await failure(login.token!(false))).message).toContain('expired on 20');
    expect(server.forms).toEqual([]);
  });

  it('a private authority is trusted besides the public ones, and only where it is named', async () => {
    const tls = { cert: readFileSync(certificate('ec')), key: readFileSync(key('ec')) };
    const server = await serve(grant, tls);
    expect(await bySecret(server.url, { ca: certificate('ec') }).token!(false)).toBe('token-1');
    const error = await failure(bySecret(server.url).token!(false));
    expect(error).toMatchObject({ retry: 'operator', context: { reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' } });
    expect(await failure(bySecret(server.url, { ca: join(folder, 'none') }).token!(false))).toMatchObject({
      retry: 'operator',
    });
    expect(server.forms).toHaveLength(1);
    const plain = (await serve(grant)).url.replace('http:', 'https:');
    expect(await failure(bySecret(plain).token!(false))).toMatchObject({ retry: 'operator' });
  });

  describe('a service account', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const pemLines = pem.split('\n').filter((line) => line.length > 40);
    const account = (url: string) => ({
      type: 'service_account',
      client_email: 'dirpost@project.example.org',
      private_key: pem,
      private_key_id: 'key-1',
      token_uri: url,
    });
    const byAccount = async (file: unknown) =>
      openLogin(
        {
          method: 'service-account',
          user,
          keyFile: await fileWith(JSON.stringify(file)),
          scope: 'https://mail.google.com/',
        },
        { nowMs: () => nowMs },
      );

    it('asks for the user with a signed grant', async () => {
      const server = await serve(grant);
      expect(await (await byAccount(account(server.url))).token!(false)).toBe('token-1');
      const { assertion: jwt, ...form } = Object.fromEntries(server.forms[0]!) as Record<string, string>;
      expect(form).toEqual({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' });
      expect(part(jwt!, 0)).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'key-1' });
      const iat = Math.floor(nowMs / 1000);
      expect(part(jwt!, 1)).toEqual({
        iss: 'dirpost@project.example.org',
        sub: user,
        scope: 'https://mail.google.com/',
        aud: server.url,
        iat,
        exp: iat + 3600,
      });
      expect(isSigned(jwt!, publicKey)).toBe(true);
    });

    it.each([
      ['without a key', { private_key: undefined }],
      ['without an address', { client_email: 1 }],
      ['without a token server', { token_uri: undefined }],
      ['with a broken key', { private_key: pem.slice(0, 400) }],
      [
        'with a key of another kind',
        { private_key: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) },
      ],
    ])('%s is told, and nothing of its file', async (_name, change) => {
      const server = await serve(grant);
      const error = await failure((await byAccount({ ...account(server.url), ...change })).token!(false), ...pemLines);
      expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
      expect(error.message).toContain(folder);
      expect(server.forms).toEqual([]);
    });

    it('whose file is no JSON is told, and nothing of it', async () => {
      const keyFile = await fileWith(`${secret} ${pem}`);
      const login = openLogin({ method: 'service-account', user, keyFile, scope: '' });
      expect((await failure(login.token!(false), ...pemLines)).message).toContain('not the key of a service account');
      await writeFile(keyFile, 'null');
      expect((await failure(login.token!(false))).message).toContain('not the key of a service account');
    });

    it('whose token server is without TLS is not used', async () => {
      const login = await byAccount(account('http://oauth2.example.org/token'));
      expect(await failure(login.token!(false), ...pemLines)).toMatchObject({
        code: 'config-invalid',
        retry: 'operator',
      });
    });
  });
});

describe('a program that prints a token', () => {
  const counting = (path: string) =>
    script(
      `const fs = require('node:fs'); fs.appendFileSync(${JSON.stringify(path)}, 'x'); console.log('token-' + fs.readFileSync(${JSON.stringify(path)}).length)`,
    );

  it('is run once for 4 minutes, by many at once, and when its token was refused', async () => {
    const command = counting(join(folder, 'runs'));
    const login = openLogin({ method: 'token-command', user, command }, { nowMs: () => nowMs });
    expect(await Promise.all([login.token!(false), login.token!(false)])).toEqual(['token-1', 'token-1']);
    nowMs += 239_999;
    expect(await login.token!(false)).toBe('token-1');
    nowMs += 1;
    expect(await login.token!(false)).toBe('token-2');
    expect(await login.token!(true)).toBe('token-3');
  });

  it('and fails is told without what it printed', async () => {
    const command = script(`console.log(${JSON.stringify(secret)}); process.exitCode = 1`);
    const error = await failure(openLogin({ method: 'token-command', user, command }).token!(false));
    expect(error.message).toContain(`the access token of ${user}, ended with exit code 1`);
  });

  it('has to be named', () => {
    expect(() => openLogin({ method: 'token-command', user, command: [] })).toThrow(
      expect.objectContaining({ code: 'config-invalid' }),
    );
  });
});
