import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { defaultLimits, type DirpostError } from '@dirpost/core';
import { describe, expect, it } from 'vitest';
import type { DirectoryConfiguration } from './directory.ts';
import { editDistance } from './faults.ts';
import { configurationFaults, loadConfiguration, parseConfiguration } from './load.ts';
import { sampleConfiguration } from './sample.ts';

const folder = resolve('/srv/dirpost');
const faults = (text: string) =>
  configurationFaults(text, folder).map(({ line, path, message }) => `${line} ${path}: ${message}`);
/** Faults of a requestor that is in order but for these lines. */
const faultsOf = (lines: string) =>
  faults(`postoffice: oslo\nrole: requestor\nserver: hq\ntransports: { folder: { path: x } }\n${lines}`);

const pathOf = (directory: DirectoryConfiguration) => ('path' in directory ? directory.path : undefined);

const publishing = (name: string, more = '') =>
  `  - { name: ${name}, type: ldif, path: ${name}.ldif, direction: publish${more} }\n`;

describe('a configuration that is in order', () => {
  const configuration = parseConfiguration(
    `postoffice: oslo
role: requestor
server: hq
data: data
directories:
  - name: people
    type: ldif
    path: people.ldif
    direction: publish
    exclude: [{ dn: "cn=admin,dc=example,dc=org" }, { attribute: uid, prefix: svc- }, { attribute: uid, pattern: ^test }]
    attributes: { displayName: "{givenName} {sn|upper}", phone: telephoneNumber, homePhone: null }
  - { name: network, type: ldif, path: /other/network.ldif, direction: subscribe, container: "ou=network,dc=example" }
transports: { folder: { path: ../exchange } }
limits: { maxMessageBytes: 20 MiB, maxParts: 7 }
retry: { exchangeAfter: 2h }
`,
    folder,
  );

  it('has absolute paths, seen from its folder', () => {
    expect(configuration.dataFolder).toBe(join(folder, 'data'));
    expect(configuration.directories.map(pathOf)).toEqual([
      join(folder, 'people.ldif'),
      resolve('/other/network.ldif'),
    ]);
    expect(configuration.transports.folder?.path).toBe(resolve(folder, '../exchange'));
  });

  it('has defaults where nothing is said', () => {
    expect(configuration.directories[0]).toMatchObject({
      key: 'entryUUID',
      space: 'entryuuid',
      filter: '(objectClass=*)',
      allowFileUrls: false,
    });
    expect(configuration.directories[1]).toMatchObject({ direction: 'subscribe', dn: 'container' });
    expect(configuration.retry).toMatchObject({ exchangeAfterMs: 7_200_000, deliverAfterMs: 60_000 });
    expect(configuration.limits).toEqual({ ...defaultLimits, maxMessageBytes: 20 * 1024 * 1024, maxParts: 7 });
    expect(configuration.retentionMs).toBe(90 * 86_400_000);
  });

  it('keeps the order in which kinds are tried, also where one is changed', () => {
    const text = `postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\ndirectories:\n`;
    const { directories } = parseConfiguration(
      `${text}${publishing('a', ', kinds: { person: (uid=*), contact: null }')}`,
      folder,
    );
    const [first] = directories;
    expect(first?.direction === 'publish' && Object.keys(first.kinds)).toEqual(['group', 'resource', 'person']);
    expect(first).toMatchObject({ kinds: { person: '(uid=*)' } });
  });

  it('the server is its own server, and its rules are there by name', () => {
    const server = parseConfiguration(
      'postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\nrequestors: { oslo: { publish: { mailDomains: [Oslo.Example.ORG] } } }\n',
      folder,
    );
    expect(server.server).toBe('hq');
    expect(server.requestors).toEqual({ oslo: { publish: { mailDomains: ['oslo.example.org'] } } });
  });
});

describe('faults', () => {
  it('are told all at once, with their lines', () => {
    const text = `postoffice: Oslo
role: requestr
directores: []
directories:
  - name: people
    type: ldif
    path: people.ldif
    direction: publish
    filter: (cn=x
    base: nonsense
  - name: people
    type: ldif
    path: people.ldif
    direction: subscribe
    container: ou=x
limits:
  maxParts: many
retry: { exchangeAfter: 15 }
retry: { deliverAfter: 1m }
`;
    expect(faults(text).map((fault) => fault.split(':')[0])).toEqual([
      '1 postoffice',
      '2 role',
      '3 directores',
      '9 directories[0].filter',
      '10 directories[0].base',
      '11 directories[1].name',
      '13 directories[1].path',
      '17 limits.maxParts',
      '19 ',
    ]);
  });

  it('of a misspelt setting of a directory are told with what was meant, also where it decides what is allowed', () => {
    const text = (settings: string) =>
      `postoffice: hq\nrole: server\nlists: [{ name: all, receivers: "*" }]\ndirectories: [{ name: a, path: a.ldif, ${settings} }]\n`;
    const meant = (settings: string) => faults(text(settings)).map((fault) => fault.split(': ').slice(1).join(': '));
    const unknown = (meaning: string) => `is not a setting that dirpost knows; did you mean ${meaning}?`;
    expect(meant('type: ldif, direction: publish, kye: uid')).toEqual([unknown('key')]);
    expect(meant('type: ldif, directon: publish, fliter: (uid=*)')).toEqual([
      'is missing',
      unknown('direction'),
      unknown('filter'),
    ]);
    expect(meant('typ: ldif, direction: publish')).toEqual(['is missing', unknown('type')]);
    expect(meant('type: ldiff, direction: publish, delimitr: ","')).toContain(unknown('delimiter'));
  });

  it('become one error that names file, line, setting and reason', () => {
    const error: DirpostError = (() => {
      try {
        return parseConfiguration('postoffice: oslo\nrole: boss\n', folder, 'my.yaml') as never;
      } catch (caught) {
        return caught as DirpostError;
      }
    })();
    expect(error).toMatchObject({ code: 'config-invalid', retry: 'operator' });
    expect(error.message).toBe(
      'The configuration has a fault:\nmy.yaml:2: role: "boss" is not allowed; must be server or requestor',
    );
  });

  it.each([
    ['serverr: hq', '5 serverr: is not a setting that dirpost knows; did you mean server?'],
    ['polling: 1', /^5 polling: is not a setting that dirpost knows; here are known: postoffice, role,/],
    ['limits: { maxPart: 1 }', /did you mean maxParts\?$/],
    [`directories:\n${publishing('a', ', kye: uid')}`, /did you mean key\?$/],
    [`directories:\n${publishing('a', ', container: ou=x')}`, /container: is for direction: subscribe only$/],
  ])('an unknown setting is refused, with a suggestion: %s', (lines, expected) => {
    expect(faultsOf(lines)).toEqual([expect.stringMatching(expected)]);
  });

  it.each([
    ['server: hq', '5 : this setting stands here twice'],
    ['\tdata: x', /tab/],
    ['data: [', /not YAML/],
    ['a: &a [x]\nb: [*a,*a]', /not a setting/],
  ])('YAML that is wrong is told with its line: %j', (lines, expected) => {
    expect(faultsOf(lines)[0]).toMatch(expected);
  });

  it('a file of aliases upon aliases is refused', () => {
    let text = 'a0: &a0 [x]\n';
    for (let i = 1; i < 30; i++)
      text += `a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]\n`;
    expect(faults(text)).toEqual(['1 : the file uses too many aliases (*name)']);
  });

  it.each([
    ['', 'postoffice: is missing'],
    ['just words', 'must be a group of settings'],
    ['- a\n- b', 'must be a group of settings'],
  ])('a file that is something else: %j', (text, expected) => {
    expect(faults(text)[0]).toContain(expected);
  });

  it.each([
    ['directories:\n' + publishing('a', ', attributes: { cn: "{sn|upr}" }'), /there is no function upr/],
    ['directories:\n' + publishing('a', ', exclude: [{ prefix: x }]'), /need an attribute/],
    ['directories:\n' + publishing('a', ', exclude: [{ dn: "cn=a", prefix: x }]'), /exactly one of/],
    ['directories:\n' + publishing('a', ', exclude: [{ attribute: uid, pattern: "(" }]'), /regular expression/i],
    ['directories:\n' + publishing('a', ', key: "a b"'), /name of an attribute/],
    ['retry: { exchangeAfter: soon }', /must be a duration/],
    ['limits: { maxPartBytes: 17 MiB }', /must be less than maxMessageBytes/],
    ['limits: { maxPartBytes: 1 MB }', /size such as/],
    ['limits: { maxParts: 0 }', /at least 1/],
    ['data: 5', /must be a text/],
  ])('a value that cannot be meant is explained: %s', (lines, expected) => {
    expect(faultsOf(lines).join('\n')).toMatch(expected);
  });
});

describe('what must fit together', () => {
  const subscribing = (name: string, path: string, more: string) =>
    `  - { name: ${name}, type: ldif, path: ${path}, direction: subscribe, ${more} }\n`;

  it('a requestor needs a server that is not itself, and a transport', () => {
    expect(faults('postoffice: oslo\nrole: requestor\n')).toEqual([
      '1 server: is missing: a requestor needs the name of its directory server postoffice',
      '1 transports: is missing: a requestor needs at least one transport',
    ]);
    expect(faults('postoffice: oslo\nrole: requestor\nserver: oslo\ntransports: {folder: {path: x}}')).toEqual([
      expect.stringContaining('is this postoffice itself'),
    ]);
  });

  it('lists belong to the server', () => {
    expect(faultsOf('lists: []')).toEqual(['5 lists: is for role: server only']);
  });

  it('two directories never publish the same entries, but may share a file', () => {
    const two = (filter: string) =>
      `directories:\n${publishing('a')}  - { name: b, type: ldif, path: ./a.ldif, direction: publish${filter} }\n`;
    expect(faultsOf(two(''))).toEqual([expect.stringContaining('"a" publishes the same entries already')]);
    expect(faultsOf(two(', filter: (cn=x)'))).toEqual([]);
  });

  it('a file that is written is never read', () => {
    expect(faultsOf(`directories:\n${publishing('a')}${subscribing('b', './a.ldif', 'dn: source')}`)).toEqual([
      expect.stringContaining('7 directories[1].path: is the file of "a" too'),
    ]);
  });

  it('dn: container needs a container', () => {
    expect(faultsOf(`directories:\n${subscribing('b', 'b.ldif', 'dn: container')}`)).toEqual([
      expect.stringContaining('directories[0].container: is missing'),
    ]);
    expect(faultsOf(`directories:\n${subscribing('b', 'b.ldif', 'dn: source')}`)).toEqual([]);
  });

  it('a number that is out of range says of which', () => {
    expect(faults('postoffice: hq\nrole: server\nholds: { removals: { above: -1, percent: 200 } }')).toEqual([
      '3 holds.removals.above: is too small; at least 0',
      '3 holds.removals.percent: is too large; at most 100',
    ]);
  });

  it('a list takes no edits of what is its owner’s alone', () => {
    const lists = (edits: string) =>
      faults(`postoffice: hq\nrole: server\nlists: [{ name: a, receivers: "*", edits: [${edits}] }]`);
    expect(lists('title, Member, userPassword')).toEqual([
      '3 lists[0].edits[1]: "Member" cannot be edited by others: it is its owner\'s alone',
      '3 lists[0].edits[2]: "userPassword" cannot be edited by others: it is its owner\'s alone',
    ]);
    expect(lists('"*", title')).toEqual([]);
  });

  it('each requestor follows exactly one list', () => {
    const server = (lists: string) => faults(`postoffice: hq\nrole: server\n${lists}`);
    expect(server('lists: [{ name: a, receivers: [oslo] }, { name: b, receivers: [lima, oslo] }]')).toEqual([
      '3 lists[1].receivers[1]: "oslo" is a receiver in list "a" already; each requestor follows exactly one list',
    ]);
    expect(server('lists: [{ name: a, receivers: "*" }, { name: b, receivers: "*" }]')).toHaveLength(1);
    expect(server('requestors: { oslo: {} }\nlists: [{ name: a, receivers: [lima] }]')).toEqual([
      '3 requestors.oslo: "oslo" follows no list; name it under receivers of one',
    ]);
    expect(server('requestors: { oslo: {} }\nlists: [{ name: a, receivers: "*" }]')).toEqual([]);
  });
});

it('the sample configuration of either role is in order', () => {
  const server = parseConfiguration(sampleConfiguration({ postoffice: 'hq', role: 'server' }), folder);
  expect(server.directories).toHaveLength(2);
  const odd = sampleConfiguration({
    postoffice: 'oslo',
    role: 'requestor',
    server: 'hq',
    directory: 'C:\\My files\\people #1.ldif',
    folder: '123',
  });
  const requestor = parseConfiguration(odd, folder);
  expect(requestor.directories.map(pathOf)[0]).toBe(resolve(folder, 'C:\\My files\\people #1.ldif'));
});

it('what stands commented out in the sample is in order too', () => {
  const sample = sampleConfiguration({ postoffice: 'hq', role: 'server' });
  const all = sample.replaceAll(/^( *)# (?= *(?:[a-z]+:|- \{))/gim, '$1');
  expect(all).not.toBe(sample);
  expect(parseConfiguration(all, folder)).toMatchObject({ directories: [{ exclude: [{ prefix: 'svc-' }] }, {}] });
});

it('a file that is not there says how to make one', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'dirpost-config-'));
  try {
    await expect(loadConfiguration(join(empty, 'dirpost.yaml'))).rejects.toMatchObject({
      code: 'not-initialized',
      hint: expect.stringContaining('dirpost init'),
    });
    const example = readFileSync(new URL('../../../../deploy/examples/branch.yaml', import.meta.url));
    writeFileSync(join(empty, 'dirpost.yaml'), example);
    expect(await loadConfiguration(join(empty, 'dirpost.yaml'))).toMatchObject({ postoffice: 'oslo' });
  } finally {
    rmSync(empty, { recursive: true });
  }
});

it('the exchange of two neighbours is one edit', () => {
  expect(['sevrer', 'server', 'serve', 'xyz'].map((word) => editDistance(word, 'server'))).toEqual([1, 0, 1, 6]);
});
