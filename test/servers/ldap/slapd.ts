/**
 * slapd of a test or bench: unprivileged, in a temporary folder, on ports of loopback that were free and a socket for ldapi,
 * gone with the test. Its suffix is `dc=example,dc=com`, with what stands in LDIF below it.
 */
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Authority, makeAuthority } from '../../contract/http-certificates.ts';
import { programOf } from '../programs.ts';
import { freePorts } from '../free-ports.ts';
import { type Account, serverAccount, ServerProcess } from '../process.ts';
import { type Login, modifyByLdif, runCommand } from './commands.ts';
import { slapdConfiguration, SUFFIX } from './slapd-configuration.ts';

const HOST = '127.0.0.1';
const TRIES = 5;

export type SlapdOverlay = 'syncprov' | 'memberof' | 'refint';

export interface SlapdOptions {
  /** Without it all of them. */
  overlays?: SlapdOverlay[];
  /** `nosync`: for speed, nothing is synced to the disk. */
  writes?: 'durable' | 'nosync';
  /**
   * After how many changes the newest change number is written down. A slapd that is killed before that forgets which
   * deletions it had told nobody of.
   */
  checkpointChanges?: number;
  /** Entries, of everybody but the admin. */
  sizeLimit?: number;
  timeLimitSeconds?: number;
  /** `none`: it knows no TLS. */
  certificate?: 'right' | 'unknown authority' | 'wrong name' | 'none';
  /** Part of each change number, 1 to 4095. */
  serverId?: number;
  /** Accounts below `ou=accounts` that may log in by SCRAM, or simply; they may read. */
  accounts?: { name: string; password: string }[];
  /** `access to …` lines of slapd.access(5), before those that let everybody who has logged in read. */
  access?: string[];
  /** More lines of the database; of everything. */
  databaseLines?: string[];
  globalLines?: string[];
  /** What is loaded at the start, below the suffix (which is there). */
  ldif?: string;
  /** Nothing is there at the start, not even the suffix: as the consumer of another slapd begins. */
  empty?: boolean;
}

/** All that a configuration is written from. */
export interface SlapdSite {
  folder: string;
  account: Account;
  options: SlapdOptions;
  port: number;
  ldapsPort: number;
  /** Of the server; null: it knows no TLS. */
  certificate: { certificate: string; key: string } | null;
  authority: Authority;
}

export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  const folder = await mkdtemp(join(tmpdir(), 'dirpost-slapd-'));
  try {
    for (let i = 1; ; i++) {
      const server = new Slapd(await makeSite(folder, options));
      try {
        await server.prepare();
        await server.start();
        return server;
      } catch (error) {
        await server.kill();
        // Somebody else took a port meanwhile.
        if (i === TRIES || !/address already in use/i.test(String(error))) throw error;
      }
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function makeSite(folder: string, options: SlapdOptions): Promise<SlapdSite> {
  const [port, ldapsPort] = (await freePorts(2)) as [number, number];
  const authority = await makeAuthority(folder, 'ca');
  const kind = options.certificate ?? 'right';
  const signer = kind === 'unknown authority' ? await makeAuthority(folder, 'stranger') : authority;
  const names = kind === 'wrong name' ? 'DNS:elsewhere.test' : `DNS:localhost,IP:${HOST}`;
  const certificate = kind === 'none' ? null : await signer.issue('server', names);
  return { folder, account: serverAccount(), options, port, ldapsPort, certificate, authority };
}

export class Slapd {
  readonly host = HOST;
  readonly port: number;
  readonly ldapsPort: number;
  /** Path of the socket. */
  readonly ldapi: string;
  readonly url: string;
  /** PEM file of the authority that clients are to trust. */
  readonly ca: string;
  /** Signs certificates of clients. */
  readonly authority: Authority;
  readonly folder: string;
  readonly suffix = SUFFIX;
  /** May everything, and knows no limits. */
  readonly admin: Login = { dn: `cn=admin,${SUFFIX}`, password: 'secret' };
  /** May read, within the limits. */
  readonly reader: Login = { dn: `cn=reader,${SUFFIX}`, password: 'read-secret' };
  readonly #site: SlapdSite;
  #process: ServerProcess | undefined;

  constructor(site: SlapdSite) {
    this.#site = site;
    this.folder = site.folder;
    this.port = site.port;
    this.ldapsPort = site.ldapsPort;
    this.ldapi = join(site.folder, 'ldapi');
    this.url = `ldap://${HOST}:${site.port}`;
    this.ca = site.authority.ca;
    this.authority = site.authority;
  }

  /** Folders, configuration, and the first content. Once, before the first start. */
  async prepare(): Promise<void> {
    await this.#configure();
    await this.#empty();
    await this.#add(this.#site.options.ldif ?? '');
  }

  async start(): Promise<void> {
    const { folder, account, ldapsPort, certificate } = this.#site;
    const ldaps = certificate === null ? [] : [`ldaps://${HOST}:${ldapsPort}/`];
    const urls = [`${this.url}/`, ...ldaps, `ldapi://${encodeURIComponent(this.ldapi)}`];
    this.#process = new ServerProcess({
      program: programOf('slapd'),
      args: ['-h', urls.join(' '), '-f', this.#configuration, '-d', 'none'],
      account,
      folder,
      output: join(folder, 'slapd.out'),
    });
    // The socket is nobody else's, and listens last. (A port of TLS that is only knocked at is closed by slapd a moment later,
    // now and then together with the next connection.)
    await this.#process.accepts({ path: this.ldapi });
  }

  get pid(): number {
    return this.#process!.pid;
  }

  /** In order; it stays away until `start`. */
  async halt(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** kill -9, with all that it was doing. It stays away until `start`. */
  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  /** As if it hung: see ServerProcess. */
  async freeze(): Promise<void> {
    await this.#process!.freeze();
  }

  thaw(): void {
    this.#process!.thaw();
  }

  async restart(): Promise<void> {
    await this.halt();
    await this.start();
  }

  /** It runs with what was changed when this resolves. What stands in it stays. */
  async change(options: Partial<SlapdOptions>): Promise<void> {
    await this.halt();
    Object.assign(this.#site.options, options);
    await this.#configure();
    await this.start();
  }

  /** Server and folder are gone when this resolves. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Adds entries: while it runs by LDAP, else past it into its database. */
  async load(ldif: string): Promise<void> {
    if (this.#process === undefined) await this.#slapadd(ldif);
    else await this.modify(ldif);
  }

  /** As after a restored LDIF file: the same entries, or others, with new entryUUIDs. It runs when this resolves. */
  async reload(ldif: string): Promise<void> {
    await this.halt();
    await this.#empty();
    await this.#add(ldif);
    await this.start();
  }

  /** LDIF of changes, as `who`. Throws at the first record that is refused. */
  async modify(ldif: string, login: Login = this.admin): Promise<void> {
    await modifyByLdif({ url: this.url, login }, ldif);
  }

  /** `(dn, attribute: value …)` records as ldapsearch writes them, not wrapped; base64 where LDIF needs it. */
  async search(filter = '(objectClass=*)', attributes: string[] = [], base: string = SUFFIX): Promise<string> {
    const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', this.url, '-D', this.admin.dn, '-w', this.admin.password];
    return await runCommand('ldapsearch', [...args, '-b', base, filter, ...attributes]);
  }

  async output(): Promise<string> {
    return await readFile(join(this.folder, 'slapd.out'), 'utf8');
  }

  get #configuration(): string {
    return join(this.folder, 'slapd.conf');
  }

  async #configure(): Promise<void> {
    await writeFile(this.#configuration, slapdConfiguration(this.#site));
    const { uid, gid } = this.#site.account;
    if (process.getuid!() !== 0) return;
    await chown(this.folder, uid, gid);
    for (const name of await readdir(this.folder)) await chown(join(this.folder, name), uid, gid);
  }

  async #empty(): Promise<void> {
    const data = join(this.folder, 'data');
    const { uid, gid } = this.#site.account;
    await rm(data, { recursive: true, force: true });
    await mkdir(data);
    if (process.getuid!() === 0) await chown(data, uid, gid);
  }

  /** The suffix, the accounts and this. */
  async #add(ldif: string): Promise<void> {
    if (this.#site.options.empty === true) return;
    await this.#slapadd(`${this.#foundation()}\n${ldif}`);
  }

  #foundation(): string {
    const account = (dn: string, name: string, password: string) =>
      `dn: ${dn}\nobjectClass: person\n${name}\nsn: account\nuserPassword: ${password}\n`;
    const { accounts = [] } = this.#site.options;
    return [
      `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n`,
      account(this.reader.dn, 'cn: reader', this.reader.password),
      `dn: ou=accounts,${SUFFIX}\nobjectClass: organizationalUnit\nou: accounts\n`,
      ...accounts.map(({ name, password }) => {
        const dn = `uid=${name},ou=accounts,${SUFFIX}`;
        return account(dn, `objectClass: uidObject\nuid: ${name}\ncn: ${name}`, password);
      }),
    ].join('\n');
  }

  async #slapadd(ldif: string): Promise<void> {
    // `-w`: the newest change number is kept for syncrepl.
    const args = ['-q', '-w', '-f', this.#configuration, '-b', SUFFIX];
    await runCommand('slapadd', args, { input: ldif, account: this.#site.account, cwd: this.folder });
  }
}
