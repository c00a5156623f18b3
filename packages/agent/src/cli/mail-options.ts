/** The options of `init` and `join` for a mailbox with a password; everything else of mail is written into the configuration. */
import { DirpostError, isMailAddress } from '@dirpost/core';
import { parseEndpoint, PASSWORD_FILE, type SampleMail } from '../config/sample-mail.ts';

export interface MailOptions {
  mailAddress?: string;
  mailSubmission?: string;
  mailMailbox?: string;
  mailUser?: string;
  mailPasswordFile?: string;
  mailCa?: string;
}

/** Undefined where no mail is wanted. Throws DirpostError `wrong-use`. */
export function mailOf(options: MailOptions): SampleMail | undefined {
  const { mailAddress, mailSubmission, mailMailbox, mailUser, mailPasswordFile, mailCa } = options;
  const others = [mailSubmission, mailMailbox, mailUser, mailPasswordFile, mailCa];
  if (mailAddress === undefined) {
    if (others.every((one) => one === undefined)) return undefined;
    throw new DirpostError('wrong-use', 'Say the mail address of this postoffice, too: --mail-address ADDRESS');
  }
  if (!isMailAddress(mailAddress)) {
    throw new DirpostError('wrong-use', `--mail-address: ${JSON.stringify(mailAddress)} is not a mail address.`);
  }
  if (mailSubmission === undefined && mailMailbox === undefined) {
    throw new DirpostError('wrong-use', 'Say which mail server it has, too: --mail-submission HOST:PORT', {
      hint: '--mail-mailbox HOST:PORT, too, where mails are collected from another one. For Microsoft 365 and Google see docs/mail.md.',
    });
  }
  return {
    address: mailAddress,
    ...(mailSubmission === undefined ? {} : { submission: parseEndpoint(mailSubmission, '--mail-submission') }),
    ...(mailMailbox === undefined ? {} : { mailbox: parseEndpoint(mailMailbox, '--mail-mailbox') }),
    ...(mailCa === undefined ? {} : { ca: mailCa }),
    login: { user: mailUser, password: { file: mailPasswordFile ?? PASSWORD_FILE } },
  };
}
