/** Programs of the servers and of ldap-utils, run to their end; what they complain of is the error. */
import { spawn } from 'node:child_process';
import { programOf } from '../programs.ts';
import type { Account } from '../process.ts';

export interface CommandOptions {
  /** Given to its standard input. */
  input?: string;
  account?: Account;
  env?: Record<string, string>;
  cwd?: string;
}

/** What it wrote to standard output. Throws with all that it wrote where it does not end with 0. */
export async function runCommand(program: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const { input = '', account, env, cwd } = options;
  const child = spawn(programOf(program), args, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...env },
    ...(cwd !== undefined && { cwd }),
    ...(account !== undefined && process.getuid!() === 0 && { uid: account.uid, gid: account.gid }),
  });
  let [output, complaints] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  // It may end without having read all.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${complaints.trim()}\n${output.trim()}`.trimEnd());
  return output;
}

export interface Login {
  dn: string;
  password: string;
}

export interface LdapTool {
  url: string;
  login: Login;
  /** How the certificate is looked at (ldap.conf(5), TLS_REQCERT): `never` where only a test's own server is there. */
  certificates?: 'never';
}

/** LDIF, with change types or without (then entries are added). Throws at the first record that is refused. */
export async function modifyByLdif({ url, login, certificates }: LdapTool, ldif: string): Promise<void> {
  const args = ['-x', '-H', url, '-D', login.dn, '-w', login.password, '-a'];
  await runCommand('ldapmodify', args, {
    input: ldif,
    env: certificates === undefined ? {} : { LDAPTLS_REQCERT: certificates },
  });
}
