/**
 * Notifications as mail servers really write them, laid into a real mailbox: what of them is fetched and understood, and
 * that none of them gives a message file.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bounce, MailTransport } from '@dirpost/adapters';
import type { DirpostError } from '@dirpost/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';

const TAG_SECRET = Buffer.alloc(32, 7);
const own = 'dirpost@oslo.test';
const peer = 'dirpost@hq.test';

/** The mail that comes back, as it left. */
interface Sent {
  id: string;
  raw: string;
  head: string;
}

describeMail('notifications in a mailbox', () => {
  let mail: MailSystem;
  let folder: string;
  let transport: MailTransport;
  let sent: Sent;
  const bounces: Bounce[] = [];
  let noting: () => Promise<void> = async () => {};
  const problems: DirpostError[] = [];
  const spooled: Uint8Array[] = [];

  beforeAll(async () => {
    mail = await startMail({
      users: [
        { address: own, password: 'secret' },
        { address: peer, password: 'secret' },
      ],
    });
    folder = await mkdtemp(join(tmpdir(), 'dirpost-mail-bounces-'));
    await writeFile(join(folder, 'password'), 'secret\n');
    transport = openTransport();
    sent = await sendOne();
  });
  afterAll(async () => {
    await transport?.close();
    await mail?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function openTransport(): MailTransport {
    const login = { method: 'password' as const, user: own, password: { file: join(folder, 'password') } };
    return new MailTransport({
      postoffice: 'oslo',
      address: own,
      addressOf: () => peer,
      profile: 'generic',
      submission: { host: mail.smtp.host, port: mail.smtp.port, tls: 'starttls' },
      mailbox: {
        host: mail.imap.host,
        port: mail.imap.imapsPort,
        tls: 'implicit',
        inbox: 'INBOX',
        processed: 'Processed',
        junk: null,
        foreign: null,
        keepProcessedMs: 1e10,
      },
      login: { submission: login, mailbox: login },
      ca: mail.ca,
      attachment: { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' },
      maxMessageBytes: 1_000_000,
      folder: join(folder, 'mail'),
      tagSecret: TAG_SECRET,
      judge: () => ({ take: true }),
      onProblem: (problem) => problems.push(problem),
      onBounce: async (bounce) => {
        bounces.push(bounce);
        await noting();
      },
    });
  }

  async function sendOne(): Promise<Sent> {
    const id = randomBytes(16).toString('hex');
    const bytes = Buffer.concat([Buffer.from('DIRPOST1'), randomBytes(2_000)]);
    const about = { kind: 'exchange' as const, number: 42, part: 0, parts: 1, changes: 3 };
    await transport.deliver({ id, from: 'oslo', to: 'hq', bytes, about }, new AbortController().signal);
    await mail.settled();
    const raw = (await mail.mails(peer))[0]!.toString('latin1').replaceAll(/\r?\n/g, '\r\n');
    return { id, raw, head: raw.slice(0, raw.indexOf('\r\n\r\n') + 2) };
  }

  /** Collected twice, so that what is told twice is seen. */
  async function arrives(lines: string[]): Promise<void> {
    bounces.length = 0;
    problems.length = 0;
    await mail.lay([lines.join('\r\n')], own);
    for (let i = 0; i < 2; i++) {
      const count = await transport.collect(async (bytes) => spooled.push(bytes) > 0, new AbortController().signal);
      expect(count).toBe(0);
    }
    expect(spooled).toEqual([]);
  }

  const ours = () => ({ isAuthentic: true, messageId: sent.id, peer: 'hq', number: 42, recipient: peer });

  it('of Exim, with all of the mail', async () => {
    await arrives([
      'Return-path: <>',
      `X-Failed-Recipients: ${peer}`,
      'Auto-Submitted: auto-replied',
      'From: Mail Delivery System <Mailer-Daemon@mail.oslo.test>',
      `To: ${own}`,
      `References: <${sent.id}@oslo.test>`,
      'Content-Type: multipart/report; report-type=delivery-status; boundary=1732180000-eximdsn-123456',
      'MIME-Version: 1.0',
      'Subject: Mail delivery failed: returning message to sender',
      'Message-Id: <E1tE9aB-0000AB-2c@mail.oslo.test>',
      'Date: Sat, 21 Nov 2026 10:00:00 +0000',
      '',
      '--1732180000-eximdsn-123456',
      'Content-type: text/plain; charset=us-ascii',
      '',
      'This message was created automatically by mail delivery software.',
      '',
      'A message that you sent could not be delivered to one or more of its',
      'recipients. This is a permanent error. The following address(es) failed:',
      '',
      `  ${peer}`,
      '    host mx.hq.test [192.0.2.1]',
      `    SMTP error from remote mail server after RCPT TO:<${peer}>:`,
      '    550 5.1.1 <dirpost@hq.test>: Recipient address rejected: User unknown',
      '',
      '--1732180000-eximdsn-123456',
      'Content-type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mail.oslo.test',
      '',
      'Action: failed',
      `Final-Recipient: rfc822;${peer}`,
      'Status: 5.0.0',
      'Remote-MTA: dns; mx.hq.test',
      'Diagnostic-Code: smtp; 550 5.1.1 <dirpost@hq.test>: Recipient address rejected: User unknown',
      '',
      '--1732180000-eximdsn-123456',
      'Content-type: message/rfc822',
      '',
      sent.raw,
      '',
      '--1732180000-eximdsn-123456--',
      '',
    ]);
    expect(bounces).toMatchObject([{ ...ours(), action: 'failed', status: '5.1.1', isTooLarge: false }]);
    expect(bounces[0]!.diagnostic).toMatch(/^550 5\.1\.1/);
    expect(problems).toEqual([]);
    expect(await mail.mails(own)).toHaveLength(0);
  });

  it('of Exchange, with rebuilt MIME and parts in other transfer encodings', async () => {
    const status = [
      'Reporting-MTA: dns;AM0PR01MB1234.eurprd01.prod.exchangelabs.com',
      'Received-From-MTA: dns;mail.oslo.test',
      'Arrival-Date: Sat, 21 Nov 2026 10:00:00 +0000',
      '',
      `Original-Recipient: rfc822;${peer}`,
      'Final-Recipient: rfc822;dirpost@hq.onmicrosoft.com',
      'Action: failed',
      'Status: 5.2.3',
      'Diagnostic-Code: smtp;550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient',
      '',
    ].join('\r\n');
    await arrives([
      'Return-Path: <>',
      'From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@hq.test>',
      `To: <${own}>`,
      'MIME-Version: 1.0',
      'X-MS-Exchange-Message-Is-Ndr:',
      'Content-Type: multipart/report; report-type=delivery-status;',
      '\tboundary="3f0fe08f-b68e-4ed8-9b9f-83d7d8d8b7c1"',
      'Content-Language: en-GB',
      'Message-ID: <b7d3@AM0PR01MB1234.eurprd01.prod.exchangelabs.com>',
      'Subject: Undeliverable: dirpost oslo to hq no 42',
      'Auto-Submitted: auto-replied',
      '',
      '--3f0fe08f-b68e-4ed8-9b9f-83d7d8d8b7c1',
      'Content-Type: multipart/alternative; differences=Content-Type;',
      '\tboundary="aa0b"',
      '',
      '--aa0b',
      'Content-Type: text/plain; charset="us-ascii"',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Your message to dirpost@hq.test couldn=27t be delivered.=',
      '',
      '--aa0b',
      'Content-Type: text/html; charset="us-ascii"',
      '',
      '<html><body>Your message couldn&#39;t be delivered</body></html>',
      '',
      '--aa0b--',
      '--3f0fe08f-b68e-4ed8-9b9f-83d7d8d8b7c1',
      'Content-Type: message/delivery-status',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from(status).toString('base64').replaceAll(/.{76}/g, '$&\r\n'),
      '',
      '--3f0fe08f-b68e-4ed8-9b9f-83d7d8d8b7c1',
      'Content-Type: message/rfc822',
      '',
      'Received: from AM0PR01MB1234 by AM0PR01MB5678; Sat, 21 Nov 2026 10:00:00 +0000',
      sent.head.replaceAll(/^Message-ID:.*$/gim, 'Message-ID: <rewritten@exchange>').trimEnd(),
      '',
      'The body is not returned.',
      '',
      '--3f0fe08f-b68e-4ed8-9b9f-83d7d8d8b7c1--',
      '',
    ]);
    expect(bounces).toMatchObject([{ ...ours(), action: 'failed', status: '5.2.3', isTooLarge: true }]);
    expect(transport.maxMessageBytesTo('hq')).toBeLessThan(transport.maxMessageBytes);
    expect(await mail.mails(own)).toHaveLength(0);
  });

  it('of Gmail, about a delay and with the header fields only', async () => {
    await arrives([
      'Return-Path: <>',
      'From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>',
      `To: ${own}`,
      'Auto-Submitted: auto-replied',
      'Subject: Delivery Status Notification (Delay)',
      'Message-ID: <673f@mx.google.com>',
      `X-Failed-Recipients: ${peer}`,
      'Content-Type: multipart/report; boundary="00000000000098"; report-type=delivery-status',
      'MIME-Version: 1.0',
      '',
      '--00000000000098',
      'Content-Type: multipart/related; boundary="000000000000a1"',
      '',
      '--000000000000a1',
      'Content-Type: text/plain; charset="UTF-8"',
      '',
      '** Delivery incomplete **',
      '',
      'There was a temporary problem delivering your message. Gmail will retry for 46 more hours.',
      '',
      '--000000000000a1',
      'Content-Type: image/png; name="icon.png"',
      'Content-Disposition: attachment; filename="icon.png"',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.alloc(300, 1).toString('base64'),
      '--000000000000a1--',
      '--00000000000098',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; googlemail.com',
      'Arrival-Date: Fri, 20 Nov 2026 02:00:00 -0800 (PST)',
      '',
      `Final-Recipient: rfc822; ${peer}`,
      'Action: delayed',
      'Status: 4.4.1',
      'Diagnostic-Code: smtp; The recipient server did not accept our requests to connect.',
      'Will-Retry-Until: Sun, 22 Nov 2026 02:00:00 -0800 (PST)',
      '',
      '--00000000000098',
      'Content-Type: text/rfc822-headers',
      '',
      sent.head.trimEnd(),
      '',
      '--00000000000098--',
      '',
    ]);
    expect(bounces).toMatchObject([{ ...ours(), action: 'delayed', status: '4.4.1', isTooLarge: false }]);
  });

  it('in plain words, from the null sender', async () => {
    await arrives([
      'Return-Path: <>',
      'From: MAILER-DAEMON@mx.hq.test',
      `To: ${own}`,
      'Subject: failure notice',
      'Message-ID: <qmail@mx.hq.test>',
      '',
      'Hi. This is the qmail-send program at mx.hq.test.',
      '',
      `<${peer}>:`,
      'Sorry, no mailbox here by that name. (#5.1.1)',
      '',
      '--- Below this line is a copy of the message.',
      '',
      sent.raw,
    ]);
    expect(bounces).toMatchObject([{ isAuthentic: true, messageId: sent.id, action: 'failed', status: '5.1.1' }]);
  });

  it('is remembered as seen, and moved, only after it was noted', async () => {
    const told = async () =>
      (JSON.parse(await readFile(join(folder, 'mail', 'seen.json'), 'utf8')) as { told: string[] }).told.length;
    const before = await told();
    const other = openTransport();
    let found: { told: number; waiting: number } | null = null;
    noting = async () => {
      const { waiting } = await other.lookAtMailbox(new AbortController().signal);
      found = { told: await told(), waiting };
    };
    try {
      await arrives([
        'Return-Path: <>',
        'From: MAILER-DAEMON@mx.hq.test',
        `To: ${own}`,
        'Subject: failure notice',
        'Message-ID: <later@mx.hq.test>',
        '',
        'Hi. This is the qmail-send program at mx.hq.test.',
        '',
        `<${peer}>:`,
        'Sorry, no mailbox here by that name. (#5.1.1)',
        '',
        '--- Below this line is a copy of the message.',
        '',
        sent.raw,
      ]);
    } finally {
      noting = async () => {};
      await other.close();
    }
    expect(bounces).toHaveLength(1);
    expect(found).toEqual({ told: before, waiting: 1 });
    expect(await told()).toBe(before + 1);
  });

  it('that is forged: told, and nothing more', async () => {
    const forged = sent.head.replace(/tag=[0-9a-f]{32}/, `tag=${'0'.repeat(32)}`);
    const before = transport.maxMessageBytesTo('hq');
    await arrives([
      'From: Mail Delivery System <mailer-daemon@evil.test>',
      'Message-ID: <forged@evil.test>',
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      'MIME-Version: 1.0',
      '',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.hq.test',
      '',
      `Final-Recipient: rfc822; ${peer}`,
      'Action: failed',
      'Status: 5.3.4',
      'Diagnostic-Code: smtp; 552 5.3.4 too large',
      '',
      '--b',
      'Content-Type: text/rfc822-headers',
      '',
      forged.trimEnd(),
      '--b--',
      '',
    ]);
    expect(bounces).toMatchObject([{ isAuthentic: false, messageId: sent.id, isTooLarge: true }]);
    expect(problems.map(({ message }) => message)).toEqual([expect.stringMatching(/without proof/)]);
    expect(transport.maxMessageBytesTo('hq')).toBe(before);
  });

  it('about other people’s mail stays where it is, without a word', async () => {
    const before = (await mail.mails(own)).length;
    await arrives([
      'Return-Path: <>',
      'From: Mail Delivery System <mailer-daemon@mx.test>',
      'Message-ID: <other@mx.test>',
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      'MIME-Version: 1.0',
      '',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.test',
      '',
      'Final-Recipient: rfc822; ola@elsewhere.test',
      'Action: failed',
      'Status: 5.1.1',
      '',
      '--b',
      'Content-Type: text/rfc822-headers',
      '',
      'From: kari@oslo.test',
      'Subject: lunch',
      '--b--',
      '',
    ]);
    expect([bounces, problems]).toEqual([[], []]);
    expect(await mail.mails(own)).toHaveLength(before + 1);
  });
});
