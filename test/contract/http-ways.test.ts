/** What stands between a requestor and the server: TLS, proxies, captive portals, and whatever else answers in its place. */
import { copyFile, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { HttpClientTransport } from '@dirpost/adapters';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasOpenssl, makeAuthority } from './http-certificates.ts';
import { failureOf, fileOf, never, Opened, signerOf, spooling, until } from './http-line.ts';

let opened: Opened;
beforeEach(() => {
  opened = new Opened();
});
afterEach(() => opened.close());

const collectFrom = (client: HttpClientTransport) => client.collect(async () => true, never());

/** Answers in the place of a server. */
async function webServer(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  opened.add(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Proxy {
  url: string;
  /** Where it was asked to lead to. */
  asked: string[];
}

/** CONNECT only. `login`: USER:PASSWORD that it wants. */
async function proxyServer(login: string, refusal?: number): Promise<Proxy> {
  const asked: string[] = [];
  const server = createServer();
  server.on('connect', (request, near) => {
    asked.push(request.url!);
    near.on('error', () => {});
    const wanted = `Basic ${Buffer.from(login).toString('base64')}`;
    const status = refusal ?? (request.headers['proxy-authorization'] === wanted ? 200 : 407);
    if (status !== 200)
      return near.end(`HTTP/1.1 ${status} No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n`);
    const { hostname, port } = new URL(`http://${request.url}`);
    const far = connect(Number(port), hostname, () => {
      near.write('HTTP/1.1 200 Connection established\r\n\r\n');
      far.pipe(near).pipe(far);
    });
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  opened.add(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function loginFile(text: string): Promise<string> {
  const path = join(await opened.folder(), 'proxy-login');
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

describe.skipIf(!hasOpenssl())('TLS', () => {
  it('a private authority is trusted where it is named, for both directions', async () => {
    const authority = await makeAuthority(await opened.folder(), 'ours');
    const { transport, url } = await opened.server({ tls: await authority.issue('hq', 'IP:127.0.0.1') });
    expect(url).toMatch(/^https:/);
    const client = opened.client(url, { ca: authority.ca });
    opened.add(spooling(transport, async () => true));
    await client.deliver(fileOf('oslo'), never());
    await transport.deliver(fileOf('hq', 300, 'oslo'), never());
    expect(await collectFrom(client)).toBe(1);
  });

  it('an authority that is not known is told as such', async () => {
    const folder = await opened.folder();
    const [ours, theirs] = [await makeAuthority(folder, 'ours'), await makeAuthority(folder, 'theirs')];
    const { url } = await opened.server({ tls: await theirs.issue('hq', 'IP:127.0.0.1') });
    for (const ca of [{}, { ca: ours.ca }]) {
      const error = await failureOf(collectFrom(opened.client(url, ca)));
      expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
      expect(error.message).toContain('authority that is not known');
      expect(error.hint).toContain('transports.http.ca');
    }
  });

  it('a certificate for another name is told as such', async () => {
    const authority = await makeAuthority(await opened.folder(), 'ours');
    const { url } = await opened.server({ tls: await authority.issue('hq', 'DNS:hq.example.org') });
    const error = await failureOf(collectFrom(opened.client(url, { ca: authority.ca })));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain('for another name');
  });

  it('a renewed certificate is used without a restart, and a broken one is not', async () => {
    const folder = await opened.folder();
    const [before, after] = [await makeAuthority(folder, 'before'), await makeAuthority(folder, 'after')];
    const tls = await before.issue('hq', 'IP:127.0.0.1');
    const { url } = await opened.server({ tls, times: { certificateMs: 10 } });
    await writeFile(tls.certificate, 'broken');
    await until(() => opened.problems.some(({ code }) => code === 'config-invalid'));
    expect(await collectFrom(opened.client(url, { ca: before.ca }))).toBe(0);
    const renewed = await after.issue('renewed', 'IP:127.0.0.1');
    await copyFile(renewed.key, tls.key);
    await copyFile(renewed.certificate, tls.certificate);
    await until(() =>
      collectFrom(opened.client(url, { ca: after.ca })).then(
        () => true,
        () => false,
      ),
    );
  });

  it('TLS goes through a proxy that wants a login, end to end', async () => {
    const authority = await makeAuthority(await opened.folder(), 'ours');
    const { url, port } = await opened.server({ tls: await authority.issue('hq', 'IP:127.0.0.1') });
    const proxy = await proxyServer('oslo:secret');
    const options = { ca: authority.ca, proxy: proxy.url, proxyLogin: await loginFile('oslo:secret\n') };
    expect(await collectFrom(opened.client(url, options))).toBe(0);
    expect(new Set(proxy.asked)).toEqual(new Set([`127.0.0.1:${port}`]));
    const other = await makeAuthority(await opened.folder(), 'other');
    const error = await failureOf(collectFrom(opened.client(url, { ...options, ca: other.ca })));
    expect(error).toMatchObject({ retry: 'operator' });
    expect(error.message).toContain('authority that is not known');
  });
});

it('a certificate that cannot be read stops the server before it listens', async () => {
  const folder = await opened.folder();
  const missing = { certificate: join(folder, 'none.pem'), key: join(folder, 'none.key') };
  expect(await failureOf(opened.server({ tls: missing }))).toMatchObject({ code: 'config-invalid', retry: 'operator' });
  for (const path of Object.values(missing)) await writeFile(path, 'no PEM');
  expect(await failureOf(opened.server({ tls: missing }))).toMatchObject({ code: 'config-invalid', retry: 'operator' });
});

it('a file of the authority that is not there is told as such', async () => {
  const ca = join(await opened.folder(), 'none.pem');
  const error = await failureOf(collectFrom(opened.client('https://127.0.0.1:1', { ca })));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
  expect(error.message).toContain(ca);
});

it('a port that does not speak TLS is told as such', async () => {
  const { port } = await opened.server();
  const error = await failureOf(collectFrom(opened.client(`https://127.0.0.1:${port}`)));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
  expect(error.message).toContain('does not speak TLS');
});

it.each([
  'http://hq.example.org:8943',
  'http://192.0.2.1',
  'ftp://127.0.0.1',
  'hq',
  'https://u:p@127.0.0.1',
  'https://h/?q',
])('an address that would not be safe is refused at once: %s', (url) => {
  const open = () => new HttpClientTransport({ url, signer: signerOf('oslo'), server: 'hq' });
  expect(open).toThrow(expect.objectContaining({ code: 'config-invalid', retry: 'operator' }));
});

it('a server behind a path of a proxy in front of it is reached', async () => {
  const { port } = await opened.server();
  const front = await webServer((request, response) => {
    const path = request.url!.replace(/^\/dirpost/, '');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = request.headers as Record<string, string>;
      const body = chunks.length > 0 ? Buffer.concat(chunks) : null;
      const { connection: _connection, 'content-length': _length, ...kept } = headers;
      void fetch(`http://127.0.0.1:${port}${path}`, { method: request.method!, headers: kept, body }).then(
        async (answer) => {
          const text = await answer.text();
          response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(text);
        },
      );
    });
  });
  expect(await collectFrom(opened.client(`${front}/dirpost/`))).toBe(0);
});

it('a wrong password for the proxy is told as such, and a right one is read without a restart', async () => {
  const { url } = await opened.server();
  const proxy = await proxyServer('oslo:secret');
  const proxyLogin = await loginFile('oslo:wrong');
  const client = opened.client(url, { proxy: proxy.url, proxyLogin });
  const error = await failureOf(collectFrom(client));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator', context: { status: 407 } });
  expect(error.message).toBe(`The proxy ${proxy.url} does not accept the login in ${proxyLogin}.`);
  expect(JSON.stringify([error.message, error.hint, error.context])).not.toContain('wrong');
  await writeFile(proxyLogin, 'oslo:secret');
  expect(await collectFrom(client)).toBe(0);
});

it('a proxy that wants a login, without one, is told as such', async () => {
  const { url } = await opened.server();
  const proxy = await proxyServer('oslo:secret');
  const error = await failureOf(collectFrom(opened.client(url, { proxy: proxy.url })));
  expect(error.message).toBe(`The proxy ${proxy.url} wants a login.`);
});

it('a login that is none is told without repeating it', async () => {
  const { url } = await opened.server();
  const proxyLogin = await loginFile('secret-without-a-colon');
  const error = await failureOf(collectFrom(opened.client(url, { proxy: 'http://127.0.0.1:1', proxyLogin })));
  expect(error).toMatchObject({ code: 'config-invalid', retry: 'operator' });
  expect(JSON.stringify([error.message, error.hint, error.context])).not.toContain('secret');
});

it('a proxy that does not lead to the server is told as such', async () => {
  const { url } = await opened.server();
  const proxy = await proxyServer('', 403);
  const error = await failureOf(collectFrom(opened.client(url, { proxy: proxy.url })));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
  expect(error.message).toContain(`does not lead to ${url}: it answered 403`);
});

it('a login in the address of the proxy is refused, and not repeated', () => {
  const options = { url: 'https://h', signer: signerOf('oslo'), server: 'hq', proxy: 'http://u:secret@p' };
  expect(() => new HttpClientTransport(options)).toThrow(expect.objectContaining({ code: 'config-invalid' }));
  expect(() => new HttpClientTransport(options)).not.toThrow(/secret/);
});

it.each([
  ['a web page', 200, 'text/html; charset=utf-8', 'answered with a web page: a proxy or a captive portal?'],
  ['something else', 200, 'application/json', 'answered 200, and not as a dirpost server'],
  ['a redirect', 302, 'text/html', 'answered with a redirect (302): a proxy or a captive portal?'],
  ['a wish for a login', 407, 'text/html', 'wants a login (407)'],
  ['that nothing is behind it', 502, 'text/html', 'it does not reach dirpost'],
])('%s in the place of the server is told in words', async (_what, status, type, words) => {
  let requests = 0;
  const url = await webServer((_request, response) => {
    requests++;
    response.writeHead(status, { 'content-type': type, location: '/elsewhere' }).end('{"nonce":"AAAA","files":[]}');
  });
  const client = opened.client(url);
  for (const attempt of [() => collectFrom(client), () => client.deliver(fileOf('oslo'), never())]) {
    const error = await failureOf(attempt());
    expect(error).toMatchObject({ code: 'transport-failed', retry: status === 407 ? 'operator' : 'later' });
    expect(error.message).toContain(words);
    expect(error.hint).toBeTruthy();
  }
  expect(requests).toBe(2);
});

it('nothing that listens is told as such', async () => {
  const error = await failureOf(collectFrom(opened.client('http://127.0.0.1:1')));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { reason: 'ECONNREFUSED' } });
  expect(error.message).toBe('http://127.0.0.1:1 could not be reached: nothing listens there.');
});

it.each([
  ['never answers', ''],
  ['stops in the middle of an answer', 'HTTP/1.1 200 OK\r\nDirpost-Protocol: 1\r\nContent-Length: 100\r\n\r\n{"non'],
])('a server that %s is given up', async (_what, answer) => {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.write(answer);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  opened.add(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const times = { connectMs: 20, idleMs: 20, answerMs: 40 };
  const client = opened.client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { times });
  const error = await failureOf(collectFrom(client));
  expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
});

it.each([
  ['never ends', (length: number) => 'x'.repeat(length)],
  ['names files that are none', () => '{"files":[{"id":"../../x","bytes":1}]}'],
  ['names negative lengths', () => `{"files":[{"id":"${'a'.repeat(32)}","bytes":-1}]}`],
])('an answer that %s is not believed', async (_what, text) => {
  const url = await webServer((request, response) => {
    response.setHeader('dirpost-protocol', '1');
    request.resume();
    response.end(request.url === '/v1/nonce' ? '{"nonce":"AAAA"}' : text(100_000));
  });
  expect(await failureOf(collectFrom(opened.client(url)))).toMatchObject({ code: 'transport-failed' });
});

it('a waiting file over the limit of this side is left at the server and reported', async () => {
  const { transport, url } = await opened.server();
  await transport.deliver(fileOf('hq', 2_000, 'oslo'), never());
  await transport.deliver(fileOf('hq', 500, 'oslo'), never());
  expect(await collectFrom(opened.client(url, { maxMessageBytes: 1_000 }))).toBe(1);
  expect(opened.problems.map(({ code }) => code)).toEqual(['message-too-large']);
  expect(await collectFrom(opened.client(url))).toBe(1);
});
