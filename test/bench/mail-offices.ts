/**
 * A server and a requestor that have nothing in common but mail, for the benches: an Exim and a Dovecot on loopback, a
 * mailbox for each, agents as processes (`dirpost run`) whose log is read as it is written. Nothing is scheduled.
 *
 *   people.ldif ─▶ oslo ── SMTP ─▶ Exim ── LMTP ─▶ Dovecot ── IMAP, IDLE ─▶ hq ─▶ network.ldif
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mailServers } from '../servers/mail/programs.ts';
import { INSTALL } from '../servers/programs.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { Office } from './office.ts';
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

export class MailOffice extends Office {
  readonly user: MailUser;

  constructor(root: string, name: string) {
    super(root, name);
    this.user = { address: `dirpost@${name}.test`, password: `secret-of-${name}` };
  }

  writePeople(people: Person[]): void {
    const file = openSync(join(this.folder, 'people.ldif'), 'w');
    writeSync(file, 'version: 1\n\n');
    for (const person of people) writeSync(file, toLdif(person));
    closeSync(file);
  }

  configure({ smtp, imap, ca }: MailSystem, peer: MailOffice): void {
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
    this.writeConfiguration({
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
    });
  }
}
