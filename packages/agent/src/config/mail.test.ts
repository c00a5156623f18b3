import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configurationFaults, parseConfiguration } from './load.ts';
import { parseEndpoint, PASSWORD_FILE } from './sample-mail.ts';
import { sampleConfiguration } from './sample.ts';

const folder = resolve('/srv/dirpost');
const requestor = (lines: string) =>
  `postoffice: oslo\nrole: requestor\nserver: hq\ntransports:\n  mail:\n${indented(lines)}`;
const server = (lines: string) =>
  `postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\ntransports:\n  mail:\n${indented(lines)}`;
const indented = (lines: string) => lines.replace(/^/gm, '    ');
const mailOf = (lines: string) => parseConfiguration(requestor(lines), folder).transports.mail!;
/** "path: message", without "transports.mail." */
const faults = (text: string) =>
  configurationFaults(text, folder).map(({ path, message }) => `${path.replace('transports.mail.', '')}: ${message}`);

const HEAD = 'address: oslo@example.org\n';
const HOST = 'submission: { host: mail.example.org }\n';
const LOGIN = 'login: { password: { file: mail-password } }\n';

describe('transports.mail', () => {
  it('needs an address, a mail server and a login; the rest follows', () => {
    const login = {
      method: 'password',
      user: 'oslo@example.org',
      password: { file: resolve(folder, 'mail-password') },
    };
    expect(mailOf(HEAD + HOST + LOGIN)).toEqual({
      profile: 'generic',
      address: 'oslo@example.org',
      submission: { host: 'mail.example.org', port: 465, tls: 'implicit' },
      mailbox: {
        host: 'mail.example.org',
        port: 993,
        tls: 'implicit',
        inbox: 'INBOX',
        processed: 'dirpost-processed',
        junk: null,
        foreign: null,
        keepProcessedMs: 14 * 86_400_000,
      },
      login: { submission: login, mailbox: login },
      attachment: { name: '{id}.dpm', type: 'application/octet-stream', form: 'binary' },
      maxMessageBytes: 5_000_000,
      peers: {},
    });
  });

  it.each([
    ['{ host: h, port: 587 }', { port: 587, tls: 'starttls' }],
    ['{ host: h, tls: starttls }', { port: 587, tls: 'starttls' }],
    ['{ host: h, port: 465 }', { port: 465, tls: 'implicit' }],
    ['{ host: "[::1]", tls: none, port: 2525 }', { host: '::1', port: 2525, tls: 'none' }],
  ])('takes TLS and port of each other: submission %s', (submission, expected) => {
    expect(mailOf(`${HEAD}submission: ${submission}\nmailbox: { host: h }\n${LOGIN}`).submission).toMatchObject(
      expected,
    );
  });

  it.each([
    ['{ port: 143 }', { port: 143, tls: 'starttls' }],
    ['{ tls: starttls }', { port: 143, tls: 'starttls' }],
    ['{ port: 9993, host: imap.example.org }', { host: 'imap.example.org', port: 9993, tls: 'implicit' }],
  ])('… and of the mailbox %s', (mailbox, expected) => {
    expect(mailOf(`${HEAD}${HOST}mailbox: ${mailbox}\n${LOGIN}`).mailbox).toMatchObject(expected);
  });

  it('knows the hosts of Microsoft 365 and Google, unless others are named', () => {
    const microsoft = mailOf(
      `${HEAD}profile: microsoft365\nlogin: { oauth: { tenant: example.org, clientId: c1, secret: { env: SECRET } } }\n`,
    );
    expect(microsoft.submission).toEqual({ host: 'smtp.office365.com', port: 587, tls: 'starttls' });
    expect(microsoft.mailbox).toMatchObject({ host: 'outlook.office365.com', port: 993, tls: 'implicit' });
    expect(microsoft.login.mailbox).toEqual({
      method: 'client-credentials',
      user: 'oslo@example.org',
      tokenUrl: 'https://login.microsoftonline.com/example.org/oauth2/v2.0/token',
      clientId: 'c1',
      scope: 'https://outlook.office365.com/.default',
      proof: { secret: { env: 'SECRET' } },
    });
    const google = mailOf(
      `${HEAD}profile: google\nsubmission: { host: relay.example.org, withoutLogin: true }\nlogin: { serviceAccount: { keyFile: key.json } }\n`,
    );
    expect(google.submission).toEqual({ host: 'relay.example.org', port: 465, tls: 'implicit' });
    expect(google.mailbox.host).toBe('imap.gmail.com');
    expect(google.login).toEqual({
      submission: null,
      mailbox: {
        method: 'service-account',
        user: 'oslo@example.org',
        keyFile: resolve(folder, 'key.json'),
        scope: 'https://mail.google.com/',
      },
    });
  });

  it('takes a login for each way, a certificate as proof, and a program for tokens', () => {
    const { login, ca } = mailOf(`${HEAD}ca: ca.pem
submission:
  host: h
  login: { user: relay, tokenCommand: [./token, --fresh] }
mailbox:
  login:
    oauth: { tokenUrl: "https://login.example.org/token", clientId: c, certificate: c.pem, key: k.pem, scope: imap }
`);
    expect(login).toMatchObject({
      submission: { method: 'token-command', user: 'relay', command: [resolve(folder, 'token'), '--fresh'] },
      mailbox: { proof: { certificate: resolve(folder, 'c.pem'), key: resolve(folder, 'k.pem') }, scope: 'imap' },
    });
    expect(ca).toBe(resolve(folder, 'ca.pem'));
  });

  it('takes another form of attachment, folders and addresses of peers', () => {
    const text = server(
      `${HEAD}${HOST}${LOGIN}attachment: { armoured: true }\nmailbox: { junk: false, foreign: Other, keepProcessed: 1d }\npeers: { lima: dirpost@lima.example.com }\nmaxMessageBytes: 1 MiB\n`,
    );
    expect(parseConfiguration(text, folder).transports.mail).toMatchObject({
      attachment: { name: '{id}.txt', type: 'text/plain', form: 'armoured' },
      mailbox: { junk: false, foreign: 'Other', keepProcessedMs: 86_400_000 },
      peers: { lima: 'dirpost@lima.example.com' },
      maxMessageBytes: 1_048_576,
    });
  });
});

describe('a configuration that dirpost writes', () => {
  const mail = {
    address: 'dirpost@oslo.example.org',
    submission: parseEndpoint('mail.example.org:587', 'x'),
    mailbox: parseEndpoint('[::1]:993', 'x'),
    login: { user: 'oslo: it’s "us"', password: { file: PASSWORD_FILE } },
    ca: '../ca.pem',
  };

  it.each(['server', 'requestor'] as const)('may have mail: role %s', (role) => {
    const text = sampleConfiguration({ postoffice: 'oslo', role, mail });
    const { transports } = parseConfiguration(text, folder);
    expect(transports.mail).toMatchObject({
      submission: { host: 'mail.example.org', port: 587, tls: 'starttls' },
      mailbox: { host: '::1', port: 993, tls: 'implicit' },
      login: { mailbox: { user: 'oslo: it’s "us"', password: { file: resolve(folder, 'mail-password') } } },
      ca: resolve(folder, '../ca.pem'),
    });
    expect(transports.folder).toBeUndefined();
  });

  it('shows mail in a comment that is in order once it is none', () => {
    const text = sampleConfiguration({ postoffice: 'hq', role: 'server' });
    const shown = text.replace('# transports:', 'transports:').replace(/^# ( *mail: )/m, '$1');
    expect(parseConfiguration(shown, folder).transports.mail).toMatchObject({ address: 'dirpost@hq.example.org' });
  });

  it.each(['mail.example.org:0', 'mail.example.org:70000', 'a b', '', 'a:b:c', 'https://mail.example.org'])(
    'names no mail server %j',
    (text) =>
      expect(() => parseEndpoint(text, '--mail-submission')).toThrow(/^--mail-submission: .* is not a mail server/),
  );
});

describe('faults of transports.mail', () => {
  it.each([
    ['an address with a name', `address: Oslo <a@b.c>\n${HOST}${LOGIN}`, /^address: must be a mail address such as/],
    ['no mail server', HEAD + LOGIN, /^submission\.host: is missing: name the mail server here or under mailbox/],
    ['no login at all', HEAD + HOST, /^login: is missing: how to log in for submission and mailbox/],
    [
      'a login for one way only',
      `${HEAD}${HOST}mailbox: { login: { password: { file: f } } }`,
      /^login: is missing: how to log in for submission; name it here for both, or as submission\.login/,
    ],
    [
      'a relay without login, and no mailbox login',
      `${HEAD}submission: { host: h, withoutLogin: true }`,
      /^login: is missing: how to log in for mailbox/,
    ],
    [
      'no TLS off this machine',
      `${HEAD}${LOGIN}submission: { host: h, tls: none }`,
      /^submission\.tls: none is for this machine only/,
    ],
    [
      'no TLS to the mailbox',
      `${HEAD}${HOST}${LOGIN}mailbox: { tls: none }`,
      /^mailbox\.tls: none is for this machine/,
    ],
    ['a misspelt setting', `${HEAD}${HOST}${LOGIN}mailbox: { folde: X }`, /^mailbox\.folde: .*did you mean folder\?$/],
    ['a misspelt profile', `${HEAD}profile: gogle\n${LOGIN}`, /^profile: .*did you mean google\?$/],
    [
      'two ways to log in',
      `${HEAD}${HOST}login: { password: { file: f }, tokenCommand: [t] }`,
      /^login: must have exactly one of/,
    ],
    [
      'a secret from two places',
      `${HEAD}${HOST}login: { password: { file: f, env: E } }`,
      /^login\.password: must have exactly one of file, env and command$/,
    ],
    [
      'a password for IMAP of Microsoft 365',
      `${HEAD}profile: microsoft365\n${LOGIN}`,
      /^login\.password: Microsoft 365 takes no password for IMAP: use oauth/,
    ],
    [
      'no tenant and no address for tokens',
      `${HEAD}${HOST}login: { oauth: { clientId: c, scope: s, secret: { file: f } } }`,
      /^login\.oauth: must have exactly one of tenant and tokenUrl$/,
    ],
    [
      'a certificate without its key',
      `${HEAD}${HOST}login: { oauth: { tenant: t, clientId: c, certificate: c.pem } }`,
      /^login\.oauth: certificate and key stand together$/,
    ],
    [
      'no scope for an unknown service',
      `${HEAD}${HOST}login: { oauth: { tokenUrl: "https://t.example", clientId: c, secret: { file: f } } }`,
      /^login\.oauth\.scope: is missing/,
    ],
    [
      'a secret that would go without TLS',
      `${HEAD}${HOST}login: { oauth: { tokenUrl: "http://t.example", scope: s, clientId: c, secret: { file: f } } }`,
      /^login\.oauth\.tokenUrl: the secret would pass the network in the open/,
    ],
    [
      'a peer of a requestor that is not its server',
      `${HEAD}${HOST}${LOGIN}peers: { lima: a@b.c }`,
      /^peers\.lima: a requestor sends to its server only/,
    ],
    ['itself as a peer', `${HEAD}${HOST}${LOGIN}peers: { oslo: a@b.c }`, /^peers\.oslo: is this postoffice itself/],
    [
      'messages that are too small',
      `${HEAD}${HOST}${LOGIN}maxMessageBytes: 10 KiB`,
      /^maxMessageBytes: must be at least 64 KiB$/,
    ],
    [
      'a file name with a path',
      `${HEAD}${HOST}${LOGIN}attachment: { name: ../x }`,
      /^attachment\.name: "\.\.\/x" must be a file name/,
    ],
  ])('%s', (_, lines, expected) => {
    expect(faults(requestor(lines))).toEqual([expect.stringMatching(expected)]);
  });

  it.each([
    'password: hunter2-secret',
    'password: [hunter2-secret]',
    'oauth: { tenant: t, clientId: c, secret: hunter2-secret }',
  ])('a secret in plain is refused, told how it is done, and never shown: %s', (login) => {
    const told = faults(requestor(`${HEAD}${HOST}login: { ${login} }`)).join('\n');
    expect(told).toMatch(/does not stand in the configuration: write it into a file/);
    expect(told).not.toContain('hunter2');
  });

  it('a number as password is not shown either', () => {
    expect(faults(requestor(`${HEAD}${HOST}login: { password: 12345678 }`)).join()).not.toContain('1234');
  });

  it('several are told at once', () => {
    expect(faults(requestor('adress: a@b.c\nlogin: { password: x }')).map((fault) => fault.split(':')[0])).toEqual([
      'address',
      'submission.host',
      'adress',
      'login.password',
    ]);
  });
});
