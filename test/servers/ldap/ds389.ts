/**
 * 389-DS of a test file, in a temporary folder and on ports of loopback that were free: made from the templates of its own
 * package, without the program that puts instances into the system. Its suffix is `dc=example,dc=com`; content
 * synchronization, the retro changelog and memberOf are switched on.
 */
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Authority, makeAuthority } from '../../contract/http-certificates.ts';
import { programOf } from '../programs.ts';
import { freePorts } from '../free-ports.ts';
import { type Account, serverAccount, ServerProcess } from '../process.ts';
import { type Login, modifyByLdif, runCommand } from './commands.ts';
import { BACKEND_LDIF, configurationFolder, type Ds389Site, dseOf } from './ds389-configuration.ts';
import { SUFFIX } from './slapd-configuration.ts';

const HOST = '127.0.0.1';

export interface Ds389Options {
  /** Entries, of everybody but the admin. */
  sizeLimit?: number;
  timeLimitSeconds?: number;
  /** Loaded at the start, below the suffix (which is there). */
  ldif?: string;
}

/** Beside `dse.ldif`; those of the system can be read by its own account only. */
const CONFIGURATION_FILES: Record<string, string> = {
  'schema/99user.ldif':
    'dn: cn=schema\nobjectClass: top\nobjectClass: ldapSubentry\nobjectClass: subschema\ncn: schema\n',
  'certmap.conf': 'certmap default default\n',
  'slapd-collations.conf': '',
};

export async function startDs389(options: Ds389Options = {}): Promise<Ds389> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-389-'));
  const [port, ldapsPort] = (await freePorts(2)) as [number, number];
  const authority = await makeAuthority(folder, 'ca');
  const server = new Ds389({ folder, account: serverAccount(), port, ldapsPort, ...options }, authority);
  try {
    await server.prepare();
    await server.start();
    await server.modify(BACKEND_LDIF);
    await server.modify(foundation(server.reader));
    if (options.ldif !== undefined) await server.modify(options.ldif);
    return server;
  } catch (error) {
    const log = await server.log();
    await server.stop();
    throw new Error(`389-DS did not start\n${log}`, { cause: error });
  }
}

export class Ds389 {
  readonly host = HOST;
  readonly port: number;
  readonly ldapsPort: number;
  readonly url: string;
  /** PEM file of the authority that clients are to trust; the certificate is for `localhost` and 127.0.0.1. */
  readonly ca: string;
  readonly folder: string;
  readonly suffix = SUFFIX;
  /** May everything, and knows no limits. */
  readonly admin: Login = { dn: 'cn=Directory Manager', password: 'secret-for-tests' };
  /** May read what lies below the suffix, and the changelog, within the limits. */
  readonly reader: Login = { dn: `uid=reader,ou=accounts,${SUFFIX}`, password: 'read-secret' };
  readonly #site: Ds389Site;
  readonly #authority: Authority;
  #process: ServerProcess | undefined;

  constructor(site: Ds389Site, authority: Authority) {
    this.#site = site;
    this.#authority = authority;
    this.folder = site.folder;
    this.port = site.port;
    this.ldapsPort = site.ldapsPort;
    this.url = `ldap://${HOST}:${site.port}`;
    this.ca = authority.ca;
  }

  /** Folders, certificate and configuration. Once, before the first start. */
  async prepare(): Promise<void> {
    const { folder } = this.#site;
    const configuration = configurationFolder(folder);
    for (const name of ['bak', 'db', 'ldif', 'lock', 'log', 'run', 'tmp']) await mkdir(join(folder, name));
    await mkdir(join(configuration, 'schema'), { recursive: true });
    await writeFile(join(configuration, 'dse.ldif'), await dseOf(this.#site, this.admin));
    for (const [name, text] of Object.entries(CONFIGURATION_FILES)) await writeFile(join(configuration, name), text);
    await this.#putCertificate();
    await own(folder, this.#site.account);
  }

  async start(): Promise<void> {
    const { folder, port, ldapsPort } = this.#site;
    this.#process = new ServerProcess({
      program: programOf('ns-slapd'),
      args: ['-D', configurationFolder(folder), '-i', join(folder, 'run/pid'), '-d', '0'],
      account: this.#site.account,
      folder,
      output: join(folder, 'log/output'),
    });
    await this.#process.accepts({ host: HOST, port }, { host: HOST, port: ldapsPort });
  }

  /** kill -9, with all that it was doing. It stays away until `start`. */
  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  async restart(): Promise<void> {
    await this.#process?.stop();
    await this.start();
  }

  /**
   * As after a restored LDIF file: these entries and no others, the suffix among them, with new ids. It runs when this
   * resolves.
   */
  async reload(ldif: string): Promise<void> {
    await this.#process?.stop();
    const { folder, account } = this.#site;
    const file = join(folder, 'ldif/reload.ldif');
    await writeFile(file, ldif);
    await chown(file, account.uid, account.gid);
    const args = ['-D', configurationFolder(folder), '-n', 'userRoot', '-i', file];
    await runCommand('ns-slapd', ['ldif2db', ...args], { account, cwd: folder });
    await this.start();
  }

  /** As ldapsearch writes them, not wrapped; base64 where LDIF needs it. */
  async search(filter = '(objectClass=*)', attributes: string[] = [], base: string = SUFFIX): Promise<string> {
    const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', this.url, '-D', this.admin.dn, '-w', this.admin.password];
    return await runCommand('ldapsearch', [...args, '-b', base, filter, ...attributes]);
  }

  /** Server and folder are gone when this resolves. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
    await rm(`/dev/shm/sem.${basename(configurationFolder(this.folder))}.stats`, { force: true });
  }

  /** LDIF of changes or of entries, as `who`. Throws at the first record that is refused. */
  async modify(ldif: string, login: Login = this.admin): Promise<void> {
    await modifyByLdif({ url: this.url, login }, ldif);
  }

  async log(): Promise<string> {
    const texts: string[] = [];
    for (const name of ['output', 'errors']) {
      texts.push(await readFile(join(this.folder, 'log', name), 'utf8').catch(() => ''));
    }
    return texts.join('\n').trim();
  }

  /** Into the key database of NSS, which has no password here. */
  async #putCertificate(): Promise<void> {
    const { certificate, key } = await this.#authority.issue('server', `DNS:localhost,IP:${HOST}`);
    const [store, bundle] = [configurationFolder(this.folder), join(this.folder, 'server.p12')];
    const files = ['-in', certificate, '-inkey', key, '-out', bundle];
    await runCommand('openssl', ['pkcs12', '-export', ...files, '-name', 'Server-Cert', '-passout', 'pass:']);
    await runCommand('certutil', ['-N', '-d', store, '--empty-password']);
    await runCommand('pk12util', ['-i', bundle, '-d', store, '-W', '', '-K', '']);
    await runCommand('certutil', ['-A', '-d', store, '-n', 'CA', '-t', 'CT,,', '-a', '-i', this.ca]);
  }
}

/** The suffix, and an account that may read. */
function foundation({ dn, password }: Login): string {
  const mayRead = `(targetattr!="userPassword")(version 3.0; acl "read"; allow (read,search,compare) userdn="ldap:///${dn}";)`;
  return `dn: ${SUFFIX}
objectClass: domain
dc: example
aci: ${mayRead}

dn: ou=accounts,${SUFFIX}
objectClass: organizationalUnit
ou: accounts

dn: ${dn}
objectClass: inetOrgPerson
uid: reader
cn: reader
sn: account
userPassword: ${password}

dn: cn=changelog
changetype: modify
add: aci
aci: ${mayRead}
`;
}

async function own(folder: string, account: Account): Promise<void> {
  await chown(folder, account.uid, account.gid);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await own(path, account);
    else await chown(path, account.uid, account.gid);
  }
}
