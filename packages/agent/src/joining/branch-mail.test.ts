import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfiguration } from '../config/load.ts';
import { readBranches, writeBundle } from './branches.ts';
import { reachable } from './server-address.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-branch-mail-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LOGIN = 'login: { user: hq, password: { file: hq-password } }';

/** The bundle of the one branch of a table, at a server with that mail. */
async function bundleOf(columns: string, row: string, mail: string) {
  const table = join(folder, 'branches.csv');
  writeFileSync(table, `name,${columns}\noslo,${row}\n`);
  const [branch] = await readBranches(table, {}, true);
  const server = parseConfiguration(
    `postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\ntransports: { mail: { address: dirpost@hq.example.org, ${mail} } }\n`,
    folder,
  );
  await writeBundle(folder, branch!, 'the line', 'hq', await reachable(server));
  const bundle = join(folder, 'oslo');
  const text = readFileSync(join(bundle, 'dirpost.yaml'), 'utf8');
  return { bundle, text, ...parseConfiguration(text, bundle).transports };
}

describe('a bundle with mail', () => {
  it('has the mail servers of this server, an address of its own, and lacks the password alone', async () => {
    writeFileSync(join(folder, 'private-ca.pem'), 'the authority');
    const {
      bundle,
      mail,
      folder: exchange,
    } = await bundleOf(
      'mail,mail_user',
      'dirpost@oslo.example.org,oslo',
      `submission: { host: smtp.example.org, port: 587 }, mailbox: { host: imap.example.org }, ca: private-ca.pem, ${LOGIN}`,
    );
    const login = { method: 'password', user: 'oslo', password: { file: join(bundle, 'mail-password') } };
    expect(mail).toMatchObject({
      address: 'dirpost@oslo.example.org',
      submission: { host: 'smtp.example.org', port: 587, tls: 'starttls' },
      mailbox: { host: 'imap.example.org', port: 993, tls: 'implicit' },
      login: { submission: login, mailbox: login },
      ca: join(bundle, 'mail-ca.pem'),
    });
    expect(exchange).toBeUndefined();
    expect(readFileSync(mail!.ca!, 'utf8')).toBe('the authority');
    expect(readFileSync(join(bundle, 'README.txt'), 'utf8')).toMatch(
      /^2\. .*mail-password with the password of the mailbox dirpost@oslo\.example\.org/m,
    );
    expect(readdirSync(bundle)).not.toContain('mail-password');
  });

  it('may have mail servers of its own, and then no authority of this server', async () => {
    writeFileSync(join(folder, 'private-ca.pem'), 'the authority');
    const { mail } = await bundleOf(
      'mail,mail_submission,mail_mailbox',
      'a@oslo.example,mail.oslo.example:465,"imap.oslo.example:143"',
      `submission: { host: smtp.example.org }, ca: private-ca.pem, ${LOGIN}`,
    );
    expect(mail).toMatchObject({
      submission: { host: 'mail.oslo.example', port: 465 },
      mailbox: { host: 'imap.oslo.example', port: 143, tls: 'starttls' },
    });
    expect(mail?.ca).toBeUndefined();
  });

  it('logs in to Microsoft 365 and Google as this server does, with a secret that is put in there', async () => {
    const microsoft = await bundleOf(
      'mail',
      'a@oslo.example',
      'profile: microsoft365, login: { oauth: { tenant: t1, clientId: c1, certificate: c.pem, key: k.pem } }',
    );
    expect(microsoft.mail).toMatchObject({
      profile: 'microsoft365',
      submission: { host: 'smtp.office365.com' },
      login: {
        mailbox: {
          method: 'client-credentials',
          user: 'a@oslo.example',
          clientId: 'c1',
          tokenUrl: expect.stringContaining('/t1/'),
          proof: { certificate: join(microsoft.bundle, 'mail.crt'), key: join(microsoft.bundle, 'mail.key') },
        },
      },
    });
    const google = await bundleOf(
      'mail',
      'a@oslo.example',
      'profile: google, login: { serviceAccount: { keyFile: k.json } }',
    );
    expect(google.mail).toMatchObject({
      profile: 'google',
      login: { mailbox: { user: 'a@oslo.example', keyFile: join(google.bundle, 'mail-key.json') } },
    });
  });
});

describe('a table of branches', () => {
  const faultsOf = async (table: string, serverHasMail: boolean): Promise<string> => {
    const file = join(folder, 'branches.csv');
    writeFileSync(file, table);
    return readBranches(file, {}, serverHasMail).then(
      () => 'none',
      (error: Error) => error.message,
    );
  };

  it('with faults in its mail names all of them', async () => {
    const table = 'name,mail,mail_submission\noslo,Oslo <a@b.c>,\nlima,,mail.example.org\nbergen,a@b.c,mail:x:y\n';
    const told = await faultsOf(table, true);
    expect(told).toMatch(/line 2: "Oslo <a@b\.c>" is not a mail address/);
    expect(told).toMatch(/line 3: mail servers without an address under mail/);
    expect(told).toMatch(/line 4: mail_submission: "mail:x:y" is not a mail server/);
  });

  it('with mail needs a server with mail', async () => {
    expect(await faultsOf('name,mail\noslo,a@b.c\n', false)).toMatch(/line 2: this server has no transports\.mail/);
    expect(await faultsOf('name,mail\noslo,\n', false)).toBe('none');
  });
});
