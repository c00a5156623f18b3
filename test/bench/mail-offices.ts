/**
 * A server and a requestor that have nothing in common but mail, for the benches: an Exim and a Dovecot on loopback, a
 * mailbox for each, agents as processes (`dirpost run`) whose log is read as it is written. Nothing is scheduled.
 *
 *   people.ldif ─▶ oslo ── SMTP ─▶ Exim ── LMTP ─▶ Dovecot ── IMAP, IDLE ─▶ hq ─▶ network.ldif
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { mailServers } from '../servers/mail/programs.ts';
import { INSTALL } from '../servers/programs.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { program } from './agent-process.ts';
import { organisation, type Person, toLdif } from './organisation.ts';

export interface MailUser {
  address: string;
  password: string;
}

export interface MailOffices {
  mail: MailSystem;
  hq: MailOffice;
  oslo: MailOffice;
  close(): Promise<void>;
}

/** Both exist and trust each other; no agent runs. `users`: mailboxes beside theirs. Throws where no mail server is installed. */
export async function openMailOffices(people: number, users: MailUser[] = []): Promise<MailOffices> {
  const lacking = mailServers.lacks();
  if (lacking.length > 0) throw new Error(`${mailServers.name}: ${lacking.join('; ')}. To get them: ${INSTALL}`);
  const root = mkdtempSync(join(tmpdir(), 'dirpost-bench-'));
  const [hq, oslo] = [new MailOffice(root, 'hq'), new MailOffice(root, 'oslo')];
  const mail = await startMail({ users: [hq.user, oslo.user, ...users] });
  const close = async () => {
    await Promise.all([hq.stop(), oslo.stop()]);
    await mail.stop();
    rmSync(root, { recursive: true, force: true });
  };
  try {
    for (const [i, office] of [hq, oslo].entries()) {
      office.command(
        'init',
        office.name,
        ...(office === hq ? ['--role', 'server'] : ['--role', 'requestor', '--server', 'hq']),
      );
      office.writePeople([...organisation(people, i + 1)]);
    }
    hq.configure(mail, oslo);
    oslo.configure(mail, hq);
    oslo.trust(hq);
    hq.trust(oslo);
    return { mail, hq, oslo, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A line of an agent's log. */
export interface Heard {
  /** Of `performance.now()`. */
  atMs: number;
  text: string;
}

export class MailOffice {
  readonly folder: string;
  readonly user: MailUser;
  readonly #root: string;
  readonly #waiting = new Set<(line: Heard) => void>();
  #child: ChildProcess | null = null;

  constructor(
    root: string,
    readonly name: string,
  ) {
    this.#root = root;
    this.folder = join(root, name);
    this.user = { address: `dirpost@${name}.test`, password: `secret-of-${name}` };
    mkdirSync(this.folder, { mode: 0o700 });
  }

  get configFile(): string {
    return join(this.folder, 'dirpost.yaml');
  }

  command(...args: string[]): string {
    return execFileSync(process.execPath, [program, ...args], { cwd: this.folder, encoding: 'utf8' });
  }

  /** As `command`, while other things go on. */
  async commandBeside(...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [program, ...args], { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${this.name}: dirpost ${args.join(' ')} ended with ${code}\n${said}`);
  }

  writePeople(people: Person[]): void {
    const file = openSync(join(this.folder, 'people.ldif'), 'w');
    writeSync(file, 'version: 1\n\n');
    for (const person of people) writeSync(file, toLdif(person));
    closeSync(file);
  }

  /** JSON is YAML. */
  configure({ smtp, imap, ca }: MailSystem, peer: MailOffice): void {
    const never = { percent: 100 };
    const isServer = this.name === 'hq';
    writeFileSync(join(this.folder, 'mail-password'), `${this.user.password}\n`, { mode: 0o600 });
    const mail = {
      address: this.user.address,
      submission: { host: smtp.host, port: smtp.port, tls: 'starttls' },
      mailbox: { host: imap.host, port: imap.imapsPort, tls: 'implicit' },
      login: { password: { file: 'mail-password' } },
      peers: { [peer.name]: peer.user.address },
      ca,
    };
    const settings = {
      postoffice: this.name,
      ...(isServer
        ? { role: 'server', lists: [{ name: 'all', receivers: '*' }] }
        : { role: 'requestor', server: 'hq' }),
      directories: [
        { name: 'people', type: 'ldif', path: 'people.ldif', direction: 'publish' },
        {
          name: 'network',
          type: 'ldif',
          path: 'network.ldif',
          direction: 'subscribe',
          container: 'ou=network,dc=example,dc=org',
          firstWrite: 'allowed',
        },
      ],
      transports: { mail },
      schedule: { every: '1d' },
      holds: { removals: never, clearedValues: never, lostMembers: never, renames: never },
      log: { format: 'json', level: 'debug' },
    };
    writeFileSync(this.configFile, `${JSON.stringify(settings)}\n`, { mode: 0o600 });
  }

  trust(other: MailOffice): void {
    const file = join(this.#root, `${other.name}-for-${this.name}.json`);
    other.command('peer', 'export', '--out', file);
    const { fingerprint } = JSON.parse(readFileSync(file, 'utf8')) as { fingerprint: string };
    this.command('peer', 'add', file, '--fingerprint', fingerprint);
  }

  /** Resolves when the agent is ready. */
  async start(): Promise<void> {
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
    const child = spawn(process.execPath, [program, 'run'], { cwd: this.folder, stdio });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg } = JSON.parse(line) as { msg: string };
      const heard = { atMs: performance.now(), text: msg };
      for (const take of this.#waiting) take(heard);
    });
    await this.says('the agent is ready', ({ text }) => text.startsWith('ready'));
  }

  /** Resolves to the next line of the log that is such. */
  async says(what: string, isIt: (line: Heard) => boolean, timeoutMs = 60_000): Promise<Heard> {
    const child = this.#child!;
    return await new Promise<Heard>((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(take);
        child.off('exit', fail);
      };
      const fail = (): void => {
        settle();
        reject(new Error(`not within ${timeoutMs / 1_000} s at ${this.name}: ${what}`));
      };
      const take = (line: Heard): void => {
        if (!isIt(line)) return;
        settle();
        resolve(line);
      };
      const timer = setTimeout(fail, timeoutMs);
      this.#waiting.add(take);
      child.once('exit', fail);
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}
