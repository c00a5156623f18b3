/** What listens: the HTTP server, the HTTP client on what a server answers, the local socket. Real ones, on loopback. */
import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClientTransport, HttpServerTransport } from '@dirpost/adapters';
import { isDirpostError } from '@dirpost/core';
import {
  LineReader,
  MAX_ANSWER_LINE_BYTES,
  parseAbout,
  parseAnswer,
} from '../../../packages/agent/src/local-protocol.ts';
import { listenLocally, type LocalSocket } from '../../../packages/agent/src/local-socket.ts';
import { bodyHashOf, requestOctets } from '../../../packages/adapters/src/transports/http/wire.ts';
import { admission, checkerOf, fileOf, signerOf } from '../../contract/http-line.ts';
import { octets, type Target, text } from '../target.ts';

const ID = 'ab'.repeat(16);
/** An answer that never ends would be one that nobody waits for. */
const MAX_ANSWER_MS = 10_000;
const requests = octets(
  `PUT /v1/messages/${ID} HTTP/1.1\r\nHost: x\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\nhello`,
  'POST /v1/collect HTTP/1.1\r\nHost: x\r\nDirpost-Postoffice: oslo\r\nContent-Length: 2\r\n\r\n{}',
  'GET /v1/nonce HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n',
  `PUT /v1/enrolments/${ID} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nDIRPOST1`,
  `HEAD /v1/messages/..%2f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
);
const words = [
  '\r\n',
  '\r\n\r\n',
  ' HTTP/1.1\r\n',
  'Content-Length: ',
  'Transfer-Encoding: chunked\r\n',
  'Expect: 100-continue\r\n',
  'Connection: Upgrade\r\n',
  'Dirpost-Nonce: ',
  'Dirpost-Signature: ',
  'Dirpost-Body-SHA256: ',
  '%00',
  '../',
  '/v1/',
  '?',
];

class Served {
  folder = '';
  transport: HttpServerTransport | undefined;
  port = 0;
  problems: unknown[] = [];

  async open(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'dirpost-fuzz-'));
    const transport = new HttpServerTransport({
      postoffice: 'hq',
      listen: { host: '127.0.0.1', port: 0 },
      folder: join(this.folder, 'http'),
      checker: checkerOf(new Set(['oslo'])),
      admission,
      onProblem: (problem) => this.problems.push(problem),
      times: { collectMs: 1, idleMs: 5_000, headersMs: 1_000, requestMs: 1_000, checkMs: 100 },
      load: { enrolmentsPerMinute: 1e9, enrolmentsPerMinuteAndAddress: 1e9 },
    });
    this.transport = transport;
    this.port = (await transport.listen()).port;
  }

  async close(): Promise<void> {
    await this.transport?.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Says it, closes its half, and hears what is answered. */
  say(bytes: Uint8Array): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1');
      const chunks: Buffer[] = [];
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Error(`no end of the answer in ${MAX_ANSWER_MS} ms`));
      }, MAX_ANSWER_MS);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(Buffer.concat(chunks).toString('latin1'));
      });
      socket.end(bytes);
    });
  }

  /** Nothing in it is an error of the server. */
  check(answer: string): void {
    for (const [, status] of answer.matchAll(/(?:^|\n)HTTP\/1\.1 (\d{3}) /g)) {
      assert.equal(
        Number(status) < 500 || status === '503' || status === '505' || status === '501',
        true,
        `it answered ${status}`,
      );
    }
    assert.deepEqual(this.problems.splice(0), []);
  }
}

const rawServed = new Served();
const http: Target = {
  name: 'http',
  about: 'any octets at the port of the HTTP server: heads, bodies, many requests in a row',
  seeds: () => requests,
  words,
  open: () => rawServed.open(),
  close: () => rawServed.close(),
  async run(input) {
    rawServed.check(await rawServed.say(input));
  },
};

const signedServed = new Served();
const signedBodies = octets(
  `PUT /v1/messages/${ID}\nbytes 0-299/300\n`,
  `PUT /v1/messages/${ID}\nbytes */300\n`,
  'POST /v1/collect\n\n{"wait":0,"done":["' + ID + '"],"leave":[]}',
  `HEAD /v1/messages/${ID}\n\n`,
  `GET /v1/messages/${ID}\n\n`,
);
const httpSigned: Target = {
  name: 'http-signed',
  about:
    'requests of a postoffice that is known, with any path, range and body: METHOD PATH, a line with the range, the body',
  seeds: () => [...signedBodies, Buffer.concat([signedBodies[0]!, fileOf('oslo').bytes])],
  words: [
    'PUT ',
    'POST ',
    'GET ',
    'HEAD ',
    '/v1/messages/',
    '/v1/collect',
    'bytes 0-',
    '/0',
    '*/',
    '"done":[',
    '"wait":',
    '../',
    '%2e%2e%2f',
    ID,
  ],
  open: () => signedServed.open(),
  close: () => signedServed.close(),
  async run(input) {
    const [first = '', contentRange = ''] = text(input).split('\n', 2);
    const body = Buffer.from(input.subarray(Buffer.byteLength(`${first}\n${contentRange}\n`)));
    const [method = '', path = ''] = first.split(' ', 2);
    // What is no head is for the target `http`.
    if (!/^[A-Z]{1,10}$/.test(method) || !/^[!-~]{1,2000}$/.test(path) || !/^[ -~]*$/.test(contentRange)) return;
    const { nonce } = (await (await fetch(`http://127.0.0.1:${signedServed.port}/v1/nonce`)).json()) as {
      nonce: string;
    };
    const bodyHash = bodyHashOf(body);
    const signed = requestOctets({ server: 'hq', method, path, contentRange: contentRange.trim(), nonce, bodyHash });
    const head = [
      `${method} ${path} HTTP/1.1`,
      'Host: x',
      'Connection: close',
      'Dirpost-Postoffice: oslo',
      `Dirpost-Nonce: ${nonce}`,
      `Dirpost-Body-SHA256: ${bodyHash.toString('base64')}`,
      `Dirpost-Signature: ${Buffer.from(signerOf('oslo').sign(signed)).toString('base64')}`,
      ...(contentRange === '' ? [] : [`Content-Range: ${contentRange}`]),
      `Content-Length: ${body.length}`,
    ];
    signedServed.check(await signedServed.say(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])));
  },
};

let answering: Server | undefined;
let answer: Uint8Array = Buffer.alloc(0);
const httpAnswers: Target = {
  name: 'http-answers',
  about:
    'what stands in the place of the server answers anything: collecting and delivering end with a result or an error',
  seeds: () =>
    octets(
      'HTTP/1.1 200 OK\r\nDirpost-Protocol: 1\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"nonce":"a"}',
      `HTTP/1.1 200 OK\r\nDirpost-Protocol: 1\r\nDirpost-Next-Nonce: b\r\nConnection: close\r\n\r\n{"files":[{"id":"${ID}","bytes":3}]}`,
      'HTTP/1.1 401 No\r\nDirpost-Protocol: 1\r\nDirpost-Next-Nonce: b\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 503 Busy\r\nDirpost-Protocol: 1\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 206 Part\r\nDirpost-Protocol: 1\r\nContent-Range: bytes 1-2/3\r\nContent-Length: 2\r\n\r\nab',
      'HTTP/1.1 302 Gone\r\nLocation: http://127.0.0.1:1/\r\n\r\n<html>',
    ),
  words: [
    'Dirpost-Protocol: 1\r\n',
    'Content-Length: ',
    'Transfer-Encoding: chunked\r\n',
    '\r\n',
    '"files":[',
    '"nonce":"',
    '"bytes":',
    'Content-Encoding: gzip\r\n',
  ],
  async open() {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => void socket.end(answer));
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    answering = server;
  },
  async close() {
    await new Promise((resolve) => answering?.close(resolve));
  },
  async run(input) {
    answer = Buffer.from(input);
    const { port } = answering!.address() as AddressInfo;
    const times = { connectMs: 1_000, idleMs: 1_000, answerMs: 1_000, retryMs: 1, backoffMs: 1, maxBackoffMs: 1 };
    const client = new HttpClientTransport({
      url: `http://127.0.0.1:${port}`,
      signer: signerOf('oslo'),
      server: 'hq',
      times,
    });
    try {
      const signal = AbortSignal.timeout(MAX_ANSWER_MS);
      const ended = await Promise.allSettled([
        client.collect(async () => true, signal),
        client.deliver(fileOf('oslo'), signal),
      ]);
      for (const one of ended) if (one.status === 'rejected' && !isDirpostError(one.reason)) throw one.reason;
    } finally {
      await client.close();
    }
  },
};

let localFolder = '';
let local: LocalSocket | undefined;
const localSocket: Target = {
  name: 'local-socket',
  about: 'any octets at the local socket of an agent, and any answer of one',
  seeds: () =>
    octets(
      '{"v":1,"argv":["sync","--wait","5"],"cwd":"/srv/oslo","columns":120,"tty":{"out":true,"err":true}}\n',
      '{"v":1,"about":true}\n',
      '{"v":2}\n',
      '{"out":"x"}\n{"exit":0}\n',
    ),
  words: ['"argv":[', '"v":1', '"__proto__":', '\n', '"cwd":', '"columns":', '"source":""', '[', '{'],
  async open() {
    localFolder = await mkdtemp(join(tmpdir(), 'dirpost-fuzz-'));
    const handler = async (request: { argv: string[] }) => {
      assert.equal(
        request.argv.every((word) => typeof word === 'string'),
        true,
      );
      return 0;
    };
    local = await listenLocally(localFolder, handler, { configuration: '00', pid: 1 });
  },
  async close() {
    await local?.close();
    await rm(localFolder, { recursive: true, force: true });
  },
  async run(input) {
    const answered = await new Promise<string>((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connect(local!.path);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
      socket.end(input);
    });
    for (const line of answered.split('\n').filter((line) => line !== '')) {
      assert.notEqual(parseAnswer(line) ?? parseAbout(line), undefined);
    }
    const reader = new LineReader(MAX_ANSWER_LINE_BYTES);
    for (const line of reader.take(Buffer.from(input))) {
      parseAnswer(line);
      parseAbout(line);
    }
  },
};

export const lineTargets = [http, httpSigned, httpAnswers, localSocket];
