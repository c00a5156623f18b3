/** The offices and the mail system of the demo by mail: a real Exim and Dovecot, in which each office has a mailbox. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MailOptions } from '../servers/mail/options.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';
import { AgentScene } from './agent-scene.ts';
import type { Office } from './office.ts';

export class MailScene extends AgentScene {
  #mail: MailSystem | undefined;

  get mail(): MailSystem {
    return this.#mail!;
  }

  get users(): MailOptions['users'] {
    return this.offices.map((office) => ({ address: this.addressOf(office), password: `secret-of-${office.name}` }));
  }

  addressOf({ name }: Office): string {
    return `dirpost@${name}.example`;
  }

  async startMail(): Promise<void> {
    this.#mail = await startMail({ users: this.users });
  }

  /** Writes the office's mailbox into its configuration, in place of what stood there. */
  async useMail(office: Office): Promise<void> {
    const { smtp, imap, ca } = this.mail;
    const password = join(office.data, 'mail-password');
    const address = this.addressOf(office);
    await writeFile(password, `${this.users.find((user) => user.address === address)!.password}\n`, { mode: 0o600 });
    const mail = {
      address,
      submission: { host: smtp.host, port: smtp.port, tls: 'starttls' },
      mailbox: { host: imap.host, port: imap.imapsPort, tls: 'implicit' },
      login: { password: { file: 'mail-password' } },
      ca,
    };
    const text = await readFile(office.config, 'utf8');
    const line = `transports: ${JSON.stringify({ mail })}\n`;
    await writeFile(office.config, `${text.replace(/^transports:.*\n(?: .*\n)*/m, '')}\n${line}`);
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#mail?.stop();
  }
}
