/** Where the servers of tests and of the demo are installed, if they are. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export const INSTALL = 'bash test/servers/install.sh';

export interface Servers {
  /** For a person: `Exim and Dovecot`. */
  name: string;
  /** What cannot be used and why, a line each; empty: the tests can run. */
  lacks(): string[];
}

/** Daemons are not on everybody's PATH. */
const DAEMON_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/lib/dovecot', '/usr/libexec/dovecot'];

/** Path of a program; null: it is not installed. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...DAEMON_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

/** For programs that `lacks` has already been asked for. */
export function programOf(name: string): string {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed; ${INSTALL} installs it`);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
