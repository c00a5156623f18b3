/** Three postoffices, each with an LDAP server of its own that is published from and written into (direction: both). */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere, temporaryFolder } from '../cli/network.ts';
import type { Status } from '../demo/contents.ts';
import { makeOffices, type Office } from '../demo/office.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif } from './ldap-directory.ts';
import { setDirectories } from './ldap-offices.ts';

export const NAMES = ['hq', 'oslo', 'bergen'] as const;
export type OfficeName = (typeof NAMES)[number];

export const PHONE = '+1 555 0100';

export interface BothSettings {
  conflicts?: unknown;
  edits?: string[];
  takes?: unknown;
  attributes?: unknown;
  firstWrite?: 'held' | 'allowed';
}

/** hq is the server. In each office two people live, who are called after it. */
export class BothOffices {
  constructor(
    readonly offices: Record<OfficeName, Office>,
    readonly servers: Record<OfficeName, Slapd>,
  ) {}

  get all(): Office[] {
    return NAMES.map((name) => this.offices[name]);
  }

  /** Everybody's changes to everybody. */
  async cycle(): Promise<void> {
    const { hq, oslo, bergen } = this.offices;
    for (const branch of [oslo, bergen]) await branch.must('sync', '--wait', '0');
    await hq.must('sync');
    for (const branch of [oslo, bergen]) await branch.must('dispatch');
    await hq.must('dispatch');
  }

  async cycles(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.cycle();
  }

  /** In the directory that the person lives in. */
  own(name: OfficeName, person: string, attribute = 'telephoneNumber'): Promise<string | null> {
    return this.value(name, `cn=${person},${PEOPLE}`, attribute);
  }

  /** In another office's container. */
  there(name: OfficeName, owner: OfficeName, person: string, attribute = 'telephoneNumber'): Promise<string | null> {
    return this.value(name, `cn=${person},ou=${owner},${NETWORK}`, attribute);
  }

  async value(name: OfficeName, dn: string, attribute: string): Promise<string | null> {
    const text = await this.servers[name].search('(objectClass=*)', [attribute], dn);
    const found = text.split('\n').filter((line) => line.toLowerCase().startsWith(`${attribute.toLowerCase()}: `));
    return found.length === 0 ? null : found.map((line) => line.slice(attribute.length + 2)).join(' | ');
  }

  async set(name: OfficeName, dn: string, attribute: string, value: string | null): Promise<void> {
    const values = value === null ? '' : `${attribute}: ${value}\n`;
    await this.servers[name].modify(`dn: ${dn}\nchangetype: modify\nreplace: ${attribute}\n${values}`);
  }

  /** Own change numbers, and the server's: they stand still where nothing is sent. */
  async seqs(): Promise<number[]> {
    const all = await Promise.all(this.all.map((office) => office.status()));
    return all.flatMap((one) => {
      const { own, server } = one as Status & { own: { seq: number }; server: { seq: number } | null };
      return server === null ? [own.seq] : [own.seq, server.seq];
    });
  }

  /**
   * As seqs, when they stand still: which of two exchanges the server takes first is chance, and so is the cycle in which an edit
   * goes; the owner takes its mark away after that, with an exchange more. Where something goes to and fro they never do.
   */
  async settledSeqs(): Promise<number[]> {
    for (let left = 3, before = await this.seqs(); ; left--) {
      await this.cycle();
      const now = await this.seqs();
      if (left === 0 || now.join() === before.join()) return now;
      before = now;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(NAMES.map((name) => this.servers[name].stop()));
  }
}

export const person = (name: OfficeName, i: number) => `${name}${i}`;

/** `released`: attributes of which the list takes edits. */
export async function bothOffices(
  settings: Partial<Record<OfficeName, BothSettings>> = {},
  released: string[] = ['telephoneNumber', 'title'],
): Promise<BothOffices> {
  const started = await Promise.all(
    NAMES.map((name) => {
      const staff = [1, 2].map((i) => personLdif(person(name, i), `telephoneNumber: ${PHONE}\ntitle: Clerk\n`));
      return startSlapd({ writes: 'nosync', ldif: ldif([people, ...staff]) });
    }),
  );
  const servers = Object.fromEntries(NAMES.map((name, i) => [name, started[i]!])) as Record<OfficeName, Slapd>;
  const made = await makeOffices(await temporaryFolder(), [...NAMES], runHere);
  const offices = Object.fromEntries(NAMES.map((name, i) => [name, made[i]!])) as Record<OfficeName, Office>;
  for (const name of NAMES) await setBoth(offices[name], servers[name], settings[name] ?? {});
  const text = await readFile(offices.hq.config, 'utf8');
  const edits = `    edits: ${JSON.stringify(released)}\n`;
  await writeFile(
    offices.hq.config,
    text.replace(/^ +receivers: "\*".*\n/m, (line) => `${line}${edits}`),
  );
  return new BothOffices(offices, servers);
}

export async function setBoth(office: Office, server: Slapd, settings: BothSettings): Promise<void> {
  const line = await lineTo(office, server);
  const edits = ['telephoneNumber', 'title'];
  const both = { name: 'people', direction: 'both', ...line, ...published, ...written, edits, ...settings };
  await setDirectories(office, [both]);
}

/** The same as two directories. */
export async function setTwo(office: Office, server: Slapd): Promise<void> {
  const line = await lineTo(office, server);
  const exclude = [{ dn: NETWORK }];
  await setDirectories(office, [
    { name: 'people', direction: 'publish', ...line, ...published, exclude },
    { name: 'network', direction: 'subscribe', ...line, ...written },
  ]);
}

const published = { base: 'dc=example,dc=com', filter: '(mail=*)' };
const written = { container: NETWORK, firstWrite: 'allowed' };

async function lineTo(office: Office, server: Slapd): Promise<object> {
  await writeFile(join(office.data, 'ldap-password'), `${server.admin.password}\n`, { mode: 0o600 });
  const bind = { method: 'simple', dn: server.admin.dn, password: { file: 'ldap-password' } };
  return { type: 'ldap', profile: 'openldap', servers: [server.url], tls: 'none', bind };
}
