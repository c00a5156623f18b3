/**
 * The configuration that `dirpost init` writes: complete, commented, and in order as it stands (a test loads it). What
 * an administrator has to look at is marked by the comments.
 */
import { flow, quoted } from './sample-flow.ts';
import { EXAMPLE_MAIL, type SampleMail, sampleMail } from './sample-mail.ts';

export interface SampleOptions {
  postoffice: string;
  role: 'server' | 'requestor';
  /** Requestor: name of the directory server postoffice. */
  server?: string;
  /** The file that is published: CSV if its name ends so, else LDIF. */
  directory?: string;
  /** The attribute of it that an entry keeps for life. */
  key?: string;
  /** The file that the others' entries are written to: CSV if its name ends so, else LDIF. */
  subscribe?: string;
  /** The exchange folder. */
  folder?: string;
  /** Server: HOST:PORT to take message files at; `address` is what requestors call, where that is another. */
  listen?: string;
  address?: string;
  /** Server: PEM files of its certificate and the private key. */
  tls?: { certificate: string; key: string };
  /** Requestor: the server's http address; then there is an exchange folder only if one is named. */
  http?: string;
  /** PEM file of what vouches for that address. */
  ca?: string;
  mail?: SampleMail;
  /** DN below which the others' entries are written. */
  container?: string;
  /** For branches that are set up with nobody there: the first write waits for no approval. */
  unattended?: boolean;
}

export function sampleConfiguration(options: SampleOptions): string {
  const { role } = options;
  const sections = [head(options), directories(options), transports(options), role === 'server' ? serverPart() : []];
  return `${sections.flat().join('\n')}\n`;
}

function head({ postoffice, role, server = 'hq' }: SampleOptions): string[] {
  return [
    '# Configuration of a dirpost postoffice. `dirpost check` finds every fault in it;',
    '# docs/configuration.md names every setting. Paths are seen from the folder of this file.',
    '',
    `postoffice: ${postoffice}     # unique on the network, and for life`,
    `role: ${role}`,
    ...(role === 'requestor' ? [`server: ${server}     # the directory server postoffice`] : []),
    'data: .     # keys, store and spool',
    '',
  ];
}

function directories(options: SampleOptions): string[] {
  return ['directories:', ...published(options), '', ...network(options), ''];
}

function published({ directory = 'people.ldif', key = 'entryUUID' }: SampleOptions): string[] {
  const csv = isCsv(directory);
  return [
    '  # What this postoffice publishes: its own people and groups.',
    '  - name: people',
    csv ? '    type: csv     # columns that are called like LDAP attributes are published' : '    type: ldif',
    `    path: ${quoted(directory)}`,
    '    direction: publish',
    `    key: ${quoted(key)}     # ${csv ? 'a column' : 'an attribute'} whose value an entry keeps for life`,
    '    # filter: (!(employeeType=test))     # only entries that match',
    '    # exclude:',
    '    #   - { attribute: uid, prefix: svc- }',
    ...(csv
      ? [
          '    # attributes:     # network attribute: column here, a template, or null to drop it',
          '    #   telephoneNumber: Phone',
          '    #   displayName: "{First name} {Surname}"',
        ]
      : [
          '    # attributes:     # network attribute: attribute here, a template, or null to drop it',
          '    #   displayName: "{givenName} {sn|upper}"',
          '    #   homePhone: null',
        ]),
  ];
}

function network({
  subscribe = 'network.ldif',
  container = 'ou=network,dc=example,dc=org',
  unattended = false,
}: SampleOptions): string[] {
  const csv = isCsv(subscribe);
  return [
    '  # Where the people of the other postoffices go: a file that only dirpost writes.',
    '  - name: network',
    `    type: ${csv ? 'csv' : 'ldif'}`,
    `    path: ${quoted(subscribe)}`,
    '    direction: subscribe',
    ...(csv
      ? ['    # columns: [cn, mail, { telephoneNumber: Phone }, { postoffice: Office }]']
      : [
          '    dn: container     # or source: each entry with the DN that it has at its owner',
          `    container: ${quoted(container)}`,
        ]),
    unattended
      ? '    firstWrite: allowed     # nobody is here to approve it; held: it waits for `dirpost approve network`'
      : '    # firstWrite: allowed     # by default the first write waits for `dirpost approve network`',
  ];
}

function isCsv(path: string): boolean {
  return /\.csv$/i.test(path);
}

function transports(options: SampleOptions): string[] {
  return [
    ...(options.role === 'server' ? serverTransports(options) : requestorTransports(options)),
    '',
    '# When `dirpost run` reads the directories and exchanges; what arrives is processed at once.',
    '# schedule:',
    '#   every: 1h     # without it once a day',
    '',
    '# retry:',
    '#   exchangeAfter: 15m     # an exchange that nobody answered is sent again',
  ];
}

function serverTransports({ folder, listen, address, tls, mail }: SampleOptions): string[] {
  const settings = { listen, address, tls };
  const http = listen === undefined ? undefined : `  http: ${flow(settings)}`;
  if (http === undefined && folder === undefined && mail === undefined) {
    return [
      '# What carries the message files; until something does nobody can join. One of these, or several:',
      ...['transports:', EXAMPLE_HTTP, EXAMPLE_MAIL, '  folder: { path: ../exchange }'].map((line) => `# ${line}`),
    ];
  }
  return [
    'transports:',
    '  # Requestors send to this address, and collect there.',
    http ?? commented(EXAMPLE_HTTP),
    ...(mail === undefined ? [commented(EXAMPLE_MAIL)] : sampleMail(mail)),
    ...FOLDER_WORDS,
    folder === undefined ? '  # folder: { path: ../exchange }' : `  folder: { path: ${quoted(folder)} }`,
  ];
}

const EXAMPLE_HTTP =
  '  http: { listen: "0.0.0.0:8943", address: "https://hq.example.org:8943", tls: { certificate: hq.crt, key: hq.key } }';
const commented = (line: string) => line.replace('  ', '  # ');
const FOLDER_WORDS = ['  # A shared folder or a stick. dirpost never makes it, so that a missing stick is noticed.'];

function requestorTransports({ folder, http, ca, mail }: SampleOptions): string[] {
  const path = folder ?? (http === undefined && mail === undefined ? '../exchange' : undefined);
  return [
    'transports:',
    ...(http === undefined
      ? []
      : ['  # The directory server, where there is a line to it.', `  http: ${flow({ url: http, ca })}`]),
    ...(mail === undefined ? [] : sampleMail(mail)),
    ...(path === undefined ? [] : [...FOLDER_WORDS, `  folder: { path: ${quoted(path)} }`]),
  ];
}

function serverPart(): string[] {
  return [
    '',
    '# Deletions are remembered so long for a requestor that is silent; after that it gets everything anew.',
    'retention: 90d',
    '',
    'lists:',
    '  # Who is told what. Each requestor follows exactly one list.',
    '  - name: all',
    '    filter: (objectClass=*)',
    '    attributes: ["*"]',
    '    receivers: "*"     # or names: [oslo, lima]',
    '',
    '# What each requestor may publish; without a rule: all but mail in the domains of others.',
    '# requestors:',
    '#   oslo: { publish: { kinds: [person, group], mailDomains: [oslo.example.org], maxEntries: 20000 } }',
  ];
}
