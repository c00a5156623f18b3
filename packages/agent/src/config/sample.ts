/**
 * The configuration that `dirpost init` writes: complete, commented, and in order as it stands (a test loads it). What
 * an administrator has to look at is marked by the comments.
 */
export interface SampleOptions {
  postoffice: string;
  role: 'server' | 'requestor';
  /** Requestor: name of the directory server postoffice. */
  server?: string;
  /** The LDIF file that is published. */
  directory?: string;
  /** The attribute of it that an entry keeps for life. */
  key?: string;
  /** The LDIF file that the others' entries are written to. */
  subscribe?: string;
  /** The exchange folder. */
  folder?: string;
  /** Requestor: the server's http address; then there is an exchange folder only if one is named. */
  http?: string;
  /** PEM file of what vouches for that address. */
  ca?: string;
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

function directories({
  directory = 'people.ldif',
  key = 'entryUUID',
  subscribe = 'network.ldif',
  container = 'ou=network,dc=example,dc=org',
  unattended = false,
}: SampleOptions): string[] {
  return [
    'directories:',
    '  # What this postoffice publishes: its own people and groups.',
    '  - name: people',
    '    type: ldif',
    `    path: ${quoted(directory)}`,
    '    direction: publish',
    `    key: ${key}     # an attribute whose value an entry keeps for life`,
    '    # filter: (!(employeeType=test))     # only entries that match',
    '    # exclude:',
    '    #   - { attribute: uid, prefix: svc- }',
    '    # attributes:     # network attribute: attribute here, a template, or null to drop it',
    '    #   displayName: "{givenName} {sn|upper}"',
    '    #   homePhone: null',
    '',
    '  # Where the people of the other postoffices go: a file that only dirpost writes.',
    '  - name: network',
    '    type: ldif',
    `    path: ${quoted(subscribe)}`,
    '    direction: subscribe',
    '    dn: container     # or source: each entry with the DN that it has at its owner',
    `    container: ${quoted(container)}`,
    unattended
      ? '    firstWrite: allowed     # nobody is here to approve it; held: it waits for `dirpost approve network`'
      : '    # firstWrite: allowed     # by default the first write waits for `dirpost approve network`',
    '',
  ];
}

function transports({ folder, http, ca }: SampleOptions): string[] {
  const vouched = ca === undefined ? '' : `, ca: ${quoted(ca)}`;
  const path = folder ?? (http === undefined ? '../exchange' : undefined);
  return [
    'transports:',
    ...(http === undefined
      ? []
      : ['  # The directory server, where there is a line to it.', `  http: { url: ${quoted(http)}${vouched} }`]),
    ...(path === undefined
      ? []
      : [
          '  # A shared folder or a stick. dirpost never makes it, so that a missing stick is noticed.',
          `  folder: { path: ${quoted(path)} }`,
        ]),
    '',
    '# retry:',
    '#   exchangeAfter: 15m     # an exchange that nobody answered is sent again',
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

/** JSON strings are YAML, whatever stands in them. */
function quoted(text: string): string {
  return /^[\w./=,-]+$/.test(text) && !/^[-.\d]*$/.test(text) ? text : JSON.stringify(text);
}
