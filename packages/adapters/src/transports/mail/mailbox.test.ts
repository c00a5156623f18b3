/**
 * What no real mail server can be made to do: ask for a pause, refuse a token, lie about sizes, fall silent, answer without
 * end. A script of an IMAP server says it. Everything else is tried with real ones.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DirpostError } from '@dirpost/core';
import { afterEach, expect, it, vi } from 'vitest';
import type { Login } from './login.ts';
import { Mailbox, type MailboxDeps } from './mailbox.ts';
import type { Endpoint, MailTransportOptions, ProfileName } from './options.ts';

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

const file = Buffer.concat([Buffer.from('DIRPOST1'), Buffer.alloc(200, 1)]);

/** Answers of the script to a command without its tag; undefined: as below. A line that begins with the tag ends it. */
type Script = (command: string, tag: string, socket: Socket) => string | undefined;

/** A server whose inbox has one mail with a message file, said to be of `size` octets. */
class ScriptedServer {
  readonly heard: string[] = [];
  connections = 0;
  readonly #server: Server;
  readonly #script: Script;
  readonly sockets = new Set<Socket>();
  capabilities = 'IMAP4rev1 UIDPLUS MOVE IDLE AUTH=PLAIN AUTH=XOAUTH2 SASL-IR';

  constructor(script: Script) {
    this.#script = script;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    ended.push(() => {
      for (const socket of this.sockets) socket.destroy();
      this.#server.close();
    });
    return (this.#server.address() as AddressInfo).port;
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    socket.write(`* OK [CAPABILITY ${this.capabilities}] hello\r\n`);
    let rest = '';
    socket.on('data', (chunk) => {
      rest += chunk.toString('latin1');
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        this.#answer(line, socket);
      }
    });
  }

  #answer(line: string, socket: Socket): void {
    const [tag = '', ...words] = line.split(' ');
    const command = words.length === 0 ? tag : words.join(' ');
    this.heard.push(command);
    const answer = this.#script(command, tag, socket) ?? this.#plain(command, tag);
    if (answer !== '') socket.write(answer, 'latin1');
  }

  #plain(command: string, tag: string): string {
    const ok = `${tag} OK done\r\n`;
    if (command === 'CAPABILITY') return `* CAPABILITY ${this.capabilities}\r\n${ok}`;
    if (command.startsWith('AUTHENTICATE PLAIN')) return '+ \r\n';
    if (command === 'LIST "" ""') return `* LIST (\\Noselect) "/" ""\r\n${ok}`;
    if (command.startsWith('LIST') || command.startsWith('LSUB')) {
      const verb = command.slice(0, 4);
      return `* ${verb} (\\HasNoChildren) "/" INBOX\r\n* ${verb} () "/" Processed\r\n${ok}`;
    }
    if (command.startsWith('SELECT')) return `* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\n${ok}`;
    if (command.startsWith('UID SEARCH')) return `* SEARCH ${command.includes('HEADER') ? '' : '1'}\r\n${ok}`;
    if (command.startsWith('UID FETCH') && command.includes('BODYSTRUCTURE')) return `${summary(400)}${ok}`;
    if (command.startsWith('UID FETCH')) return `${part(command, file.toString('base64'))}${ok}`;
    // The answer to AUTHENTICATE, and the end of IDLE, have no tag.
    if (tag === command && !/^(?:NOOP|LOGOUT)$/.test(command)) return `${this.lastTag} OK done\r\n`;
    this.lastTag = tag;
    return command === 'IDLE' ? '+ idling\r\n' : ok;
  }

  lastTag = '';

  /** Of AUTHENTICATE, for scripts. */
  remember(tag: string): void {
    this.lastTag = tag;
  }
}

function summary(size: number): string {
  const header = 'Message-ID: <a@b>\r\nSubject: dirpost oslo to hq no 1\r\n\r\n';
  const structure = `("application" "octet-stream" ("name" "a.dpm") NIL NIL "base64" ${size})`;
  return `* 1 FETCH (UID 1 RFC822.SIZE 900 INTERNALDATE "21-Nov-2026 10:00:00 +0000" BODYSTRUCTURE ${structure} BODY[HEADER.FIELDS (X)] {${header.length}}\r\n${header})\r\n`;
}

function part(command: string, body: string): string {
  const [, start = '0', length = '0'] = /<(\d+)\.(\d+)>/.exec(command) ?? [];
  const octets = body.slice(Number(start), Number(start) + Number(length));
  return `* 1 FETCH (UID 1 BODY[1]<${start}> {${octets.length}}\r\n${octets})\r\n`;
}

interface Opened {
  mailbox: Mailbox;
  server: ScriptedServer;
  problems: DirpostError[];
  collect(): Promise<number>;
}

const passwordLogin: Login = { user: 'hq', password: async () => 'secret' };
let nowMs = 0;

async function open(
  script: Script,
  {
    login = passwordLogin,
    tls = 'none',
    profile = 'microsoft365',
    ...deps
  }: MailboxDeps & { login?: Login; tls?: Endpoint['tls']; profile?: ProfileName } = {},
): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-mailbox-'));
  const server = new ScriptedServer((command, tag, socket) => {
    if (command.startsWith('AUTHENTICATE')) server.remember(tag);
    return script(command, tag, socket);
  });
  const problems: DirpostError[] = [];
  const options: MailTransportOptions = {
    postoffice: 'hq',
    address: 'hq@one.test',
    addressOf: () => null,
    profile,
    submission: { host: '127.0.0.1', port: 1, tls: 'none' },
    mailbox: {
      host: '127.0.0.1',
      port: await server.listen(),
      tls,
      inbox: 'INBOX',
      processed: 'Processed',
      junk: null,
      foreign: null,
      keepProcessedMs: 1e9,
    },
    login: { submission: null, mailbox: { method: 'password', user: 'hq', password: { env: 'NONE' } } },
    attachment: { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' },
    maxMessageBytes: 100_000,
    folder: join(folder, 'mail'),
    tagSecret: Buffer.alloc(32),
    judge: () => ({ take: true }),
    onProblem: (problem) => problems.push(problem),
    onBounce: () => {},
  };
  nowMs = Date.UTC(2026, 10, 21);
  const mailbox = new Mailbox(options, login, { tooLargeFor: () => null }, { nowMs: () => nowMs, ...deps });
  ended.push(async () => {
    await mailbox.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { mailbox, server, problems, collect: () => mailbox.collect(async () => true, new AbortController().signal) };
}

it('the script is understood: a mail is taken and moved', async () => {
  const { collect, server } = await open(() => undefined);
  expect(await collect()).toBe(1);
  expect(server.heard).toContain('UID MOVE 1 Processed');
});

it('a pause that the server asks for is kept, without a word to the server', async () => {
  let isBusy = true;
  const { collect, server } = await open((command, tag) =>
    isBusy && command.startsWith('SELECT')
      ? `${tag} BAD Request is throttled. Suggested Backoff Time: 30 milliseconds\r\n`
      : undefined,
  );
  await expect(collect()).rejects.toMatchObject({
    code: 'transport-failed',
    retry: 'later',
    context: { retryAfterMs: 30 },
  });
  isBusy = false;
  const heard = server.heard.length;
  await expect(collect()).rejects.toMatchObject({ code: 'transport-failed', retry: 'later' });
  expect(server.heard).toHaveLength(heard);
  nowMs += 31;
  expect(await collect()).toBe(1);
});

it('a token that is refused is renewed once, and never a second time', async () => {
  const renewals: boolean[] = [];
  const login: Login = {
    user: 'hq',
    token: async (renew) => {
      renewals.push(renew);
      return renew ? 'fresh' : 'stale';
    },
  };
  const good = Buffer.from('user=hq\x01auth=Bearer fresh\x01\x01').toString('base64');
  let accepted = good;
  const { collect } = await open(
    (command, tag) => {
      if (!command.startsWith('AUTHENTICATE XOAUTH2')) return undefined;
      return command.endsWith(accepted) ? `${tag} OK in\r\n` : `${tag} NO [AUTHENTICATIONFAILED] no\r\n`;
    },
    { login },
  );
  expect(await collect()).toBe(1);
  expect(renewals).toEqual([false, true]);
  accepted = 'nothing';
  const second = await open(
    (command, tag) => (command.startsWith('AUTHENTICATE') ? `${tag} NO [AUTHENTICATIONFAILED] no\r\n` : undefined),
    { login },
  );
  await expect(second.collect()).rejects.toMatchObject({ retry: 'operator' });
  expect(renewals).toEqual([false, true, false, true]);
});

it('a size that is not true fills no memory', async () => {
  const endless = Buffer.concat([file, Buffer.alloc(3_000_000)]).toString('base64');
  let asked = 0;
  const { collect, problems, server } = await open((command, tag) => {
    if (!command.startsWith('UID FETCH') || command.includes('BODYSTRUCTURE')) return undefined;
    asked++;
    return `${part(command, endless)}${tag} OK done\r\n`;
  });
  expect(await collect()).toBe(0);
  expect(problems.map(({ code }) => code)).toEqual(['message-too-large']);
  expect(server.heard.some((command) => command.startsWith('UID MOVE'))).toBe(false);
  // Together with others, alone up to the limit, and its start.
  expect(asked).toBeLessThanOrEqual(3);
});

it('a mail that is described without end is told, and stops no other', async () => {
  const { collect, problems } = await open((command, tag) => {
    if (!command.includes('BODYSTRUCTURE')) return undefined;
    return `* 1 FETCH (UID 1 BODYSTRUCTURE (${'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)'.repeat(150_000)} "MIXED"))\r\n${tag} OK done\r\n`;
  });
  expect(await collect()).toBe(0);
  expect(problems.map(({ message }) => message)).toEqual([expect.stringMatching(/nested more deeply/)]);
  expect(await collect()).toBe(0);
  expect(problems).toHaveLength(1);
});

it('without UIDPLUS nothing is expunged: what others marked as deleted stays', async () => {
  const opened = await open(() => undefined);
  opened.server.capabilities = 'IMAP4rev1 AUTH=PLAIN';
  expect(await opened.collect()).toBe(1);
  const { heard } = opened.server;
  expect(heard).toContain('UID COPY 1 Processed');
  expect(heard).toContain('UID STORE 1 +FLAGS.SILENT (\\Deleted)');
  expect(heard.filter((command) => command.includes('EXPUNGE'))).toEqual([]);
  expect(
    heard.filter((command) => command.startsWith('UID SEARCH')).every((command) => command.includes('UNDELETED')),
  ).toBe(true);
});

it('a server that falls silent while it is waited for is noticed', async () => {
  const { mailbox } = await open((command) => (command === 'DONE' || command === 'NOOP' ? '' : undefined), {
    times: { silenceMs: 100 },
  });
  const wake = vi.fn();
  await expect(mailbox.watch(wake, new AbortController().signal)).rejects.toMatchObject({
    code: 'transport-failed',
    retry: 'later',
  });
  expect(wake).toHaveBeenCalled();
});

it('a server that ends IDLE at once is looked at now and then', async () => {
  let selected = 0;
  const { mailbox, server } = await open(
    (command, tag) => {
      if (command.startsWith('SELECT')) selected++;
      return command === 'IDLE' ? `${tag} NO not today\r\n` : undefined;
    },
    { times: { pollMs: 20 } },
  );
  const stop = new AbortController();
  const watching = mailbox.watch(() => {}, stop.signal);
  await vi.waitFor(() => expect(selected).toBeGreaterThan(8));
  stop.abort();
  await watching;
  expect(server.heard.filter((command) => command === 'IDLE')).toHaveLength(5);
});

it('an answer that is expected is found although IDLE does not tell it', async () => {
  let mails = 1;
  const { mailbox, server } = await open(
    (command, tag) => (command === 'NOOP' ? `* ${mails} EXISTS\r\n${tag} OK done\r\n` : undefined),
    { profile: 'generic' },
  );
  const stop = new AbortController();
  const wake = vi.fn();
  const watching = mailbox.watch(wake, stop.signal);
  await vi.waitFor(() => expect(server.heard).toContain('IDLE'));
  expect(wake).toHaveBeenCalledTimes(1);
  mailbox.expectAnswer();
  mails = 2;
  await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2));
  stop.abort();
  await watching;
  expect(server.connections).toBe(1);
});

it('IDLE is begun anew in time', async () => {
  const { mailbox, server } = await open(() => undefined, { times: { idleMs: 30 } });
  const stop = new AbortController();
  const watching = mailbox.watch(() => {}, stop.signal);
  await vi.waitFor(() => expect(server.heard.filter((command) => command === 'DONE').length).toBeGreaterThan(3));
  stop.abort();
  await watching;
  expect(server.connections).toBe(1);
});

it('a connection that nobody needs is given back', async () => {
  const { collect, server } = await open(() => undefined, { times: { unusedMs: 10 } });
  await collect();
  await vi.waitFor(() => expect(server.heard).toContain('LOGOUT'));
  expect(await collect()).toBeGreaterThanOrEqual(0);
  expect(server.connections).toBe(2);
});

it('without the STARTTLS that is asked for no login is sent', async () => {
  const { collect, server } = await open(() => undefined, { tls: 'starttls' });
  await expect(collect()).rejects.toMatchObject({ code: 'transport-failed', retry: 'operator' });
  expect(server.heard.filter((command) => /AUTH|LOGIN/.test(command))).toEqual([]);
});

it('a folder that cannot be searched for old mails stops nothing, and is told once a day', async () => {
  const { collect, problems } = await open((command, tag) =>
    command.includes('HEADER DIRPOST') ? `${tag} NO [CANNOT] not by header\r\n` : undefined,
  );
  expect(await collect()).toBe(1);
  expect(problems).toMatchObject([{ code: 'transport-failed', context: { reason: 'CANNOT' } }]);
  await collect();
  expect(problems).toHaveLength(1);
});

it('a junk folder that cannot be opened stops nothing', async () => {
  const { collect, problems } = await open((command, tag) => {
    if (command.startsWith('LIST "" "*"')) {
      return `* LIST () "/" INBOX\r\n* LIST () "/" Processed\r\n* LIST (\\Junk) "/" Junk\r\n${tag} OK done\r\n`;
    }
    if (command.startsWith('STATUS')) return `* STATUS Junk (UIDNEXT 5 UIDVALIDITY 1)\r\n${tag} OK done\r\n`;
    return command === 'SELECT Junk' ? `${tag} NO [NOPERM] no\r\n` : undefined;
  });
  expect(await collect()).toBe(1);
  await collect();
  expect(problems.map(({ message }) => message)).toEqual([expect.stringMatching(/open the folder Junk/)]);
});

it('a password that is refused is not tried again for five minutes, but a changed one is at once', async () => {
  let password = 'wrong';
  let rights = 'secret';
  const tried: string[] = [];
  const { collect, mailbox, server } = await open(
    (command, tag) => {
      if (command.startsWith('AUTHENTICATE')) return '+ \r\n';
      const [, user, secret] = Buffer.from(tag, 'base64').toString('latin1').split('\0');
      if (user !== 'hq') return undefined;
      tried.push(secret!);
      return secret === rights ? undefined : `${server.lastTag} NO [AUTHENTICATIONFAILED] no\r\n`;
    },
    { login: { user: 'hq', password: async () => password } },
  );
  for (let i = 0; i < 3; i++) await expect(collect()).rejects.toMatchObject({ retry: 'operator' });
  expect(tried).toEqual(['wrong']);
  password = 'secret';
  expect(await collect()).toBe(1);
  expect(tried).toEqual(['wrong', 'secret']);

  // The account was locked for a while, and the password is right.
  rights = 'nothing';
  for (const socket of server.sockets) socket.destroy();
  await vi.waitFor(async () => expect(await collect().catch((error: DirpostError) => error.retry)).toBe('operator'));
  rights = 'secret';
  await expect(collect()).rejects.toMatchObject({ retry: 'operator' });
  const before = tried.length;
  await expect(mailbox.look(new AbortController().signal)).resolves.toMatchObject({ hasProcessed: true });
  expect(tried).toHaveLength(before + 1);
});

it.each([
  ['named like a message file', '"name" "a.dpm"', '* 1 FETCH (UID 1 BODY[1]<0> NIL)\r\n'],
  ['named like anything', '"name" "a.bin"', '* 1 FETCH (UID 1 BODY[1]<0> NIL)\r\n'],
  ['named like a message file', '"name" "a.dpm"', ''],
  ['named like anything', '"name" "a.bin"', ''],
])(
  'a file %s (%s) that the server answers with %j is told once, and taken as soon as it is given',
  async (_, name, answer) => {
    let isBroken = true;
    const { collect, problems } = await open((command, tag) => {
      if (!command.startsWith('UID FETCH')) return undefined;
      if (command.includes('BODYSTRUCTURE')) return `${summary(400).replace('"name" "a.dpm"', name)}${tag} OK done\r\n`;
      return isBroken ? `${answer}${tag} OK done\r\n` : undefined;
    });
    const told = () => problems.map(({ message }) => message);
    expect(await collect()).toBe(0);
    expect(told()).toEqual([expect.stringMatching(/does not give the parts of the mail/)]);
    nowMs += 3_600_001;
    expect(await collect()).toBe(0);
    expect(told()).toHaveLength(1);
    isBroken = false;
    nowMs += 3_600_001;
    expect(await collect()).toBe(1);
  },
);

it('a mail that was removed meanwhile is nothing to tell', async () => {
  const { collect, problems, server } = await open((command, tag) => {
    if (command.startsWith('UID FETCH') && !command.includes('BODYSTRUCTURE')) return `${tag} OK done\r\n`;
    return command === 'UID SEARCH UID 1 UNDELETED' ? `* SEARCH\r\n${tag} OK done\r\n` : undefined;
  });
  expect(await collect()).toBe(0);
  expect(problems).toEqual([]);
  expect(server.heard).toContain('UID SEARCH UID 1 UNDELETED');
  expect(server.heard).not.toContain('UID MOVE 1 Processed');
});
