/**
 * What the mail transport is told when it is opened, and what it tells back. The configuration file becomes this in the
 * agent; nothing here is read from anywhere else.
 *
 *   transport.ts ─┬─ compose.ts, submission.ts     out: a mail around a message file, by SMTP submission (RFC 6409)
 *                 └─ mailbox.ts, recognise.ts …    in: what lies in the mailbox, by IMAP (RFC 9051, RFC 3501)
 */
import type { DirpostError, PostofficeName } from '@dirpost/core';

export interface MailTransportOptions {
  /** The own postoffice. */
  postoffice: PostofficeName;
  /** Own mail address (addr-spec, RFC 5322 §3.4.1): From and envelope sender, so that bounces come back here. */
  address: string;
  /** Mail address of a peer; null: none is known. */
  addressOf(peer: PostofficeName): string | null;
  profile: ProfileName;
  submission: Endpoint;
  mailbox: MailboxOptions;
  /** How both log in; null: without, as a relay on the own machine allows. */
  login: { submission: LoginOptions | null; mailbox: LoginOptions };
  /** PEM file of the private authority that signed the certificates of the mail servers. Read anew for each connection. */
  ca?: string;
  attachment: AttachmentOptions;
  /** Largest message file that is sent, octets before base64. */
  maxMessageBytes: number;
  /** … and that is taken. Default: the same. */
  maxReceivedBytes?: number;
  /** Folder of this transport below the data folder; made when it is missing. */
  folder: string;
  /** Authenticates what the own mails say about themselves when a bounce returns it: 32 octets, never sent. */
  tagSecret: Uint8Array;
  /** Whether an arrived message file may be taken here. Reads its plain header and checks its signature. */
  judge(bytes: Uint8Array): Judgement;
  /** What an administrator should know; each matter once, not at every poll. */
  onProblem(problem: DirpostError): void;
  /** The mail is done with when it resolved. */
  onBounce(bounce: Bounce): void | Promise<void>;
}

/** `isForAnother`: who may share the mailbox, so the mail stays where it is; `why` is told once, and not of each mail. */
export type Judgement = { take: true } | { take: false; why: string; isForAnother?: boolean };

export type ProfileName = 'generic' | 'microsoft365' | 'google';

export interface Endpoint {
  host: string;
  port: number;
  /** `implicit`: TLS from the first octet (RFC 8314). `starttls`: required, never skipped. `none`: loopback only. */
  tls: 'implicit' | 'starttls' | 'none';
}

export interface MailboxOptions extends Endpoint {
  /** Where message files arrive: `INBOX`. */
  inbox: string;
  /** Where a mail goes whose file is spooled; made when missing, within the personal namespace (RFC 2342). */
  processed: string;
  /** Read too, and alerted on; null: the server's own \Junk (RFC 6154) if it has one; false: not read. */
  junk: string | null | false;
  /** What is not ours goes there; null: it stays untouched. */
  foreign: string | null;
  /** Processed mails, and own ones in Sent where the server puts them, are deleted after this time. */
  keepProcessedMs: number;
}

export interface AttachmentOptions {
  /** File name; `{id}` is the message id. */
  name: string;
  /** Media type. */
  type: string;
  /** `armoured`: as text, for filters that let only text pass. */
  form: 'binary' | 'armoured';
}

/** Where a secret is read from, each time that it is needed, so that a changed one is taken without a restart. */
export type Secret = { file: string } | { env: string } | { command: string[] };

export type LoginOptions =
  | { method: 'password'; user: string; password: Secret }
  /** OAuth 2 client credentials (RFC 6749 §4.4), by a secret or by a certificate (RFC 7523 §2.2). */
  | {
      method: 'client-credentials';
      user: string;
      tokenUrl: string;
      clientId: string;
      scope: string;
      proof: { secret: Secret } | { certificate: string; key: string };
    }
  /** Google: a service account that acts for the user (RFC 7523 §2.1). `keyFile`: its JSON key. */
  | { method: 'service-account'; user: string; keyFile: string; scope: string }
  /** A program prints an access token. */
  | { method: 'token-command'; user: string; command: string[] };

/** A delivery status notification (RFC 3464), or a word of that kind. Never an acknowledgement. */
export interface Bounce {
  /** Our own tag was in it and is right: `messageId`, `peer` and `number` are those of a mail that we sent. */
  isAuthentic: boolean;
  /** Of the message file: 32 hexadecimal digits; null where the notification does not name it. */
  messageId: string | null;
  peer: PostofficeName | null;
  /** Of the exchange or update, as the mark of the mail names it. */
  number?: number | null;
  /** Mail address that was not reached. */
  recipient: string | null;
  /** RFC 3464 §2.3.3. `delayed`: the mail server goes on trying. */
  action: 'failed' | 'delayed';
  /** RFC 3463, such as 5.1.1; null where none is given. */
  status: string | null;
  /** What the other side said, one line of at most 500 characters without control characters. */
  diagnostic: string;
  /** 5.3.4, 5.2.3 or 552: parts to that peer were made smaller already, unless there are `neededBytes`. */
  isTooLarge: boolean;
  /** Nothing smaller is sent: mails of so many octets have to pass. */
  neededBytes?: number | null;
}

/** For `dirpost check`. */
export interface SubmissionFacts {
  /** As negotiated: TLSv1.3; null: none. */
  tls: string | null;
  capabilities: string[];
  /** SIZE (RFC 1870), octets of a mail; null: none named. */
  maxMailBytes: number | null;
  /** Of the greeting. */
  greeting: string;
}

export interface MailboxFacts {
  tls: string | null;
  capabilities: string[];
  /** As the server names them. */
  folders: { inbox: string; processed: string; junk: string | null };
  /** Whether the processed folder is there already. */
  hasProcessed: boolean;
  hasIdle: boolean;
  hasMove: boolean;
  /** Mails in the inbox. */
  waiting: number;
  /** Used and allowed, octets (RFC 9208); null: no quota told. */
  quota: { used: number; limit: number } | null;
}
