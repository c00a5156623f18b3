/** `transports.mail` of the configurations that dirpost writes: by `init`, `join`, and in the bundles of `invite --from`. */
import type { ProfileName } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { type Flow, flow, quoted } from './sample-flow.ts';

export interface SampleMail {
  profile?: ProfileName;
  address: string;
  /** HOST or HOST:PORT, and TLS where it is not by the port; absent: as the profile says, or as the other one. */
  submission?: SampleEndpoint;
  mailbox?: SampleEndpoint;
  /** As it stands under `login`. */
  login: Flow;
  ca?: string;
}

export interface SampleEndpoint {
  host: string;
  port?: number;
  tls?: string;
}

/** In the configuration folder, where nothing else is named. */
export const PASSWORD_FILE = 'mail-password';

export const EXAMPLE_MAIL =
  '  mail: { address: dirpost@hq.example.org, submission: { host: mail.example.org }, login: { password: { file: mail-password } } }';

export function sampleMail({ profile, address, submission, mailbox, login, ca }: SampleMail): string[] {
  return [
    '  # Mail: a mailbox of its own, whose password stands in a file that only dirpost may read. docs/mail.md',
    '  mail:',
    ...(profile === undefined || profile === 'generic' ? [] : [`    profile: ${profile}`]),
    `    address: ${quoted(address)}`,
    ...(submission === undefined ? [] : [`    submission: ${flow({ ...submission })}`]),
    ...(mailbox === undefined ? [] : [`    mailbox: ${flow({ ...mailbox })}`]),
    `    login: ${flow(login)}`,
    ...(ca === undefined ? [] : [`    ca: ${quoted(ca)}`]),
  ];
}

/** HOST or HOST:PORT; an IPv6 address with a port stands in brackets. `what` is named where it is neither. */
export function parseEndpoint(text: string, what: string): SampleEndpoint {
  const found = /^(\[[0-9A-Fa-f:.]+\]|[^:\s[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (found === null || Number(found[2] ?? 1) > 65_535 || Number(found[2] ?? 1) === 0) {
    throw new DirpostError(
      'wrong-use',
      `${what}: ${JSON.stringify(text)} is not a mail server such as mail.example.org:465.`,
    );
  }
  return { host: found[1]!, ...(found[2] === undefined ? {} : { port: Number(found[2]) }) };
}
