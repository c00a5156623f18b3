/**
 * Collecting by IMAP from a real mailbox: what is taken, what stays, what is said of it, and what is left of all that when
 * connections, folders or whole mailboxes go away.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bounce, type MailDependencies, MailTransport, type MailTransportOptions } from '@dirpost/adapters';
import type { DirpostError } from '@dirpost/core';
import { ImapFlow } from 'imapflow';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { MailOptions } from '../servers/mail/options.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { file, foreignMail, letter, nested, notification } from './bad-mails.ts';

const USERS = 60;
const users = Array.from({ length: USERS }, (_, i) => ({ address: `user${i}@one.test`, password: 'secret' }));
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the tests judge by stands in it: `refused`, `for another`. */
function messageFile(word = 'good', bytes = 600): Buffer {
  return Buffer.concat([Buffer.from(`DIRPOST1 ${word} `), randomBytes(bytes)]);
}

let used = 0;
const ended: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

interface Opening {
  user?: string;
  folder?: string;
  mailbox?: Partial<MailTransportOptions['mailbox']>;
  options?: Partial<MailTransportOptions>;
  times?: NonNullable<MailDependencies['times']>['mailbox'];
}

/** A requestor's side of one mailbox. */
class Desk {
  readonly transport: MailTransport;
  readonly user: string;
  readonly folder: string;
  readonly spooled: Buffer[] = [];
  readonly offered: Buffer[] = [];
  readonly problems: DirpostError[] = [];
  readonly bounces: Bounce[] = [];
  nowMs = Date.now();

  constructor(mail: MailSystem, folder: string, opening: Opening) {
    this.folder = folder;
    this.user = opening.user ?? users[used++]!.address;
    const options: MailTransportOptions = {
      postoffice: 'hq',
      address: this.user,
      addressOf: () => 'nobody@one.test',
      profile: 'generic',
      submission: { host: mail.smtp.host, port: mail.smtp.port, tls: 'starttls' },
      mailbox: {
        host: mail.imap.host,
        port: mail.imap.imapsPort,
        tls: 'implicit',
        inbox: 'INBOX',
        processed: 'Dirpost/Processed',
        junk: null,
        foreign: null,
        keepProcessedMs: 14 * DAY_MS,
        ...opening.mailbox,
      },
      login: {
        submission: null,
        mailbox: { method: 'password', user: this.user, password: { file: join(folder, 'password') } },
      },
      ca: mail.ca,
      attachment: { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' },
      maxMessageBytes: 1_000_000,
      folder: join(folder, 'mail'),
      tagSecret: Buffer.alloc(32, 7),
      judge: (bytes) =>
        Buffer.from(bytes).includes('refused') ? { take: false, why: 'its signature is wrong' } : { take: true },
      onProblem: (problem) => this.problems.push(problem),
      onBounce: (bounce) => void this.bounces.push(bounce),
      ...opening.options,
    };
    const times = opening.times === undefined ? {} : { times: { mailbox: opening.times } };
    this.transport = new MailTransport(options, { now: () => this.nowMs, ...times });
  }

  async collect(signal = new AbortController().signal): Promise<number> {
    return await this.transport.collect(async (bytes) => {
      const copy = Buffer.from(bytes);
      this.offered.push(copy);
      if (copy.includes('for another')) return false;
      this.spooled.push(copy);
      return true;
    }, signal);
  }

  told(): string {
    return this.problems
      .splice(0)
      .map(({ message }) => message)
      .join('\n');
  }
}

async function open(mail: MailSystem, opening: Opening = {}): Promise<Desk> {
  const folder = opening.folder ?? (await mkdtemp(join(tmpdir(), 'dirpost-mail-collect-')));
  await writeFile(join(folder, 'password'), 'secret\n');
  const desk = new Desk(mail, folder, opening);
  ended.push(async () => {
    await desk.transport.close();
    await rm(folder, { recursive: true, force: true });
  });
  return desk;
}

/** As a person reads his mail. */
async function client(mail: MailSystem, user: string): Promise<ImapFlow> {
  const found = new ImapFlow({
    host: mail.imap.host,
    port: mail.imap.imapsPort,
    secure: true,
    auth: { user, pass: 'secret' },
    tls: { ca: await readFile(mail.ca, 'utf8') },
    logger: false,
  });
  await found.connect();
  ended.push(() => found.logout());
  return found;
}

function ours(to: string, ...files: Buffer[]): Buffer {
  return letter({ to, parts: [{ content: 'made by dirpost' }, ...files.map((bytes) => file(bytes))] });
}

const PROCESSED = 'Dirpost.Processed';

describeMail('a mailbox with Dovecot', () => {
  let mail: MailSystem;
  beforeAll(async () => {
    mail = await startMail({ users });
  });
  afterAll(() => mail?.stop());
  tests(() => mail);

  it('is told what it is for check', async () => {
    const desk = await open(mail);
    await mail.lay([foreignMail(1, desk.user)], desk.user);
    const facts = await desk.transport.lookAtMailbox(new AbortController().signal);
    expect(facts).toMatchObject({ hasProcessed: false, hasIdle: true, hasMove: true, waiting: 1, quota: null });
    expect(facts.tls).toMatch(/^TLSv1\.[23]$/);
    expect(facts.folders).toEqual({ inbox: 'INBOX', processed: PROCESSED, junk: 'Junk' });
    await desk.collect();
    expect((await desk.transport.lookAtMailbox(new AbortController().signal)).hasProcessed).toBe(true);
  });

  it('is reached by STARTTLS as well', async () => {
    const desk = await open(mail, { mailbox: { port: mail.imap.port, tls: 'starttls' } });
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
    const { tls } = await desk.transport.lookAtMailbox(new AbortController().signal);
    expect(tls).toMatch(/^TLSv1/);
  });

  it('tells a wrong password, and never the password', async () => {
    const desk = await open(mail);
    await writeFile(join(desk.folder, 'password'), 'something-else');
    const error = await desk.collect().catch((e: unknown) => e as DirpostError);
    expect(error).toMatchObject({ code: 'transport-failed', retry: 'operator' });
    expect((error as DirpostError).message).toMatch(/refuses the login of \S+@\S+ to the mailbox/);
    expect(JSON.stringify([error, (error as DirpostError).message, (error as DirpostError).cause])).not.toContain(
      'something-else',
    );
    await writeFile(join(desk.folder, 'password'), 'secret');
    expect(await desk.collect()).toBe(0);
  });

  it('is not read where the certificate is by a stranger, and not without TLS elsewhere', async () => {
    const { ca: _ca, ...without } = { ca: mail.ca };
    const stranger = await open(mail, { options: { ...without, ca: undefined as unknown as string } });
    await expect(stranger.collect()).rejects.toMatchObject({ code: 'transport-failed', retry: 'operator' });
    const plain = await open(mail, { mailbox: { host: 'imap.example.org', tls: 'none' } });
    await expect(plain.collect()).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('wakes as soon as mail arrives, and goes on while it is collected from', async () => {
    const desk = await open(mail);
    const stop = new AbortController();
    const wake = vi.fn();
    const watching = desk.transport.watch(wake, stop.signal);
    for (let i = 1; i <= 3; i++) {
      wake.mockClear();
      await mail.deliver(ours(desk.user, messageFile()), desk.user);
      await vi.waitFor(() => expect(wake).toHaveBeenCalled(), { timeout: 10_000 });
      await vi.waitUntil(async () => (await desk.collect()) > 0, { timeout: 10_000 });
      expect(desk.spooled).toHaveLength(i);
    }
    stop.abort();
    await watching;
    expect(await mail.mails(desk.user)).toHaveLength(0);
  });

  it('wakes for what lay there before', async () => {
    const desk = await open(mail);
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    const stop = new AbortController();
    const wake = vi.fn();
    const watching = desk.transport.watch(wake, stop.signal);
    await vi.waitFor(() => expect(wake).toHaveBeenCalled(), { timeout: 10_000 });
    stop.abort();
    await watching;
  });

  it('ends a wait at once, and says so when the line breaks', async () => {
    const own = await startMail({ users: [users[0]!] });
    ended.push(() => own.stop());
    const desk = await open(own, { user: users[0]!.address });
    const stop = new AbortController();
    const wake = vi.fn();
    await own.lay([foreignMail(1, desk.user)], desk.user);
    const watching = desk.transport.watch(wake, stop.signal);
    const broken = expect(watching).rejects.toMatchObject({ code: 'transport-failed', retry: 'later' });
    await vi.waitFor(() => expect(wake).toHaveBeenCalled(), { timeout: 10_000 });
    await own.killDovecot();
    await broken;
    await expect(desk.collect()).rejects.toMatchObject({ code: 'transport-failed', retry: 'later' });
    await own.startDovecot();
    await own.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
    // The connection that served has died unnoticed: a new one is made within the same call.
    await own.restartDovecot();
    await own.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
  });

  it('ends a collect at once when it is told to', async () => {
    const desk = await open(mail);
    await mail.lay(
      Array.from({ length: 20 }, () => ours(desk.user, messageFile())),
      desk.user,
    );
    const stop = new AbortController();
    const collecting = desk.transport.collect(async () => {
      stop.abort(new Error('enough'));
      return true;
    }, stop.signal);
    await expect(collecting).rejects.toThrow('enough');
    expect(await desk.collect()).toBe(20);
  });

  it('deletes old mails of ours from the processed folder, and nothing else there', async () => {
    const desk = await open(mail);
    await desk.collect();
    const person = await client(mail, desk.user);
    const mark = `Dirpost-Message: id=${'a'.repeat(32)}; to=hq; no=1; tag=${'b'.repeat(32)}`;
    const marked = letter({ to: desk.user, fields: [mark], parts: [file(messageFile())] });
    const old = new Date(Date.now() - 20 * DAY_MS);
    await person.append(PROCESSED, marked, [], old);
    await person.append(PROCESSED, notification(desk.user, marked), [], old);
    await person.append(PROCESSED, foreignMail(1, desk.user), [], old);
    await person.append(PROCESSED, marked);
    await person.append('Sent', marked, [], old);
    expect(await desk.collect()).toBe(0);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(4);
    desk.nowMs += 1.1 * DAY_MS;
    expect(await desk.collect()).toBe(0);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(2);
    // Only where the server itself puts there what is sent.
    expect(await mail.mails(desk.user, 'Sent')).toHaveLength(1);
    const microsoft = await open(mail, { user: desk.user, options: { profile: 'microsoft365' } });
    await microsoft.collect();
    expect(await mail.mails(desk.user, 'Sent')).toHaveLength(0);
  });

  it('knows after a restart what it told and examined', async () => {
    const desk = await open(mail);
    await mail.lay([ours(desk.user, messageFile('refused')), foreignMail(1, desk.user)], desk.user);
    await desk.collect();
    expect(desk.told()).toMatch(/signature is wrong/);
    await desk.transport.close();
    const next = await open(mail, { folder: desk.folder, user: desk.user });
    await next.collect();
    await mail.newUidValidity(desk.user);
    await next.collect();
    next.nowMs += 2 * DAY_MS;
    await next.collect();
    expect(next.told()).toBe('');
    await writeFile(join(desk.folder, 'mail', 'seen.json'), '{"version":1,');
    const damaged = await open(mail, { folder: desk.folder, user: desk.user });
    await damaged.collect();
    expect(damaged.told()).toMatch(/signature is wrong/);
  });

  it('takes a mail that lies in Junk, and says once whose', async () => {
    const desk = await open(mail);
    const person = await client(mail, desk.user);
    for (let i = 0; i < 2; i++) {
      await person.append('Junk', ours(desk.user, messageFile()));
      expect(await desk.collect()).toBe(1);
    }
    expect(desk.problems.map(({ message }) => message)).toEqual([
      'Mail of dirpost@oslo.test lies in Junk. Its message files were taken all the same.',
    ]);
    expect(await mail.mails(desk.user, 'Junk')).toHaveLength(0);
    const blind = await open(mail, { user: desk.user, mailbox: { junk: false } });
    await person.append('Junk', ours(desk.user, messageFile()));
    expect(await blind.collect()).toBe(0);
  });

  it('moves what is not ours where it is told to', async () => {
    const desk = await open(mail, { mailbox: { foreign: 'Others' } });
    await mail.lay(
      [foreignMail(1, desk.user), ours(desk.user, messageFile()), ours(desk.user, messageFile('refused'))],
      desk.user,
    );
    expect(await desk.collect()).toBe(1);
    expect(await mail.mails(desk.user)).toHaveLength(0);
    expect(await mail.mails(desk.user, 'Others')).toHaveLength(2);
  });

  it('makes its folder again when somebody has removed it', async () => {
    const desk = await open(mail);
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
    const person = await client(mail, desk.user);
    await person.mailboxDelete(PROCESSED);
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
    desk.nowMs += 2 * HOUR_MS;
    expect(await desk.collect()).toBe(0);
    expect(await mail.mails(desk.user)).toHaveLength(0);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(1);
    expect(desk.spooled).toHaveLength(2);
  });
});

describeMail('a mailbox without IDLE and MOVE', () => {
  let mail: MailSystem;
  beforeAll(async () => {
    mail = await startMail({ users, idle: false, move: false } satisfies MailOptions);
  });
  afterAll(() => mail?.stop());
  tests(() => mail);

  it('is looked at now and then', async () => {
    const desk = await open(mail, { times: { pollMs: 50 } });
    const stop = new AbortController();
    const wake = vi.fn();
    await mail.lay([foreignMail(1, desk.user)], desk.user);
    const watching = desk.transport.watch(wake, stop.signal);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1), { timeout: 10_000 });
    await mail.deliver(ours(desk.user, messageFile()), desk.user);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2), { timeout: 10_000 });
    stop.abort();
    await watching;
    expect(await desk.collect()).toBe(1);
  });

  it('keeps what other programs have marked as deleted', async () => {
    const desk = await open(mail);
    await mail.lay([foreignMail(1, desk.user), ours(desk.user, messageFile())], desk.user);
    const person = await client(mail, desk.user);
    await person.mailboxOpen('INBOX');
    await person.messageFlagsAdd('1:*', ['\\Flagged']);
    const [foreign] = (await person.search({ subject: 'Lunch' }, { uid: true })) as number[];
    await person.messageFlagsAdd([foreign!], ['\\Deleted'], { uid: true });
    expect(await desk.collect()).toBe(1);
    expect(await mail.mails(desk.user)).toHaveLength(1);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(1);
  });
});

describeMail('a mailbox that is full, without MOVE', () => {
  let mail: MailSystem;
  const user = { address: 'full@one.test', password: 'secret', quotaBytes: 30_000 };
  beforeAll(async () => {
    mail = await startMail({ users: [user], move: false });
  });
  afterAll(() => mail?.stop());

  it('gives its message files once, says why they stay, and moves them when there is room', async () => {
    const desk = await open(mail, { user: user.address });
    await mail.lay([ours(desk.user, messageFile('good', 15_000))], desk.user);
    expect(await desk.collect()).toBe(1);
    expect(desk.problems).toMatchObject([{ code: 'transport-failed', context: { reason: 'OVERQUOTA' } }]);
    desk.nowMs += 1.1 * HOUR_MS;
    expect(await desk.collect()).toBe(0);
    expect(await desk.collect()).toBe(0);
    expect(desk.problems).toHaveLength(1);
    expect(desk.offered).toHaveLength(1);
    await mail.change({ users: [{ ...user, quotaBytes: 3_000_000 }] });
    desk.nowMs += 1.1 * HOUR_MS;
    expect(await desk.collect()).toBe(0);
    expect(await mail.mails(desk.user)).toHaveLength(0);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(1);
    expect(desk.offered).toHaveLength(1);
  });
});

/** Whatever the server can. */
function tests(system: () => MailSystem): void {
  it('gives message files and moves their mails', async () => {
    const mail = system();
    const desk = await open(mail);
    const sent = [messageFile(), messageFile('good', 400_000), messageFile()];
    await mail.lay(
      sent.map((bytes) => ours(desk.user, bytes)),
      desk.user,
    );
    expect(await desk.collect()).toBe(3);
    expect(desk.spooled.sort(Buffer.compare)).toEqual([...sent].sort(Buffer.compare));
    expect(await mail.mails(desk.user)).toHaveLength(0);
    expect(await mail.mails(desk.user, PROCESSED)).toHaveLength(3);
    expect(await desk.collect()).toBe(0);
    expect(desk.told()).toBe('');
  });

  it('moves no mail whose file is not spooled', async () => {
    const mail = system();
    const desk = await open(mail);
    await mail.lay(
      Array.from({ length: 3 }, () => ours(desk.user, messageFile())),
      desk.user,
    );
    let calls = 0;
    const full = desk.transport.collect(async () => {
      if (++calls > 1) throw new Error('the disk is full');
      return true;
    }, new AbortController().signal);
    await expect(full).rejects.toThrow('the disk is full');
    expect(await mail.mails(desk.user)).toHaveLength(2);
    expect(await desk.collect()).toBe(2);
  });

  it('leaves what is for another incarnation, and offers it again after an hour', async () => {
    const mail = system();
    const desk = await open(mail);
    await mail.lay([ours(desk.user, messageFile('for another'))], desk.user);
    expect(await desk.collect()).toBe(0);
    expect(await desk.collect()).toBe(0);
    expect(desk.offered).toHaveLength(1);
    desk.nowMs += 1.1 * HOUR_MS;
    await desk.collect();
    expect(desk.offered).toHaveLength(2);
    await desk.transport.close();
    const next = await open(mail, { folder: desk.folder, user: desk.user });
    await next.collect();
    expect(next.offered).toHaveLength(1);
    expect(await mail.mails(desk.user)).toHaveLength(1);
    expect([desk.told(), next.told()]).toEqual(['', '']);
  });

  it('takes all files of one mail, and leaves it when one is refused', async () => {
    const mail = system();
    const desk = await open(mail);
    await mail.lay([ours(desk.user, messageFile(), messageFile(), messageFile())], desk.user);
    expect(await desk.collect()).toBe(3);
    await mail.lay([ours(desk.user, messageFile(), messageFile('refused'))], desk.user);
    expect(await desk.collect()).toBe(1);
    expect(await desk.collect()).toBe(0);
    expect(await mail.mails(desk.user)).toHaveLength(1);
    expect(desk.problems).toHaveLength(1);
  });

  it('knows a file by its first octets, whatever is done to the mail around it', async () => {
    const mail = system();
    const desk = await open(mail);
    const { user: to } = desk;
    const footer = { content: 'This mail is confidential.' };
    const renamed = { name: 'rechnung.pdf', type: 'application/pdf', content: messageFile() };
    const bytes = messageFile();
    const inQuotedPrintable = [
      `To: ${to}`,
      'Message-ID: <qp@x.test>',
      'MIME-Version: 1.0',
      'Content-Type: application/x-thing',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      bytes
        .toString('hex')
        .replace(/../g, (hex) => `=${hex.toUpperCase()}`)
        .replace(/.{72}/g, '$&=\r\n'),
    ].join('\r\n');
    await mail.lay(
      [
        letter({ to, subject: 'Re: hello', parts: [{ content: 'words' }, renamed, footer] }),
        letter({
          to,
          subject: '[EXTERNAL]',
          parts: [nested(5, { type: 'application/octet-stream', content: messageFile() })],
        }),
        inQuotedPrintable,
      ],
      to,
    );
    expect(await desk.collect()).toBe(3);
    expect(desk.spooled.some((spooled) => spooled.equals(bytes))).toBe(true);
    expect(await mail.mails(to)).toHaveLength(0);
  });

  it('takes what came twice twice, and loses nothing when the mailbox is wiped or numbered anew', async () => {
    const mail = system();
    const desk = await open(mail);
    const twice = ours(desk.user, messageFile());
    await mail.lay([twice, twice], desk.user);
    expect(await desk.collect()).toBe(2);
    await mail.wipeMailbox(desk.user);
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    expect(await desk.collect()).toBe(1);
    await mail.lay([ours(desk.user, messageFile())], desk.user);
    await mail.newUidValidity(desk.user);
    expect(await desk.collect()).toBe(1);
    expect(desk.told()).toBe('');
  });

  it('shares the mailbox with another agent without a word', async () => {
    const mail = system();
    const desk = await open(mail);
    const other = await open(mail, { user: desk.user });
    await mail.lay(
      Array.from({ length: 50 }, () => ours(desk.user, messageFile())),
      desk.user,
    );
    const counts = await Promise.all([desk.collect(), other.collect()]);
    expect(counts[0]! + counts[1]!).toBeGreaterThanOrEqual(50);
    const taken = new Set([...desk.spooled, ...other.spooled].map((bytes) => bytes.toString('hex')));
    expect(taken.size).toBe(50);
    expect(await mail.mails(desk.user)).toHaveLength(0);
    expect(desk.told() + other.told()).toBe('');
  });

  it('says once what is wrong, and touches nothing', async () => {
    const mail = system();
    const desk = await open(mail);
    const { user: to } = desk;
    const good = messageFile();
    const cases: [Buffer | string, RegExp | ''][] = [
      [Buffer.from('\0\x01\xff\n\n\n\0'.repeat(500), 'latin1'), /is no mail/],
      [foreignMail(1, to), ''],
      [letter({ to, parts: [file(messageFile('good', 1_500_000))] }), /more than 1000000 bytes/],
      [letter({ to, parts: [file(messageFile('good', 4_000_000))] }), /more than 1000000 bytes/],
      [letter({ to, parts: [nested(200, file(good))] }), /nested more deeply/],
      [letter({ to, parts: Array.from({ length: 10_000 }, () => ({ content: 'x', base64: '' })) }), /more parts, or/],
      [letter({ to, parts: [{ ...file(''), base64: `${good.toString('base64').slice(0, 400)}!!$$` }] }), /damaged/],
      [letter({ to, parts: [file(messageFile('refused'))] }), /signature is wrong/],
      [letter({ to, parts: [{ name: 'removed.txt', content: 'A virus was removed.' }] }), /no message file/],
      [
        letter({
          to,
          subject: 'Automatic reply: dirpost hq to oslo no 3',
          fields: ['Auto-Submitted: auto-replied'],
          parts: [{ content: 'I am away.' }],
        }),
        /automatic answer/,
      ],
    ];
    for (const [raw, told] of cases) {
      await mail.lay([raw], to);
      expect(await desk.collect()).toBe(0);
      if (told === '') expect(desk.told()).toBe('');
      else expect(desk.told()).toMatch(told);
      await desk.collect();
      expect(desk.told()).toBe('');
    }
    expect(await mail.mails(to)).toHaveLength(cases.length);
    desk.nowMs += 2 * DAY_MS;
    await desk.collect();
    expect(desk.told()).toBe('');
    expect(desk.spooled).toHaveLength(0);
    expect(await mail.flags(to)).toEqual(new Set(['']));
  });

  it('never takes a file out of a notification, and tells of it once', async () => {
    const mail = system();
    const desk = await open(mail);
    await mail.lay([notification(desk.user, ours('dirpost@oslo.test', messageFile()))], desk.user);
    for (let i = 0; i < 2; i++) expect(await desk.collect()).toBe(0);
    expect(desk.bounces).toMatchObject([
      { isAuthentic: false, messageId: null, peer: 'hq', number: 42, recipient: 'dirpost@hq.test', status: '5.1.1' },
    ]);
    expect(desk.problems).toHaveLength(1);
    expect(await mail.mails(desk.user)).toHaveLength(0);
  });

  it('collects 1,000 waiting message files quickly and with little memory', async () => {
    const mail = system();
    const desk = await open(mail);
    const mails = Array.from({ length: 1_000 }, () => ours(desk.user, messageFile('good', 2_000)));
    await mail.lay(mails, desk.user);
    const heapBefore = process.memoryUsage().rss;
    const sinceMs = performance.now();
    let count = 0;
    await desk.transport.collect(async () => ++count > 0, new AbortController().signal);
    const seconds = (performance.now() - sinceMs) / 1000;
    const grownMb = (process.memoryUsage().rss - heapBefore) / 1e6;
    console.log(
      `collected ${Math.round(count / seconds)} message files per second, ${grownMb.toFixed(0)} MB more memory`,
    );
    expect(count).toBe(1_000);
    expect(count / seconds).toBeGreaterThan(50);
    expect(grownMb).toBeLessThan(150);
  });
}
