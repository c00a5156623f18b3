/**
 * Mail without dirpost, as the peer of the mail benches: nodemailer sends over a connection that is kept open, imapflow
 * waits in IDLE and fetches, over the same servers and with the same TLS.
 */
import { readFileSync } from 'node:fs';
import { ImapFlow } from 'imapflow';
import { createTransport, type Transporter } from 'nodemailer';
import type { MailUser } from './mail-offices.ts';

export interface PlainServers {
  smtp: { host: string; port: number };
  imap: { host: string; imapsPort: number };
  /** PEM file. */
  ca: string;
}

export class PlainMailbox {
  readonly #user: MailUser;
  readonly #client: ImapFlow;
  readonly #submission: Transporter;
  /** UID of the newest mail that was fetched. */
  #newest = 0;

  private constructor(mail: PlainServers, user: MailUser) {
    const ca = readFileSync(mail.ca);
    this.#user = user;
    this.#client = new ImapFlow({
      host: mail.imap.host,
      port: mail.imap.imapsPort,
      secure: true,
      tls: { ca },
      auth: { user: user.address, pass: user.password },
      logger: false,
      disableAutoIdle: true,
    });
    this.#submission = createTransport({
      pool: true,
      host: mail.smtp.host,
      port: mail.smtp.port,
      requireTLS: true,
      tls: { ca },
      auth: { user: user.address, pass: user.password },
    });
  }

  static async open(mail: PlainServers, user: MailUser): Promise<PlainMailbox> {
    const mailbox = new PlainMailbox(mail, user);
    await mailbox.#client.connect();
    const { uidNext } = await mailbox.#client.mailboxOpen('INBOX');
    mailbox.#newest = uidNext - 1;
    return mailbox;
  }

  async send(to: PlainMailbox, content: Buffer): Promise<void> {
    await this.#submission.sendMail({
      from: this.#user.address,
      to: to.#user.address,
      subject: 'plain',
      text: 'A mail with an attachment.\n',
      attachments: [{ filename: 'content.dpm', content }],
    });
  }

  /** Resolves to the next mail once it is here. */
  async next(): Promise<Buffer> {
    const client = this.#client;
    for (;;) {
      const arrived = new Promise<void>((resolve) => client.once('exists', () => resolve()));
      const found = await client.fetchAll(`${this.#newest + 1}:*`, { source: true }, { uid: true });
      // RFC 9051 §6.4.9: "*" is the last mail, also where its number is below the first one asked for.
      const mail = found.find(({ uid }) => uid > this.#newest);
      if (mail?.source !== undefined) {
        this.#newest = mail.uid;
        return mail.source;
      }
      const idling = client.idle();
      await arrived;
      void idling;
    }
  }

  /** Everything that waits. */
  async fetchAll(): Promise<{ mails: number; octets: number }> {
    const count = { mails: 0, octets: 0 };
    for await (const { source } of this.#client.fetch('1:*', { source: true })) {
      count.mails++;
      count.octets += source?.length ?? 0;
    }
    return count;
  }

  async close(): Promise<void> {
    this.#submission.close();
    await this.#client.logout();
  }
}
