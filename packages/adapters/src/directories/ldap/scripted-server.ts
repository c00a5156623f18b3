/** For tests: an LDAP server on loopback that says what a test wants, octet by octet, and answers only when it is told to. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { defaultLimits } from '@dirpost/core';
import { BerWriter } from 'ldapts';
import { elementsIn, type Element, integerIn, octetsIn, peekElement, textIn } from './ber.ts';
import type { LdapOptions, LdapServer } from './options.ts';
import type { LdapControl } from './requests.ts';

export interface Received {
  id: number;
  /** Of the protocol operation. */
  tag: number;
  /** The parts of the operation, as octets; of what is primitive, its content. */
  parts: Buffer[];
}

export class ScriptedClient {
  readonly socket: Socket;
  readonly #received: Received[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #wake = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('close', () => this.#wake());
  }

  /** The next request; null: the client went away. */
  async next(): Promise<Received | null> {
    while (this.#received.length === 0) {
      if (this.socket.destroyed || this.socket.readableEnded) return null;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#received.shift()!;
  }

  send(...messages: Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const message = peekElement(this.#rest, 0);
      if (message === null || message.end > this.#rest.length) break;
      this.#received.push(received(this.#rest, message));
      this.#rest = this.#rest.subarray(message.end);
    }
    this.#wake();
  }
}

function received(octets: Buffer, message: Element): Received {
  const [id, operation] = elementsIn(octets, message) as Iterable<Element> as [Element, Element];
  const isPrimitive = (operation.tag & 0x20) === 0;
  const parts = isPrimitive ? [operation] : [...elementsIn(octets, operation)];
  return {
    id: integerIn(octets, id),
    tag: operation.tag,
    parts: parts.map((part) => Buffer.from(octetsIn(octets, part))),
  };
}

export class ScriptedServer {
  readonly clients: ScriptedClient[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `script` runs for each connection. */
  static async start(script: (client: ScriptedClient) => Promise<void>): Promise<ScriptedServer> {
    const server = createServer();
    const scripted = new ScriptedServer(server);
    server.on('connection', (socket) => {
      const client = new ScriptedClient(socket);
      scripted.clients.push(client);
      void script(client);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return scripted;
  }

  get address(): LdapServer {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port, tls: 'none' };
  }

  async stop(): Promise<void> {
    for (const { socket } of this.clients) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function optionsFor(servers: LdapServer[], more: Partial<LdapOptions> = {}): LdapOptions {
  return {
    name: 'people',
    servers,
    bind: { method: 'anonymous' },
    profile: 'generic',
    bases: [{ dn: 'dc=example', scope: 'sub', filter: '(objectClass=person)' }],
    attributes: ['cn'],
    anchor: 'entryuuid',
    method: 'auto',
    wholeReadEveryMs: 1_000,
    referrals: 'count',
    pageSize: 100,
    times: { connectMs: 5_000, operationMs: 5_000, keepAliveMs: 1_000 },
    limits: defaultLimits,
    ...more,
  };
}

export interface Answer {
  code?: number;
  matchedDn?: string;
  message?: string;
  referrals?: string[];
  /** SASL credentials of a bind, value of an extended response. */
  value?: Buffer;
  controls?: LdapControl[];
}

export const BIND = 0x61;
export const DONE = 0x65;
export const EXTENDED = 0x78;

export function result(id: number, tag: number, answer: Answer = {}): Buffer {
  const { code = 0, matchedDn = '', message = '', referrals = [], value, controls = [] } = answer;
  return messageOf(id, controls, (writer) => {
    writer.startSequence(tag);
    writer.writeEnumeration(code);
    writer.writeString(matchedDn);
    writer.writeString(message);
    if (referrals.length > 0) {
      writer.startSequence(0xa3);
      for (const url of referrals) writer.writeString(url);
      writer.endSequence();
    }
    if (value !== undefined) writer.writeBuffer(value, tag === BIND ? 0x87 : 0x8b);
    writer.endSequence();
  });
}

export function entry(
  id: number,
  dn: string,
  attributes: Record<string, (string | Uint8Array)[]> = {},
  controls: LdapControl[] = [],
): Buffer {
  return messageOf(id, controls, (writer) => {
    writer.startSequence(0x64);
    writer.writeString(dn);
    writer.startSequence();
    for (const [name, values] of Object.entries(attributes)) {
      writer.startSequence();
      writer.writeString(name);
      writer.startSequence(0x31);
      for (const value of values) writer.writeBuffer(Buffer.from(value), 0x04);
      writer.endSequence();
      writer.endSequence();
    }
    writer.endSequence();
    writer.endSequence();
  });
}

export function reference(id: number, ...urls: string[]): Buffer {
  return messageOf(id, [], (writer) => {
    writer.startSequence(0x73);
    for (const url of urls) writer.writeString(url);
    writer.endSequence();
  });
}

export function intermediate(id: number, name: string, value: Buffer): Buffer {
  return messageOf(id, [], (writer) => {
    writer.startSequence(0x79);
    writer.writeString(name, 0x80);
    writer.writeBuffer(value, 0x81);
    writer.endSequence();
  });
}

/** RFC 4511 §4.4.1. */
export function disconnection(message: string): Buffer {
  return messageOf(0, [], (writer) => {
    writer.startSequence(EXTENDED);
    writer.writeEnumeration(52);
    writer.writeString('');
    writer.writeString(message);
    writer.writeString('1.3.6.1.4.1.1466.20036', 0x8a);
    writer.endSequence();
  });
}

function messageOf(id: number, controls: LdapControl[], write: (writer: BerWriter) => void): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  writer.writeInt(id);
  write(writer);
  if (controls.length > 0) {
    writer.startSequence(0xa0);
    for (const { type, critical, value } of controls) {
      writer.startSequence();
      writer.writeString(type);
      if (critical !== undefined) writer.writeBoolean(critical);
      if (value !== undefined) writer.writeBuffer(value, 0x04);
      writer.endSequence();
    }
    writer.endSequence();
  }
  writer.endSequence();
  return writer.buffer;
}

/** The name and password of a simple bind, or the mechanism and credentials of a SASL bind. */
export function bindParts({ parts }: Received): { dn: string; rest: Buffer } {
  return { dn: partAt(parts, 1).toString(), rest: partAt(parts, 2) };
}

export function saslParts({ parts }: Received): { mechanism: string; credentials: Buffer } {
  const content = partAt(parts, 2);
  const [mechanism, credentials] = [...elementsIn(content, { tag: 0xa3, start: 0, end: content.length })];
  return {
    mechanism: mechanism === undefined ? '' : textIn(content, mechanism),
    credentials: credentials === undefined ? Buffer.alloc(0) : octetsIn(content, credentials),
  };
}

function partAt(parts: Buffer[], index: number): Buffer {
  const part = parts.at(index);
  if (part === undefined) throw new Error(`a request of ${parts.length} parts`);
  return part;
}
