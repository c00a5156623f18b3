/**
 * Transport `mail`: a message file goes out as attachment of a mail through the own mail server (T1), and is taken from
 * the own mailbox (T0, T3). Nothing is queued here. What was sent may still come back as a bounce: that is told, makes
 * parts smaller where they were too large, and is never an acknowledgement.
 */
import { DirpostError, type MessageFile, type Transport } from '@dirpost/core';
import { checkMailAddress } from './addresses.ts';
import { composeMail, fileBytesIn, mailBytesOf } from './compose.ts';
import { type Login, openLogin } from './login.ts';
import { Mailbox, type MailboxTimes } from './mailbox.ts';
import type { MailboxFacts, MailTransportOptions, SubmissionFacts } from './options.ts';
import type { PaceClock } from './pace.ts';
import { profileOf } from './profiles.ts';
import { MIN_MESSAGE_BYTES, SizeLimits } from './size-limits.ts';
import type { SmtpContext } from './smtp-failures.ts';
import { shownEndpoint } from './smtp-session.ts';
import { Submission, type SubmissionTimes } from './submission.ts';

/** Sizes of that many message files are remembered, so that a bounce finds its own. */
const MAX_SENT_SIZES = 1_000;

export interface MailDependencies {
  times?: { submission?: Partial<SubmissionTimes>; mailbox?: Partial<MailboxTimes> };
  /** Of the pace of mails: never going back. */
  clock?: PaceClock;
  /** Milliseconds since 1970. */
  now?: () => number;
}

export interface MailFacts {
  submission: SubmissionFacts;
  mailbox: MailboxFacts;
}

export class MailTransport implements Transport {
  readonly name = 'mail';
  readonly #options: MailTransportOptions;
  readonly #from: string;
  readonly #now: () => number;
  readonly #submission: Submission;
  readonly #mailbox: Mailbox;
  readonly #sizes: SizeLimits;
  /** Octets of message files by id, oldest first. */
  readonly #sentSizes = new Map<string, number>();

  /** Connects to nothing yet. Throws DirpostError `config-invalid` or `transport-failed`. */
  constructor(options: MailTransportOptions, dependencies: MailDependencies = {}) {
    const { times = {}, clock, now = Date.now } = dependencies;
    const { folder, onProblem, ca, submission: endpoint } = options;
    this.#options = options;
    this.#now = now;
    this.#from = checkMailAddress(options.address, 'the own address');
    this.#sizes = new SizeLimits({ folder, server: shownEndpoint(endpoint), now, onProblem });
    const [submissionLogin, mailboxLogin] = logins(options);
    this.#submission = new Submission({
      endpoint,
      from: this.#from,
      login: submissionLogin,
      ca,
      profile: profileOf(options.profile),
      onSize: (bytes) => this.#sizes.announced(bytes),
      ...(times.submission !== undefined && { times: times.submission }),
      ...(clock !== undefined && { clock }),
    });
    const hooks = {
      tooLargeFor: (peer: string, messageId: string | null) =>
        this.tooLargeFor(peer, this.#sentSizes.get(messageId ?? '') ?? null),
    };
    const mailboxDeps = { nowMs: now, ...(times.mailbox !== undefined && { times: times.mailbox }) };
    this.#mailbox = new Mailbox(options, mailboxLogin, hooks, mailboxDeps);
  }

  get maxMessageBytes(): number {
    const { maxMessageBytes, profile, attachment } = this.#options;
    const mailBytes = [this.#sizes.maxMailBytes, profileOf(profile).maxMailBytes].filter((bytes) => bytes !== null);
    return Math.min(maxMessageBytes, ...mailBytes.map((bytes) => fileBytesIn(bytes, attachment.form)));
  }

  maxMessageBytesTo(peer: string): number {
    return Math.min(this.maxMessageBytes, this.#sizes.maxMessageBytesTo(peer) ?? Infinity);
  }

  async deliver(file: MessageFile, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const address = this.#addressOf(file.to);
    this.#checkSize(file);
    const { attachment, tagSecret } = this.#options;
    const date = new Date(this.#now());
    const compose = () => composeMail(file, { from: this.#from, to: address, attachment, tagSecret, date });
    this.#rememberSize(file);
    try {
      await this.#submission.send(compose, address, signal);
      // A verification is the last word.
      if (file.about?.kind !== 'verification') this.#mailbox.expectAnswer();
    } catch (error) {
      if (!(error instanceof DirpostError) || !(error.context as SmtpContext).isTooLarge) throw error;
      throw this.#refusedAsTooLarge(file, error);
    }
  }

  collect(spool: (bytes: Uint8Array) => Promise<boolean>, signal: AbortSignal): Promise<number> {
    return this.#mailbox.collect(spool, signal);
  }

  watch(wake: () => void, signal: AbortSignal): Promise<void> {
    return this.#mailbox.watch(wake, signal);
  }

  /** For `dirpost check`: logs in to both. Throws `transport-failed`. */
  async look(signal: AbortSignal): Promise<MailFacts> {
    const submission = await this.lookAtSubmission(signal);
    return { submission, mailbox: await this.lookAtMailbox(signal) };
  }

  /** Only at one of them, so that each can be told apart. Throws `transport-failed`. */
  lookAtSubmission(signal: AbortSignal): Promise<SubmissionFacts> {
    return this.#submission.look(signal);
  }

  lookAtMailbox(signal: AbortSignal): Promise<MailboxFacts> {
    return this.#mailbox.look(signal);
  }

  /**
   * A message file to that peer was larger than some server on the way takes: parts are made smaller from now on.
   * `bytes`: of that file; null where it is not known. Null, or, where it was one of the smallest, the octets of
   * a mail that have to pass.
   */
  tooLargeFor(peer: string, bytes: number | null = null): number | null {
    const presentBytes = this.maxMessageBytesTo(peer);
    if (this.#sizes.tooLarge(peer, bytes, presentBytes)) return null;
    return mailBytesOf(Math.min(MIN_MESSAGE_BYTES, presentBytes), this.#options.attachment.form);
  }

  /** What is under way fails. */
  async close(): Promise<void> {
    this.#submission.close();
    await this.#mailbox.close();
    await this.#sizes.saved();
  }

  #addressOf(peer: string): string {
    const address = this.#options.addressOf(peer);
    if (address !== null) return checkMailAddress(address, `the address of ${peer}`);
    throw new DirpostError('transport-failed', `No mail address of postoffice ${peer} is known.`, {
      retry: 'operator',
      hint: 'Add it to that peer in the configuration, or give it another transport.',
      context: { peer },
    });
  }

  #checkSize({ id, to, bytes }: MessageFile): void {
    const maxBytes = this.maxMessageBytesTo(to);
    if (bytes.length <= maxBytes) return;
    const what = `Message file ${id} has ${bytes.length} bytes; by mail to ${to} at most ${maxBytes} pass.`;
    throw new DirpostError('message-too-large', what, {
      retry: 'operator',
      hint: 'It is composed again in smaller parts, or raise transports.mail.maxMessageBytes and what the mail servers take.',
      context: { id, to, bytes: bytes.length, maxBytes },
    });
  }

  #rememberSize({ id, bytes }: MessageFile): void {
    this.#sentSizes.delete(id);
    this.#sentSizes.set(id, bytes.length);
    if (this.#sentSizes.size > MAX_SENT_SIZES) this.#sentSizes.delete(this.#sentSizes.keys().next().value!);
  }

  /** Not by the SIZE of the own server, which is known now and is for all. */
  #refusedAsTooLarge({ to, bytes }: MessageFile, error: DirpostError): DirpostError {
    const neededBytes = bytes.length <= this.maxMessageBytes ? this.tooLargeFor(to, bytes.length) : null;
    if (neededBytes === null) return error;
    return new DirpostError(error.code, error.message, {
      retry: error.retry,
      hint: `Parts are not made smaller than that: it has to let mails of ${neededBytes} bytes pass.`,
      context: { ...error.context, neededBytes },
    });
  }
}

/** One that serves both is asked for one token only. */
function logins({ login, ca }: MailTransportOptions): [Login | null, Login] {
  if (login.mailbox === null) {
    throw new DirpostError('config-invalid', 'The mailbox of transport mail has no login.', {
      retry: 'operator',
      hint: 'Name user and password, or how a token is got, in transports.mail.',
    });
  }
  const mailbox = openLogin(login.mailbox, { ca });
  if (login.submission === null) return [null, mailbox];
  const isSame = JSON.stringify(login.submission) === JSON.stringify(login.mailbox);
  return [isSame ? mailbox : openLogin(login.submission, { ca }), mailbox];
}
