/**
 * A mail system of its own for a test or the demo: Exim and Dovecot in a temporary folder, on ports of loopback that were
 * free, gone with the test. Tests do to it what happens to mail systems.
 *
 *   submission, SMTP ─▶ Exim ── LMTP ──▶ Dovecot ─▶ IMAP
 *                        └─▶ far relay ─▶ Exim
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { type Authority, makeAuthority } from '../../contract/http-certificates.ts';
import { programOf } from '../programs.ts';
import { freePorts } from '../free-ports.ts';
import { type Account, serverAccount, ServerProcess } from '../process.ts';
import { dovecotFiles, writeDovecot, writeDovecotUsers } from './dovecot.ts';
import { eximFiles, writeExim, writeEximPasswords } from './exim.ts';
import type { CertificateKind, MailOptions, Ports, Site } from './options.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const TRIES = 5;

export async function startMail(options: MailOptions): Promise<MailSystem> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-mail-'));
  for (let i = 1; ; i++) {
    const system = new MailSystem(await makeSite(folder, options));
    try {
      await system.start();
      return system;
    } catch (error) {
      await system.killServers();
      const isTaken = /address already in use/i.test(await system.log());
      if (isTaken && i < TRIES) continue;
      const log = await system.log();
      await rm(folder, { recursive: true, force: true });
      throw new Error(`the mail system did not start\n${log}`, { cause: error });
    }
  }
}

async function makeSite(folder: string, options: MailOptions): Promise<Site> {
  const [smtp, smtps, far, imap, imaps, lmtp] = (await freePorts(6)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ports: Ports = { smtp, smtps, far, imap, imaps, lmtp };
  const authority = await makeAuthority(folder, 'ca');
  const certificate = await issue(folder, authority, options.certificate);
  const greeting = `dirpost-${randomBytes(6).toString('hex')}`;
  const account = serverAccount();
  return { folder, account, options: structuredClone(options), ports, greeting, authority, certificate };
}

async function issue(folder: string, own: Authority, kind: CertificateKind = 'right'): Promise<Site['certificate']> {
  const signer = kind === 'unknown authority' ? await makeAuthority(folder, 'stranger') : own;
  return await signer.issue('server', kind === 'wrong name' ? 'DNS:elsewhere.test' : `DNS:localhost,IP:${HOST}`);
}

export class MailSystem {
  readonly smtp: { host: string; port: number; smtpsPort: number };
  readonly imap: { host: string; port: number; imapsPort: number };
  /** PEM file of the authority that clients are to trust. */
  readonly ca: string;
  readonly folder: string;
  readonly #site: Site;
  #exim: ServerProcess | undefined;
  #dovecot: ServerProcess | undefined;

  constructor(site: Site) {
    const { ports, folder } = site;
    this.#site = site;
    this.folder = folder;
    this.ca = site.authority.ca;
    this.smtp = { host: HOST, port: ports.smtp, smtpsPort: ports.smtps };
    this.imap = { host: HOST, port: ports.imap, imapsPort: ports.imaps };
  }

  async start(): Promise<void> {
    const { folder } = this.#site;
    for (const name of ['run', 'mail', 'spool', 'log']) await mkdir(join(folder, name), { recursive: true });
    await this.#configure();
    await Promise.all([this.startDovecot(), this.startExim()]);
  }

  /** Both servers run when this resolves, with what was changed. What lies in mailboxes and the queue stays. */
  async change(options: Partial<MailOptions>): Promise<void> {
    const site = this.#site;
    Object.assign(site.options, options);
    if (options.certificate !== undefined) {
      site.certificate = await issue(site.folder, site.authority, options.certificate);
    }
    await this.killServers();
    await this.#configure();
    await Promise.all([this.startDovecot(), this.startExim()]);
  }

  async startExim(): Promise<void> {
    const { folder, ports, greeting } = this.#site;
    // Hints for deliveries. A process that was killed while it made one leaves what all later ones wait for.
    await rm(eximFiles.hints(folder), { recursive: true, force: true });
    this.#exim = this.#spawn('exim4', ['-C', eximFiles.configuration(folder), '-bdf', '-q1s'], 'exim.out');
    await this.#exim.greets([ports.smtp, ports.far], greeting);
  }

  async startDovecot(): Promise<void> {
    const { folder, ports, greeting } = this.#site;
    // A process that was killed while it wrote the list of UIDs leaves what all later ones wait two minutes for.
    for (const path of await readdir(dovecotFiles.mail(folder), { recursive: true })) {
      if (path.endsWith('.lock')) await rm(join(dovecotFiles.mail(folder), path), { force: true });
    }
    this.#dovecot = this.#spawn('dovecot', ['-F', '-c', dovecotFiles.configuration(folder)], 'dovecot.out');
    await this.#dovecot.greets([ports.imap, ports.lmtp], greeting);
  }

  async stopExim(): Promise<void> {
    await this.#exim?.stop();
  }

  /** Open sessions are cut. */
  async stopDovecot(): Promise<void> {
    await this.#dovecot?.stop();
  }

  /** kill -9, with all that it was doing. It stays away until `startExim`. */
  async killExim(): Promise<void> {
    await this.#exim?.stop('SIGKILL');
  }

  async killDovecot(): Promise<void> {
    await this.#dovecot?.stop('SIGKILL');
  }

  async restartExim(): Promise<void> {
    await this.stopExim();
    await this.startExim();
  }

  async restartDovecot(): Promise<void> {
    await this.stopDovecot();
    await this.startDovecot();
  }

  /** At once: Dovecot takes a second to end in order. */
  async killServers(): Promise<void> {
    await Promise.all([this.killExim(), this.killDovecot()]);
  }

  /** Servers and folder are gone when this resolves. */
  async stop(): Promise<void> {
    await this.killServers();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Both servers take it when this resolves. Sessions that are open stay; `restartDovecot` cuts them. */
  async setPassword(address: string, password: string): Promise<void> {
    this.#site.options.users.find((user) => user.address === address)!.password = password;
    await Promise.all([writeEximPasswords(this.#site), writeDovecotUsers(this.#site)]);
    // Dovecot looks at the file once a second.
    while (!(await takesLogin(this.imap.port, address, password))) await wait(50);
  }

  /** As a mail server that came back from nothing: all folders of the user are new and empty, with another UIDVALIDITY. */
  async wipeMailbox(address: string): Promise<void> {
    await this.killDovecot();
    await rm(dovecotFiles.maildir(this.folder, address), { recursive: true, force: true });
    await this.startDovecot();
  }

  /** As after a restored backup: the mails are there, and have other UIDs under another UIDVALIDITY. */
  async newUidValidity(address: string, mailbox = 'INBOX'): Promise<void> {
    await this.killDovecot();
    const folder = maildirFolder(dovecotFiles.maildir(this.folder, address), mailbox);
    for (const name of await readdir(folder)) {
      if (name.startsWith('dovecot')) await rm(join(folder, name));
    }
    // Dovecot takes the second for a new one: a mailbox made in this very second would get the same.
    const uidValidity = Math.floor(Date.now() / 1_000) + 1_000;
    await this.#write(join(folder, 'dovecot-uidlist'), `3 V${uidValidity} N5000 G${randomBytes(16).toString('hex')}\n`);
    await this.startDovecot();
  }

  /** By LMTP: past Exim, through the user's Sieve script and quota. */
  async deliver(raw: string | Uint8Array, to: string, from = 'somebody@elsewhere.test'): Promise<void> {
    const lmtp = createTransport({ lmtp: true, host: HOST, port: this.#site.ports.lmtp, ignoreTLS: true });
    const { rejected, response } = await lmtp.sendMail({ envelope: { from, to: [to] }, raw: Buffer.from(raw) });
    lmtp.close();
    if (rejected.length > 0) throw new Error(`Dovecot refused the mail to ${to}: ${response}`);
  }

  /** Many at once, straight into the inbox. */
  async lay(mails: Iterable<string | Uint8Array>, to: string): Promise<void> {
    const maildir = dovecotFiles.maildir(this.folder, to);
    for (const name of ['', 'cur', 'new', 'tmp']) await this.#makeFolder(join(maildir, name));
    let number = 0;
    for (const mail of mails) {
      const name = `${Math.floor(Date.now() / 1_000)}.M${++number}P${randomBytes(6).toString('hex')}.test`;
      await this.#write(join(maildir, 'new', name), mail);
    }
  }

  /** What lies in a folder, as it is stored, oldest first. */
  async mails(address: string, mailbox = 'INBOX'): Promise<Buffer[]> {
    const folder = maildirFolder(dovecotFiles.maildir(this.folder, address), mailbox);
    for (;;) {
      const found = await mailsIn(folder);
      if (found !== null) return found;
    }
  }

  /** Which flags mails of the inbox have, as letters of Maildir: `S` was seen. */
  async flags(address: string): Promise<Set<string>> {
    const folder = dovecotFiles.maildir(this.folder, address);
    const names = [...(await readdir(join(folder, 'cur'))), ...(await readdir(join(folder, 'new')))];
    return new Set(names.map((name) => name.split(':2,')[1] ?? ''));
  }

  /** Ids of mails that wait in Exim's queue, oldest first. */
  async queued(): Promise<string[]> {
    const folder = eximFiles.queue(this.folder);
    const names = await readdir(folder).catch(() => []);
    const mails: { id: string; takenAt: bigint }[] = [];
    for (const name of names) {
      if (!name.endsWith('-H')) continue;
      const id = name.slice(0, -2);
      // By the file of the content, written once: ids of one second are in the order of process ids, which start anew.
      const content = await stat(join(folder, `${id}-D`), { bigint: true }).catch(() => null);
      if (content !== null) mails.push({ id, takenAt: content.mtimeNs });
    }
    return mails.sort((a, b) => (a.takenAt < b.takenAt ? -1 : 1)).map(({ id }) => id);
  }

  /** How many mails Exim has taken by submission, ever. */
  async takenFromClients(): Promise<number> {
    const log = await readFile(join(this.folder, 'log', 'exim_mainlog'), 'utf8');
    return log.match(/ <= \S+@.* P=esmtps?a? /g)?.length ?? 0;
  }

  /** Resolves when all that was sent has arrived or bounced. */
  async settled(): Promise<void> {
    while ((await this.queued()).length > 0) await wait(10);
  }

  /** Delivers what `delay` kept back, one after another. */
  async releaseDelayed(order: 'in order' | 'reversed' = 'in order'): Promise<void> {
    const ids = await this.queued();
    for (const id of order === 'reversed' ? ids.reverse() : ids) {
      await this.#runAsAccount('exim4', ['-C', eximFiles.configuration(this.folder), '-M', id]);
    }
  }

  /** What both servers have logged, to be shown when a test fails. */
  async log(): Promise<string> {
    const texts: string[] = [];
    for (const name of await readdir(join(this.folder, 'log')).catch(() => [])) {
      texts.push(`${name}:\n${(await readFile(join(this.folder, 'log', name), 'utf8')).trimEnd()}`);
    }
    return texts.join('\n');
  }

  async #configure(): Promise<void> {
    await Promise.all([writeExim(this.#site), writeDovecot(this.#site)]);
    await this.#own(this.folder);
  }

  #spawn(program: string, args: string[], output: string): ServerProcess {
    const { folder, account } = this.#site;
    return new ServerProcess({
      program: programOf(program),
      args,
      account,
      folder,
      output: join(folder, 'log', output),
    });
  }

  async #runAsAccount(program: string, args: string[]): Promise<void> {
    const { uid, gid } = this.#site.account;
    await run(programOf(program), args, { ...(process.getuid!() === 0 && { uid, gid }) });
  }

  async #makeFolder(path: string): Promise<void> {
    await mkdir(path, { recursive: true });
    await chownTo(path, this.#site.account);
  }

  async #write(path: string, content: string | Uint8Array): Promise<void> {
    await writeFile(path, content);
    await chownTo(path, this.#site.account);
  }

  async #own(folder: string): Promise<void> {
    await chownTo(folder, this.#site.account);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await this.#own(path);
      else if (entry.isFile()) await chownTo(path, this.#site.account);
    }
  }
}

/** Maildir++: folders lie beside the inbox, with a dot before each part of their name. */
function maildirFolder(maildir: string, mailbox: string): string {
  return mailbox === 'INBOX' ? maildir : join(maildir, `.${mailbox.replaceAll('/', '.')}`);
}

async function takesLogin(port: number, address: string, password: string): Promise<boolean> {
  const socket = connect(port, HOST).setEncoding('utf8');
  socket.write(`a LOGIN ${address} ${password}\r\n`);
  return await new Promise<boolean>((resolve, reject) => {
    let heard = '';
    socket.on('data', (text: string) => {
      heard += text;
      const answer = /^a (OK|NO)/m.exec(heard);
      if (answer !== null) resolve(answer[1] === 'OK');
    });
    socket.on('error', reject);
  }).finally(() => socket.destroy());
}

async function chownTo(path: string, { uid, gid }: Account): Promise<void> {
  if (process.getuid!() === 0) await chown(path, uid, gid);
}

/** null: Dovecot moved a mail meanwhile, from `new` to `cur` or to another folder. */
async function mailsIn(folder: string): Promise<Buffer[] | null> {
  const names = async () => {
    const listed: string[] = [];
    for (const place of ['cur', 'new']) {
      const found = await readdir(join(folder, place)).catch(() => []);
      listed.push(...found.sort().map((name) => join(place, name)));
    }
    return listed;
  };
  const before = await names();
  const mails: Buffer[] = [];
  for (const name of before) {
    const mail = await readFile(join(folder, name)).catch(() => null);
    if (mail === null) return null;
    mails.push(mail);
  }
  return (await names()).join('\n') === before.join('\n') ? mails : null;
}
