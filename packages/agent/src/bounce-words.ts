/** What is kept of a mail that came back or was refused, and how `queue`, `status` and the log say it (bounces.ts). */
import type { Outgoing, PostofficeName } from '@dirpost/core';

/** A message file that came back, or that the own mail server refused for good. */
export interface FailedMessage {
  /** Of the message file; null where the other side did not name it. */
  id: string | null;
  kind: Outgoing['kind'] | null;
  number: number | null;
  atMs: number;
  /** Mail address that was not reached. */
  recipient: string | null;
  /** RFC 3463, such as 5.1.1. */
  status: string | null;
  /** What the other side said. */
  diagnostic: string;
  isTooLarge: boolean;
  /** Although nothing smaller is sent: mails of so many octets have to pass. Missing: parts are smaller now. */
  neededBytes?: number;
  /** By the own mail server, when it was handed over: it waits in the outbox. */
  isRefused?: true;
  /** What helps, where the transport knows. */
  hint?: string;
}

/** "update 12". */
export function failedWords({ kind, number }: Pick<FailedMessage, 'kind' | 'number'>): string {
  if (kind === 'enrolment' || kind === 'announcement') return `the ${kind}`;
  return number === null ? 'a message file' : `${kind ?? 'message'} ${number}`;
}

/** What the other side said: "5.1.1 for oslo@example.org: User unknown." */
export function said({
  status,
  recipient,
  diagnostic,
}: Pick<FailedMessage, 'status' | 'recipient' | 'diagnostic'>): string {
  const who = [status, recipient === null ? null : `for ${recipient}`].filter((word) => word !== null).join(' ');
  const words = diagnostic === '' ? 'without a reason' : diagnostic;
  return `${who === '' ? '' : `${who}: `}${words}${/[.!?]$/.test(words) ? '' : '.'}`;
}

/** What an administrator can do, by the class of the status (RFC 3463 §3). */
export function adviceFor({ status, isTooLarge, neededBytes, hint }: FailedMessage, peer: PostofficeName): string {
  if (neededBytes !== undefined) {
    return `Parts are not made smaller than that: the mail servers on the way to ${peer} have to let mails of ${neededBytes} bytes pass (SIZE, message size limit). Ask there, or use another transport.`;
  }
  if (isTooLarge) return 'Nothing to do: what goes there is made smaller.';
  if (hint !== undefined) return hint;
  const subject = /^\d\.(\d)\./.exec(status ?? '')?.[1];
  switch (subject) {
    case '1':
      return `Is the mail address of ${peer} in the configuration the right one? Mend it: transports.mail.peers, or at the server: dirpost requestor mail`;
    case '2':
      return `The mailbox of ${peer} is full or closed: ask there.`;
    case '3':
    case '4':
      return `The mail server of ${peer} cannot be reached or does not work: ask there, or try later.`;
    case '7':
      return `Its mail server refuses mails from here: ask its administrator to let your address through.`;
    default:
      return 'Nothing is lost: what was in it is sent again until it is acknowledged.';
  }
}
