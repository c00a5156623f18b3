/** The configuration (`dse.ldif`) of a 389-DS of a test, from the template of its package. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Account } from '../process.ts';
import type { Login } from './commands.ts';
import type { Ds389Options } from './ds389.ts';
import { SUFFIX } from './slapd-configuration.ts';

const TEMPLATE = '/usr/share/dirsrv/data/template-dse.ldif';
const SYNC = 'cn=Content Synchronization,cn=plugins,cn=config';
const CHANGELOG = 'cn=Retro Changelog Plugin,cn=plugins,cn=config';

export interface Ds389Site extends Ds389Options {
  folder: string;
  account: Account;
  port: number;
  ldapsPort: number;
}

/** A semaphore of the system is named for it: it has to be another one for each server. */
export function configurationFolder(folder: string): string {
  return join(folder, `slapd-${basename(folder)}`);
}

export async function dseOf(site: Ds389Site, admin: Login): Promise<string> {
  const filled = fill(await readFile(TEMPLATE, 'utf8'), site, admin);
  const changes: Record<string, string[]> = {
    'cn=config': globalLines(site),
    [CHANGELOG]: [
      'nsslapd-pluginEnabled: on',
      'nsslapd-attribute: nsuniqueid:targetUniqueId',
      'nsslapd-attribute: entryuuid:targetEntryUUID',
    ],
    [SYNC]: ['nsslapd-pluginEnabled: on', 'syncrepl-allow-openldap: on'],
    'cn=MemberOf Plugin,cn=plugins,cn=config': ['nsslapd-pluginEnabled: on'],
  };
  const records = filled.trim().split(/\n{2,}/);
  for (const [dn, lines] of Object.entries(changes)) {
    const at = records.findIndex((record) => record.split('\n')[0]!.toLowerCase() === `dn: ${dn}`.toLowerCase());
    if (at < 0) throw new Error(`389-DS has no ${dn} in ${TEMPLATE}`);
    records[at] = withLines(records[at]!, lines);
  }
  return `${records.join('\n\n')}\n`;
}

function fill(template: string, { folder, account, port }: Ds389Site, admin: Login): string {
  const values: Record<string, string> = {
    schema_dir: join(configurationFolder(folder), 'schema'),
    lock_dir: join(folder, 'lock'),
    tmp_dir: join(folder, 'tmp'),
    cert_dir: configurationFolder(folder),
    config_dir: configurationFolder(folder),
    ldif_dir: join(folder, 'ldif'),
    bak_dir: join(folder, 'bak'),
    run_dir: join(folder, 'run'),
    inst_dir: folder,
    log_dir: join(folder, 'log'),
    db_dir: join(folder, 'db'),
    db_home_dir: join(folder, 'db'),
    db_lib: 'bdb',
    fqdn: 'localhost',
    ds_port: String(port),
    ds_user: account.name,
    ds_suffix: SUFFIX,
    rootdn: admin.dn,
    ds_passwd: hashed(admin.password),
    ldapi_enabled: 'off',
    ldapi: join(folder, 'ldapi'),
    ldapi_autobind: 'off',
  };
  return template.replaceAll(/%([a-z_]+)%/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`389-DS wants to know ${name} in ${TEMPLATE}`);
    return value;
  });
}

/** As it is stored: in the clear it is not taken from a file. */
function hashed(password: string): string {
  const salt = randomBytes(8);
  const sum = createHash('sha512').update(password).update(salt).digest();
  return `{SSHA512}${Buffer.concat([sum, salt]).toString('base64')}`;
}

function globalLines({ ldapsPort, sizeLimit = -1, timeLimitSeconds = -1 }: Ds389Site): string[] {
  return [
    'nsslapd-listenhost: 127.0.0.1',
    'nsslapd-securelistenhost: 127.0.0.1',
    'nsslapd-security: on',
    `nsslapd-secureport: ${ldapsPort}`,
    `nsslapd-sizelimit: ${sizeLimit}`,
    `nsslapd-timelimit: ${timeLimitSeconds}`,
  ];
}

/** In the place of those of the same name that the record has. */
function withLines(record: string, lines: string[]): string {
  const names = new Set(lines.map((line) => line.split(':')[0]!.toLowerCase()));
  const kept = record.split('\n').filter((line) => !names.has(line.split(':')[0]!.toLowerCase()));
  return [...kept, ...lines].join('\n');
}

/** Of the database of the suffix: it is taken while the server runs only. Indexes are made by themselves. */
export const BACKEND_LDIF = `dn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userRoot
nsslapd-suffix: ${SUFFIX}

dn: cn="${SUFFIX}",cn=mapping tree,cn=config
objectClass: extensibleObject
objectClass: nsMappingTree
cn: "${SUFFIX}"
nsslapd-state: backend
nsslapd-backend: userRoot
`;
