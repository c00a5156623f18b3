/** What transport `mail` sends, and what it does when the mail server does not take it as expected. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MailTransportOptions, parseArmour } from '@dirpost/adapters';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Authority, hasOpenssl, makeAuthority } from './http-certificates.ts';
import { failureOf, fileOf, never, OpenedMail, PASSWORD, type ReceivedMail, reply } from './mail-server.ts';

/** Takes everything but the end of a mail. */
function polite(line: string): string | null {
  if (line === 'DATA') return '354 go on';
  return /^(?:EHLO|MAIL|RCPT|RSET|QUIT)\b/.test(line) ? '250 fine' : null;
}

let opened: OpenedMail;
beforeEach(() => {
  opened = new OpenedMail();
});
afterEach(() => opened.close());

const exchange = { kind: 'exchange', number: 42, part: 0, parts: 1, changes: 17 } as const;

interface Part {
  head: string;
  body: string;
}

function split(text: string): Part {
  const at = text.indexOf('\r\n\r\n');
  return { head: text.slice(0, at), body: text.slice(at + 4) };
}

/** Of a mail as it came, without any MIME library. */
function parts({ raw }: ReceivedMail): { head: string; text: Part; attachment: Part } {
  const { head, body } = split(raw);
  const boundary = /boundary="([^"]+)"/.exec(head)![1]!;
  const [, text, attachment, rest] = body.split(`--${boundary}`);
  expect(rest).toBe('--\r\n');
  return { head, text: split(text!.slice(2)), attachment: split(attachment!.slice(2)) };
}

const mailbox = { method: 'password', user: 'oslo', password: { env: 'DIRPOST_NONE' } } as const;

describe('the mail', () => {
  it('says who, what and how much, and holds the message file as it is', async () => {
    const server = await opened.server({}, { size: 1_000_000 });
    const transport = await opened.transport(server.port, {}, { now: () => Date.UTC(2026, 0, 2, 3, 4, 5) });
    const file = fileOf(1_000, 'hq', exchange);
    await transport.deliver(file, never());
    const [mail] = server.mails;
    expect([mail!.from, mail!.to]).toEqual(['dirpost@oslo.example', ['dirpost@hq.example']]);
    expect(Number(mail!.parameters['SIZE'] ?? 0)).toBe(mail!.raw.length);
    const { head, text, attachment } = parts(mail!);
    expect(head.split(/\r\n(?! )/).filter((line) => !/^(?:Dirpost-Message|Content-Type):/.test(line))).toEqual([
      'Auto-Submitted: auto-generated',
      'X-Auto-Response-Suppress: OOF, AutoReply, RN, NRN',
      'From: dirpost@oslo.example',
      'To: dirpost@hq.example',
      'Subject: dirpost oslo to hq no 42',
      `Message-ID: <${file.id}@oslo.example>`,
      'Date: Fri, 02 Jan 2026 03:04:05 +0000',
      'MIME-Version: 1.0',
    ]);
    expect(head).toMatch(new RegExp(`Dirpost-Message: id=${file.id}; to=hq; no=42;\\s+tag=[0-9a-f]{32}`));
    expect(text.head).toContain('Content-Transfer-Encoding: 7bit');
    expect(text.body.replace(/\r\n/g, ' ')).toContain(
      'The dirpost postoffice "oslo" sends an exchange (no 42) with 17 changes to the postoffice "hq" in the attached file.',
    );
    expect(text.body).toContain('\r\nMade by dirpost; do not answer.\r\n');
    expect(attachment.head).toContain('Content-Type: application/octet-stream;');
    expect(attachment.head).toContain('Content-Transfer-Encoding: base64');
    expect(attachment.head.replace(/\r\n /g, ' ')).toContain(
      `Content-Disposition: attachment; filename=${file.id}.dpm`,
    );
    expect(Buffer.from(attachment.body, 'base64')).toEqual(file.bytes);
    // RFC 5321 §4.5.3.1.6; nothing on the way has a reason to encode it.
    expect(/^[\r\n\x20-\x7e]+$/.test(mail!.raw)).toBe(true);
    expect(Math.max(...mail!.raw.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(78);
  });

  it('names the part of a larger message', async () => {
    const server = await opened.server();
    const transport = await opened.transport(server.port);
    await transport.deliver(
      fileOf(300, 'hq', { ...exchange, kind: 'update', part: 1, parts: 5, changes: null }),
      never(),
    );
    expect(server.mails[0]!.raw).toContain('\r\nSubject: dirpost oslo to hq no 42 part 2 of 5\r\n');
    expect(server.mails[0]!.raw.replace(/\r\n/g, ' ')).toContain('sends an update (no 42), part 2 of 5, to');
  });

  it('does without what nobody said of the message', async () => {
    const server = await opened.server();
    await (await opened.transport(server.port)).deliver(fileOf(), never());
    expect(server.mails[0]!.raw).toContain('\r\nSubject: dirpost oslo to hq\r\n');
    expect(server.mails[0]!.raw.replace(/\r\n/g, ' ')).toContain('sends a message to the postoffice "hq"');
  });

  it('has the same Message-ID when it is sent again', async () => {
    const server = await opened.server();
    const transport = await opened.transport(server.port);
    const file = fileOf();
    for (let i = 0; i < 2; i++) await transport.deliver(file, never());
    const ids = server.mails.map(({ raw }) => /^Message-ID: .*$/m.exec(raw)![0]);
    expect(ids).toEqual([ids[0], ids[0]]);
    expect(server.connections).toBe(1);
  });

  it('in the armoured form is text, under the configured name and type', async () => {
    const server = await opened.server();
    const attachment = { name: 'note-{id}.txt', type: 'text/plain', form: 'armoured' } as const;
    const file = fileOf(10_000);
    await (await opened.transport(server.port, { attachment })).deliver(file, never());
    const found = parts(server.mails[0]!).attachment;
    expect(found.head).toContain('Content-Type: text/plain;');
    expect(found.head).toContain('Content-Transfer-Encoding: 7bit');
    expect(found.head.replace(/\r\n /g, ' ')).toContain(`filename=note-${file.id}.txt`);
    expect(parseArmour(Buffer.from(found.body))).toEqual(file.bytes);
  });

  it.each(['hq@hq.example\r\nBcc: all@hq.example', 'a b@hq.example', 'hq', '<>', 'a@b, c@d', '@hq.example', ''])(
    'goes to no such address: %j',
    async (address) => {
      const server = await opened.server();
      const transport = await opened.transport(server.port, { addressOf: () => address });
      expect(await failureOf(transport.deliver(fileOf(), never()))).toMatchObject({ retry: 'operator' });
      expect(server.connections).toBe(0);
    },
  );

  it('never has an empty sender', async () => {
    await expect(opened.transport(1, { address: '' })).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('goes to a peer without an address not at all', async () => {
    const transport = await opened.transport(1, { addressOf: () => null });
    expect(await failureOf(transport.deliver(fileOf(), never()))).toMatchObject({
      code: 'transport-failed',
      retry: 'operator',
      message: 'No mail address of postoffice hq is known.',
    });
  });

  it('goes to an address beyond ASCII where the server takes such', async () => {
    const addressOf = () => 'sjåfør@hq.example';
    const server = await opened.server();
    await (await opened.transport(server.port, { addressOf })).deliver(fileOf(), never());
    expect(server.mails[0]!.to).toEqual(['sjåfør@hq.example']);
    expect(server.mails[0]!.parameters).toHaveProperty('SMTPUTF8');
    const plain = await opened.server({}, { hideSMTPUTF8: true });
    const error = await failureOf((await opened.transport(plain.port, { addressOf })).deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain('does not take addresses like sjåfør@hq.example');
    expect(plain.mails).toEqual([]);
  });

  it('is sent once the last 250 has come, and fails where another answer comes then', async () => {
    const server = await opened.server({ data: () => reply(451, '4.3.0 disk trouble') });
    const transport = await opened.transport(server.port);
    expect(await failureOf(transport.deliver(fileOf(), never()))).toMatchObject({ retry: 'later' });
    expect(server.mails).toEqual([]);
  });
});

describe.skipIf(!hasOpenssl())('TLS and logins', () => {
  let folder: string;
  let authority: Authority;
  let certificate: { certificate: string; key: string };
  let foreign: { certificate: string; key: string };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dirpost-mail-tls-'));
    authority = await makeAuthority(folder, 'authority');
    certificate = await authority.issue('server', 'DNS:localhost,IP:127.0.0.1');
    foreign = await authority.issue('foreign', 'DNS:mail.other.example');
    await writeFile(join(folder, 'password'), `${PASSWORD}\n`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const starttls = (port: number): Partial<MailTransportOptions> => ({
    submission: { host: 'localhost', port, tls: 'starttls' },
    ca: authority.ca,
    login: {
      submission: { method: 'password', user: 'oslo', password: { file: join(folder, 'password') } },
      mailbox,
    },
  });
  const onlyRight = (_user: string, secret: string) => (secret === PASSWORD ? null : reply(535, '5.7.8 no'));

  it.each(['implicit', 'starttls'] as const)('%s: logs in and sends', async (tls) => {
    const server = await opened.server({ login: onlyRight }, { secure: tls === 'implicit' }, certificate);
    const options = { ...starttls(server.port), submission: { host: 'localhost', port: server.port, tls } };
    const transport = await opened.transport(server.port, options);
    await transport.deliver(fileOf(), never());
    expect(server.logins).toEqual([PASSWORD]);
    expect(server.mails).toHaveLength(1);
  });

  it('where STARTTLS is not offered nothing is said, also no password', async () => {
    const server = await opened.script((line) => (line.startsWith('EHLO') ? '250-x\r\n250 AUTH PLAIN' : '502 no'));
    const transport = await opened.transport(server.port, starttls(server.port));
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain(`localhost:${server.port} does not do STARTTLS: "502 no"`);
    expect(server.lines.map((line) => line.split(' ')[0])).toEqual(['EHLO', 'STARTTLS']);
  });

  it('a server elsewhere is not used without TLS', async () => {
    const submission = { host: 'mail.oslo.example', port: 25, tls: 'none' } as const;
    await expect(opened.transport(25, { submission })).rejects.toMatchObject({ retry: 'operator' });
  });

  it('an authority that is not known is not trusted, and one that is put in place is, without a restart', async () => {
    const server = await opened.server({}, {}, certificate);
    const other = await makeAuthority(folder, 'other');
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, await readFile(other.ca));
    const transport = await opened.transport(server.port, { ...starttls(server.port), ca });
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain('by an authority that is not known here');
    expect(server.logins).toEqual([]);
    await writeFile(ca, await readFile(authority.ca));
    await transport.deliver(fileOf(), never());
    expect(server.mails).toHaveLength(1);
  });

  it.each(['implicit', 'starttls'] as const)('%s: a certificate of another name is not taken', async (tls) => {
    const server = await opened.server({}, { secure: tls === 'implicit' }, foreign);
    const submission = { host: 'localhost', port: server.port, tls };
    const transport = await opened.transport(server.port, { ...starttls(server.port), submission });
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toContain('its certificate is for another name');
    expect(server.logins).toEqual([]);
  });

  it('a wrong password is told without it, and is not tried again until it is another', async () => {
    const server = await opened.server(
      { login: (user, secret) => onlyRight(user, secret) && reply(535, `5.7.8 no: ${secret}`) },
      {},
      certificate,
    );
    const password = join(folder, 'wrong');
    await writeFile(password, 'hunter2 hunter2\n');
    const login = {
      submission: { method: 'password', user: 'oslo', password: { file: password } },
      mailbox,
    } as const;
    const transport = await opened.transport(server.port, { ...starttls(server.port), login });
    for (let i = 0; i < 2; i++) {
      const error = await failureOf(transport.deliver(fileOf(), never()));
      expect(error).toMatchObject({
        code: 'transport-failed',
        retry: 'operator',
        context: { reply: 535, status: '5.7.8' },
      });
      expect(error.message).toContain('refused the login of oslo: "535 5.7.8 no: ..."');
      expect(JSON.stringify([error.message, error.hint, error.context, String(error.cause)])).not.toContain('hunter2');
    }
    expect(server.logins).toEqual(['hunter2 hunter2']);
    await writeFile(password, `${PASSWORD}\n`);
    await transport.deliver(fileOf(), never());
    expect(server.logins).toEqual(['hunter2 hunter2', PASSWORD]);
  });

  /** A command that prints token-1, token-2 … */
  async function tokens(): Promise<string[]> {
    const count = join(await opened.folder(), 'count');
    const program = `const fs=require('fs');let n=1;try{n=1+Number(fs.readFileSync(${JSON.stringify(count)},'utf8'))}catch{}fs.writeFileSync(${JSON.stringify(count)},String(n));console.log('token-'+n)`;
    return [process.execPath, '-e', program];
  }

  it('a token that is refused is renewed once', async () => {
    const server = await opened.server(
      { login: (_user, token) => (token === 'token-2' ? null : reply(535, '5.7.3 no')) },
      { authMethods: ['XOAUTH2'] },
      certificate,
    );
    const login = {
      submission: { method: 'token-command', user: 'oslo', command: await tokens() },
      mailbox,
    } as const;
    const transport = await opened.transport(server.port, { ...starttls(server.port), login });
    await transport.deliver(fileOf(), never());
    expect(server.logins).toEqual(['token-1', 'token-2']);
    server.behaviour.login = () => reply(535, '5.7.3 no');
    const second = await opened.transport(server.port, { ...starttls(server.port), login });
    expect(await failureOf(second.deliver(fileOf(), never()))).toMatchObject({ retry: 'operator' });
    expect(server.logins.slice(2)).toEqual(['token-3', 'token-4']);
  });

  it('a server that knows only OAUTHBEARER gets the token in that form, and its reason is answered', async () => {
    const server = await opened.script((line) => {
      if (line.startsWith('EHLO')) return '250-x\r\n250 AUTH OAUTHBEARER';
      if (line.startsWith('AUTH')) return '334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=';
      return line === 'AQ==' ? '535-5.7.8 not that\r\n535 5.7.8 token-1' : '250 fine';
    });
    const login = {
      submission: { method: 'token-command', user: 'o=,slo', command: await tokens() },
      mailbox,
    } as const;
    const transport = await opened.transport(server.port, { login });
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error.message).toContain('refused the login of o=,slo: "535 5.7.8 not that');
    const [, first, reason] = server.lines;
    expect(reason).toBe('AQ==');
    expect(Buffer.from(first!.slice('AUTH OAUTHBEARER '.length), 'base64').toString()).toBe(
      'n,a=o=3D=2Cslo,\x01auth=Bearer token-1\x01\x01',
    );
  });
});

describe('what the server does not take', () => {
  it.each([
    [450, '4.7.1 Greylisted, try again later', 'later', false],
    [450, '4.2.2 mailbox full', 'later', false],
    [550, '5.1.1 no such user', 'operator', false],
    [550, '5.7.1 not allowed', 'operator', false],
    [554, 'Message looks like spam', 'operator', false],
    [552, 'too large', 'never', true],
    [554, '5.3.4 too large', 'never', true],
    [552, '5.2.2 mailbox full', 'later', false],
  ] as const)('%s %s: %s', async (code, text, retry, isTooLarge) => {
    const server = await opened.server({ rcpt: () => reply(code, text) });
    const transport = await opened.transport(server.port);
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry, context: { reply: code, isTooLarge } });
    expect(error.message).toBe(
      `The mail server 127.0.0.1:${server.port} did not take the mail to dirpost@hq.example: "${code} ${text}".`,
    );
    expect(error.hint).toBeDefined();
  });

  it('greylisting of one peer holds up no other, and passes the second time', async () => {
    const seen = new Set<string>();
    const rcpt = (to: string) => (seen.has(to) || seen.add(to).size === 0 ? null : reply(451, '4.7.1 Greylisted'));
    const server = await opened.server({ rcpt });
    const transport = await opened.transport(server.port);
    for (const to of ['hq', 'bergen']) {
      expect(await failureOf(transport.deliver(fileOf(300, to), never()))).toMatchObject({ retry: 'later' });
    }
    for (const to of ['hq', 'bergen']) await transport.deliver(fileOf(300, to), never());
    expect(server.mails).toHaveLength(2);
    expect(server.connections).toBe(1);
  });

  it('after a 421 the server is left alone, longer each time, and then asked again', async () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, sleep: () => Promise.reject(new Error('not called')) };
    const server = await opened.server({ connect: () => reply(421, '4.3.2 come back') });
    const transport = await opened.transport(
      server.port,
      {},
      { clock, times: { submission: { firstPauseMs: 600_000 } } },
    );
    const fail = () => failureOf(transport.deliver(fileOf(), never()));
    expect(await fail()).toMatchObject({ retry: 'later', context: { reply: 421, isSlowDown: true } });
    nowMs = 599_000;
    expect(await fail()).toMatchObject({ retry: 'later', context: { retryAfterS: 1 } });
    expect(server.connections).toBe(1);
    nowMs = 600_000;
    await fail();
    expect(server.connections).toBe(2);
    nowMs += 600_000;
    expect((await fail()).context['retryAfterS']).toBe(300);
    server.behaviour = {};
    nowMs += 300_000;
    await transport.deliver(fileOf(), never());
  });

  it('a 4xx that says how long is obeyed', async () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, sleep: () => Promise.reject(new Error('not called')) };
    const server = await opened.server({ rcpt: () => reply(452, '4.5.3 too many messages, try again in 120 seconds') });
    const transport = await opened.transport(server.port, {}, { clock });
    expect((await failureOf(transport.deliver(fileOf(), never()))).context['retryAfterS']).toBe(120);
    server.behaviour = {};
    nowMs = 119_000;
    expect((await failureOf(transport.deliver(fileOf(), never()))).context['retryAfterS']).toBe(1);
    nowMs = 120_000;
    await transport.deliver(fileOf(), never());
  });
});

describe('sizes', () => {
  it('a 552 makes what goes to that peer smaller, to no other, and over a restart', async () => {
    const server = await opened.server({ data: (mail) => (mail.to[0]!.includes('hq') ? reply(552, 'no') : null) });
    const folder = join(await opened.folder(), 'mail');
    const transport = await opened.transport(server.port, { folder });
    expect(transport.maxMessageBytesTo('hq')).toBe(5_000_000);
    await Promise.all([1, 2, 3].map(() => failureOf(transport.deliver(fileOf(1_000_000), never()))));
    expect([transport.maxMessageBytesTo('hq'), transport.maxMessageBytesTo('bergen')]).toEqual([500_000, 5_000_000]);
    const again = await failureOf(transport.deliver(fileOf(600_000), never()));
    expect(again).toMatchObject({ code: 'message-too-large', context: { maxBytes: 500_000 } });
    await failureOf(transport.deliver(fileOf(400_000), never()));
    expect(transport.maxMessageBytesTo('hq')).toBe(256 * 1024);
    await failureOf(transport.deliver(fileOf(1_000), never()));
    expect(transport.maxMessageBytesTo('hq')).toBe(256 * 1024);
    await transport.close();
    let nowMs = Date.now();
    const next = await opened.transport(server.port, { folder }, { now: () => nowMs });
    expect([next.maxMessageBytesTo('hq'), next.maxMessageBytes]).toEqual([256 * 1024, 5_000_000]);
    nowMs += 31 * 24 * 3_600_000;
    expect(next.maxMessageBytesTo('hq')).toBe(5_000_000);
  });

  it('what is refused although it is one of the smallest names what has to pass', async () => {
    const server = await opened.server({ data: () => reply(552, '5.3.4 no') });
    const transport = await opened.transport(server.port);
    const larger = await failureOf(transport.deliver(fileOf(300_000), never()));
    expect(larger.context).not.toHaveProperty('neededBytes');
    expect(larger.hint).toMatch(/smaller parts from now on/);
    const smallest = await failureOf(transport.deliver(fileOf(200_000), never()));
    const { neededBytes } = smallest.context as { neededBytes: number };
    expect(neededBytes).toBeGreaterThan(256 * 1024 * 1.36);
    expect(smallest.hint).toContain(`mails of ${neededBytes} bytes`);
  });

  it('a bounce of one of the smallest names what has to pass, once those before it have come back', async () => {
    let nowMs = Date.now();
    const transport = await opened.transport(1, { maxMessageBytes: 500_000 }, { now: () => nowMs });
    expect([transport.tooLargeFor('hq'), transport.tooLargeFor('hq')]).toEqual([null, null]);
    expect(transport.maxMessageBytesTo('hq')).toBe(256 * 1024);
    nowMs += 11 * 60_000;
    expect([transport.tooLargeFor('hq'), transport.tooLargeFor('hq')]).toEqual(Array(2).fill(expect.any(Number)));
    expect(transport.tooLargeFor('bergen')).toBeNull();
  });

  it('a bounce that says so makes parts smaller', async () => {
    const transport = await opened.transport(1);
    transport.tooLargeFor('hq');
    transport.tooLargeFor('hq');
    expect(transport.maxMessageBytesTo('hq')).toBe(2_500_000);
    transport.tooLargeFor('hq', 2_000_000);
    expect(transport.maxMessageBytesTo('hq')).toBe(1_000_000);
    // An older, larger one that comes back later.
    transport.tooLargeFor('hq', 4_000_000);
    expect(transport.maxMessageBytesTo('hq')).toBe(1_000_000);
  });

  it.each(['binary', 'armoured'] as const)('%s: what SIZE leaves fits, and is known after a restart', async (form) => {
    const server = await opened.server({}, { size: 200_000, rejectOversized: true });
    const folder = join(await opened.folder(), 'mail');
    const attachment = { name: '{id}.dpm', type: 'application/octet-stream', form };
    const transport = await opened.transport(server.port, { folder, attachment });
    const error = await failureOf(transport.deliver(fileOf(190_000), never()));
    expect(error).toMatchObject({
      code: 'transport-failed',
      retry: 'never',
      context: { isTooLarge: true, reply: null },
    });
    const most = transport.maxMessageBytes;
    expect(most).toBeGreaterThan(130_000);
    expect(transport.maxMessageBytesTo('hq')).toBe(most);
    expect(await failureOf(transport.deliver(fileOf(most + 1), never()))).toMatchObject({ code: 'message-too-large' });
    await transport.deliver(fileOf(most), never());
    await transport.close();
    expect((await opened.transport(server.port, { folder, attachment })).maxMessageBytes).toBe(most);
    expect((await opened.transport(1, { folder, attachment })).maxMessageBytes).toBe(5_000_000);
  });

  it('a damaged memory of sizes is told, and does no harm', async () => {
    const folder = await opened.folder();
    await writeFile(join(folder, 'sizes.json'), '{"server":3');
    expect((await opened.transport(1, { folder })).maxMessageBytes).toBe(5_000_000);
    expect(opened.problems).toHaveLength(1);
  });
});

describe('a line that fails', () => {
  it('a server that never greets', async () => {
    const server = await opened.script(() => null, '');
    const transport = await opened.transport(server.port, {}, { times: { submission: { greetingMs: 200 } } });
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later', context: { isSlowDown: true } });
    expect(error.message).toContain(`127.0.0.1:${server.port} could not be reached: it does not answer`);
  });

  it('a server that says nothing after the mail', async () => {
    const server = await opened.script(polite);
    const transport = await opened.transport(server.port, {}, { times: { submission: { silenceMs: 200 } } });
    const error = await failureOf(transport.deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error.message).toContain('The mail to dirpost@hq.example did not reach');
    expect(error.message).toContain('it fell silent');
    expect(server.lines).toContain('.');
  });

  it('a connection that is cut within the mail', async () => {
    const server = await opened.script((line, socket) => {
      if (line.startsWith('Auto-Submitted')) socket.destroy();
      return polite(line);
    });
    const transport = await opened.transport(server.port);
    const error = await failureOf(transport.deliver(fileOf(2_000_000), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error.message).toContain('the connection was cut');
  });

  it('nothing listens', async () => {
    const error = await failureOf((await opened.transport(1)).deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(error.message).toBe('The mail server 127.0.0.1:1 could not be reached: nothing listens there.');
  });

  it('what is no mail server', async () => {
    const server = await opened.script(() => 'HTTP/1.1 400 Bad Request', '* OK [CAPABILITY IMAP4rev1] ready');
    const error = await failureOf((await opened.transport(server.port)).deliver(fileOf(), never()));
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect(error.message).toMatch(/^The mail server \S+ could not be reached: it does not greet as an SMTP server\.$/);
    expect(error.hint).toMatch(/transports\.mail\.submission/);
  });

  it('an abort ends a mail that is under way, and the next one passes', async () => {
    const stop = new AbortController();
    const server = await opened.script((line) => {
      if (line !== '.') return polite(line);
      if (stop.signal.aborted) return '250 taken';
      stop.abort(new Error('enough'));
      return null;
    });
    const transport = await opened.transport(server.port);
    await expect(transport.deliver(fileOf(), stop.signal)).rejects.toThrow('enough');
    await transport.deliver(fileOf(), never());
  });

  it('a connection that the server ends as the next mail begins is replaced, once', async () => {
    const used = new Set<unknown>();
    const server = await opened.script((line, socket) => {
      if (line.startsWith('MAIL') && (used.has(socket) || used.size === 3)) socket.destroy();
      if (line !== '.') return polite(line);
      used.add(socket);
      return '250 taken';
    });
    const transport = await opened.transport(server.port);
    for (let i = 0; i < 3; i++) await transport.deliver(fileOf(), never());
    expect(server.lines.filter((line) => line === '.')).toHaveLength(3);
    expect(await failureOf(transport.deliver(fileOf(), never()))).toMatchObject({ retry: 'later' });
  });

  it('an answer is quoted in one short line', async () => {
    const server = await opened.server({ rcpt: () => reply(550, `5.1.1 no\x07\x1b[31m ${'x'.repeat(2_000)}`) });
    const { message } = await failureOf((await opened.transport(server.port)).deliver(fileOf(), never()));
    const quoted = /"(.*)"/.exec(message)![1]!;
    expect(quoted.length).toBeLessThanOrEqual(300);
    expect(/[\p{Cc}]/u.test(message)).toBe(false);
  });

  it('closing ends what is under way, and nothing is sent after it', async () => {
    const server = await opened.script(polite);
    const transport = await opened.transport(server.port);
    const sending = failureOf(transport.deliver(fileOf(), never()));
    while (!server.lines.includes('.')) await new Promise(setImmediate);
    await transport.close();
    expect(await sending).toMatchObject({ code: 'transport-failed', retry: 'later' });
    expect(await failureOf(transport.deliver(fileOf(), never()))).toMatchObject({ code: 'transport-failed' });
  });
});

describe('the pace', () => {
  it('of a profile that allows 30 mails a minute is kept, and who would wait for long is told so', async () => {
    let nowMs = 0;
    const sleeping: { ms: number; wake: () => void }[] = [];
    const clock = {
      now: () => nowMs,
      sleep: async (ms: number, signal: AbortSignal) => {
        await new Promise<void>((wake, fail) => {
          sleeping.push({ ms, wake });
          signal.addEventListener('abort', () => fail(signal.reason as Error));
        });
      },
    };
    const server = await opened.server();
    const transport = await opened.transport(server.port, { profile: 'microsoft365' }, { clock });
    const stop = new AbortController();
    for (let i = 0; i < 30; i++) await transport.deliver(fileOf(), never());
    const aborted = failureOf(transport.deliver(fileOf(), stop.signal));
    const waiting = transport.deliver(fileOf(), never());
    while (sleeping.length < 2) await new Promise(setImmediate);
    expect(sleeping.map(({ ms }) => ms)).toEqual([60_000, 60_000]);
    expect(server.mails).toHaveLength(30);
    stop.abort(new Error('enough'));
    expect((await aborted).message).toBe('enough');
    nowMs = 60_000;
    sleeping[1]!.wake();
    await waiting;
    expect(server.mails).toHaveLength(31);
  });

  it('has no more connections at once than the profile allows', async () => {
    const held: (() => void)[] = [];
    const sockets = new Set<unknown>();
    const server = await opened.script((line, socket) => {
      if (line !== '.') return polite(line);
      sockets.add(socket);
      held.push(() => socket.write('250 taken\r\n'));
      return null;
    });
    const transport = await opened.transport(server.port);
    const sending = Array.from({ length: 5 }, () => transport.deliver(fileOf(), never()));
    while (held.length < 3) await new Promise(setImmediate);
    for (let i = 0; i < 5; i++) {
      while (held.length === 0) await new Promise(setImmediate);
      held.shift()!();
    }
    await Promise.all(sending);
    expect(sockets.size).toBe(3);
    expect(server.lines.filter((line) => line.startsWith('EHLO'))).toHaveLength(3);
  });
});
