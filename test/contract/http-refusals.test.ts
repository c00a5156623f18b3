/** What the server of transport http does with requests that it must not, or cannot, do: strangers, forgers, floods, nonsense. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HttpServerTransport } from '@dirpost/adapters';
import { isDirpostError } from '@dirpost/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  admission,
  checkerOf,
  failureOf,
  fileOf,
  headOf,
  never,
  nonceOf,
  Opened,
  signedFetch,
  signedHeaders,
  signerOf,
  spooling,
  until,
  untilEnded,
} from './http-line.ts';

const KIB = 1024;

let opened: Opened;
beforeEach(() => {
  opened = new Opened();
});
afterEach(() => opened.close());

const put = (bytes: Uint8Array, id = 'a'.repeat(32)) => ({
  method: 'PUT',
  path: `/v1/messages/${id}`,
  body: bytes,
  contentRange: `bytes 0-${bytes.length - 1}/${bytes.length}`,
});
const collect = { method: 'POST', path: '/v1/collect', body: Buffer.from('{"wait":0,"done":[],"leave":[]}') };

it('its health says nothing else about it', async () => {
  const { url } = await opened.server();
  const answer = await fetch(`${url}/healthz`);
  expect([answer.status, await answer.text()]).toEqual([200, '{"status":"ok"}']);
  expect(answer.headers.get('server')).toBeNull();
});

it.each([
  ['unknown', signerOf('malmo')],
  ['known, with another key', signerOf('oslo', 'malmo')],
])('a sender who is %s is refused without detail, and nothing of his is stored', async (_who, signer) => {
  const { url, folder, transport } = await opened.server();
  const client = opened.client(url, { signer });
  for (const attempt of [
    () => client.deliver(fileOf(signer.name), never()),
    () => client.collect(async () => true, never()),
  ]) {
    const error = await failureOf(attempt());
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { status: 403 } });
    expect(error.hint).toContain('suspended');
  }
  expect(opened.refused).toEqual([
    [signer.name, 'unknown-sender'],
    [signer.name, 'unknown-sender'],
  ]);
  expect(await readdir(folder)).toEqual([]);
  expect(transport.waiting).toBe(0);
});

it('a refused sender gets no word more, and his connection ends', async () => {
  const { url, port } = await opened.server();
  const request = { ...put(fileOf('malmo').bytes), as: 'malmo' };
  const headers = await signedHeaders(url, request);
  // The body never comes: whoever is not known is refused by the head.
  const said = await untilEnded(port, headOf(request, { ...headers, 'Content-Length': request.body.length }));
  expect(said).toMatch(/^HTTP\/1\.1 403 /);
  expect(said).toMatch(/connection: close/i);
  expect(said.endsWith('{"error":"refused"}')).toBe(true);
});

it('a sender who is suspended is refused from then on', async () => {
  const known = new Set(['oslo']);
  const { url } = await opened.server({ known });
  const client = opened.client(url);
  expect(await client.collect(async () => true, never())).toBe(0);
  known.delete('oslo');
  expect(await failureOf(client.collect(async () => true, never()))).toMatchObject({ context: { status: 403 } });
});

it('a request that is repeated by somebody on the way is refused', async () => {
  const { url } = await opened.server();
  const headers = await signedHeaders(url, collect);
  const send = () => fetch(`${url}${collect.path}`, { method: 'POST', headers, body: collect.body });
  expect((await send()).status).toBe(200);
  expect((await send()).status).toBe(401);
  expect(opened.refused).toEqual([['oslo', 'replayed']]);
});

it.each([
  ['another path', { path: '/v1/messages/' + 'b'.repeat(32) }],
  ['another query', { path: `${put(Buffer.alloc(1)).path}?x` }],
  ['another range', { contentRange: 'bytes 0-299/301' }],
  ['another server', { server: 'hq2' }],
])('a signature for %s does not serve', async (_what, other) => {
  const { url } = await opened.server();
  const request = put(fileOf('oslo').bytes);
  const headers = await signedHeaders(url, { ...request, ...other });
  headers['Content-Range'] = request.contentRange;
  const answer = await fetch(`${url}${request.path}`, { method: 'PUT', headers, body: Buffer.from(request.body) });
  expect(answer.status).toBe(403);
});

it('a body that is not the signed one is refused', async () => {
  const { url, transport } = await opened.server();
  const request = put(fileOf('oslo').bytes);
  const headers = await signedHeaders(url, request);
  const answer = await fetch(`${url}${request.path}`, {
    method: 'PUT',
    headers,
    body: Buffer.from(fileOf('oslo').bytes),
  });
  expect([answer.status, transport.waiting]).toEqual([400, 0]);
});

it('a nonce of another run of the server is answered with a fresh one', async () => {
  const [one, other] = [await opened.server(), await opened.server()];
  const answer = await signedFetch(one.url, { ...collect, nonce: await nonceOf(other.url) });
  expect(answer.status).toBe(401);
  const nonce = answer.headers.get('dirpost-next-nonce')!;
  const again = await signedFetch(one.url, { ...collect, nonce });
  expect(again.status).toBe(200);
});

it('a client whose nonces are never accepted says so', async () => {
  const { url } = await opened.server({ times: { nonceMs: 0 } });
  const error = await failureOf(opened.client(url).collect(async () => true, never()));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { status: 401 } });
  expect(error.message).toContain('nonce');
});

it('a message file of somebody else is refused, and what is none, and one whose signature does not hold', async () => {
  const { url, transport, folder } = await opened.server();
  const damaged = Buffer.from(fileOf('oslo').bytes);
  damaged[100]! ^= 1;
  const statuses: number[] = [];
  for (const bytes of [fileOf('bergen').bytes, Buffer.from('GIF89a'), damaged]) {
    statuses.push((await signedFetch(url, put(bytes))).status);
  }
  expect(statuses).toEqual([403, 400, 400]);
  expect(opened.refused.map(([, why]) => why)).toEqual(['wrong-sender', 'not-a-message', 'bad-signature']);
  expect([transport.waiting, await readdir(folder)]).toEqual([0, []]);
});

it('the first slice shows already that a file is not his, and is not stored', async () => {
  const { url, folder } = await opened.server();
  const { bytes } = fileOf('bergen', 400 * KIB);
  const request = { ...put(bytes.subarray(0, 20_000)), contentRange: `bytes 0-19999/${bytes.length}` };
  expect((await signedFetch(url, request)).status).toBe(403);
  const tooShort = { ...put(bytes.subarray(0, 100)), contentRange: `bytes 0-99/${bytes.length}` };
  expect((await signedFetch(url, tooShort)).status).toBe(400);
  expect(await readdir(folder)).toEqual([]);
});

it('a large file whose signature does not hold is not kept', async () => {
  const { url, folder } = await opened.server();
  const file = fileOf('oslo', 400 * KIB);
  file.bytes[300 * KIB]! ^= 1;
  const error = await failureOf(opened.client(url).deliver(file, never()));
  expect(error).toMatchObject({ code: 'transport-failed', context: { status: 400 } });
  expect(await readdir(`${folder}/uploads/oslo`)).toEqual([]);
});

it.each(['..%2f..%2fescaped', 'A'.repeat(32), 'a'.repeat(31), '.', 'con', 'a'.repeat(200)])(
  'an id from outside never becomes a path: %s',
  async (id) => {
    const { url, folder, transport } = await opened.server();
    for (const path of [`/v1/messages/${id}`, `/v1/enrolments/${id}`]) {
      const answer = await signedFetch(url, { ...put(fileOf('oslo').bytes), path });
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
    expect((await signedFetch(url, { method: 'GET', path: `/v1/messages/${id}` })).status).toBeGreaterThanOrEqual(400);
    expect([transport.waiting, await readdir(folder)]).toEqual([0, []]);
  },
);

it.each(['..', '../hq', 'a/b', '', 'HQ', 'con', 'x'.repeat(64)])(
  'a name from outside never becomes a path: %j',
  async (name) => {
    const { url, folder, transport } = await opened.server({ checker: { check: () => true } });
    expect((await signedFetch(url, { ...collect, as: name })).status).toBe(403);
    const file = { ...fileOf('hq'), to: name };
    expect(isDirpostError(await failureOf(transport.deliver(file, never())), 'wrong-use')).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  },
);

it('an id of a message file that is to be delivered never becomes a path', async () => {
  const { url, transport } = await opened.server();
  const wrong = { ...fileOf('hq'), to: 'oslo', id: '../../escaped' };
  for (const sender of [transport, opened.client(url)]) {
    expect(await failureOf(sender.deliver(wrong, never()))).toMatchObject({ code: 'wrong-use' });
  }
});

it.each([
  ['more octets than the whole has', 'bytes 0-299/200'],
  ['more octets than the range', 'bytes 0-99/100'],
  ['fewer octets than the range', 'bytes 0-999/1000'],
  ['a range that ends before it begins', 'bytes 9-3/300'],
  ['no range', 'all of it'],
])('a body with %s is refused', async (_what, contentRange) => {
  const { url, transport, folder } = await opened.server();
  expect((await signedFetch(url, { ...put(fileOf('oslo').bytes), contentRange })).status).toBe(400);
  expect([transport.waiting, await readdir(folder)]).toEqual([0, []]);
});

it.each([
  ['a body over the limit', 512 * KIB, 'bytes 0-524287/524288'],
  ['a file over the limit', 20_000, 'bytes 0-19999/99999999'],
])('%s is refused before it is read', async (_what, length, contentRange) => {
  const { url, port } = await opened.server();
  const request = { method: 'PUT', path: put(Buffer.alloc(1)).path, body: Buffer.alloc(length), contentRange };
  const head = headOf(request, { ...(await signedHeaders(url, request)), 'Content-Length': length });
  expect(await untilEnded(port, head)).toMatch(/^HTTP\/1\.1 413 /);
  expect(opened.refused).toEqual([['oslo', 'too-large']]);
});

it('a client is told that its file is too large for the server', async () => {
  const { url } = await opened.server({ maxMessageBytes: 1_000 });
  const error = await failureOf(opened.client(url).deliver(fileOf('oslo', 2_000), never()));
  expect(error).toMatchObject({ code: 'message-too-large', retry: 'operator' });
});

it('a body without a length is refused before it is read', async () => {
  const { port } = await opened.server();
  const head = headOf(put(Buffer.alloc(1)), { 'Transfer-Encoding': 'chunked' });
  expect(await untilEnded(port, head)).toMatch(/^HTTP\/1\.1 411 /);
});

it('one who sends more than he said is cut off', async () => {
  const { url, port, transport } = await opened.server();
  const headers = await signedHeaders(url, collect);
  const head = headOf(collect, { ...headers, 'Content-Length': collect.body.length });
  const said = await untilEnded(port, Buffer.concat([Buffer.from(head), collect.body, Buffer.alloc(100 * KIB, 'x')]));
  expect(said).toMatch(/^HTTP\/1\.1 (?:200|400) /);
  expect(transport.waiting).toBe(0);
});

it('one who never ends the head of his request is cut off', async () => {
  const { port } = await opened.server({ times: { headersMs: 30, requestMs: 60, checkMs: 10 } });
  expect(await untilEnded(port, 'GET /healthz HTTP/1.1\r\nX-Slow: ')).toMatch(/^(?:HTTP\/1\.1 408 |$)/);
});

it.each([
  ['his body does not end in time', { headersMs: 30, requestMs: 60, checkMs: 10 }],
  ['he falls silent in the middle of it', { idleMs: 60 }],
])('one is cut off when %s', async (_when, times) => {
  const { url, port, transport } = await opened.server({ times });
  const request = put(fileOf('oslo').bytes);
  const head = headOf(request, { ...(await signedHeaders(url, request)), 'Content-Length': request.body.length });
  const said = await untilEnded(port, Buffer.concat([Buffer.from(head), request.body.subarray(0, 100)]));
  expect(said).toMatch(/^(?:HTTP\/1\.1 4\d\d |$)/);
  expect(transport.waiting).toBe(0);
});

it('one sender may have only so many files in hand at the server', async () => {
  const { url, transport } = await opened.server();
  const client = opened.client(url);
  const postings = Array.from({ length: 4 }, () => client.deliver(fileOf('oslo'), never()));
  await until(() => transport.waiting === 4);
  const fifth = await signedFetch(url, put(fileOf('oslo').bytes));
  expect([fifth.status, fifth.headers.get('retry-after')]).toEqual([429, '1']);
  const other = signedFetch(url, { ...put(fileOf('bergen').bytes), as: 'bergen' });
  await until(() => transport.waiting === 5);
  await transport.collect(async () => true, never());
  expect((await other).status).toBe(204);
  await Promise.all(postings);
});

it('what all have posted is bounded together', async () => {
  const { url, transport } = await opened.server({ load: { maxBytes: 1_000 } });
  const posting = opened.client(url).deliver(fileOf('oslo', 800), never());
  await until(() => transport.waiting === 1);
  const other = await signedFetch(url, { ...put(fileOf('bergen', 800).bytes), as: 'bergen' });
  expect([other.status, other.headers.get('retry-after')]).toEqual([503, '5']);
  await transport.collect(async () => true, never());
  await posting;
});

it.each([
  '',
  '[]',
  '{"wait":46}',
  '{"wait":-1}',
  '{"done":["../x"]}',
  `{"done":${JSON.stringify(Array(1001).fill('a'.repeat(32)))}}`,
])('a request to collect that makes no sense is refused: %.20s', async (text) => {
  const { url } = await opened.server();
  expect((await signedFetch(url, { ...collect, body: Buffer.from(text) })).status).toBe(400);
});

it('an enrolment of one who is not known yet is taken, and he cannot collect before he is', async () => {
  const { url, transport } = await opened.server();
  const stop = spooling(transport, async () => true);
  opened.add(stop);
  const stranger = opened.client(url, { signer: signerOf('malmo'), enrolling: true });
  await stranger.deliver(fileOf('malmo'), never());
  expect(await failureOf(stranger.collect(async () => true, never()))).toMatchObject({
    code: 'transport-failed',
    retry: 'later',
    context: { status: 403 },
  });
});

it('an enrolment without an open invitation is refused, and one that is too large', async () => {
  const closed = { ...admission, admit: () => null };
  const { url, folder } = await opened.server({ admission: closed });
  const client = opened.client(url, { signer: signerOf('malmo'), enrolling: true });
  expect(await failureOf(client.deliver(fileOf('malmo'), never()))).toMatchObject({
    hint: expect.stringMatching(/used already, replaced by a newer one, or over;.* Ask .* for another/),
    context: { status: 403 },
  });
  const large = { method: 'PUT', body: fileOf('malmo', 65 * KIB).bytes };
  expect((await fetch(`${url}/v1/enrolments/${'a'.repeat(32)}`, large)).status).toBe(413);
  expect(await failureOf(client.deliver(fileOf('malmo', 65 * KIB), never()))).toMatchObject({
    code: 'message-too-large',
  });
  expect(await readdir(folder)).toEqual([]);
});

it('an enrolment that was altered is refused, and not stored', async () => {
  const { url, transport } = await opened.server();
  const file = fileOf('malmo');
  file.bytes[100]! ^= 1;
  const client = opened.client(url, { signer: signerOf('malmo'), enrolling: true });
  expect(await failureOf(client.deliver(file, never()))).toMatchObject({ context: { status: 403 } });
  expect([opened.refused, transport.waiting]).toEqual([[['malmo', 'bad-signature']], 0]);
});

it('all strangers together may enrol only so often in a minute', async () => {
  const { url } = await opened.server({ admission: { ...admission, admit: () => null } });
  const statuses = new Map<number, number>();
  // A minute may turn in the middle: then there are two times twenty.
  for (let i = 0; i < 41; i++) {
    const { status } = await fetch(`${url}/v1/enrolments/${'a'.repeat(32)}`, { method: 'PUT', body: 'guess' });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  expect(statuses.get(403)).toBeLessThanOrEqual(40);
  expect(statuses.get(429)).toBeGreaterThan(0);
});

it.each(['0.0.0.0', '::', 'hq.example.org', '192.0.2.1', 'localhost.example.org'])(
  'beyond this machine it does not listen without TLS: %s',
  (host) => {
    const options = { postoffice: 'hq', folder: '/nowhere', checker: checkerOf(new Set()), admission };
    const open = (tlsAtProxy: boolean) =>
      new HttpServerTransport({ ...options, listen: { host, port: 0 }, tlsAtProxy });
    expect(() => open(false)).toThrow(expect.objectContaining({ code: 'config-invalid', retry: 'operator' }));
    expect(() => open(true)).not.toThrow();
  },
);

it('a port that is taken is told as such', async () => {
  const { port } = await opened.server();
  const error = await failureOf(opened.server({ listen: { host: '127.0.0.1', port } }));
  expect(error).toMatchObject({ code: 'config-invalid', retry: 'operator' });
  expect(error.message).toContain(`127.0.0.1:${port}`);
});

it('nothing waits any more for a postoffice that was removed', async () => {
  const { transport, folder } = await opened.server();
  for (const to of ['oslo', 'bergen']) {
    await transport.deliver({ id: 'a'.repeat(32), from: 'hq', to, bytes: Buffer.from(to) }, never());
  }
  // What it had begun to post.
  await mkdir(join(folder, 'uploads', 'oslo'), { recursive: true });
  await writeFile(join(folder, 'uploads', 'oslo', `${'b'.repeat(32)}-100000.part`), 'slice');
  await transport.forget('oslo');
  await transport.forget('oslo');
  expect(await readdir(join(folder, 'uploads'))).toEqual([]);
  expect(await readdir(join(folder, 'mailboxes'))).toEqual(['bergen']);
  expect(await readdir(join(folder, 'mailboxes', 'bergen'))).toHaveLength(1);
});
