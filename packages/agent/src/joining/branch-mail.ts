/**
 * Mail in the bundle of a branch (`dirpost invite --from`): the address stands in the table; mail servers are those of the
 * table, else those of this server; of the login everything is written but the secret, which is put in at the branch.
 */
import { readFile } from 'node:fs/promises';
import { fileError, type LoginOptions } from '@dirpost/adapters';
import { isMailAddress } from '@dirpost/core';
import type { MailConfiguration } from '../config/mail.ts';
import type { Flow } from '../config/sample-flow.ts';
import { parseEndpoint, PASSWORD_FILE, type SampleEndpoint, type SampleMail } from '../config/sample-mail.ts';

export const MAIL_COLUMNS = ['mail', 'mail_submission', 'mail_mailbox', 'mail_user'];

export interface BranchMail {
  address: string;
  submission?: SampleEndpoint;
  mailbox?: SampleEndpoint;
  user?: string;
}

const CA_FILE = 'mail-ca.pem';

/** Undefined for a branch without. Throws DirpostError `wrong-use` for what is no mail server. */
export function readBranchMail(
  cell: (column: string) => string | undefined,
  serverHasMail: boolean,
  tell: (fault: string) => void,
): BranchMail | undefined {
  const [address, submission, mailbox, user] = MAIL_COLUMNS.map(cell);
  if (address === undefined) {
    if (submission ?? mailbox ?? user) tell('mail servers without an address under mail');
    return undefined;
  }
  if (!isMailAddress(address)) tell(`${JSON.stringify(address)} is not a mail address`);
  if (!serverHasMail) tell('this server has no transports.mail in its own configuration');
  return {
    address,
    ...(submission === undefined ? {} : { submission: parseEndpoint(submission, 'mail_submission') }),
    ...(mailbox === undefined ? {} : { mailbox: parseEndpoint(mailbox, 'mail_mailbox') }),
    ...(user === undefined ? {} : { user }),
  };
}

export interface BundleMail {
  sample: SampleMail;
  /** File name → content. */
  files: Record<string, string>;
  /** What is to be put in at the branch, a line of its README. */
  todo: string;
}

export async function bundleMail(branch: BranchMail, server: MailConfiguration): Promise<BundleMail> {
  const { address, submission, mailbox, user } = branch;
  const isOwnServer = submission !== undefined || mailbox !== undefined;
  const login = isOwnServer ? passwordLogin(user) : loginLike(server.login.mailbox, user);
  const ca = isOwnServer || server.ca === undefined ? undefined : await readAuthority(server.ca);
  const sample: SampleMail = {
    address,
    login: login.login,
    ...(isOwnServer ? {} : { profile: server.profile }),
    ...(isOwnServer ? { ...(submission && { submission }), ...(mailbox && { mailbox }) } : serversOf(server)),
    ...(ca === undefined ? {} : { ca: CA_FILE }),
  };
  return { sample, files: ca === undefined ? {} : { [CA_FILE]: ca }, todo: login.todo.replace('ADDRESS', address) };
}

function serversOf({ profile, submission, mailbox }: MailConfiguration): Pick<SampleMail, 'submission' | 'mailbox'> {
  if (profile !== 'generic') return {};
  const { host, port, tls } = mailbox;
  return { submission: { ...submission }, mailbox: { host, port, tls } };
}

interface LoginToDo {
  login: Flow;
  todo: string;
}

function passwordLogin(user: string | undefined): LoginToDo {
  return {
    login: { user, password: { file: PASSWORD_FILE } },
    todo: `In this folder make a file ${PASSWORD_FILE} with the password of the mailbox ADDRESS, readable for dirpost alone.`,
  };
}

/** The same way to log in as at the server; what it logs in with is put in at the branch. */
function loginLike(login: LoginOptions, user: string | undefined): LoginToDo {
  switch (login.method) {
    case 'password':
      return passwordLogin(user);
    case 'client-credentials': {
      const { tokenUrl, clientId, scope, proof } = login;
      const isSecret = 'secret' in proof;
      const proven = isSecret ? { secret: { file: 'mail-secret' } } : { certificate: 'mail.crt', key: 'mail.key' };
      const files = isSecret ? 'a file mail-secret with the client secret' : 'the files mail.crt and mail.key';
      return {
        login: { user, oauth: { tokenUrl, clientId, scope, ...proven } },
        todo: `In this folder put ${files} of the application ${clientId}, which may use the mailbox ADDRESS; readable for dirpost alone.`,
      };
    }
    case 'service-account':
      return {
        login: { user, serviceAccount: { keyFile: 'mail-key.json' } },
        todo: 'In this folder put the file mail-key.json with the key of the service account, which may act for ADDRESS; readable for dirpost alone.',
      };
    case 'token-command':
      return {
        login: { user, password: { file: PASSWORD_FILE } },
        todo: 'In dirpost.yaml write how to log in to the mailbox ADDRESS: transports.mail.login',
      };
  }
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw fileError(error, `read ${path}`);
  }
}
