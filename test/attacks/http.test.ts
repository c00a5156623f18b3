/**
 * What is tried at the HTTP server, beyond what test/contract/http-refusals.test.ts has: strangers, forgers, repeated requests,
 * slow and endless requests, floods. Here: a requestor that is known reaches for what is another's, and many slow ones.
 */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fileOf, never, Opened, signedFetch, spooling, until } from '../contract/http-line.ts';

let opened: Opened;
beforeEach(() => {
  opened = new Opened();
});
afterEach(() => opened.close());

const collect = (body: object) => ({ method: 'POST', path: '/v1/collect', body: Buffer.from(JSON.stringify(body)) });
const waitingFor = async (url: string, as: string): Promise<string[]> => {
  const answer = await signedFetch(url, { ...collect({ wait: 0 }), as });
  return ((await answer.json()) as { files: { id: string }[] }).files.map(({ id }) => id);
};

it("another's mailbox is neither listed, read nor emptied", async () => {
  const { url, transport } = await opened.server();
  const file = { ...fileOf('hq'), to: 'bergen' };
  await transport.deliver(file, never());
  expect(await waitingFor(url, 'oslo')).toEqual([]);
  const path = `/v1/messages/${file.id}`;
  expect((await signedFetch(url, { method: 'GET', path, as: 'oslo' })).status).toBe(404);
  expect((await signedFetch(url, { ...collect({ wait: 0, done: [file.id] }), as: 'oslo' })).status).toBe(200);
  expect(await waitingFor(url, 'bergen')).toEqual([file.id]);
  const own = await signedFetch(url, { method: 'GET', path, as: 'bergen' });
  expect(Buffer.from(await own.arrayBuffer()).equals(file.bytes)).toBe(true);
});

it.each([
  ['collect', collect({ wait: 0 })],
  [
    'post',
    {
      method: 'PUT',
      path: `/v1/messages/${'a'.repeat(32)}`,
      body: fileOf('bergen').bytes,
      contentRange: 'bytes 0-299/300',
    },
  ],
])('to %s in the name of another, with the own key, is refused', async (_what, request) => {
  const { url, transport } = await opened.server();
  expect((await signedFetch(url, { ...request, as: 'bergen', keyOf: 'oslo' })).status).toBe(403);
  expect(opened.refused).toEqual([['bergen', 'unknown-sender']]);
  expect(transport.waiting).toBe(0);
});

it("another's upload is not seen, gone on with, or replaced", async () => {
  const { url, transport } = await opened.server();
  const { id, bytes } = fileOf('bergen', 20_000);
  const slice = (start: number, end: number) => ({
    method: 'PUT',
    path: `/v1/messages/${id}`,
    body: bytes.subarray(start, end),
    contentRange: `bytes ${start}-${end - 1}/${bytes.length}`,
  });
  expect((await signedFetch(url, { ...slice(0, 8_000), as: 'bergen' })).status).toBe(202);
  const seen = await signedFetch(url, { method: 'HEAD', path: `/v1/messages/${id}`, as: 'oslo' });
  expect(seen.headers.get('upload-offset')).toBe('0');
  expect((await signedFetch(url, { ...slice(8_000, 20_000), as: 'oslo' })).status).not.toBe(204);
  const stop = spooling(transport, async () => true);
  expect((await signedFetch(url, { ...slice(8_000, 20_000), as: 'bergen' })).status).toBe(204);
  await stop();
});

it('many who never end their requests do not keep another from being served, and are cut off', async () => {
  const { url, port } = await opened.server({ times: { headersMs: 2_000, requestMs: 2_000, checkMs: 50 } });
  const sockets = await Promise.all(Array.from({ length: 300 }, () => slowOne(port)));
  expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([]);
  const startedMs = performance.now();
  expect(await opened.client(url).collect(async () => true, never())).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  await until(() => sockets.every(({ destroyed }) => destroyed));
});

/** Says the beginning of a head, and nothing more. */
function slowOne(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.write('POST /v1/collect HTTP/1.1\r\nX-Slow: ', () => resolve(socket));
  });
}
