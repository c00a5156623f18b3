/** The transport contract against mail, over Exim and Dovecot, with both forms of the attachment. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MailTransport, type MailTransportOptions } from '@dirpost/adapters';
import type { MessageFile, Transport } from '@dirpost/core';
import { afterAll, beforeAll } from 'vitest';
import { CONTRACT_MAX_MESSAGE_BYTES, transportContract, type TransportLine } from '../contract/transport.ts';
import type { MailOptions } from '../servers/mail/options.ts';
import { describeMail } from '../servers/mail/presence.ts';
import { type MailSystem, startMail } from '../servers/mail/system.ts';

const MAGIC = Buffer.from('DIRPOST1');
const LINES = 20;
const addressOf = (name: string, line: number) => `${name}${line}@contract.test`;
const users = Array.from({ length: LINES }, (_, line) =>
  ['oslo', 'hq'].map((name) => ({ address: addressOf(name, line), password: 'secret' })),
).flat();

function variant(name: string, attachment: MailTransportOptions['attachment'], options: Partial<MailOptions>): void {
  describeMail(`mail, ${name}`, () => {
    let mail: MailSystem;
    let opened = 0;
    beforeAll(async () => {
      mail = await startMail({ users, ...options });
    });
    afterAll(() => mail?.stop());
    transportContract(`mail, ${name}`, () => openLine(mail, opened++, attachment));
  });
}

variant('binary', { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' }, {});
variant(
  'armoured, without IDLE and MOVE',
  { name: '{id}.txt', type: 'text/plain', form: 'armoured' },
  { idle: false, move: false },
);

/** With mailboxes of its own. */
async function openLine(
  mail: MailSystem,
  line: number,
  attachment: MailTransportOptions['attachment'],
): Promise<TransportLine> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-mail-contract-'));
  await writeFile(join(folder, 'password'), 'secret\n');
  const open = (name: 'oslo' | 'hq') => {
    const login = {
      method: 'password' as const,
      user: addressOf(name, line),
      password: { file: join(folder, 'password') },
    };
    const options: MailTransportOptions = {
      postoffice: name,
      address: addressOf(name, line),
      addressOf: (peer) => addressOf(peer, line),
      profile: 'generic',
      submission: { host: mail.smtp.host, port: mail.smtp.port, tls: 'starttls' },
      mailbox: {
        host: mail.imap.host,
        port: mail.imap.imapsPort,
        tls: 'implicit',
        inbox: 'INBOX',
        processed: 'dirpost-processed',
        junk: null,
        foreign: null,
        keepProcessedMs: 86_400_000,
      },
      login: { submission: login, mailbox: login },
      ca: mail.ca,
      attachment,
      maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES + MAGIC.length,
      folder: join(folder, name),
      tagSecret: Buffer.alloc(32, 7),
      judge: () => ({ take: true }),
      onProblem: () => {},
      onBounce: () => {},
    };
    const time = new HourlyClock();
    return new ContractEnd(
      new MailTransport(options, { now: () => time.nowMs, times: { mailbox: { pollMs: 50 } } }),
      mail,
      time,
    );
  };
  const [sender, receiver] = [open('oslo'), open('hq')];
  return {
    sender,
    receiver,
    async dispose() {
      await sender.close();
      await receiver.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What is left for another incarnation is offered again after an hour: this one passes from one look to the next. */
class HourlyClock {
  #offsetMs = 0;

  get nowMs(): number {
    return Date.now() + this.#offsetMs;
  }

  passes(): void {
    this.#offsetMs += 3_600_001;
  }
}

/**
 * Mail knows message files by their first octets, which the random ones of the contract lack. And Exim has a mail when it
 * is delivered, the mailbox a little later: this end looks once the queue is empty.
 */
class ContractEnd implements Transport {
  readonly name = 'mail';
  readonly #end: MailTransport;
  readonly #mail: MailSystem;

  readonly #time: HourlyClock;

  constructor(end: MailTransport, mail: MailSystem, time: HourlyClock) {
    this.#end = end;
    this.#mail = mail;
    this.#time = time;
  }

  get maxMessageBytes(): number {
    return this.#end.maxMessageBytes - MAGIC.length;
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    await this.#end.deliver({ ...file, bytes: Buffer.concat([MAGIC, file.bytes]) }, signal);
  }

  async collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    await this.#mail.settled();
    this.#time.passes();
    return await this.#end.collect((bytes) => spool(bytes.subarray(MAGIC.length)), signal);
  }

  async close(): Promise<void> {
    await this.#end.close();
  }

  watch(wake: () => void, signal: AbortSignal): Promise<void> {
    return this.#end.watch(wake, signal);
  }
}
