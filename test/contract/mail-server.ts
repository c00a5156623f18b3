/**
 * For the tests of submission by transport `mail`: an SMTP server on loopback that notes what it gets and misbehaves as
 * told, and a transport that sends through it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { type Bounce, type MailDependencies, MailTransport, type MailTransportOptions } from '@dirpost/adapters';
import type { DirpostError, MessageFile } from '@dirpost/core';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';

export const never = () => new AbortController().signal;
export const PASSWORD = 'correct horse battery staple';

export interface ReceivedMail {
  from: string;
  to: string[];
  raw: string;
  /** Parameters of MAIL FROM. */
  parameters: Record<string, string | true>;
}

/** An answer other than 250. */
export function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

export interface Behaviour {
  /** What is answered in place of taking it; null: it is taken. */
  rcpt?: (address: string) => Error | null;
  data?: (mail: ReceivedMail) => Error | null;
  login?: (user: string, secret: string) => Error | null;
  connect?: () => Error | null;
}

export interface MailServer {
  port: number;
  mails: ReceivedMail[];
  /** Secrets in the order in which they came. */
  logins: string[];
  connections: number;
  behaviour: Behaviour;
}

/** Everything that a test opened, closed in reverse order. */
export class OpenedMail {
  readonly problems: DirpostError[] = [];
  readonly bounces: Bounce[] = [];
  readonly #closing: (() => Promise<unknown> | void)[] = [];

  add(close: () => Promise<unknown> | void): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).toReversed()) await close();
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dirpost-mail-'));
    this.add(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  /** Without `certificate` it takes mail in the clear, with or without a login. */
  async server(
    behaviour: Behaviour = {},
    options: SMTPServerOptions = {},
    certificate?: { certificate: string; key: string },
  ): Promise<MailServer> {
    const found: MailServer = { port: 0, mails: [], logins: [], connections: 0, behaviour };
    const tls = certificate && {
      cert: await readFile(certificate.certificate),
      key: await readFile(certificate.key),
    };
    const server = new SMTPServer({
      authOptional: true,
      disableReverseLookup: true,
      closeTimeout: 1,
      logger: false,
      ...(tls ?? { disabledCommands: ['STARTTLS'] }),
      ...options,
      onConnect(_session, done) {
        found.connections++;
        done(found.behaviour.connect?.() ?? null);
      },
      onAuth({ username = '', password, accessToken }, _session, done) {
        const secret = password ?? accessToken ?? '';
        found.logins.push(secret);
        const refused = found.behaviour.login?.(username, secret) ?? null;
        if (refused !== null) done(refused);
        else done(null, { user: username });
      },
      onRcptTo({ address }, _session, done) {
        done(found.behaviour.rcpt?.(address) ?? null);
      },
      onData(stream, session, done) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.once('end', () => {
          const mail = receivedMail(Buffer.concat(chunks).toString('latin1'), session);
          const refused = found.behaviour.data?.(mail) ?? null;
          if (refused === null) found.mails.push(mail);
          done(refused);
        });
      },
    });
    server.on('error', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    found.port = (server.server.address() as AddressInfo).port;
    this.add(() => new Promise<void>((resolve) => server.close(resolve)));
    return found;
  }

  /** A server whose every word the test says: for what smtp-server would never do. */
  async script(
    answer: (line: string, socket: Socket) => string | null,
    greeting = '220 ready',
  ): Promise<ScriptedServer> {
    const found: ScriptedServer = { port: 0, lines: [] };
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      let rest = '';
      if (greeting !== '') socket.write(`${greeting}\r\n`);
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString('latin1')).split('\r\n');
        rest = lines.pop()!;
        for (const line of lines) {
          found.lines.push(line);
          const said = answer(line, socket);
          if (said !== null) socket.write(`${said}\r\n`);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    found.port = (server.address() as AddressInfo).port;
    this.add(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    return found;
  }

  async transport(port: number, options: Partial<MailTransportOptions> = {}, dependencies: MailDependencies = {}) {
    const mailbox = { method: 'password', user: 'oslo', password: { env: 'DIRPOST_NONE' } } as const;
    const transport = new MailTransport(
      {
        postoffice: 'oslo',
        address: 'dirpost@oslo.example',
        addressOf: (peer) => `dirpost@${peer}.example`,
        profile: 'generic',
        submission: { host: '127.0.0.1', port, tls: 'none' },
        mailbox: {
          host: '127.0.0.1',
          port: 1,
          tls: 'none',
          inbox: 'INBOX',
          processed: 'processed',
          junk: null,
          foreign: null,
          keepProcessedMs: 1_000,
        },
        login: { submission: null, mailbox },
        attachment: { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' },
        maxMessageBytes: 5_000_000,
        folder: options.folder ?? join(await this.folder(), 'mail'),
        tagSecret: new Uint8Array(32).fill(7),
        judge: () => ({ take: true }),
        onProblem: (problem) => this.problems.push(problem),
        onBounce: (bounce) => void this.bounces.push(bounce),
        ...options,
      },
      dependencies,
    );
    this.add(() => transport.close());
    return transport;
  }
}

export interface ScriptedServer {
  port: number;
  /** What clients said. */
  lines: string[];
}

export function fileOf(bytes: number | Uint8Array = 300, to = 'hq', about?: MessageFile['about']): MessageFile {
  const octets = typeof bytes === 'number' ? randomBytes(bytes) : bytes;
  return { id: randomBytes(16).toString('hex'), from: 'oslo', to, bytes: octets, ...(about && { about }) };
}

/** The error with which it fails; it must. */
export async function failureOf(work: Promise<unknown>): Promise<DirpostError> {
  return await work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as DirpostError,
  );
}

function receivedMail(raw: string, { envelope }: SMTPServerSession): ReceivedMail {
  const { mailFrom, rcptTo } = envelope;
  return {
    from: mailFrom === false ? '' : mailFrom.address,
    to: rcptTo.map(({ address }) => address),
    raw,
    parameters: mailFrom === false || mailFrom.args === false ? {} : mailFrom.args,
  };
}
