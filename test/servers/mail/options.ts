/** What a mail system of a test is like, as exim.ts and dovecot.ts write it into their configurations. */
import type { Authority } from '../../contract/http-certificates.ts';
import type { Account } from '../process.ts';

export interface MailUser {
  /** Also the name to log in with. */
  address: string;
  /** Without colons and white space. */
  password: string;
  /** Script (RFC 5228) that his mails pass. */
  sieve?: string;
  /** Of the mailbox, octets. A mail beyond it bounces with 552 5.2.2. */
  quotaBytes?: number;
}

export interface MailOptions {
  users: MailUser[];
  /** Delivered here; without it those of the users. Nobody else's address exists in them: their mails bounce. */
  domains?: string[];
  /** Named as SIZE (RFC 1870), and refused at once beyond it; octets. */
  messageSizeLimit?: number;
  /** Domains behind a relay that takes large mails and bounces them later, with 552 5.3.4. */
  far?: { domains: string[]; messageSizeLimit: number };
  /**
   * What a disclaimer program does to every mail: text put in after the first text part and behind the last part, another
   * Message-ID, and the attachment named and typed anew.
   */
  footer?: boolean;
  /** Every mail arrives twice. */
  duplicate?: boolean;
  /** Mails stay in the queue until `releaseDelayed`. */
  delay?: boolean;
  /** false: the mailbox server has no IDLE (RFC 2177). */
  idle?: boolean;
  /** false: … no MOVE (RFC 6851). */
  move?: boolean;
  /** Of both servers. */
  certificate?: CertificateKind;
}

export type CertificateKind = 'right' | 'unknown authority' | 'wrong name';

export interface Ports {
  /** STARTTLS, as both port 25 and 587. */
  smtp: number;
  smtps: number;
  /** The far relay. */
  far: number;
  imap: number;
  imaps: number;
  lmtp: number;
}

/** All that a configuration is written from. */
export interface Site {
  folder: string;
  account: Account;
  options: MailOptions;
  ports: Ports;
  /** Part of each server's first words: nobody else says it. */
  greeting: string;
  /** Whom clients trust. */
  authority: Authority;
  certificate: { certificate: string; key: string };
}

export function domainsOf({ domains, users }: MailOptions): string[] {
  return domains ?? [...new Set(users.map(({ address }) => address.split('@')[1]!))];
}
