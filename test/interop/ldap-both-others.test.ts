/** Both ways between OpenLDAP and another directory: 389-DS, and Active Directory as Samba does it. An edit in each direction. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runHere, temporaryFolder } from '../cli/network.ts';
import { makeOffices, type Office } from '../demo/office.ts';
import { type Login, runCommand } from '../servers/ldap/commands.ts';
import { startDs389 } from '../servers/ldap/ds389.ts';
import { describe389, describeSamba } from '../servers/ldap/presence.ts';
import { startSamba } from '../servers/ldap/samba.ts';
import { type Slapd, startSlapd } from '../servers/ldap/slapd.ts';
import { setBoth } from './ldap-both-offices.ts';
import { ldif, NETWORK, people, PEOPLE, personLdif, SUFFIX } from './ldap-directory.ts';
import { setDirectories } from './ldap-offices.ts';

const [OLD, FROM_HQ, FROM_BRANCH] = ['+1 555 0100', '+1 555 0111', '+1 555 0122'];
const edits = ['telephoneNumber', 'title'];

interface Server {
  url: string;
  ca: string;
  login: Login;
  modify(ldif: string): Promise<void>;
  stop(): Promise<unknown>;
}

interface Site {
  profile: '389ds' | 'ad';
  base: string;
  container: string;
  /** Of somebody in the base. */
  own: string;
  /** Of hq1, in the container. */
  theirs: string;
}

class Branch {
  constructor(
    readonly hq: Office,
    readonly oslo: Office,
    readonly slapd: Slapd,
    readonly server: Server,
    readonly site: Site,
  ) {}

  static async open(server: Server, site: Site): Promise<Branch> {
    const hq1 = personLdif('hq1', `telephoneNumber: ${OLD}\ntitle: Clerk\n`);
    const slapd = await startSlapd({ writes: 'nosync', ldif: ldif([people, hq1]) });
    const [hq, oslo] = (await makeOffices(await temporaryFolder(), ['hq', 'oslo'], runHere)) as [Office, Office];
    await setBoth(hq, slapd, {});
    const text = await readFile(hq.config, 'utf8');
    const released = `    edits: ${JSON.stringify(edits)}\n`;
    await writeFile(
      hq.config,
      text.replace(/^ +receivers: "\*".*\n/m, (line) => `${line}${released}`),
    );
    const { url, ca, login } = server;
    await writeFile(join(oslo.data, 'ldap-password'), `${login.password}\n`, { mode: 0o600 });
    const { profile, base, container } = site;
    const bind = { method: 'simple', dn: login.dn, password: { file: 'ldap-password' } };
    const both = {
      profile,
      servers: [url],
      ca,
      bind,
      base,
      container,
      makeContainer: false,
      firstWrite: 'allowed',
      edits,
    };
    await setDirectories(oslo, [{ name: 'people', type: 'ldap', direction: 'both', ...both }]);
    return new Branch(hq, oslo, slapd, server, site);
  }

  async cycles(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.oslo.must('sync', '--wait', '0');
      await this.hq.must('sync');
      await this.oslo.must('dispatch');
      await this.hq.must('dispatch');
    }
  }

  /** At the branch. */
  async phone(dn: string): Promise<string | undefined> {
    const { url, login } = this.server;
    const args = ['-x', '-LLL', '-o', 'ldif-wrap=no', '-H', url, '-D', login.dn, '-w', login.password, '-s', 'base'];
    const env = { LDAPTLS_REQCERT: 'never' };
    const found = await runCommand('ldapsearch', [...args, '-b', dn, '(objectClass=*)', 'telephoneNumber'], { env });
    return /^telephoneNumber: (.*)$/m.exec(found)?.[1];
  }

  async phoneAtHq(filter: string): Promise<string | undefined> {
    return /^telephoneNumber: (.*)$/m.exec(await this.slapd.search(filter, ['telephoneNumber']))?.[1];
  }

  /** Own change numbers: they stand still where nothing is sent. */
  async seqs(): Promise<number[]> {
    const all = await Promise.all([this.hq.status(), this.oslo.status()]);
    return all.map((one) => (one as unknown as { own: { seq: number } }).own.seq);
  }

  async stop(): Promise<void> {
    await Promise.all([this.slapd.stop(), this.server.stop()]);
  }
}

const phoneLdif = (dn: string, phone: string) =>
  `dn: ${dn}\nchangetype: modify\nreplace: telephoneNumber\ntelephoneNumber: ${phone}\n`;

async function editsBothWays(branch: Branch): Promise<void> {
  const { own, theirs } = branch.site;
  await branch.cycles(2);
  expect([await branch.phone(own), await branch.phone(theirs)]).toEqual([OLD, OLD]);
  // Where the other directory is the editor's …
  await branch.server.modify(phoneLdif(theirs, FROM_BRANCH));
  await branch.cycles(4);
  expect(await branch.phoneAtHq('(cn=hq1)')).toBe(FROM_BRANCH);
  expect(await branch.phone(theirs)).toBe(FROM_BRANCH);
  // … and where it is the owner's.
  const mail = '(mail=lucia@example.com)';
  const dn = /^dn: (.*)$/m.exec(await branch.slapd.search(mail, ['1.1'], NETWORK))![1]!;
  await branch.slapd.modify(phoneLdif(dn, FROM_HQ));
  await branch.cycles(4);
  expect(await branch.phone(own)).toBe(FROM_HQ);
  expect(await branch.phoneAtHq(mail)).toBe(FROM_HQ);
  // The edit, the mark of its owner, its withdrawal, and the mark taken away: a cycle each.
  const before = await branch.seqs();
  await branch.cycles(2);
  expect(await branch.seqs()).toEqual(before);
  for (const office of [branch.hq, branch.oslo]) {
    expect(await office.json<{ conflicts: unknown[] }>('conflicts')).toMatchObject({ conflicts: [] });
  }
}

let branch: Branch | undefined;

afterEach(async () => {
  await branch?.stop();
  branch = undefined;
});

describe389('both ways with 389-DS', () => {
  it('an edit by hand reaches the owner from there, and from the other side', async () => {
    const network = `dn: ${NETWORK}\nobjectClass: organizationalUnit\nou: network\n`;
    const server = await startDs389({
      ldif: ldif([people, personLdif('lucia', `telephoneNumber: ${OLD}\n`), network]),
    });
    branch = await Branch.open(
      {
        url: `ldaps://localhost:${server.ldapsPort}`,
        ca: server.ca,
        login: server.admin,
        modify: (given) => server.modify(given),
        stop: () => server.stop(),
      },
      {
        profile: '389ds',
        base: SUFFIX,
        container: NETWORK,
        own: `cn=lucia,${PEOPLE}`,
        theirs: `cn=hq1,ou=hq,${NETWORK}`,
      },
    );
    await editsBothWays(branch);
  }, 120_000);
});

describeSamba('both ways with Active Directory', () => {
  it('an edit by hand reaches the owner from there, and from the other side', async () => {
    const suffix = 'DC=probe,DC=test';
    const users = `CN=Users,${suffix}`;
    const container = `OU=Network,${suffix}`;
    const password = Buffer.from('"Passw0rd!branch"', 'utf16le').toString('base64');
    const samba = await startSamba({
      ldif: ldif([
        `dn: CN=lucia,${users}\nobjectClass: user\nsAMAccountName: lucia\nuserAccountControl: 512\nunicodePwd:: ${password}\nsn: Person\nmail: lucia@example.com\ntelephoneNumber: ${OLD}\n`,
        `dn: ${container}\nobjectClass: organizationalUnit\nou: Network\n`,
      ]),
    });
    branch = await Branch.open(
      {
        url: `ldaps://${samba.host}`,
        ca: samba.ca,
        login: samba.admin,
        modify: (given) => samba.modify(given),
        stop: () => samba.stop(),
      },
      { profile: 'ad', base: suffix, container, own: `CN=lucia,${users}`, theirs: `CN=hq1,OU=hq,${container}` },
    );
    await editsBothWays(branch);
  }, 240_000);
});
