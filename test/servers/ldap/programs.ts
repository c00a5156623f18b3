/** Whether slapd, 389-DS and Samba are installed, and such that a directory can be made of them. */
import { existsSync } from 'node:fs';
import { findProgram, type Servers } from '../programs.ts';

/** Where Debian keeps slapd's modules. */
export const SLAPD_MODULES = '/usr/lib/ldap';
export const SLAPD_SCHEMAS = '/etc/ldap/schema';

function missing(programs: string[]): string[] {
  return programs.filter((name) => findProgram(name) === null).map((name) => `${name} is not installed`);
}

/** Programs that take their place in the system, and fixed ports below 1024. */
function notRoot(): string[] {
  return process.getuid!() === 0 ? [] : ['it can be started by root only'];
}

export const slapdServers: Servers = {
  name: 'slapd',
  lacks() {
    const lacking = missing(['slapd', 'slapadd', 'ldapadd', 'ldapmodify', 'openssl']);
    for (const folder of [SLAPD_MODULES, SLAPD_SCHEMAS]) {
      if (lacking.length === 0 && !existsSync(folder)) lacking.push(`it has no ${folder}`);
    }
    return lacking;
  },
};

export const ds389Servers: Servers = {
  name: '389-DS',
  lacks: () => missing(['ns-slapd', 'certutil', 'pk12util', 'ldapmodify', 'openssl']),
};

export const sambaServers: Servers = {
  name: 'Samba AD',
  lacks: () => [...missing(['samba', 'samba-tool', 'ldapmodify']), ...notRoot()],
};
