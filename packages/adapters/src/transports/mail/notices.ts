/**
 * What an administrator is told of the mailbox, each matter once: not at the next poll, not after a restart, and not when
 * the server gives all mails new numbers. Therefore a mail is known again by its Message-ID, size and date of arrival.
 */
import { DirpostError, type ErrorCode } from '@dirpost/core';
import { oneLine } from './header-fields.ts';
import { imapFailed } from './imap-failures.ts';
import type { Bounce } from './options.ts';
import { describeMail, type MailSummary, senderOf } from './recognise.ts';
import type { Seen } from './seen.ts';

const MAX_WHY_LENGTH = 300;
const DAY_MS = 86_400_000;

export class Notices {
  readonly #seen: Seen;
  readonly #onProblem: (problem: DirpostError) => void;
  readonly #folder: string;
  readonly #nowMs: number;

  constructor(seen: Seen, onProblem: (problem: DirpostError) => void, folder: string, nowMs: number) {
    this.#seen = seen;
    this.#onProblem = onProblem;
    this.#folder = folder;
    this.#nowMs = nowMs;
  }

  /** Whether `what` was never said of that mail before. */
  isFirst(what: string, { fields, size, receivedMs }: MailSummary): boolean {
    return this.#seen.tell([what, fields.get('Message-ID') ?? '', size, receivedMs].join('\0'));
  }

  /** `isForAnother`: told once for all that is for him. */
  refused(mail: MailSummary, why: string, isForAnother = false): void {
    const reason = oneLine(why, MAX_WHY_LENGTH).replace(/\.$/, '');
    if (isForAnother && !this.#seen.tell(`refused\0${reason}`)) return;
    const message = `The message file in the mail ${describeMail(mail)} is not taken: ${reason}. It is left in ${this.#folder}.`;
    this.#say(
      'refused',
      mail,
      'transport-failed',
      message,
      'Look who sends it, and whether it is meant for this place.',
    );
  }

  tooLarge(mail: MailSummary, maxBytes: number): void {
    const message = `The message file in the mail ${describeMail(mail)} has more than ${maxBytes} bytes. It is left in ${this.#folder}.`;
    const hint = 'If it is a real one, raise limits.maxMessageBytes on this side, or lower it at the sender.';
    this.#say('too-large', mail, 'message-too-large', message, hint);
  }

  damaged(mail: MailSummary): void {
    const message = `The attachment of the mail ${describeMail(mail)} is damaged. It is left in ${this.#folder}.`;
    const hint = 'The sender sends it again by itself. If it happens often, look what changes mails on the way.';
    this.#say('damaged', mail, 'message-truncated', message, hint);
  }

  withoutFile(mail: MailSummary): void {
    const message = `The mail ${describeMail(mail)} looks like one of dirpost, and has no message file in it. It is left in ${this.#folder}.`;
    const hint =
      'A virus scanner or a filter may have taken it out: let attachments of dirpost pass, or change name, type and form in transports.mail.attachment.';
    this.#say('without-file', mail, 'message-foreign', message, hint);
  }

  unreadable(mail: MailSummary): void {
    const message = `The mail server does not give the parts of the mail ${describeMail(mail)}. It is left in ${this.#folder}, and tried again.`;
    const hint =
      'Look at it with another program: if it cannot be read there, delete it. What was in it is sent again.';
    this.#say('unreadable', mail, 'transport-failed', message, hint);
  }

  answer(mail: MailSummary): void {
    const message = `The mail ${describeMail(mail)} is an automatic answer to a mail of dirpost. It is not answered, and left in ${this.#folder}.`;
    this.#say('answer', mail, 'message-foreign', message, 'Switch off automatic replies for that mailbox.');
  }

  noMail(mail: MailSummary): void {
    const message = `What lies in ${this.#folder} with ${mail.size} bytes is no mail: it has no header. It is left there.`;
    this.#say('no-mail', mail, 'message-foreign', message, 'Look at it with another program, and delete it.');
  }

  tooDeep(mail: MailSummary): void {
    const message = `The mail ${describeMail(mail)} has more parts, or is nested more deeply, than can be looked at. It is left in ${this.#folder}.`;
    const hint = 'No mail of dirpost is like that; somebody may be trying something. It can be deleted.';
    this.#say('too-deep', mail, 'message-foreign', message, hint);
  }

  /** Once for each sender: it is not the mail that is wrong. */
  inJunk(mail: MailSummary): void {
    const sender = senderOf(mail.fields);
    if (!this.#seen.tell(`junk\0${sender}`)) return;
    const message = `Mail of ${sender} lies in ${this.#folder}. Its message files were taken all the same.`;
    const hint = `Add ${sender} to the senders that the spam filter of this mailbox lets pass; many servers delete what lies in ${this.#folder}.`;
    this.#onProblem(imapFailed(message, { retry: 'operator', hint, context: { sender, folder: this.#folder } }));
  }

  /** `isFirst` was asked already. */
  doubtful(mail: MailSummary, { peer, diagnostic }: Bounce): void {
    const about = peer === null ? '' : ` about a mail to ${peer}`;
    const message = `The mail ${describeMail(mail)} says that a mail${about} came back, without proof that it was sent from here: ${diagnostic}${/[.!?]$/.test(diagnostic) ? '' : '.'}`;
    const hint = 'It changes nothing. Some mail servers do not return the header of a mail; others are forged.';
    this.#onProblem(imapFailed(message, { retry: 'operator', hint, context: { folder: this.#folder } }));
  }

  /** Something was refused that can wait: the same once a day. */
  failed(failure: DirpostError): void {
    const day = Math.floor(this.#nowMs / DAY_MS);
    if (this.#seen.tell(`failed\0${this.#folder}\0${failure.message}\0${day}`)) this.#onProblem(failure);
  }

  #say(what: string, mail: MailSummary, code: ErrorCode, message: string, hint: string): void {
    if (!this.isFirst(what, mail)) return;
    const context = { folder: this.#folder, messageId: mail.fields.get('Message-ID'), bytes: mail.size };
    this.#onProblem(new DirpostError(code, message, { retry: 'operator', hint, context }));
  }
}
