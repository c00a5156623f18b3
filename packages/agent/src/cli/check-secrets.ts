/** `dirpost check` for files with a password or a key, of mail and of LDAP. */
import { isOpenToOthers } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import type { Finding } from './findings.ts';

export async function secretFindings(what: string, files: Iterable<string>): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const file of new Set(files)) {
    try {
      if (!(await isOpenToOthers(file))) continue;
      const text = `${file} holds a secret, and every account of this machine can read or replace it`;
      found.push({ what, result: 'warning', text, mend: `chmod o= ${file}` });
    } catch (error) {
      if (!(error instanceof DirpostError)) throw error;
      const mend = 'Write the secret into it, in one line, readable for the account that runs dirpost alone.';
      found.push({ what, result: 'fault', text: error.message, mend });
    }
  }
  return found;
}
