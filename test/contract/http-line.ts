/**
 * For the tests of transport `http`: a server and clients on loopback with real keys, message files that say whose they
 * are, and a line between the two that can be cut and counts what passes.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type HttpClientOptions,
  HttpClientTransport,
  type HttpServerOptions,
  HttpServerTransport,
} from '@dirpost/adapters';
import type { Admission, DirpostError, MessageFile, RequestChecker, RequestSigner, Transport } from '@dirpost/core';

const keys = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }>();

function keyOf(name: string): { publicKey: KeyObject; privateKey: KeyObject } {
  const found = keys.get(name) ?? generateKeyPairSync('ed25519');
  keys.set(name, found);
  return found;
}

/** `keyName`: by whose key it signs; somebody else's makes a forger. */
export function signerOf(name: string, keyName = name): RequestSigner {
  return { name, sign: (request) => sign(null, request, keyOf(keyName).privateKey) };
}

export function checkerOf(known: ReadonlySet<string>): RequestChecker {
  return {
    check: (name, request, signature) => known.has(name) && verify(null, request, keyOf(name).publicKey, signature),
  };
}

const START = /^file of ([a-z]+)\n/;

/** A message file that says whose it is, and whose last octets are a hash over the rest in place of a signature. */
export function fileOf(from: string, bytes = 300, to = 'hq'): MessageFile {
  const start = Buffer.from(`file of ${from}\n`);
  const front = Buffer.concat([start, randomBytes(bytes - start.length - 32)]);
  const whole = Buffer.concat([front, createHash('sha256').update(front).digest()]);
  return { id: randomBytes(16).toString('hex'), from, to, bytes: whole };
}

export const admission: Admission = {
  admit(start) {
    const from = START.exec(Buffer.from(start.subarray(0, 100)).toString('latin1'))?.[1];
    return from === undefined ? null : { from };
  },
  authenticate(file) {
    const hash = createHash('sha256').update(file.subarray(0, -32)).digest();
    return hash.equals(file.subarray(-32));
  },
};

/** Everything that a test opened, closed in reverse order. */
export class Opened {
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly refused: [string | null, string][] = [];
  readonly problems: DirpostError[] = [];

  add(close: () => Promise<unknown>): void {
    this.#closing.push(close);
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dirpost-http-'));
    this.add(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  /** `known`: postoffices that may make requests. */
  async server(options: Partial<HttpServerOptions> & { known?: Set<string> } = {}): Promise<OpenServer> {
    const { known = new Set(['oslo', 'bergen']), ...rest } = options;
    const folder = options.folder ?? join(await this.folder(), 'http');
    const transport = new HttpServerTransport({
      postoffice: 'hq',
      listen: { host: '127.0.0.1', port: 0 },
      checker: checkerOf(known),
      admission,
      onRefused: (who, why) => this.refused.push([who, why]),
      onProblem: (problem) => this.problems.push(problem),
      ...rest,
      folder,
    });
    this.add(() => transport.close());
    return { transport, folder, ...(await transport.listen()) };
  }

  client(url: string, options: Partial<HttpClientOptions> = {}): HttpClientTransport {
    const client = new HttpClientTransport({
      url,
      signer: signerOf('oslo'),
      server: 'hq',
      onProblem: (problem) => this.problems.push(problem),
      ...options,
      times: { retryMs: 1, backoffMs: 5, maxBackoffMs: 20, ...options.times },
    });
    this.add(() => client.close());
    return client;
  }

  async line(port: number): Promise<CutLine> {
    const line = new CutLine(port);
    await line.open();
    this.add(() => line.close());
    return line;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
  }
}

export interface OpenServer {
  transport: HttpServerTransport;
  folder: string;
  host: string;
  port: number;
  url: string;
}

/** Resolves once `isSo` is; the test's own time limit is the end of patience. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise(setImmediate);
}

/** Spools whatever is posted, as the agent does, until it is stopped. */
export function spooling(transport: Transport, spool: (bytes: Uint8Array) => Promise<boolean>): () => Promise<void> {
  const stop = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  const drain = () => {
    last = last.then(() => transport.collect(spool, stop.signal)).catch(() => {});
  };
  const watching = transport.watch!(drain, stop.signal);
  return async () => {
    stop.abort();
    await watching;
    await last;
  };
}

export async function failureOf(promise: Promise<unknown>): Promise<DirpostError> {
  return promise.then(
    (value) => Promise.reject(new Error(`it did not fail: ${JSON.stringify(value)}`)),
    (error: unknown) => error as DirpostError,
  );
}

export const never = (): AbortSignal => new AbortController().signal;

/** Forwards octets between a port of its own and the server's, counts them, and cuts connections on order. */
export class CutLine {
  up = 0;
  down = 0;
  /** Each connection is cut once so many octets have passed in it. */
  cutUpAfter = Infinity;
  cutDownAfter = Infinity;
  /** Cuts that are still to be made. */
  cutsLeft = Infinity;
  onCut: () => void = () => {};
  target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: number) {
    this.target = target;
    this.#server = createServer((near) => this.#forward(near));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => resolve());
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #forward(near: Socket): void {
    const far = connect(this.target, '127.0.0.1');
    let [up, down] = [0, 0];
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => cut());
    }
    const cut = () => {
      near.destroy();
      far.destroy();
    };
    const cutOnOrder = (): boolean => {
      if ((up < this.cutUpAfter && down < this.cutDownAfter) || this.cutsLeft <= 0) return false;
      this.cutsLeft--;
      this.onCut();
      // What was written has to go out first: a cut line has carried what came before.
      near.end(() => cut());
      far.end(() => cut());
      return true;
    };
    near.on('data', (octets: Buffer) => {
      up += octets.length;
      this.up += octets.length;
      if (!near.destroyed && !cutOnOrder()) far.write(octets);
    });
    far.on('data', (octets: Buffer) => {
      down += octets.length;
      this.down += octets.length;
      near.write(octets);
      cutOnOrder();
    });
    near.on('end', () => far.end());
    far.on('end', () => near.end());
  }
}

export interface RawRequest {
  method: string;
  path: string;
  body?: Uint8Array;
  contentRange?: string;
  nonce?: string;
  /** Of the requestor who is named, and of the one whose key signs. */
  as?: string;
  keyOf?: string;
  server?: string;
}

/** Headers of a signed request, made by docs/protocol.md and not by the code that is tested. */
export async function signedHeaders(url: string, request: RawRequest): Promise<Record<string, string>> {
  const { method, path, body = new Uint8Array(0), contentRange = '', as = 'oslo', server = 'hq' } = request;
  const nonce = request.nonce ?? (await nonceOf(url));
  const bodyHash = createHash('sha256').update(body).digest();
  const fields = ['dirpost http 1', server, method, path, contentRange, nonce].map((text) => Buffer.from(text));
  const octets = [...fields, bodyHash].flatMap((field) => [Buffer.from([0, 0, 0, field.length]), field]);
  return {
    'Dirpost-Postoffice': as,
    'Dirpost-Nonce': nonce,
    'Dirpost-Signature': sign(null, Buffer.concat(octets), keyOf(request.keyOf ?? as).privateKey).toString('base64'),
    'Dirpost-Body-SHA256': bodyHash.toString('base64'),
    ...(contentRange !== '' && { 'Content-Range': contentRange }),
  };
}

export async function nonceOf(url: string): Promise<string> {
  const response = await fetch(`${url}/v1/nonce`);
  return ((await response.json()) as { nonce: string }).nonce;
}

export async function signedFetch(url: string, request: RawRequest): Promise<Response> {
  const headers = await signedHeaders(url, request);
  const { method, path, body } = request;
  return await fetch(`${url}${path}`, { method, headers, ...(body !== undefined && { body: Buffer.from(body) }) });
}

/** Writes octets to the server, and resolves to all that it says until it ends the connection. */
export async function untilEnded(port: number, octets: string | Uint8Array): Promise<string> {
  return await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(said));
    socket.write(octets);
  });
}

export function headOf({ method, path }: RawRequest, headers: Record<string, string | number>): string {
  const lines = Object.entries({ Host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
