/** Transport http on lines that are cut and slow, and with a server that is started again: nothing is sent twice in vain. */
import { createHash } from 'node:crypto';
import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { failureOf, fileOf, never, Opened, type OpenServer, signedFetch, spooling, until } from './http-line.ts';

const KIB = 1024;
/** Heads of requests and answers, with room to spare. */
const HEADS = 40 * KIB;

let opened: Opened;
beforeEach(() => {
  opened = new Opened();
});
afterEach(() => opened.close());

/** To compare large files is slow, and to print them useless. */
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function spooled({ transport }: OpenServer): string[] {
  const found: string[] = [];
  opened.add(spooling(transport, async (bytes) => found.push(hashOf(bytes)) > 0));
  return found;
}

async function uploadsOf({ folder }: OpenServer): Promise<string[]> {
  return await readdir(join(folder, 'uploads', 'oslo')).catch(() => []);
}

it('an upload that is cut goes on where it stood', async () => {
  const server = await opened.server();
  const found = spooled(server);
  const line = await opened.line(server.port);
  Object.assign(line, { cutUpAfter: 700 * KIB, cutsLeft: 1 });
  const file = fileOf('oslo', 2048 * KIB);
  await opened.client(line.url).deliver(file, never());
  expect(found).toEqual([hashOf(file.bytes)]);
  expect(line.cutsLeft).toBe(0);
  expect(line.up).toBeLessThan(2048 * KIB + 256 * KIB + HEADS);
  expect(await uploadsOf(server)).toEqual([]);
});

it('on a line that breaks again and again the slices become small enough to pass', async () => {
  const server = await opened.server();
  const found = spooled(server);
  const line = await opened.line(server.port);
  line.cutUpAfter = 60 * KIB;
  const file = fileOf('oslo', 300 * KIB);
  await opened.client(line.url).deliver(file, never());
  expect(found).toEqual([hashOf(file.bytes)]);
});

it('a line on which nothing passes is given up for now', async () => {
  const server = await opened.server();
  const line = await opened.line(server.port);
  line.cutUpAfter = 1;
  const error = await failureOf(opened.client(line.url).deliver(fileOf('oslo'), never()));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
  expect(error.message).toContain('the connection was cut');
});

it('a download that is cut goes on where it stood', async () => {
  const server = await opened.server();
  const line = await opened.line(server.port);
  Object.assign(line, { cutDownAfter: 500 * KIB, cutsLeft: 3 });
  const file = fileOf('hq', 2048 * KIB, 'oslo');
  await server.transport.deliver(file, never());
  const found: string[] = [];
  expect(await opened.client(line.url).collect(async (bytes) => found.push(hashOf(bytes)) > 0, never())).toBe(1);
  expect(found).toEqual([hashOf(file.bytes)]);
  expect(line.cutsLeft).toBe(0);
  expect(line.down).toBeLessThan(2048 * KIB + 3 * 128 * KIB + HEADS);
});

it('an upload goes on where it stood after the server was started again', async () => {
  const first = await opened.server();
  const line = await opened.line(first.port);
  Object.assign(line, { cutUpAfter: 700 * KIB, onCut: () => (line.target = 1) });
  const client = opened.client(line.url);
  const file = fileOf('oslo', 2048 * KIB);
  expect(await failureOf(client.deliver(file, never()))).toMatchObject({ code: 'transport-failed', retry: 'later' });
  await first.transport.close();
  expect(await uploadsOf(first)).toEqual([`${file.id}-${2048 * KIB}.part`]);

  const second = await opened.server({ folder: first.folder });
  const found = spooled(second);
  Object.assign(line, { cutUpAfter: Infinity, target: second.port, up: 0 });
  await client.deliver(file, never());
  expect(found).toEqual([hashOf(file.bytes)]);
  expect(line.up).toBeLessThan(1536 * KIB + HEADS);
});

it('a complete upload that nobody collected in time is not sent again', async () => {
  const server = await opened.server({ times: { collectMs: 20 } });
  const line = await opened.line(server.port);
  const client = opened.client(line.url);
  const file = fileOf('oslo', 512 * KIB);
  expect(await failureOf(client.deliver(file, never()))).toMatchObject({ context: { status: 503 } });
  const found = spooled(server);
  line.up = 0;
  await client.deliver(file, never());
  expect(found).toEqual([hashOf(file.bytes)]);
  expect(line.up).toBeLessThan(HEADS);
});

it('of one postoffice only the newest unfinished upload is kept', async () => {
  const server = await opened.server();
  const [older, newer] = [fileOf('oslo', 400 * KIB), fileOf('oslo', 400 * KIB)];
  for (const { id, bytes } of [older, newer]) {
    const contentRange = `bytes 0-${16 * KIB - 1}/${bytes.length}`;
    const body = bytes.subarray(0, 16 * KIB);
    const answer = await signedFetch(server.url, { method: 'PUT', path: `/v1/messages/${id}`, body, contentRange });
    expect([answer.status, answer.headers.get('upload-offset')]).toEqual([202, `${16 * KIB}`]);
  }
  expect(await uploadsOf(server)).toEqual([`${newer.id}-${400 * KIB}.part`]);
  const { mode } = await stat(join(server.folder, 'uploads', 'oslo', `${newer.id}-${400 * KIB}.part`));
  if (process.platform !== 'win32') expect(mode & 0o777).toBe(0o600);
});

it('a slice that does not begin where the upload stands is answered with where it does', async () => {
  const server = await opened.server();
  const { id, bytes } = fileOf('oslo', 400 * KIB);
  const put = async (start: number, end: number) => {
    const request = { method: 'PUT', path: `/v1/messages/${id}`, body: bytes.subarray(start, end) };
    const answer = await signedFetch(server.url, {
      ...request,
      contentRange: `bytes ${start}-${end - 1}/${bytes.length}`,
    });
    return [answer.status, answer.headers.get('upload-offset')];
  };
  expect(await put(20_000, 40_000)).toEqual([409, '0']);
  expect(await put(0, 20_000)).toEqual([202, '20000']);
  expect(await put(0, 10_000)).toEqual([409, '20000']);
  expect(await put(30_000, 40_000)).toEqual([409, '20000']);
  const head = await signedFetch(server.url, { method: 'HEAD', path: `/v1/messages/${id}` });
  expect(head.headers.get('upload-offset')).toBe('20000');
});

it('an unfinished upload with which nobody went on for a day is removed', async () => {
  const first = await opened.server();
  const { id, bytes } = fileOf('oslo', 400 * KIB);
  const request = { method: 'PUT', path: `/v1/messages/${id}`, body: bytes.subarray(0, 20_000) };
  await signedFetch(first.url, { ...request, contentRange: `bytes 0-19999/${bytes.length}` });
  await first.transport.close();
  const [name] = await uploadsOf(first);
  const yesterday = Date.now() / 1000 - 25 * 3600;
  await utimes(join(first.folder, 'uploads', 'oslo', name!), yesterday, yesterday);
  expect(await uploadsOf(await opened.server({ folder: first.folder }))).toEqual([]);
});

it('a client that stops waiting leaves nothing behind at the server', async () => {
  const { transport, url } = await opened.server();
  const stop = new AbortController();
  const posting = failureOf(opened.client(url).deliver(fileOf('oslo'), stop.signal));
  await until(() => transport.waiting === 1);
  stop.abort();
  await posting;
  await until(() => transport.waiting === 0);
});
