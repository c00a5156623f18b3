/**
 * Samba as an Active Directory domain controller of a test file, in a temporary folder. It has fixed ports, so it gets a
 * loopback address of its own, and root only can start it.
 */
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthority } from '../../contract/http-certificates.ts';
import { programOf } from '../programs.ts';
import { type Account, ServerProcess } from '../process.ts';
import { type Login, modifyByLdif, runCommand } from './commands.ts';

const REALM = 'PROBE.TEST';
const DOMAIN = 'PROBE';
const PASSWORD = 'Passw0rd!probe';
const ROOT: Account = { name: 'root', group: 'root', uid: 0, gid: 0 };
const LDAP_PORT = 389;
const LDAPS_PORT = 636;

export interface SambaOptions {
  /** Lines of smb.conf(5) for this server: `ldap server require strong auth=no`. */
  settings?: string[];
  /** `ldap`; with `kdc` also Kerberos, on port 88. */
  services?: string[];
  /** Loaded at the start. */
  ldif?: string;
}

export async function startSamba(options: SambaOptions = {}): Promise<Samba> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-samba-'));
  const server = new Samba(folder, options);
  try {
    await server.provision();
    await server.start();
    if (options.ldif !== undefined) await server.modify(options.ldif);
    return server;
  } catch (error) {
    const log = await server.log();
    await server.stop();
    throw new Error(`Samba did not start\n${log}`, { cause: error });
  }
}

export class Samba {
  /** Its address; the certificate is for it and for `serverName`. */
  readonly host: string;
  readonly serverName = `dc1.${REALM.toLowerCase()}`;
  readonly port = LDAP_PORT;
  readonly ldapsPort = LDAPS_PORT;
  /** PEM file of the authority that clients are to trust. */
  readonly ca: string;
  readonly folder: string;
  readonly suffix = 'DC=probe,DC=test';
  /** A plain simple bind is refused: TLS comes first. */
  readonly admin: Login = { dn: `Administrator@${REALM.toLowerCase()}`, password: PASSWORD };
  readonly #options: SambaOptions;
  #process: ServerProcess | undefined;

  constructor(folder: string, options: SambaOptions) {
    this.folder = folder;
    this.#options = options;
    this.host = ownAddress();
    this.ca = join(folder, 'ca.pem');
  }

  /** Makes the domain: once, before the first start. */
  async provision(): Promise<void> {
    for (const name of ['run', 'log']) await mkdir(join(this.folder, name));
    const authority = await makeAuthority(this.folder, 'ca');
    const { key } = await authority.issue('server', `DNS:${this.serverName},IP:${this.host}`);
    await chmod(key, 0o600);
    await runCommand('samba-tool', [
      'domain',
      'provision',
      `--targetdir=${join(this.folder, 'dc')}`,
      `--realm=${REALM}`,
      `--domain=${DOMAIN}`,
      '--server-role=dc',
      '--dns-backend=SAMBA_INTERNAL',
      `--adminpass=${PASSWORD}`,
      '--use-rfc2307',
      '--host-name=dc1',
      `--host-ip=${this.host}`,
      `--option=interfaces=${this.host}/8`,
      '--option=bind interfaces only=yes',
    ]);
  }

  async start(): Promise<void> {
    const { services = ['ldap'], settings = [] } = this.#options;
    const options = [
      `server services=${services.join(' ')}`,
      'dcerpc endpoint servers=',
      `pid directory=${this.folder}/run`,
      `ncalrpc dir=${this.folder}/run/ncalrpc`,
      `log file=${this.folder}/log/samba`,
      `tls keyfile=${this.folder}/server.key`,
      `tls certfile=${this.folder}/server.pem`,
      `tls cafile=${this.folder}/ca.pem`,
      ...settings,
    ];
    this.#process = new ServerProcess({
      program: programOf('samba'),
      args: ['-i', '-M', 'single', '--no-process-group', '-s', this.#configuration].concat(
        options.map((option) => `--option=${option}`),
      ),
      account: ROOT,
      folder: this.folder,
      output: join(this.folder, 'log/output'),
    });
    const { host } = this;
    await this.#process.accepts({ host, port: LDAP_PORT }, { host, port: LDAPS_PORT });
  }

  /** kill -9, with all that it was doing. It stays away until `start`. */
  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Server and folder are gone when this resolves. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** LDIF of changes or of entries, as `who`. Throws at the first record that is refused. */
  async modify(ldif: string, login: Login = this.admin): Promise<void> {
    await modifyByLdif({ url: `ldaps://${this.host}`, login, certificates: 'never' }, ldif);
  }

  /** As ldapsearch writes them, not wrapped; base64 where LDIF needs it. */
  async search(filter = '(objectClass=*)', attributes: string[] = [], base: string = this.suffix): Promise<string> {
    const { dn, password } = this.admin;
    const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', `ldaps://${this.host}`, '-D', dn, '-w', password];
    const env = { LDAPTLS_REQCERT: 'never' };
    return await runCommand('ldapsearch', [...args, '-b', base, filter, ...attributes], { env });
  }

  /** `samba-tool` on the domain itself: `['user', 'create', 'anna', 'Passw0rd!']`. */
  async tool(...args: string[]): Promise<string> {
    return await runCommand('samba-tool', [...args, '-s', this.#configuration]);
  }

  get #configuration(): string {
    return join(this.folder, 'dc/etc/smb.conf');
  }

  async log(): Promise<string> {
    return await readFile(join(this.folder, 'log/output'), 'utf8').catch(() => '');
  }
}

/** Of all in 127/8 one that no other test process has. */
function ownAddress(): string {
  const [high, low] = [Math.floor(process.pid / 250) % 250, process.pid % 250];
  return `127.${53 + (started++ % 200)}.${high + 1}.${low + 1}`;
}

let started = 0;
