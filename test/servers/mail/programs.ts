/** Whether Exim and Dovecot are installed, and such that a mail system can be made of them. */
import { spawnSync } from 'node:child_process';
import { findProgram, type Servers } from '../programs.ts';

const PROGRAMS = ['exim4', 'dovecot', 'openssl'];
/** Version 2.4 has another syntax of configuration. */
const DOVECOT_VERSION = '2.3.';

export const mailServers: Servers = {
  name: 'Exim and Dovecot',
  lacks() {
    const missing = PROGRAMS.filter((name) => findProgram(name) === null).map((name) => `${name} is not installed`);
    const dovecot = findProgram('dovecot');
    if (dovecot === null) return missing;
    const version = spawnSync(dovecot, ['--version'], { encoding: 'utf8' }).stdout.trim();
    if (!version.startsWith(DOVECOT_VERSION)) missing.push(`Dovecot is ${version}, and has to be ${DOVECOT_VERSION}x`);
    return missing;
  },
};

/** Whether a mail system can be started here. */
export function available(): boolean {
  return mailServers.lacks().length === 0;
}
