/** The mail system of the tests does what tests of dirpost rely on: otherwise they would pass without having tried. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { dovecotFiles } from './dovecot.ts';
import type { MailOptions } from './options.ts';
import { describeMail } from './presence.ts';
import { type MailSystem, startMail } from './system.ts';

const alice = { address: 'alice@one.test', password: 'pwalice' };
const bob = { address: 'bob@two.test', password: 'pwbob' };

interface Sending {
  as?: typeof alice;
  to?: string;
  text?: string;
  bytes?: number;
  port?: number;
}

async function send(mail: MailSystem, sending: Sending = {}): Promise<void> {
  const { as = alice, to = bob.address, text = 'hello', bytes = 0, port = mail.smtp.port } = sending;
  const transport = createTransport({
    host: mail.smtp.host,
    port,
    secure: port === mail.smtp.smtpsPort,
    requireTLS: true,
    auth: { user: as.address, pass: as.password },
    tls: { ca: await readFile(mail.ca, 'utf8') },
  });
  const attachments = [{ filename: 'oslo.dpm', contentType: 'application/octet-stream', content: Buffer.alloc(bytes) }];
  await transport.sendMail({ from: as.address, to, subject: text, text, attachments });
  transport.close();
}

async function logIn(mail: MailSystem, as = bob, port = mail.imap.imapsPort): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: mail.imap.host,
    port,
    secure: port === mail.imap.imapsPort,
    auth: { user: as.address, pass: as.password },
    tls: { ca: await readFile(mail.ca, 'utf8') },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function inboxOf(client: ImapFlow): Promise<{ messages?: number; uidValidity?: bigint }> {
  const status = await client.status('INBOX', { messages: true, uidValidity: true });
  if (status === false) throw new Error('there is no INBOX');
  return status;
}

/** The mails of a user once there are so many. */
async function arrived(mail: MailSystem, count: number, address = bob.address): Promise<string[]> {
  for (;;) {
    const mails = await mail.mails(address);
    if (mails.length >= count) return mails.map(String);
    await wait(20);
  }
}

const subjects = (mails: string[]) => mails.map((mail) => /^Subject: (.*)$/m.exec(mail)?.[1]);

describeMail('a mail system', () => {
  let mail: MailSystem;
  beforeAll(async () => {
    mail = await startMail({ users: [alice, bob] });
  });
  afterAll(() => mail?.stop());

  it('takes a mail with STARTTLS or TLS and a login, and has it in the mailbox', async () => {
    await send(mail, { text: 'by STARTTLS' });
    await send(mail, { text: 'by TLS', port: mail.smtp.smtpsPort });
    expect(subjects(await arrived(mail, 2)).toSorted()).toEqual(['by STARTTLS', 'by TLS']);
    for (const port of [mail.imap.port, mail.imap.imapsPort]) {
      const client = await logIn(mail, bob, port);
      expect((await inboxOf(client)).messages).toBe(2);
      expect([...client.capabilities.keys()]).toEqual(expect.arrayContaining(['IDLE', 'MOVE', 'UIDPLUS']));
      await client.logout();
    }
  });

  it('refuses a wrong password, and takes a new one', async () => {
    const wrong = { ...alice, password: 'wrong' };
    await expect(send(mail, { as: wrong })).rejects.toThrow(/535/);
    await expect(logIn(mail, wrong)).rejects.toThrow();
    await mail.setPassword(alice.address, 'changed');
    await expect(send(mail, { as: alice })).rejects.toThrow(/535/);
    await send(mail, { as: { ...alice, password: 'changed' } });
    await (await logIn(mail, { ...alice, password: 'changed' })).logout();
    await mail.setPassword(alice.address, alice.password);
  });

  it('a mailbox that Dovecot had locked when it was killed is open once it runs again', async () => {
    await mail.deliver('Subject: delivered\r\n\r\nhello\r\n', alice.address);
    await mail.killDovecot();
    const lock = join(dovecotFiles.maildir(mail.folder, alice.address), 'dovecot-uidlist.lock');
    await writeFile(lock, '');
    await mail.startDovecot();
    expect(existsSync(lock)).toBe(false);
    const client = await logIn(mail, alice);
    expect((await client.mailboxOpen('INBOX')).exists).toBeGreaterThan(0);
    client.close();
    await mail.wipeMailbox(alice.address);
  });

  it('bounces what is for nobody', async () => {
    await send(mail, { to: 'nobody@two.test' });
    const [bounce] = await arrived(mail, 1, alice.address);
    expect(bounce).toMatch(/^Content-Type: multipart\/report; report-type=delivery-status/m);
    expect(bounce).toMatch(/^Final-Recipient: rfc822;nobody@two\.test/m);
  });

  it('a mail that is laid or delivered is seen by IDLE; a wiped mailbox is empty, a renumbered one is not', async () => {
    await mail.wipeMailbox(bob.address);
    const client = await logIn(mail);
    await client.mailboxOpen('INBOX');
    const told = once(client, 'exists');
    void client.idle().catch(() => {});
    await mail.deliver('Subject: delivered\r\n\r\nhello\r\n', bob.address);
    await told;
    await mail.lay(['Subject: laid\r\n\r\nhello\r\n'], bob.address);
    client.close();
    const again = await logIn(mail);
    const before = await inboxOf(again);
    again.close();
    await mail.newUidValidity(bob.address);
    const third = await logIn(mail);
    const after = await inboxOf(third);
    third.close();
    expect([before.messages, after.messages]).toEqual([2, 2]);
    expect(after.uidValidity).not.toBe(before.uidValidity);
    await mail.wipeMailbox(bob.address);
    const fourth = await logIn(mail);
    expect((await inboxOf(fourth)).messages).toBe(0);
    fourth.close();
  });

  it('a mail that was taken before Exim and Dovecot were killed arrives when they are back', async () => {
    await mail.wipeMailbox(bob.address);
    await mail.killDovecot();
    await send(mail, { text: 'while Dovecot is away' });
    await mail.killExim();
    await expect(send(mail)).rejects.toThrow(/ECONNREFUSED/);
    await Promise.all([mail.startDovecot(), mail.startExim()]);
    expect(subjects(await arrived(mail, 1))).toEqual(['while Dovecot is away']);
  });
});

describeMail('a mail system as it is made', () => {
  const systems: MailSystem[] = [];
  afterEach(async () => {
    for (const mail of systems.splice(0)) await mail.stop();
  });
  const open = async (options: Partial<MailOptions> = {}) => {
    const mail = await startMail({ users: [alice, bob], ...options });
    systems.push(mail);
    return mail;
  };

  it('limits the size of mails, near and far', async () => {
    const mail = await open({ messageSizeLimit: 100_000, far: { domains: ['far.test'], messageSizeLimit: 50_000 } });
    await expect(send(mail, { bytes: 100_000 })).rejects.toThrow(/552|exceeds/i);
    await send(mail, { to: 'carol@far.test', bytes: 60_000 });
    const [bounce] = await arrived(mail, 1, alice.address);
    expect(bounce).toMatch(/^Diagnostic-Code: smtp; 552 5\.3\.4 /m);
  });

  it('delivers twice', async () => {
    const mail = await open({ duplicate: true });
    await send(mail, { text: 'twice' });
    expect(subjects(await arrived(mail, 2))).toEqual(['twice', 'twice']);
  });

  it('keeps mails back, and delivers them the other way round', async () => {
    const mail = await open({ delay: true });
    for (const text of ['first', 'second', 'third']) await send(mail, { text });
    expect(await mail.mails(bob.address)).toEqual([]);
    await mail.releaseDelayed('reversed');
    const client = await logIn(mail);
    await client.mailboxOpen('INBOX');
    const found = await client.fetchAll('1:*', { envelope: true });
    expect(found.map(({ envelope }) => envelope?.subject)).toEqual(['third', 'second', 'first']);
    client.close();
  });

  it('puts a footer in, and names the attachment anew', async () => {
    const mail = await open({ footer: true });
    await send(mail, { bytes: 10 });
    const [found] = await arrived(mail, 1);
    expect(found!.match(/This mail is confidential/g)).toHaveLength(2);
    expect(found).toMatch(/filename="attachment\.dat"|filename=attachment\.dat/);
    expect(found).toMatch(/^Content-Type: application\/x-unknown/m);
    expect(found).toMatch(/^Message-ID: <.*@gateway\.test>/m);
  });

  it('has a quota, a Sieve script, and a mailbox server without IDLE and MOVE', async () => {
    const sieve = 'require "fileinto"; if header :contains "subject" "junk" { fileinto "Junk"; }';
    const mail = await open({ users: [alice, { ...bob, sieve, quotaBytes: 20 * 1024 }], idle: false, move: false });
    await send(mail, { text: 'junk' });
    while ((await mail.mails(bob.address, 'Junk')).length === 0) await wait(20);
    await send(mail, { bytes: 30_000 });
    await expect(mail.deliver('long '.repeat(10_000), bob.address)).rejects.toThrow(/Quota exceeded/);
    expect((await arrived(mail, 1, alice.address))[0]).toMatch(/Quota exceeded/);
    const client = await logIn(mail);
    expect(client.capabilities.has('IDLE')).toBe(false);
    expect(client.capabilities.has('MOVE')).toBe(false);
    expect((await client.getQuota('INBOX')) || undefined).toMatchObject({ storage: { limit: 20 * 1024 } });
    client.close();
  });

  it.each(['unknown authority', 'wrong name'] as const)('may have a certificate with %s', async (certificate) => {
    const mail = await open({ certificate });
    await expect(send(mail)).rejects.toThrow(/certificate|altnames/i);
    await expect(logIn(mail)).rejects.toThrow(/certificate|altnames/i);
  });

  it('is changed while mails wait', async () => {
    const mail = await open({ delay: true });
    await send(mail, { text: 'waits' });
    await mail.change({ delay: false });
    await mail.releaseDelayed();
    expect(subjects(await arrived(mail, 1))).toEqual(['waits']);
  });

  it('runs beside another', async () => {
    const [one, other] = await Promise.all([open(), open()]);
    await send(one);
    await arrived(one, 1);
    expect(await other.mails(bob.address)).toEqual([]);
  });

  it('ends with the process that started it, however that ends', async () => {
    const code = `import { startMail } from ${JSON.stringify(fileURLToPath(new URL('system.ts', import.meta.url)))};
      const { imap, smtp, folder } = await startMail({ users: [{ address: 'alice@one.test', password: 'pw' }] });
      console.log(JSON.stringify({ ports: [imap.port, smtp.port], folder }));`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const { ports, folder } = JSON.parse(line) as { ports: number[]; folder: string };
    child.kill('SIGKILL');
    while (existsSync(folder)) await wait(10);
    for (const port of ports) while (await isOpen(port)) await wait(10);
  });
});

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return await new Promise<boolean>((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
  }).finally(() => socket.destroy());
}
