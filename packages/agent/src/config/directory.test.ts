import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type DirectoryConfiguration, wantedColumns } from './directory.ts';
import { configurationFaults, parseConfiguration } from './load.ts';

const folder = resolve('/srv/dirpost');
const text = (directories: string) =>
  `postoffice: oslo\nrole: requestor\nserver: hq\ntransports: { folder: { path: x } }\ndirectories:\n${directories}`;
const faults = (directories: string) =>
  configurationFaults(text(directories), folder).map(({ line, path, message }) => `${line} ${path}: ${message}`);

function one<T extends DirectoryConfiguration['type'], D extends DirectoryConfiguration['direction']>(
  type: T,
  direction: D,
  more: string,
): Extract<DirectoryConfiguration, { type: T; direction: D }> {
  const { directories } = parseConfiguration(
    text(`  - { name: people, type: ${type}, direction: ${direction}, ${more} }\n`),
    folder,
  );
  return directories[0] as Extract<DirectoryConfiguration, { type: T; direction: D }>;
}

describe('a CSV directory', () => {
  it('needs a path and a key, and has defaults for the rest', () => {
    const people = one('csv', 'publish', 'path: people.csv, key: " Personnel\u00a0 Number"');
    expect(people).toMatchObject({
      path: join(folder, 'people.csv'),
      key: 'Personnel Number',
      space: 'personnel number',
      delimiter: undefined,
      encoding: 'auto',
      objectClass: 'inetOrgPerson',
      rdn: 'uid',
      suffix: '',
    });
    expect(people.columnPasses('mail')).toBe(true);
    expect(people.columnPasses('cn;lang-no')).toBe(true);
    expect(people.columnPasses('salary')).toBe(false);
  });

  it('maps from columns as they are called in the header', () => {
    const people = one(
      'csv',
      'publish',
      'path: a.csv, key: Nr, delimiter: tab, exclude: [{ attribute: Leaving date, pattern: . }], attributes: { mail: "E-mail Address", displayName: "{First name|trim} {Straße} {dn}", fax: null }',
    );
    expect(people.delimiter).toBe('\t');
    expect(wantedColumns(people)).toEqual([
      { title: 'E-mail Address', use: 'what the mapping makes mail of' },
      { title: 'First name', use: 'what the mapping makes displayName of' },
      { title: 'Straße', use: 'what the mapping makes displayName of' },
      { title: 'Leaving date', use: 'what an exclusion looks at' },
    ]);
  });

  it('writes columns in their order, with titles where they are given', () => {
    const network = one('csv', 'subscribe', 'path: n.csv, columns: [mail, { sn: Surname }, postoffice]');
    expect(network).toMatchObject({
      columns: [
        { attribute: 'mail', title: 'mail' },
        { attribute: 'sn', title: 'Surname' },
        { attribute: 'postoffice', title: 'postoffice' },
      ],
      values: '|',
      formulas: 'escape',
      dn: 'container',
      container: 'o=network',
    });
    expect(one('csv', 'subscribe', 'path: n.csv').columns.map(({ attribute }) => attribute)).toContain('postoffice');
  });
});

describe('a command directory', () => {
  it('has a program with its arguments; a path is seen from the folder of the configuration, a name is not', () => {
    const hr = one('command', 'publish', 'command: [./export, --all, ""], timeout: 90s, maxOutput: 1 MiB');
    expect(hr).toMatchObject({
      command: [join(folder, 'export'), '--all', ''],
      folder,
      timeoutMs: 90_000,
      maxOutputBytes: 1_048_576,
      environment: {},
      key: 'entryUUID',
    });
    expect(one('command', 'publish', 'command: [ldapsearch]')).toMatchObject({
      command: ['ldapsearch'],
      timeoutMs: 300_000,
      maxOutputBytes: 256 * 1_048_576,
    });
  });
});

describe('faults of directories', () => {
  const csv = 'name: a, type: csv, path: a.csv, direction: publish, key: Nr';
  const written = 'name: a, type: csv, path: a.csv, direction: subscribe';
  const command = 'name: a, type: command, direction: publish';

  it.each([
    ['name: a, type: cvs, path: a.csv, direction: publish', /type: .*csv/],
    ['name: a, path: a.csv, direction: publish', /directories\[0\]\.type: is missing/],
    ['name: a, type: csv, path: a.csv, direction: publish', /directories\[0\]\.key: is missing/],
    [`${csv}, delimiter: ";;"`, /delimiter: ";;" is not allowed/],
    [`${csv}, encoding: utf8`, /did you mean utf-8\?/],
    [`${csv}, values: ";", delimiter: ";"`, /values: is the delimiter too/],
    [`${csv}, multiple: [mail]`, /multiple: needs `values`/],
    [`${csv}, attributes: { mail: "{E-mail|tirm}" }`, /there is no function tirm/],
    [`${csv}, attributes: { title: "Password hash" }`, /attributes\.title: takes values from Password hash, which is/],
    [`${csv}, attributes: { title: "{userPassword}" }`, /attributes\.title: takes values from userPassword, which is/],
    [`${csv}, base: "dc=x"`, /base: is for type: ldap or ldif or command only/],
    [`${csv}, columns: [mail]`, /columns: is for direction: subscribe only/],
    [`${csv}, colums: [mail]`, /is not a setting that dirpost knows/],
    [`${written}, key: Nr`, /key: is for direction: publish only/],
    [`${written}, columns: [{ mail: E-mail }, { sn: e-mail }]`, /the title "e-mail" is there twice/],
    [`${written}, columns: []`, /at least one column/],
    [`${written}, values: ","`, /values: is the delimiter too/],
    [
      'name: a, type: ldif, path: a.ldif, direction: subscribe, dn: source, key: x',
      /key: is for direction: publish only/,
    ],
    [command, /command: is missing/],
    [`${command}, command: "export --all"`, /must be a list: the program, then its arguments/],
    [`${command}, command: []`, /command\[0\]: is missing/],
    [`${command}, command: [a], environment: { "A B": x }`, /is not the name of a variable/],
    [`${command}, command: [a], timeout: soon`, /must be a duration/],
    [`${command}, command: [a], path: a.ldif`, /path: is for type: ldif or csv only/],
    ['name: a, type: command, command: [a], direction: subscribe', /direction: .*publish/],
  ])('%s', (given, expected) => {
    const found = faults(`  - { ${given} }\n`);
    expect(found.join('\n')).toMatch(expected);
    expect(found).toHaveLength(1);
  });

  it('a CSV file that is written is never read', () => {
    expect(faults(`  - { ${csv} }\n  - { ${written.replace('name: a', 'name: b')} }\n`)).toEqual([
      expect.stringContaining('is the file of "a" too'),
    ]);
  });
});
